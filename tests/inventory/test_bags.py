"""Bags: what is inside goes with its bag, and no bag goes into itself."""

import pytest
from aggregates import (
    ARROW,
    BAG,
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
    Game,
    held,
    item,
)

from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventoryType,
    ItemCatalog,
    ItemTemplate,
    PlayerState,
)
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.records import InventoryItemData, batch_of

BANK_BAG = BANK + 28


@pytest.fixture
def inventory():
    return Game().inventory()


def wear(inventory, *bags):
    """Equip bags, one after the other, in an empty inventory."""
    for bag in bags:
        assert inventory.add_items(bag)
        assert inventory.equip(PACK)
    return inventory


def put(inventory, entry, slot, amount=1):
    """A new item in a slot."""
    assert inventory.add_items(entry, amount)
    assert inventory.move(PACK, slot)
    return item(inventory, slot).item_guid


def is_contained_rightly(inventory):
    for one in inventory:
        holder = inventory.get(0xFF00 + (one.slot >> 8)) if one.slot < 0xFF00 else None
        assert one.contained == (holder.item_guid if holder else inventory.character_guid)


def test_bags_are_equipped_in_order_and_no_more_than_four(inventory):
    wear(inventory, POUCH, BAG, POUCH, BAG)
    assert [one.slot for one in inventory] == list(range(BAG_1, BAG_1 + 4))
    inventory.add_items(POUCH)
    assert inventory.equip(PACK).error is Failure.NO_EQUIPMENT_SLOT_AVAILABLE


def test_only_an_empty_bag_is_unequipped(inventory):
    wear(inventory, POUCH)
    put(inventory, SWORD, INSIDE_1)
    assert inventory.unequip(BAG_1).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    assert inventory.move(BAG_1, PACK).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    assert inventory.move(BAG_1, BANK).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    assert inventory.move(BAG_1, BANK_BAG).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    inventory.move(INSIDE_1, PACK + 3)
    assert inventory.unequip(BAG_1)
    assert held(inventory) == {PACK: (POUCH, 1), PACK + 3: (SWORD, 1)}
    assert inventory.free_slots == 14


def test_a_bag_never_goes_into_itself(inventory):
    wear(inventory, POUCH)
    assert inventory.move(BAG_1, INSIDE_1).error is Failure.ITEM_DOESNT_GO_INTO_BAG
    assert inventory.unequip(BAG_1, INSIDE_1 + 1).error is Failure.ITEM_DOESNT_GO_INTO_BAG
    while inventory.add_items(SWORD):
        pass
    inventory.remove(INSIDE_1)
    inventory.remove(INSIDE_1 + 1)
    assert inventory.unequip(BAG_1).error is Failure.INVENTORY_FULL
    assert item(inventory, BAG_1).entry == POUCH


def test_a_bag_out_of_itself_does_not_take_its_place(inventory):
    wear(inventory, BAG)
    put(inventory, POUCH, INSIDE_1)
    assert inventory.swap(INSIDE_1, BAG_1).error is Failure.ITEMS_CANT_BE_SWAPPED
    assert inventory.swap(BAG_1, INSIDE_1).error is Failure.ITEMS_CANT_BE_SWAPPED


def test_an_empty_bag_goes_into_another_bag(inventory):
    wear(inventory, POUCH, BAG)
    assert inventory.unequip(BAG_2, INSIDE_1)
    assert held(inventory) == {BAG_1: (POUCH, 1), INSIDE_1: (BAG, 1)}
    is_contained_rightly(inventory)


def test_equipped_bags_swap_with_what_is_inside(inventory):
    wear(inventory, POUCH, BAG)
    sword, cloth = put(inventory, SWORD, INSIDE_1 + 1), put(inventory, CLOTH, INSIDE_2 + 2)
    pouch = item(inventory, BAG_1).item_guid
    assert inventory.swap(BAG_1, BAG_2)
    assert item(inventory, BAG_2).item_guid == pouch
    assert item(inventory, INSIDE_2 + 1).item_guid == sword
    assert item(inventory, INSIDE_1 + 2).item_guid == cloth
    assert len(inventory) == 4
    is_contained_rightly(inventory)


def test_an_equipped_bag_moves_to_an_empty_place_with_what_is_inside(inventory):
    wear(inventory, BAG)
    sword = put(inventory, SWORD, INSIDE_1 + 2)
    assert inventory.swap(BAG_1, BAG_2)
    assert held(inventory) == {BAG_2: (BAG, 1), INSIDE_2 + 2: (SWORD, 1)}
    assert item(inventory, INSIDE_2 + 2).item_guid == sword
    is_contained_rightly(inventory)


def test_a_smaller_bag_takes_over_what_fits(inventory):
    wear(inventory, BAG)
    sword, cloth = put(inventory, SWORD, INSIDE_1 + 2), put(inventory, CLOTH, INSIDE_1 + 1)
    inventory.add_items(POUCH)
    assert inventory.swap(PACK, BAG_1)
    assert held(inventory) == {
        PACK: (BAG, 1),
        BAG_1: (POUCH, 1),
        INSIDE_1: (SWORD, 1),
        INSIDE_1 + 1: (CLOTH, 1),
    }
    assert item(inventory, INSIDE_1).item_guid == sword
    assert item(inventory, INSIDE_1 + 1).item_guid == cloth
    is_contained_rightly(inventory)


