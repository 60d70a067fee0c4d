"""`RealmConnector`: a world server's connection to its realm.

Joins characters, takes operations and resolves their handles. What is on its way is kept by
`mmoinv.wire.PendingOperations`; how it looks on the wire is in `mmoinv.world.operations`.
"""

import asyncio
import itertools
import logging
import random
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from mmoinv.codec import sort_by_slot
from mmoinv.errors import (
    JoinError,
    LinkError,
    LogonError,
    MmoinvError,
    OperationPendingError,
)
from mmoinv.records import Batch
from mmoinv.repository import CharacterChanges, OperationHandle, OperationOutcome
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    CommitStatus,
    JoinFailure,
    LeaveReason,
    LeaveRequested,
    LogonAccepted,
    LogonRefused,
    OperationAnswered,
    OperationResultReceived,
    PendingOperation,
    PendingOperations,
    ShortOperationIds,
    WorldEvent,
    dialect_by_number,
)
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.link import RealmLink
from mmoinv.world.operations import (
    TYPE_SAVE,
    SentOperation,
    check_for_dialect,
    encode_commit,
    encode_for_protocol_3,
    refusal,
    saved_by_packet,
)
from mmoinv.world.repository import WorldServerInventoryRepository

log = logging.getLogger("mmoinv.world")

RETRY_FIRST_S, RETRY_LONGEST_S = 0.05, 2.0
GUIDS_PER_EPOCH = 1 << 32


class ConnectorState(Enum):
    """Where a connector is."""

    NEW = "not connected yet"
    CONNECTED = "connected"
    LOST = "the link to the realm is lost"
    CLOSED = "closed"


@dataclass(eq=False, slots=True)
class _Join:
    """A join that was asked for; without waiters it is given back when it comes."""

    future: asyncio.Future[JoinedCharacter]
    waiters: int = 0


