"""The old path of the rehearsed game: its load and its save, and what may go wrong with them.

On SQLite the two block, on a server they are coroutines, as teams have one or the other. Knows no
mode and no realm.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from mmoinv.records import Batch
from mmoinv.rehearsal.old_tables import OLD_TABLES, OldTables

T = TypeVar("T")

SLOW_S = 0.05
LOOK_EVERY_S = 0.01
DEADLOCKS = (1205, 1213)
"""Errors of MariaDB after which a transaction is begun again."""
HANGS_AT_MOST_S = 60.0
BUG = "of the last stack of an inventory one too few is written"


class Trouble(Enum):
    """What is wrong with the old path for now."""

    NONE = "nothing"
    RAISES = "it raises"
    SLOW = "it is slow"
    HANGS = "it hangs"
    BUG = f"a bug is planted: {BUG}"


class OldPathError(Exception):
    """What the old path raises while it is told to."""


class OldPath:
    """``load(character_guid)`` and ``save(character_guid, items)`` of the game, both of them either
    blocking or coroutine functions. ``trouble`` may be set at any time."""

    def __init__(self, url: str, old_format: str) -> None:
        is_sqlite = url.startswith("sqlite")
        self.tables: OldTables = OLD_TABLES[old_format](is_sqlite)
        self.trouble = Trouble.NONE
        self.saves = 0
        """Whole inventories that were written."""
        self.running = 0
        """Calls that have not ended."""
        self.spoiled: set[int] = set()
        """Characters that the planted bug has struck."""
        self._lock = threading.Lock()
        self._close: Callable[[], Any]
        if is_sqlite:
            engine = create_engine(url)
            event.listen(engine, "connect", _unsynced)
            self.load: Callable[[int], Any] = self._blocking(engine.begin, self._load)
            self.save: Callable[[int, Batch], Any] = self._blocking(engine.begin, self._save)
            self._close = engine.dispose
        else:
            there = url.partition("://")[2]
            waiting = create_async_engine(
                f"mysql+asyncmy://{there}",
                # A connection each time: whoever calls has the event loop that it belongs to.
                poolclass=NullPool,
                isolation_level="READ COMMITTED",
            )
            self.load = self._waiting(waiting, self._load)
            self.save = self._waiting(waiting, self._save)
            self._close = waiting.dispose

    async def close(self) -> None:
        """Let go of the database."""
        closing = self._close()
        if closing is not None:
            await closing

    # What the game does

    def _load(self, connection: Connection, character_guid: int) -> Batch:
        return self.tables.load(connection, character_guid)

    def _save(self, connection: Connection, character_guid: int, items: Batch) -> None:
        if self.trouble is Trouble.BUG:
            items = self._spoiled(character_guid, items)
        self.tables.save(connection, character_guid, items)
        with self._lock:
            self.saves += 1

    def _spoiled(self, character_guid: int, items: Batch) -> Batch:
        stacks = (items["stack_count"] > 1).nonzero()[0]
        if len(stacks):
            items = items.copy()
            items["stack_count"][stacks[-1]] -= 1
            with self._lock:
                self.spoiled.add(character_guid)
        return items

    # How it is called

    def _blocking(self, begin: Callable[[], Any], work: Callable[..., T]) -> Callable[..., T]:
        def call(*arguments: Any) -> T:
            with self._counted():
                if self.trouble is Trouble.SLOW:
                    time.sleep(SLOW_S)
                for _ in range(int(HANGS_AT_MOST_S / LOOK_EVERY_S)):
                    if self.trouble is not Trouble.HANGS:
                        break
                    time.sleep(LOOK_EVERY_S)
                self._may_raise()
                with begin() as connection:
                    return work(connection, *arguments)

        return call

    def _waiting(self, engine: AsyncEngine, work: Callable[..., T]) -> Callable[..., Any]:
        async def call(*arguments: Any) -> T:
            with self._counted():
                if self.trouble is Trouble.SLOW:
                    await asyncio.sleep(SLOW_S)
                for _ in range(int(HANGS_AT_MOST_S / LOOK_EVERY_S)):
                    if self.trouble is not Trouble.HANGS:
                        break
                    await asyncio.sleep(LOOK_EVERY_S)
                self._may_raise()
                while True:
                    try:
                        async with engine.begin() as connection:
                            return await connection.run_sync(work, *arguments)
                    except OperationalError as error:
                        if error.orig is None or error.orig.args[0] not in DEADLOCKS:
                            raise

        return call

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.running += 1
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def _may_raise(self) -> None:
        if self.trouble is Trouble.RAISES:
            raise OldPathError("the old path was told to fail")


def _unsynced(connection: Any, _: object) -> None:
    # It is thrown away, and this disk is not what is rehearsed.
    connection.execute("PRAGMA synchronous = OFF")
