"""The SQLite store: one connection, used by one thread of its own.

The event loop hops to the thread once a group. Every answered commit is on the disk (WAL,
full sync). What happens inside a transaction is in `mmoinv.stores.sqlite.group`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.records import INVENTORY_ITEM, U32_MAX, Batch
from mmoinv.stores.committed import CACHED_CHARACTERS, CommittedInventories
from mmoinv.stores.entries import Entry, MintGuids, Outcome
from mmoinv.stores.sqlite.errors import store_error
from mmoinv.stores.sqlite.group import read_items, signed_number, write_entries
from mmoinv.stores.sqlite.schema import check_sqlite_version, connect
from mmoinv.stores.store import Session, StoreCounts, World

T = TypeVar("T")
BUSY_TIMEOUT_S = 5.0
"""How long one statement waits for another process's lock."""
COUNTED_TABLES = (
    "character_inventory",
    "character_session",
    "applied_operation",
    "set_aside_item",
    "world",
)


class SqliteStore:
    """A `mmoinv.stores.Store` in an SQLite file; the file is created if it is not there."""

    def __init__(
        self,
        path: str | Path,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        cached_characters: int = CACHED_CHARACTERS,
    ) -> None:
        """``cached_characters``: how many inventories are remembered between two groups."""
        check_sqlite_version()
        self._committed = CommittedInventories(cached_characters)
        self.path = str(path)
        self.busy_timeout_s = busy_timeout_s
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def url(self) -> str:
        """``sqlite:///`` and the path."""
        return f"sqlite:///{self.path}"

    async def open(self) -> None:
        """Open the file, create or check the schema."""
        if self._thread is not None:
            raise StoreError(f"database {self.path} is open already.")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mmoinv-sqlite")
        try:
            await self._on_thread(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            self._thread = None
            raise

    def _open(self) -> None:
        folder = Path(self.path).parent
        if not folder.is_dir():
            raise StoreUnavailableError(
                f"database {self.path}: the folder {folder} does not exist. Create it first."
            )
        try:
            self._connection = connect(self.path, self.busy_timeout_s)
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    async def close(self) -> None:
        """Finish what runs, then close the file."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        await asyncio.get_running_loop().run_in_executor(thread, self._close)
        thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def __aenter__(self) -> Self:
        if self._thread is None:
            await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise StoreUnavailableError(f"database {self.path} is not open.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on the thread, outside a transaction."""

        def do() -> T:
            assert self._connection is not None
            try:
                return work(self._connection)
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error

        return await self._on_thread(do)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on the thread in one transaction: all of it is on the disk, or nothing."""

        def do() -> T:
            connection = self._connection
            assert connection is not None
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return result

        return await self._on_thread(do)

    async def write_group(
        self, entries: Sequence[Entry], mint_guids: MintGuids | None = None
    ) -> list[Outcome]:
        """Write all entries in one transaction; see `Store.write_group`."""
        mint = mint_guids or _no_guids
        committed = self._committed

        def work(connection: sqlite3.Connection) -> list[Outcome]:
            committed.begin()
            return write_entries(connection, entries, mint, committed)

        outcomes = await self._write(work)
        committed.end(committed=True)
        return outcomes

    async def add_world(self, name: str, verifier: str) -> int:
        """Create a world or give it another verifier; its world id."""

        def work(connection: sqlite3.Connection) -> int:
            ((world_id,),) = connection.execute(
                "INSERT INTO world (name, verifier) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET verifier = excluded.verifier RETURNING world_id",
                (name, verifier),
            ).fetchall()
            return int(world_id)

        return await self._write(work)

    async def find_world(self, name: str) -> tuple[int, str] | None:
        """World id and verifier by name."""

        def work(connection: sqlite3.Connection) -> tuple[int, str] | None:
            row: tuple[int, str] | None = connection.execute(
                "SELECT world_id, verifier FROM world WHERE name = ?", (name,)
            ).fetchone()
            return row

        return await self._read(work)

    async def worlds(self) -> list[World]:
        """All worlds, by name."""

        def work(connection: sqlite3.Connection) -> list[World]:
            rows = connection.execute(
                "SELECT world_id, name, verifier, node_epoch FROM world ORDER BY name"
            ).fetchall()
            return [World(*row) for row in rows]

        return await self._read(work)

    async def next_node_epoch(self, world_id: int | None = None) -> int:
        """A u32 that was never given before."""

        def work(connection: sqlite3.Connection) -> int:
            ((epoch,),) = connection.execute(
                "UPDATE mmoinv_meta SET value = value + 1 WHERE name = 'node_epoch' RETURNING value"
            ).fetchall()
            if epoch > U32_MAX:
                raise StoreDataError(
                    f"database {self.path}: all {U32_MAX} node epochs are used up. "
                    "Nothing was changed; go on with a new database."
                )
            if world_id is not None:
                connection.execute(
                    "UPDATE world SET node_epoch = ? WHERE world_id = ?", (epoch, world_id)
                )
            return int(epoch)

        return await self._write(work)

    async def read_items(self, character_guid: int) -> Batch:
        """The stored inventory of a character, slot-sorted."""
        return await self._read(
            lambda connection: read_items(connection, character_guid, set_bad_aside=False)[0]
        )

    async def read_inventories(
        self, first_guid: int, last_guid: int
    ) -> tuple[npt.NDArray[np.uint64], Batch]:
        """All records of a range of characters."""

        def work(connection: sqlite3.Connection) -> tuple[npt.NDArray[np.uint64], Batch]:
            guids: list[int] = []
            batches: list[Batch] = [np.empty(0, INVENTORY_ITEM)]
            for span in _signed_spans(first_guid, last_guid):
                found = connection.execute(
                    "SELECT DISTINCT character_guid FROM character_inventory "
                    "WHERE character_guid BETWEEN ? AND ?",
                    span,
                ).fetchall()
                for (guid,) in found:
                    items, _ = read_items(connection, guid % (1 << 64), set_bad_aside=False)
                    guids += [guid % (1 << 64)] * len(items)
                    batches.append(items)
            return np.array(guids, np.uint64), np.concatenate(batches)

        return await self._read(work)

    async def read_session(self, character_guid: int) -> Session | None:
        """The session row of a character."""

        def work(connection: sqlite3.Connection) -> Session | None:
            row = connection.execute(
                "SELECT world_id, process_nonce, epoch, version, online "
                "FROM character_session WHERE character_guid = ?",
                (signed_number(character_guid),),
            ).fetchone()
            if row is None:
                return None
            world_id, nonce, epoch, version, online = row
            return Session(
                character_guid, world_id, nonce % (1 << 64), epoch, version, bool(online)
            )

        return await self._read(work)

    async def has_characters(self, first_guid: int, last_guid: int) -> bool:
        """Whether anything is stored for a range of characters."""

        def work(connection: sqlite3.Connection) -> bool:
            return any(
                connection.execute(
                    f"SELECT 1 FROM {table} WHERE character_guid BETWEEN ? AND ? LIMIT 1", span
                ).fetchone()
                for span in _signed_spans(first_guid, last_guid)
                for table in ("character_inventory", "character_session")
            )

        return await self._read(work)

    async def clear_characters(self, first_guid: int, last_guid: int) -> int:
        """Delete all of a range of characters; how many items."""

        def work(connection: sqlite3.Connection) -> int:
            items = 0
            for span in _signed_spans(first_guid, last_guid):
                for table in ("character_inventory", "character_session", "set_aside_item"):
                    deleted = connection.execute(
                        f"DELETE FROM {table} WHERE character_guid BETWEEN ? AND ?", span
                    ).rowcount
                    items += deleted if table == "character_inventory" else 0
            return items

        self._committed.drop_all()
        return await self._write(work)

    async def forget_operations(
        self, applied_before_s: int, after: int | None = None, limit: int = 2000
    ) -> int | None:
        """Forget old applied operations, a slice of the table at a time."""
        start = -(1 << 63) if after is None else after + 1

        def work(connection: sqlite3.Connection) -> int | None:
            ((last,),) = connection.execute(
                "SELECT max(operation_id) FROM (SELECT operation_id FROM applied_operation "
                "WHERE operation_id >= ? ORDER BY operation_id LIMIT ?)",
                (start, limit),
            ).fetchall()
            if last is None:
                return None
            connection.execute(
                "DELETE FROM applied_operation "
                "WHERE operation_id BETWEEN ? AND ? AND applied_at < ?",
                (start, last, applied_before_s),
            )
            return int(last) if last < (1 << 63) - 1 else None

        return await self._write(work)

    async def counts(self) -> StoreCounts:
        """How many rows each table has."""

        def work(connection: sqlite3.Connection) -> StoreCounts:
            return StoreCounts(
                *(
                    connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in COUNTED_TABLES
                )
            )

        return await self._read(work)


def _no_guids(count: int) -> npt.NDArray[np.uint64]:
    return np.zeros(count, np.uint64)


def _signed_spans(first_guid: int, last_guid: int) -> list[tuple[int, int]]:
    """A range of u64 as ranges of i64: two where it goes over 2^63."""
    half = 1 << 63
    if first_guid < half <= last_guid:
        return [*_signed_spans(first_guid, half - 1), *_signed_spans(half, last_guid)]
    return [(signed_number(first_guid), signed_number(last_guid))]