def test_a_bag_that_is_too_small_does_not_take_over(inventory):
    wear(inventory, BAG)
    for place in range(3):
        put(inventory, SWORD, INSIDE_1 + place)
    inventory.add_items(POUCH)
    before = inventory.items.tobytes()
    for one, other in ((PACK, BAG_1), (BAG_1, PACK)):
        assert inventory.swap(one, other).error is Failure.NON_EMPTY_BAG_OVER_OTHER_BAG
    assert inventory.equip(PACK, BAG_1).error is Failure.NON_EMPTY_BAG_OVER_OTHER_BAG
    assert inventory.items.tobytes() == before


def test_only_a_bag_takes_the_place_of_a_bag(inventory):
    wear(inventory, BAG)
    inventory.add_items(SWORD)
    assert inventory.swap(PACK, BAG_1).error is Failure.NOT_A_BAG
    assert inventory.swap(BAG_1, PACK).error is Failure.NOT_A_BAG


def test_a_quiver_takes_ammunition_only(inventory):
    wear(inventory, QUIVER)
    inventory.add_items(SWORD)
    inventory.add_items(ARROW, 2)
    assert inventory.move(PACK, INSIDE_1).error is Failure.ONLY_AMMO_CAN_GO_HERE
    assert inventory.move(PACK + 1, INSIDE_1)
    assert inventory.swap(PACK, INSIDE_1).error is Failure.ONLY_AMMO_CAN_GO_HERE
    assert inventory.swap(INSIDE_1, PACK).error is Failure.ONLY_AMMO_CAN_GO_HERE
    assert inventory.split(INSIDE_1, PACK + 5, 1)


def test_a_quiver_takes_over_a_bag_of_ammunition_only(inventory):
    wear(inventory, POUCH)
    put(inventory, ARROW, INSIDE_1, 4)
    sword = put(inventory, SWORD, INSIDE_1 + 1)
    inventory.add_items(QUIVER)
    assert inventory.swap(PACK, BAG_1).error is Failure.ONLY_AMMO_CAN_GO_HERE
    inventory.move(INSIDE_1 + 1, PACK + 8)
    assert inventory.swap(PACK, BAG_1)
    assert item(inventory, INSIDE_1).entry == ARROW
    assert item(inventory, PACK + 8).item_guid == sword
    is_contained_rightly(inventory)


def test_only_one_quiver_is_worn(inventory):
    wear(inventory, QUIVER)
    inventory.add_items(QUIVER)
    assert inventory.equip(PACK).error is Failure.CAN_EQUIP_ONLY_ONE_QUIVER
    assert inventory.swap(PACK, BAG_1)


def test_bags_of_the_bank_have_their_own_places(inventory):
    inventory.add_items(POUCH)
    assert inventory.move(PACK, BANK_BAG)
    inventory.add_items(SWORD)
    assert inventory.move(PACK, BANK_BAG).error is Failure.NOT_A_BAG
    assert inventory.swap(BANK_BAG, BANK)


def test_bags_do_not_change_in_combat():
    owner = PlayerState(level=10)
    inventory = wear(Game().inventory(owner=owner), POUCH)
    inventory.add_items(BAG)
    owner.is_in_combat = True
    assert inventory.equip(PACK).error is Failure.NOT_IN_COMBAT
    assert inventory.unequip(BAG_1).error is Failure.NOT_IN_COMBAT
    inventory.add_items(POTION)
    assert inventory.move(PACK + 1, INSIDE_1)


def test_a_new_bag_is_not_equipped_over_what_a_missing_bag_left_behind():
    inventory = Game().loaded(
        7,
        batch_of(
            InventoryItemData(SWORD, INSIDE_1, item_guid=1001),
            InventoryItemData(POUCH, PACK, item_guid=1002),
        ),
    )
    assert inventory.equip(PACK)
    assert set(held(inventory)) == {INSIDE_1, BAG_2}


def test_a_locked_item_keeps_its_slot_and_so_its_bag(inventory):
    wear(inventory, POUCH, BAG)
    put(inventory, SWORD, INSIDE_1)
    inventory.lock(INSIDE_1)
    inventory.add_items(BAG)
    for one, other in ((BAG_1, BAG_2), (BAG_2, BAG_1), (PACK, BAG_1), (BAG_1, PACK)):
        assert inventory.swap(one, other).error is Failure.ITEM_LOCKED


def test_three_quivers_that_were_stored_can_be_taken_off():
    worn = [InventoryItemData(QUIVER, BAG_1 + n, item_guid=1000 + n) for n in range(3)]
    inventory = Game().loaded(7, batch_of(*worn))
    for one in worn:
        assert inventory.unequip(one.slot)
    assert len(inventory) == 3


def test_a_bag_that_is_used_up_must_be_empty():
    pouch = ItemTemplate(1, "pouch", InventoryType.BAG, container_slots=2, consumable=True)
    inventory = Inventory(
        7, ItemCatalog([pouch, ItemTemplate(2, "nut")]), PlayerState(), GuidCounter()
    )
    inventory.add_items(1)
    inventory.equip(PACK)
    inventory.add_items(2)
    inventory.move(PACK, INSIDE_1)
    assert inventory.use(BAG_1).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    inventory.move(INSIDE_1, PACK)
    assert inventory.use(BAG_1)
