"""Old tables for the tests: as the C++ line and AzerothCore make them, and rows in them."""

import sqlite3
from typing import Any

from sqlalchemy import Connection, text

from mmoinv.legacy.kyoril import FLAGS
from mmoinv.stores import store_for
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.tables import signed_number

COLUMNS = ("owner", "slot", "entry", "creator", "count", "durability", FLAGS)

UNSIGNED = """CREATE TABLE character_items (
    owner BIGINT UNSIGNED NOT NULL, slot INT UNSIGNED NOT NULL, entry BIGINT NOT NULL,
    creator BIGINT UNSIGNED NULL, count INT NOT NULL, durability BIGINT NOT NULL,
    flags BIGINT NOT NULL, PRIMARY KEY (owner, slot))"""
SIGNED = UNSIGNED.replace(" UNSIGNED", "")
KEYLESS = "CREATE TABLE character_items (" + ", ".join(f"{name} BIGINT" for name in COLUMNS) + ")"
INSERT = "INSERT INTO character_items VALUES ({})"


async def run(url: str, *statements: str) -> None:
    """Run statements in a database; an SQLite file is made."""
    store = store_for(url)
    assert isinstance(store, SqlStore)
    if url.startswith("sqlite"):
        sqlite3.connect(url.removeprefix("sqlite:///")).close()

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    await store.inspect(work)


def inserted(*rows: tuple[Any, ...]) -> list[str]:
    """The statements that insert rows."""
    return [
        INSERT.format(", ".join("NULL" if value is None else repr(value) for value in row))
        for row in rows
    ]


async def fill(url: str, *rows: tuple[Any, ...], create: str = "") -> None:
    """The table as the C++ realm has it; on MariaDB its numbers are unsigned, elsewhere owner and
    creator are the signed numbers of the same bits."""
    keeps_unsigned = not create and url.startswith("mariadb")
    if not keeps_unsigned:
        rows = tuple(
            (signed_number(owner), slot, entry, creator and signed_number(creator), *others)
            for owner, slot, entry, creator, *others in rows
        )
    await run(url, create or (UNSIGNED if keeps_unsigned else SIGNED), *inserted(*rows))


CHARACTERS = """CREATE TABLE characters (
    guid INT UNSIGNED NOT NULL DEFAULT 0, name VARCHAR(12) CHARACTER SET latin1 NOT NULL,
    money INT UNSIGNED NOT NULL DEFAULT 0, PRIMARY KEY (guid)) DEFAULT CHARSET=latin1"""
PLACES = """CREATE TABLE character_inventory (
    guid INT UNSIGNED NOT NULL DEFAULT 0, bag INT UNSIGNED NOT NULL DEFAULT 0,
    slot TINYINT UNSIGNED NOT NULL DEFAULT 0, item INT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (item), UNIQUE KEY guid (guid, bag, slot), KEY idx_guid (guid))"""
ITEMS = """CREATE TABLE item_instance (
    guid INT UNSIGNED NOT NULL DEFAULT 0, itemEntry MEDIUMINT UNSIGNED NOT NULL DEFAULT 0,
    owner_guid INT UNSIGNED NOT NULL DEFAULT 0, creatorGuid INT UNSIGNED NOT NULL DEFAULT 0,
    giftCreatorGuid INT UNSIGNED NOT NULL DEFAULT 0, count INT UNSIGNED NOT NULL DEFAULT 1,
    duration INT NOT NULL DEFAULT 0, charges TINYTEXT, flags MEDIUMINT UNSIGNED NOT NULL DEFAULT 0,
    enchantments TEXT NOT NULL, randomPropertyId SMALLINT NOT NULL DEFAULT 0,
    durability SMALLINT UNSIGNED NOT NULL DEFAULT 0, playedTime INT UNSIGNED NOT NULL DEFAULT 0,
    text TEXT, PRIMARY KEY (guid), KEY idx_owner_guid (owner_guid)) DEFAULT CHARSET=latin1"""
NO_KEYS = "ALTER TABLE character_inventory DROP PRIMARY KEY, DROP KEY guid"
NOTHING = "0 " * 36


def azerothcore(url: str) -> list[str]:
    """The statements that make AzerothCore's tables in a database of any kind."""
    made = [CHARACTERS, PLACES, ITEMS]
    if url.startswith("mariadb"):
        return made
    result = []
    for statement in made:
        for word in (" UNSIGNED", " CHARACTER SET latin1", " DEFAULT CHARSET=latin1"):
            statement = statement.replace(word, "")
        for word in ("TINYINT", "MEDIUMINT", "SMALLINT", " INT "):
            statement = statement.replace(word, " BIGINT ")
        statement = statement.replace("TINYTEXT", "TEXT")
        statement = statement.replace(
            ", UNIQUE KEY guid (guid, bag, slot), KEY idx_guid (guid)", ""
        )
        result.append(statement.replace(", KEY idx_owner_guid (owner_guid)", ""))
    return result


def character(guid: int, money: int = 0) -> str:
    """A character's row; its name has a letter that latin1 and UTF-8 write otherwise."""
    return f"INSERT INTO characters (guid, name, money) VALUES ({guid}, 'R\u00e9my', {money})"


def place(guid: int, bag: int, slot: int, item: int) -> str:
    """Where an item is."""
    return f"INSERT INTO character_inventory VALUES ({guid}, {bag}, {slot}, {item})"


def item(guid: int, owner: int, entry: int = 100, count: int = 1, **others: Any) -> str:
    """What an item is."""
    values = {"enchantments": NOTHING, "charges": "0 0 0 0 0 "} | others
    names = ", ".join(values)
    told = ", ".join(repr(value) for value in values.values())
    return (
        f"INSERT INTO item_instance (guid, itemEntry, owner_guid, count, {names}) "
        f"VALUES ({guid}, {entry}, {owner}, {count}, {told})"
    )


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """What a query gives, sorted."""
    store = store_for(url)
    assert isinstance(store, SqlStore)
    return await store.read_only(
        lambda connection: sorted(tuple(row) for row in connection.execute(text(query)))
    )
