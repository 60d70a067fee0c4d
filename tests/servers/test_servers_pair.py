"""A pair of PostgreSQL servers: what was committed is there after the standby took over."""

import asyncio
from collections.abc import Iterator

import pytest

from servers.database_server import DatabaseServer
from servers.fixtures import started
from servers.postgresql_pair import PostgresqlPair


@pytest.fixture
def pair(postgresql_server: DatabaseServer) -> Iterator[PostgresqlPair]:
    """Depends on the one server: where that one cannot be had, this one cannot either."""
    with started(PostgresqlPair) as pair:
        yield pair


async def test_the_standby_takes_over_with_every_row_that_was_committed(
    pair: PostgresqlPair,
) -> None:
    import asyncpg

    url = pair.new_database()
    connection = await asyncpg.connect(url, target_session_attrs="read-write")
    await connection.execute("CREATE TABLE item (guid INT PRIMARY KEY)")
    committed: list[int] = []

    async def commit_until_it_dies() -> None:
        for guid in range(1_000_000):
            await connection.execute("INSERT INTO item VALUES ($1)", guid)
            committed.append(guid)

    writing = asyncio.create_task(commit_until_it_dies())
    while len(committed) < 100:
        await asyncio.sleep(0)
    await asyncio.to_thread(pair.primary.kill)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await writing
    connection.terminate()

    await asyncio.to_thread(pair.promote_standby)
    connection = await asyncpg.connect(url, target_session_attrs="read-write")
    there = [row["guid"] for row in await connection.fetch("SELECT guid FROM item ORDER BY guid")]
    # One more may have been committed than was answered.
    assert there[: len(committed)] == committed
    assert len(there) <= len(committed) + 1
    await connection.execute("INSERT INTO item VALUES (-1)")
    await connection.close()
    pair.drop_database(url)


async def test_a_commit_waits_for_the_standby(pair: PostgresqlPair) -> None:
    pair.execute("CREATE TABLE item (guid INT PRIMARY KEY)")
    pair.standby.kill()
    writing = asyncio.create_task(asyncio.to_thread(pair.execute, "INSERT INTO item VALUES (7)"))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    while await asyncio.to_thread(pair.execute, waiting) != [(1,)]:
        assert not writing.done()
    pair.standby.start()
    await writing
    pair.wait_in_sync()
    assert pair.standby.execute("SELECT guid FROM item") == [(7,)]
