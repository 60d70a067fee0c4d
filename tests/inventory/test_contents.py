"""Records and their bytes stay in step, and drafts change nothing."""

import pytest
from aggregates import PACK, POTION, SWORD, Game
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import InventoryError
from mmoinv.inventory.contents import Contents, records_of
from mmoinv.inventory.draft import Draft, SlotChange
from mmoinv.inventory.templates import DISABLED
from mmoinv.records import WIDE, InventoryItemData, batch_of

records = st.builds(
    lambda fields: InventoryItemData(**fields),
    st.fixed_dictionaries({one.name: st.integers(0, one.limit) for one in WIDE.fields}),
)


@given(st.lists(st.tuples(st.booleans(), records, st.integers(0, 5))))
def test_bytes_and_records_say_the_same_whatever_is_done(steps):
    contents, plain = Contents(), {}
    for is_put, record, slot in steps:
        record = record._replace(slot=slot, item_flags=record.item_flags & ~DISABLED)
        if is_put:
            contents.put(record)
            plain[slot] = record
        else:
            assert contents.take(slot) == plain.pop(slot, None)
    expected = batch_of(*plain.values())
    assert contents.batch().tobytes() == expected.tobytes()
    assert list(contents) == records_of(expected)
    assert contents.is_equal(expected)
    counts = {}
    for record in plain.values():
        counts[record.entry] = counts.get(record.entry, 0) + record.stack_count
    assert {entry: count for entry, count in counts.items() if count} == {
        entry: count for entry, count in contents.counts().items() if count
    }


def test_a_snapshot_stays_as_it_is_and_cannot_be_written():
    inventory = Game().inventory()
    inventory.add_items(POTION)
    before = inventory.items
    kept = before.tobytes()
    inventory.add_items(SWORD)
    assert before.tobytes() == kept
    assert inventory.items is inventory.items
    with pytest.raises(ValueError, match="read-only"):
        before["slot"][0] = 5


@pytest.mark.parametrize("field", ["stack_count", "durability", "item_guid"])
def test_a_field_out_of_its_range_is_no_record(field):
    inventory = Game().inventory()
    inventory.add_items(POTION, 5)
    good = inventory.get(PACK)
    bad = good._replace(**{field: 2**64})
    change = (SlotChange(PACK + 1, None, good._replace(slot=PACK + 1)), SlotChange(PACK, good, bad))
    before = inventory.items.tobytes()
    with pytest.raises(InventoryError, match="nothing was changed"):
        inventory.apply(change, ())
    assert inventory.items.tobytes() == before
    assert len(inventory) == 1


def test_a_draft_changes_nothing_until_it_is_applied():
    inventory = Game().inventory()
    inventory.add_items(POTION, 5)
    draft = inventory.draft()
    draft.place(inventory.get(PACK), PACK + 4)
    draft.remove(PACK)
    assert draft.get(PACK) is None
    assert draft.get(PACK + 4).slot == PACK + 4
    assert draft.count_of(POTION) == 5
    assert inventory.get(PACK).slot == PACK
    changes = draft.changes()
    assert [change.slot for change in changes] == [PACK + 4, PACK]
    draft.take_back(changes)
    assert draft.changes() == ()


def test_a_dry_draft_takes_no_guid():
    inventory = Game().inventory()
    assert inventory.draft(is_dry=True).new_guid() == 0
    assert inventory.draft().new_guid() == 1
    assert Draft(Contents(), inventory.draft().setting).first_empty([3, 4]) == 3
