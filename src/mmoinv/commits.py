"""Operations as arrays: what a chunk of commits is decoded to and a group commit is made of.

Knows the shape of a change set, not how it travels or where it is stored.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.records import INVENTORY_ITEM, SLOT, U16_MAX, Batch

OPERATION = np.dtype(
    [
        ("operation_id", "<u8"),
        ("first_participant", "<u4"),
        ("participant_count", "<u4"),
        ("kind", "<u1"),
        ("reason", "<u1"),
        ("flags", "<u1"),
        ("fault", "<u1"),
        ("fault_slot", "<u2"),
    ]
)
"""One operation of a chunk: ``kind`` is an `OperationKind`, ``flags`` are `CommitFlags` bits,
``fault`` a `Fault` (0: the content is valid), ``fault_slot`` the slot concerned."""

PARTICIPANT = np.dtype(
    [
        ("character_guid", "<u8"),
        ("expected_version", "<u8"),
        ("session_epoch", "<u4"),
        ("operation", "<u4"),
        ("first_item", "<u4"),
        ("item_count", "<u4"),
        ("first_delete", "<u4"),
        ("delete_count", "<u4"),
        ("first_currency", "<u4"),
        ("currency_count", "<u4"),
    ]
)
"""One character of one operation; ``operation`` is the index into the operations."""

CURRENCY = np.dtype([("currency_id", "<u2"), ("amount", "<i8")])
"""A balance or a change of one: 10 bytes, also on the wire."""

FRAME = np.dtype([("opcode", "<u1"), ("offset", "<u4"), ("length", "<u4")])
"""One frame of a split buffer: where its body begins and how long it is, in bytes."""


class OwnReason(IntEnum):
    """Reasons of operations that mmoinv makes of itself. All other numbers are the game's."""

    MADE_UP = 252
    """While a game moves over: a following side that had missed something is written whole."""
    IMPORTED = 253
    """`mmoinv migrate import`."""
    CORRECTED = 254
    """`mmoinv verify --fix`: what was before is what was found, not what the ledger said."""
    RESTORED = 255
    """`mmoinv restore`."""


class OperationKind(IntEnum):
    """Which packet an operation came in."""

    COMMIT = 0
    """CommitInventory, protocol 4."""
    SAVE = 1
    """SaveInventoryItems, protocol 3."""
    DELETE = 2
    """DeleteInventoryItems, protocol 3."""


class CommitFlags(IntEnum):
    """Bits of CommitInventory's flags."""

    REPLACE = 1
    """The batch is the whole inventory."""
    CONSERVE = 2
    """Over all participants, stacks per entry and currencies must not change."""
    REPEATED = 4
    """Sent before, perhaps applied."""


class CurrencyDelta(NamedTuple):
    """One change of a balance: ``currency_id`` u16, ``amount`` i64."""

    currency_id: int
    amount: int


UNKNOWN_OPERATION = "unknown"
"""How the message of status 2 begins if the operation may have been committed, so long ago that
the realm no longer keeps its id."""


class ParticipantChanges(NamedTuple):
    """What one operation writes for one character, as CommitInventory carries it.

    ``items`` is a batch of records to save, ``deletes`` a uint16 array of absolute slots.
    """

    character_guid: int
    session_epoch: int
    expected_version: int
    items: Batch
    deletes: npt.NDArray[np.uint16]
    currencies: tuple[CurrencyDelta, ...] = ()


class Commits(NamedTuple):
    """Operations as arrays: no Python object per operation.

    ``operations`` (`OPERATION`), ``participants`` (`PARTICIPANT`), ``items``
    (`INVENTORY_ITEM`), ``deletes`` (uint16) and ``currencies`` (`CURRENCY`) lie in the order
    in which they were sent; each range of an operation or participant directly follows the
    range before it.
    """

    operations: npt.NDArray[np.void]
    participants: npt.NDArray[np.void]
    items: Batch
    deletes: npt.NDArray[np.uint16]
    currencies: npt.NDArray[np.void]

    def between(self, start: int, stop: int) -> "Commits":
        """Operations ``start`` to ``stop`` (exclusive) alone, with ranges counted anew."""
        operations = self.operations[start:stop].copy()
        if not len(operations):
            return empty_commits()
        first = int(operations["first_participant"][0])
        count = int(operations["participant_count"].sum())
        participants = self.participants[first : first + count].copy()
        operations["first_participant"] -= first
        participants["operation"] -= start
        spans = {}
        for name in ("item", "delete", "currency"):
            begin = int(participants[f"first_{name}"][0]) if count else 0
            participants[f"first_{name}"] -= begin
            spans[name] = slice(begin, begin + int(participants[f"{name}_count"].sum()))
        return Commits(
            operations,
            participants,
            self.items[spans["item"]],
            self.deletes[spans["delete"]],
            self.currencies[spans["currency"]],
        )


def join_commits(chunks: Sequence[Commits]) -> Commits:
    """Several `Commits` as one, in order, with ranges counted anew."""
    if len(chunks) == 1:
        return chunks[0]
    if not chunks:
        return empty_commits()
    operations, participants, items, deletes, currencies = (
        _joined(arrays) for arrays in zip(*chunks, strict=True)
    )
    counts = operations["participant_count"].astype(np.int64)
    operations["first_participant"] = np.cumsum(counts) - counts
    participants["operation"] = np.repeat(np.arange(len(operations)), counts)
    for name in ("item", "delete", "currency"):
        counts = participants[f"{name}_count"].astype(np.int64)
        participants[f"first_{name}"] = np.cumsum(counts) - counts
    return Commits(operations, participants, items, deletes, currencies)


def without_refused_content(commits: Commits) -> Commits:
    """The same, but an operation at fault keeps no records, slots and currencies.

    It is refused whatever they are, and a few bytes of columns come to thousands of records.
    """
    is_refused = commits.operations["fault"] != 0
    if not is_refused.any():
        return commits
    participants = commits.participants.copy()
    is_kept = ~np.repeat(is_refused, commits.operations["participant_count"])
    kept = []
    for name, array in (
        ("item", commits.items),
        ("delete", commits.deletes),
        ("currency", commits.currencies),
    ):
        counts = participants[f"{name}_count"].astype(np.int64)
        kept.append(array[np.repeat(is_kept, counts)])
        counts *= is_kept
        participants[f"{name}_count"] = counts
        participants[f"first_{name}"] = np.cumsum(counts) - counts
    return Commits(commits.operations, participants, *kept)


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """np.concatenate, but a hundred times quicker on structured arrays."""
    memory = bytearray().join([array.tobytes() for array in arrays])
    return np.frombuffer(memory, arrays[0].dtype)


def empty_commits() -> Commits:
    """No operations at all."""
    return Commits(
        np.empty(0, OPERATION),
        np.empty(0, PARTICIPANT),
        np.empty(0, INVENTORY_ITEM),
        np.empty(0, SLOT),
        np.empty(0, CURRENCY),
    )


def message_bytes(message: str) -> bytes:
    """An answer's message as UTF-8, cut at a character's border to at most 65,535 bytes."""
    return message.encode(errors="replace")[:U16_MAX].decode(errors="ignore").encode()
