"""The C++ line's table, read from each database: all of it, in pages, what is bad told apart."""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from old_tables import KEYLESS, SIGNED, fill, inserted, run
from servers.database_server import DatabaseServer
from sqlalchemy import text

from mmoinv import INVENTORY_ITEM
from mmoinv.errors import ConfigurationError, StoreError, StoreUnavailableError
from mmoinv.legacy import OldInventory, SourceCounts
from mmoinv.legacy.interface import LAST_GUID
from mmoinv.legacy.kyoril import FLAGS, KyorilTables
from mmoinv.legacy.sql_tables import MOST_AT_ONCE
from mmoinv.stores import store_for
from mmoinv.stores.sql_store import SqlStore

HALF = 2**63
COLUMNS = ("owner", "slot", "entry", "creator", "count", "durability", FLAGS)
OWNERS = [1, 2, 7, HALF - 1, HALF, 2**64 - 1]
BACKPACK = 255 << 8 | 23
POTIONS = (BACKPACK, 100, None, 5, 40, 1)
"""slot, entry, creator, count, durability, flags"""


async def read(url: str, at_once: int = 1000) -> list[OldInventory]:
    tables = KyorilTables(url)
    return [one async for page in tables.read(0, LAST_GUID, at_once) for one in page]


async def count(url: str) -> SourceCounts:
    return await KyorilTables(url).counts(0, LAST_GUID)


@pytest.mark.parametrize("at_once", [1, 2, 3, 6, 1000])
async def test_every_character_is_read_once_in_ascending_order(database_url: str, at_once: int):
    await fill(database_url, *((owner, *POTIONS) for owner in reversed(OWNERS)))
    assert await count(database_url) == SourceCounts(6, 6)
    found = await read(database_url, at_once)
    assert [one.character_guid for one in found] == OWNERS
    assert [one.items["entry"].tolist() for one in found] == [[100]] * 6
    assert not any(one.faults for one in found)


async def test_a_negative_owner_in_a_signed_column_is_the_u64_of_the_same_bits(database_url: str):
    await fill(database_url, *((owner, *POTIONS) for owner in OWNERS), create=SIGNED)
    assert [one.character_guid for one in await read(database_url, 2)] == OWNERS


async def test_a_row_becomes_a_record(database_url: str):
    creator = 2**64 - 2
    largest = (7, 255 << 8 | 5, 2**32 - 1, creator, 2**16 - 1, 2**32 - 1, 2**32 - 1)
    await fill(database_url, (7, *POTIONS), largest)
    assert await count(database_url) == SourceCounts(1, 2)
    (found,) = await read(database_url)
    assert found.items.dtype == INVENTORY_ITEM
    assert found.items.tolist() == [
        (2**32 - 1, 255 << 8 | 5, 65535, creator, 0, 2**32 - 1, 0, 0, 2**32 - 1, 0),
        (100, BACKPACK, 5, 0, 0, 40, 0, 0, 1, 0),
    ]


async def test_an_empty_table_has_no_characters(database_url: str):
    await fill(database_url)
    assert await count(database_url) == SourceCounts(0, 0)
    assert await read(database_url) == []


async def test_rows_that_no_record_can_hold_are_told(database_url: str):
    await fill(
        database_url,
        (2, *POTIONS),
        (2, 1, 0, None, 1, 0, 0),
        (2, 2, 100, None, 0, 0, 0),
        (2, 3, 100, None, 70_000, 0, 0),
        (2, 4, 100, None, 1, -1, 0),
        (2, 5, 2**32, None, 1, 0, 0),
        (2, 6, 100, None, 1, 0, 2**32),
        (2, 74, 100, None, 1, 0, 0),
        (2, 255 << 8 | 85, 100, None, 1, 0, 0),
        (2, 99_999, 100, 9, 1, 0, 0),
        (3, 0, 0, None, 1, 0, 0),
    )
    assert await count(database_url) == SourceCounts(2, 11)
    found, nothing = await read(database_url)
    assert found.items["slot"].tolist() == [BACKPACK]
    assert {fault.values["slot"]: fault.reason for fault in found.faults} == {
        1: "slot 1: entry is 0, which names no item",
        2: "slot 2: stack_count is 0, an item has at least 1",
        3: "stack_count 70000 is outside 0..65535",
        4: "durability -1 is outside 0..4294967295",
        5: "entry 4294967296 is outside 0..4294967295",
        6: "item_flags 4294967296 is outside 0..4294967295",
        74: "slot 74: buyback slots are never saved",
        255 << 8 | 85: "slot 65365: buyback slots are never saved",
        99_999: "slot 99999 is outside 0..65535",
    }
    last = next(fault.values for fault in found.faults if fault.values["slot"] == 99_999)
    assert (last["owner"], last["entry"], last["creator"]) == (2, 100, 9)
    assert (nothing.character_guid, len(nothing.items), len(nothing.faults)) == (3, 0, 1)


