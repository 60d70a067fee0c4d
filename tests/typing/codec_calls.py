"""The public codec as a typed program uses it; mypy reads this file, nothing runs it."""

from typing import assert_type

import numpy as np
import numpy.typing as npt

from mmoinv import INVENTORY_ITEM, ITEM_DATA, InventoryItemData, batch_of, empty_batch
from mmoinv.codec import (
    CODEC,
    apply_changes,
    compare_items,
    decode_batch,
    decode_commit_inventory,
    decode_commit_inventory_result,
    decode_commits,
    decode_delete_inventory_items,
    decode_inventory_operation_result,
    decode_save_inventory_items,
    diff,
    encode_batch,
    encode_commit_inventory,
    encode_commit_inventory_result,
    encode_commit_results,
    encode_delete_inventory_items,
    encode_inventory_operation_result,
    encode_operation_results,
    encode_save_inventory_items,
    narrow,
    sort_by_slot,
    split_frames,
    validate_batch,
    widen,
)
from mmoinv.commits import Commits, CurrencyDelta, ParticipantChanges
from mmoinv.records import slots_of

Batch = npt.NDArray[np.void]
Slots = npt.NDArray[np.uint16]

assert_type(CODEC, str)
assert_type(INVENTORY_ITEM, np.dtype[np.void])
assert_type(ITEM_DATA, np.dtype[np.void])

items = batch_of(InventoryItemData(entry=25, slot=0xFF0F), InventoryItemData(118, 0xFF17, 5))
assert_type(items, Batch)
assert_type(InventoryItemData.from_record(items[0]), InventoryItemData)
assert_type(empty_batch(), Batch)
assert_type(widen(items), Batch)
assert_type(narrow(items, "native40"), Batch)
assert_type(sort_by_slot(items), Batch)
validate_batch(items, named=True)

saves, deletes = diff(empty_batch(), items)
assert_type(saves, Batch)
assert_type(deletes, Slots)
assert_type(apply_changes(items, saves, slots_of(3, 4)), Batch)
assert_type(compare_items(items, empty_batch()), npt.NDArray[np.void])

assert_type(encode_batch(items), bytes)
assert_type(encode_batch(items, 1), bytes)
assert_type(decode_batch(bytearray(8), 3), tuple[Batch, int])
frames, consumed = split_frames(memoryview(b""))
assert_type(frames, Batch)
assert_type(consumed, int)

assert_type(encode_save_inventory_items(7, 9, items, layout="packed"), bytes)
assert_type(decode_save_inventory_items(b"", "native32"), tuple[int, int, Batch])
assert_type(encode_delete_inventory_items(7, 9, deletes), bytes)
assert_type(decode_delete_inventory_items(b""), tuple[int, int, Slots])
assert_type(encode_inventory_operation_result(7, 9, 0, 1, opcode=0x0B), bytes)
assert_type(decode_inventory_operation_result(b""), tuple[int, int, int, int])

changes = ParticipantChanges(7, 1, 0, saves, deletes, (CurrencyDelta(1, -5),))
assert_type(encode_commit_inventory(1, [changes], reason=2, flags=4), bytes)
assert_type(encode_commit_inventory_result(1, 0, [(7, 1)], "fine"), bytes)
assert_type(decode_commit_inventory_result(b""), tuple[int, int, list[tuple[int, int]], str])
commits = decode_commit_inventory(b"")
assert_type(commits, Commits)
assert_type(decode_commits(bytearray(), 0, "packed", replace=True), tuple[Commits, int])
statuses = np.zeros(1, np.uint8)
assert_type(encode_commit_results(commits, statuses, np.zeros(1, np.uint64), {0: "no"}), bytes)
assert_type(encode_operation_results(commits, statuses, 0x0B), bytes)

# What must not pass; an ignore that is not needed is an error too.
encode_save_inventory_items("7", 9, items)  # type: ignore[arg-type]
encode_delete_inventory_items(7, 9, [3, 4])  # type: ignore[arg-type]
signed = np.zeros(1, np.int64)
encode_delete_inventory_items(7, 9, signed)  # type: ignore[arg-type]
decode_batch("text")  # type: ignore[arg-type]
diff(items)  # type: ignore[call-arg]
encode_commit_inventory(1, [items])  # type: ignore[list-item]
encode_operation_results(items, statuses)  # type: ignore[arg-type]
