"""A player's side of a trade: the rules, what is held, and the live inventory afterwards."""

import asyncio
import queue
import threading

import numpy as np
import pytest
from two_worlds import (
    ARROW,
    BAG,
    GOLD,
    PACK,
    PEBBLE,
    POTION,
    SWORD,
    TROPHY,
    stock,
    two_worlds,
    until,
)

from mmoinv.errors import OperationRefusedError, TradeError
from mmoinv.inventory import BACKPACK, BAG_PACK, MAIN_HAND, inside_of
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory.templates import BOUND
from mmoinv.world import TradeState, TradeWindow

POTIONS, OWN_SWORD, FREE = PACK, PACK + 1, PACK + 5
BAG_SLOT = BAG_PACK.start
INSIDE = inside_of(BAG_SLOT)


@pytest.fixture
async def worlds(tmp_path):
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}") as worlds:
        await stock(worlds)
        yield worlds
        await worlds.check()


async def offered(worlds, *slots):
    one, other = worlds.sides
    window = one.propose(other)
    assert await window.offer(slots)
    await until(
        lambda: one.trade.theirs.revision and one.trade.mine.revision == other.trade.theirs.revision
    )
    return one, other


async def come_about(one, other) -> None:
    assert one.window.confirm()
    await until(lambda: other.trade.theirs.confirmed)
    assert other.window.confirm()
    await asyncio.gather(one.trade, other.trade)


async def test_what_may_not_be_given(worlds):
    one, other = worlds.sides
    bag = one.inventory
    assert bag.add_items(SWORD)
    assert bag.add_items(BAG)
    assert bag.equip(PACK + 3)
    assert bag.equip(PACK + 2)
    assert bag.change_item(OWN_SWORD, item_flags=BOUND)
    window = one.propose(other)
    for slot, failure in (
        (OWN_SWORD, Failure.CANNOT_TRADE_THAT),
        (MAIN_HAND, Failure.CANNOT_TRADE_THAT),
        (BAG_SLOT, Failure.CANT_TRADE_EQUIP_BAGS),
        (FREE, Failure.SLOT_IS_EMPTY),
    ):
        assert (await window.offer([POTIONS, slot])).error is failure
        assert bag.held == frozenset()
    assert bag.lock(POTIONS)
    assert (await window.offer([POTIONS])).error is Failure.ITEM_LOCKED
    assert bag.lock(POTIONS, is_locked=False)
    one.inventory.owner.is_alive = False
    assert (await window.offer([POTIONS])).error is Failure.YOU_ARE_DEAD
    assert window.confirm().error is Failure.YOU_ARE_DEAD
    one.inventory.owner.is_alive = True
    window.cancel()
    assert bag.change_item(OWN_SWORD, item_flags=0)


async def test_what_is_offered_is_held_and_nothing_else(worlds):
    one, _ = await offered(worlds, POTIONS, OWN_SWORD)
    bag = one.inventory
    for act in (
        lambda: bag.remove(POTIONS, 1),
        lambda: bag.swap(OWN_SWORD, FREE),
        lambda: bag.swap(POTIONS, OWN_SWORD),
        lambda: bag.split(POTIONS, FREE, 2),
        lambda: bag.equip(OWN_SWORD),
        lambda: bag.use(POTIONS),
        lambda: bag.sell(OWN_SWORD),
        lambda: bag.change_item(OWN_SWORD, durability=1),
        lambda: bag.lock(OWN_SWORD),
    ):
        assert act().error is Failure.ITEM_LOCKED
    assert bag.remove_entry(POTION, 1).error is Failure.ITEM_NOT_FOUND
    # More of the same lies elsewhere, and is used up from there.
    assert bag.add_items(POTION, 2)
    assert bag.get(POTIONS).stack_count == 5
    assert bag.merge(PACK + 2, POTIONS).error is Failure.ITEM_LOCKED
    assert bag.sort()
    assert bag.get(POTIONS).stack_count == 5
    assert bag.get(OWN_SWORD).entry == SWORD
    assert bag.remove_entry(POTION, 2)
    added = bag.commands.add(POTION, 1)
    assert added.execute()
    assert added.undo()
    await one.save()
    one.window.cancel()
    assert bag.swap(OWN_SWORD, POTIONS)


