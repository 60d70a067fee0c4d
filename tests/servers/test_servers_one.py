"""A throw-away server: databases that are apart, what a kill -9 keeps, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmoinv.torture.servers import watchdog
from servers.database_server import DatabaseServer


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    if not found.running:
        found.start()
    return found


TABLES = (
    "SELECT count(*) FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'mysql', 'sys', "
    "'performance_schema', 'mmoinv') AND table_schema IN ('public', '{name}')"
)


def test_new_databases_are_empty_and_apart(server: DatabaseServer) -> None:
    one, two = server.new_database(), server.new_database(tcp=True)
    try:
        server.execute("CREATE TABLE item (guid INT PRIMARY KEY)", url=one)
        counts = [
            server.execute(TABLES.format(name=url.partition("?")[0].rpartition("/")[2]), url=url)
            for url in (one, two)
        ]
        assert counts == [[(1,)], [(0,)]]
    finally:
        server.drop_database(one)
        server.drop_database(two)
    with pytest.raises(Exception, match=r"does not exist|Unknown database"):
        server.execute("SELECT 1", url=one)


def test_it_says_its_version(server: DatabaseServer) -> None:
    assert int(server.version.partition(".")[0]) >= 10


async def test_a_database_is_dropped_under_a_transaction_on_it(server: DatabaseServer) -> None:
    url = server.new_database()
    server.execute("CREATE TABLE item (guid INT PRIMARY KEY)", url=url)
    if url.startswith("postgresql"):
        import asyncpg

        connection = await asyncpg.connect(url)
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO item VALUES (1)")
        server.drop_database(url)
        connection.terminate()
    else:
        from mmoinv.torture.servers.mariadb import _connected

        connection = await _connected(url)
        cursor = connection.cursor()
        await cursor.execute("BEGIN")
        await cursor.execute("INSERT INTO item VALUES (1)")
        server.drop_database(url)
        connection.close()
    with pytest.raises(Exception, match=r"does not exist|Unknown database"):
        server.execute("SELECT 1", url=url)


def test_a_database_that_was_not_made_here_is_not_dropped(server: DatabaseServer) -> None:
    with pytest.raises(ValueError, match="not dropped"):
        server.drop_database(server.url)


def test_kill_and_start_keep_what_was_committed(server: DatabaseServer) -> None:
    if not server.started_here:
        for ending in (server.kill, server.stop):
            with pytest.raises(NotImplementedError, match="not started here"):
                ending()
        return
    url = server.new_database()
    server.execute(
        "CREATE TABLE item (guid INT PRIMARY KEY)", "INSERT INTO item VALUES (7)", url=url
    )
    server.kill()
    assert not server.running
    with pytest.raises(Exception, match=r"refused|[Cc]onnect call failed"):
        server.execute("SELECT 1", url=server.tcp_url)
    server.start()
    assert server.execute("SELECT guid FROM item", url=url) == [(7,)]
    server.drop_database(url)
    server.stop()
    assert not server.running
    server.start()
    assert server.execute("SELECT 1", url=server.tcp_url) == [(1,)]


def test_a_full_disk_refuses_what_is_written_and_keeps_what_was(server: DatabaseServer) -> None:
    if not server.started_here:
        with pytest.raises(NotImplementedError, match="not started here"):
            server.limit_files(4096)
        return
    url = server.new_database()
    server.execute(
        "CREATE TABLE item (guid INT PRIMARY KEY, text VARCHAR(255))",
        "INSERT INTO item VALUES (0, 'kept')",
        url=url,
    )
    server.limit_files(4096)
    # Neither goes on without its log: MariaDB ends, PostgreSQL ends its children.
    with pytest.raises(Exception, match=r"too large|Lost connection"):
        server.execute("INSERT INTO item VALUES (1, 'refused')", url=url)
    server.limit_files(None)
    server.kill()
    server.start()
    assert server.execute("SELECT text FROM item", url=url) == [("kept",)]
    server.drop_database(url)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_a_fixtures_database_is_empty_also_when_the_server_was_killed_before(
    request: pytest.FixtureRequest, database: str
) -> None:
    server: DatabaseServer = request.getfixturevalue(f"{database}_server")
    if server.started_here:
        server.kill()
    url: str = request.getfixturevalue(f"{database}_url")
    server.execute("CREATE TABLE item (guid INT PRIMARY KEY)", url=url)


TESTS = str(Path(__file__).parents[1])
SESSION = """
import sys, time
from servers.{module} import {name}
with {name}() as server:
    print(server._folder.path, server._process._process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize(
    ("module", "name"), [("postgresql", "PostgresqlServer"), ("mariadb", "MariadbServer")]
)
def test_nothing_is_left_when_its_starter_is_ended(
    request: pytest.FixtureRequest, module: str, name: str, signal_name: str
) -> None:
    request.getfixturevalue(f"{module}_server")  # or it is skipped
    path = [os.environ.get("PYTHONPATH")]
    starter = subprocess.Popen(
        [sys.executable, "-c", SESSION.format(module=module, name=name)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *filter(None, path)])},
    )
    assert starter.stdout is not None
    folder, pid = starter.stdout.readline().split()
    family = [int(pid), *watchdog.descendants(int(pid))]
    starter.send_signal(getattr(signal, signal_name))
    starter.communicate()
    until = time.monotonic() + 30
    while any(map(watchdog.alive, family)) or Path(folder).exists():
        assert time.monotonic() < until, f"{family} or {folder} is still there"
        time.sleep(0.01)
