"""A realm on a real socket and a real file, and worlds that log on to it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mmoinv.realm import RealmServer
from mmoinv.world import RealmConnector

SECRET = "secret of the tests"


@pytest.fixture
async def realm(tmp_path: Path) -> AsyncIterator[RealmServer]:
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        for name in ("world-1", "world-2"):
            await realm.add_world(name, SECRET)
        yield realm


@pytest.fixture
def world(realm: RealmServer) -> Callable[..., RealmConnector]:
    """Makes a connector to the realm that is not connected yet."""

    def make(name: str = "world-1", **settings: Any) -> RealmConnector:
        return RealmConnector("127.0.0.1", realm.port, world=name, secret=SECRET, **settings)

    return make


@pytest.fixture
async def connector(world: Callable[..., RealmConnector]) -> AsyncIterator[RealmConnector]:
    async with world() as connector:
        yield connector
