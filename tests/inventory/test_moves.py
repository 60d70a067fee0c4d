"""Swaps, splits and merges: what a client's drag and drop may do."""

import pytest
from aggregates import (
    BAG_1,
    BANK,
    BUYBACK,
    CLOTH,
    HEAD,
    IDOL,
    INSIDE_1,
    MAIN_HAND,
    PACK,
    POTION,
    POUCH,
    SWORD,
    UNKNOWN,
    Game,
    held,
    item,
)

from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory import InventorySlot, PlayerState
from mmoinv.inventory.templates import BOUND
from mmoinv.records import InventoryItemData, batch_of


@pytest.fixture
def owner():
    return PlayerState(level=10)


@pytest.fixture
def inventory(owner):
    return Game().inventory(owner=owner)


def test_two_identical_full_stacks_can_be_swapped(inventory):
    inventory.add_items(POTION, 10)
    one, other = item(inventory, PACK), item(inventory, PACK + 1)
    assert inventory.swap(PACK, PACK + 1)
    assert item(inventory, PACK).item_guid == other.item_guid
    assert item(inventory, PACK + 1).item_guid == one.item_guid
    assert inventory.move(PACK, PACK + 1)
    assert item(inventory, PACK).item_guid == one.item_guid


def test_a_swap_with_an_empty_slot_moves(inventory):
    inventory.add_items(POTION, 3)
    before = item(inventory, PACK)
    for target in (PACK + 15, BANK, BANK + 27, PACK):
        assert inventory.swap(next(iter(held(inventory))), target)
        assert item(inventory, target) == before._replace(slot=target)
        assert len(inventory) == 1


