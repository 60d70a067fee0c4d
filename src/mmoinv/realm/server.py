"""The realm server: opens the store, listens, and stops without losing an answer.

Embeddable (``async with RealmServer(...)``) and what ``mmoinv realm`` runs. What a link does
is in `mmoinv.realm.protocol`, what becomes of a commit in `mmoinv.realm.group_commit`.
"""

import asyncio
import errno
import logging
from types import TracebackType
from typing import Self

from mmoinv.certificates import is_loopback
from mmoinv.errors import ConfigurationError
from mmoinv.realm.certificate import RealmCertificate
from mmoinv.realm.group_commit import GroupCommit
from mmoinv.realm.ids import NumberMint
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.parts import RealmParts
from mmoinv.realm.protocol import WorldServerLink
from mmoinv.realm.retention import forget_old_ledger, forget_old_operations
from mmoinv.realm.sessions import Sessions
from mmoinv.realm.statistics import RealmStatistics, Tally
from mmoinv.realm.trades import Trades
from mmoinv.realm.worlds import add_world
from mmoinv.stores import Store, StoreSettings, store_for
from mmoinv.tls import TlsTransport

log = logging.getLogger("mmoinv.realm")

DEFAULT_PORT = 6280
TICK_S = 1.0


class RealmServer:
    """The realm server of one database.

    ``database_url`` and ``store_settings`` as `mmoinv.stores.store_for` takes them; ``port`` 0
    takes a free one. Wrong arguments raise `ConfigurationError`; `start` raises it too if the
    port cannot be had, and a `StoreError` if the database cannot.

    With ``tls_certificate`` and ``tls_key`` (files in PEM) it speaks TLS 1.3 and nothing else, and
    takes renewed files over by itself; with ``tls_client_ca`` worlds must show a certificate of
    such an authority. Off loopback it listens with TLS, or if ``allow_plaintext`` says that nobody
    can listen in between.
    """

    def __init__(
        self,
        database_url: str,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        limits: RealmLimits | None = None,
        store_settings: StoreSettings | None = None,
        *,
        tls_certificate: str = "",
        tls_key: str = "",
        tls_client_ca: str = "",
        allow_plaintext: bool = False,
    ) -> None:
        self._certificate: RealmCertificate | None = None
        if tls_certificate or tls_key:
            self._certificate = RealmCertificate(tls_certificate, tls_key, tls_client_ca)
        elif tls_client_ca:
            raise ConfigurationError(
                "tls_client_ca is set without tls_certificate and tls_key: only a realm that "
                "speaks TLS can ask worlds for certificates"
            )
        elif not is_loopback(host):
            _check_plaintext(host, allow_plaintext)
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"port {port} is outside 0..65535")
        self.host = host
        self._port = port
        self._limits = limits or RealmLimits()
        self._limits.check()
        self._store = store_for(database_url, store_settings)
        self._tally = Tally()
        self._parts: RealmParts | None = None
        self._server: asyncio.Server | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._closed = asyncio.Event()

    @property
    def port(self) -> int:
        """The port it listens on; once started, the real one."""
        return self._port

    @property
    def speaks_tls(self) -> bool:
        """Whether links are encrypted."""
        return self._certificate is not None

    @property
    def store(self) -> Store:
        """The database, open while the realm runs. For tools: it shares the realm's thread."""
        return self._store

    @property
    def statistics(self) -> RealmStatistics:
        """A snapshot of what the realm has done since its start."""
        parts = self._parts
        if parts is None:
            return self._tally.snapshot(0, 0, 0)
        return self._tally.snapshot(
            len(parts.links), len(parts.sessions), parts.writer.queued_operations
        )

    async def start(self) -> None:
        """Open the database and listen."""
        if self._parts is not None:
            raise ConfigurationError("the realm is started already")
        await self._store.open()
        try:
            mint = NumberMint(await self._store.next_node_epoch())
            writer = GroupCommit(self._store, mint, self._limits, self._tally)
            sessions = Sessions(writer.submit, self._limits.leave_timeout_s)
            trades = Trades(writer.submit, sessions.holder, self._limits)
            sessions.on_gone = trades.character_gone
            parts = RealmParts(
                self._store, writer, sessions, trades, mint, self._tally, self._limits
            )
            self._server = await self._listen(parts)
        except BaseException:
            await self._store.close()
            raise
        self._parts = parts
        self._closed.clear()
        writer.start()
        forgetting = forget_old_operations(self._store, self._limits.keep_operations_s)
        self._chores = [
            asyncio.create_task(self._tick(parts), name="mmoinv realm clock"),
            asyncio.create_task(forgetting, name="mmoinv realm retention"),
            asyncio.create_task(
                forget_old_ledger(self._store, self._limits.keep_ledger_s),
                name="mmoinv realm ledger retention",
            ),
        ]
        self._port = self._server.sockets[0].getsockname()[1]
        log.info("listening on %s:%d, %s", self.host, self._port, self._store.url)

    def _new_link(self, parts: RealmParts) -> asyncio.Protocol:
        link = WorldServerLink(parts)
        if self._certificate is None:
            return link
        return TlsTransport(link, self._certificate.context)

    async def _listen(self, parts: RealmParts) -> asyncio.Server:
        try:
            return await asyncio.get_running_loop().create_server(
                lambda: self._new_link(parts), self.host, self._port
            )
        except OSError as error:
            remedy = "Check the address."
            if error.errno == errno.EADDRINUSE:
                remedy = "Another process listens there: end it, or choose another port."
            elif error.errno == errno.EACCES:
                remedy = "Ports below 1024 need special rights: choose another port."
            raise ConfigurationError(
                f"the realm cannot listen on {self.host}:{self._port}: {error.strerror}. {remedy}"
            ) from error

    async def _tick(self, parts: RealmParts) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._certificate is not None:
                self._certificate.look()
            now_s = asyncio.get_running_loop().time()
            parts.trades.tick(now_s)
            for link in list(parts.links):
                try:
                    link.tick(now_s)
                except Exception:
                    log.exception("%s: the clock failed", link)

    async def close(self) -> None:
        """Stop accepting, write and answer what has come in, close the links and the database.

        Closing twice is fine.
        """
        parts, self._parts = self._parts, None
        if parts is None:
            return
        assert self._server is not None
        parts.closing = True
        self._server.close()
        parts.trades.close()
        parts.sessions.close()
        await parts.writer.close()
        # The last answers are written in the loop's next turn.
        await asyncio.sleep(0)
        for chore in self._chores:
            chore.cancel()
        for link in list(parts.links):
            link.close("the realm is stopping")
        # A link that does not take its last answers in time aborts itself.
        for link in list(parts.links):
            await link.lost.wait()
        await self._store.close()
        self._closed.set()
        log.info("stopped")

    async def serve_forever(self) -> None:
        """Start if that is not done, and run until `close` is called or this is cancelled."""
        if self._parts is None:
            await self.start()
        try:
            await self._closed.wait()
        finally:
            await self.close()

    async def add_world(self, name: str, secret: str | None = None) -> str:
        """Let a world of that name log on; returns its secret (see `mmoinv.realm.add_world`)."""
        return await add_world(self._store, name, secret)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _check_plaintext(host: str, allowed: bool) -> None:
    if not allowed:
        raise ConfigurationError(
            f"the realm does not listen on {host!r} without TLS: whoever is in between could read "
            "and change what is saved. Set tls_certificate and tls_key; or allow_plaintext if "
            "nobody is in between (a tunnel, a network of your own)."
        )
    log.warning("listening on %r without TLS, as allow_plaintext says", host)
