"""The link of one world server at the realm: an asyncio Protocol around the sans-IO link.

Turns events into entries of the writer and its results into packets, one write a group. Knows
neither what a commit means nor how it is stored.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mmoinv import codec
from mmoinv.commits import CURRENCY, Commits
from mmoinv.errors import MmoinvError, StoreError, TlsError
from mmoinv.realm.group_commit import OVERLOADED, JoinFailed, Result
from mmoinv.realm.logons import Attempt
from mmoinv.realm.parts import RealmParts
from mmoinv.realm.seldom import Seldom
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.stores import CommitEntry, CommitOutcome, JoinOutcome, JoinRefused, Verdict
from mmoinv.wire import (
    CharacterLeft,
    CommitsReceived,
    JoinFailure,
    JoinRequested,
    LinkBroken,
    LinkState,
    LogonFailed,
    LogonProved,
    LogonRequested,
    LogonStatus,
    PlayerCharacterJoin,
    RealmEvent,
    RealmLink,
    TradeCancel,
    TradeCancelled,
    TradeConfirmed,
    TradeOffer,
    TradeOffered,
    with_retry_hint,
)

log = logging.getLogger("mmoinv.realm")

MAX_MESSAGE = 1000
"""Characters of a reason that is sent to a world; the realm's log has all of it."""


SPOKE_TLS = b"\x16\x03"
"""How a TLS client begins."""


def _currencies(balances: Mapping[int, int]) -> npt.NDArray[np.void]:
    return np.array(sorted(balances.items()), CURRENCY)


