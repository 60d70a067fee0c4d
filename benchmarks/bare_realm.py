"""A realm that promises nothing: the records of a group are written over what is there.

No fence, no versions, no look for operations that were applied or for item guids, no ledger, and no
index that keeps guids unique. It is what the guarantees are measured against; a process of its own.
"""

from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from sqlalchemy import text

from mmoinv.commits import join_commits
from mmoinv.loadtest.realm_process import run_realm
from mmoinv.realm import server
from mmoinv.stores import CommitEntry, CommitOutcome, store_for
from mmoinv.stores.mariadb import MariadbStore
from mmoinv.stores.mariadb import bulk as mariadb
from mmoinv.stores.postgresql import PostgresqlStore
from mmoinv.stores.postgresql import bulk as postgresql
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.sqlite import bulk as sqlite
from mmoinv.stores.steps import OwnedItems

INDEX = "character_inventory_item_guid"
COLUMNS = ", ".join(f"{name} = excluded.{name}" for name in sqlite.ROW_COLUMNS[2:])
SQLITE_UPSERT = sqlite.INSERT_ITEMS._replace(
    text=lambda rows: (
        sqlite.INSERT_ITEMS.text(rows)
        + f" ON CONFLICT (character_guid, slot) DO UPDATE SET {COLUMNS}"
    ),
    repeatable=True,
)
POSTGRESQL_UPSERT = (
    f"INSERT INTO character_inventory ({', '.join(sqlite.ROW_COLUMNS)}) "
    f"SELECT {', '.join(postgresql.CHANGED_COLUMNS)}, item_guid FROM bare_item "
    f"ON CONFLICT (character_guid, slot) DO UPDATE SET {COLUMNS}"
)
POSTGRESQL_TABLE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS bare_item "
    f"({', '.join(f'{name} bigint' for name in sqlite.ROW_COLUMNS)}) ON COMMIT DELETE ROWS"
)
MARIADB_UPSERT = " ON DUPLICATE KEY UPDATE " + ", ".join(
    f"{name} = VALUES({name})" for name in sqlite.ROW_COLUMNS[2:]
)


def run_bare_realm(connection: Connection, database: str, world_names: list[str]) -> None:
    """As `run_realm`, on a store that promises nothing."""
    server.store_for = _bare_store  # type: ignore[assignment]
    run_realm(connection, database, world_names)


def _bare_store(url: str, settings: Any = None) -> SqlStore:
    store = store_for(url, settings)
    assert isinstance(store, SqlStore)
    write_group = store.write_group
    is_new = True

    async def bare(entries: Sequence[Any], mint_guids: Any = None) -> list[Any]:
        nonlocal is_new
        if not all(isinstance(entry, CommitEntry) for entry in entries):
            return await write_group(entries, mint_guids)  # joins and leaves
        if is_new:
            is_new = False
            table = " ON character_inventory" if isinstance(store, MariadbStore) else ""
            await store._write(lambda c: c.execute(text(f"DROP INDEX {INDEX}{table}")))
        commits = join_commits([entry.commits for entry in entries])
        owner = np.repeat(
            commits.participants["character_guid"], commits.participants["item_count"]
        )
        await _overwrite(store, OwnedItems(owner, commits.items))
        return [
            CommitOutcome(
                np.zeros(len(entry.commits.operations), np.uint8),
                entry.commits.participants["expected_version"] + np.uint64(1),
                {},
            )
            for entry in entries
        ]

    store.write_group = bare  # type: ignore[method-assign]
    return store


def _last_of_each_slot(owned: OwnedItems) -> OwnedItems:
    """PostgreSQL refuses to overwrite a row twice in one statement."""
    # The guids of the load test are close to each other, so that none is lost above.
    newest_first = (owned.character_guid << np.uint64(16) | owned.items["slot"])[::-1]
    _, index = np.unique(newest_first, return_index=True)
    return owned.where(len(newest_first) - 1 - index)


async def _overwrite(store: SqlStore, owned: OwnedItems) -> None:
    """One transaction, in the quickest way that each database knows."""
    if isinstance(store, SqliteStore):
        raw = store._raw
        assert raw is not None
        rows = sqlite.table_rows(owned)
        await store._write(lambda _: sqlite.run(raw, SQLITE_UPSERT, rows))
    elif isinstance(store, MariadbStore):
        connection = await store._raw_writer()
        insert = mariadb.INSERT + mariadb._rows(owned) + MARIADB_UPSERT
        store._left = [mariadb.BEGIN, insert]
        await store._commit(connection)
    else:
        assert isinstance(store, PostgresqlStore)
        connection = await store._raw_writer()
        await connection.execute(POSTGRESQL_TABLE)
        await connection.execute(postgresql.BEGIN)
        columns = postgresql._columns(_last_of_each_slot(owned), sqlite.ROW_COLUMNS)
        await connection.copy_to_table(
            "bare_item",
            source=postgresql.io.BytesIO(postgresql.copy_data(columns, [8] * len(columns))),
            columns=sqlite.ROW_COLUMNS,
            format="binary",
        )
        await connection.fetch(POSTGRESQL_UPSERT)
        await connection.execute("COMMIT")
