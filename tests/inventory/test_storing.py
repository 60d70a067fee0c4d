"""Items come and go: added, removed, sold, bought back, sorted, and asked about beforehand."""

import pytest
from aggregates import (
    ARROW,
    BAG_1,
    BANK,
    BUYBACK,
    CLOTH,
    INSIDE_1,
    MAIN_HAND,
    PACK,
    POTION,
    POUCH,
    QUIVER,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
    held,
    item,
)

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory import ItemFlags, ItemTemplate
from mmoinv.records import InventoryItemData, batch_of


@pytest.fixture
def inventory():
    return Game().inventory()


def fill(inventory, entry=SWORD):
    while inventory.add_items(entry):
        pass
    return inventory


# Adding


def test_a_full_inventory_is_inventory_full_and_nothing_lands_in_slot_0(inventory):
    before = fill(inventory).items.tobytes()
    result = inventory.add_items(POTION)
    assert result.error is Failure.INVENTORY_FULL
    assert inventory.items.tobytes() == before
    assert 0 not in inventory
    assert inventory.count(POTION) == 0


def test_what_does_not_fit_as_a_whole_is_not_added_in_part(inventory):
    fill(inventory)
    inventory.remove(PACK + 5)
    inventory.add_items(POTION, 2)
    before = inventory.items.tobytes()
    assert inventory.add_items(POTION, 4).error is Failure.INVENTORY_FULL
    assert inventory.items.tobytes() == before
    assert inventory.add_items(POTION, 3)


def test_partial_stacks_are_filled_first_then_free_slots(inventory):
    inventory.add_items(POTION, 3)
    inventory.add_items(SWORD)
    assert inventory.add_items(POTION, 9)
    assert held(inventory) == {
        PACK: (POTION, 5),
        PACK + 1: (SWORD, 1),
        PACK + 2: (POTION, 5),
        PACK + 3: (POTION, 2),
    }
    assert inventory.count(POTION) == 12


def test_every_new_stack_has_a_guid_of_its_own_and_its_container(inventory):
    inventory.add_items(POUCH)
    inventory.equip(PACK)
    fill(inventory)
    inventory.remove(INSIDE_1)
    inventory.remove(INSIDE_1 + 1)
    inventory.add_items(POTION, 7)
    guids = inventory.items["item_guid"].tolist()
    assert len(set(guids)) == len(guids)
    assert item(inventory, INSIDE_1).contained == item(inventory, BAG_1).item_guid
    assert item(inventory, PACK).contained == 7


def test_nobody_owns_more_than_the_max_count_the_bank_included(inventory):
    inventory.add_items(TROPHY)
    assert inventory.move(PACK, BANK)
    assert inventory.add_items(TROPHY, 2).error is Failure.CANT_CARRY_MORE_OF_THIS
    assert inventory.add_items(TROPHY)
    assert inventory.add_items(TROPHY).error is Failure.CANT_CARRY_MORE_OF_THIS


@pytest.mark.parametrize("amount", [0, -1, 2**32])
def test_amounts_out_of_range_raise_and_change_nothing(inventory, amount):
    inventory.add_items(POTION, 3)
    before = inventory.items.tobytes()
    for act in (
        lambda: inventory.add_items(POTION, amount),
        lambda: inventory.remove(PACK, amount),
        lambda: inventory.remove_entry(POTION, amount),
        lambda: inventory.sell(PACK, amount),
        lambda: inventory.split(PACK, PACK + 1, amount),
        lambda: inventory.can_store([(POTION, amount)]),
    ):
        with pytest.raises(InventoryError, match=str(amount)):
            act()
    assert inventory.items.tobytes() == before


@pytest.mark.parametrize("creator", [-1, 2**64, 2**70])
def test_a_creator_out_of_range_raises_and_changes_nothing(inventory, creator):
    inventory.add_items(TROPHY, 2)
    # Also where there is another reason to refuse it.
    for entry in (POTION, TROPHY):
        with pytest.raises(InventoryError, match=f"creator {creator} .* nothing was changed"):
            inventory.add_items(entry, creator=creator)
    assert held(inventory) == {PACK: (TROPHY, 1), PACK + 1: (TROPHY, 1)}
    assert inventory.add_items(POTION, creator=2**64 - 1)


def test_an_entry_that_no_template_knows_cannot_be_added(inventory):
    with pytest.raises(InventoryError, match=str(UNKNOWN)):
        inventory.add_items(UNKNOWN)


