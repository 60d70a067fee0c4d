"""What is remembered of commands: bounded, counted, and nothing if it is switched off."""

import pytest
from aggregates import CATALOG, PACK, SWORD, Game

from mmoinv.errors import InventoryError
from mmoinv.inventory import CommandLog, Inventory
from mmoinv.inventory import InventoryChangeFailure as Failure


def logged(log: CommandLog) -> Inventory:
    return Game().inventory(command_log=log)


def test_what_was_done_refused_and_undone_is_counted():
    log = CommandLog()
    inventory = logged(log)
    command = inventory.commands.add(CATALOG[SWORD])
    command.execute()
    inventory.remove(PACK + 5)
    command.undo()
    command.execute()
    inventory.change_item(PACK, durability=1)
    command.undo()
    assert dict(log.executed) == {"add": 2, "change": 1}
    assert dict(log.refused) == {"remove": 1, "add": 1}
    assert dict(log.undone) == {"add": 1}
    assert [(one.name, one.failure, one.is_undo) for one in log.records] == [
        ("add", Failure.OKAY, False),
        ("remove", Failure.SLOT_IS_EMPTY, False),
        ("add", Failure.OKAY, True),
        ("add", Failure.OKAY, False),
        ("change", Failure.OKAY, False),
        ("add", Failure.CANT_DO_RIGHT_NOW, True),
    ]
    assert log.total_us == pytest.approx(sum(one.duration_us for one in log.records))


def test_a_record_says_what_was_changed():
    log = CommandLog()
    inventory = logged(log)
    result = inventory.add_items(SWORD)
    inventory.remove(PACK + 5)
    done, refused = log.records
    assert done.changes == result.value
    assert refused.changes == ()


def test_the_history_is_bounded_and_the_sums_are_not():
    log = CommandLog(history=3)
    inventory = logged(log)
    for place in range(5):
        inventory.remove(PACK + place)
    inventory.sort()
    assert [one.name for one in log.records] == ["remove", "remove", "sort"]
    assert log.refused["remove"] == 5
    with pytest.raises(InventoryError, match="holds none"):
        CommandLog(history=0)


def test_switched_off_it_remembers_nothing():
    log = CommandLog(is_on=False)
    inventory = logged(log)
    inventory.add_items(SWORD)
    inventory.remove(PACK + 1)
    assert (log.records, log.executed.total(), log.refused.total()) == ((), 0, 0)
    log.is_on = True
    inventory.remove(PACK)
    assert [one.name for one in log.records] == ["remove"]


def test_validating_is_not_logged():
    log = CommandLog()
    logged(log).commands.sort().validate()
    assert log.records == ()


def test_cleared_it_has_forgotten_everything():
    log = CommandLog()
    inventory = logged(log)
    inventory.add_items(SWORD)
    inventory.sell(PACK + 1)
    log.clear()
    assert (log.records, log.total_us) == ((), 0.0)
    assert (log.executed.total(), log.refused.total(), log.undone.total()) == (0, 0, 0)


def test_each_inventory_has_a_log_of_its_own_unless_one_is_given():
    shared = CommandLog()
    game = Game()
    one, other = game.inventory(7, command_log=shared), game.inventory(8, command_log=shared)
    third = game.inventory(9)
    for inventory in (one, other, third):
        inventory.sort()
    assert shared.executed["sort"] == 2
    assert third.log.executed["sort"] == 1


def test_locks_changes_and_exchanges_are_in_the_history_too():
    game = Game()
    one, other = game.inventory(7), game.inventory(8)
    one.add_items(SWORD)
    lock = one.commands.lock(PACK)
    assert lock.execute()
    assert one.transfer([PACK], other).error is Failure.ITEM_LOCKED
    assert lock.undo()
    assert one.change_item(PACK, durability=3)
    assert one.transfer([PACK], other)
    assert [record.name for record in one.log.records] == [
        *("add", "lock", "exchange", "lock", "change", "exchange")
    ]
    assert [bool(record.failure) for record in one.log.records][2::3] == [True, False]
    assert other.log.executed == {"exchange": 1}
    assert other.log.records[-1].changes[0].after.entry == SWORD
