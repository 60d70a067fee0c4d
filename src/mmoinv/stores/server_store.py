"""What the stores on database servers share: one connection for groups, a few for everything else.

The group's connection is the driver's own; SQLAlchemy stands around it for joins and leaves,
inside of the same transaction. A connection about which there is any doubt is dropped: the next
try makes a new one, on whichever host takes writes by then. Knows no SQL of any one database.
"""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.stores import sessions
from mmoinv.stores.addresses import shown_url
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.entries import Entry, LeaveEntry, LeaveOutcome, MintGuids, Outcome
from mmoinv.stores.group import Joined, write_entries
from mmoinv.stores.schema import require_current
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.steps import LedgerRows, Look, Seen, Wait, Write
from mmoinv.stores.store import DuplicateRowError

T = TypeVar("T")
log = logging.getLogger("mmoinv.stores")

ROLLBACK_TIMEOUT_S = 1.0
OTHER_ERRORS = (SQLAlchemyError, OSError, EOFError, TimeoutError)
"""What a failing connection may raise besides the driver's own errors."""
READ_ONLY = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
"""Before the first statement of a transaction: all that it reads is of one moment."""
Connect = Callable[..., Awaitable[Any]]
"""Makes a driver's connection."""


class ServerStore(SqlStore):
    """A `mmoinv.stores.Store` on a database server."""

    driver_errors: tuple[type[Exception], ...]
    """What the driver raises."""

    def __init__(self, url: str, settings: StoreSettings | None = None) -> None:
        self.settings = settings or StoreSettings()
        self._url = url
        self._committed = CommittedInventories(self.settings.cached_characters)
        self._engine: AsyncEngine | None = None
        self._writer: AsyncConnection | None = None
        self._writing = asyncio.Lock()
        self._errors: tuple[type[Exception], ...] = (
            *self.driver_errors,
            SQLAlchemyError,
            OSError,
            EOFError,
            TimeoutError,
        )

    # What each database adds

    @abstractmethod
    def _make_engine(self, connect: Connect) -> AsyncEngine:
        """The engine; its connections come from the store's own ``connect`` function."""

    @abstractmethod
    def _places(self) -> Sequence[Mapping[str, Any]]:
        """Where the URL's hosts are, as the driver takes it."""

    @abstractmethod
    async def _connect_to(self, place: Mapping[str, Any], writes: bool) -> Any:
        """A driver's connection to one host, with ``writes`` only to one that takes them;
        `StoreUnavailableError` or the driver's error if it does not."""

    @abstractmethod
    def _error(self, error: BaseException) -> StoreError:
        """What a driver's error means; told from its cause if SQLAlchemy stands around it."""

    @abstractmethod
    async def _prepare_writer(self, raw: Any) -> None:
        """Settings of the session in which groups are written."""

    @abstractmethod
    async def _begin(self, raw: Any, now_s: int) -> None:
        """Begin a transaction; ``now_s`` in seconds since 1970."""

    @abstractmethod
    async def _look(self, raw: Any, look: Look) -> Seen:
        """Answer a `Look`: the session rows are locked first."""

    @abstractmethod
    async def _change(self, raw: Any, write: Write) -> Coroutine[Any, Any, None] | None:
        """Do a `Write`, or have it done before the next `Look` or the commit. What is given back
        does the part that takes the database longest, while the next step is made."""

    @abstractmethod
    def _note(self, raw: Any, rows: LedgerRows) -> Callable[[], Coroutine[Any, Any, object]]:
        """Prepare what adds rows to the ledger, or has it done as a `Write` is: to be called when
        the database has done what it is at."""

    @abstractmethod
    async def _flush(self, raw: Any) -> None:
        """Do now what `_change` has left for later."""

    @abstractmethod
    async def _commit(self, raw: Any) -> None:
        """Do what was left for later, and commit."""

    @abstractmethod
    async def _rollback(self, raw: Any) -> None:
        """Undo the transaction, and what was left for later."""

    # The store

    @property
    def url(self) -> str:
        """The URL without a password."""
        return shown_url(self._url)

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self._engine is not None

    async def open(self) -> None:
        """Connect; create or check the schema."""
        if self._engine is not None:
            raise StoreError(f"database {self.url} is open already.")
        self._engine = self._make_engine(self._connect)
        try:
            await self._write(lambda connection: require_current(connection, self.url))
            await self._learn_forgotten_epoch()
            async with self._writing:
                await self._take_writer()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what runs, then disconnect."""
        async with self._writing:
            engine, self._engine = self._engine, None
            if engine is None:
                return
            await self._drop_writer()
            await engine.dispose()

    async def _read(self, work: Callable[[Connection], T]) -> T:
        engine = self._opened()
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        except self._errors as error:
            raise await self._failed(error) from error

    async def _write(self, work: Callable[[Connection], T]) -> T:
        engine = self._opened()
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        except self._errors as error:
            raise await self._failed(error) from error

    async def _failed(self, error: BaseException) -> StoreError:
        """What an error means. Unless it is about the data, no connection of before is used
        again: it may lead to a host that takes no writes any longer."""
        known = self._error(error)
        if self._engine is not None and not isinstance(known, StoreDataError):
            await self._engine.dispose()
        return known

    async def inspect(self, work: Callable[[Connection], T]) -> T:
        return await self._once(self._connect, work)

    async def read_only(self, work: Callable[[Connection], T]) -> T:
        def reading(connection: Connection) -> T:
            connection.execute(READ_ONLY)
            return work(connection)

        return await self._once(partial(self._connect, writes=False), reading)

    async def _once(self, connect: Connect, work: Callable[[Connection], T]) -> T:
        """One transaction, with connections for it alone."""
        if self._engine is not None:
            raise StoreError(f"database {self.url} is open.")
        self._engine = self._make_engine(connect)
        try:
            return await self._write(work)
        finally:
            await self.close()

    async def _connect(self, *_: Any, writes: bool = True, **__: Any) -> Any:
        """A driver's connection to the first host that answers, and takes ``writes``."""
        places = self._places()
        refusals = []
        expected: tuple[type[Exception], ...] = (*self._errors, StoreUnavailableError)
        for place in places:
            try:
                # One that says nothing at all leaves time for the others.
                async with asyncio.timeout(self.settings.connect_timeout_s / len(places)):
                    return await self._connect_to(place, writes)
            except expected as error:
                if len(places) == 1:
                    raise
                refusals.append(f"{', '.join(map(str, place.values()))}: {error or 'no answer'}")
        raise StoreUnavailableError(
            f"database {self.url}: none of its hosts {'takes writes' if writes else 'answers'} "
            f"({'; '.join(refusals)})."
        )

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise StoreUnavailableError(f"database {self.url} is not open.")
        return self._engine

    def _forget(self) -> None:
        self._committed.drop_all()

    # Groups

    async def write_group(
        self, entries: Sequence[Entry], mint_guids: MintGuids | None = None
    ) -> list[Outcome]:
        """Write all entries in one transaction; see `Store.write_group`."""
        self._opened()
        mint = mint_guids or _no_guids
        async with self._writing:
            try:
                return await self._write_once(entries, mint, trusts_new_guids=True)
            except DuplicateRowError:
                return await self._write_once(entries, mint, trusts_new_guids=False)

    async def _write_once(
        self, entries: Sequence[Entry], mint_guids: MintGuids, trusts_new_guids: bool
    ) -> list[Outcome]:
        """One transaction with all entries; ``trusts_new_guids``: see `group.write_entries`."""
        self._committed.begin()
        try:
            outcomes = await self._write_entries(entries, mint_guids, trusts_new_guids)
        except self._errors as error:
            known = await self._failed(error)
            await self._abort(known)
            raise known from error
        except BaseException:
            # Cancelled, or an error of ours: what the transaction did is undone.
            await self._drop_writer()
            raise
        self._committed.end(committed=True)
        return outcomes

    async def _write_entries(
        self, entries: Sequence[Entry], mint_guids: MintGuids, trusts_new_guids: bool
    ) -> list[Outcome]:
        writer = await self._take_writer()
        raw = await self._raw_writer()
        steps = write_entries(entries, mint_guids, self._committed, trusts_new_guids, self.rules)
        reply: Seen | Joined | LeaveOutcome | None = None
        async with _InTurn() as turn:
            await turn.begin(self._begin(raw, int(time.time())))
            while True:
                try:
                    step = steps.send(reply)
                except StopIteration as end:
                    outcomes: list[Outcome] = end.value
                    break
                note = self._note(raw, step) if isinstance(step, LedgerRows) else None
                reply = await turn.over()
                if isinstance(step, Wait):
                    continue
                if note is not None:
                    await note()
                elif isinstance(step, Look):
                    await turn.begin(self._look(raw, step))
                elif isinstance(step, Write):
                    if rest := await self._change(raw, step):
                        await turn.begin(rest)
                else:
                    await self._flush(raw)
                    if isinstance(step, LeaveEntry):
                        reply = await writer.run_sync(sessions.leave, step)
                    else:
                        assert isinstance(step, list)
                        reply = await writer.run_sync(sessions.join, step)
            await turn.over()
        await self._commit(raw)
        return outcomes

    async def _raw_writer(self) -> Any:
        """The driver's own connection for groups."""
        return await _driver_connection(await self._take_writer())

    async def _take_writer(self) -> AsyncConnection:
        """The connection of the groups, made anew if there is none."""
        if self._writer is None:
            writer = await self._opened().connect()
            try:
                # BEGIN and COMMIT are the driver's, not SQLAlchemy's.
                await writer.execution_options(isolation_level="AUTOCOMMIT")
                await self._prepare_writer(await _driver_connection(writer))
            except BaseException:
                await _drop(writer)
                raise
            self._writer = writer
        return self._writer

    async def _abort(self, error: StoreError) -> None:
        """After a failed transaction: keep the connection only if it surely is as it was."""
        if self._writer is None:
            return
        if isinstance(error, StoreDataError):
            try:
                async with asyncio.timeout(ROLLBACK_TIMEOUT_S):
                    await self._rollback(await _driver_connection(self._writer))
            except Exception as second:
                log.debug("the rollback failed, the connection is dropped: %s", second)
            else:
                return
        await self._drop_writer()

    async def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await _drop(writer)


class _InTurn:
    """What the database does while the next step is made: one thing at a time, none left behind."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Seen | None] | None = None

    async def begin(self, work: Coroutine[Any, Any, Seen | None]) -> None:
        """Begin it: what it sends first is on its way."""
        self._task = asyncio.create_task(work, name="mmoinv store")
        await asyncio.sleep(0)

    async def over(self) -> Seen | None:
        """Wait for it: what it has seen, if it is a look; raises what it raised."""
        seen = None
        if self._task is not None:
            seen = await self._task
            self._task = None
        return seen

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def _drop(connection: AsyncConnection) -> None:
    """End a connection at once; the database rolls its transaction back."""
    try:
        await connection.invalidate()
        await connection.close()
    except (SQLAlchemyError, OSError) as error:
        log.debug("a connection that was dropped says: %s", error)


async def _driver_connection(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, if SQLAlchemy stands around it."""
    while isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return error


def _no_guids(count: int) -> npt.NDArray[np.uint64]:
    return np.zeros(count, np.uint64)
