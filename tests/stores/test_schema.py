"""The schema's versions: the same tables as the code's, up, down, and refused with the remedy."""

import asyncio
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from mmoinv.commits import CurrencyDelta
from mmoinv.conformance.operations import changes, commit, item, joined, run
from mmoinv.errors import SchemaVersionError
from mmoinv.stores import DuplicateRowError, schema, store_for
from mmoinv.stores.schema import State
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.sqlite.schema import engine_around
from mmoinv.stores.stored_rows import BadRow
from mmoinv.stores.tables import LEDGER_COLUMNS, METADATA, VERSION_TABLE, has_ledger_segments


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def differences_from_the_code(context: MigrationContext) -> list[Any]:
    """Alembic neither knows of indexes for some only, nor reads SQLite's of expressions."""
    others: tuple[str, ...] = ()
    if has_ledger_segments(context.dialect):
        others = ("inventory_ledger_version", "inventory_ledger_character")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
        found = compare_metadata(context, METADATA)
    return [one for one in found if getattr(one[1], "name", "") not in others]


async def test_the_migrations_make_the_tables_of_the_code(path: Path) -> None:
    async with SqliteStore(path):
        pass
    with closing(sqlite3.connect(path)) as raw, engine_around(raw).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert differences_from_the_code(context) == []


