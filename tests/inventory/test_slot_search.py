"""Where there is room: partial stacks first, then the backpack, then the bags in order."""

import pytest
from aggregates import (
    ARROW,
    BAG_1,
    BAG_2,
    BANK,
    CLOTH,
    INSIDE_1,
    INSIDE_2,
    PACK,
    POTION,
    POUCH,
    QUIVER,
    SWORD,
    UNKNOWN,
    Game,
)

from mmoinv.errors import InventoryError
from mmoinv.inventory.slot_search import (
    bag_slots,
    can_merge,
    count_free_slots,
    find_available_slots,
    find_empty_bank_slot,
    find_first_empty_slot,
    is_carried,
)
from mmoinv.records import InventoryItemData, batch_of


def stocked(*slots: tuple[int, int, int]):
    """An inventory of (slot, entry, count)."""
    game = Game()
    return game.loaded(
        7,
        batch_of(
            *(
                InventoryItemData(entry, slot, count, item_guid=1000 + place)
                for place, (slot, entry, count) in enumerate(slots)
            )
        ),
    )


PACK_FULL = tuple((PACK + place, SWORD, 1) for place in range(16))


def test_free_slots_are_sought_in_the_backpack_then_in_the_bags_in_order():
    assert find_first_empty_slot(stocked().draft()) == PACK
    draft = stocked(*PACK_FULL, (BAG_2, POUCH, 1), (BAG_1, POUCH, 1)).draft()
    assert find_first_empty_slot(draft) == INSIDE_1
    draft = stocked(*PACK_FULL, (BAG_2, POUCH, 1)).draft()
    assert find_first_empty_slot(draft) == INSIDE_2


def test_no_slot_is_none_and_no_number():
    assert find_first_empty_slot(stocked(*PACK_FULL).draft()) is None


def test_partial_stacks_come_before_empty_slots():
    inventory = stocked((PACK + 3, POTION, 4), (PACK + 1, POTION, 5), (PACK + 2, POTION, 2))
    room = find_available_slots(inventory.draft(), inventory.catalog[POTION], 11)
    assert room.partial_slots == (PACK + 2, PACK + 3)
    assert room.stack_room == 4
    assert room.empty_slots == (PACK, PACK + 4)
    assert room.can_accommodate(11)


def test_no_more_slots_are_named_than_it_takes():
    inventory = stocked((PACK, POTION, 4), (PACK + 1, POTION, 4))
    room = find_available_slots(inventory.draft(), inventory.catalog[POTION], 1)
    assert (room.partial_slots, room.empty_slots) == ((PACK,), ())


def test_a_full_inventory_has_no_room():
    inventory = stocked(*PACK_FULL)
    room = find_available_slots(inventory.draft(), inventory.catalog[POTION], 1)
    assert not room.has_space
    assert not room.can_accommodate(1)


def test_an_amount_of_nothing_raises():
    inventory = stocked()
    with pytest.raises(InventoryError):
        find_available_slots(inventory.draft(), inventory.catalog[POTION], 0)


def test_quivers_take_ammunition_only():
    inventory = stocked(*PACK_FULL, (BAG_1, QUIVER, 1))
    draft = inventory.draft()
    assert find_first_empty_slot(draft, inventory.catalog[SWORD]) is None
    assert find_first_empty_slot(draft, inventory.catalog[ARROW]) == INSIDE_1
    assert count_free_slots(draft) == 0
    assert count_free_slots(draft, inventory.catalog[ARROW]) == 2


def test_equipment_and_bank_do_not_move_the_free_slot_count():
    inventory = stocked()
    assert inventory.free_slots == 16
    inventory.add_items(SWORD)
    assert inventory.free_slots == 15
    assert inventory.equip(PACK)
    assert inventory.free_slots == 16
    inventory.add_items(SWORD)
    assert inventory.move(PACK, BANK)
    assert inventory.free_slots == 16


def test_an_equipped_bag_brings_its_slots():
    inventory = stocked((PACK, POUCH, 1))
    assert inventory.free_slots == 15
    assert inventory.equip(PACK)
    assert inventory.free_slots == 16 + 2
    assert bag_slots(inventory.draft(), BAG_1) == range(INSIDE_1, INSIDE_1 + 2)


def test_a_bag_that_no_template_knows_has_no_slots():
    inventory = stocked((BAG_1, UNKNOWN, 1), (INSIDE_1, SWORD, 1))
    assert bag_slots(inventory.draft(), BAG_1) == range(INSIDE_1, INSIDE_1)
    assert not is_carried(inventory.draft(), INSIDE_1)


def test_the_bank_is_sought_by_itself():
    assert find_empty_bank_slot(stocked((BANK, CLOTH, 1)).draft()) == BANK + 1


@pytest.mark.parametrize(
    "field",
    ["entry", "creator", "durability", "random_property_index", "random_suffix_index"],
)
def test_stacks_that_would_lose_something_do_not_merge(field):
    one = InventoryItemData(POTION, PACK, 2, item_guid=1)
    other = InventoryItemData(POTION, PACK + 1, 2, item_guid=2)
    assert can_merge(one, other)
    assert not can_merge(one, other._replace(**{field: 7}))
    assert not can_merge(one, other._replace(item_flags=1))
    assert can_merge(one._replace(item_flags=1), other._replace(item_flags=1))
