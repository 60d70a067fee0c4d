"""Whatever becomes of the database's server, each answered commit is stored once, and the
realm goes on by itself: killed and started again, failed over, a node of a cluster gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from servers.fixtures import started
from servers.galera import GaleraCluster
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer
from servers.postgresql_pair import PostgresqlPair

from mmoinv import InventoryUnitOfWork, RealmConnector, RealmServer
from mmoinv.realm import RealmLimits
from mmoinv.records import InventoryItemData
from mmoinv.stores import open_store
from mmoinv.stores.settings import StoreSettings

CHARACTERS = range(2**63 - 10, 2**63 + 10)
SLOT = 255 << 8 | 23
pytestmark = pytest.mark.timeout(180)


class Disaster(NamedTuple):
    """A database, and what happens to it while players save. The writer is gone after
    ``strike``; after ``relief`` something takes writes again."""

    url: str
    strike: Callable[[], Any]
    relief: Callable[[], Any]


@pytest.fixture(
    params=["postgresql killed", "mariadb killed", "standby promoted", "galera node killed"]
)
def disaster(request: pytest.FixtureRequest) -> Iterator[Disaster]:
    kinds: dict[str, Callable[[], Any]] = {
        "postgresql killed": PostgresqlServer,
        "mariadb killed": MariadbServer,
        "standby promoted": PostgresqlPair,
        "galera node killed": GaleraCluster,
    }
    with started(kinds[request.param]) as server:
        url = server.new_database()
        if isinstance(server, PostgresqlPair):
            yield Disaster(url, server.primary.kill, server.promote_standby)
        elif isinstance(server, GaleraCluster):
            # The first host of the URL is the one that is written to.
            yield Disaster(url, lambda: server.kill(0), lambda: None)
        else:
            yield Disaster(url, server.kill, server.start)


class Player:
    """One item, whose durability counts the commits."""

    def __init__(self, unit: InventoryUnitOfWork, guid: int, items: Any) -> None:
        self.guid = guid
        self.unit = unit
        self.items = items
        self.answered = 0

    async def save(self) -> None:
        changed = self.items.copy()
        changed["durability"] += 1
        self.unit.register_changes(self.guid, self.items, changed)
        await self.unit.commit()
        self.items = changed
        self.answered += 1

    async def play(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.save()


@asynccontextmanager
async def playing(realm: RealmServer, secret: str) -> AsyncIterator[list[Player]]:
    """Players who have an item each, at a world server."""
    async with RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as connector:
        players = []
        for guid in CHARACTERS:
            character = await connector.join(guid)
            unit = InventoryUnitOfWork(connector.repository())
            (item_guid,) = connector.new_item_guids(1).tolist()
            items = InventoryItemData(
                entry=1, slot=SLOT, stack_count=1, item_guid=item_guid
            ).as_batch()
            unit.register_changes(guid, character.items, items)
            await unit.commit()
            players.append(Player(unit, guid, items))
        yield players


async def test_what_was_answered_is_stored_once(disaster: Disaster) -> None:
    limits = RealmLimits(retry_s=60.0)
    settings = StoreSettings(statement_timeout_s=5.0)
    async with RealmServer(disaster.url, port=0, limits=limits, store_settings=settings) as realm:
        secret = await realm.add_world("world-1")
        async with playing(realm, secret) as players:
            stop = asyncio.Event()
            tasks = [asyncio.create_task(player.play(stop)) for player in players]
            await until(players, 5)
            await asyncio.to_thread(disaster.strike)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(disaster.relief)
            before = [player.answered for player in players]
            await until(players, max(before) + 5)
            stop.set()
            await asyncio.gather(*tasks)
        assert realm.statistics.retries > 0
        assert realm.statistics.abandoned == 0
    async with await open_store(disaster.url) as store:
        owners, items = await store.read_inventories(CHARACTERS[0], CHARACTERS[-1])
        assert owners.tolist() == list(CHARACTERS)
        assert items["durability"].tolist() == [player.answered for player in players]
        for player in players:
            session = await store.read_session(player.guid)
            assert session is not None
            assert session.version == player.answered + 1
        counts = await store.counts()
        assert counts.applied_operations == sum(player.answered + 1 for player in players)
        assert len(np.unique(items["item_guid"])) == len(players)


async def until(players: list[Player], commits: int) -> None:
    async with asyncio.timeout(60):
        while min(player.answered for player in players) < commits:
            await asyncio.sleep(0.02)
