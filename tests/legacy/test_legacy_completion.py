"""What old tables don't say of an item, taken from what is known; no name is given twice."""

from hypothesis import given
from hypothesis import strategies as st

from mmoinv.legacy.completion import completed, contained, only
from mmoinv.legacy.interface import ALL_FIELDS, WIDEST, Capacity, misfits
from mmoinv.records import Batch, InventoryItemData, batch_of

OWN = 255 << 8
KYORIL = {"entry", "stack_count", "creator", "durability", "item_flags"}


def item(slot: int, guid: int = 0, entry: int = 1, **fields: int) -> InventoryItemData:
    return InventoryItemData(entry, slot, item_guid=guid, **fields)


def named(items: Batch) -> dict[int, int]:
    return dict(zip(items["slot"].tolist(), items["item_guid"].tolist(), strict=True))


def test_the_same_slot_comes_first_then_the_same_entry_elsewhere():
    known = batch_of(item(1, 11), item(2, 12), item(3, 13, entry=5))
    old = batch_of(item(2), item(4), item(5), item(3, entry=6))
    assert named(completed(old, known, KYORIL)) == {2: 12, 3: 0, 4: 11, 5: 0}


def test_what_is_not_kept_comes_with_the_name():
    known = batch_of(item(1, 11, random_suffix_index=7, durability=3))
    (found,) = completed(batch_of(item(2, stack_count=9)), known, KYORIL).tolist()
    assert InventoryItemData._make(found) == item(
        2, 11, stack_count=9, random_suffix_index=7, durability=0
    )


def test_names_that_are_kept_tell_whose_the_rest_is():
    known = batch_of(item(1, 11, random_suffix_index=7), item(2, 12, random_suffix_index=8))
    old = batch_of(item(2, 11), item(3, 12), item(4, 99))
    found = completed(old, known, ALL_FIELDS - {"random_suffix_index"})
    assert found["random_suffix_index"].tolist() == [7, 8, 0]
    assert named(found) == named(old)


records = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 3)), unique_by=lambda pair: pair[0], max_size=6
)


@given(records, records)
def test_every_name_is_given_once_and_to_its_own_entry(old: list, known: list):
    there = batch_of(*(item(slot, 100 + slot, entry) for slot, entry in known))
    entry_of = {100 + slot: entry for slot, entry in known}
    found = completed(batch_of(*(item(slot, 0, entry) for slot, entry in old)), there, KYORIL)
    names = [guid for guid in found["item_guid"].tolist() if guid]
    assert len(names) == len(set(names))
    for record in found.tolist():
        assert record[-1] == 0 or entry_of[record[-1]] == record[0]
    # None that could have been given was kept back.
    for entry in (1, 2, 3):
        wanted = sum(one == entry for _, one in old)
        spare = sum(one == entry for _, one in known)
        given_away = sum(entry_of[guid] == entry for guid in names)
        assert given_away == min(wanted, spare)


def test_what_contains_an_item():
    bag, inside, elsewhere = OWN | 19, 19 << 8 | 3, 20 << 8 | 3
    items = batch_of(item(bag, 5), item(inside, 6), item(elsewhere, 7), item(19 << 8 | 40, 8))
    found = contained(items, 42)
    assert dict(zip(found["slot"].tolist(), found["contained"].tolist(), strict=True)) == {
        bag: 42,
        inside: 5,
        elsewhere: 42,
        19 << 8 | 40: 42,
    }
    assert not items["contained"].any()


def test_only_what_is_kept():
    full = InventoryItemData(*(9,) * 10)
    assert only(full.as_batch(), {"entry"}).tolist() == [(9, 9, 0, 0, 0, 0, 0, 0, 0, 0)]


def test_what_fits_everywhere_is_no_misfit():
    largest = InventoryItemData(*(WIDEST[name] for name in InventoryItemData._fields))
    assert misfits(largest.as_batch(), Capacity()) == []
    nothing_kept = misfits(largest.as_batch(), Capacity({"entry": 1}))
    # Names and containers are made anew.
    assert {one.field for one in nothing_kept} == ALL_FIELDS - {"slot", "item_guid", "contained"}