async def test_it_is_not_given_to_two(worlds):
    """A trade within the world may not have what is in one between worlds."""
    one, _ = await offered(worlds, POTIONS)
    from mmoinv.inventory import Inventory, PlayerState

    third = Inventory(9, one.inventory.catalog, PlayerState(), one.connector.new_item_guids)
    assert one.inventory.transfer([POTIONS], third).error is Failure.ITEM_LOCKED
    assert len(third) == 0
    one.window.cancel()


async def test_what_is_in_a_bag_stays_with_its_bag(worlds):
    one, other = worlds.sides
    for side in worlds.sides:
        assert side.inventory.add_items(BAG)
        bag_slot = next(item.slot for item in side.inventory if item.entry == BAG)
        assert side.inventory.equip(bag_slot)
        for place in range(PACK, BACKPACK.stop):
            if side.inventory.get(place) is None:
                assert side.inventory.add_items(TROPHY if place == FREE else SWORD)
    assert one.inventory.move(POTIONS, INSIDE)
    await one.save()
    await other.save()
    await offered(worlds, INSIDE)
    assert one.inventory.held == {INSIDE, BAG_SLOT}
    assert one.inventory.swap(BAG_SLOT, BAG_SLOT + 1).error is Failure.ITEM_LOCKED
    assert other.window.confirm()
    # The backpack is full: it goes into the bag, which cannot be taken off.
    assert other.inventory.held == {INSIDE, BAG_SLOT}
    assert other.inventory.swap(BAG_SLOT, BAG_SLOT + 1).error is Failure.ITEM_LOCKED
    assert one.window.confirm()
    await asyncio.gather(one.trade, other.trade)
    came = other.inventory.get(INSIDE)
    assert came.entry == POTION
    assert came.contained == other.inventory.get(BAG_SLOT).item_guid
    assert one.inventory.swap(BAG_SLOT, BAG_SLOT + 1)


async def test_full_bags_refuse_and_destroy_nothing(worlds):
    one, other = worlds.sides
    while other.inventory.add_items(SWORD):
        pass
    assert other.inventory.free_slots == 0
    await other.save()
    await offered(worlds, POTIONS, OWN_SWORD)
    assert one.window.confirm()
    await until(lambda: other.trade.theirs.confirmed)
    assert other.window.confirm().error is Failure.INVENTORY_FULL
    assert other.trade.state is TradeState.OPEN
    # The space is counted over all that comes: one is not enough, but for one that goes.
    assert other.inventory.remove(FREE)
    assert other.window.confirm().error is Failure.INVENTORY_FULL
    assert await other.window.offer([PACK + 7])
    await until(lambda: len(one.trade.theirs.items) == 1)
    await until(lambda: one.trade.state is TradeState.OPEN)
    await come_about(one, other)
    assert {other.inventory.get(slot).entry for slot in (FREE, PACK + 7)} == {POTION, SWORD}


async def test_there_may_not_be_so_many(worlds):
    one, other = worlds.sides
    for side in worlds.sides:
        assert side.inventory.add_items(TROPHY)
    await one.save()
    await offered(worlds, PACK + 2)
    assert other.window.confirm().error is Failure.CANT_CARRY_MORE_OF_THIS
    assert await other.window.offer([PACK + 2])
    await until(lambda: len(one.trade.theirs.items) == 1)
    await come_about(one, other)


async def test_what_is_unsaved_is_saved_before_it_is_offered(worlds):
    one, other = worlds.sides
    one.loot()
    slot = next(item.slot for item in one.inventory if item.entry == PEBBLE)
    assert one.inventory.is_dirty
    assert one.inventory.swap(OWN_SWORD, FREE)
    await offered(worlds, slot, FREE)
    assert one.inventory.get(slot).entry == PEBBLE
    await come_about(one, other)


