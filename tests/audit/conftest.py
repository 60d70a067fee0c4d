"""Databases for the tests of the audit, on each kind of server."""

from pathlib import Path

import pytest
from small_shard import play

from mmoinv.stores import store_for
from mmoinv.stores.sql_store import SqlStore


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> SqlStore:
    """A database that is not open, after `play`."""
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    store = store_for(url)
    assert isinstance(store, SqlStore)
    async with store:
        await play(store)
    return store


@pytest.fixture
async def store_on_sqlite(tmp_path: Path) -> SqlStore:
    """The same on SQLite alone, for what is the same statements everywhere."""
    store = store_for(f"sqlite:///{tmp_path / 'realm.db'}")
    assert isinstance(store, SqlStore)
    async with store:
        await play(store)
    return store