class RealmConnector:
    """A world server's connection to its realm; one for all its characters.

    ``async with`` it, or `connect` and `close`. Belongs to one event loop; `submit` and the
    repository may be used from any thread. ``max_pending`` bounds the operations without an
    answer: beyond it a commit raises `LinkBusyError` and nothing is taken. ``dialect`` 0 is
    protocol 4; 1 to 3 are protocol 3, whose operation ids carry ``world_server_id`` (u16, by
    default the lower bits of the node epoch).

    ``on_leave_requested(guid)`` is called once a character had to leave because another world
    wants it; ``on_packet_sent(size)`` with the bytes of each operation that is sent.
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
    ) -> None:
        self.host = host
        self.port = port
        self.world = world
        self.dialect = dialect_by_number(dialect)
        self.process_nonce = secrets.randbits(64)
        self.node_epoch = 0
        """u32, the realm's gift at logon, never twice the same."""
        self.on_leave_requested: Callable[[int], object] | None = None
        self.on_packet_sent: Callable[[int], object] | None = None
        self._secret = secret
        self._connect_timeout_s = connect_timeout_s
        self._join_timeout_s = join_timeout_s
        self._world_server_id = world_server_id
        self._state = ConnectorState.NEW
        self._lost_reason = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: RealmLink | None = None
        self._logon: asyncio.Future[LogonAccepted] | None = None
        self._characters: dict[int, JoinedCharacter] = {}
        self._joins: dict[int, _Join] = {}
        self._leaving: set[int] = set()
        # Guards everything that commits from other threads touch.
        self._lock = threading.RLock()
        self._pending: PendingOperations[SentOperation] = PendingOperations(max_pending)
        self._flush_planned = False
        self._numbers = itertools.count(1)
        self._item_numbers = 0
        self._short_ids = ShortOperationIds(world_server_id or 0)
        self._idle: dict[int | None, list[asyncio.Future[None]]] = {}
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
        return len(self._pending)

    @property
    def pending_operations(self) -> list[PendingOperation[SentOperation]]:
        """Those operations, oldest first, each with its state."""
        with self._lock:
            return list(self._pending)

    @property
    def characters(self) -> tuple[JoinedCharacter, ...]:
        """The characters that are joined here."""
        return tuple(self._characters.values())

    def character(self, character_guid: int) -> JoinedCharacter | None:
        """The joined character of that guid, None if it is not joined here."""
        return self._characters.get(character_guid)

    def repository(self) -> WorldServerInventoryRepository:
        """The repository of all characters joined through this connector, always the same."""
        if self._repository is None:
            self._repository = WorldServerInventoryRepository(self)
        return self._repository

    def new_item_guids(self, count: int = 1) -> npt.NDArray[np.uint64]:
        """``count`` item guids that were never given before and never will be, as a u64 array."""
        if self.node_epoch == 0:
            raise LinkError("item guids come with the logon: connect first")
        with self._lock:
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
        """Connect and log on. `LinkError` if nobody listens, `LogonError` if the realm refuses."""
        if self._state is not ConnectorState.NEW:
            raise LinkError(f"the connector connects once; it is {self._state.value}")
        where = f"{self.host}:{self.port}"
        self._loop = asyncio.get_running_loop()
        self._logon = self._loop.create_future()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, self._link = await self._loop.create_connection(
                    lambda: RealmLink(self._receive, self._link_lost), self.host, self.port
                )
                self._link.wire.begin_logon(
                    self.world, self._secret, self.process_nonce, self.dialect.number
                )
                self._link.flush()
                accepted = await self._logon
        except TimeoutError:
            await self._give_up()
            raise LinkError(
                f"the realm at {where} did not answer within {self._connect_timeout_s:g} s"
            ) from None
        except OSError as error:
            raise LinkError(
                f"no realm can be reached at {where}: {error.strerror or error}. Is it running?"
            ) from None
        except BaseException:
            await self._give_up()
            raise
        self.node_epoch = accepted.node_epoch
        if self._world_server_id is None:
            self._short_ids = ShortOperationIds(accepted.node_epoch)
        self._state = ConnectorState.CONNECTED

    async def _give_up(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait for the answers that are still to come, then close.

        Operations that are not answered by then end with `OperationPendingError`: they may or
        may not be saved. Closing twice is fine.
        """
        if self._state is ConnectorState.CLOSED:
            return
        try:
            if self._state is ConnectorState.CONNECTED:
                await self.flush(timeout_s)
        finally:
            # Also if the wait is cancelled: no handle is left that nobody will ever end.
            self._state = ConnectorState.CLOSED
            for task in tuple(self._tasks):
                task.cancel()
            self._abandon_pending()
            self._fail_joins(LinkError("the connector was closed"))
            self._characters.clear()
            self._wake_idle()
            if self._link is not None:
                await self._link.close()

    def _abandon_pending(self) -> None:
        with self._lock:
            abandoned = self._pending.drop_all()
        for operation in abandoned:
            handle = operation.token.handle
            sent = "was sent, but never answered: it may or may not be saved"
            if operation.attempts == 0:
                sent = "was never sent: it is not saved"
            handle.fail(
                OperationPendingError(
                    f"operation {handle.operation_id:#x} of character "
                    f"{', '.join(map(str, handle.character_guids))} {sent}. "
                    f"{self._lost_reason or 'The connector was closed.'}",
                    handle.operation_id,
                    handle.character_guids,
                )
            )

    async def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every operation taken so far is answered; False if the time ran out or the
        link is lost."""
        return await self._wait_idle(None, timeout_s)

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
        """Get a character's session and its inventory. `JoinError` if the realm refuses."""
        link = self._connected("join")
        if character_guid in self._characters:
            raise JoinError(f"character {character_guid} is joined here already", character_guid)
        join = self._joins.get(character_guid)
        if join is None:
            join = _Join(asyncio.get_running_loop().create_future())
            self._joins[character_guid] = join
            link.wire.request_join(character_guid)
            link.flush()
        join.waiters += 1
        told = False
        try:
            async with asyncio.timeout(self._join_timeout_s):
                character = await asyncio.shield(join.future)
            told = True
            return character
        except TimeoutError:
            raise JoinError(
                f"character {character_guid}: the realm at {self.host}:{self.port} did not answer "
                f"the join within {self._join_timeout_s:g} s; try again",
                character_guid,
            ) from None
        finally:
            join.waiters -= 1
            # Granted, and cancelled before this task was told so.
            granted = join.future.done() and join.future.exception() is None
            if granted and not told and not join.waiters:
                self._give_back(join.future.result())

    def _give_back(self, character: JoinedCharacter) -> None:
        """Give the session of a character back that nobody asks for any more."""
        if self._characters.get(character.guid) is character:
            del self._characters[character.guid]
        if self._link is not None:
            self._link.wire.send_left(character.guid, character.epoch, LeaveReason.UNKNOWN)
            self._link.flush()

    async def leave(self, character_guid: int, reason: int = LeaveReason.LOGOUT) -> None:
        """Wait for the answers to a character's operations, then give its session back.

        Meanwhile a commit for it raises `JoinError`, and nothing of it is taken.
        """
        self._connected("leave")
        if character_guid not in self._characters:
            raise JoinError(f"character {character_guid} is not joined here", character_guid)
        # Or a game that goes on committing would never be let go.
        self._leaving.add(character_guid)
        try:
            if not await self._wait_idle(character_guid, None):
                raise LinkError(
                    f"character {character_guid} cannot leave: {self._lost_reason}. Its pending "
                    "operations may or may not be saved."
                )
            character = self._characters.pop(character_guid, None)
        finally:
            self._leaving.discard(character_guid)
        if character is not None and self._link is not None:
            self._link.wire.send_left(character_guid, character.epoch, reason)
            self._link.flush()

    async def _leave_as_asked(self, request: LeaveRequested) -> None:
        character = self._characters.get(request.character_guid)
        if character is None or character.epoch != request.session_epoch:
            return
        await self.leave(request.character_guid, LeaveReason.TELEPORT)
        if self.on_leave_requested is not None:
            self.on_leave_requested(request.character_guid)

    # Operations

    def submit(self, changes: Sequence[CharacterChanges], reason: int) -> OperationHandle:
        """Take one operation over joined characters; never blocks. If it raises, nothing was
        taken. The repository's commit ends here; usable from any thread."""
        check_for_dialect(self.dialect, changes)
        guids = tuple(change.character_guid for change in changes)
        with self._lock:
            self._connected("commit")
            for guid in guids:
                if guid in self._leaving or guid not in self._characters:
                    state = "is leaving" if guid in self._leaving else "is not joined here"
                    raise JoinError(
                        f"character {guid} {state}; nothing was taken. Commit before it leaves, "
                        "or once it has joined again.",
                        guid,
                    )
            if self.dialect.protocol == 4:
                operation_id = self.node_epoch << 32 | next(self._numbers)
            else:
                operation_id = self._short_ids.take()
            handle = OperationHandle(operation_id, guids)
            try:
                self._pending.add(operation_id, guids, SentOperation(handle, changes, reason))
            except MmoinvError:
                self._short_ids.release(operation_id)
                raise
            if not self._flush_planned:
                self._flush_planned = True
                assert self._loop is not None
                # All operations of one turn of the loop leave in one write.
                if _running_loop() is self._loop:
                    self._loop.call_soon(self._send_ready)
                else:
                    self._loop.call_soon_threadsafe(self._send_ready)
        return handle

    def _send_ready(self) -> None:
        with self._lock:
            self._flush_planned = False
            if self._state is not ConnectorState.CONNECTED or self._link is None:
                return
            ready = self._pending.ready()
        for operation in ready:
            try:
                frames = self._encode(operation)
            except (MmoinvError, KeyError) as error:
                log.warning("operation %#x was not sent: %s", operation.operation_id, error)
                self._end(operation.operation_id, CommitStatus.INVALID, str(error), {})
                continue
            self._link.wire.send_bytes(frames)
            if self.on_packet_sent is not None:
                self.on_packet_sent(len(frames))
        self._link.flush()

    def _encode(self, operation: PendingOperation[SentOperation]) -> bytes:
        if self.dialect.protocol == 4:
            return encode_commit(
                operation.operation_id, operation.token, self._characters, operation.repeated
            )
        return encode_for_protocol_3(
            operation.operation_id, operation.token, self._characters, self.dialect
        )

    def _end(self, operation_id: int, status: int, message: str, versions: dict[int, int]) -> None:
        """An operation was answered: resolve its handle, and those that it takes along."""
        known = status in CommitStatus.__members__.values()
        verdict = CommitStatus(status) if known else CommitStatus.INTERNAL
        with self._lock:
            operation, behind = self._pending.answered(operation_id, verdict)
        if operation is None:
            log.warning("the realm answered operation %#x, which is not pending", operation_id)
            return
        if verdict.is_retryable:
            self._retry_later(operation)
            return
        self._short_ids.release(operation_id)
        sent = operation.token
        if verdict.is_success:
            for change in sent.changes:
                character = self._characters.get(change.character_guid)
                if character is not None:
                    character.items = _read_only(change.applied_to(character.items))
                    character.version = versions.get(character.guid, character.version)
            sent.handle.succeed(OperationOutcome(operation_id, status, versions))
        else:
            guids = operation.character_guids
            sent.handle.fail(
                refusal(status, message, operation_id, guids, sent.saved_part)
                if known
                else OperationPendingError(
                    f"operation {operation_id:#x} of character {', '.join(map(str, guids))} was "
                    f"answered with status {status}, which this version does not know: it may or "
                    "may not be saved. Join the character anew to see.",
                    operation_id,
                    guids,
                )
            )
            for other in behind:
                self._short_ids.release(other.operation_id)
                other.token.handle.fail(
                    refusal(
                        status,
                        f"it waited behind operation {operation_id:#x}, which was refused "
                        f"({message or verdict.sentence}), and was never sent",
                        other.operation_id,
                        other.character_guids,
                    )
                )
        self._wake_idle()
        self._plan_sending()

    def _plan_sending(self) -> None:
        with self._lock:
            if not self._flush_planned and self._loop is not None:
                self._flush_planned = True
                self._loop.call_soon(self._send_ready)

    def _retry_later(self, operation: PendingOperation[SentOperation]) -> None:
        assert self._loop is not None
        longest_s = min(RETRY_LONGEST_S, RETRY_FIRST_S * 2 ** min(operation.attempts, 10))
        delay_s = random.uniform(longest_s / 2, longest_s)
        self._loop.call_later(delay_s, self._retry, operation.operation_id)

    def _retry(self, operation_id: int) -> None:
        with self._lock:
            self._pending.retry(operation_id)
        self._plan_sending()

    # Events

    def _receive(self, event: WorldEvent) -> None:
        match event:
            case OperationAnswered():
                self._end(event.operation_id, event.status, event.message, dict(event.versions))
            case OperationResultReceived():
                self._receive_result(event)
            case CharacterJoined(packet):
                character = JoinedCharacter(
                    packet.character_guid,
                    packet.session_epoch,
                    packet.version,
                    _read_only(sort_by_slot(packet.items)),
                )
                join = self._joins.pop(character.guid, None)
                if join is None or not join.waiters:
                    self._give_back(character)
                else:
                    self._characters[character.guid] = character
                    join.future.set_result(character)
            case CharacterJoinFailed():
                self._receive_join_failed(event)
            case LeaveRequested():
                task = asyncio.create_task(self._leave_as_asked(event))
                self._tasks.add(task)
                task.add_done_callback(self._task_done)
            case LogonAccepted():
                if self._logon is not None and not self._logon.done():
                    self._logon.set_result(event)
            case LogonRefused():
                if self._logon is not None and not self._logon.done():
                    self._logon.set_exception(
                        LogonError(
                            f"world {self.world!r} was refused at {self.host}:{self.port}: "
                            f"{event.reason}",
                            event.status,
                        )
                    )

    def _receive_result(self, event: OperationResultReceived) -> None:
        with self._lock:
            operation = self._pending.get(event.operation_id)
        if operation is None or event.operation_type not in operation.token.unanswered:
            log.warning("the realm answered operation %#x unasked", event.operation_id)
            return
        sent = operation.token
        sent.unanswered.discard(event.operation_type)
        character = self._characters.get(event.character_guid)
        if not event.success:
            sent.failed = True
        elif character is not None:
            sent.saved_part = "saves" if event.operation_type == TYPE_SAVE else "deletes"
            saved = saved_by_packet(event.operation_type, sent, character, self.dialect)
            character.items = _read_only(saved)
            character.version += 1
        if sent.unanswered:
            return
        self._end(
            event.operation_id,
            CommitStatus.INTERNAL if sent.failed else CommitStatus.COMMITTED,
            "the realm said no without a reason, as protocol 3 does",
            {event.character_guid: character.version if character else 0},
        )

    def _receive_join_failed(self, event: CharacterJoinFailed) -> None:
        join = self._joins.pop(event.character_guid, None)
        known = event.reason in JoinFailure.__members__.values()
        reason = JoinFailure(event.reason).sentence if known else f"reason {event.reason}"
        if event.message:
            reason = f"{reason} ({event.message})"
        if join is not None and join.waiters:
            join.future.set_exception(
                JoinError(
                    f"character {event.character_guid} could not be joined: {reason}",
                    event.character_guid,
                    event.reason,
                )
            )

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a character could not leave as asked: %s", task.exception())

    def _link_lost(self, reason: str) -> None:
        """The connection is gone. What is pending stays pending, and says so."""
        self._lost_reason = f"The link to the realm was lost: {reason}"
        error = LinkError(self._lost_reason)
        if self._logon is not None and not self._logon.done():
            self._logon.set_exception(error)
        with self._lock:
            if self._state is not ConnectorState.CONNECTED:
                return
            self._state = ConnectorState.LOST
            self._pending.link_lost()
            pending = len(self._pending)
        log.warning("%s; %d operations are pending", self._lost_reason, pending)
        self._fail_joins(error)
        self._wake_idle()

    def _fail_joins(self, error: LinkError) -> None:
        for join in self._joins.values():
            if join.waiters:
                join.future.set_exception(error)
        self._joins.clear()

    # Waiting

    async def _wait_idle(self, character_guid: int | None, timeout_s: float | None) -> bool:
        """Until nothing is pending, of one character or at all; False if that can't be had."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                while self._is_pending(character_guid):
                    if self._state is not ConnectorState.CONNECTED:
                        return False
                    future: asyncio.Future[None] = loop.create_future()
                    self._idle.setdefault(character_guid, []).append(future)
                    await future
        except TimeoutError:
            return False
        return True

    def _is_pending(self, character_guid: int | None) -> bool:
        with self._lock:
            if character_guid is None:
                return len(self._pending) > 0
            return self._pending.has_pending(character_guid)

    def _wake_idle(self) -> None:
        if not self._idle:
            return
        connected = self._state is ConnectorState.CONNECTED
        for guid in [guid for guid in self._idle if not (connected and self._is_pending(guid))]:
            for future in self._idle.pop(guid):
                if not future.done():
                    future.set_result(None)

    def _connected(self, verb: str) -> RealmLink:
        if self._state is not ConnectorState.CONNECTED or self._link is None:
            reason = f" {self._lost_reason}." if self._lost_reason else ""
            raise LinkError(
                f"cannot {verb}: the connector is {self._state.value}.{reason} Nothing was "
                f"taken; {len(self._pending)} operations taken before are unanswered."
            )
        return self._link


def _read_only(items: Batch) -> Batch:
    """What is diffed against must not change under the game's hands unnoticed."""
    items.setflags(write=False)
    return items


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
