"""What is SQLite's own: the file, the schema, the plans of its statements, its errors."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sqlalchemy import Connection

from mmoinv.conformance.operations import (
    NONCE,
    WORLD,
    changes,
    commit,
    contents,
    entry,
    item,
    joined,
    old_save,
    run,
    stored,
)
from mmoinv.errors import (
    ConfigurationError,
    SchemaVersionError,
    StoreDataError,
    StoreError,
    StoreUnavailableError,
)
from mmoinv.records import batch_of
from mmoinv.stores import DuplicateRowError, JoinEntry, open_store, store_for
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.sqlite.bulk import (
    APPLY_OPERATIONS,
    INDEXED,
    INSERT_ITEMS,
    MAX_ROWS,
    SESSIONS,
    UPDATES,
    Bulk,
    _chunks,
)
from mmoinv.stores.sqlite.schema import check_sqlite_version
from mmoinv.stores.tables import LEDGER_SEGMENT_BITS

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


def raw(work: Callable[[sqlite3.Connection], T]) -> Callable[[Connection], T]:
    """Work on sqlite3's own connection."""

    def on_raw(connection: Connection) -> T:
        return work(connection.connection.driver_connection)

    return on_raw


async def new_store(path: Path) -> SqliteStore:
    store = SqliteStore(path, StoreSettings(lock_timeout_s=0.2))
    await store.open()
    await store.add_world("world-1", "verifier")
    return store


async def damaged(store: SqliteStore, statement: str) -> SqliteStore:
    """The database as a new process finds it after something has damaged it."""
    await store._write(raw(lambda connection: connection.execute(statement)))
    await store.close()
    return await new_store(Path(store.path))


# URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("realm.db", "is not a URL"),
        ("oracle://host/realm", "scheme 'oracle' is not known. There is: sqlite:///FILE"),
        ("sqlite://", "names no file"),
        ("sqlite://realm.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "would forget them"),
        ("sqlite:///realm.db?mode=ro", "options"),
    ],
)
async def test_urls_that_name_no_store(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        store_for(url)


async def test_a_relative_path_is_beside_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with await open_store("sqlite:///some realm.db") as store:
        assert store.url == "sqlite:///some realm.db"
    assert (tmp_path / "some realm.db").exists()


def test_an_old_sqlite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(ConfigurationError, match=r"needs 3\.37"):
        check_sqlite_version()


# Plans


@pytest.mark.parametrize("bulk", INDEXED, ids=lambda bulk: bulk.text(1).split("(")[0][:40])
@pytest.mark.parametrize("rows", [1, 16, MAX_ROWS])
async def test_statements_find_their_rows_by_an_index(path: Path, bulk: Bulk, rows: int) -> None:
    await (await new_store(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {bulk.text(rows)}", [1] * rows * bulk.columns
        ).fetchall()
    steps = [text for *_, text in plan]
    tables = (
        "character_inventory",
        "character_session",
        "applied_operation",
        "character_wallet",
    )
    ours = [step for step in steps if any(table in step for table in tables)]
    assert ours
    assert all(step.startswith("SEARCH") for step in ours), steps


async def test_updates_of_which_two_have_lost_their_rows_are_all_done_again(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7)
    items = [item(slot, slot) for slot in range(256, 262)]
    await run(store, commit(1, changes(7, *items)))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM character_inventory WHERE slot IN (257, 258)")
    items = [one._replace(durability=2) for one in items]
    assert await run(store, commit(2, changes(7, *items, version=1))) == [(0, [2])]
    assert sorted(await stored(store, 7)) == [256, 257, 258, 259, 260, 261]
    await store.close()


async def test_updates_of_which_one_has_lost_its_row_are_no_half_of_it(path: Path) -> None:
    """Somebody deletes a row behind our back, while its character is online."""
    store = await new_store(path)
    await joined(store, 7)
    items = [item(slot, slot) for slot in range(256, 262)]
    await run(store, commit(1, changes(7, *items)))
    for number, field in enumerate(("stack_count", "durability"), 2):
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM character_inventory WHERE slot = 258")
        items = [one._replace(**{field: number + 5}) for one in items]
        with pytest.raises(StoreDataError, match="of 6 records that are stored only 5 were found"):
            await run(store, commit(number, changes(7, *items, version=number - 1)))
        assert sorted(await stored(store, 7)) == [256, 257, 259, 260, 261]
        # Nothing is remembered any longer, and so it is seen now.
        assert await run(store, commit(number, changes(7, *items, version=number - 1))) == [
            (0, [number])
        ]
        assert sorted(await stored(store, 7)) == [256, 257, 258, 259, 260, 261]
    await store.close()


async def test_a_row_that_is_gone_is_written_again_with_its_guid_where_all_of_it_is(
    path: Path,
) -> None:
    store = await new_store(path)
    await joined(store, 7)
    await run(store, commit(1, changes(7, item(23, 5), item(24, 6))))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM character_inventory WHERE slot = 23")
    assert await run(store, commit(2, changes(7, item(23, 5, creator=9), version=1))) == [(0, [2])]
    assert await stored(store, 7) == {23: (100, 1, 5), 24: (100, 1, 6)}
    await store.close()


@pytest.mark.parametrize("fields", [*[*UPDATES][:-1], ("item_flags", "creator")])
async def test_updates_write_the_fields_that_differ(path: Path, fields: tuple[str, ...]) -> None:
    store = await new_store(path)
    await joined(store, 2**63 + 7)
    before = [item(slot, slot, durability=3, creator=5) for slot in range(256, 320)]
    await run(store, commit(1, changes(2**63 + 7, *before)))
    # Of each record another one, and the first not at all.
    after = [
        one._replace(**{fields[number % len(fields)]: 7}) if number else one
        for number, one in enumerate(before)
    ]
    assert await run(store, commit(2, changes(2**63 + 7, *after, version=1))) == [(0, [2])]
    outcome = (await joined(store, 2**63 + 7))[0]
    assert outcome.items.tolist() == batch_of(*after).tolist()
    await store.close()


@pytest.mark.parametrize(
    "condition",
    ["= 7", "= 7 AND version BETWEEN 1 AND 9", "BETWEEN 7 AND 9", "IN (7, 8) AND version < 9"],
)
async def test_the_ledger_of_characters_is_found_by_its_index(path: Path, condition: str) -> None:
    await (await new_store(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT * FROM character_ledger WHERE character_guid {condition}"
        ).fetchall()
    steps = [text for *_, text in plan if "ledger" in text]
    assert any(
        "USING INDEX inventory_ledger_character (<expr>=? AND char" in text for text in steps
    )
    assert all(text.startswith("SEARCH") for text in steps)


async def test_the_ledger_is_read_from_all_of_its_segments(path: Path) -> None:
    segment = 1 << LEDGER_SEGMENT_BITS
    store = await new_store(path)
    await joined(store, 7)
    for version in range(6):
        await run(store, commit(version + 1, changes(7, item(23, 1), version=version)))
        # From here on, an empty segment, and the border of one.
        last = {0: 5, 1: 3 * segment - 2, 4: 9 * segment}.get(version)
        if last is not None:
            with closing(sqlite3.connect(path)) as other, other:
                other.execute(
                    "UPDATE inventory_ledger SET ledger_id = ? WHERE version = ?",
                    (last, version + 1),
                )
    assert [entry.version for entry in await store.read_ledger(7)] == [1, 2, 3, 4, 5, 6]
    assert [entry.version for entry in await store.read_ledger(7, 3, 2)] == [3, 4]
    assert await store.read_ledger(8) == []
    assert await store.clear_characters(7, 7) == 1
    assert await store.read_ledger(7) == []
    await store.close()


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 255, 256, 257, 1000])
@pytest.mark.parametrize("bulk", [SESSIONS, INSERT_ITEMS, APPLY_OPERATIONS])
def test_chunks_carry_every_row(bulk: Bulk, rows: int) -> None:
    values = np.arange(rows * bulk.columns).reshape(rows, bulk.columns)
    chunks = _chunks(bulk, values)
    assert all(len(flat) == size * bulk.columns for size, flat in chunks)
    assert all(size & (size - 1) == 0 and size <= MAX_ROWS for size, _ in chunks)
    flat = [number for _, chunk in chunks for number in chunk]
    if bulk.repeatable:
        assert list(dict.fromkeys(flat)) == values.ravel().tolist()
    else:
        assert flat == values.ravel().tolist()


# The file and its schema


async def test_commits_are_on_the_disk_before_they_are_answered(path: Path) -> None:
    store = await new_store(path)
    settings = await store._read(
        raw(
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            ]
        )
    )
    assert settings == ["wal", 2]
    await store.close()


