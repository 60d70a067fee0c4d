"""Realms for the tests, on a real socket and a real file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mmoinv.realm import RealmServer


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'realm.db'}"


@pytest.fixture
async def realm(database_url: str) -> AsyncIterator[RealmServer]:
    async with RealmServer(database_url, port=0) as realm:
        for world in ("world-1", "world-2"):
            await realm.add_world(world, f"secret of {world}")
        yield realm


@pytest.fixture
def secret() -> str:
    return "secret of world-1"


@pytest.fixture
def other_secret() -> str:
    return "secret of world-2"
