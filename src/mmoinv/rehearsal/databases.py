"""Throw-away databases for one rehearsal: one with old tables, one for the realm.

Knows no inventory and no player.
"""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmoinv.errors import StoreUnavailableError
from mmoinv.stores.addresses import shown_url
from mmoinv.torture.servers import DatabaseServer, ServerMissingError
from mmoinv.torture.servers.database_server import with_database
from mmoinv.torture.servers.mariadb import ForeignMariadbServer, MariadbServer

KYORIL = (
    "CREATE TABLE character_items (owner BIGINT UNSIGNED NOT NULL, slot INT UNSIGNED NOT NULL, "
    "entry INT UNSIGNED NOT NULL, creator BIGINT UNSIGNED NULL, count INT UNSIGNED NOT NULL, "
    "durability INT UNSIGNED NOT NULL, flags INT UNSIGNED NOT NULL, PRIMARY KEY (owner, slot))",
)
AZEROTHCORE = (
    "CREATE TABLE characters (guid INT UNSIGNED NOT NULL, name VARCHAR(12) NOT NULL, "
    "money INT UNSIGNED NOT NULL DEFAULT 0, PRIMARY KEY (guid))",
    "CREATE TABLE character_inventory (guid INT UNSIGNED NOT NULL, bag INT UNSIGNED NOT NULL, "
    "slot TINYINT UNSIGNED NOT NULL, item INT UNSIGNED NOT NULL, PRIMARY KEY (item), "
    "UNIQUE (guid, bag, slot))",
    "CREATE TABLE item_instance (guid INT UNSIGNED NOT NULL, itemEntry INT UNSIGNED NOT NULL, "
    "owner_guid INT UNSIGNED NOT NULL, creatorGuid INT UNSIGNED NOT NULL DEFAULT 0, "
    "count INT UNSIGNED NOT NULL DEFAULT 1, flags INT UNSIGNED NOT NULL DEFAULT 0, "
    "randomPropertyId SMALLINT NOT NULL DEFAULT 0, durability SMALLINT UNSIGNED NOT NULL "
    "DEFAULT 0, PRIMARY KEY (guid))",
    "CREATE INDEX idx_owner_guid ON item_instance (owner_guid)",
)
TABLES = {"kyoril": KYORIL, "azerothcore": AZEROTHCORE}
"""The statements that make the old tables, by format."""


class Databases(NamedTuple):
    """Both URLs, and what they are for people."""

    title: str
    old: str
    realm: str


@contextlib.asynccontextmanager
async def databases_of(what: str, old_format: str, folder: Path) -> AsyncIterator[Databases]:
    """Databases of a kind ("sqlite", "mariadb"), or on the server of a URL; the old tables are
    there and empty. Files in ``folder`` stay, all else goes. `ServerMissingError` if there is no
    server to be started."""
    if what == "sqlite":
        yield _files(old_format, folder)
        return
    try:
        from asyncmy.errors import MySQLError
    except ImportError as error:
        raise ServerMissingError(
            "MariaDB needs the extra 'mariadb', which is not installed: pip install "
            "'mmoinv[mariadb]'"
        ) from error
    server: DatabaseServer
    if what == "mariadb":
        # It is thrown away, and the disk is not what is rehearsed.
        server = await asyncio.to_thread(
            partial(MariadbServer, **{"innodb-flush-log-at-trx-commit": "0"})
        )
    else:
        server = ForeignMariadbServer(what)
    name = f"mmoinv_rehearsal_{secrets.token_hex(4)}"
    old, realm = (with_database(server.tcp_url, f"{name}_{end}") for end in ("old", "realm"))
    create = f"CREATE DATABASE {name}_{{}} CHARACTER SET utf8mb4"
    try:
        try:
            server.execute(create.format("old"), create.format("realm"))
            server.execute(*TABLES[old_format], url=old)
        except (MySQLError, OSError) as error:
            raise StoreUnavailableError(
                f"no databases can be made on the server of {shown_url(what)}: {error}. Nothing "
                "was rehearsed."
            ) from error
        try:
            yield Databases("MariaDB", old, realm)
        finally:
            if not server.started_here:
                for url in (old, realm):
                    await asyncio.to_thread(server.drop_database, url)
    finally:
        await asyncio.to_thread(server.close)


def _files(old_format: str, folder: Path) -> Databases:
    """SQLite files, of which the realm makes its own."""
    old = folder / "old.db"
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in TABLES[old_format]:
            # A u64 is kept as the signed number of the same bits.
            connection.execute(statement.replace(" UNSIGNED", "").replace(" INT ", " BIGINT "))
        connection.commit()
    return Databases("SQLite", f"sqlite:///{old}", f"sqlite:///{folder / 'realm.db'}")
