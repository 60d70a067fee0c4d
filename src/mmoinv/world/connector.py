"""`RealmConnector`: a world server's connection to its realm.

Connects, logs on, joins characters and lets them leave. Operations on their way are kept by
`mmoinv.world.operations`; how they look on the wire is in `mmoinv.world.frames`.
"""

import asyncio
import logging
import secrets
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
)
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    JoinFailure,
    LeaveReason,
    LeaveRequested,
    LogonAccepted,
    LogonRefused,
    OperationAnswered,
    OperationResultReceived,
    PendingOperation,
    WorldEvent,
    dialect_by_number,
)
from mmoinv.world.characters import JoinedCharacter, read_only
from mmoinv.world.frames import SentOperation, check_for_dialect
from mmoinv.world.link import RealmServerLink
from mmoinv.world.operations import Operations
from mmoinv.world.repository import WorldServerInventoryRepository

log = logging.getLogger("mmoinv.world")

GUIDS_PER_EPOCH = 1 << 32


class ConnectorState(Enum):
    """Where a connector is."""

    NEW = "the connector is not connected yet"
    CONNECTED = "the connector is connected"
    LOST = "the link to the realm is lost"
    CLOSED = "the connector is closed"


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

    ``on_leave_requested(guid)`` is called when another world wants a character: commit what is
    unsaved of it there and then, since right afterwards it leaves. ``on_packet_sent(size)`` is
    called with the bytes of each operation that is sent.
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
        self._secret = secret
        self._connect_timeout_s = connect_timeout_s
        self._join_timeout_s = join_timeout_s
        self._state = ConnectorState.NEW
        self._lost_reason = ""
        self._link: RealmServerLink | None = None
        self._logon: asyncio.Future[LogonAccepted] | None = None
        self._characters: dict[int, JoinedCharacter] = {}
        self._joins: dict[int, _Join] = {}
        self._leaving: set[int] = set()
        self._item_numbers = 0
        self._operations = Operations(self._characters, self.dialect, max_pending, world_server_id)
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
    def pending_operations(self) -> list[PendingOperation[SentOperation]]:
        """Those operations, oldest first, each with its state."""
        return self._operations.pending()

    @property
    def characters(self) -> tuple[JoinedCharacter, ...]:
        """The characters that are joined here."""
        return tuple(self._characters.values())

    def character(self, character_guid: int) -> JoinedCharacter | None:
        """The joined character of that guid, None if it is not joined here."""
        return self._characters.get(character_guid)

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
        """Connect and log on. `LinkError` if nobody listens, `LogonError` if the realm refuses."""
        if self._state is not ConnectorState.NEW:
            raise LinkError(f"a connector connects once: {self._state.value}")
        where = f"{self.host}:{self.port}"
        loop = asyncio.get_running_loop()
        self._logon = loop.create_future()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, self._link = await loop.create_connection(
                    lambda: RealmServerLink(self._receive, self._link_lost), self.host, self.port
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
        self._operations.open(self._link, accepted.node_epoch)
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
            self._operations.abandon(self._lost_reason or "the connector was closed")
            self._fail_joins(LinkError("the connector was closed"))
            self._characters.clear()
            if self._link is not None:
                await self._link.close()

    async def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every operation taken so far is answered; False if the time ran out or the
        link is lost."""
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
            if not await self._operations.wait_idle(character_guid, None):
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
        if self.on_leave_requested is not None:
            try:
                self.on_leave_requested(request.character_guid)
            except Exception:
                log.exception("on_leave_requested failed for %d", request.character_guid)
        await self.leave(request.character_guid, LeaveReason.TELEPORT)

    # Operations

    def submit(self, changes: Sequence[CharacterChanges], reason: int) -> OperationHandle:
        """Take one operation over joined characters; never blocks. If it raises, nothing was
        taken. The repository's commit ends here; usable from any thread."""
        check_for_dialect(self.dialect, changes)
        with self._operations.lock:
            self._connected("commit")
            for change in changes:
                self._check_committable(change.character_guid)
            return self._operations.add(changes, reason)

    def _check_committable(self, character_guid: int) -> None:
        leaving = character_guid in self._leaving
        if leaving or character_guid not in self._characters:
            state = "is leaving" if leaving else "is not joined here"
            raise JoinError(
                f"character {character_guid} {state}; nothing was taken. Commit before it "
                "leaves, or once it has joined again.",
                character_guid,
            )

    # Events

    def _receive(self, event: WorldEvent) -> None:
        match event:
            case OperationAnswered() | OperationResultReceived():
                self._operations.receive(event)
            case CharacterJoined(packet):
                character = JoinedCharacter(
                    packet.character_guid,
                    packet.session_epoch,
                    packet.version,
                    read_only(sort_by_slot(packet.items)),
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
        self._lost_reason = f"the link to the realm was lost: {reason}"
        error = LinkError(self._lost_reason)
        if self._logon is not None and not self._logon.done():
            self._logon.set_exception(error)
        with self._operations.lock:
            if self._state is not ConnectorState.CONNECTED:
                return
            self._state = ConnectorState.LOST
            self._operations.link_lost()
        log.warning("%s; %s pending", self._lost_reason, self._operations.told())
        self._fail_joins(error)

    def _fail_joins(self, error: LinkError) -> None:
        for join in self._joins.values():
            if join.waiters:
                join.future.set_exception(error)
        self._joins.clear()

    def _connected(self, verb: str) -> RealmServerLink:
        if self._state is not ConnectorState.CONNECTED or self._link is None:
            reason = self._lost_reason or self._state.value
            raise LinkError(
                f"cannot {verb}: {reason}. Nothing was taken; of those taken before, "
                f"{self._operations.told()} unanswered."
            )
        return self._link
