"""Commands: validated, executed once, logged, and taken back for as long as that makes sense."""

import pytest
from aggregates import (
    BAG_1,
    BAG_2,
    BUYBACK,
    CATALOG,
    GREATSWORD,
    INSIDE_1,
    OFF_HAND,
    PACK,
    POTION,
    POUCH,
    QUIVER,
    SHIELD,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
    HeldBackRepository,
    held,
)

from mmoinv.errors import InventoryError
from mmoinv.inventory import Inventory, InventoryCommand, PlayerState
from mmoinv.inventory import InventoryChangeFailure as Failure


@pytest.fixture
def owner() -> PlayerState:
    return PlayerState(level=10)


@pytest.fixture
def inventory(owner: PlayerState) -> Inventory:
    return Game().inventory(owner=owner)


def executed(command: InventoryCommand) -> InventoryCommand:
    """A command that the rules allow."""
    assert command.execute().error is Failure.OKAY
    return command


def test_validate_says_what_execute_does_and_changes_nothing(inventory, owner):
    command = inventory.commands.add(CATALOG[TROPHY], 2)
    assert command.validate() is Failure.OKAY
    assert len(inventory) == 0
    assert command.execute()
    owner.is_alive = False
    move = inventory.commands.move(PACK, PACK + 5)
    assert move.validate() is move.execute().error is Failure.YOU_ARE_DEAD
    more = inventory.commands.add(CATALOG[TROPHY])
    assert more.validate() is more.execute().error is Failure.CANT_CARRY_MORE_OF_THIS


def test_items_are_added_by_template_or_by_entry(inventory):
    for item in (CATALOG[SWORD], SWORD):
        assert executed(inventory.commands.add(item)).is_executed
    assert inventory.count(SWORD) == 2
    with pytest.raises(InventoryError, match=f"no template has the entry {UNKNOWN}"):
        inventory.commands.add(UNKNOWN)


def test_a_command_is_executed_once(inventory):
    command = inventory.commands.add(CATALOG[SWORD])
    with pytest.raises(InventoryError, match="nothing to undo"):
        command.undo()
    executed(command)
    with pytest.raises(InventoryError, match="executed already"):
        command.execute()
    assert inventory.count(SWORD) == 1


def test_what_was_undone_can_be_done_again(inventory):
    command = executed(inventory.commands.add(CATALOG[POTION], 7))
    assert command.undo()
    assert (len(inventory), command.is_executed) == (0, False)
    assert command.execute()
    assert inventory.count(POTION) == 7


def test_a_command_that_was_refused_may_be_tried_again(inventory, owner):
    inventory.add_items(SWORD)
    command = inventory.commands.move(PACK, PACK + 1)
    owner.is_stunned = True
    assert command.execute().error is Failure.YOU_ARE_STUNNED
    owner.is_stunned = False
    assert command.execute()


def test_a_record_that_is_none_changes_nothing_and_is_not_executed(inventory):
    inventory.add_items(POTION, 5)
    command = inventory.commands.remove(PACK, 1.5)
    with pytest.raises(InventoryError, match="nothing was changed"):
        command.execute()
    assert not command.is_executed
    assert held(inventory) == {PACK: (POTION, 5)}


def test_undo_is_refused_once_a_slot_was_touched(inventory):
    command = executed(inventory.commands.add(CATALOG[SWORD]))
    inventory.change_item(PACK, durability=1)
    assert command.undo().error is Failure.CANT_DO_RIGHT_NOW
    assert inventory.count(SWORD) == 1
    inventory.change_item(PACK, durability=20)
    assert command.undo()


def test_undo_does_not_mind_what_happened_elsewhere(inventory):
    command = executed(inventory.commands.add(CATALOG[SWORD]))
    inventory.add_items(SHIELD)
    assert command.undo()
    assert held(inventory) == {PACK + 1: (SHIELD, 1)}


def test_what_was_sold_comes_back_with_its_guid(inventory):
    inventory.add_items(POTION, 5)
    before = inventory.items
    command = executed(inventory.commands.sell(PACK, 2))
    assert [item.stack_count for item in inventory.buyback] == [2]
    assert command.undo()
    assert inventory.items.tobytes() == before.tobytes()
    assert inventory.buyback == ()


