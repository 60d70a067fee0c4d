"""Autosaves yield: to trades and log-outs when the database is slow, and when the bound is near."""

import asyncio
import sqlite3

import pytest

from mmoinv.errors import ConfigurationError, LinkBusyError
from mmoinv.inventory import Inventory, ItemCatalog, ItemTemplate, PlayerState, save_together
from mmoinv.world import Autosave, AutosaveSettings

POTION = ItemTemplate(2001, "potion", max_stack=20)
CATALOG = ItemCatalog([POTION])


async def joined(connector, count: int) -> list[Inventory]:
    inventories = []
    for guid in range(1, count + 1):
        await connector.join(guid)
        inventories.append(Inventory(guid, CATALOG, PlayerState(), connector.new_item_guids))
    return inventories


def watching(connector, inventories, max_unanswered: int) -> Autosave:
    settings = AutosaveSettings(
        debounce_s=0.001, retry_s=0.001, on_interval=False, max_unanswered=max_unanswered
    )
    autosave = Autosave(connector.repository(), settings)
    for inventory in inventories:
        autosave.add(inventory)
        inventory.add_items(POTION)
    return autosave


async def until_saved(autosave, inventories) -> None:
    async with asyncio.timeout(30):
        while any(inventory.is_dirty for inventory in inventories):
            autosave.tick()
            await asyncio.sleep(0.005)
        # The last answers are taken in.
        autosave.tick()


async def test_a_trade_and_a_log_out_find_few_autosaves_before_them(connector, tmp_path):
    *many, one, other, leaving = await joined(connector, 23)
    autosave = watching(connector, [*many, leaving], max_unanswered=4)
    locker = sqlite3.connect(tmp_path / "realm.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    await asyncio.sleep(0.01)
    assert autosave.tick() == 4
    await asyncio.sleep(0.01)
    assert autosave.tick() == 0
    assert connector.pending_count == 4
    one.add_items(POTION, 5)
    assert one.transfer([next(iter(one)).slot], other)
    trade = save_together([one, other], connector.repository())
    log_out = autosave.remove(leaving)
    assert log_out is not None
    ended: list[int] = []
    pending = connector.pending_operations
    assert [pending.index(each) for each in pending if each.token.handle is trade] == [4]
    for operation in pending:
        operation.token.handle.add_done_callback(lambda handle: ended.append(handle.operation_id))
    # The rest is due and stays so, however often it is looked at, until there are answers.
    assert [autosave.tick() for _ in range(5)] == [0] * 5
    locker.execute("ROLLBACK")
    locker.close()
    await until_saved(autosave, [*many, one, other, leaving])
    assert {trade.operation_id, log_out.operation_id} <= set(ended[:6])
    assert autosave.failures == {}


async def test_autosaves_beyond_the_bound_come_back_without_noise(world, realm, tmp_path, caplog):
    told = []
    async with world(max_pending=3) as connector:
        inventories = await joined(connector, 12)
        autosave = watching(connector, inventories, max_unanswered=100)
        autosave.on_failure = lambda *failure: told.append(failure)
        await asyncio.sleep(0.01)
        # One attempt that is turned away ends the tick: the others need not try.
        assert autosave.tick() == 3
        assert len(autosave.failures) == 1
        await until_saved(autosave, inventories)
    assert told == []
    assert autosave.failures == {}
    assert "could not be saved" not in caplog.text


async def test_the_last_tenth_of_the_bound_is_for_trades_and_log_outs(world, realm, tmp_path):
    async with world(max_pending=20) as connector:
        *many, one, other, leaving = await joined(connector, 33)
        autosave = watching(connector, [*many, leaving], max_unanswered=100)
        locker = sqlite3.connect(tmp_path / "realm.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(0.01)
        assert autosave.tick() == 18
        assert connector.is_busy
        assert autosave.failures == {}
        one.add_items(POTION, 5)
        assert one.transfer([next(iter(one)).slot], other)
        save_together([one, other], connector.repository())
        assert autosave.remove(leaving) is not None
        assert connector.pending_count == 20
        with pytest.raises(LinkBusyError):
            many[-1].save(connector.repository())
        locker.execute("ROLLBACK")
        locker.close()
        await until_saved(autosave, [*many, one, other, leaving])
        assert not connector.is_busy


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ConfigurationError, match="max_unanswered is 0"):
        AutosaveSettings(max_unanswered=0)
