"""What the process before left in its outbox is sent again, before any character is joined.

In order per character, under the old ids, epochs and versions: the realm knows what of it is
committed already, and commits the rest if nobody has joined the character since. Knows the link,
not how it is found.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from mmoinv.commits import UNKNOWN_OPERATION
from mmoinv.errors import LinkError
from mmoinv.wire import CommitStatus, OperationAnswered, PendingOperations
from mmoinv.world.link import RealmServerLink
from mmoinv.world.outbox_format import StoredOperation, as_repeated

log = logging.getLogger("mmoinv.world")

RETRY_FIRST_S, RETRY_LONGEST_S = 0.05, 2.0
SHOWN = 20
"""Of many operations, each in a log line of its own."""


class Fate(Enum):
    """What is known of an operation of the process before."""

    SAVED = "saved"
    NOT_SAVED = "not saved"
    UNKNOWN = "may or may not be saved"


class ReplayedOperation(NamedTuple):
    """An operation that the process before left unanswered, and what has become of it.

    ``taken_at_s`` is when the game committed it, in seconds since 1970; ``status`` the realm's
    answer, a `mmoinv.wire.CommitStatus`; ``meaning`` says what that means.
    """

    operation_id: int
    character_guids: tuple[int, ...]
    taken_at_s: float
    status: int
    fate: Fate
    meaning: str

    def __str__(self) -> str:
        whom = ", ".join(map(str, self.character_guids))
        return f"operation {self.operation_id:#x} of character {whom}: {self.meaning}"


class Replay:
    """The unanswered operations of an outbox on their way; ``answered`` is told of each that has
    ended. `run` may be called again with another link."""

    def __init__(
        self, stored: Sequence[StoredOperation], answered: Callable[[int], object]
    ) -> None:
        self._pending: PendingOperations[StoredOperation] = PendingOperations(len(stored))
        for one in stored:
            self._pending.add(one.operation_id, one.character_guids, one)
        self._order = [one.operation_id for one in stored]
        self._answered = answered
        self._replayed: dict[int, ReplayedOperation] = {}
        self._link: RealmServerLink | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def replayed(self) -> list[ReplayedOperation]:
        """Those that have ended, in the order in which they were taken."""
        return [self._replayed[number] for number in self._order if number in self._replayed]

    async def run(self, link: RealmServerLink) -> None:
        """Send everything and wait for the answers; `LinkError` if the link is lost."""
        self._link = link
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._send()
            await self._ended
        finally:
            self._link = None

    def link_lost(self, error: LinkError) -> None:
        """What was sent is to be sent again, over another link."""
        self._pending.link_lost()
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _send(self) -> None:
        link = self._link
        if link is None:
            return
        for operation in self._pending.ready():
            link.wire.send_bytes(as_repeated(operation.token.frame))
        link.flush()
        if not len(self._pending) and self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def receive(self, event: OperationAnswered) -> None:
        """The realm has answered one."""
        known = event.status in CommitStatus.__members__.values()
        if known and CommitStatus(event.status).is_retryable:
            operation, _ = self._pending.answered(event.operation_id, CommitStatus(event.status))
            if operation is not None:
                longest_s = min(RETRY_LONGEST_S, RETRY_FIRST_S * 2 ** min(operation.attempts, 10))
                delay_s = random.uniform(longest_s / 2, longest_s)
                asyncio.get_running_loop().call_later(delay_s, self._retry, event.operation_id)
            return
        # Those behind one that is refused are sent all the same: each gets an answer of its own.
        operation, _ = self._pending.answered(event.operation_id, CommitStatus.COMMITTED)
        if operation is None:
            return
        stored = operation.token
        fate, meaning = told(event.status, event.message)
        self._replayed[stored.operation_id] = ReplayedOperation(
            stored.operation_id,
            stored.character_guids,
            stored.taken_ms / 1000,
            event.status,
            fate,
            meaning,
        )
        self._answered(stored.operation_id)
        self._send()

    def _retry(self, operation_id: int) -> None:
        self._pending.retry(operation_id)
        self._send()


def told(status: int, message: str) -> tuple[Fate, str]:
    """What the realm's answer to an operation of the process before means."""
    match status:
        case CommitStatus.COMMITTED:
            return Fate.SAVED, "saved now; the process before ended too early for it"
        case CommitStatus.ALREADY_COMMITTED:
            return Fate.SAVED, "it was saved already, only its answer was lost"
        case CommitStatus.STALE_SESSION if message.startswith(UNKNOWN_OPERATION):
            return Fate.UNKNOWN, (
                "it may or may not be saved: it is older than what the realm keeps of committed "
                "operations, and is not applied any more. The character's history "
                "(mmoinv history) shows what was"
            )
        case CommitStatus.STALE_SESSION:
            return Fate.NOT_SAVED, (
                "not saved: the character was joined by someone else, or has left, since "
                f"({message})"
            )
        case CommitStatus.CANCELLED:
            return Fate.NOT_SAVED, f"not saved, it was a trade that did not come about: {message}"
    if status in CommitStatus.__members__.values():
        return Fate.NOT_SAVED, f"not saved: {message or CommitStatus(status).sentence}"
    return Fate.UNKNOWN, (
        f"it may or may not be saved: the realm answered with status {status}, which this version "
        "does not know"
    )


def log_replayed(replayed: Sequence[ReplayedOperation]) -> None:
    """A line about all of them, and one about each of the first that are not known to be saved."""
    counts = Counter(one.fate for one in replayed)
    log.warning(
        "the process before left %d operations unanswered: %s",
        len(replayed),
        ", ".join(f"{count} {fate.value}" for fate, count in counts.items()),
    )
    for one in [one for one in replayed if one.fate is not Fate.SAVED][:SHOWN]:
        log.error("%s", one)
