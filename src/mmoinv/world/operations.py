"""Operations on their way: sent in order, retried, and ended exactly once.

Any thread may add one; the link's event loop sends and receives. Knows the link's frames, not
how it connects, and no joins.
"""

import asyncio
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from mmoinv.errors import (
    InvalidOperationError,
    LinkBusyError,
    MmoinvError,
    OperationError,
    OperationPendingError,
    OutboxWriteError,
)
from mmoinv.repository import CharacterChanges, OperationHandle, OperationOutcome
from mmoinv.repository.operation import running_loop
from mmoinv.wire import (
    CommitStatus,
    Dialect,
    OperationAnswered,
    OperationResultReceived,
    PendingOperation,
    PendingOperations,
    ShortOperationIds,
    retry_hint_s,
)
from mmoinv.world.characters import JoinedCharacter, read_only
from mmoinv.world.frames import (
    TYPE_SAVE,
    SentOperation,
    TradeTerms,
    as_it_will_be,
    encode_commit,
    encode_for_protocol_3,
    refusal,
    saved_by_packet,
)
from mmoinv.world.idle import IdleWaits
from mmoinv.world.link import RealmServerLink
from mmoinv.world.outbox import Outbox
from mmoinv.world.unsaved import UnsavedOperation, abandon

log = logging.getLogger("mmoinv.world")

RETRY_FIRST_S, RETRY_LONGEST_S = 0.05, 2.0


