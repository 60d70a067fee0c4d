"""Encode, decode and diff beside what a sensible user would write with what is at hand.

The others get what suits them best: struct a precompiled Struct and rows of plain ints,
msgspec its own Structs as arrays and an Encoder made before, numpy arrays of the very dtype.
None of them checks anything; ours checks every record.
"""

import struct

import msgspec
import numpy as np
import pytest
from inventories import SIZES, a_moment_later, inventory, item_data

from mmoinv import codec
from mmoinv.records import ITEM_DATA

sizes = pytest.mark.parametrize("count", SIZES)

RECORD = struct.Struct("<IHBQQHHH")
HEAD = struct.Struct("<BIQIH")
BODY_HEAD = struct.Struct("<QIH")


class Item(msgspec.Struct, array_like=True, gc=False):
    """One ItemData."""

    entry: int
    slot: int
    stack_count: int
    creator: int
    contained: int
    durability: int
    random_property_index: int
    random_suffix_index: int


class Save(msgspec.Struct, array_like=True, gc=False):
    """SaveInventoryItems."""

    character_guid: int
    operation_id: int
    items: list[Item]


def struct_encode(guid, operation_id, rows):
    size = 14 + RECORD.size * len(rows)
    frame = bytearray(5 + size)
    HEAD.pack_into(frame, 0, 0x0E, size, guid, operation_id, len(rows))
    pack_into, step, offset = RECORD.pack_into, RECORD.size, HEAD.size
    for row in rows:
        pack_into(frame, offset, *row)
        offset += step
    return frame


def struct_decode(body):
    guid, operation_id, count = BODY_HEAD.unpack_from(body)
    if len(body) != BODY_HEAD.size + count * RECORD.size:
        raise ValueError(count)
    return guid, operation_id, list(RECORD.iter_unpack(body[BODY_HEAD.size :]))


def numpy_encode(guid, operation_id, items):
    return HEAD.pack(0x0E, 14 + items.nbytes, guid, operation_id, len(items)) + items.tobytes()


def numpy_decode(body):
    guid, operation_id, count = BODY_HEAD.unpack_from(body)
    return guid, operation_id, np.frombuffer(body, ITEM_DATA, count, BODY_HEAD.size).copy()


def numpy_diff(before, after):
    """Both in slot order: rows compared as six words, the rest by binary search."""
    old_slots = np.ascontiguousarray(before["slot"])
    new_slots = np.ascontiguousarray(after["slot"])
    old_rows = before.view("<u8").reshape(-1, 6)
    new_rows = after.view("<u8").reshape(-1, 6)
    place = old_slots.searchsorted(new_slots)
    place[place == len(old_slots)] = 0
    same = (old_rows[place] == new_rows).all(axis=1)
    back = new_slots.searchsorted(old_slots)
    back[back == len(new_slots)] = 0
    return after[~same], old_slots[new_slots[back] != old_slots]


def dict_diff(before, after):
    """Rows of plain ints by slot, as without numpy."""
    saves = [row for slot, row in after.items() if before.get(slot) != row]
    return saves, [slot for slot in before if slot not in after]


def numpy_compare(expected, found):
    """Field by field: what is missing or extra by binary search, the rest column by column."""
    places, back = (
        np.minimum(one["slot"].searchsorted(other["slot"]), max(len(one) - 1, 0))
        for one, other in ((expected, found), (found, expected))
    )
    is_shared = expected["slot"][places] == found["slot"]
    missing = expected[found["slot"][back] != expected["slot"]]
    extra = found[~is_shared]
    old, new = expected[places[is_shared]], found[is_shared]
    rows = [(missing["slot"], missing["entry"]), (extra["slot"], extra["entry"])]
    for name in expected.dtype.names:
        differs = old[name] != new[name]
        rows.append((new["slot"][differs], old[name][differs], new[name][differs]))
    return rows


def dict_compare(expected, found):
    """Rows of plain ints by slot, as without numpy."""
    rows = []
    for slot, row in expected.items():
        there = found.get(slot)
        if there is None:
            rows.append((slot, row))
        elif there != row:
            for place, value in enumerate(row):
                if value != there[place]:
                    rows.append((slot, place, value, there[place]))
    rows += [(slot, row) for slot, row in found.items() if slot not in expected]
    return rows