def test_a_huge_amount_is_refused_at_once(inventory):
    assert inventory.add_items(POTION, 2**32 - 1).error is Failure.INVENTORY_FULL
    assert len(inventory) == 0


def test_new_items_are_as_their_template_says(inventory):
    template = ItemTemplate(99, "relic", max_durability=70, flags=ItemFlags.CONJURED)
    assert inventory.add_items(template, creator=123)
    new = item(inventory, PACK)
    assert (new.durability, new.item_flags, new.creator) == (70, ItemFlags.CONJURED, 123)


# Removing


def test_removing_more_than_there_is_is_refused(inventory):
    inventory.add_items(POTION, 3)
    assert inventory.remove(PACK, 4).error is Failure.TRIED_TO_SPLIT_MORE_THAN_COUNT
    assert inventory.remove(PACK, 2)
    assert item(inventory, PACK).stack_count == 1
    assert inventory.remove(PACK)
    assert inventory.remove(PACK).error is Failure.SLOT_IS_EMPTY
    assert inventory.count(POTION) == 0


def test_removing_by_entry_takes_the_smallest_stacks_first(inventory):
    inventory.add_items(POTION, 5)
    inventory.add_items(POTION, 5)
    inventory.remove(PACK, 3)
    assert inventory.remove_entry(POTION, 4)
    assert held(inventory) == {PACK + 1: (POTION, 3)}


def test_removing_by_entry_is_all_or_nothing(inventory):
    inventory.add_items(POTION, 7)
    inventory.move(PACK + 1, BANK)
    assert inventory.remove_entry(POTION, 6).error is Failure.ITEM_NOT_FOUND
    assert inventory.count(POTION) == 7


def test_removing_by_entry_leaves_what_is_worn_or_locked(inventory):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    inventory.add_items(SWORD, 2)
    inventory.lock(PACK)
    assert inventory.remove_entry(SWORD, 2).error is Failure.ITEM_NOT_FOUND
    assert inventory.remove_entry(SWORD, 1)
    assert set(held(inventory)) == {MAIN_HAND, PACK}


def test_ammunition_in_a_quiver_is_carried(inventory):
    inventory.add_items(QUIVER)
    inventory.equip(PACK)
    inventory.add_items(ARROW, 4)
    inventory.move(PACK, INSIDE_1)
    assert inventory.remove_entry(ARROW, 3)
    assert item(inventory, INSIDE_1).stack_count == 1


def test_a_filled_bag_and_a_locked_item_are_not_removed(inventory):
    inventory.add_items(POUCH)
    inventory.equip(PACK)
    inventory.add_items(SWORD)
    inventory.move(PACK, INSIDE_1)
    assert inventory.remove(BAG_1).error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    inventory.lock(INSIDE_1)
    assert inventory.remove(INSIDE_1).error is Failure.ITEM_LOCKED
    inventory.lock(INSIDE_1, is_locked=False)
    assert inventory.remove(INSIDE_1)
    assert inventory.remove(BAG_1)


# Selling


def test_a_partial_sale_never_leaves_one_item_in_two_places(inventory):
    inventory.add_items(POTION, 5)
    guid = item(inventory, PACK).item_guid
    assert inventory.sell(PACK, 2)
    (sold,) = inventory.buyback
    assert (sold.stack_count, sold.slot) == (2, BUYBACK)
    assert sold.item_guid != guid
    assert item(inventory, PACK)[2] == 3
    assert item(inventory, PACK).item_guid == guid
    assert inventory.count(POTION) == 3


def test_what_was_sold_is_not_saved_and_comes_back_as_it_was(inventory):
    inventory.add_items(SWORD)
    inventory.change_item(PACK, durability=3)
    before = item(inventory, PACK)
    assert inventory.sell(PACK)
    assert len(inventory.items) == 0
    assert inventory.buy_back(BUYBACK)
    assert item(inventory, PACK) == before
    assert inventory.buyback == ()


def test_the_oldest_of_twelve_falls_out(inventory):
    inventory.add_items(SWORD, 14)
    guids = [item(inventory, PACK + place).item_guid for place in range(14)]
    for place in range(14):
        assert inventory.sell(PACK + place)
    assert [one.item_guid for one in inventory.buyback] == guids[2:]
    assert [one.slot for one in inventory.buyback] == list(range(BUYBACK, BUYBACK + 12))