async def test_without_its_key_a_table_may_have_a_slot_twice_or_nothing_in_it(database_url: str):
    potions, arrows = (2, *POTIONS), (2, BACKPACK, 200, None, 1, 0, 0)
    unknown = (2, 1, None, None, 1, 0, 0)
    await run(database_url, KEYLESS, *inserted(potions, arrows, unknown, (2, 2, 300, 0, 1, 0, 0)))
    (found,) = await read(database_url)
    assert found.items["entry"].tolist() == [300, 200]
    assert [(fault.values["entry"], fault.reason) for fault in found.faults] == [
        (100, f"slot {BACKPACK}: the slot occurs twice, and a later row is taken"),
        (None, "entry None is not a whole number"),
    ]
    await run(database_url, *inserted((None, *POTIONS)))
    with pytest.raises(
        ConfigurationError, match=r"1 rows .* owner that is no number, such as None"
    ):
        await read(database_url)


async def test_of_a_slot_that_comes_often_the_last_row_is_taken(database_url: str):
    rows = [(2, BACKPACK, entry, None, 1, 0, 0) for entry in (7, 9, 8, 1, 5, 3)]
    late = (2, BACKPACK, 6, None, 0, 0, 0)
    others = [(guid, 1, guid, None, 1, 0, 0) for guid in (3, 1)]
    mixed = [row for pair in zip(rows, others * 3, strict=True) for row in pair]
    await run(database_url, KEYLESS, *inserted(*mixed, late))
    first, found, last = await read(database_url)
    assert found.items["entry"].tolist() == [3]
    assert [fault.values["entry"] for fault in found.faults] == [7, 9, 8, 1, 5, 6]
    assert (len(first.faults), len(last.faults)) == (2, 2)


async def test_an_older_table_has_no_flags(database_url: str):
    await run(database_url, KEYLESS.replace(", flags BIGINT", ""), *inserted((7, *POTIONS[:-1])))
    (found,) = await read(database_url)
    assert found.items.tolist() == [(100, BACKPACK, 5, 0, 0, 40, 0, 0, 0, 0)]
    assert "item_flags" not in (await KyorilTables(database_url).capacity()).fields


