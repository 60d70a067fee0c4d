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
def test_slots_are_found_in_their_rows(twins, data, shape):
    height, columns = shape
    cells = data.draw(
        st.lists(st.integers(-1, 4), min_size=height * columns, max_size=height * columns)
    )
    table = np.array(cells, np.int32).reshape(shape)
    width = data.draw(st.integers(0, columns))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, height - 1), st.integers(0, 4))))
    rows = np.array([row for row, _ in pairs], np.int64)
    slots = np.array([slot for _, slot in pairs], np.uint16)
    expected = [
        next((place for place in range(width) if table[row, place] == slot), -1)
        for row, slot in pairs
    ]
    for codec in twins:
        assert codec.find_slots(table, rows, slots, width).tolist() == expected


def test_no_row_beyond_the_table_is_read(codec):
    table, slots = np.zeros((2, 3), np.int32), np.zeros(1, np.uint16)
    for row in (-1, 2, 2**62):
        with pytest.raises(RecordError, match=f"row {row} is none of the table's 2"):
            codec.find_slots(table, np.array([row]), slots, 3)
    with pytest.raises(RecordError, match=r"width 4 is not an integer in 0\.\.3"):
        codec.find_slots(table, np.array([0]), slots, 4)


def test_arrays_of_another_kind_are_refused(codec):
    table, rows, slots = np.zeros((2, 3), np.int32), np.zeros(1, np.int64), np.zeros(1, np.uint16)
    with pytest.raises(RecordError, match="two-dimensional array of int32"):
        codec.find_slots(table[:, ::2], rows, slots, 1)
    with pytest.raises(RecordError, match="two-dimensional array of int32"):
        codec.find_slots(table.astype(np.int64), rows, slots, 1)
    with pytest.raises(RecordError, match="rows must be"):
        codec.find_slots(table, rows.astype(np.uint64), slots, 1)
    with pytest.raises(RecordError, match="one-dimensional array of uint16"):
        codec.find_slots(table, rows, slots.astype(np.int64), 1)
    with pytest.raises(RecordError, match="slots has 2 elements where 1 are wanted"):
        codec.find_slots(table, rows, np.zeros(2, np.uint16), 1)