async def test_the_view_shows_numbers_as_people_know_them(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 2**64 - 1)
    await run(store, commit(1, changes(2**64 - 1, item(255 << 8 | 23, 2**63, creator=2**64 - 2))))
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute(
            "SELECT character_guid, bag, slot_in_bag, creator, item_guid "
            "FROM character_inventory_unsigned"
        ).fetchall()
    assert row == (str(2**64 - 1), 255, 23, str(2**64 - 2), str(2**63))


async def test_an_item_without_a_guid_is_null(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7)
    assert await run(store, old_save(1, 7, item(23, 0), item(24, 0))) == [(0, [1])]
    assert await stored(store, 7) == {23: (100, 1, 0), 24: (100, 1, 0)}
    await store.close()


async def test_tables_of_others_are_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE guild (name TEXT)")
    await (await new_store(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM guild").fetchone() == (0,)


async def test_a_table_of_the_same_name_is_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE world (name TEXT)")
    with pytest.raises(SchemaVersionError, match="world of someone else"):
        await SqliteStore(path).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("world",)]


def test_two_processes_create_the_schema_at_once(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from mmoinv.stores import open_store\n"
        "async def main():\n"
        "    async with await open_store('sqlite:///' + sys.argv[1]) as store:\n"
        "        print(await store.next_node_epoch())\n"
        "asyncio.run(main())\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(map(int, outputs)) == [1, 2, 3]


@pytest.fixture
def text_file(path: Path) -> Path:
    path.write_bytes(b"certainly not a database, but a text of some length" * 100)
    return path


async def test_a_file_that_is_no_database(text_file: Path) -> None:
    with pytest.raises(StoreError, match="not an SQLite database"):
        await SqliteStore(text_file).open()


async def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        await SqliteStore(tmp_path / "nowhere" / "realm.db").open()


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="unable to open"):
        await SqliteStore(tmp_path).open()


# Errors while it runs


async def test_a_lock_of_someone_else_is_unavailable(path: Path) -> None:
    store = await new_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            await store.add_world("world-2", "verifier")
        other.execute("ROLLBACK")
    assert await store.add_world("world-2", "verifier") == 2
    await store.close()


async def test_a_full_disk_is_unavailable_and_nothing_is_saved(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7)
    pages = await store._read(raw(lambda c: c.execute("PRAGMA page_count").fetchone()[0]))
    await store._read(raw(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone()))
    many = commit(1, changes(7, *(item(slot, slot) for slot in range(256, 1500))))
    with pytest.raises(StoreUnavailableError, match="make room"):
        await run(store, many)
    await store._read(raw(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone()))
    assert (await store.counts()).items == 0
    assert await run(store, many) == [(0, [1])]
    await store.close()


async def test_a_refusal_by_the_database_writes_nothing_of_the_group(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7, 8)
    await store._write(
        raw(
            lambda connection: connection.execute(
                "CREATE TRIGGER no_cheese BEFORE INSERT ON character_inventory "
                "WHEN new.entry = 666 BEGIN SELECT RAISE(ABORT, 'no cheese here'); END"
            )
        )
    )
    with pytest.raises(StoreDataError, match="no cheese here"):
        await run(
            store, commit(1, changes(7, item(23, 1))), commit(2, changes(8, item(23, 2, entry=666)))
        )
    counts = await store.counts()
    assert (counts.items, counts.applied_operations) == (0, 0)
    await store.close()


async def test_a_key_that_is_there_already_is_told_apart(path: Path) -> None:
    store = await new_store(path)
    with pytest.raises(DuplicateRowError):
        await store._write(
            raw(
                lambda connection: connection.executemany(
                    "INSERT INTO applied_operation VALUES (?, 0)", [(5,), (5,)]
                )
            )
        )
    await store.close()


# Rows that cannot be read


async def test_a_row_that_cannot_be_read_is_set_aside_and_the_login_goes_on(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 2**63 + 7)
    guid = 2**63 + 7
    await run(store, commit(1, changes(guid, *(item(slot, slot) for slot in range(23, 29)))))
    bad = {23: "stack_count = 70000", 25: "entry = -1", 26: "stack_count = 0", 28: "slot = 99999"}

    def damage(connection: sqlite3.Connection) -> None:
        for slot, change in bad.items():
            connection.execute(f"UPDATE character_inventory SET {change} WHERE slot = {slot}")

    await store._write(raw(damage))
    assert contents(await store.read_items(guid)).keys() == {24, 27}
    (outcome,) = await store.write_group([JoinEntry(guid, WORLD, NONCE)])
    assert contents(outcome.items) == {24: (100, 1, 24), 27: (100, 1, 27)}
    assert outcome.set_aside == 4
    rows = await store._read(
        raw(lambda c: c.execute("SELECT slot, stored_row, reason FROM set_aside_item").fetchall())
    )
    assert [slot for slot, _, _ in rows] == [23, 25, 26, 99999]
    assert json.loads(rows[0][1])["item_guid"] == 23
    assert "stack_count 70000 is outside 0..65535" in rows[0][2]
    (again,) = await store.write_group([JoinEntry(guid, WORLD, NONCE)])
    assert (len(again.items), again.set_aside) == (2, 0)
    await store.close()


async def test_a_damaged_row_that_holds_a_guid_is_not_written_over(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7)
    await run(store, commit(1, changes(7, item(23, 5))))
    store = await damaged(store, "UPDATE character_inventory SET slot = 23 + 65536")
    (outcome,) = await store.write_group([entry(commit(2, changes(7, item(23, 5), version=1)))])
    assert outcome.statuses.tolist() == [10]
    await store.close()


async def test_a_replacement_clears_rows_that_cannot_be_read_too(path: Path) -> None:
    store = await new_store(path)
    await joined(store, 7, 8)
    await run(store, commit(1, changes(7, *(item(slot, slot) for slot in range(23, 29)))))
    await run(store, commit(2, changes(8, item(23, 900))))
    store = await damaged(store, "UPDATE character_inventory SET slot = 70000 WHERE slot = 25")
    whole = [item(23, 23), item(24, 25), item(30, 24)]
    results = await run(
        store,
        commit(3, changes(7, *whole, version=1), replace=True),
        commit(4, changes(8, item(24, 900), version=1), replace=True),
    )
    assert results == [(0, [2]), (0, [2])]
    assert await stored(store, 7) == {23: (100, 1, 23), 24: (100, 1, 25), 30: (100, 1, 24)}
    assert await stored(store, 8) == {24: (100, 1, 900)}
    assert (await store.counts()).items == 4
    await store.close()


@pytest.mark.parametrize("replace", [False, True])
async def test_what_has_not_changed_is_not_written(path: Path, replace: bool) -> None:
    store = await new_store(path)
    await joined(store, 7)
    items = [item(slot, slot) for slot in range(256, 296)]
    await run(store, commit(1, changes(7, *items)))
    before = await store._read(raw(lambda c: c.total_changes))
    items[3] = item(259, 259, stack=5)
    assert await run(store, commit(2, changes(7, *items, version=1), replace=replace)) == [(0, [2])]
    # The record, the session, the applied operation and its row in the ledger.
    assert await store._read(raw(lambda c: c.total_changes)) - before == 4
    assert (await stored(store, 7))[259] == (100, 5, 259)
    await store.close()
