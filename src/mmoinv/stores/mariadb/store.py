"""The MariaDB and MySQL store: connections, transactions, errors; the statements are in `bulk`.

What a group writes goes with its COMMIT, as one text: the fewer times the server is waited for,
the shorter are the locks.
"""

import logging
import math
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import asyncmy
from asyncmy.constants.CLIENT import FOUND_ROWS, MULTI_STATEMENTS
from asyncmy.errors import MySQLError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mmoinv.errors import ConfigurationError, StoreError, StoreUnavailableError
from mmoinv.stores.addresses import parse_address
from mmoinv.stores.mariadb import bulk
from mmoinv.stores.mariadb.errors import store_error
from mmoinv.stores.server_store import Connect, ServerStore, driver_error
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.steps import LedgerRows, Look, Seen, Write, check_written

log = logging.getLogger("mmoinv.stores")

DEFAULT_PORT = 3306
EXAMPLE = "mariadb://user@host:3306/database"
OPTIONS = ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key")


class MariadbStore(ServerStore):
    """A `mmoinv.stores.Store` in a database of a MariaDB or MySQL server.

    Options of the URL: ``unix_socket``, and for TLS ``ssl_ca`` (the file of the authority that
    signed the server's certificate) with ``ssl_cert`` and ``ssl_key`` of our own if the server
    wants them. With several hosts, the first that takes writes is used.
    """

    driver_errors = (MySQLError,)

    def __init__(self, url: str, settings: StoreSettings | None = None) -> None:
        super().__init__(url, settings)
        self.address = parse_address(url, DEFAULT_PORT, EXAMPLE)
        unknown = sorted(set(self.address.options) - set(OPTIONS))
        if unknown:
            raise ConfigurationError(
                f"database {self.url!r}: option {unknown[0]!r} is not known. There are: "
                f"{', '.join(OPTIONS)}."
            )
        self._left: list[str] = []
        """Statements that go with the next ones."""
        self._now_s = 0

    def _make_engine(self, connect: Connect) -> AsyncEngine:
        return create_async_engine(
            "mysql+asyncmy://",
            async_creator=connect,
            pool_size=self.settings.tool_connections + 1,
            max_overflow=0,
            pool_timeout=self.settings.connect_timeout_s,
            pool_pre_ping=True,
        )

    def _places(self) -> Sequence[Mapping[str, Any]]:
        if socket := self.address.options.get("unix_socket"):
            return [{"unix_socket": socket}]
        hosts = self.address.hosts or (("localhost", DEFAULT_PORT),)
        return [{"host": host, "port": port} for host, port in hosts]

    async def _connect_to(self, place: Mapping[str, Any], writes: bool) -> Any:
        address = self.address
        raw = await asyncmy.connect(
            **place,
            user=address.user or None,
            password=address.password,
            database=address.database,
            charset="utf8mb4",
            autocommit=False,
            client_flag=MULTI_STATEMENTS | FOUND_ROWS,
            connect_timeout=max(1, math.ceil(self.settings.connect_timeout_s)),
            read_timeout=max(1, math.ceil(self.settings.statement_timeout_s)) + 1,
            ssl=_tls(address.options),
        )
        try:
            ((read_only,),) = (await _run(raw, "SELECT @@global.read_only"))[0]
            if read_only and writes:
                raise StoreUnavailableError("it is read-only")
            # Of a cluster; MySQL knows no such variable.
            clustered = (await _run(raw, "SHOW VARIABLES LIKE 'wsrep_on'"))[0]
            ready = (await _run(raw, "SHOW STATUS LIKE 'wsrep_ready'"))[0]
            if clustered and clustered[0][1] == "ON" and ready[0][1] != "ON":
                raise StoreUnavailableError("it is not part of its cluster for now")
        except BaseException:
            raw.close()
            raise
        return raw

    def _error(self, error: BaseException) -> StoreError:
        error = driver_error(error)
        if isinstance(error, StoreError):
            return error
        if error.__cause__ is not None and not isinstance(error, MySQLError):
            error = error.__cause__
        return store_error(error, self.url)

    async def _prepare_writer(self, raw: Any) -> None:
        settings = self.settings
        await _run(
            raw,
            bulk.WRITER_SETTINGS.format(
                lock_timeout_s=max(1, math.ceil(settings.lock_timeout_s)),
                statement_timeout_s=settings.statement_timeout_s,
                # A realm that was stopped half-way does not hold its locks for ever.
                idle_timeout_s=max(1, math.ceil(2 * settings.statement_timeout_s)),
                columns=bulk.CHANGED_COLUMNS,
            ),
        )
        ((flush,),) = (await _run(raw, "SELECT @@global.innodb_flush_log_at_trx_commit"))[0]
        if flush != 1:
            log.warning(
                "database %s runs with innodb_flush_log_at_trx_commit = %s: what is answered as "
                "saved may be lost when its machine fails",
                self.url,
                flush,
            )

    async def _begin(self, raw: Any, now_s: int) -> None:
        self._left = [bulk.BEGIN]
        self._now_s = now_s

    async def _look(self, raw: Any, look: Look) -> Seen:
        kinds: list[str | None] = [None] * len(self._left)
        texts, self._left = self._left, []
        for asked, statements in bulk.selects(look):
            kinds += [asked] * len(statements)
            texts += statements
        rows: dict[str, list[Any]] = {kind: [] for kind in bulk.KINDS}
        if texts:
            for kind, found in zip(kinds, await _run(raw, ";".join(texts)), strict=True):
                if kind is not None:
                    rows[kind].extend(found)
        return bulk.seen(rows)

    async def _change(self, raw: Any, write: Write) -> Coroutine[Any, Any, None] | None:
        self._left += bulk.changes(write, self._now_s)
        self._updated = len(write.updated.items)
        # Much is begun at once, and runs while the ledger's rows are made; a little goes with
        # them, since another way to the server and back would be longer than that.
        if len(write.updated.items) + len(write.inserted.items) > bulk.FEW_ROWS:
            return self._flush(raw)
        return None

    def _note(self, raw: Any, rows: LedgerRows) -> Callable[[], Coroutine[Any, Any, object]]:
        return partial(self._leave, bulk.note(rows, self._now_s))

    async def _leave(self, text: str) -> None:
        self._left.append(text)

    async def _flush(self, raw: Any) -> None:
        if self._left:
            texts, self._left = self._left, []
            for text, result in zip(texts, await _run(raw, ";".join(texts)), strict=True):
                if text.startswith(bulk.UPDATE):
                    check_written(result, self._updated)

    async def _commit(self, raw: Any) -> None:
        self._left.append("COMMIT")
        await self._flush(raw)

    async def _rollback(self, raw: Any) -> None:
        self._left = []
        await _run(raw, "ROLLBACK")


async def _run(raw: Any, text: str) -> list[Any]:
    """Run statements; the rows of each, or how many rows a statement that gives none has found."""
    results = []
    async with raw.cursor() as cursor:
        await cursor.execute(text)
        while True:
            results.append(await cursor.fetchall() if cursor.description else cursor.rowcount)
            if not await cursor.nextset():
                return results


def _tls(options: Any) -> ssl.SSLContext | None:
    if not any(name.startswith("ssl_") for name in options):
        return None
    context = ssl.create_default_context(cafile=options.get("ssl_ca"))
    if "ssl_cert" in options:
        context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    return context