async def test_a_save_that_is_refused_offers_nothing(worlds):
    one, other = worlds.sides
    window = one.propose(other)
    one.loot()
    character = one.connector.character(one.guid)
    character.version += 1
    with pytest.raises(OperationRefusedError):
        await window.offer([POTIONS])
    character.version -= 1
    assert one.inventory.held == frozenset()
    assert one.trade.mine.revision == 1
    assert await window.offer([POTIONS])
    window.cancel()
    assert one.inventory.held == frozenset()
    with pytest.raises(TradeError):
        await window.offer([OWN_SWORD])
    assert one.inventory.held == frozenset()


async def test_listeners_see_what_came_and_may_save_at_once(worlds):
    one, other = worlds.sides
    other.gives = ((POTIONS,), {GOLD: 1})
    await offered(worlds, POTIONS)
    seen = []

    def listener(inventory, events) -> None:
        seen.append((events, inventory.is_dirty))
        # There is nothing to save of it.
        assert inventory.save(one.repository).operation_id == 0

    one.inventory.subscribe(listener)
    command = one.inventory.commands.change_item(OWN_SWORD, durability=5)
    await come_about(one, other)
    ((events, was_dirty),) = seen
    assert not was_dirty
    assert len(events) >= 1
    assert ARROW in one.inventory.items["entry"]
    assert command.validate() is Failure.OKAY


async def test_going_back_and_taking_back_leave_the_trade_as_it_is(worlds):
    one, other = worlds.sides
    moved = one.inventory.commands.swap(POTIONS, PACK + 8)
    assert moved.execute()
    other.gives = ((POTIONS,), {})
    await offered(worlds, PACK + 8)
    one.loot()
    one.inventory.rollback()
    one.looted -= 1
    assert one.inventory.get(PACK + 8).entry == POTION
    assert moved.undo().error is Failure.CANT_DO_RIGHT_NOW
    assert one.window.confirm()
    one.loot()
    one.inventory.rollback()
    one.looted -= 1
    assert other.window.confirm()
    await asyncio.gather(one.trade, other.trade)
    one.loot()
    one.inventory.rollback()
    one.looted -= 1
    assert ARROW in one.inventory.items["entry"]
    assert moved.undo().error is Failure.CANT_DO_RIGHT_NOW


async def test_saves_on_their_way_are_answered_after_it_and_it_stays(worlds):
    """What was on its way when the trade came about is compared with what is there now."""
    one, other = worlds.sides
    other.gives = ((POTIONS,), {})
    await offered(worlds, POTIONS)
    assert other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    half = one.window.confirm().value
    saves = []
    for _ in range(3):
        one.loot()
        saves.append(one.inventory.save(one.repository))
    one.loot()
    await half
    assert not saves[0].done
    assert one.inventory.is_saving
    assert ARROW in one.inventory.committed["entry"]
    assert ARROW in one.inventory.items["entry"]
    await asyncio.gather(*saves)
    assert one.inventory.is_dirty
    assert np.isin(ARROW, one.inventory.committed["entry"])


async def test_a_game_with_a_thread_of_its_own(worlds):
    """The inventory learns of it in the game's thread, and until then what it holds is held."""
    one, other = worlds.sides
    other.gives = ((POTIONS,), {})
    calls: queue.Queue = queue.Queue()
    one.trades.append(one.connector.propose_trade(one.guid, other.guid, (POTIONS,)))
    window = TradeWindow(one.trade, one.inventory, one.repository, call=calls.put)
    one.windows.append(window)
    await window.offer([POTIONS])
    await until(lambda: len(one.trade.theirs.items))
    assert window.confirm()
    await until(lambda: other.trade.theirs.confirmed)
    assert other.window.confirm()
    await asyncio.gather(one.trade, other.trade)
    assert one.inventory.get(POTIONS).entry == POTION
    assert one.inventory.remove(POTIONS).error is Failure.ITEM_LOCKED
    # A save of something else in between does no harm.
    one.loot()
    await one.inventory.save(one.repository)
    thread = threading.Thread(target=lambda: [calls.get()() for _ in range(calls.qsize())])
    thread.start()
    thread.join()
    assert one.inventory.get(POTIONS).entry == ARROW
    assert not one.inventory.is_dirty
