"""The schema's version: created in an empty database, moved up or down, any other refused.

Works on one open SQLAlchemy connection, inside the transaction of whoever calls; two processes
may do so at once. Alembic is loaded only when something is to be changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Connection, inspect, text

from mmoinv.errors import SchemaVersionError
from mmoinv.stores.tables import META, VERSION_TABLE, table_names

SCHEMA_VERSION = "0005"
"""The one that this mmoinv speaks: the newest of `mmoinv.stores.migrations`."""
OLDEST_VERSION = "0001"
LOCK_NUMBER = 0x6D6D6F696E76
"""Of PostgreSQL's advisory lock: "mmoinv"."""
LOCK_TIMEOUT_S = 60


class State(Enum):
    """What a database is to us."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


class Schema(NamedTuple):
    """What a database holds; ``version`` is empty where there is none."""

    state: State
    version: str


def schema_of(connection: Connection, database: str) -> Schema:
    """What the database holds; `SchemaVersionError` if someone else's tables stand where ours
    go. ``database`` is its URL, without a password, for messages."""
    inspector = inspect(connection)
    names = {*inspector.get_table_names(), *inspector.get_view_names()}
    version = ""
    if VERSION_TABLE in names:
        version = (
            connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() or ""
        )
    elif META.name in names:
        number = connection.execute(
            text("SELECT value FROM mmoinv_meta WHERE name = 'schema_version'")
        ).scalar()
        # Before Alembic a number was kept; what is not the first one is no version of ours.
        version = OLDEST_VERSION if number == 1 else f"{number or 0}?"
    else:
        clashing = sorted(names & set(table_names()))
        if clashing:
            raise SchemaVersionError(
                f"database {database}: {', '.join(clashing)} of someone else stands where mmoinv's "
                "tables go. Give the realm a database of its own; nothing was changed."
            )
    if not version:
        return Schema(State.EMPTY, version)
    if version == SCHEMA_VERSION:
        return Schema(State.CURRENT, version)
    known = version.isdigit() and OLDEST_VERSION <= version < SCHEMA_VERSION
    return Schema(State.OLDER if known else State.NEWER, version)


def is_current(connection: Connection, database: str) -> bool:
    """Whether the database holds the schema; False if it is still empty, `SchemaVersionError` if
    it holds another version."""
    schema = schema_of(connection, database)
    if schema.state in (State.OLDER, State.NEWER):
        raise SchemaVersionError(_refusal(schema, database))
    return schema.state is State.CURRENT


def require_readable(connection: Connection, database: str) -> None:
    """`SchemaVersionError` unless the database holds the schema; creates nothing."""
    if not is_current(connection, database):
        raise SchemaVersionError(
            f"database {database} is empty: no realm has used it yet. Check the URL; nothing was "
            "changed."
        )


def require_current(connection: Connection, database: str) -> None:
    """Creates the schema in an empty database; `SchemaVersionError` if it has another version."""
    if schema_of(connection, database).state is State.CURRENT:
        return
    with _alone(connection):
        # Someone else may have been quicker, or, where DDL is seen at once, half-way through.
        if not is_current(connection, database):
            _move(connection, SCHEMA_VERSION)


def upgrade(connection: Connection, database: str) -> Schema:
    """Bring the schema to `SCHEMA_VERSION`, from nothing or an older one; what it was before."""
    with _alone(connection):
        schema = schema_of(connection, database)
        if schema.state is State.NEWER:
            raise SchemaVersionError(_refusal(schema, database))
        _move(connection, SCHEMA_VERSION)
    return schema


def downgrade(connection: Connection, database: str, version: str) -> Schema:
    """Bring the schema down to an older version, for an older mmoinv; what it was before."""
    with _alone(connection):
        schema = schema_of(connection, database)
        if schema.state is State.NEWER:
            raise SchemaVersionError(_refusal(schema, database))
        if not OLDEST_VERSION <= version <= schema.version:
            raise SchemaVersionError(
                f"database {database} has schema version {schema.version or 'none'}: it can go "
                f"down to {OLDEST_VERSION} and no further, not to {version!r}; nothing was changed."
            )
        _move(connection, version)
    return schema


def _refusal(schema: Schema, database: str) -> str:
    if schema.state is State.OLDER:
        remedy = f"Stop its realms, back it up and run 'mmoinv db upgrade --database {database}'."
    else:
        remedy = (
            "Use the newer mmoinv that wrote it, or there run 'mmoinv db downgrade --to "
            f"{SCHEMA_VERSION}'."
        )
    return (
        f"database {database}: its schema is of version {schema.version}, this mmoinv speaks "
        f"version {SCHEMA_VERSION}. {remedy} Nothing was changed."
    )


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Nobody else changes this database's schema meanwhile."""
    name = connection.dialect.name
    if name == "postgresql":
        # Until the transaction ends.
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK_NUMBER})
        yield
    elif name in ("mysql", "mariadb"):
        got = connection.execute(
            text("SELECT GET_LOCK(CONCAT('mmoinv ', DATABASE()), :seconds)"),
            {"seconds": LOCK_TIMEOUT_S},
        ).scalar()
        if got != 1:
            raise SchemaVersionError(
                f"another process has been changing the schema for {LOCK_TIMEOUT_S} s. Wait for "
                "it, or end it, and try again; nothing was changed."
            )
        # What was read before the lock came fixed what this transaction sees: the version of then.
        connection.execute(text("COMMIT"))
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(CONCAT('mmoinv ', DATABASE()))"))
    else:
        # SQLite: the transaction was begun as one that writes.
        yield


def _move(connection: Connection, version: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mmoinv.stores:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    found = inspect(connection).get_table_names()
    if connection.dialect.name in ("mysql", "mariadb"):
        # Alembic would give its key a name, and the server complains that keys have none.
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} "
                "(version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
            )
        )
    if VERSION_TABLE not in found and META.name in found:
        command.stamp(config, OLDEST_VERSION)
    if VERSION_TABLE in found and version < _noted_version(connection):
        _refuse_loss(connection, config, version)
        command.downgrade(config, version)
    else:
        command.upgrade(config, version)


def _refuse_loss(connection: Connection, config: Any, version: str) -> None:
    """`SchemaVersionError` if rows would be gone on the way down. All of it is looked at before the
    first step: on MariaDB a step cannot be taken back."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config)
    for revision in scripts.iterate_revisions(_noted_version(connection), version):
        for table in getattr(revision.module, "DROPPED", ()):
            if connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1")).first() is not None:
                raise SchemaVersionError(
                    f"below version {revision.revision} there is no {table}, and it has rows: they "
                    "would be gone. Copy the table, delete its rows, and run it again; nothing "
                    "was changed."
                )


def _noted_version(connection: Connection) -> str:
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return str(found or "")
