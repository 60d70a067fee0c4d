"""Operations on their way: one in flight per character, in order, none ever forgotten.

A state machine over opaque tokens. It does not know what an operation contains, how it is
encoded or who waits for it, and it knows no time: the shell says when to try again.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from heapq import heappop, heappush
from itertools import islice
from typing import Generic, TypeVar

from mmoinv.errors import LinkBusyError, OperationError
from mmoinv.wire.opcodes import CommitStatus

Token = TypeVar("Token")


class OperationState(Enum):
    """Where a pending operation is."""

    WAITING = "waiting behind another one"
    READY = "ready to be sent"
    IN_FLIGHT = "sent, not answered"
    POSTPONED = "to be sent again later"


class PendingOperation(Generic[Token]):
    """One operation. ``repeated``: it was sent before and may be applied. ``is_held``: it may not
    be sent before `PendingOperations.let_go`."""

    __slots__ = (
        "_blockers",
        "_order",
        "attempts",
        "character_guids",
        "is_held",
        "operation_id",
        "repeated",
        "state",
        "token",
    )

    def __init__(
        self, operation_id: int, character_guids: tuple[int, ...], token: Token, order: int
    ) -> None:
        self.operation_id = operation_id
        self.character_guids = character_guids
        self.token = token
        self.state = OperationState.WAITING
        self.repeated = False
        self.is_held = False
        self.attempts = 0
        self._order = order
        self._blockers = 0

    def __repr__(self) -> str:
        return (
            f"<operation {self.operation_id} of {', '.join(map(str, self.character_guids))}: "
            f"{self.state.value}>"
        )


class PendingOperations(Generic[Token]):
    """All operations of one world that the realm has not answered.

    An operation is ready when it is the oldest of each of its characters. ``limit`` bounds
    them all.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.limit = limit
        self._operations: dict[int, PendingOperation[Token]] = {}
        self._queues: dict[int, deque[PendingOperation[Token]]] = {}
        self._ready: list[PendingOperation[Token]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._operations)

    def __iter__(self) -> Iterator[PendingOperation[Token]]:
        """In the order in which they were added."""
        return iter(tuple(self._operations.values()))

    def oldest(self) -> PendingOperation[Token] | None:
        """The one that was added first."""
        return next(iter(self._operations.values()), None)

    def has_pending(self, character_guid: int) -> bool:
        """Whether an operation of that character is on its way."""
        return character_guid in self._queues

    def get(self, operation_id: int) -> PendingOperation[Token] | None:
        """The pending operation of that id."""
        return self._operations.get(operation_id)

    def of_character(self, character_guid: int) -> list[PendingOperation[Token]]:
        """The operations of one character, oldest first."""
        return list(self._queues.get(character_guid, ()))

    def is_last(self, operation: PendingOperation[Token]) -> bool:
        """Whether nothing waits behind an operation."""
        return all(self._queues[guid][-1] is operation for guid in operation.character_guids)

    def ahead_of(
        self, operation: PendingOperation[Token], character_guid: int
    ) -> list[PendingOperation[Token]]:
        """What waits before it of one of its characters, oldest first."""
        queue = self._queues[character_guid]
        return [] if queue[0] is operation else list(islice(queue, queue.index(operation)))

    def add(
        self,
        operation_id: int,
        character_guids: Iterable[int],
        token: Token,
        is_held: bool = False,
    ) -> PendingOperation[Token]:
        """Take an operation over; `LinkBusyError` at the bound, and then nothing was taken. With
        ``is_held`` it waits for `let_go`, whatever else it waits for."""
        guids = tuple(character_guids)
        if len(self._operations) >= self.limit:
            raise LinkBusyError(
                f"the limit of {self.limit} operations that wait for the realm is reached: nothing "
                f"was taken of this one for character {', '.join(map(str, guids))}, its "
                "changes stay unsaved; commit again later"
            )
        if operation_id in self._operations:
            raise OperationError(
                f"operation {operation_id} is pending already", operation_id, guids
            )
        if not guids or len(set(guids)) != len(guids):
            raise OperationError(
                f"operation {operation_id} must name each of its characters once",
                operation_id,
                guids,
            )
        self._count += 1
        operation = PendingOperation(operation_id, guids, token, self._count)
        self._operations[operation_id] = operation
        for guid in guids:
            queue = self._queues.setdefault(guid, deque())
            if queue:
                operation._blockers += 1
            queue.append(operation)
        if is_held:
            operation.is_held = True
            operation._blockers += 1
        self._release(operation)
        return operation

    def let_go(self, operation_id: int) -> None:
        """An operation that was held may be sent when it has its turn."""
        operation = self._operations.get(operation_id)
        if operation is not None and operation.is_held:
            operation.is_held = False
            operation._blockers -= 1
            self._release(operation)

    def give_up(self, operation_id: int) -> list[PendingOperation[Token]]:
        """An operation that is held is not to be sent: it ends, with everything behind it."""
        operation = self._operations.get(operation_id)
        if operation is None or not operation.is_held:
            return []
        ended = [operation, *self._behind(operation)]
        for one in reversed(ended):
            self._remove(one)
        return ended

    def ready(self) -> list[PendingOperation[Token]]:
        """The operations that may be sent now, oldest first. They are in flight from here on."""
        ready, self._ready = self._ready, []
        ready.sort(key=lambda operation: operation._order)
        for operation in ready:
            operation.state = OperationState.IN_FLIGHT
            operation.attempts += 1
        return ready

    def answered(
        self, operation_id: int, status: CommitStatus
    ) -> tuple[PendingOperation[Token] | None, list[PendingOperation[Token]]]:
        """The realm has answered: (the operation, those that are refused with it).

        With a retryable status the operation stays, postponed until `retry`. Refused for good
        it takes along, unsent, everything that waits behind it; but not if it was cancelled: that
        is a trade that everybody goes on without. An unknown id, or one that is not in flight, is
        (None, []).
        """
        operation = self._operations.get(operation_id)
        if operation is None or operation.state is not OperationState.IN_FLIGHT:
            return None, []
        if status.is_retryable:
            operation.state = OperationState.POSTPONED
            operation.repeated = True
            return operation, []
        goes_on = status.is_success or status is CommitStatus.CANCELLED
        behind = [] if goes_on else self._behind(operation)
        for ended in (*reversed(behind), operation):
            self._remove(ended)
        return operation, behind

    def retry(self, operation_id: int) -> None:
        """A postponed operation may be sent again."""
        operation = self._operations.get(operation_id)
        if operation is not None and operation.state is OperationState.POSTPONED:
            operation.state = OperationState.READY
            self._ready.append(operation)

    def link_lost(self) -> None:
        """Whatever was in flight may be applied or not: it is to be sent again, as repeated."""
        for operation in self._operations.values():
            if operation.state in (OperationState.IN_FLIGHT, OperationState.POSTPONED):
                operation.repeated = True
                operation.state = OperationState.READY
                self._ready.append(operation)

    def drop_all(self) -> list[PendingOperation[Token]]:
        """Give everything up, oldest first: only when the process ends."""
        operations = list(self._operations.values())
        self._operations.clear()
        self._queues.clear()
        self._ready.clear()
        return operations

    def _release(self, operation: PendingOperation[Token]) -> None:
        if operation._blockers == 0 and operation.state is OperationState.WAITING:
            operation.state = OperationState.READY
            self._ready.append(operation)

    def _behind(self, operation: PendingOperation[Token]) -> list[PendingOperation[Token]]:
        """Everything that waits for this one, directly or through others, oldest first."""
        behind: list[PendingOperation[Token]] = []
        found: set[int] = set()
        walked: set[int] = set()
        open_ends = [(operation._order, operation)]
        while open_ends:
            # Oldest first: whoever comes to a queue first is then the oldest that ever will,
            # so each queue is walked once, however long it is.
            _, one = heappop(open_ends)
            if one is not operation:
                behind.append(one)
            for guid in one.character_guids:
                if guid in walked:
                    continue
                walked.add(guid)
                for other in reversed(self._queues[guid]):
                    if other._order <= one._order:
                        break
                    if other.operation_id not in found:
                        found.add(other.operation_id)
                        heappush(open_ends, (other._order, other))
        return behind

    def _remove(self, operation: PendingOperation[Token]) -> None:
        del self._operations[operation.operation_id]
        for guid in operation.character_guids:
            queue = self._queues[guid]
            if queue[0] is operation:
                queue.popleft()
                if queue:
                    queue[0]._blockers -= 1
                    self._release(queue[0])
            else:
                # Only a refusal ends an operation that others wait before, and it ends the
                # newest first: this one is the last of its queue.
                queue.pop()
            if not queue:
                del self._queues[guid]


class ShortOperationIds:
    """Protocol 3's u32 operation ids: world server id above, a counter below, 16 bits each.

    An id that is still pending is never given again.
    """

    def __init__(self, world_server_id: int) -> None:
        self._high = (world_server_id & 0xFFFF) << 16
        self._counter = 0
        self._pending: set[int] = set()

    def take(self) -> int:
        """The next free id; `LinkBusyError` if all 65,536 are pending."""
        if len(self._pending) > 0xFFFF:
            raise LinkBusyError(
                "all 65,536 operation ids of protocol 3 are pending: nothing was taken, the "
                "changes stay unsaved; commit again later"
            )
        while True:
            self._counter = (self._counter + 1) & 0xFFFF
            operation_id = self._high | self._counter
            if operation_id not in self._pending:
                self._pending.add(operation_id)
                return operation_id

    def release(self, operation_id: int) -> None:
        """The operation of that id has ended."""
        self._pending.discard(operation_id)