# Encode


@sizes
class TestEncode:
    """SaveInventoryItems, packed, as a whole frame."""

    group = "encode {} items"

    def test_ours(self, compare, count):
        compare(
            self.group.format(count),
            "ours",
            "encode(7, 9, items)",
            encode=codec.encode_save_inventory_items,
            items=item_data(count),
        )

    def test_msgspec(self, compare, count):
        save = Save(7, 9, [Item(*row) for row in item_data(count).tolist()])
        compare(
            self.group.format(count),
            "msgspec",
            "encode(save)",
            encode=msgspec.msgpack.Encoder().encode,
            save=save,
        )

    def test_struct(self, compare, count):
        rows = item_data(count).tolist()
        assert struct_encode(7, 9, rows) == codec.encode_save_inventory_items(
            7, 9, item_data(count)
        )
        compare(
            self.group.format(count),
            "struct",
            "encode(7, 9, rows)",
            encode=struct_encode,
            rows=rows,
        )

    def test_numpy(self, compare, count):
        items = item_data(count)
        assert numpy_encode(7, 9, items) == codec.encode_save_inventory_items(7, 9, items)
        compare(
            self.group.format(count),
            "numpy",
            "encode(7, 9, items)",
            encode=numpy_encode,
            items=items,
        )

    def test_memcpy(self, compare, count):
        frame = codec.encode_save_inventory_items(7, 9, item_data(count))
        compare(
            self.group.format(count), "memcpy", "copy(frame)", copy=bytes, frame=bytearray(frame)
        )


# Decode


@sizes
class TestDecode:
    """SaveInventoryItems, packed, from its body; ours widens and judges the content too."""

    group = "decode {} items"

    def body(self, count):
        return codec.encode_save_inventory_items(7, 9, item_data(count))[5:]

    def test_ours(self, compare, count):
        compare(
            self.group.format(count),
            "ours",
            "decode(body)",
            decode=codec.decode_save_inventory_items,
            body=self.body(count),
        )

    def test_msgspec(self, compare, count):
        save = Save(7, 9, [Item(*row) for row in item_data(count).tolist()])
        compare(
            self.group.format(count),
            "msgspec",
            "decode(data)",
            decode=msgspec.msgpack.Decoder(Save).decode,
            data=msgspec.msgpack.encode(save),
        )

    def test_struct(self, compare, count):
        assert struct_decode(self.body(count))[2] == item_data(count).tolist()
        compare(
            self.group.format(count),
            "struct",
            "decode(body)",
            decode=struct_decode,
            body=self.body(count),
        )

    def test_numpy(self, compare, count):
        compare(
            self.group.format(count),
            "numpy",
            "decode(body)",
            decode=numpy_decode,
            body=self.body(count),
        )

    def test_memcpy(self, compare, count):
        body = bytearray(self.body(count))
        compare(self.group.format(count), "memcpy", "copy(body)", copy=bytes, body=body)


# Diff


@sizes
class TestDiff:
    """Two slot-sorted batches a moment apart."""

    def group(self, count):
        return f"diff {count} items, {min(3, count)} changes"

    def test_ours(self, compare, count):
        before = inventory(count)
        compare(
            self.group(count),
            "ours",
            "diff(before, after)",
            diff=codec.diff,
            before=before,
            after=a_moment_later(before),
        )

    def test_numpy(self, compare, count):
        before = inventory(count)
        after = a_moment_later(before)
        for ours, theirs in zip(codec.diff(before, after), numpy_diff(before, after), strict=True):
            assert ours.tobytes() == theirs.tobytes()
        compare(
            self.group(count),
            "numpy",
            "diff(before, after)",
            diff=numpy_diff,
            before=before,
            after=after,
        )

    def test_dicts(self, compare, count):
        before = inventory(count)
        rows = [
            {row[1]: row for row in batch.tolist()} for batch in (before, a_moment_later(before))
        ]
        assert len(dict_diff(*rows)[0]) == len(codec.diff(before, a_moment_later(before))[0])
        compare(
            self.group(count),
            "dicts",
            "diff(before, after)",
            diff=dict_diff,
            before=rows[0],
            after=rows[1],
        )

    def test_memcpy(self, compare, count):
        compare(
            self.group(count),
            "memcpy",
            "copy(before), copy(after)",
            copy=bytes,
            before=bytearray(inventory(count)),
            after=bytearray(inventory(count)),
        )


