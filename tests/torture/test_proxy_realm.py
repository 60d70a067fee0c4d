"""Proxy, journal and checker around a realm: what was spoiled is there wholly or not at all."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmoinv.errors import MmoinvError
from mmoinv.realm import RealmServer
from mmoinv.records import Batch, InventoryItemData, batch_of
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.repository.changes import NO_SLOTS
from mmoinv.stores import store_for
from mmoinv.torture import (
    Answer,
    Change,
    Direction,
    FaultProxy,
    Findings,
    Journal,
    Sent,
    Stored,
    check,
    read_journals,
)
from mmoinv.torture.journal import Amount
from mmoinv.world import ConnectorState, RealmConnector

CHARACTERS = (7, 8)


class Attacked:
    """A realm on a file, a proxy before it, and a world behind that which keeps a journal."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "realm.db"
        self.journal_path = folder / "world-1.jsonl"
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Attacked":
        enter = self._stack.enter_async_context
        self.realm = await enter(RealmServer(f"sqlite:///{self.database}", port=0))
        secret = await self.realm.add_world("world-1")
        self.proxy = await enter(FaultProxy("127.0.0.1", self.realm.port))
        self.journal = self._stack.enter_context(Journal(self.journal_path))
        self.world = RealmConnector(
            self.proxy.host, self.proxy.port, world="world-1", secret=secret
        )
        await self.world.connect()
        self._stack.push_async_callback(self.world.close, timeout_s=0.05)
        for guid in CHARACTERS:
            await self.world.join(guid)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def loot(self, slot: int) -> OperationHandle:
        """A new item for each of the characters, in one operation, written down as it is sent."""
        changes, created = [], []
        for guid in CHARACTERS:
            item = InventoryItemData(2001, slot, 3, item_guid=self.world.new_item_guids()[0])
            created.append(Amount(item.item_guid, item.entry, item.stack_count))
            changes.append(CharacterChanges(guid, batch_of(item), NO_SLOTS))
        handle = self.world.submit(changes, 0)
        # Still before it is on the wire: the connector writes in the next turn of the loop.
        self.journal.write(
            Sent(handle.operation_id, "world-1", [self._change(each) for each in changes], created)
        )
        return handle

    def _change(self, changes: CharacterChanges) -> Change:
        character = self.world.character(changes.character_guid)
        assert character is not None
        return Change(changes.character_guid, character.version, changes.saves.tolist())

    async def answered(self, handle: OperationHandle) -> None:
        outcome = await handle
        self.journal.write(Answer(outcome.operation_id, outcome.status, outcome.versions))

    async def lost(self) -> None:
        while self.world.state is ConnectorState.CONNECTED:
            await asyncio.sleep(0.005)

    def applied(self) -> Sequence[int]:
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            rows = database.execute("select operation_id from applied_operation")
            return [row[0] for row in rows]

    async def check(self) -> Findings:
        """Ends world and realm, so that nothing is on its way, and lets the checker look."""
        await self.world.close(timeout_s=0.05)
        await self.realm.close()
        records: dict[int, Batch] = {}
        versions: dict[int, int] = {}
        async with store_for(f"sqlite:///{self.database}") as store:
            for guid in CHARACTERS:
                session = await store.read_session(guid)
                assert session is not None
                records[guid], versions[guid] = await store.read_items(guid), session.version
        stored = Stored(records, versions, applied=self.applied())
        return check(read_journals([self.journal_path]), stored)


async def test_without_faults(tmp_path):
    async with Attacked(tmp_path) as attacked:
        for slot in (23, 24):
            await attacked.answered(attacked.loot(slot))
        assert await attacked.check() == Findings(operations=2, acknowledged=2)


async def test_answers_are_lost_and_the_commit_is_done(tmp_path):
    async with Attacked(tmp_path) as attacked:
        await attacked.answered(attacked.loot(23))
        attacked.proxy.drop_answers(3600)
        handle = attacked.loot(24)
        while not attacked.proxy.counts["drop_answers"]:
            await asyncio.sleep(0.005)
        attacked.proxy.cut()
        await attacked.lost()
        assert not handle.done
        assert handle.operation_id in attacked.applied()
        assert await attacked.check() == Findings(operations=2, acknowledged=1)


async def test_a_truncated_commit_is_not_there_at_all(tmp_path):
    async with Attacked(tmp_path) as attacked:
        await attacked.answered(attacked.loot(23))
        attacked.proxy.truncate_frame(Direction.TO_REALM)
        handle = attacked.loot(24)
        await attacked.lost()
        assert attacked.proxy.counts == {"truncate_frame": 1}
        assert handle.operation_id not in attacked.applied()
        assert await attacked.check() == Findings(operations=2, acknowledged=1)


async def test_a_duplicated_connection_is_refused_without_harm(tmp_path):
    async with Attacked(tmp_path) as attacked:
        await attacked.answered(attacked.loot(23))
        attacked.proxy.duplicate_connections()
        while not attacked.proxy.refused_duplicates:
            await asyncio.sleep(0.005)
        await attacked.answered(attacked.loot(24))
        assert attacked.proxy.counts == {"duplicate_connections": 1}
        assert await attacked.check() == Findings(operations=2, acknowledged=2)


async def test_slow_links_lose_nothing(tmp_path):
    async with Attacked(tmp_path) as attacked:
        attacked.proxy.delay(0.01, jitter=0.02)
        attacked.proxy.throttle(20_000)
        for slot in range(23, 28):
            attacked.proxy.hang(0.02)
            await attacked.answered(attacked.loot(slot))
        assert set(attacked.proxy.counts) == {"delay", "throttle", "hang"}
        assert await attacked.check() == Findings(operations=5, acknowledged=5)


@pytest.mark.parametrize("fault", ["cut", "half_close"])
async def test_a_link_that_ends_in_between(tmp_path, fault):
    async with Attacked(tmp_path) as attacked:
        await attacked.answered(attacked.loot(23))
        handle = attacked.loot(24)
        if fault == "cut":
            attacked.proxy.cut()
        else:
            attacked.proxy.half_close(Direction.TO_WORLD)
        await attacked.lost()
        await attacked.world.close(timeout_s=0.05)
        with pytest.raises(MmoinvError):
            await handle
        assert attacked.proxy.counts == {fault: 1}
        assert (await attacked.check()).problems == []
