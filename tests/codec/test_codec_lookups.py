"""Looking up: keys among keys, and slots in the rows of a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import RecordError
from mmoinv.records import INVENTORY_ITEM

few_keys = st.lists(st.integers(0, 9) | st.integers(2**64 - 3, 2**64 - 1), max_size=40)


@given(keys=few_keys, wanted=few_keys)
def test_keys_are_found_where_they_are_first(twins, keys, wanted):
    expected = [keys.index(key) if key in keys else -1 for key in wanted]
    for codec in twins:
        columns = [np.array(numbers, np.uint64) for numbers in (keys, wanted)]
        for kind in (np.uint64, np.int64):
            found = codec.find_keys(columns[0].view(kind), columns[1])
            assert found.dtype == np.int64
            assert found.tolist() == expected


def test_a_field_of_records_need_not_be_copied(codec):
    items = np.zeros(5, INVENTORY_ITEM)
    items["item_guid"] = [7, 5, 7, 2**63, 1]
    wanted = np.array([2**63, 7, 3], np.uint64)
    assert codec.find_keys(items["item_guid"], wanted).tolist() == [3, 0, -1]
    assert codec.find_keys(wanted, items["item_guid"][::-1]).tolist() == [-1, 0, 1, -1, 1]


def test_many_keys_that_differ_in_few_bits(codec):
    keys = np.arange(20_000, dtype=np.uint64) << np.uint64(44)
    order = np.random.default_rng(3).permutation(len(keys))
    assert np.array_equal(codec.find_keys(keys, keys[order]), order)
    assert (codec.find_keys(keys, keys + np.uint64(1)) == -1).all()


@pytest.mark.parametrize(
    "keys",
    [
        [1, 2],
        np.zeros(3, np.uint32),
        np.zeros(3),
        np.zeros((2, 2), np.uint64),
        np.zeros(3, ">u8"),
        np.zeros((), np.uint64),
    ],
    ids=str,
)
def test_what_is_no_column_is_refused(codec, keys):
    column = np.zeros(2, np.uint64)
    for arguments in ((keys, column), (column, keys)):
        with pytest.raises(RecordError, match="one-dimensional array of uint64 or int64"):
            codec.find_keys(*arguments)


@given(data=st.data(), shape=st.tuples(st.integers(1, 4), st.integers(0, 6)))
def test_records_are_found_in_the_slots_of_their_rows(twins, data, shape):
    height, columns = shape
    cells = st.lists(st.integers(-1, 4), min_size=height * columns, max_size=height * columns)
    slots = np.array(data.draw(cells), np.int32).reshape(shape)
    words = np.arange(height * columns * 6, dtype=np.uint64).reshape(*shape, 6)
    width = data.draw(st.integers(0, columns))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, 4))))
    rows = np.array([row for row, _ in pairs], np.int64)
    wanted = np.array([slot for _, slot in pairs], np.uint16)
    expected = [
        next((place for place in range(width) if slots[row, place] == slot), -1)
        for row, slot in pairs
    ]
    there = [(row, place) for (row, _), place in zip(pairs, expected, strict=True) if place >= 0]
    for codec in twins:
        places, records = codec.find_records(slots, words, rows, wanted, width)
        assert places.tolist() == expected
        assert records.dtype == INVENTORY_ITEM
        assert records.tobytes() == b"".join(words[place].tobytes() for place in there)


def table(height=2, columns=3):
    return np.zeros((height, columns), np.int32), np.zeros((height, columns, 6), np.uint64)


def test_many_rows_and_slots_of_records(codec):
    slots, words = table(500, 40)
    slots[:] = np.arange(40)
    words[:, :, 0] = np.arange(500 * 40).reshape(500, 40)
    items = np.zeros(3000, INVENTORY_ITEM)
    random = np.random.default_rng(4)
    items["slot"], rows = random.integers(0, 50, 3000), random.integers(0, 500, 3000)
    places, records = codec.find_records(slots, words, rows, items["slot"], 40)
    there = items["slot"] < 40
    expected = items["slot"].astype(np.int64)
    assert np.array_equal(places, np.where(there, expected, -1))
    found = (rows * 40 + expected)[there]
    assert np.array_equal(records.view(np.uint64).reshape(-1, 6)[:, 0], found)


def test_no_row_beyond_the_table_is_read(codec):
    wanted = np.zeros(1, np.uint16)
    for row in (-1, 2, 2**62):
        with pytest.raises(RecordError, match=f"row {row} is none of the table's 2"):
            codec.find_records(*table(), np.array([row]), wanted, 3)
    with pytest.raises(RecordError, match=r"width 4 is not an integer in 0\.\.3"):
        codec.find_records(*table(), np.array([0]), wanted, 4)


def test_arrays_of_another_kind_are_refused(codec):
    slots, words = table()
    rows, wanted = np.zeros(1, np.int64), np.zeros(1, np.uint16)
    for unfit in (slots[:, ::2], slots.astype(np.int64), slots[0], slots.tolist()):
        with pytest.raises(RecordError, match="slots must be a C-contiguous two-dimensional"):
            codec.find_records(unfit, words, rows, wanted, 1)
    for unfit in (words[:, :, :5].copy(), words[:, :2].copy(), words[:1], words.view(np.int64)):
        with pytest.raises(RecordError, match="words must be a C-contiguous array of uint64"):
            codec.find_records(slots, unfit, rows, wanted, 1)
    with pytest.raises(RecordError, match="rows must be"):
        codec.find_records(slots, words, rows.astype(np.uint64), wanted, 1)
    with pytest.raises(RecordError, match="wanted must be a one-dimensional array of uint16"):
        codec.find_records(slots, words, rows, wanted.astype(np.int64), 1)
    with pytest.raises(RecordError, match="wanted has 2 elements where 1 are wanted"):
        codec.find_records(slots, words, rows, np.zeros(2, np.uint16), 1)
