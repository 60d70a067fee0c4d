"""Stores for the tests: those that ask for `make_store` run against each database there is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mmoinv.conformance.stores import MakeStore
from mmoinv.stores import Store, store_for

DATABASES = ["sqlite", "postgresql", "mariadb"]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'realm.db'}"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def make_store(database_url: str) -> MakeStore:
    """Makes stores, not yet open, of the same new database."""
    return lambda: store_for(database_url)


@pytest.fixture
async def store(make_store: MakeStore) -> AsyncIterator[Store]:
    """A store of a new database, with two worlds."""
    async with make_store() as store:
        assert await store.add_world("world-1", "verifier 1") == 1
        assert await store.add_world("world-2", "verifier 2") == 2
        yield store
