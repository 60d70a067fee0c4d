"""Inventories that save themselves, through two worlds and a realm on a real socket and file."""

import asyncio
import itertools

import numpy as np
import pytest

from mmoinv.errors import (
    DuplicateItemGuidError,
    JoinError,
    LinkBusyError,
    OperationRefusedError,
    StaleSessionError,
)
from mmoinv.inventory import Inventory, ItemCatalog, ItemTemplate, PlayerState, save_together

POTION, SWORD = 2589, 25
PACK = 0xFF17
CATALOG = ItemCatalog(
    (ItemTemplate(POTION, "Potion", max_stack=20), ItemTemplate(SWORD, "Sword", max_durability=40))
)


async def joined(connector, guid: int) -> Inventory:
    """The inventory of a character that joins now."""
    character = await connector.join(guid)
    return Inventory.from_items(
        guid, character.items, CATALOG, PlayerState(), connector.new_item_guids
    )


async def is_stored(realm, *inventories: Inventory) -> bool:
    """Whether the database has what they hold, and they know it."""
    for inventory in inventories:
        rows = await realm.store.read_items(inventory.character_guid)
        if inventory.is_dirty or rows.tobytes() != inventory.items.tobytes():
            return False
    return True


async def stored_potions(realm, *guids: int) -> int:
    batches = [await realm.store.read_items(guid) for guid in guids]
    return sum(
        int(batch["stack_count"][batch["entry"] == POTION].astype(np.uint64).sum())
        for batch in batches
    )


async def test_dirty_until_the_realm_has_answered(realm, connector):
    inventory = await joined(connector, 7)
    inventory.add_items(SWORD)
    handle = inventory.save(connector.repository(), reason=4)
    assert (inventory.is_dirty, inventory.is_saving) == (True, True)
    assert inventory.save(connector.repository()) is handle
    await handle
    assert not inventory.is_saving
    assert await is_stored(realm, inventory)


async def test_what_was_saved_is_there_after_the_next_join(realm, world):
    async with world("world-1") as one, world("world-2") as other:
        inventory = await joined(one, 7)
        inventory.add_items(POTION, 30)
        inventory.add_items(SWORD)
        inventory.move(PACK + 2, PACK + 9)
        await inventory.save(one.repository())
        await one.leave(7)
        again = await joined(other, 7)
        assert again.items.tobytes() == inventory.items.tobytes()
        assert again.findings == ()
        for slot in [item.slot for item in again]:
            again.remove(slot)
        await again.save(other.repository())
        await other.leave(7)
        assert len(await joined(one, 7)) == 0


async def test_an_item_moved_on_and_on_while_saves_are_underway(realm, connector):
    inventory = await joined(connector, 7)
    inventory.add_items(SWORD)
    handles = [inventory.save(connector.repository())]
    for source, target in itertools.pairwise([PACK, PACK + 4, PACK + 5, PACK, PACK + 6]):
        inventory.move(source, target)
        handles.append(inventory.save(connector.repository()))
    await asyncio.gather(*handles)
    assert await is_stored(realm, inventory)


async def test_a_guid_that_exists_is_refused_with_all_that_waits_behind(realm, connector):
    one = await joined(connector, 7)
    one.add_items(SWORD)
    await one.save(connector.repository())
    taken = one.get(PACK).item_guid
    character = await connector.join(8)
    numbers = iter([taken])
    other = Inventory.from_items(
        8, character.items, CATALOG, PlayerState(), lambda count: [next(numbers)] * count
    )
    other.add_items(SWORD)
    first = other.save(connector.repository())
    other.move(PACK, PACK + 1)
    second = other.save(connector.repository())
    with pytest.raises(DuplicateItemGuidError):
        await first
    with pytest.raises(OperationRefusedError):
        await second
    assert (other.is_dirty, other.is_saving) == (True, False)
    other.remove(PACK + 1)
    await other.save(connector.repository())
    assert await is_stored(realm, one, other)


async def test_an_exchange_is_one_operation_whoever_saves(realm, connector):
    one, other = await joined(connector, 7), await joined(connector, 8)
    one.add_items(SWORD)
    other.add_items(POTION, 5)
    await save_together([one, other], connector.repository())
    before = realm.statistics.committed
    assert one.exchange([PACK], other, [PACK])
    outcome = await other.save(connector.repository())
    assert set(outcome.versions) == {7, 8}
    assert realm.statistics.committed == before + 1
    assert await is_stored(realm, one, other)
    other.change_item(PACK, durability=1)
    assert set((await other.save(connector.repository())).versions) == {8}


async def test_one_who_is_fenced_out_takes_no_part_of_a_trade_along(realm, world):
    async with world("world-1") as old, world("world-2") as new:
        one, other = await joined(old, 7), await joined(old, 8)
        one.add_items(POTION, 5)
        await one.save(old.repository())
        character = old.character(7)
        await new.join(7)  # the old world leaves as asked ...
        old._sessions.characters[7] = character  # ... but does not know.
        assert one.transfer([PACK], other)
        with pytest.raises(StaleSessionError):
            await other.save(old.repository())
        other.add_items(SWORD)
        with pytest.raises(StaleSessionError):
            await other.save(old.repository())
        assert await stored_potions(realm, 7, 8) == 5
        # Taken back on both sides, the other one is free.
        assert other.rollback() == [one, other]
        other.add_items(SWORD)
        await other.save(old.repository())
        assert await is_stored(realm, one, other)


async def test_one_who_is_not_joined_any_more_keeps_a_trade_unsaved(realm, connector):
    one, other = await joined(connector, 7), await joined(connector, 8)
    one.add_items(POTION, 5)
    await one.save(connector.repository())
    one.transfer([PACK], other)
    await connector.leave(8)
    for inventory in (one, other):
        with pytest.raises(JoinError, match="character 8"):
            inventory.save(connector.repository())
        assert (inventory.is_dirty, inventory.is_saving) == (True, False)
    assert await stored_potions(realm, 7, 8) == 5
    one.rollback()
    assert await is_stored(realm, one, other)


async def test_a_full_connector_takes_nothing_of_a_trade(realm, world):
    async with world(max_pending=1) as connector:
        one, other, third = [await joined(connector, guid) for guid in (7, 8, 9)]
        one.add_items(POTION, 5)
        await one.save(connector.repository())
        one.transfer([PACK], other)
        third.add_items(SWORD)
        third.save(connector.repository())
        with pytest.raises(LinkBusyError):
            one.save(connector.repository())
        assert (one.is_dirty, other.is_dirty, one.is_saving) == (True, True, False)
        await connector.flush()
        assert set((await other.save(connector.repository())).versions) == {7, 8}
        assert await is_stored(realm, one, other, third)


async def test_many_hands_at_once_lose_and_double_nothing(realm, connector):
    inventories = [await joined(connector, guid) for guid in range(1, 9)]
    for inventory in inventories:
        inventory.add_items(POTION, 10)
    handles = []
    for turn in range(60):
        one, other = inventories[turn % 8], inventories[(turn * 3 + 1) % 8]
        slots = [item.slot for item in one]
        if one is not other and slots:
            one.split(slots[0], PACK + 10 + turn % 5, 1)
            one.transfer([item.slot for item in one][-1:], other)
        handles.append(other.save(connector.repository()))
        if turn % 7 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*handles)
    await save_together(inventories, connector.repository())
    await connector.flush()
    assert await is_stored(realm, *inventories)
    assert await stored_potions(realm, *range(1, 9)) == 80