def test_the_code_speaks_the_newest_version() -> None:
    config = Config()
    config.set_main_option("script_location", "mmoinv.stores:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == schema.SCHEMA_VERSION
    assert scripts.get_base() == schema.OLDEST_VERSION


@pytest.mark.parametrize(
    ("version", "said"),
    [("0001", "mmoinv db upgrade"), ("0006", "newer mmoinv"), ("what", "newer mmoinv")],
)
async def test_another_version_is_refused_and_left_alone(
    path: Path, version: str, said: str
) -> None:
    async with SqliteStore(path):
        pass
    change(path, f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    with pytest.raises(SchemaVersionError, match=said):
        await SqliteStore(path).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT * FROM {VERSION_TABLE}").fetchall() == [(version,)]


# On every database


async def test_up_and_down_and_up_again(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    if not isinstance(store, SqliteStore):
        assert await store.schema() == (State.EMPTY, "")
    async with store:
        await store.add_world("world-1", "verifier")
    assert await store.schema() == (State.CURRENT, "0005")
    assert await store.downgrade("0001") == (State.CURRENT, "0005")
    with pytest.raises(SchemaVersionError, match="mmoinv db upgrade"):
        await store.open()
    assert await store.schema() == (State.OLDER, "0001")
    assert (await store.downgrade("0001")).version == "0001"
    for _ in range(2):
        await store.upgrade()
    async with store:
        assert await store.find_world("world-1") == (1, "verifier")


async def test_history_stays_up_and_down(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    async with store:
        await joined(store, 7)
        for version in range(3):
            await run(store, commit(version + 1, changes(7, item(23, 1), version=version)))
        before = [one.operation_id for one in await store.read_ledger(7)]
    assert before == [1, 2, 3]
    assert (await store.downgrade("0004")).version == "0005"
    columns = ", ".join(LEDGER_COLUMNS)
    again = f"INSERT INTO inventory_ledger SELECT 9999, {columns} FROM inventory_ledger LIMIT 1"
    # The index by character is back.
    with pytest.raises(DuplicateRowError):
        await store.inspect(lambda c: c.execute(text(again)))
    await store.upgrade()
    if not database_url.startswith("mariadb"):
        await store.inspect(lambda c: c.execute(text(again)))
        with pytest.raises(SchemaVersionError, match="version 1 of character 7 more than once"):
            await store.downgrade("0004")
        await store.inspect(
            lambda c: c.execute(text("DELETE FROM inventory_ledger WHERE ledger_id = 9999"))
        )
    async with store:
        assert [one.operation_id for one in await store.read_ledger(7)] == before


async def test_money_and_history_are_not_lost_on_the_way_down(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    async with store:
        await joined(store, 7)
        await run(store, commit(1, changes(7, item(23, 1), currencies=(CurrencyDelta(1, 5),))))
    with pytest.raises(SchemaVersionError, match="character_wallet, and it has rows"):
        await store.downgrade("0002")
    async with store:
        assert await store.read_wallet(7) == {1: 5}
        assert len(await store.read_ledger(7)) == 1


async def test_what_an_import_set_aside_is_not_lost_on_the_way_down(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    row = BadRow({"owner": 2**64 - 1, "slot": 5, "name": b"\xe9"}, "no item")
    rows = [(2**64 - 1, row), (7, row), (7, row)]
    async with store:
        assert await store.keep_import_rows("kyoril", rows) == 3
        assert await store.keep_import_rows("kyoril", rows) == 0
        assert await store.keep_import_rows("other", rows[:1]) == 1
    with pytest.raises(SchemaVersionError, match="import_set_aside, and it has rows"):
        await store.downgrade("0003")
    async with store:
        await store.clear_characters(7, 7)
        await store.clear_characters(2**64 - 1, 2**64 - 1)
    assert (await store.downgrade("0003")).version == "0005"
    await store.upgrade()


@pytest.mark.parametrize("version", ["0000", "base", "0006", ""])
async def test_there_is_no_way_further_down(database_url: str, version: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    async with store:
        await store.add_world("world-1", "verifier")
    with pytest.raises(SchemaVersionError, match="nothing was changed"):
        await store.downgrade(version)
    async with store:
        assert await store.find_world("world-1") == (1, "verifier")


async def test_the_tables_are_those_of_the_code(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return differences_from_the_code(context)

    async with store:
        assert await store._read(differences) == []


async def test_tables_of_others_are_not_touched(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    await store.upgrade()
    await store.inspect(lambda c: c.execute(text("CREATE TABLE guild (name INTEGER)")))
    async with store:
        pass
    await store.inspect(lambda c: c.execute(text("DROP TABLE mmoinv_schema_version")))
    await store.inspect(lambda c: c.execute(text("DROP TABLE mmoinv_meta")))
    with pytest.raises(SchemaVersionError, match=r"character_inventory.* of someone else"):
        await store.open()
    assert not store.is_open


async def test_two_processes_set_an_empty_database_up_at_once(database_url: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from mmoinv.stores import open_store\n"
        "async def main():\n"
        "    async with await open_store(sys.argv[1]) as store:\n"
        "        print(await store.next_node_epoch())\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, database_url, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(int(output) for output in outputs) == [1, 2, 3, 4]


async def test_who_waited_sees_what_the_other_has_done(
    mariadb_url: str,
) -> None:
    """The other one is half-way when we look, and done when we have its lock."""
    store = store_for(mariadb_url)
    assert isinstance(store, SqlStore)
    await store.upgrade()

    async def other(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT GET_LOCK(CONCAT('mmoinv ', DATABASE()), 0)"))
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0002'"))
        await connection.commit()
        opening = asyncio.create_task(store.open())
        waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'"
        while not (await connection.execute(text(waiting))).scalar():
            assert not opening.done(), opening.result()
            await asyncio.sleep(0.01)
        await connection.execute(
            text(f"UPDATE {VERSION_TABLE} SET version_num = '{schema.SCHEMA_VERSION}'")
        )
        await connection.commit()
        await connection.execute(text("SELECT RELEASE_LOCK(CONCAT('mmoinv ', DATABASE()))"))
        await opening

    engine = create_async_engine(
        mariadb_url.replace("mariadb://", "mariadb+asyncmy://"), poolclass=NullPool
    )
    async with engine.connect() as connection:
        await other(connection)
    assert store.is_open
    await store.close()


async def test_a_setup_that_was_interrupted_is_finished(mariadb_url: str) -> None:
    """DDL of MariaDB cannot be rolled back."""
    store = store_for(mariadb_url)
    assert isinstance(store, SqlStore)
    async with store:
        pass
    await store.inspect(lambda c: c.execute(text("DELETE FROM mmoinv_schema_version")))
    await store.inspect(lambda c: c.execute(text("DROP TABLE world")))
    async with store:
        assert await store.worlds() == []


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
async def test_people_see_the_number_that_they_know(database_url: str, number: int) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    async with store:
        await store.add_world("world-1", "verifier")
        await joined(store, number)
        full = item(255 << 8 | 23, number or 5, creator=number, contained=number)
        assert await run(store, commit(1, changes(number, full))) == [(0, [1])]
        ((*shown,),) = await store._read(
            lambda connection: connection.execute(
                text(
                    "SELECT character_guid, creator, contained, item_guid, bag, slot_in_bag "
                    "FROM character_inventory_unsigned"
                )
            ).all()
        )
    assert list(map(int, shown)) == [number, number, number, number or 5, 255, 23]
