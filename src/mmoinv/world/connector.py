"""`RealmConnector`: a world server's connection to its realm.

Connects, finds the realm again, and closes; what a game calls is here. How it connects is in
`mmoinv.world.uplink`, who is joined in `mmoinv.world.sessions`, what is on its way in
`mmoinv.world.operations`, and trades with other worlds are in `mmoinv.world.trades`.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mmoinv.errors import LinkError, LogonError, TlsError, TradeError
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    LeaveReason,
    LeaveRequested,
    OperationAnswered,
    OperationResultReceived,
    PendingOperation,
    TradeCancelled,
    TradeOffered,
    WorldEvent,
    dialect_by_number,
)
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.frames import SentOperation, check_for_dialect
from mmoinv.world.link import RealmServerLink
from mmoinv.world.operations import Operations
from mmoinv.world.outbox import Outbox, outbox_for
from mmoinv.world.replay import Replay, ReplayedOperation, log_replayed
from mmoinv.world.repository import WorldServerInventoryRepository
from mmoinv.world.sessions import Sessions
from mmoinv.world.trade import Trade
from mmoinv.world.trades import Trades
from mmoinv.world.trust import Trust
from mmoinv.world.unsaved import UnsavedOperation
from mmoinv.world.uplink import RealmAddress, Uplink, pauses_s

log = logging.getLogger("mmoinv.world")

GUIDS_PER_EPOCH = 1 << 32
SHOWN = 5
"""Of many operations in a log line."""
LOOK_EVERY_S = 0.25
"""How often it looks whether saving is delayed."""


class ConnectorState(Enum):
    """Where a connector is."""

    NEW = "the connector is not connected yet"
    CONNECTED = "the connector is connected"
    RECONNECTING = "the link to the realm is lost and sought again"
    LOST = "the link to the realm is lost"
    CLOSED = "the connector is closed"


class RealmConnector:
    """A world server's connection to its realm; one for all its characters.

    ``async with`` it, or `connect` and `close`. Belongs to one event loop; `submit` and the
    repository may be used from any thread. ``max_pending`` bounds the operations without an
    answer: beyond it a commit raises `LinkBusyError` and nothing is taken. ``dialect`` 0 is
    protocol 4; 1 to 3 are protocol 3, whose operation ids carry ``world_server_id`` (u16, by
    default the lower bits of the node epoch).

    To a host that isn't loopback it speaks TLS 1.3 and checks that the realm's certificate names
    ``host`` and is signed by an authority of the file ``tls_ca``, or of the system; with
    ``tls_ca``, or ``tls=True``, on loopback too. ``tls_certificate`` and ``tls_key`` are the
    world's own, for a realm that wants them. ``tls`` may be an `ssl.SSLContext` of yours instead.
    ``allow_plaintext`` says that nobody can listen in between: then it does without.

    A link that is lost is sought again, after pauses of up to ``reconnect_longest_s``; then the
    sessions are claimed again, and everything pending is sent again under its id. Meanwhile
    commits are taken. With ``reconnects=False`` the state is `ConnectorState.LOST` instead, and
    commits raise `LinkError`.

    ``outbox``, a path or an `Outbox`, is for what must survive a crash of this very process: each
    operation is on the disk there before it is sent. `connect` first sends again what the process
    before left unanswered in it; what became of that is in `replayed`. It wants protocol 4.

    Callbacks, all of them called in the event loop and None unless set:
    ``on_leave_requested(guid)``: another world wants a character; commit what is unsaved of it
    there and then, since right afterwards it leaves. ``on_session_lost(guid, reason)``: the
    character is another world's now, and what is unsaved of it here never can be saved; let the
    player go. ``on_saving_delayed(age_s)`` and ``on_saving_resumed()``: the oldest operation has
    waited longer than ``delayed_after_s`` for its answer, and no longer does.
    ``on_state_changed(state)``. ``on_packet_sent(size)``: the bytes of each operation sent.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        world: str,
        secret: str,
        dialect: int = 0,
        max_pending: int = 10_000,
        connect_timeout_s: float = 10.0,
        join_timeout_s: float = 30.0,
        world_server_id: int | None = None,
        reconnects: bool = True,
        reconnect_longest_s: float = 1.0,
        delayed_after_s: float = 2.0,
        outbox: str | Path | Outbox | None = None,
        tls: bool | ssl.SSLContext = False,
        tls_ca: str = "",
        tls_certificate: str = "",
        tls_key: str = "",
        allow_plaintext: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.world = world
        self.dialect = dialect_by_number(dialect)
        self.node_epoch = 0
        """u32, the realm's gift at logon, never twice the same."""
        self.reconnect_count = 0
        """How often the link was lost and came back."""
        self.unsaved: list[UnsavedOperation] = []
        """What was not answered when it was closed, oldest first."""
        self.outbox = outbox_for(outbox, self.dialect)
        """Where operations are kept on the disk until they are answered, None: nowhere."""
        self.on_leave_requested: Callable[[int], object] | None = None
        self.on_session_lost: Callable[[int, str], object] | None = None
        self.on_saving_delayed: Callable[[float], object] | None = None
        self.on_saving_resumed: Callable[[], object] | None = None
        self.on_state_changed: Callable[[ConnectorState], object] | None = None
        trust = Trust.of(host, tls, tls_ca, tls_certificate, tls_key, allow_plaintext)
        address = RealmAddress(host, port, world, secret, self.dialect, trust)
        self.process_nonce = address.process_nonce
        self._uplink = Uplink(address, connect_timeout_s, self._receive, self._link_lost)
        self._reconnects = reconnects
        self._reconnect_longest_s = reconnect_longest_s
        self._delayed_after_s = delayed_after_s
        self._state = ConnectorState.NEW
        self._sessions = Sessions(
            self._uplink,
            join_timeout_s,
            lambda guid: self._operations.wait_idle(guid, None),
            self._start,
        )
        self._item_numbers = 0
        self._operations = Operations(
            self._sessions.characters,
            self.dialect,
            max_pending,
            world_server_id,
            lambda guids: self._start(self._sessions.ask_for(guids), "claim"),
            self.outbox,
        )
        self._trades = Trades(
            self._sessions.characters,
            self._operations,
            lambda: self._uplink.link,
            self._sessions.check_committable,
            self._tell,
        )
        self._sessions.before_leave = self._trades.leave
        self._sessions.on_leave_requested = lambda guid: self._tell(self.on_leave_requested, guid)
        self._sessions.on_lost = lambda *about: self._tell(self.on_session_lost, *about)
        self._replay: Replay | None = None
        self._replayed: list[ReplayedOperation] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._repository: WorldServerInventoryRepository | None = None

    # What there is

    @property
    def state(self) -> ConnectorState:
        """Where the connector is."""
        return self._state

    @property
    def names_items(self) -> bool:
        """Whether every item that is saved must have a guid: on protocol 4, yes."""
        return self.dialect.protocol == 4

    @property
    def pending_count(self) -> int:
        """Operations that were taken and not answered."""
        return len(self._operations)

    @property
    def is_busy(self) -> bool:
        """Whether only the last tenth of ``max_pending`` is left: autosaves leave that to trades
        and log-outs."""
        return self._operations.is_busy

    @property
    def oldest_pending_age_s(self) -> float:
        """For how long the oldest of them has been waiting, in seconds; 0 if there is none."""
        return self._operations.oldest_age_s()

    @property
    def pending_operations(self) -> list[PendingOperation[SentOperation]]:
        """Those operations, oldest first, each with its state."""
        return self._operations.pending()

    @property
    def replayed(self) -> list[ReplayedOperation]:
        """What the process before had left in the outbox, oldest first, and what became of it;
        while `connect` still sends it, as much of it as has been answered."""
        return self._replayed if self._replay is None else self._replay.replayed

    @property
    def characters(self) -> tuple[JoinedCharacter, ...]:
        """The characters that are joined here."""
        return tuple(self._sessions.characters.values())

    def character(self, character_guid: int) -> JoinedCharacter | None:
        """The joined character of that guid, None if it is not joined here."""
        return self._sessions.characters.get(character_guid)

    @property
    def on_packet_sent(self) -> Callable[[int], object] | None:
        """Called with the bytes of each operation that is sent; None: nobody."""
        return self._operations.on_packet_sent

    @on_packet_sent.setter
    def on_packet_sent(self, callback: Callable[[int], object] | None) -> None:
        self._operations.on_packet_sent = callback

    def repository(self) -> WorldServerInventoryRepository:
        """The repository of all characters joined through this connector, always the same."""
        if self._repository is None:
            self._repository = WorldServerInventoryRepository(self)
        return self._repository

    def new_item_guids(self, count: int = 1) -> npt.NDArray[np.uint64]:
        """``count`` item guids that were never given before and never will be, as a u64 array."""
        if self.node_epoch == 0:
            raise LinkError("item guids come with the logon: connect first")
        with self._operations.lock:
            first = self._item_numbers + 1
            if count < 0 or first + count > GUIDS_PER_EPOCH:
                raise LinkError(
                    f"{count} item guids cannot be had: this logon has "
                    f"{GUIDS_PER_EPOCH - first} left. A new logon brings new ones."
                )
            self._item_numbers += count
            start = np.uint64(self.node_epoch << 32 | first)
        return start + np.arange(count, dtype=np.uint64)

    # Connecting

    async def connect(self) -> None:
        """Connect and log on. `LinkError` if nobody listens, `TlsError` if the two do not come to
        speak TLS, `LogonError` if the realm refuses.

        With an outbox it returns once the realm has answered all that was left in it;
        `ConfigurationError` if the outbox cannot be had.
        """
        if self._state is not ConnectorState.NEW:
            raise LinkError(f"a connector connects once: {self._state.value}")
        stored = [] if self.outbox is None else await self.outbox.open(self.world)
        try:
            accepted = await self._uplink.connect()
            self._logged_on(accepted.node_epoch)
            if self.outbox is not None and stored:
                await self._send_what_was_left(Replay(stored, self.outbox.answered))
            self._opened()
        except BaseException:
            await self._uplink.close()
            if self.outbox is not None:
                await self.outbox.close()
            raise
        self._start(self._watch_delay(), "delay")

    async def _send_what_was_left(self, replay: Replay) -> None:
        """Everything in the outbox is answered, over as many links as that takes."""
        self._replay = replay
        try:
            for pause_s in pauses_s(self._reconnect_longest_s):
                try:
                    await replay.run(self._connected_link())
                    break
                except LinkError as error:
                    if not self._reconnects:
                        raise
                    log.warning("the outbox is not sent yet: %s", error)
                self._check_open()
                await asyncio.sleep(pause_s)
                with contextlib.suppress(LinkError, LogonError):
                    self._logged_on((await self._uplink.connect()).node_epoch)
                self._check_open()
        finally:
            self._replay, self._replayed = None, replay.replayed
        log_replayed(self._replayed)

    def _check_open(self) -> None:
        if self._state is ConnectorState.CLOSED:
            raise LinkError("the connector was closed; what is not answered stays in its outbox")

    def _logged_on(self, node_epoch: int) -> None:
        with self._operations.lock:
            self.node_epoch = node_epoch
            self._item_numbers = 0
            self._operations.logged_on(node_epoch)

    def _opened(self) -> None:
        """The sessions are ours: everything pending is sent. `LinkError` if the link is lost."""
        link = self._connected_link()
        with self._operations.lock:
            self._operations.open(link)
            self._state = ConnectorState.CONNECTED
            self._sessions.is_open = True
        self._tell(self.on_state_changed, self._state)

    def _link_lost(self, reason: str) -> None:
        """The connection is gone. What is pending stays pending, and says so."""
        error = LinkError(reason)
        with self._operations.lock:
            self._sessions.claims_failed(error)
            self._sessions.is_open = False
            if self._replay is not None:
                self._replay.link_lost(error)
            was_connected = self._state is ConnectorState.CONNECTED
            if was_connected:
                self._operations.link_lost(for_good=not self._reconnects)
                lost = ConnectorState.RECONNECTING if self._reconnects else ConnectorState.LOST
                self._state = lost
        self._trades.link_lost()
        if not was_connected:
            return
        log.warning("%s; %s pending", reason, self._operations.told())
        self._sessions.joins_failed(error)
        if self._reconnects:
            self._start(self._reconnect(), "reconnect")
        self._tell(self.on_state_changed, self._state)

    async def _reconnect(self) -> None:
        """Try again until there is a link, and every session was claimed again or is gone."""
        attempts = 0
        for pause_s in pauses_s(self._reconnect_longest_s):
            await asyncio.sleep(pause_s)
            attempts += 1
            try:
                accepted = await self._uplink.connect()
                self._logged_on(accepted.node_epoch)
                await self._sessions.claim_again(self._connected_link())
                sent_again = self._told()
                self._opened()
            except (LinkError, LogonError) as error:
                needs_someone = isinstance(error, LogonError | TlsError)
                level = logging.ERROR if needs_someone else logging.INFO
                log.log(level, "not reconnected yet: %s; %s pending", error, self._told())
                await self._uplink.close()
                continue
            self.reconnect_count += 1
            log.warning("reconnected at attempt %d; %s sent again", attempts, sent_again)
            return

    def _told(self) -> str:
        return self._operations.told()

    def _connected_link(self) -> RealmServerLink:
        if self._uplink.link is None:
            raise LinkError(self._uplink.lost_reason)
        return self._uplink.link

    async def _watch_delay(self) -> None:
        is_delayed = False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            age_s = self._operations.oldest_age_s()
            if (age_s > self._delayed_after_s) is is_delayed:
                continue
            is_delayed = not is_delayed
            if is_delayed:
                log.warning("saving is delayed: %s pending for up to %.1f s", self._told(), age_s)
                self._tell(self.on_saving_delayed, age_s)
            else:
                log.warning("saving is no longer delayed")
                self._tell(self.on_saving_resumed)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait for the answers that are still to come, also for a link that is sought again, then
        close.

        What was not answered by then is in `unsaved`; its handles end with
        `OperationPendingError`. Closing twice is fine.
        """
        if self._state is ConnectorState.CLOSED:
            return
        try:
            if self._state in (ConnectorState.CONNECTED, ConnectorState.RECONNECTING):
                self._trades.close()
                await self.flush(timeout_s)
        finally:
            # Also if the wait is cancelled: no handle is left that nobody will ever end.
            self._state = ConnectorState.CLOSED
            self._sessions.is_open = False
            for task in tuple(self._tasks):
                task.cancel()
            if self._replay is not None:
                self._replay.link_lost(LinkError("the connector was closed"))
            if self.outbox is not None:
                await self.outbox.settle()
            reason = self._uplink.lost_reason or "the connector was closed"
            self.unsaved = self._operations.abandon(reason)
            self._sessions.close()
            await self._uplink.close()
            if self.outbox is not None:
                await self.outbox.close()
        if self.unsaved:
            count = len(self.unsaved)
            log.warning(
                "closed; %d operation%s not answered: %s",
                count,
                " was" if count == 1 else "s were",
                "; ".join(map(str, self.unsaved[:SHOWN])) + ("; ..." if count > SHOWN else ""),
            )
        self._tell(self.on_state_changed, self._state)

    async def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every operation taken so far is answered; False if the time ran out, or the
        link is lost for good."""
        return await self._operations.wait_idle(None, timeout_s)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Characters

    async def join(self, character_guid: int) -> JoinedCharacter:
        """Get a character's session and its inventory. `JoinError` if the realm refuses,
        `LinkError` while there is no link."""
        return await self._sessions.join(character_guid, self._linked("join"))

    async def leave(self, character_guid: int, reason: int = LeaveReason.LOGOUT) -> None:
        """Wait for the answers to a character's operations, then give its session back.

        Meanwhile a commit for it raises `JoinError`, and nothing of it is taken. While the link
        is sought again, it waits for that if something of the character is pending. A trade with
        another world that it is in is cancelled.
        """
        self._taking("leave")
        await self._sessions.leave(character_guid, reason)

    # Operations

    def submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool = False
    ) -> OperationHandle:
        """Take one operation over joined characters; never blocks. If it raises, nothing was
        taken. The repository's commit ends here; usable from any thread. `ItemLockedError` if it
        changes what an open trade with another world holds."""
        check_for_dialect(self.dialect, changes, conserve)
        with self._operations.lock:
            self._taking("commit")
            for change in changes:
                self._sessions.check_committable(change.character_guid)
            self._trades.check(changes)
            return self._operations.add(changes, reason, conserve)

    # Trades with other worlds

    @property
    def on_trade_offered(self) -> Callable[[Trade], object] | None:
        """Called with each `Trade` that a character of another world proposes to one of ours; what
        it gives is in ``theirs``. None: all are refused."""
        return self._trades.on_offered

    @on_trade_offered.setter
    def on_trade_offered(self, callback: Callable[[Trade], object] | None) -> None:
        self._trades.on_offered = callback

    def propose_trade(
        self,
        own_guid: int,
        other_guid: int,
        slots: Iterable[int] = (),
        money: Mapping[int, int] | None = None,
    ) -> Trade:
        """Propose a trade to a character of another world: what is committed in these absolute
        slots, and these amounts by currency. Never waits; the other side answers, or it ends.

        `TradeError` if it cannot be offered, or the character is trading already; `JoinError` if
        it is not joined here, `LinkError` while there is no link. Wants protocol 4.
        """
        self._linked("propose a trade")
        if self.dialect.protocol != 4:
            raise TradeError(f"dialect {self.dialect.number} (protocol 3) has no trades")
        return self._trades.propose(own_guid, other_guid, slots, money)

    def trade_of(self, character_guid: int) -> Trade | None:
        """The trade with another world that a character is in, until it has ended."""
        return self._trades.of_character(character_guid)

    # Events

    def _receive(self, event: WorldEvent) -> None:
        match event:
            case OperationAnswered() if self._replay is not None:
                self._replay.receive(event)
            case TradeOffered(offer):
                self._trades.receive_offer(offer)
            case TradeCancelled(cancel):
                self._trades.receive_cancel(cancel)
            case OperationAnswered() | OperationResultReceived():
                if isinstance(event, OperationAnswered):
                    self._trades.note_answer(event)
                self._operations.receive(event)
            case CharacterJoined(packet):
                self._sessions.granted(packet)
            case CharacterJoinFailed():
                self._sessions.refused(event)
            case LeaveRequested():
                self._start(self._sessions.leave_as_asked(event), "leave")

    def _tell(self, callback: Callable[..., object] | None, *about: object) -> None:
        """Call what the game has set; what it raises is the game's, and logged."""
        if callback is not None:
            try:
                callback(*about)
            except Exception:
                log.exception("a callback of the connector failed for %s", about)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"mmoinv connector {name}")
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s failed", task.get_name(), exc_info=task.exception())

    def _taking(self, verb: str) -> None:
        """Raise unless operations are taken."""
        if self._state in (ConnectorState.CONNECTED, ConnectorState.RECONNECTING):
            return
        reason = self._uplink.lost_reason or self._state.value
        raise LinkError(
            f"cannot {verb}: {reason}. Nothing was taken; of those taken before, "
            f"{self._operations.told()} unanswered."
        )

    def _linked(self, verb: str) -> RealmServerLink:
        """The link; raises if there is none at the moment."""
        self._taking(verb)
        if self._state is ConnectorState.RECONNECTING or self._uplink.link is None:
            raise LinkError(
                f"cannot {verb}: {self._uplink.lost_reason}. It is sought again; try later."
            )
        return self._uplink.link
