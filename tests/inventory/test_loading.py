"""What is loaded is kept, whatever is strange about it; and what is strange is reported."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from aggregates import (
    ARROW,
    BAG_1,
    BUYBACK,
    INSIDE_1,
    MAIN_HAND,
    OWN,
    PACK,
    POTION,
    POUCH,
    SWORD,
    UNKNOWN,
    Game,
    HeldBackRepository,
    held,
    item,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mmoinv.inventory import Inventory, Oddity
from mmoinv.records import INVENTORY_ITEM, ITEM_DATA, InventoryItemData, batch_of

LOCKED = 0x4000_0000


def record(entry: int, slot: int, guid: int, count: int = 1, flags: int = 0) -> InventoryItemData:
    return InventoryItemData(entry, slot, count, contained=7, item_flags=flags, item_guid=guid)


def loaded(*records: InventoryItemData) -> Inventory:
    """From records in that order, a slot twice included."""
    return Game().loaded(7, np.array(list(records), INVENTORY_ITEM))


def oddities(inventory: Inventory) -> list[tuple[Oddity, int]]:
    return [(finding.oddity, finding.item.slot) for finding in inventory.findings]


USUAL = record(SWORD, PACK, 50)
BAG_WITH_2 = record(POUCH, BAG_1, 51)


def test_nothing_is_strange_about_a_usual_inventory():
    records = (record(POTION, INSIDE_1 + 1, 52, 5), BAG_WITH_2, USUAL, record(SWORD, MAIN_HAND, 53))
    inventory = loaded(*records)
    assert inventory.findings == ()
    assert len(inventory.set_aside) == 0
    assert not inventory.is_dirty
    assert inventory.items.tobytes() == batch_of(*records).tobytes()


@pytest.mark.parametrize(
    ("oddity", "strange"),
    [
        (Oddity.UNKNOWN_TEMPLATE, record(UNKNOWN, PACK + 1, 60)),
        (Oddity.STACK_TOO_LARGE, record(POTION, PACK + 1, 60, 6)),
        (Oddity.GUID_TWICE, record(POTION, PACK + 1, 50)),
        (Oddity.BAG_MISSING, record(POTION, 20 << 8, 60)),
        (Oddity.OUTSIDE_OF_BAG, record(POTION, INSIDE_1 + 2, 60)),
        (Oddity.UNKNOWN_PLACE, record(POTION, OWN + 200, 60)),
        (Oddity.UNKNOWN_PLACE, record(POTION, (19 << 8) + 36, 60)),
        (Oddity.UNKNOWN_PLACE, record(POTION, 5, 60)),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_strange_stays_where_it_is_and_is_reported(oddity, strange, is_first):
    others = [BAG_WITH_2, USUAL]
    inventory = loaded(*([strange, *others] if is_first else [*others, strange]))
    assert oddities(inventory)[0][0] is oddity
    assert len(inventory.findings) == 1
    assert inventory.get(strange.slot) == strange
    assert not inventory.is_dirty


@pytest.mark.parametrize(
    "bad",
    [
        record(0, PACK + 1, 60),
        record(SWORD, PACK + 1, 60, 0),
        record(SWORD, BUYBACK, 60),
        record(SWORD, 85, 60),
    ],
)
def test_what_is_no_item_is_set_aside(bad):
    inventory = loaded(bad, USUAL)
    assert oddities(inventory) == [(Oddity.NO_ITEM, bad.slot)]
    assert inventory.set_aside.tolist() == [tuple(bad)]
    assert list(inventory) == [USUAL]
    assert not inventory.is_dirty


def test_a_second_item_in_a_slot_goes_to_an_empty_one():
    inventory = loaded(USUAL, record(POTION, PACK, 60, 2))
    assert oddities(inventory) == [(Oddity.SLOT_TWICE, PACK)]
    assert held(inventory) == {PACK: (SWORD, 1), PACK + 1: (POTION, 2)}
    assert item(inventory, PACK + 1).item_guid == 60
    assert inventory.is_dirty


@pytest.mark.parametrize("slot", [PACK, PACK + 3])
def test_the_same_item_twice_is_not_made_two(slot):
    inventory = loaded(record(SWORD, PACK, 60), record(POTION, PACK, 61), record(POTION, slot, 61))
    assert inventory.count(POTION) == 1
    assert inventory.set_aside["item_guid"].tolist() == [61]
    assert Oddity.GUID_TWICE in {oddity for oddity, _ in oddities(inventory)}


def test_without_an_empty_slot_it_is_set_aside():
    full = [record(SWORD, PACK + place, 60 + place) for place in range(16)]
    inventory = loaded(*full, record(POTION, PACK, 90))
    assert oddities(inventory) == [(Oddity.SLOT_TWICE, PACK), (Oddity.NO_ROOM, PACK)]
    assert inventory.set_aside["item_guid"].tolist() == [90]
    assert len(inventory) == 16


def test_an_item_without_a_guid_gets_one():
    repository = HeldBackRepository()
    inventory = loaded(record(SWORD, PACK, 0), record(POTION, PACK, 0), record(ARROW, PACK + 2, 0))
    assert all(item.item_guid for item in inventory)
    assert len({item.item_guid for item in inventory}) == 3
    assert [oddity for oddity, _ in oddities(inventory)].count(Oddity.UNNAMED) == 2
    assert inventory.is_dirty
    inventory.save(repository)
    repository.answer()
    assert repository.load_items(7).tobytes() == inventory.items.tobytes()


@pytest.mark.parametrize(
    "locked",
    [
        record(SWORD, PACK + 1, 60, flags=LOCKED | 1),
        record(SWORD, PACK + 1, 0, flags=LOCKED | 1),
        record(SWORD, PACK, 60, flags=LOCKED | 1),
    ],
)
def test_whatever_was_locked_is_loaded_unlocked(locked):
    inventory = loaded(USUAL, locked)
    assert item(inventory, PACK + 1).item_flags == 1
    assert inventory.items["item_flags"].tolist() == [0, 1]
    assert inventory.move(PACK + 1, PACK + 2)


def test_a_record_of_the_wire_is_widened():
    batch = np.zeros(2, ITEM_DATA)
    batch["entry"], batch["stack_count"], batch["slot"] = POTION, (3, 5), (PACK + 4, PACK)
    inventory = Game().loaded(7, batch)
    assert held(inventory) == {PACK: (POTION, 5), PACK + 4: (POTION, 3)}
    assert [oddity for oddity, _ in oddities(inventory)] == [Oddity.UNNAMED] * 2


def test_a_finding_says_where_and_what():
    (finding,) = loaded(record(UNKNOWN, PACK, 255, 3)).findings
    assert str(finding) == (
        f"backpack 1 (slot {PACK}): 3 of entry {UNKNOWN}, guid 0xff: no template knows that entry"
    )


ANY_RECORD = st.builds(
    InventoryItemData,
    entry=st.integers(0, 17),
    slot=st.sampled_from([*range(PACK, PACK + 4), BAG_1, INSIDE_1, INSIDE_1 + 2, MAIN_HAND])
    | st.integers(0, 65535),
    stack_count=st.integers(0, 6) | st.integers(0, 65535),
    creator=st.just(0),
    contained=st.integers(0, 2**64 - 1),
    durability=st.just(0),
    random_property_index=st.just(0),
    random_suffix_index=st.just(0),
    item_flags=st.sampled_from([0, 1, LOCKED, 2**32 - 1]),
    item_guid=st.integers(0, 9) | st.integers(2**63, 2**64 - 1),
)


def kinds(records: Iterable[InventoryItemData]) -> Counter[tuple[int, int, int]]:
    """How many there are of each, wherever they are."""
    return Counter(
        (record.entry, record.stack_count, record.item_flags & ~LOCKED) for record in records
    )


@settings(max_examples=300)
@given(records=st.lists(ANY_RECORD, max_size=30))
def test_every_record_is_kept_whatever_it_is(records):
    inventory = loaded(*records)
    aside = map(InventoryItemData._make, inventory.set_aside.tolist())
    assert kinds((*inventory, *aside)) == kinds(records)
    assert all(one.item_guid and not one.item_flags & LOCKED for one in inventory)
    assert len(inventory.findings) >= len(inventory.set_aside)
    # And all of it can be handled: moved, or refused with a reason.
    before = sum(one.stack_count for one in inventory)
    for slot in inventory.items["slot"].tolist():
        inventory.move(slot, PACK + 9)
    inventory.sort()
    assert sum(one.stack_count for one in inventory) == before
