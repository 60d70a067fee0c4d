"""The PostgreSQL store: connections, transactions, errors; the statements are in `bulk`."""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mmoinv.errors import StoreError
from mmoinv.stores.addresses import parse_address
from mmoinv.stores.postgresql import bulk
from mmoinv.stores.postgresql.errors import store_error
from mmoinv.stores.server_store import Connect, ServerStore, driver_error
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.steps import LedgerRows, Look, Seen, Write

log = logging.getLogger("mmoinv.stores")

DEFAULT_PORT = 5432
EXAMPLE = "postgresql://user@host:5432/database"


class PostgresqlStore(ServerStore):
    """A `mmoinv.stores.Store` in a database of a PostgreSQL server.

    The URL is libpq's: options such as ``sslmode`` and ``host`` (a socket's folder) go behind a
    question mark, PGPASSWORD and a .pgpass file are heeded. With several hosts, the one that
    takes writes is sought.
    """

    driver_errors = (asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(self, url: str, settings: StoreSettings | None = None) -> None:
        super().__init__(url, settings)
        self.address = parse_address(url, DEFAULT_PORT, EXAMPLE)
        self._transaction: bulk.Transaction

    def _make_engine(self, connect: Connect) -> AsyncEngine:
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=self.settings.tool_connections + 1,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout_s,
            pool_pre_ping=True,
        )

    def _places(self) -> Sequence[Mapping[str, Any]]:
        # Without hosts asyncpg finds in the URL's options, or in the environment, where to go.
        return [{"host": host, "port": port} for host, port in self.address.hosts] or [{}]

    async def _connect_to(self, place: Mapping[str, Any], writes: bool) -> Any:
        settings = self.settings
        return await asyncpg.connect(
            self._url,
            **place,
            command_timeout=settings.statement_timeout_s,
            target_session_attrs=SessionAttribute.read_write if writes else SessionAttribute.any,
            server_settings={
                "application_name": "mmoinv",
                "lock_timeout": _milliseconds(settings.lock_timeout_s),
                "statement_timeout": _milliseconds(settings.statement_timeout_s),
                # A realm that was stopped half-way does not hold its locks for ever.
                "idle_in_transaction_session_timeout": _milliseconds(
                    2 * settings.statement_timeout_s
                ),
            },
        )

    def _error(self, error: BaseException) -> StoreError:
        error = driver_error(error)
        if isinstance(error, StoreError):
            return error
        # SQLAlchemy's own copy of the driver's error.
        if error.__cause__ is not None and not isinstance(error, asyncpg.PostgresError):
            error = error.__cause__
        return store_error(error, self.url)

    async def _prepare_writer(self, raw: Any) -> None:
        await raw.execute(bulk.WRITER_SETTINGS)
        if await raw.fetchval("SELECT current_setting('synchronous_commit')") == "off":
            await raw.execute(bulk.SAFE_COMMIT)
        if await raw.fetchval("SELECT current_setting('fsync')") == "off":
            log.warning(
                "database %s runs with fsync = off: what is answered as saved may be lost when "
                "its machine fails",
                self.url,
            )

    async def _begin(self, raw: Any, now_s: int) -> None:
        await raw.execute(bulk.BEGIN)
        self._transaction = bulk.Transaction(raw, now_s)

    async def _look(self, raw: Any, look: Look) -> Seen:
        return await self._transaction.look(look)

    async def _change(self, raw: Any, write: Write) -> Coroutine[Any, Any, None] | None:
        return await self._transaction.write(write)

    def _note(self, raw: Any, rows: LedgerRows) -> Callable[[], Coroutine[Any, Any, object]]:
        return self._transaction.note(rows)

    async def _flush(self, raw: Any) -> None:
        await self._transaction.settle()

    async def _commit(self, raw: Any) -> None:
        await self._transaction.settle()
        await raw.execute("COMMIT")

    async def _rollback(self, raw: Any) -> None:
        await raw.execute("ROLLBACK")


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
