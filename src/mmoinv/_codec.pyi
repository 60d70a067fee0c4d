"""Types of the compiled codec; `mmoinv._codec_py` has the same functions, documented."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from mmoinv.commits import Commits, ParticipantChanges
from mmoinv.records import Batch

Slots = npt.NDArray[np.uint16]
Structured = npt.NDArray[np.void]

OLDEST_NUMPY: str

def widen(items: Batch) -> Batch: ...
def narrow(items: Batch, layout: str = "packed") -> Structured: ...
def validate_batch(items: Batch, named: bool = False) -> None: ...
def sort_by_slot(items: Batch) -> Batch: ...
def diff(before: Batch, after: Batch) -> tuple[Batch, Slots]: ...
def compare_items(expected: Batch, found: Batch) -> Structured: ...
def apply_changes(before: Batch, saves: Batch, deletes: Slots) -> Batch: ...
def find_keys(keys: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[np.int64]: ...
def find_records(
    slots: npt.NDArray[np.int32],
    words: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int64],
    wanted: Slots,
    width: int,
) -> tuple[npt.NDArray[np.int64], Batch]: ...
def pack_changes(before: Batch, after: Batch, counts: npt.NDArray[np.uint64]) -> list[bytes]: ...
def unpack_changes(packed: Buffer) -> tuple[Batch, Batch]: ...
def split_frames(buffer: Buffer, max_body_size: int = ...) -> tuple[Structured, int]: ...
def encode_batch(items: Batch, encoding: int | None = None) -> bytes: ...
def decode_batch(buffer: Buffer, offset: int = 0) -> tuple[Batch, int]: ...
def encode_save_inventory_items(
    character_guid: int, operation_id: int, items: Batch, layout: str = "packed"
) -> bytes: ...
def decode_save_inventory_items(body: Buffer, layout: str = "packed") -> tuple[int, int, Batch]: ...
def encode_delete_inventory_items(
    character_guid: int, operation_id: int, slots: Slots
) -> bytes: ...
def decode_delete_inventory_items(body: Buffer) -> tuple[int, int, Slots]: ...
def encode_inventory_operation_result(
    character_guid: int,
    operation_id: int,
    operation_type: int,
    success: int,
    opcode: int = 0x0A,
) -> bytes: ...
def decode_inventory_operation_result(body: Buffer) -> tuple[int, int, int, int]: ...
def encode_commit_inventory(
    operation_id: int,
    participants: Sequence[ParticipantChanges],
    reason: int = 0,
    flags: int = 0,
) -> bytes: ...
def decode_commit_inventory(body: Buffer) -> Commits: ...
def encode_commit_inventory_result(
    operation_id: int,
    status: int,
    participants: Sequence[tuple[int, int]],
    message: str = "",
) -> bytes: ...
def decode_commit_inventory_result(
    body: Buffer,
) -> tuple[int, int, list[tuple[int, int]], str]: ...
def decode_commits(
    buffer: Buffer,
    offset: int = 0,
    layout: str | None = None,
    replace: bool = False,
    max_body_size: int = ...,
    max_items: int = ...,
) -> tuple[Commits, int]: ...
@overload
def encode_difference(
    operation_id: int,
    character_guid: int,
    session_epoch: int,
    expected_version: int,
    before: Batch,
    after: Batch,
    reason: int = 0,
    out: None = None,
    offset: int = 0,
) -> bytes: ...
@overload
def encode_difference(
    operation_id: int,
    character_guid: int,
    session_epoch: int,
    expected_version: int,
    before: Batch,
    after: Batch,
    reason: int,
    out: Buffer,
    offset: int = 0,
) -> int: ...
@overload
def encode_difference(
    operation_id: int,
    character_guid: int,
    session_epoch: int,
    expected_version: int,
    before: Batch,
    after: Batch,
    reason: int = 0,
    *,
    out: Buffer,
    offset: int = 0,
) -> int: ...
@overload
def encode_differences(
    first_operation_id: int,
    participants: Structured,
    before: Iterable[Batch],
    after: Iterable[Batch],
    reason: int = 0,
    out: None = None,
    offset: int = 0,
) -> tuple[bytes, npt.NDArray[np.bool_]]: ...
@overload
def encode_differences(
    first_operation_id: int,
    participants: Structured,
    before: Iterable[Batch],
    after: Iterable[Batch],
    reason: int,
    out: Buffer,
    offset: int = 0,
) -> tuple[int, npt.NDArray[np.bool_]]: ...
@overload
def encode_differences(
    first_operation_id: int,
    participants: Structured,
    before: Iterable[Batch],
    after: Iterable[Batch],
    reason: int = 0,
    *,
    out: Buffer,
    offset: int = 0,
) -> tuple[int, npt.NDArray[np.bool_]]: ...
@overload
def encode_commits(commits: Commits, out: None = None, offset: int = 0) -> bytes: ...
@overload
def encode_commits(commits: Commits, out: Buffer, offset: int = 0) -> int: ...
def encode_commit_results(
    commits: Commits,
    statuses: npt.NDArray[np.uint8],
    versions: npt.NDArray[np.uint64],
    messages: Mapping[int, str] | None = None,
) -> bytes: ...
def encode_operation_results(
    commits: Commits, statuses: npt.NDArray[np.uint8], opcode: int = 0x0A
) -> bytes: ...