async def test_sqlite_may_have_text_where_numbers_go(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    rows = [(2, slot, *POTIONS[1:]) for slot in range(4)]
    await run(url, SIGNED, *inserted(*rows))
    await run(
        url,
        "UPDATE character_items SET entry = 'sword' WHERE slot = 0",
        "UPDATE character_items SET count = 1.5 WHERE slot = 1",
        "UPDATE character_items SET creator = '' WHERE slot = 2",
    )
    (found,) = await read(url)
    assert found.items["slot"].tolist() == [3]
    assert [fault.reason for fault in found.faults] == [
        "entry 'sword' is not a whole number",
        "stack_count 1.5 is not a whole number",
        "creator '' is not a whole number",
    ]
    await run(url, *inserted(("Uther", *POTIONS)))
    for reading in (count(url), read(url)):
        with pytest.raises(ConfigurationError, match="owner that is no number, such as 'Uther'"):
            await reading


async def test_capitals_and_more_columns_do_no_harm(database_url: str):
    names = {"postgresql": '"Owner"', "mariadb": "`Owner`"}.get(database_url.split(":")[0], "OWNER")
    others = ", ".join(f"{name} BIGINT" for name in reversed(COLUMNS[1:]))
    await run(
        database_url,
        f"CREATE TABLE character_items (soulbound TEXT, {others}, {names} BIGINT)",
        "INSERT INTO character_items VALUES ('yes', 1, 40, 5, NULL, 100, 23, 7)",
    )
    (found,) = await read(database_url)
    assert found.character_guid == 7
    assert found.items.tolist() == [(100, 23, 5, 0, 0, 40, 0, 0, 1, 0)]


async def test_what_is_no_such_table_says_what_is_there(database_url: str):
    await run(database_url, "CREATE TABLE guilds (name INT)")
    for reading in (count(database_url), read(database_url)):
        with pytest.raises(ConfigurationError, match=r"no table .* are: guilds\).* nothing was"):
            await reading
    await run(database_url, "CREATE TABLE character_items (owner BIGINT, slot INT, item INT)")
    with pytest.raises(
        ConfigurationError,
        match=r"no column entry, creator, count, durability \(it has: item, owner, slot\)",
    ):
        await read(database_url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_columns_of_another_type_are_named(kind: str, request: pytest.FixtureRequest):
    url = request.getfixturevalue(f"{kind}_url")
    await run(url, KEYLESS.replace("owner BIGINT", "owner NUMERIC(20, 0)"))
    with pytest.raises(ConfigurationError, match=r"of another type: owner \w+\(20, 0\)\. Wanted"):
        await read(url)


async def test_reading_cannot_write(database_url: str):
    await fill(database_url, (7, *POTIONS))
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    with pytest.raises(StoreError, match=r"(?i)read[- ]?only"):
        await store.read_only(lambda c: c.execute(text("DELETE FROM character_items")))
    assert await count(database_url) == SourceCounts(1, 1)


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_the_folder_of_an_sqlite_file_stays_as_it_is(tmp_path: Path, journal: str):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute(f"PRAGMA journal_mode = {journal}")
    await fill(f"sqlite:///{path}", (7, *POTIONS))
    before = hashlib.sha256(path.read_bytes()).digest()
    assert len(await read(f"sqlite:///{path}")) == 1
    assert os.listdir(tmp_path) == [path.name]
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_a_program_that_writes_an_sqlite_file_is_not_in_the_way(tmp_path: Path, journal: str):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(f"PRAGMA journal_mode = {journal}")
        old.execute(SIGNED)
        old.execute(inserted((7, *POTIONS))[0])
        old.execute("BEGIN IMMEDIATE")
        old.execute("DELETE FROM character_items")
        (found,) = await read(f"sqlite:///{path}")
        assert found.character_guid == 7


async def test_a_server_that_takes_no_writes_can_be_read(
    postgresql_url: str, postgresql_server: DatabaseServer
):
    await fill(postgresql_url, (7, *POTIONS))
    name = postgresql_url.split("?")[0].rpartition("/")[2]
    postgresql_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailableError):
        await run(postgresql_url, "DROP TABLE character_items")
    assert len(await read(postgresql_url)) == 1


async def test_no_database_is_made_by_reading(tmp_path: Path):
    with pytest.raises(StoreUnavailableError):
        await count(f"sqlite:///{tmp_path / 'none.db'}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
async def test_no_password_is_shown(scheme: str):
    with pytest.raises(StoreUnavailableError) as raised:
        await read(f"{scheme}://uther:lightbringer@127.0.0.1:1/old")
    assert "uther:***@" in str(raised.value)
    assert "lightbringer" not in str(raised.value)


@pytest.mark.parametrize("at_once", [0, -1, MOST_AT_ONCE + 1])
async def test_how_many_at_once_has_bounds(tmp_path: Path, at_once: int):
    with pytest.raises(ConfigurationError, match="at_once"):
        await read(f"sqlite:///{tmp_path / 'old.db'}", at_once)