class Operations:
    """All operations of one connector that were taken and not answered.

    ``characters`` is the connector's own table of joined characters, whose baselines follow
    the answers. ``lock`` guards everything that commits from other threads touch.
    ``session_is_stale`` is called with the characters of an operation that was refused for a
    session.
    """

    def __init__(
        self,
        characters: dict[int, JoinedCharacter],
        dialect: Dialect,
        limit: int,
        world_server_id: int | None,
        session_is_stale: Callable[[Sequence[int]], None],
        outbox: Outbox | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.on_packet_sent: Callable[[int], object] | None = None
        self._characters = characters
        self._dialect = dialect
        self._pending: PendingOperations[SentOperation] = PendingOperations(limit)
        self._world_server_id = world_server_id
        self._short_ids = ShortOperationIds(world_server_id or 0)
        self._numbers = itertools.count(1)
        self._node_epoch = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: RealmServerLink | None = None
        self._session_is_stale = session_is_stale
        self._outbox = outbox
        self._unwritten: list[PendingOperation[SentOperation]] = []
        """Taken, but not given to the outbox yet."""
        if outbox is not None:
            outbox.has_unwritten = lambda: bool(self._unwritten)
        self._being_refused: set[int] = set()
        """Characters whose commits are refused at this moment; a newer one must not overtake."""
        self._sending_planned = False
        self._idle = IdleWaits(self._is_pending)

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def is_busy(self) -> bool:
        """Whether only a tenth of the bound is left; a bound below 10 has no such tenth."""
        reserved = self._pending.limit // 10
        return reserved > 0 and len(self._pending) >= self._pending.limit - reserved

    def told(self) -> str:
        """How many there are, as a subject with its verb: "1 operation is", "2 operations are"."""
        return "1 operation is" if len(self) == 1 else f"{len(self)} operations are"

    def pending(self) -> list[PendingOperation[SentOperation]]:
        """All of them, oldest first, each with its state."""
        with self.lock:
            return list(self._pending)

    def oldest_age_s(self) -> float:
        """For how long the oldest of them has been waiting, 0 if there is none."""
        with self.lock:
            oldest = self._pending.oldest()
            return 0.0 if oldest is None else time.monotonic() - oldest.token.taken_s

    # The link comes and goes

    def logged_on(self, node_epoch: int) -> None:
        """Operations get their ids from the node epoch from now on; those that are pending keep
        theirs."""
        self._loop = asyncio.get_running_loop()
        first_time = self._node_epoch == 0
        self._node_epoch = node_epoch
        if first_time and self._world_server_id is None:
            self._short_ids = ShortOperationIds(node_epoch)

    def open(self, link: RealmServerLink) -> None:
        """The sessions are held: operations can be sent."""
        self._link = link
        self._plan_sending()

    def link_lost(self, for_good: bool) -> None:
        """What was sent is pending still, and may be applied or not."""
        with self.lock:
            self._link = None
            self._idle.is_over = for_good
            self._pending.link_lost()
        self._idle.wake()

    def abandon(self, reason: str) -> list[UnsavedOperation]:
        """Nothing more will be answered: end every handle and say what is known."""
        with self.lock:
            self._link = None
            self._idle.is_over = True
            abandoned = self._pending.drop_all()
        unsaved = [abandon(one, self._is_in_outbox(one), reason) for one in abandoned]
        self._idle.wake()
        return unsaved

    def _is_in_outbox(self, operation: PendingOperation[SentOperation]) -> bool:
        return self._outbox is not None and not operation.is_held

    # Taking and sending

    def new_id(self) -> int:
        """An operation id of protocol 4 that was never given before."""
        with self.lock:
            return self._node_epoch << 32 | next(self._numbers)

    def submitted(self, character_guid: int) -> JoinedCharacter:
        """A joined character as it will be once all that is pending of it is committed."""
        with self.lock:
            ahead = [one.token for one in self._pending.of_character(character_guid)]
            return as_it_will_be(self._characters[character_guid], ahead, True)

    def add(
        self,
        changes: Sequence[CharacterChanges],
        reason: int,
        conserve: bool = False,
        terms: TradeTerms | None = None,
    ) -> OperationHandle:
        """Take one operation, or half of a trade; never blocks. `LinkBusyError` at the bound:
        nothing was taken."""
        guids = tuple(change.character_guid for change in changes)
        with self.lock:
            if not self._being_refused.isdisjoint(guids):
                raise LinkBusyError(
                    f"an older operation of character {', '.join(map(str, guids))} is being "
                    "refused at this moment: nothing was taken, its changes stay unsaved; commit "
                    "again"
                )
            if terms is not None:
                operation_id = terms.trade_id
            elif self._dialect.protocol == 4:
                operation_id = self.new_id()
            else:
                operation_id = self._short_ids.take()
            handle = OperationHandle(operation_id, guids)
            try:
                sent = SentOperation(handle, changes, reason, conserve, terms)
                if self._outbox is None:
                    self._pending.add(operation_id, guids, sent)
                else:
                    self._outbox.check_room(guids)
                    self._unwritten.append(self._pending.add(operation_id, guids, sent, True))
            except MmoinvError:
                self._short_ids.release(operation_id)
                raise
            self._plan_sending()
        return handle

    def _plan_sending(self) -> None:
        """All operations of one turn of the loop leave in one write."""
        with self.lock:
            if self._sending_planned or self._loop is None:
                return
            self._sending_planned = True
            if running_loop() is self._loop:
                self._loop.call_soon(self._send_ready)
            else:
                self._loop.call_soon_threadsafe(self._send_ready)

    def _send_ready(self) -> None:
        with self.lock:
            self._sending_planned = False
            has_unwritten = bool(self._unwritten)
            link = self._link
            ready = [] if link is None else self._pending.ready()
        if has_unwritten:
            self._write_ahead()
        if link is None:
            return
        for operation in ready:
            try:
                frames = self._encode(operation)
            except (MmoinvError, KeyError) as error:
                log.warning("operation %#x was not sent: %s", operation.operation_id, error)
                self._end(operation.operation_id, CommitStatus.INVALID, str(error), {})
                continue
            link.wire.send_bytes(frames)
            if self.on_packet_sent is not None:
                self.on_packet_sent(len(frames))
        link.flush()

    def _write_ahead(self) -> None:
        """Everything that was taken goes to the outbox in one synced write, and may be sent after
        it. What is taken meanwhile goes with the next one."""
        outbox = self._outbox
        if outbox is None or outbox.is_writing:
            return
        frames: dict[int, bytes] = {}
        faults: dict[int, str] = {}
        with self.lock:
            batch, self._unwritten = self._unwritten, []
            for operation in batch:
                number = operation.operation_id
                if self._pending.get(number) is not operation:
                    continue  # Refused with one ahead of it.
                try:
                    operation.token.frame = frames[number] = self._encode_ahead(operation)
                except (MmoinvError, KeyError) as error:
                    faults[number] = f"it cannot be encoded ({error})"
        for number, reason in faults.items():
            for ended in self._give_up([number], InvalidOperationError, reason):
                frames.pop(ended, None)
        if frames:
            outbox.write(frames, partial(self._written, tuple(frames)))

    def _encode_ahead(self, operation: PendingOperation[SentOperation]) -> bytes:
        """The frame as it will be when the operation has its turn."""
        sent = operation.token
        needs_items = len({change.replace for change in sent.changes}) > 1
        characters = {}
        for guid in operation.character_guids:
            ahead = [one.token for one in self._pending.ahead_of(operation, guid)]
            characters[guid] = as_it_will_be(self._characters[guid], ahead, needs_items)
        return encode_commit(operation.operation_id, sent, characters, False)

    def _written(self, operation_ids: Sequence[int], error: OSError | None) -> None:
        """The outbox has synced operations, or could not."""
        if error is not None:
            reason = f"the outbox could not be written ({error.strerror or error})"
            log.error("%s: %d operations are not sent", reason, len(operation_ids))
            self._give_up(operation_ids, OutboxWriteError, reason)
        with self.lock:
            for operation_id in operation_ids:
                self._pending.let_go(operation_id)
        self._send_ready()

    def _give_up(
        self, operation_ids: Iterable[int], kind: type[OperationError], reason: str
    ) -> list[int]:
        """Operations that were not sent, and those behind them, end with an error: all of them."""
        with self.lock:
            ended = [one for number in operation_ids for one in self._pending.give_up(number)]
            refused = {guid for one in ended for guid in one.character_guids}
            self._being_refused |= refused
        for one in ended:
            whom = ", ".join(map(str, one.character_guids))
            one.token.handle.fail(
                kind(
                    f"operation {one.operation_id:#x} of character {whom} was not sent, nothing "
                    f"of it is saved: {reason}. Its changes are still unsaved; commit again.",
                    one.operation_id,
                    one.character_guids,
                )
            )
        with self.lock:
            self._being_refused -= refused
        self._idle.wake()
        return [one.operation_id for one in ended]

    def _encode(self, operation: PendingOperation[SentOperation]) -> bytes:
        if self._dialect.protocol == 4:
            return encode_commit(
                operation.operation_id, operation.token, self._characters, operation.repeated
            )
        return encode_for_protocol_3(
            operation.operation_id, operation.token, self._characters, self._dialect
        )

    # Answers

    def receive(self, event: OperationAnswered | OperationResultReceived) -> None:
        """The realm has answered an operation, or one packet of it."""
        if isinstance(event, OperationAnswered):
            self._end(event.operation_id, event.status, event.message, dict(event.versions))
        else:
            self._receive_result(event)

    def _end(self, operation_id: int, status: int, message: str, versions: dict[int, int]) -> None:
        """An operation was answered: resolve its handle, and those that it takes along."""
        known = status in CommitStatus.__members__.values()
        verdict = CommitStatus(status) if known else CommitStatus.INTERNAL
        is_not_final = False
        with self.lock:
            if verdict is CommitStatus.CANCELLED and self._is_built_upon(operation_id, versions):
                # Sent again it is made final, and the version is the one they were made on.
                verdict, is_not_final = CommitStatus.DATABASE_UNAVAILABLE, True
            operation, behind = self._pending.answered(operation_id, verdict)
            refused: set[int] = set()
            goes_on = verdict.is_success or verdict is CommitStatus.CANCELLED
            if operation is not None and not goes_on and not verdict.is_retryable:
                for one in (operation, *behind):
                    refused.update(one.character_guids)
                self._being_refused |= refused
        if operation is None:
            log.warning("the realm answered operation %#x, which is not pending", operation_id)
            return
        if is_not_final:
            self._retry(operation_id)
            return
        if verdict.is_retryable:
            self._retry_later(operation, retry_hint_s(message))
            return
        if self._outbox is not None:
            for ended in (operation, *behind):
                self._outbox.answered(ended.operation_id)
        self._short_ids.release(operation_id)
        sent = operation.token
        if verdict.is_success:
            for change in sent.changes:
                character = self._characters.get(change.character_guid)
                if character is not None:
                    character.items = read_only(change.applied_to(character.items))
                    for currency_id, amount in change.money:
                        before = character.balances.get(currency_id, 0)
                        character.balances[currency_id] = before + amount
                    character.version = versions.get(character.guid, character.version)
            sent.handle.succeed(OperationOutcome(operation_id, status, versions))
        else:
            guids = operation.character_guids
            if verdict is CommitStatus.CANCELLED:
                # Nothing of it was applied, but an empty operation may have been.
                for character in [self._characters[guid] for guid in guids]:
                    version = versions.get(character.guid, 0)
                    character.version = max(character.version, version)
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
            with self.lock:
                self._being_refused -= refused
            if verdict is CommitStatus.STALE_SESSION:
                self._session_is_stale(guids)
        self._idle.wake()
        self._plan_sending()

    def _is_built_upon(self, operation_id: int, versions: dict[int, int]) -> bool:
        """Whether operations behind a cancelled trade lie in the outbox as they will be sent, which
        is for the version after it, and the version is still the one before it."""
        operation = self._pending.get(operation_id)
        if self._outbox is None or operation is None or operation.repeated:
            return False
        if self._pending.is_last(operation):
            return False
        return all(
            versions.get(guid, 0) <= self._characters[guid].version
            for guid in operation.character_guids
        )

    def _retry_later(self, operation: PendingOperation[SentOperation], hint_s: float) -> None:
        """After a pause that grows, and not before the realm has said to come back."""
        assert self._loop is not None
        longest_s = min(RETRY_LONGEST_S, RETRY_FIRST_S * 2 ** min(operation.attempts, 10))
        # The realm says the same to many: they must not all come back at one instant.
        delay_s = hint_s + random.uniform(longest_s / 2, longest_s)
        self._loop.call_later(delay_s, self._retry, operation.operation_id)

    def _retry(self, operation_id: int) -> None:
        with self.lock:
            self._pending.retry(operation_id)
        self._plan_sending()

    def _receive_result(self, event: OperationResultReceived) -> None:
        with self.lock:
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
            saved = saved_by_packet(event.operation_type, sent, character, self._dialect)
            character.items = read_only(saved)
            character.version += 1
        if sent.unanswered:
            return
        self._end(
            event.operation_id,
            CommitStatus.INTERNAL if sent.failed else CommitStatus.COMMITTED,
            "the realm said no without a reason, as protocol 3 does",
            {event.character_guid: character.version if character else 0},
        )

    # Waiting

    async def wait_idle(self, character_guid: int | None, timeout_s: float | None) -> bool:
        """Until nothing is pending, of one character or at all; False if that can't be had."""
        return await self._idle.wait(character_guid, timeout_s)

    def _is_pending(self, character_guid: int | None) -> bool:
        with self.lock:
            if character_guid is None:
                return len(self._pending) > 0
            return self._pending.has_pending(character_guid)
