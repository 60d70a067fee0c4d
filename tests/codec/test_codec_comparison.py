"""What two inventories differ in: every slot, every field, both values; on both twins."""

import numpy as np
import pytest
from codec_cases import U16, U32, batch, batches, item, ordinary, outcome, packed
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import BatchError, RecordError
from mmoinv.records import DIFFERENCE, WIDE, DifferenceKind

MISSING, EXTRA, FIELD = DifferenceKind.MISSING, DifferenceKind.EXTRA, DifferenceKind.FIELD
PLACES = {field.name: place for place, field in enumerate(WIDE.fields)}


def in_plain_words(expected, found):
    """The same once more, over dictionaries."""
    names = [field.name for field in WIDE.fields]
    wanted, there = (
        {row[1]: dict(zip(names, row, strict=True)) for row in items.tolist()}
        for items in (expected, found)
    )
    rows = []
    for slot in sorted({*wanted, *there}):
        old, new = wanted.get(slot), there.get(slot)
        if old and new:
            rows += [
                (slot, FIELD, place, old[name], new[name])
                for place, name in enumerate(names)
                if old[name] != new[name]
            ]
        elif old:
            rows.append((slot, MISSING, 0, old["entry"], 0))
        else:
            rows.append((slot, EXTRA, 0, 0, new["entry"]))
    return rows


def test_a_row_is_20_bytes():
    assert DIFFERENCE.itemsize == 20
    assert [name for name, _ in DIFFERENCE.descr] == ["slot", "kind", "field", "expected", "found"]


def test_equal_inventories_give_no_row(codec):
    for count in (0, 1, 25, 300):
        rows = codec.compare_items(ordinary(count), ordinary(count))
        assert rows.dtype == DIFFERENCE
        assert rows.shape == (0,)


GOLDEN = [
    ("missing", [item(23, entry=25)], [], "1700 01 00 1900000000000000 0000000000000000"),
    ("extra", [], [item(0x1305, entry=U32)], "0513 02 00 0000000000000000 ffffffff00000000"),
    (
        "a stack",
        [item(23, stack_count=300)],
        [item(23, stack_count=44)],
        "1700 03 02 2c01000000000000 2c00000000000000",
    ),
    (
        "another item in the same slot",
        [item(9, entry=1, item_guid=2**64 - 1)],
        [item(9, entry=2, item_guid=0, durability=5)],
        "0900 03 00 0100000000000000 0200000000000000"
        "0900 03 05 0000000000000000 0500000000000000"
        "0900 03 09 ffffffffffffffff 0000000000000000",
    ),
    (
        "moved",
        [item(9, entry=1, item_guid=1)],
        [item(U16, entry=1, item_guid=1)],
        "0900 01 00 0100000000000000 0000000000000000ffff 02 00 0000000000000000 0100000000000000",
    ),
]


@pytest.mark.parametrize(
    ("expected", "found", "rows"), [case[1:] for case in GOLDEN], ids=[case[0] for case in GOLDEN]
)
def test_rows_written_by_hand(codec, expected, found, rows):
    assert codec.compare_items(batch(*expected), batch(*found)).tobytes() == bytes.fromhex(rows)


@pytest.mark.parametrize("field", WIDE.fields, ids=lambda field: field.name)
def test_every_field_is_compared_in_full(codec, field):
    if field.name == "slot":
        return
    for place in (0, 11, 24):
        for bit in range(8 * field.size):
            expected = ordinary(25)
            found = expected.copy()
            found[field.name][place] ^= np.array(1 << bit, np.uint64).astype(f"<u{field.size}")
            (row,) = codec.compare_items(expected, found).tolist()
            values = expected[field.name][place], found[field.name][place]
            assert row == (expected["slot"][place], FIELD, PLACES[field.name], *values)


@given(one=batches(max_size=20), other=batches(max_size=20), kept=st.sets(st.integers(0, 19)))
def test_it_is_what_dictionaries_say(codec, one, other, kept):
    shared = one[[place for place in kept if place < len(one)]]
    taken = set(other["slot"].tolist())
    other = np.concatenate([other, shared[[slot not in taken for slot in shared["slot"]]]])
    assert codec.compare_items(one, other).tolist() == in_plain_words(one, other)
    turned = codec.compare_items(other, one)
    assert turned["expected"].tolist() == codec.compare_items(one, other)["found"].tolist()


@given(
    one=st.one_of(batches(valid=False), batches(max_size=20)),
    other=st.one_of(batches(valid=False), batches(max_size=20)),
)
def test_the_twins_are_equal(twins, one, other):
    said = [outcome(codec.compare_items, one, other) for codec in twins]
    assert said[0] == said[1]


def test_more_rows_than_anyone_expected(codec):
    expected = ordinary(4000, first=0x2000)
    found = expected.copy()
    for field in WIDE.fields:
        if field.name != "slot":
            found[field.name] += 1
    rows = codec.compare_items(expected, found)
    assert len(rows) == 9 * 4000
    assert rows["slot"].tolist() == [slot for slot in expected["slot"].tolist() for _ in range(9)]
    assert len(codec.compare_items(expected, found[:0])) == 4000
    assert len(codec.compare_items(expected[:0], found)) == 4000


def test_either_side_may_go_on_where_the_other_ends(codec):
    whole = ordinary(30)
    for kept in (whole[:10], whole[10:], whole[::3].copy(), whole[5:6]):
        gone = sorted(set(whole["slot"].tolist()) - set(kept["slot"].tolist()))
        missing = codec.compare_items(whole, kept)
        assert (missing["slot"].tolist(), set(missing["kind"])) == (gone, {MISSING})
        extra = codec.compare_items(kept, whole)
        assert (extra["slot"].tolist(), set(extra["kind"])) == (gone, {EXTRA})


def test_any_order_and_both_dtypes(codec):
    expected = packed(item(9), item(3), item(4))
    found = batch(item(4, item_guid=0), item(10, item_guid=0), item(9, item_guid=7))
    before = expected.tobytes(), found.tobytes()
    assert codec.compare_items(expected, found).tolist() == [
        (3, MISSING, 0, 2589, 0),
        (9, FIELD, PLACES["item_guid"], 0, 7),
        (10, EXTRA, 0, 0, 2589),
    ]
    assert (expected.tobytes(), found.tobytes()) == before


def test_a_slot_twice_cannot_be_compared(codec):
    twice = batch(item(9), item(3), item(9))
    for pair in ((twice, ordinary(2)), (ordinary(2), twice), (batch(item(5), item(5)), twice[:0])):
        with pytest.raises(BatchError, match="the slot occurs twice"):
            codec.compare_items(*pair)


@pytest.mark.parametrize("wrong", [None, [], np.zeros(3), ordinary(4)[::2]])
def test_what_is_no_batch(codec, wrong):
    for pair in ((wrong, ordinary(2)), (ordinary(2), wrong)):
        with pytest.raises(RecordError, match="a batch is"):
            codec.compare_items(*pair)


def test_the_rows_are_the_callers_own(codec):
    expected = ordinary(3)
    rows = codec.compare_items(expected, expected[:0])
    expected["entry"] = 0
    rows["found"] = 9
    assert rows["expected"].all()