class WorldServerLink(asyncio.Protocol):
    """One connection of a world server."""

    def __init__(self, parts: RealmParts) -> None:
        self._parts = parts
        self._link = RealmLink()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flush_planned = False
        self._peer = self._address = "?"
        self._has_heard = self._spoke_tls = False
        self._attempt: Attempt | None = None
        self._joining = 0
        self._unanswered = 0
        self._foreign_writes = Seldom()
        self._abort_timer: asyncio.TimerHandle | None = None
        self.held = HeldEpochs()
        self.lost = asyncio.Event()
        """Set once the connection is gone."""
        self.world_id = 0
        self.process_nonce = 0

    def __str__(self) -> str:
        name = self._link.world_name
        return f"world {name!r} at {self._peer}" if name else self._peer

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        peer = self._transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._address, self._peer = str(peer[0]), f"{peer[0]}:{peer[1]}"
        if not self._parts.let_in(self, self._address, self._now_s()):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        started = time.perf_counter()
        tally = self._parts.tally
        if not self._has_heard:
            self._has_heard = True
            self._spoke_tls = data.startswith(SPOKE_TLS)
        tally.bytes_received += len(data)
        operations = 0
        for event in self._link.receive_data(data):
            if isinstance(event, CommitsReceived):
                operations += len(event.commits.operations)
                self._receive_commits(event.commits)
            else:
                self._receive(event)
        if operations:
            tally.packet_us.append((time.perf_counter() - started) * 1e6 / operations)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, TlsError):
            self._parts.cut_off(self, error, self._now_s())
        elif not self._link.is_over:
            # Strangers come and go, and may do so very often.
            level = logging.INFO if self._link.state is LinkState.OPEN else logging.DEBUG
            self._link.receive_eof()
            log.log(level, "%s: %s", self, error or self._link.broken_reason)
        if self._attempt is not None:
            self._attempt.dropped()
        for task in self._tasks:
            task.cancel()
        self._parts.links.discard(self)
        self._parts.door.left(self)
        if self._parts.by_world.get(self.world_id) is self:
            del self._parts.by_world[self.world_id]
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._transport = None
        self._holds_nothing()
        self.lost.set()

    # What the realm calls

    def tick(self, now_s: float) -> None:
        """Let the link look at the clock: pings, silence, a logon that takes too long."""
        for event in self._link.tick(now_s):
            self._receive(event)
        self._flush()

    def close(self, reason: str = "") -> None:
        """Send what is left, then close; the link holds nothing from now on."""
        if self._transport is None or self._abort_timer is not None:
            return
        if reason:
            log.info("%s: closed, %s", self, reason)
        self._holds_nothing()
        self._flush()
        self._transport.close()
        self._abort_timer = asyncio.get_running_loop().call_later(
            self._parts.limits.close_timeout_s, self.abort
        )

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _holds_nothing(self) -> None:
        self._parts.trades.link_lost(self)
        self._parts.sessions.link_lost(self)

    # What the trades call

    def send_trade_offer(self, offer: TradeOffer) -> None:
        self._link.send_bytes(offer.encode())
        self._flush_soon()

    def send_trade_cancel(self, cancel: TradeCancel) -> None:
        self._link.send_bytes(cancel._replace(message=cancel.message[:MAX_MESSAGE]).encode())
        self._flush_soon()

    def answer_half(
        self, trade_id: int, status: int, versions: Sequence[tuple[int, int]], message: str
    ) -> None:
        self._link.send_bytes(
            codec.encode_commit_inventory_result(trade_id, status, versions, message[:MAX_MESSAGE])
        )
        self._flush_soon()

    # What the sessions call

    def ask_to_leave(self, character_guid: int, session_epoch: int) -> None:
        """Another world wants the character."""
        self._link.send_leave(character_guid, session_epoch)
        self._flush_soon()

    def answer_join(self, character_guid: int, result: Result) -> bool:
        """Say what became of a join; whether it was granted and could be said so."""
        self._joining -= 1
        self._flush_soon()
        match result:
            case JoinOutcome():
                try:
                    self._link.send_join(
                        PlayerCharacterJoin(
                            character_guid,
                            result.epoch,
                            result.version,
                            result.items,
                            _currencies(result.balances),
                        )
                    )
                    return True
                except MmoinvError as error:
                    log.error("character %d cannot be sent: %s", character_guid, error)
                    failure, message = JoinFailure.UNKNOWN, str(error)
            case JoinRefused():
                failure, message = JoinFailure.SESSION_TAKEN, result.message
            case JoinFailed():
                failure, message = self._join_failure(result.verdict), result.message
                if message == OVERLOADED:
                    message = with_retry_hint(self._parts.writer.retry_in_ms, message)
            case _:
                failure, message = JoinFailure.UNKNOWN, ""
        self._link.send_join_failed(character_guid, failure, message[:MAX_MESSAGE])
        return False

    def _join_failure(self, verdict: Verdict) -> JoinFailure:
        if verdict is Verdict.OVERLOADED:
            return JoinFailure.OVERLOADED
        if verdict is Verdict.DATABASE_UNAVAILABLE:
            return (
                JoinFailure.REALM_STOPPING
                if self._parts.closing
                else JoinFailure.DATABASE_UNAVAILABLE
            )
        return JoinFailure.UNKNOWN

    # Events

    def _receive(self, event: RealmEvent) -> None:
        match event:
            case JoinRequested():
                self._request_join(event)
            case CharacterLeft():
                self._parts.sessions.character_left(self, event.character_guid, event.session_epoch)
            case TradeOffered(offer):
                self._parts.trades.receive_offer(self, offer)
            case TradeConfirmed(confirm):
                self._parts.trades.receive_confirm(self, confirm)
            case TradeCancelled(cancel):
                self._parts.trades.receive_cancel(self, cancel)
            case LogonRequested():
                self._start(self._look_up(event))
            case LogonProved():
                self._start(self._grant())
            case LogonFailed():
                if self._attempt is not None:
                    self._parts.tally.logons_failed += 1
                    self._attempt.failed(self._now_s())
                log.warning("%s: logon refused, %s", self, event.reason)
                self.close()
            case LinkBroken():
                reason = event.reason
                if self._spoke_tls:
                    reason = (
                        "it speaks TLS, which this realm does not: set tls_certificate and tls_key"
                    )
                self._parts.cut_off(self, reason, self._now_s())
                self.close()

    def _request_join(self, event: JoinRequested) -> None:
        guid, limit = event.character_guid, self._parts.limits.max_link_sessions
        self._joining += 1
        if len(self.held) + self._joining > limit:
            message = f"this link holds or wants {limit} characters already (max_link_sessions)"
            self._parts.tally.joins_refused += 1
            self.answer_join(guid, JoinFailed(Verdict.OVERLOADED, message))
        else:
            self._parts.sessions.request_join(self, guid, event.session_epoch)

    def _receive_commits(self, commits: Commits) -> None:
        dialect = self._link.dialect
        to_store = commits
        if dialect.protocol == 3:
            # The packets carry neither an id that is unique for ever nor an epoch.
            operations, participants = commits.operations.copy(), commits.participants.copy()
            operations["operation_id"] = self._parts.mint.take(len(operations))
            participants["session_epoch"] = self.held.of(participants["character_guid"])
            to_store = commits._replace(operations=operations, participants=participants)
        entry = CommitEntry(self.world_id, to_store, dialect.carries_flags)
        self._unanswered += len(commits.operations)
        has_room = self._unanswered <= self._parts.limits.max_link_operations
        take = self._parts.writer.submit if has_room else self._parts.writer.refuse
        take(entry, lambda first, result: self._answer_commits(commits, first, result))

    def _answer_commits(self, commits: Commits, first: int, result: Result) -> None:
        assert isinstance(result, CommitOutcome)
        count = len(result.statuses)
        self._unanswered -= count
        foreign = int(np.count_nonzero(result.statuses == Verdict.STALE_SESSION))
        if foreign:
            self._tell_of_foreign_writes(foreign, result)
        if self._transport is None:
            return
        if count < len(commits.operations):
            commits = commits.between(first, first + count)
        if self._link.dialect.protocol == 3:
            frames = codec.encode_operation_results(
                commits, result.statuses, self._link.dialect.result_opcode
            )
        else:
            messages = {index: text[:MAX_MESSAGE] for index, text in result.messages.items()}
            if messages and (result.statuses == Verdict.OVERLOADED).any():
                retry_in_ms = self._parts.writer.retry_in_ms
                for index in np.flatnonzero(result.statuses == Verdict.OVERLOADED).tolist():
                    messages[index] = with_retry_hint(retry_in_ms, messages.get(index, ""))
            frames = codec.encode_commit_results(
                commits, result.statuses, result.versions, messages
            )
        self._link.send_bytes(frames)
        self._flush_soon()

    def _tell_of_foreign_writes(self, count: int, result: CommitOutcome) -> None:
        self._parts.tally.foreign_writes += count
        untold = self._foreign_writes.happened(self._now_s(), count)
        if untold:
            index = int(np.flatnonzero(result.statuses == Verdict.STALE_SESSION)[0])
            log.warning(
                "%s: %d operations on characters that it does not hold were refused; the last: %s",
                self,
                untold,
                result.messages.get(index, ""),
            )

    # Logon

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, event: LogonRequested) -> None:
        now_s = self._now_s()
        self._attempt = self._parts.logons.begin(self._address, event.world_name, now_s)
        if self._attempt is None:
            self._parts.tally.logons_refused += 1
            # Not logged: there may be thousands, and the first was.
            self._turn_away(LogonStatus.TOO_MANY_FAILED)
            return
        if self._attempt.delay_s:
            self._parts.tally.logons_delayed += 1
            await asyncio.sleep(self._attempt.delay_s)
        try:
            world = await self._parts.store.find_world(event.world_name)
        except StoreError as error:
            self._refuse_logon(error)
            return
        self.process_nonce = event.process_nonce
        if world is not None:
            self.world_id = world[0]
        for failed in self._link.offer_challenge(None if world is None else world[1]):
            self._receive(failed)
        self._flush()

    async def _grant(self) -> None:
        try:
            node_epoch = await self._parts.store.next_node_epoch(self.world_id)
        except StoreError as error:
            self._refuse_logon(error)
            return
        if self._link.state is not LinkState.GRANT or self._transport is None:
            return
        older = self._parts.by_world.get(self.world_id)
        if older is not None:
            older.close("the same world has logged on again")
        self._parts.by_world[self.world_id] = self
        self._parts.door.logged_on(self)
        if self._attempt is not None:
            self._attempt.succeeded()
        self._link.accept_logon(node_epoch)
        log.info("%s: logged on, dialect %d", self, self._link.dialect.number)
        self._flush()

    def _refuse_logon(self, error: StoreError) -> None:
        log.error("%s: the logon failed: %s", self, error)
        if self._attempt is not None:
            self._attempt.dropped()
        self._turn_away(LogonStatus.DATABASE_BUSY)

    def _turn_away(self, status: LogonStatus) -> None:
        """Refuse a logon for what is not the world's fault, or not this time's."""
        self._link.refuse_logon(status)
        self._flush()
        self.close()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    # Bytes out

    def _flush_soon(self) -> None:
        """Write what gathers until the loop's next turn: everything of a group, at once."""
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        data = self._link.data_to_send()
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._parts.tally.bytes_sent += len(data)
        self._transport.write(data)
        waiting = self._transport.get_write_buffer_size()
        if waiting > self._parts.limits.max_write_buffer:
            self._parts.tally.broken_links += 1
            log.warning("%s: cut off, it does not read: %d bytes wait for it", self, waiting)
            self._transport.abort()