@pytest.mark.parametrize(
    ("source", "target", "failure"),
    [
        (PACK + 1, PACK, Failure.SLOT_IS_EMPTY),
        (PACK, HEAD, Failure.ITEM_CANT_BE_EQUIPPED),
        (PACK, BAG_1, Failure.NOT_A_BAG),
        (PACK, BANK + 28, Failure.NOT_A_BAG),
        (PACK, INSIDE_1, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK, BUYBACK, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK, 74, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK, 0, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK, 65535, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK, 0x1224, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (BUYBACK, PACK + 1, Failure.SLOT_IS_EMPTY),
    ],
)
def test_where_a_potion_does_not_go(inventory, source, target, failure):
    inventory.add_items(POTION, 5)
    before = inventory.items.tobytes()
    assert inventory.move(source, target).error is failure
    assert inventory.swap(source, target).error is failure
    assert inventory.items.tobytes() == before


def test_a_swap_with_itself_changes_nothing(inventory):
    inventory.add_items(POTION, 5)
    assert inventory.swap(PACK, PACK).value == ()
    assert inventory.move(PACK, PACK).value == ()


def test_both_must_go_where_they_are_swapped_to(inventory):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    inventory.add_items(POTION)
    assert inventory.swap(PACK, MAIN_HAND).error is Failure.ITEM_CANT_BE_EQUIPPED
    assert inventory.swap(MAIN_HAND, PACK).error is Failure.ITEM_CANT_BE_EQUIPPED
    assert item(inventory, MAIN_HAND).entry == SWORD


def test_merging_leaves_the_item_count_as_it_was(inventory):
    inventory.add_items(POTION, 5)
    inventory.move(PACK, BANK, 3)
    inventory.add_items(POTION, 2)
    assert inventory.count(POTION) == 7
    assert inventory.merge(BANK, PACK)
    assert inventory.count(POTION) == 7
    assert held(inventory) == {PACK: (POTION, 5), BANK: (POTION, 2)}
    assert inventory.merge(BANK, PACK).error is Failure.ITEM_CANT_STACK
    inventory.remove(PACK, 2)
    assert inventory.merge(BANK, PACK)
    assert held(inventory) == {PACK: (POTION, 5)}


def test_what_does_not_stack_is_not_merged(inventory):
    inventory.add_items(SWORD, 2)
    inventory.add_items(POTION, 2)
    inventory.add_items(CLOTH, 2)
    for one, other in (
        (PACK, PACK + 1),
        (PACK + 2, PACK + 3),
        (PACK + 2, PACK + 2),
    ):
        assert inventory.merge(one, other).error is Failure.ITEM_CANT_STACK
    assert inventory.merge(PACK, PACK + 9).error is Failure.SLOT_IS_EMPTY
    assert inventory.merge(PACK + 9, PACK).error is Failure.SLOT_IS_EMPTY


def test_dragging_onto_an_equal_stack_merges_and_onto_another_swaps(inventory):
    inventory.add_items(POTION, 2)
    inventory.add_items(CLOTH, 2)
    assert inventory.move(PACK, PACK + 5, 1)
    assert inventory.move(PACK + 5, PACK)
    assert inventory.move(PACK, PACK + 1)
    assert held(inventory) == {PACK: (CLOTH, 2), PACK + 1: (POTION, 2)}


def test_a_split_keeps_binding_creator_durability_and_properties(inventory):
    inventory.add_items(POTION, 5, creator=99)
    inventory.change_item(
        PACK,
        item_flags=BOUND,
        durability=3,
        random_property_index=4,
        random_suffix_index=5,
    )
    whole = item(inventory, PACK)
    assert inventory.split(PACK, PACK + 4, 2)
    part = item(inventory, PACK + 4)
    assert part == whole._replace(slot=PACK + 4, stack_count=2, item_guid=part.item_guid)
    assert part.item_guid != whole.item_guid
    assert item(inventory, PACK) == whole._replace(stack_count=3)


def test_a_split_into_a_bag_has_the_bag_as_its_container(inventory):
    inventory.add_items(POUCH)
    inventory.equip(PACK)
    inventory.add_items(POTION, 5)
    assert inventory.split(PACK, INSIDE_1 + 1, 2)
    assert item(inventory, INSIDE_1 + 1).contained == item(inventory, BAG_1).item_guid
    assert item(inventory, PACK).contained == inventory.character_guid


@pytest.mark.parametrize(
    ("target", "amount", "failure"),
    [
        (PACK + 9, 5, Failure.COULDNT_SPLIT_ITEMS),
        (PACK + 9, 6, Failure.TRIED_TO_SPLIT_MORE_THAN_COUNT),
        (PACK, 2, Failure.COULDNT_SPLIT_ITEMS),
        (MAIN_HAND, 2, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (INSIDE_1, 2, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (PACK + 1, 2, Failure.ITEM_CANT_STACK),
        (PACK + 2, 2, Failure.COULDNT_SPLIT_ITEMS),
    ],
)
def test_splits_that_are_refused(inventory, target, amount, failure):
    inventory.add_items(POTION, 5)
    inventory.add_items(CLOTH)
    inventory.add_items(POTION, 4)
    before = inventory.items.tobytes()
    assert inventory.split(PACK, target, amount).error is failure
    assert inventory.items.tobytes() == before


def test_a_split_onto_an_equal_stack_fills_it(inventory):
    inventory.add_items(POTION, 8)
    assert inventory.split(PACK, PACK + 1, 2)
    assert held(inventory) == {PACK: (POTION, 3), PACK + 1: (POTION, 5)}
    assert inventory.count(POTION) == 8


@pytest.mark.parametrize(
    ("state", "failure"),
    [("is_alive", Failure.YOU_ARE_DEAD), ("is_stunned", Failure.YOU_ARE_STUNNED)],
)
def test_the_dead_and_the_stunned_handle_nothing(inventory, owner, state, failure):
    inventory.add_items(POTION, 5)
    inventory.add_items(SWORD)
    setattr(owner, state, state == "is_stunned")
    for result in (
        inventory.swap(PACK, PACK + 3),
        inventory.split(PACK, PACK + 3, 1),
        inventory.merge(PACK, PACK + 1),
        inventory.equip(PACK + 1),
        inventory.use(PACK),
        inventory.move(PACK, PACK + 3),
        inventory.sell(PACK),
        inventory.buy_back(BUYBACK),
        inventory.sort(),
    ):
        assert result.error is failure


def test_a_locked_item_stays_where_it_is(inventory):
    inventory.add_items(POTION, 8)
    inventory.lock(PACK)
    for result in (
        inventory.swap(PACK, PACK + 5),
        inventory.swap(PACK + 1, PACK),
        inventory.split(PACK, PACK + 5, 1),
        inventory.split(PACK + 1, PACK, 1),
        inventory.merge(PACK + 1, PACK),
        inventory.merge(PACK, PACK + 1),
        inventory.use(PACK),
        inventory.sell(PACK),
    ):
        assert result.error is Failure.ITEM_LOCKED
    assert item(inventory, PACK).item_flags
    assert not inventory.items["item_flags"].any(), "a lock is of one run only"
    inventory.lock(PACK, is_locked=False)
    assert inventory.swap(PACK, PACK + 5)


def test_what_no_template_knows_can_be_moved_and_nothing_else():
    inventory = Game().loaded(
        7, batch_of(*(InventoryItemData(UNKNOWN, PACK + n, 3, item_guid=n + 1) for n in (0, 1)))
    )
    assert inventory.swap(PACK, BANK)
    assert inventory.swap(BANK, PACK + 1)
    assert inventory.merge(BANK, PACK + 1).error is Failure.ITEM_CANT_STACK
    assert inventory.equip(PACK + 1).error is Failure.ITEM_CANT_BE_EQUIPPED
    assert inventory.use(PACK + 1).error is Failure.YOU_CAN_NEVER_USE_THAT_ITEM
    assert inventory.remove(PACK + 1, 2)


def test_content_of_a_missing_bag_can_be_moved_out():
    inventory = Game().loaded(7, batch_of(InventoryItemData(SWORD, INSIDE_1 + 3, item_guid=5)))
    assert inventory.move(INSIDE_1 + 3, PACK)
    assert item(inventory, PACK).contained == 7
    assert inventory.move(PACK, INSIDE_1 + 3).error is Failure.ITEM_DOES_NOT_GO_TO_SLOT


def test_a_consumable_is_used_up_one_by_one(inventory):
    inventory.add_items(POTION, 2)
    assert inventory.use(PACK)
    assert item(inventory, PACK).stack_count == 1
    assert inventory.use(PACK)
    assert inventory.use(PACK).error is Failure.SLOT_IS_EMPTY


def test_use_binds_what_is_bound_when_used(inventory):
    inventory.add_items(IDOL)
    assert inventory.use(PACK)
    assert item(inventory, PACK).item_flags == BOUND
    assert inventory.use(PACK).value == ()


def test_what_is_in_the_bank_is_not_used(inventory):
    inventory.add_items(POTION)
    inventory.move(PACK, BANK)
    assert inventory.use(BANK).error is Failure.CANT_DO_RIGHT_NOW


def test_slots_may_be_of_the_strong_type_and_are_kept_as_plain_numbers(inventory):
    inventory.add_items(POTION, 5)
    assert inventory.split(InventorySlot(PACK), InventorySlot(PACK + 3), 2)
    assert inventory.swap(InventorySlot(PACK + 3), InventorySlot(BANK))
    assert [type(one.slot) for one in inventory] == [int, int]
    with pytest.raises(TypeError):
        inventory.swap(float(PACK), BANK)