def test_a_sale_is_not_undone_once_it_was_bought_back(inventory):
    inventory.add_items(SWORD)
    command = executed(inventory.commands.sell(PACK))
    inventory.buy_back(BUYBACK)
    assert command.undo().error is Failure.CANT_DO_RIGHT_NOW
    assert inventory.count(SWORD) == 1


def test_nothing_from_before_a_rollback_is_undone(inventory):
    repository = HeldBackRepository()
    inventory.add_items(SWORD)
    inventory.save(repository)
    repository.answer()
    inventory.move(PACK, PACK + 5)
    command = executed(inventory.commands.remove(PACK + 5))
    inventory.rollback()
    assert command.undo().error is Failure.CANT_DO_RIGHT_NOW
    assert inventory.count(SWORD) == 1


# Slots untouched, but not what belongs to them.


def test_a_bag_is_not_taken_from_under_what_was_put_into_it(inventory):
    inventory.add_items(POUCH)
    inventory.add_items(SWORD)
    command = executed(inventory.commands.equip(PACK))
    inventory.move(PACK + 1, INSIDE_1)
    assert command.undo().error is Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    assert INSIDE_1 in inventory
    inventory.move(INSIDE_1, PACK + 1)
    assert command.undo()


def test_nothing_goes_back_into_a_bag_that_is_gone(inventory):
    inventory.add_items(POUCH)
    inventory.equip(PACK)
    inventory.add_items(SWORD)
    inventory.move(PACK, INSIDE_1)
    command = executed(inventory.commands.move(INSIDE_1, PACK + 5))
    inventory.unequip(BAG_1)
    assert command.undo().error is Failure.ITEM_DOES_NOT_GO_TO_SLOT
    inventory.equip(PACK)
    assert command.undo()
    assert held(inventory)[INSIDE_1] == (SWORD, 1)


def test_what_goes_back_into_another_bag_is_contained_by_that_one(inventory):
    inventory.add_items(POUCH, 2)
    inventory.equip(PACK)
    inventory.equip(PACK + 1)
    inventory.add_items(SWORD)
    inventory.move(PACK, INSIDE_1)
    command = executed(inventory.commands.move(INSIDE_1, PACK))
    inventory.swap(BAG_1, BAG_2)
    assert command.undo()
    assert inventory.get(INSIDE_1).contained == inventory.get(BAG_1).item_guid


def test_a_shield_is_not_put_back_beside_a_two_handed_weapon(inventory):
    inventory.add_items(SHIELD)
    inventory.equip(PACK)
    command = executed(inventory.commands.unequip(OFF_HAND))
    inventory.add_items(GREATSWORD)
    assert inventory.equip(PACK + 1)
    assert command.undo().error is Failure.CANT_EQUIP_WITH_TWO_HANDED


def test_a_second_quiver_is_not_put_back(inventory):
    inventory.add_items(QUIVER, 2)
    inventory.equip(PACK)
    command = executed(inventory.commands.unequip(BAG_1))
    assert inventory.equip(PACK + 1, BAG_2)
    assert command.undo().error is Failure.CAN_EQUIP_ONLY_ONE_QUIVER


def test_undo_gives_no_more_than_one_may_own(inventory):
    inventory.add_items(TROPHY, 2)
    command = executed(inventory.commands.remove(PACK))
    inventory.move(PACK + 1, PACK + 2)
    inventory.add_items(TROPHY)
    inventory.move(PACK, PACK + 3)
    assert command.undo().error is Failure.CANT_CARRY_MORE_OF_THIS
    assert inventory.count(TROPHY) == 2


def test_its_repr_says_what_it_is_and_whether_it_was_done(inventory):
    command = inventory.commands.remove_entry(SWORD)
    assert repr(command) == "<InventoryCommand remove, not executed>"
    inventory.add_items(SWORD)
    assert repr(executed(command)) == "<InventoryCommand remove, executed>"