# Compare


@pytest.mark.parametrize("count", [25, 100])
class TestCompare:
    """Two slot-sorted batches, equal as they should be, or a moment apart."""

    def test_ours(self, compare, count):
        items = inventory(count)
        compare(
            f"compare {count} items, equal",
            "ours",
            "compare(expected, found)",
            compare=codec.compare_items,
            expected=items,
            found=items.copy(),
        )

    def test_numpy(self, compare, count):
        items = inventory(count)
        compare(
            f"compare {count} items, equal",
            "numpy",
            "compare(expected, found)",
            compare=numpy_compare,
            expected=items,
            found=items.copy(),
        )

    def test_dicts(self, compare, count):
        rows = [{row[1]: row for row in inventory(count).tolist()} for _ in range(2)]
        compare(
            f"compare {count} items, equal",
            "dicts",
            "compare(expected, found)",
            compare=dict_compare,
            expected=rows[0],
            found=rows[1],
        )

    def test_ours_a_moment_apart(self, compare, count):
        before = inventory(count)
        compare(
            f"compare {count} items, 3 differences",
            "ours",
            "compare(expected, found)",
            compare=codec.compare_items,
            expected=before,
            found=a_moment_later(before),
        )

    def test_numpy_a_moment_apart(self, compare, count):
        before = inventory(count)
        after = a_moment_later(before)
        found = sum(len(columns[0]) for columns in numpy_compare(before, after))
        assert found == len(codec.compare_items(before, after))
        compare(
            f"compare {count} items, 3 differences",
            "numpy",
            "compare(expected, found)",
            compare=numpy_compare,
            expected=before,
            found=after,
        )

    def test_dicts_a_moment_apart(self, compare, count):
        before = inventory(count)
        rows = [
            {row[1]: row for row in batch.tolist()} for batch in (before, a_moment_later(before))
        ]
        compare(
            f"compare {count} items, 3 differences",
            "dicts",
            "compare(expected, found)",
            compare=dict_compare,
            expected=rows[0],
            found=rows[1],
        )


# Protocol 4


def commit(count, guid=7):
    changes = codec.diff(inventory(0), inventory(count, guid))
    return codec.encode_commit_inventory(guid, [(guid, 1, 0, *changes, ())])


@pytest.mark.parametrize("count", [1, 25, 40, 100])
def test_encode_commit(compare, count):
    saves, deletes = codec.diff(inventory(0), inventory(count))
    compare(
        f"encode a commit of {count}",
        "ours",
        "encode(5, participants)",
        encode=codec.encode_commit_inventory,
        participants=[(7, 1, 0, saves, deletes, ())],
    )


@pytest.mark.parametrize("count", [1, 25, 40, 100])
def test_decode_commit(compare, count):
    compare(
        f"decode a commit of {count}",
        "ours",
        "decode(body)",
        decode=codec.decode_commit_inventory,
        body=commit(count)[5:],
    )


def test_decode_a_chunk_of_100_commits(compare):
    chunk = b"".join(commit(3, guid) for guid in range(1, 101))
    compare(
        "decode 100 commits of 3", "ours", "decode(data)", decode=codec.decode_commits, data=chunk
    )


def test_encode_100_answers(compare):
    commits, _ = codec.decode_commits(b"".join(commit(3, guid) for guid in range(1, 101)))
    compare(
        "encode 100 answers",
        "ours",
        "encode(commits, statuses, versions)",
        encode=codec.encode_commit_results,
        commits=commits,
        statuses=np.zeros(100, np.uint8),
        versions=np.ones(100, np.uint64),
    )
