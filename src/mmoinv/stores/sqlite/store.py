"""The SQLite store: one connection, used by one thread of its own.

The event loop hops to the thread once a group. Every answered commit is on the disk (WAL,
full sync). What happens inside a transaction is in `mmoinv.stores.sqlite.group`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mmoinv.errors import StoreError, StoreUnavailableError
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.entries import Entry, MintGuids, Outcome
from mmoinv.stores.schema import Schema, State
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.sqlite.checkpoints import Checkpoints
from mmoinv.stores.sqlite.errors import store_error
from mmoinv.stores.sqlite.group import write_group
from mmoinv.stores.sqlite.schema import (
    check_sqlite_version,
    connect,
    engine_around,
    reading,
    transaction,
)
from mmoinv.stores.store import DuplicateRowError

T = TypeVar("T")


class SqliteStore(SqlStore):
    """A `mmoinv.stores.Store` in an SQLite file; the file is created if it is not there."""

    def __init__(self, path: str | Path, settings: StoreSettings | None = None) -> None:
        """Of the settings, SQLite heeds ``cached_characters`` and ``lock_timeout_s``."""
        check_sqlite_version()
        self.settings = settings or StoreSettings()
        self._committed = CommittedInventories(self.settings.cached_characters)
        self.path = str(path)
        self._thread: ThreadPoolExecutor | None = None
        self._raw: sqlite3.Connection | None = None
        self._engine: Engine | None = None
        self._checkpoints: Checkpoints | None = None
        self._undisturbed: int | None = None
        """SQLite's number for what others have committed, as of the last group; None if we have
        written anything else since."""

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self._thread is not None

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
            await self._learn_forgotten_epoch()
        except BaseException:
            await self.close()
            raise

    def _open(self) -> None:
        folder = Path(self.path).parent
        if not folder.is_dir():
            raise StoreUnavailableError(
                f"database {self.path}: the folder {folder} does not exist. Create it first."
            )
        try:
            raw = connect(self.path, self.settings.lock_timeout_s)
        except (DBAPIError, sqlite3.Error) as error:
            raise store_error(error, self.path) from error
        # SQLite counts what others commit for each connection by itself.
        self._raw, self._undisturbed = raw, None
        # The same connection for both: what SQLAlchemy runs is in the transaction that is open.
        self._engine = engine_around(raw)
        self._checkpoints = Checkpoints(self.path, raw, self.settings.lock_timeout_s)

    async def close(self) -> None:
        """Finish what runs, then close the file."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        await asyncio.get_running_loop().run_in_executor(thread, self._close)
        thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.close()
            self._checkpoints = None
        if self._raw is not None:
            self._raw.close()
            self._raw = self._engine = None

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise StoreUnavailableError(f"database {self.path} is not open.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the thread, outside a transaction."""

        def do() -> T:
            assert self._engine is not None
            try:
                with self._engine.connect() as connection:
                    return work(connection)
            except DBAPIError as error:
                raise store_error(error, self.path) from error

        return await self._on_thread(do)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        def disturb(connection: Connection) -> T:
            self._undisturbed = None
            return work(connection)

        return await self._in_transaction(disturb)

    def _is_alone(self) -> bool:
        """Whether nobody has written to the file since the last group, in the open transaction."""
        assert self._raw is not None
        before = self._undisturbed
        (self._undisturbed,) = self._raw.execute("PRAGMA data_version").fetchone()
        return before == self._undisturbed

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the thread in one transaction: all of it is on the disk, or nothing."""

        def do() -> T:
            raw, engine = self._raw, self._engine
            assert raw is not None
            assert engine is not None
            try:
                raw.execute("BEGIN IMMEDIATE")
                with engine.connect() as connection:
                    result = work(connection)
                    raw.execute("COMMIT")
                if self._checkpoints is not None:
                    self._checkpoints.committed(raw.total_changes)
            except (DBAPIError, sqlite3.Error) as error:
                raise store_error(error, self.path) from error
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
            return result

        return await self._on_thread(do)

    async def upgrade(self) -> Schema:
        """Bring the schema to the version that this mmoinv speaks; what it was before."""
        if not await asyncio.to_thread(Path(self.path).exists):
            async with self:
                return Schema(State.EMPTY, "")
        return await super().upgrade()

    async def inspect(self, work: Callable[[Connection], T]) -> T:
        return await self._once(transaction, work)

    async def read_only(self, work: Callable[[Connection], T]) -> T:
        return await self._once(reading, work)

    async def _once(
        self,
        begun: Callable[[str, float], AbstractContextManager[Connection]],
        work: Callable[[Connection], T],
    ) -> T:
        """One transaction, with a connection for it alone."""

        def do() -> T:
            try:
                with begun(self.path, self.settings.lock_timeout_s) as connection:
                    return work(connection)
            except (DBAPIError, sqlite3.Error) as error:
                raise store_error(error, self.path) from error

        return await asyncio.to_thread(do)

    def _forget(self) -> None:
        self._committed.drop_all()

    async def write_group(
        self, entries: Sequence[Entry], mint_guids: MintGuids | None = None
    ) -> list[Outcome]:
        """Write all entries in one transaction; see `Store.write_group`."""
        mint = mint_guids or _no_guids
        committed = self._committed

        def work(connection: Connection, trusts_new_guids: bool = True) -> list[Outcome]:
            assert self._raw is not None
            committed.begin(self._is_alone())
            return write_group(
                self._raw,
                connection,
                entries,
                mint,
                committed,
                trusts_new_guids,
                self.rules,
            )

        try:
            outcomes = await self._in_transaction(work)
        except DuplicateRowError:
            outcomes = await self._in_transaction(partial(work, trusts_new_guids=False))
        committed.end(committed=True)
        return outcomes


def _no_guids(count: int) -> npt.NDArray[np.uint64]:
    return np.zeros(count, np.uint64)
