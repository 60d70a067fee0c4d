"""Opens an SQLite file, creates the schema in an empty one, refuses any other version.

Two processes may do so at once. Runs on the thread that will use the connection.
"""

import sqlite3
import time
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from mmoinv.errors import ConfigurationError, SchemaVersionError
from mmoinv.stores.sqlite.bulk import STATEMENT_CACHE_SIZE, prepare

SCHEMA_VERSION = 1
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


def _create_or_check(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        names = _names(connection)
        if "mmoinv_meta" in names:
            _check_version(connection, path)
        else:
            _create(connection, path, names)
        prepare(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def inspect(path: str) -> bool:
    """Whether an SQLite file holds our schema, changing nothing; False if it is still empty.

    `SchemaVersionError` as when it is opened; sqlite3's errors. The file must be there.
    """
    # Even to read, SQLite makes files for the log (WAL) beside the database; with none there,
    # nothing waits in it and the file alone says everything.
    file = Path(path).resolve()
    mode = "mode=ro" if Path(f"{file}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True)) as connection:
        names = _names(connection)
        if "mmoinv_meta" in names:
            _check_version(connection, path)
            return True
        _check_clashes(names, path)
        return False


def _names(connection: sqlite3.Connection) -> set[str]:
    statement = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view', 'index')"
    return {name for (name,) in connection.execute(statement)}


def _check_version(connection: sqlite3.Connection, path: str) -> None:
    row = connection.execute(
        "SELECT value FROM mmoinv_meta WHERE name = 'schema_version'"
    ).fetchone()
    found = int(row[0]) if row else 0
    if found == SCHEMA_VERSION:
        return
    if found > SCHEMA_VERSION:
        remedy = "Use the newer mmoinv that wrote it; nothing was changed."
    else:
        remedy = "Start with a new file, or use the mmoinv that wrote it; nothing was changed."
    raise SchemaVersionError(
        f"database {path}: its schema is of version {found}, this mmoinv speaks version "
        f"{SCHEMA_VERSION}. {remedy}"
    )


def _check_clashes(names: set[str], path: str) -> None:
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(schema_text())
        ours = {name for (name,) in blank.execute("SELECT name FROM sqlite_schema")}
    clashing = sorted(name for name in ours & names if not name.startswith("sqlite_"))
    if clashing:
        raise SchemaVersionError(
            f"database {path}: {', '.join(clashing)} of someone else stands where mmoinv's "
            "tables go. Give the realm a database of its own; nothing was changed."
        )


def _create(connection: sqlite3.Connection, path: str, names: set[str]) -> None:
    _check_clashes(names, path)
    statement = ""
    for line in schema_text().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def schema_text() -> str:
    """The statements that create the schema."""
    return files("mmoinv.stores").joinpath("schema.sql").read_text("utf-8")
