"""A link that is lost comes back: sessions are claimed again, nothing is saved twice or not at all.

Against a real realm that is closed and started again on its port, or killed, and against one that
swallows answers.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from inventories import SECRET, SilentRealm, potion, potions, same

from mmoinv import InventoryUnitOfWork, RealmConnector
from mmoinv.codec import sort_by_slot
from mmoinv.errors import (
    JoinError,
    LinkBusyError,
    LinkError,
    OperationPendingError,
    StaleSessionError,
)
from mmoinv.realm import RealmServer
from mmoinv.records import empty_batch
from mmoinv.world import ConnectorState, UnsavedOperation

NOTHING = empty_batch()


class Restartable:
    """A realm on one file and one port that can be stopped and started."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.port = 0

    async def start(self) -> None:
        self.realm = RealmServer(self.url, port=self.port)
        await self.realm.start()
        self.port = self.realm.port

    async def restart(self) -> None:
        await self.realm.close()
        await self.start()


@pytest.fixture
async def restartable(tmp_path: Path) -> AsyncIterator[Restartable]:
    realm = Restartable(tmp_path / "realm.db")
    await realm.start()
    for name in ("world-1", "world-2"):
        await realm.realm.add_world(name, SECRET)
    yield realm
    await realm.realm.close()


def connector_to(port: int, world: str = "world-1", **settings: object) -> RealmConnector:
    return RealmConnector(
        "127.0.0.1", port, world=world, secret=SECRET, reconnect_longest_s=0.2, **settings
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_is_committed_while_there_is_no_link_is_saved_after_it(restartable):
    async with connector_to(restartable.port) as connector:
        character = await connector.join(7)
        states: list[ConnectorState] = []
        connector.on_state_changed = states.append
        first_epoch = connector.node_epoch
        repository = connector.repository()
        await repository.save_item(7, potion(0, 1))
        await restartable.realm.close()
        await until(lambda: connector.state is ConnectorState.RECONNECTING)
        handles = [repository.save_item(7, potion(place, place + 1)) for place in range(1, 4)]
        with pytest.raises(LinkError, match="sought again"):
            await connector.join(8)
        assert connector.oldest_pending_age_s > 0
        await restartable.start()
        for handle in handles:
            await handle
        assert connector.state is ConnectorState.CONNECTED
        assert states == [ConnectorState.RECONNECTING, ConnectorState.CONNECTED]
        assert connector.reconnect_count == 1
        assert connector.node_epoch > first_epoch
        assert connector.character(7) is character
        assert character.version == 4
        assert connector.oldest_pending_age_s == 0
        session = await restartable.realm.store.read_session(7)
        assert (session.epoch, session.version) == (character.epoch, 4)
        stored = await restartable.realm.store.read_items(7)
        assert same(sort_by_slot(stored), sort_by_slot(connector.repository().load_items(7)))
        await connector.join(8)


async def test_an_answer_that_was_lost_comes_again_and_nothing_is_applied_twice(restartable):
    """The realm commits, and the link is cut before the world hears of it."""
    async with connector_to(restartable.port) as connector:
        await connector.join(7)
        repository = connector.repository()
        store = restartable.realm.store
        write_group = store.write_group

        async def commit_and_cut(entries, mint_guids=None):
            outcomes = await write_group(entries, mint_guids)
            for link in list(restartable.realm._parts.links):
                link.abort()
            store.write_group = write_group
            return outcomes

        store.write_group = commit_and_cut
        handle = repository.save_item(7, potion(0, 1))
        outcome = await handle
        assert outcome.status == 1  # Already committed.
        assert connector.reconnect_count == 1
        assert (await store.read_session(7)).version == 1 == connector.character(7).version
        await repository.save_item(7, potion(1, 2))
        assert connector.character(7).version == 2


async def test_whose_session_was_taken_meanwhile_is_fenced_out_for_good(restartable, caplog):
    connector = connector_to(restartable.port)
    await connector.connect()
    await connector.join(7)
    await connector.join(8)
    repository = connector.repository()
    lost: list[tuple[int, str]] = []
    connector.on_session_lost = lambda guid, reason: lost.append((guid, reason))
    await restartable.realm.close()
    await until(lambda: connector.state is ConnectorState.RECONNECTING)
    stale = repository.save_item(7, potion(0, 1))
    behind = repository.save_item(7, potion(1, 2))
    fine = repository.save_item(8, potion(0, 3))
    # The other world is quicker: there is a second realm process on the database.
    async with (
        RealmServer(restartable.url, port=0) as second,
        connector_to(second.port, "world-2") as other,
    ):
        taken = await other.join(7)
        await other.repository().save_item(7, potion(5, 50))
        await restartable.start()
        with pytest.raises(StaleSessionError):
            await stale
        with pytest.raises(StaleSessionError, match="waited behind"):
            await behind
        await fine
        assert [guid for guid, _ in lost] == [7]
        assert "another world" in lost[0][1]
        await until(lambda: connector.character(7) is None)
        with pytest.raises(JoinError, match="not joined here"):
            repository.save_item(7, potion(2, 4))
        assert connector.character(8) is not None
        assert taken.version == 1
        stored = await restartable.realm.store.read_items(7)
        assert stored["item_guid"].tolist() == [50]
    await connector.close()
    assert "its session is gone" in caplog.text


async def test_a_session_that_was_taken_while_linked_is_told_at_the_first_refusal(restartable):
    """Another realm process on the database gave it to another world."""
    async with (
        RealmServer(restartable.url, port=0) as second,
        connector_to(restartable.port) as connector,
        connector_to(second.port, "world-2") as other,
    ):
        lost: list[int] = []
        connector.on_session_lost = lambda guid, reason: lost.append(guid)
        await connector.join(7)
        await connector.join(8)
        await other.join(7)
        unit = InventoryUnitOfWork(connector.repository())
        unit.register_changes(7, NOTHING, potions([1]))
        unit.register_changes(8, NOTHING, potions([2]))
        with pytest.raises(StaleSessionError):
            await unit.commit()
        await until(lambda: lost)
        assert lost == [7]
        await until(lambda: connector.character(7) is None)
        await connector.repository().save_item(8, potion(0, 2))


async def test_who_left_while_there_was_no_link_is_given_back(restartable):
    async with connector_to(restartable.port) as connector:
        await connector.join(7)
        await restartable.realm.close()
        await until(lambda: connector.state is ConnectorState.RECONNECTING)
        await connector.leave(7)
        assert connector.character(7) is None
        await restartable.start()
        await until(lambda: connector.state is ConnectorState.CONNECTED)
        await connector.join(8)
        assert not (await restartable.realm.store.read_session(7)).online


async def test_a_leave_with_something_pending_waits_for_the_link(restartable):
    async with connector_to(restartable.port) as connector:
        await connector.join(7)
        await restartable.realm.close()
        await until(lambda: connector.state is ConnectorState.RECONNECTING)
        handle = connector.repository().save_item(7, potion(0, 1))
        leaving = asyncio.create_task(connector.leave(7))
        await asyncio.sleep(0.1)
        assert not leaving.done()
        with pytest.raises(JoinError, match="is leaving"):
            connector.repository().save_item(7, potion(1, 2))
        await restartable.start()
        await leaving
        assert handle.exception is None
        await connector.join(8)
        session = await restartable.realm.store.read_session(7)
        assert (session.online, session.version) == (False, 1)


async def test_pending_work_is_bounded_while_there_is_no_link(restartable):
    async with connector_to(restartable.port, max_pending=2) as connector:
        await connector.join(7)
        await restartable.realm.close()
        await until(lambda: connector.state is ConnectorState.RECONNECTING)
        repository = connector.repository()
        handles = [repository.save_item(7, potion(place, place + 1)) for place in range(2)]
        with pytest.raises(LinkBusyError, match="limit of 2 operations"):
            repository.save_item(7, potion(2, 3))
        await restartable.start()
        for handle in handles:
            await handle
        await repository.save_item(7, potion(2, 3))


async def test_a_delay_is_told_and_its_end(restartable):
    connector = connector_to(restartable.port, delayed_after_s=0.3)
    told: list[object] = []
    connector.on_saving_delayed = lambda age_s: told.append(age_s)
    connector.on_saving_resumed = lambda: told.append("resumed")
    async with connector:
        await connector.join(7)
        await restartable.realm.close()
        await until(lambda: connector.state is ConnectorState.RECONNECTING)
        handle = connector.repository().save_item(7, potion(0, 1))
        await until(lambda: told)
        assert told[0] > 0.3
        await restartable.start()
        await handle
        await until(lambda: len(told) == 2)
        assert told[1] == "resumed"


async def test_close_says_what_is_not_saved(restartable, caplog):
    connector = connector_to(restartable.port)
    await connector.connect()
    await connector.join(7)
    await restartable.realm.close()
    await until(lambda: connector.state is ConnectorState.RECONNECTING)
    handle = connector.repository().save_item(7, potion(0, 1))
    assert not await connector.flush(0.1)
    await connector.close(timeout_s=0.1)
    assert connector.unsaved == [UnsavedOperation(handle.operation_id, (7,), False)]
    assert f"{handle.operation_id:#x} of character 7, not saved" in caplog.text
    with pytest.raises(OperationPendingError, match="never sent: it is not saved"):
        await handle
    await connector.close()


async def test_a_link_that_is_lost_while_sessions_are_claimed_is_sought_again():
    """The realm logs the world on, and cuts the link at the first re-claims."""
    async with SilentRealm() as silent:
        connector = connector_to(silent.port)
        await connector.connect()
        await connector.join(7)
        handle = connector.repository().save_item(7, potion(0, 1))
        await silent.operations(1)
        silent.cut_at_joins = 2
        silent.cut()
        await silent.operations(2)
        assert silent.received[1][0] == handle.operation_id
        assert silent.cut_at_joins == 0
        assert silent.received[1][2] == 4  # REPEATED
        silent.answer(1)
        await handle
        await connector.close(0.1)


async def test_a_realm_that_is_killed_loses_nothing(tmp_path, caplog):
    """kill -9, many times, under load: each answered save is stored, and each is answered."""
    caplog.set_level(logging.ERROR, "mmoinv.world")
    database = tmp_path / "realm.db"
    async with RealmServer(f"sqlite:///{database}", port=0) as realm:
        await realm.add_world("world-1", SECRET)
        port = realm.port

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mmoinv", "realm", "--database", f"sqlite:///{database}"),
            *("--port", str(port)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return process
                await asyncio.sleep(0.05)

    process = await start()
    guids = range(1, 21)
    try:
        async with connector_to(port) as connector:
            for guid in guids:
                await connector.join(guid)
            repository = connector.repository()
            stop = asyncio.Event()
            saved = dict.fromkeys(guids, 0)

            async def play(guid: int) -> None:
                while not stop.is_set():
                    number = saved[guid] + 1
                    await repository.save_item(guid, potion(0, guid, 1 + number % 200))
                    saved[guid] = number

            players = [asyncio.create_task(play(guid)) for guid in guids]
            for _ in range(3):
                await asyncio.sleep(0.4)
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                process = await start()
            await until(lambda: connector.reconnect_count >= 3)
            stop.set()
            await asyncio.gather(*players)
            versions = {guid: connector.character(guid).version for guid in guids}
            assert versions == saved
            with contextlib.closing(sqlite3.connect(database)) as file:
                stored = {
                    guid: (version, stack)
                    for guid, version, stack in file.execute(
                        "SELECT s.character_guid, s.version, i.stack_count FROM character_session"
                        " s JOIN character_inventory i USING (character_guid)"
                    )
                }
            assert stored == {guid: (saved[guid], 1 + saved[guid] % 200) for guid in guids}
            assert sum(saved.values()) > 100
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