def test_buying_back_needs_room_and_keeps_to_the_max_count(inventory):
    inventory.add_items(TROPHY, 2)
    inventory.sell(PACK)
    inventory.add_items(TROPHY)
    assert inventory.buy_back(BUYBACK).error is Failure.CANT_CARRY_MORE_OF_THIS
    inventory.sell(PACK)
    fill(inventory)
    assert inventory.buy_back(BUYBACK).error is Failure.INVENTORY_FULL
    assert len(inventory.buyback) == 2


@pytest.mark.parametrize("slot", [BUYBACK - 1, BUYBACK + 1, BUYBACK + 12, 0])
def test_a_buyback_slot_without_anything_is_empty(inventory, slot):
    inventory.add_items(SWORD)
    inventory.sell(PACK)
    assert inventory.buy_back(slot).error is Failure.SLOT_IS_EMPTY


def test_only_what_is_carried_is_sold(inventory):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    assert inventory.sell(MAIN_HAND).error is Failure.CANT_DO_RIGHT_NOW
    assert inventory.sell(PACK).error is Failure.SLOT_IS_EMPTY


# Sorting


def test_sorting_merges_and_orders_and_loses_nothing(inventory):
    for entry, amount in ((POTION, 5), (SWORD, 1), (CLOTH, 2), (POTION, 3)):
        inventory.add_items(entry, amount)
    inventory.split(PACK, PACK + 10, 2)
    inventory.move(PACK + 1, PACK + 15)
    assert inventory.sort()
    assert held(inventory) == {
        PACK: (SWORD, 1),
        PACK + 1: (POTION, 5),
        PACK + 2: (POTION, 3),
        PACK + 3: (CLOTH, 2),
    }
    again = inventory.sort()
    assert again.value == ()


def test_sorting_leaves_locked_items_and_quivers_alone(inventory):
    inventory.add_items(QUIVER)
    inventory.equip(PACK)
    inventory.add_items(ARROW, 2)
    inventory.move(PACK, INSIDE_1 + 1)
    inventory.add_items(SWORD)
    inventory.add_items(POTION, 1)
    inventory.lock(PACK + 1)
    inventory.move(PACK, PACK + 9)
    assert inventory.sort()
    assert held(inventory) == {
        BAG_1: (QUIVER, 1),
        INSIDE_1 + 1: (ARROW, 2),
        PACK: (SWORD, 1),
        PACK + 1: (POTION, 1),
    }


def test_sorting_keeps_apart_what_does_not_merge(inventory):
    inventory.add_items(POTION, 2)
    inventory.add_items(SWORD)
    inventory.add_items(inventory.catalog[POTION], 2, creator=9)
    assert inventory.sort()
    assert sorted(one.creator for one in inventory if one.entry == POTION) == [0, 9]


# Asking beforehand


def test_can_store_answers_for_all_together(inventory):
    fill(inventory)
    inventory.remove(PACK + 3)
    assert inventory.can_store([(POTION, 5)])
    assert inventory.can_store([(CLOTH, 3)])
    outlook = inventory.can_store([(POTION, 5), (CLOTH, 3)])
    assert not outlook
    assert outlook.not_stored == ((1, CLOTH, 3, Failure.INVENTORY_FULL),)
    assert inventory.can_store([(POTION, 2), (POTION, 3)])
    assert inventory.can_store([(POTION, 4), (POTION, 3)]).not_stored == (
        (1, POTION, 2, Failure.INVENTORY_FULL),
    )


def test_can_store_says_what_is_over_the_max_count_and_what_is_unknown(inventory):
    outlook = inventory.can_store([(TROPHY, 1), (TROPHY, 3), (UNKNOWN, 1)])
    assert outlook.not_stored == (
        (1, TROPHY, 2, Failure.CANT_CARRY_MORE_OF_THIS),
        (2, UNKNOWN, 1, Failure.ITEM_NOT_FOUND),
    )


def test_can_store_takes_a_batch_and_changes_nothing(inventory):
    inventory.add_items(POTION)
    before, guid = inventory.items.tobytes(), item(inventory, PACK).item_guid
    batch = batch_of(*(InventoryItemData(SWORD, place, item_guid=place + 1) for place in range(17)))
    assert len(inventory.can_store(batch).not_stored) == 2
    assert inventory.items.tobytes() == before
    inventory.add_items(SWORD)
    assert item(inventory, PACK + 1).item_guid == guid + 1, "asking took a guid"
