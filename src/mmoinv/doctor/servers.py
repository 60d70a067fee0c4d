"""What a database server says of itself: its version, our schema, and what endangers the data.

Changes nothing, and creates nothing.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mmoinv.doctor.check import Check, failed, passed, refused, warned
from mmoinv.errors import SchemaVersionError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mmoinv.stores.schema import Schema
    from mmoinv.stores.server_store import ServerStore

DURABLE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write"),
    "innodb_flush_log_at_trx_commit": ("1",),
    "innodb_doublewrite": ("ON", "1", "DETECT_AND_RECOVER"),
    "sync_binlog": ("1",),
}
"""Settings, and the values with which an answered commit outlives a power cut."""
FEW_CONNECTIONS = 10
SMALL_PACKET = 4 << 20
"""Below this a group of large inventories may not fit into one statement (MariaDB)."""


class Facts(NamedTuple):
    """What a server says."""

    version: str
    settings: dict[str, str]
    schema: "Schema | SchemaVersionError"


def server(store: "ServerStore") -> Iterator[Check]:
    """Whether a realm could use the database, and what of its server's settings is dangerous."""
    try:
        facts = asyncio.run(store.inspect(lambda connection: _look(connection, store.url)))
    except StoreError as error:
        yield refused("database", error, "Start the server, or correct the URL.")
        return
    yield _schema(store.url, facts)
    yield from _settings(facts)


def _look(connection: "Connection", url: str) -> Facts:
    from sqlalchemy import text

    from mmoinv.stores.schema import schema_of

    if connection.dialect.name == "postgresql":
        version = f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        rows = connection.execute(text("SELECT name, setting FROM pg_settings"))
    else:
        version = str(connection.execute(text("SELECT version()")).scalar_one())
        rows = connection.execute(text("SHOW GLOBAL VARIABLES"))
        version = version if "maria" in version.lower() else f"MySQL {version}"
    settings = {str(name): str(value) for name, value in rows}
    try:
        return Facts(version, settings, schema_of(connection, url))
    except SchemaVersionError as error:
        return Facts(version, settings, error)


def _schema(url: str, facts: Facts) -> Check:
    from mmoinv.stores.schema import SCHEMA_VERSION, State

    found = facts.schema
    if isinstance(found, SchemaVersionError):
        return refused("database", found, "Give the realm a database of its own.")
    text = f"{url} answers ({facts.version})"
    if found.state is State.EMPTY:
        return passed(
            "database", f"{text}, it is empty; the realm will set it up", server=facts.version
        )
    if found.state is State.CURRENT:
        return passed(
            "database",
            f"{text}, its schema is the right one (version {SCHEMA_VERSION})",
            schema_version=SCHEMA_VERSION,
            server=facts.version,
        )
    text += f"; its schema is of version {found.version}, this mmoinv speaks {SCHEMA_VERSION}"
    if found.state is State.OLDER:
        return failed("database", text, f"mmoinv db upgrade --database {url}")
    return failed("database", text, "Use the newer mmoinv that wrote it.")


def _settings(facts: Facts) -> Iterator[Check]:
    settings = facts.settings
    wrong = [
        f"{name} = {settings[name]}"
        for name, values in DURABLE.items()
        if name in settings
        and settings[name] not in values
        # Without a binary log there is nothing to sync.
        and not (name == "sync_binlog" and settings.get("log_bin") == "OFF")
    ]
    if wrong:
        yield warned(
            "durable",
            f"{', '.join(wrong)}: what was answered as saved may be lost in a power cut",
            "Set them back to the server's defaults; docs/databases.md says to what.",
        )
    else:
        yield passed("durable", "what the server has committed outlives a power cut")
    connections = int(settings.get("max_connections", FEW_CONNECTIONS))
    if connections < FEW_CONNECTIONS:
        yield warned("server", f"max_connections = {connections}: a realm wants three", "Raise it.")
    packet = int(settings.get("max_allowed_packet", SMALL_PACKET))
    if packet < SMALL_PACKET:
        yield warned(
            "server",
            f"max_allowed_packet = {packet:,}: a large group does not fit into one statement",
            "Raise it to 16 MB, or lower max_group_items.",
        )
