"""Stores for the tests: what is in test_store_*.py runs against each kind there is."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mmoinv.stores import Store, store_for

MakeStore = Callable[[], Store]
STORES = ["sqlite"]


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes stores, not yet open, of the same new database."""
    assert request.param == "sqlite"
    return lambda: store_for(f"sqlite:///{tmp_path / 'realm.db'}")


@pytest.fixture
async def store(make_store: MakeStore) -> AsyncIterator[Store]:
    """A store of a new database, with two worlds."""
    async with make_store() as store:
        assert await store.add_world("world-1", "verifier 1") == 1
        assert await store.add_world("world-2", "verifier 2") == 2
        yield store
