"""What the old way never kept comes from the new side's records, and no guid is given twice."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import ConfigurationError, LinkError
from mmoinv.migration.names import Names, checked_fields, completed, is_level
from mmoinv.records import InventoryItemData, batch_of, empty_batch


def mint(first: int = 1000):
    numbers = itertools.count(first)
    return lambda count: [next(numbers) for _ in range(count)]


def item(slot: int, entry: int, guid: int = 0, **more: int) -> InventoryItemData:
    return InventoryItemData(entry, slot, item_guid=guid, **more)


def test_the_same_slot_and_entry_then_the_same_entry_then_a_new_name():
    items = batch_of(item(1, 5), item(2, 5), item(3, 6), item(4, 7), item(5, 5))
    known = batch_of(item(1, 5, 11), item(3, 5, 13), item(9, 5, 19), item(4, 8, 14))
    named = completed(items, known, (), mint())
    assert named["item_guid"].tolist() == [11, 13, 1000, 1001, 19]
    assert items["item_guid"].tolist() == [0] * 5


def test_other_fields_that_were_never_kept():
    items = batch_of(item(1, 5), item(2, 6, durability=3))
    known = batch_of(
        item(1, 5, 11, random_suffix_index=4, durability=9), item(2, 7, 12, random_suffix_index=5)
    )
    fields = checked_fields(("item_guid", "random_suffix_index", "durability"))
    found = completed(items, known, fields, mint())
    assert found["random_suffix_index"].tolist() == [4, 0]
    assert found["durability"].tolist() == [9, 3]


@pytest.mark.parametrize("field", ["slot", "entry", "stack_count", "colour"])
def test_fields_that_no_old_way_can_do_without(field):
    with pytest.raises(ConfigurationError, match=field):
        checked_fields((field,))


ITEMS = st.dictionaries(st.integers(0, 9), st.tuples(st.integers(1, 3), st.booleans()))


@given(ITEMS, ITEMS)
def test_names_are_never_given_twice(here, there):
    known = batch_of(*(item(slot, entry, 100 + slot) for slot, (entry, _) in there.items()))
    # Some items have a name already, perhaps one of a known record.
    items = batch_of(
        *(item(slot, entry, 100 + slot if has else 0) for slot, (entry, has) in here.items())
    )
    found = completed(items, known, ("item_guid",), mint())
    names = found["item_guid"].tolist()
    assert 0 not in names
    assert len(set(names)) == len(names)
    had = items["item_guid"] != 0
    assert (found["item_guid"][had] == items["item_guid"][had]).all()
    blank = found.copy()
    blank["item_guid"] = items["item_guid"]
    assert blank.tobytes() == items.tobytes()


def test_level():
    one, other = batch_of(item(1, 5, 11)), batch_of(item(1, 5))
    assert is_level(one, other, ("item_guid",))
    assert is_level(other, one, ("item_guid",))
    assert not is_level(one, other, ())
    assert not is_level(one, batch_of(item(1, 5, 12)), ("item_guid",))
    assert not is_level(one, empty_batch(), ("item_guid",))
    assert not is_level(one, batch_of(item(2, 5)), ("item_guid",))


def test_names_without_a_realm():
    def unreachable(count: int) -> list[int]:
        raise LinkError("connect first")

    names, others = Names(unreachable), Names(None)
    given = [*names(3).tolist(), *names(2).tolist(), *others(5).tolist()]
    assert len(set(given)) == 10
    # No realm counts its epochs that high.
    assert all(guid >> 63 for guid in given)
    assert Names(mint(5))(2).tolist() == [5, 6]
