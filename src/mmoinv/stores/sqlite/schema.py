"""Opens an SQLite file; the schema in it is that of `mmoinv.stores.schema`.

Two processes may do so at once. Runs on the thread that will use the connection.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from mmoinv.errors import ConfigurationError
from mmoinv.stores.schema import is_current, require_current
from mmoinv.stores.sqlite.bulk import STATEMENT_CACHE_SIZE, prepare

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables."""
CACHE_KIB = 65536


def check_sqlite_version() -> None:
    """Raise `ConfigurationError` if the SQLite that Python was built with is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE[:2]))
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old, mmoinv needs {needed} or newer. "
            "Use a Python that brings a newer one."
        )


def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection with the settings that an answered commit needs; sqlite3's errors."""
    connection = sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,
        cached_statements=STATEMENT_CACHE_SIZE,
    )
    try:
        _use_wal(connection, busy_timeout_s)
        # FULL: in WAL mode each commit is on the disk before it returns.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        # Some distributions switch it on; it rewrites the room of every deleted row.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        _create_or_check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    # The change to WAL does not wait for another connection by itself.
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _create_or_check(raw: sqlite3.Connection, path: str) -> None:
    try:
        with engine_around(raw).connect() as connection:
            raw.execute("BEGIN IMMEDIATE")
            require_current(connection, f"sqlite:///{path}")
            prepare(raw)
            raw.execute("COMMIT")
    finally:
        if raw.in_transaction:
            raw.execute("ROLLBACK")


def inspect(path: str) -> bool:
    """Whether an SQLite file holds our schema, changing nothing; False if it is still empty.

    `SchemaVersionError` as when it is opened; sqlite3's errors. The file must be there.
    """
    with reading(path) as connection:
        return is_current(connection, f"sqlite:///{path}")


@contextmanager
def reading(path: str, busy_timeout_s: float = 5.0) -> Iterator[Connection]:
    """A transaction that cannot write, in a file that must be there; nothing beside it changes.

    While a program writes the file, whatever was committed before is read.
    """
    file = Path(path).resolve()
    # Even to read, SQLite makes files for the log (WAL) beside the database; with none there,
    # nothing waits in it and the file alone says everything.
    waits = Path(f"{file}-wal").exists() or not _logs_ahead(file)
    mode = "mode=ro" if waits else "mode=ro&immutable=1"
    with (
        closing(
            sqlite3.connect(
                f"{file.as_uri()}?{mode}", uri=True, timeout=busy_timeout_s, isolation_level=None
            )
        ) as raw,
        engine_around(raw).connect() as connection,
    ):
        raw.execute("BEGIN")
        yield connection


def _logs_ahead(file: Path) -> bool:
    """Whether the header of an SQLite file says WAL. Other files are locked while they are read,
    and what a crash left half-done in them is an error."""
    try:
        with file.open("rb") as opened:
            return opened.read(20)[18:] == b"\2\2"
    except OSError:
        return False  # SQLite says what is wrong.


@contextmanager
def transaction(path: str, busy_timeout_s: float) -> Iterator[Connection]:
    """A transaction that writes, in a file that must be there, whatever is in it."""
    file = Path(path).resolve()
    with closing(
        sqlite3.connect(
            f"{file.as_uri()}?mode=rw", uri=True, timeout=busy_timeout_s, isolation_level=None
        )
    ) as raw:
        raw.execute("PRAGMA synchronous = FULL")
        with engine_around(raw).connect() as connection:
            raw.execute("BEGIN IMMEDIATE")
            yield connection
            raw.execute("COMMIT")


def engine_around(raw: sqlite3.Connection) -> Engine:
    """SQLAlchemy on one open connection, which stays whoever's it is."""
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: raw,
        poolclass=StaticPool,
        pool_reset_on_return=None,
    )
    # Its first look at a connection ends with a rollback: now, not inside of a transaction.
    engine.connect().close()
    return engine
