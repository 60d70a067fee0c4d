"""Fixtures with real database servers; the tests' conftest imports them.

A server that cannot be had is a failure where `CI` is set, and elsewhere a skip that the end of
the run repeats: never a silent one.
"""

import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import pytest

from servers.database_server import DatabaseServer
from servers.mariadb import ForeignMariadbServer, MariadbServer
from servers.postgresql import ForeignPostgresqlServer, PostgresqlServer
from servers.process import ServerMissingError

POSTGRESQL_URL = "MMOINV_TEST_POSTGRESQL_URL"
MARIADB_URL = "MMOINV_TEST_MARIADB_URL"

T = TypeVar("T")

_missing: dict[str, None] = {}


def started(start: Callable[[], T]) -> T:
    """A server, or the test is skipped loudly; where `CI` is set it fails."""
    try:
        if not sys.platform.startswith("linux"):
            raise ServerMissingError(
                f"Database servers NOT TESTED: they are started on Linux only. "
                f"Remedy: {POSTGRESQL_URL} and {MARIADB_URL} name servers of yours"
            )
        return start()
    except ServerMissingError as missing:
        tell_what_is_missing(str(missing))


def tell_what_is_missing(sentence: str) -> NoReturn:
    """Skip this test, and say it again at the end of the run; where `CI` is set, fail."""
    _missing[sentence] = None
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{sentence} (CI is set: what is missing is a failure)")
    pytest.skip(sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say again what was not tested."""
    for sentence in _missing:
        terminalreporter.write_line(sentence, red=True, bold=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[DatabaseServer]:
    """A PostgreSQL server, of this session alone or the one of `MMOINV_TEST_POSTGRESQL_URL`."""
    url = os.environ.get(POSTGRESQL_URL)
    with ForeignPostgresqlServer(url) if url else started(PostgresqlServer) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """A MariaDB server, of this session alone or the one of `MMOINV_TEST_MARIADB_URL`."""
    url = os.environ.get(MARIADB_URL)
    with ForeignMariadbServer(url) if url else started(MariadbServer) as server:
        yield server


def _empty_database(server: DatabaseServer) -> Iterator[str]:
    if not server.running:
        server.start()
    url = server.new_database()
    yield url
    if not server.running:
        server.start()
    server.drop_database(url)


@pytest.fixture
def postgresql_url(postgresql_server: DatabaseServer) -> Iterator[str]:
    """A new, empty PostgreSQL database; dropped afterwards, whoever is still connected."""
    yield from _empty_database(postgresql_server)


@pytest.fixture
def mariadb_url(mariadb_server: DatabaseServer) -> Iterator[str]:
    """A new, empty MariaDB database; dropped afterwards, whoever is still connected."""
    yield from _empty_database(mariadb_server)
