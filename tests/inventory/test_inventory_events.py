"""What listeners hear: item by item, by guid, what is gone first and what came last."""

import pytest
from aggregates import BUYBACK, CLOTH, MAIN_HAND, PACK, POTION, SWORD, Game

from mmoinv.inventory import Inventory, ItemEvent, ItemEventKind

CREATED, UPDATED, DESTROYED = (
    ItemEventKind.CREATED,
    ItemEventKind.UPDATED,
    ItemEventKind.DESTROYED,
)


class Listening:
    """An inventory with two stacks of potions and a sword, and what it has told since."""

    def __init__(self) -> None:
        self.game = Game()
        self.inventory = self.game.inventory()
        self.inventory.add_items(POTION, 7)
        self.inventory.add_items(SWORD)
        self.told: list[tuple[ItemEvent, ...]] = []
        self.inventory.subscribe(self.hear)

    def hear(self, inventory: Inventory, events: tuple[ItemEvent, ...]) -> None:
        assert inventory is self.inventory
        for event in events:
            # Told of when it has happened.
            if event.after is not None:
                assert inventory.get(event.after.slot) == event.after
        self.told.append(events)

    def kinds(self) -> list[ItemEventKind]:
        (events,) = self.told
        return [event.kind for event in events]


@pytest.fixture
def listening() -> Listening:
    return Listening()


def test_an_item_that_comes_is_created(listening):
    listening.inventory.add_items(CLOTH, 5)
    assert listening.kinds() == [CREATED, CREATED]
    assert [event.before for event in listening.told[0]] == [None, None]


def test_more_onto_a_stack_updates_it(listening):
    listening.inventory.add_items(POTION, 4)
    assert listening.kinds() == [UPDATED, CREATED]
    (updated, _) = listening.told[0]
    assert (updated.before.stack_count, updated.after.stack_count) == (2, 5)


def test_an_item_that_moves_is_updated_once(listening):
    listening.inventory.equip(PACK + 2)
    (event,) = listening.told[0]
    assert event.kind is UPDATED
    assert (event.before.slot, event.after.slot) == (PACK + 2, MAIN_HAND)


def test_two_that_swap_are_updated(listening):
    listening.inventory.swap(PACK, PACK + 2)
    assert listening.kinds() == [UPDATED, UPDATED]


def test_a_stack_that_is_merged_away_is_destroyed_before_the_other_is_updated(listening):
    listening.inventory.remove(PACK, 3)
    listening.told.clear()
    listening.inventory.merge(PACK + 1, PACK)
    assert listening.kinds() == [DESTROYED, UPDATED]


def test_a_split_updates_one_and_creates_one(listening):
    listening.inventory.split(PACK, PACK + 5, 2)
    assert listening.kinds() == [UPDATED, CREATED]


def test_sold_is_destroyed_and_bought_back_is_created(listening):
    listening.inventory.sell(PACK + 2)
    listening.inventory.buy_back(BUYBACK)
    (sold,), (bought,) = listening.told
    assert (sold.kind, bought.kind) == (DESTROYED, CREATED)
    assert sold.before.item_guid == bought.after.item_guid


def test_both_of_an_exchange_hear_of_it(listening):
    other = listening.game.inventory(8)
    other.add_items(CLOTH)
    heard = []
    other.subscribe(lambda inventory, events: heard.append((inventory, events)))
    listening.inventory.exchange([PACK + 2], other, [PACK])
    assert listening.kinds() == [DESTROYED, CREATED]
    ((whose, events),) = heard
    assert whose is other
    assert [(event.kind, (event.after or event.before).entry) for event in events] == [
        (DESTROYED, CLOTH),
        (CREATED, SWORD),
    ]


def test_an_undo_and_a_rollback_are_told(listening):
    command = listening.inventory.commands.remove(PACK + 2)
    command.execute()
    listening.told.clear()
    command.undo()
    assert listening.kinds() == [CREATED]
    listening.told.clear()
    listening.inventory.rollback()
    assert listening.kinds() == [DESTROYED] * 3


def test_a_lock_is_told_and_what_is_locked_already_is_not(listening):
    listening.inventory.lock(PACK)
    listening.inventory.lock(PACK)
    assert listening.kinds() == [UPDATED]
