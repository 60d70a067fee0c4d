"""One side of a trade with another world: what may go, where it fits, and what is there then.

The trades themselves are in tests/world.
"""

import numpy as np
import pytest
from aggregates import (
    ARROW,
    BAG,
    BAG_1,
    BANK,
    CLOTH,
    INSIDE_1,
    PACK,
    POTION,
    QUIVER,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
    HeldBackRepository,
    held,
)

from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory import trading
from mmoinv.inventory.templates import BOUND
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of


def coming(*entries: int):
    one = InventoryItemData(0, 0, creator=3, contained=99, durability=7)
    return batch_of(
        *(
            one._replace(entry=entry, slot=PACK + place, item_guid=900 + place)
            for place, entry in enumerate(entries)
        )
    )


def full(game: Game, entry: int = SWORD):
    inventory = game.inventory()
    while inventory.add_items(entry):
        pass
    return inventory


def test_each_item_goes_into_an_empty_slot_as_it_is():
    inventory = Game().inventory()
    assert inventory.add_items(POTION, 2)
    placed = trading.room_for(inventory, [], coming(POTION, SWORD)).value
    assert placed["slot"].tolist() == [PACK + 1, PACK + 2]
    assert placed["contained"].tolist() == [7, 7]
    kept = ["entry", "stack_count", "creator", "durability", "item_guid"]
    assert placed[kept].tolist() == coming(POTION, SWORD)[kept].tolist()
    assert held(inventory) == {PACK: (POTION, 2)}


def test_what_goes_makes_room_for_what_comes():
    inventory = full(Game())
    assert trading.room_for(inventory, [], coming(CLOTH)).error is Failure.INVENTORY_FULL
    assert trading.room_for(inventory, [PACK + 3], coming(CLOTH)).value["slot"] == PACK + 3
    inventory.held = trading.held_by([PACK + 3])
    assert trading.room_for(inventory, [PACK + 3], coming(CLOTH)).value["slot"] == PACK + 3
    two = trading.room_for(inventory, [PACK + 3], coming(CLOTH, CLOTH))
    assert two.error is Failure.INVENTORY_FULL


def test_bags_and_quivers():
    inventory = Game().inventory()
    assert inventory.add_items(BAG)
    assert inventory.equip(PACK)
    assert inventory.add_items(QUIVER)
    assert inventory.equip(PACK)
    while inventory.add_items(SWORD):
        pass
    assert trading.room_for(inventory, [], coming(CLOTH)).error is Failure.INVENTORY_FULL
    arrows = trading.room_for(inventory, [], coming(ARROW, ARROW)).value
    assert [slot >> 8 for slot in arrows["slot"].tolist()] == [20, 20]
    assert arrows["contained"].tolist() == [inventory.get(BAG_1 + 1).item_guid] * 2
    assert inventory.remove(INSIDE_1)
    cloth = trading.room_for(inventory, [], coming(CLOTH)).value
    assert cloth["slot"] == INSIDE_1
    assert cloth["contained"] == inventory.get(BAG_1).item_guid
    assert trading.held_by([INSIDE_1, PACK]) == {INSIDE_1, PACK, BAG_1}


def test_how_many_there_may_be_counts_those_that_go():
    inventory = Game().inventory()
    assert inventory.add_items(TROPHY, 2)
    assert trading.room_for(inventory, [], coming(TROPHY)).error is Failure.CANT_CARRY_MORE_OF_THIS
    assert trading.room_for(inventory, [PACK], coming(TROPHY))
    # What no template knows comes as it is.
    assert trading.room_for(inventory, [], coming(UNKNOWN)).value["entry"] == UNKNOWN
    assert len(trading.room_for(inventory, [], empty_batch()).value) == 0


@pytest.mark.parametrize(
    ("flags", "slot", "failure"),
    [
        (0, PACK, Failure.OKAY),
        (BOUND, PACK, Failure.CANNOT_TRADE_THAT),
        (0, BANK, Failure.CANNOT_TRADE_THAT),
        (0, PACK + 9, Failure.SLOT_IS_EMPTY),
    ],
)
def test_what_may_be_offered(flags, slot, failure):
    inventory = Game().inventory()
    assert inventory.add_items(SWORD)
    assert inventory.change_item(PACK, item_flags=flags)
    if slot == BANK:
        assert inventory.move(PACK, BANK)
    assert trading.offer_failure(inventory, [slot]) is failure


def test_what_is_on_its_way_and_what_is_dirty_stay_so():
    inventory = Game().inventory()
    repository = HeldBackRepository()
    assert inventory.add_items(SWORD, 3)
    inventory.save(repository)
    repository.answer()
    assert inventory.swap(PACK + 1, PACK + 5)
    saves = [inventory.save(repository)]
    assert inventory.swap(PACK + 2, PACK + 6)
    saves.append(inventory.save(repository))
    assert inventory.remove(PACK + 6)
    before = inventory.changes()
    events = []
    inventory.subscribe(lambda _, told: events.extend(told))
    placed = trading.room_for(inventory, [PACK], coming(CLOTH)).value
    trading.take_over(inventory, placed, slots_of())
    assert inventory.get(PACK).entry == CLOTH
    assert len(events) >= 1
    assert [part.tolist() for part in inventory.changes()] == [part.tolist() for part in before]
    repository.answer()
    repository.answer()
    assert all(save.done for save in saves)
    assert np.isin(CLOTH, inventory.committed["entry"])
    saved, deleted = inventory.changes()
    assert (len(saved), deleted.tolist()) == (0, [PACK + 6])


def test_a_save_that_is_refused_afterwards_is_dirty_and_the_trade_is_not():
    inventory = Game().inventory()
    repository = HeldBackRepository()
    assert inventory.add_items(SWORD, 2)
    inventory.save(repository)
    repository.answer()
    assert inventory.swap(PACK + 1, PACK + 5)
    inventory.save(repository)
    trading.take_over(inventory, coming(CLOTH), slots_of())
    repository.refuse()
    saved, deleted = inventory.changes()
    assert (saved["slot"].tolist(), deleted.tolist()) == ([PACK + 5], [PACK + 1])
    assert inventory.rollback() == [inventory]
    assert held(inventory) == {PACK: (CLOTH, 1), PACK + 1: (SWORD, 1)}
