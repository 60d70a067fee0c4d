"""The one writer of a realm: gathers entries while a transaction runs, then writes them at once.

An entry is answered only after its transaction is safe on the disk, and always exactly once.
If the database refuses data, the group is halved until the culprit stands alone; if it is
unavailable, the group is tried again for a while. Knows stores, not links or packets.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.realm.ids import NumberMint
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.seldom import Seldom
from mmoinv.realm.statistics import Tally
from mmoinv.stores import (
    CommitEntry,
    CommitOutcome,
    DuplicateRowError,
    Entry,
    JoinEntry,
    JoinOutcome,
    LeaveOutcome,
    Outcome,
    Store,
    Verdict,
)

log = logging.getLogger("mmoinv.realm")

JOIN_ITEMS = 16
"""What a join counts for in the bounds: it reads about one inventory, for a part of what it costs
to write one. After a restart a world's sessions are claimed all at once."""
OVERLOADED = "the realm is overloaded; not saved, try again"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
SOONEST_RETRY_MS, LATEST_RETRY_MS = 50, 10_000
FAILURES_TOLD = 5
"""Of groups that failed as none should, in ten seconds: each fills a page of the log."""
NEWEST_GROUP = 0.2
"""How much the last group counts in the mean time of an operation."""


class JoinFailed(NamedTuple):
    """A join that could not be run: ``verdict`` says whether trying again may help."""

    verdict: Verdict
    message: str


Result = Outcome | JoinFailed
Answer = Callable[[int, Result], None]
"""Called once an entry, or for parts of a `CommitEntry` that was too large for one
transaction, in order: with the index of the part's first operation, and the outcome."""


class _Waiting(NamedTuple):
    entry: Entry
    answer: Answer
    first_operation: int
    operations: int
    items: int


class GroupCommit:
    """The writer. Use `start`, `submit` from the same event loop, and `close`."""

    def __init__(self, store: Store, mint: NumberMint, limits: RealmLimits, tally: Tally) -> None:
        self._store = store
        self._mint = mint
        self._limits = limits
        self._tally = tally
        self._queue: deque[_Waiting] = deque()
        self._queued_items = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._ms_per_operation = 1.0
        self._dropped_leaves = Seldom()
        self._failures = Seldom(FAILURES_TOLD)
        self.queued_operations = 0
        """Operations, joins and leaves that wait for a transaction."""

    def start(self) -> None:
        """Start the writer's task."""
        self._task = asyncio.create_task(self._run(), name="mmoinv realm writer")

    async def close(self) -> None:
        """Write and answer everything that was submitted, then stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    @property
    def retry_in_ms(self) -> int:
        """When one that found the queue full should come back: as half of it is written."""
        half_ms = self.queued_operations / 2 * self._ms_per_operation
        return int(min(max(half_ms, SOONEST_RETRY_MS), LATEST_RETRY_MS))

    def refuse(self, entry: CommitEntry, answer: Answer) -> None:
        """Answer an entry as overloaded, unqueued."""
        waiting = _Waiting(entry, answer, 0, 0, 0)
        self._answer(waiting, _failed(entry, Verdict.OVERLOADED, OVERLOADED))

    def submit(self, entry: Entry, answer: Answer) -> None:
        """Queue an entry. Over the bounds it is answered as overloaded at once; a leave is dropped
        at twice the bounds. After `close` began it is answered as unavailable."""
        if isinstance(entry, CommitEntry):
            operations = len(entry.commits.operations)
            items = len(entry.commits.items) + len(entry.commits.deletes)
            if not operations:
                return
        else:
            operations, items = 1, JOIN_ITEMS if isinstance(entry, JoinEntry) else 0
        waiting = _Waiting(entry, answer, 0, operations, items)
        if self._closing:
            self._answer(
                waiting,
                _failed(entry, Verdict.DATABASE_UNAVAILABLE, "the realm is stopping; not saved"),
            )
            return
        if isinstance(entry, CommitEntry | JoinEntry) and (
            self.queued_operations + operations > self._limits.max_queued_operations
            or self._queued_items + items > self._limits.max_queued_items
        ):
            self._answer(
                waiting,
                _failed(entry, Verdict.OVERLOADED, OVERLOADED),
            )
            return
        if self.queued_operations >= 2 * self._limits.max_queued_operations:
            # Nobody waits for a leave, and the next join takes the session over without it.
            if dropped := self._dropped_leaves.happened(time.monotonic()):
                log.warning(
                    "%d leaves were dropped, the queue is full of them: those characters are "
                    "shown as online until they join anew",
                    dropped,
                )
            self._answer(waiting, LeaveOutcome(False))
            return
        self._queue.append(waiting)
        self.queued_operations += operations
        self._queued_items += items
        self._wake.set()

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                if self._limits.gather_s and not self._closing:
                    await asyncio.sleep(self._limits.gather_s)
                continue
            self._tally.queue_depth.append(self.queued_operations)
            group = self._take_group()
            self._tally.group_size.append(sum(waiting.operations for waiting in group))
            started = time.perf_counter()
            results = await self._write([waiting.entry for waiting in group])
            self._note_time((time.perf_counter() - started) * 1e3, group)
            for waiting, result in zip(group, results, strict=True):
                self._answer(waiting, result)
            # The answers go out, and what has come in is queued, before the next group.
            await asyncio.sleep(0)

    def _note_time(self, took_ms: float, group: Sequence[_Waiting]) -> None:
        each_ms = took_ms / sum(waiting.operations for waiting in group)
        self._ms_per_operation += NEWEST_GROUP * (each_ms - self._ms_per_operation)

    def _take_group(self) -> list[_Waiting]:
        """The next entries within the bounds of a transaction, at least one operation."""
        group: list[_Waiting] = []
        operations, items = self._limits.max_group_operations, self._limits.max_group_items
        if self.queued_operations > operations:
            # Nobody waits less because those who wait with them are written apart.
            operations *= self._limits.backlog_factor
            items *= self._limits.backlog_factor
        while self._queue and operations > 0:
            waiting = self._queue[0]
            if waiting.operations > operations or waiting.items > items:
                count = 0
                if isinstance(waiting.entry, CommitEntry):
                    count = _operations_within(waiting.entry, operations, items)
                if count == 0 and not group:
                    count = 1
                if count == 0:
                    break
                if count < waiting.operations:
                    waiting, self._queue[0] = _split(waiting, count)
                else:
                    self._queue.popleft()
            else:
                self._queue.popleft()
            group.append(waiting)
            operations -= waiting.operations
            items -= waiting.items
            self.queued_operations -= waiting.operations
            self._queued_items -= waiting.items
        return group

    def _answer(self, waiting: _Waiting, result: Result) -> None:
        match result:
            case CommitOutcome():
                self._tally.count_statuses(result.statuses)
            case JoinOutcome():
                self._tally.joins += 1
                self._tally.set_aside_items += result.set_aside
            case LeaveOutcome():
                self._tally.leaves += 1
            case _:
                self._tally.joins_refused += 1
        try:
            waiting.answer(waiting.first_operation, result)
        except Exception:
            log.exception("an answer could not be given; the entry itself is decided")

    async def _write(self, entries: Sequence[Entry]) -> list[Result]:
        """Outcomes of all entries, whatever the database does."""
        try:
            return list(await self._write_with_retries(entries))
        except StoreUnavailableError as error:
            log.error("a group of %d entries is given up: %s", len(entries), error)
            results = [
                _failed(entry, Verdict.DATABASE_UNAVAILABLE, str(error)) for entry in entries
            ]
            self._tally.abandoned += sum(
                len(result.statuses) for result in results if isinstance(result, CommitOutcome)
            )
            return results
        except Exception as error:
            if not isinstance(error, StoreDataError) and (
                failed := self._failures.happened(time.monotonic())
            ):
                log.exception("%d groups failed, the last one of %d entries", failed, len(entries))
            if len(entries) == 1 and _size(entries[0]) == 1:
                return [self._culprit(entries[0], error)]
        self._tally.halvings += 1
        if len(entries) > 1:
            middle = len(entries) // 2
            return await self._write(entries[:middle]) + await self._write(entries[middle:])
        (entry,) = entries
        assert isinstance(entry, CommitEntry)
        middle = _size(entry) // 2
        halves = [
            *await self._write([entry._replace(commits=entry.commits.between(0, middle))]),
            *await self._write(
                [entry._replace(commits=entry.commits.between(middle, _size(entry)))]
            ),
        ]
        return [_joined([half for half in halves if isinstance(half, CommitOutcome)])]

    async def _write_with_retries(self, entries: Sequence[Entry]) -> list[Outcome]:
        deadline = time.monotonic() + self._limits.retry_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if self._mint.needs_epoch:
                    self._mint.add_epoch(await self._store.next_node_epoch())
                started = time.perf_counter()
                outcomes = await self._store.write_group(entries, self._mint.take)
            except StoreUnavailableError as error:
                if time.monotonic() + pause_s > deadline:
                    raise
                log.warning("the database is unavailable, trying again: %s", error)
                self._tally.retries += 1
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._tally.groups += 1
                self._tally.database_ms.append((time.perf_counter() - started) * 1e3)
                return outcomes

    def _culprit(self, entry: Entry, error: Exception) -> Result:
        verdict = Verdict.INTERNAL
        if isinstance(error, DuplicateRowError) and isinstance(entry, CommitEntry):
            verdict = Verdict.DUPLICATE_ITEM_GUID
        log.error("the database refuses %s: %s", _name(entry), error)
        reason = str(error) if isinstance(error, StoreError) else type(error).__name__
        return _failed(entry, verdict, f"the realm could not save it: {reason}")


def _size(entry: Entry) -> int:
    return len(entry.commits.operations) if isinstance(entry, CommitEntry) else 1


def _name(entry: Entry) -> str:
    if isinstance(entry, CommitEntry):
        return f"operation {entry.commits.operations['operation_id'][0]}"
    return f"{type(entry).__name__} of character {entry.character_guid}"


def _failed(entry: Entry, verdict: Verdict, message: str) -> Result:
    """The outcome of an entry that was not run."""
    if isinstance(entry, CommitEntry):
        count = len(entry.commits.operations)
        return CommitOutcome(
            np.full(count, verdict, np.uint8),
            np.zeros(len(entry.commits.participants), np.uint64),
            dict.fromkeys(range(count), message),
        )
    if isinstance(entry, JoinEntry):
        return JoinFailed(verdict, message)
    log.error("a leave of character %d was not saved: %s", entry.character_guid, message)
    return LeaveOutcome(False)


def _operations_within(entry: CommitEntry, operations: int, items: int) -> int:
    """How many of the entry's first operations fit."""
    participants = entry.commits.participants
    weights = np.bincount(
        participants["operation"],
        participants["item_count"] + participants["delete_count"],
        minlength=len(entry.commits.operations),
    )
    return min(operations, int(np.searchsorted(np.cumsum(weights), items, "right")))


def _split(waiting: _Waiting, count: int) -> tuple[_Waiting, _Waiting]:
    """The first ``count`` operations, and the rest."""
    entry = waiting.entry
    assert isinstance(entry, CommitEntry)
    parts = []
    for start, stop in ((0, count), (count, waiting.operations)):
        commits = entry.commits.between(start, stop)
        parts.append(
            waiting._replace(
                entry=entry._replace(commits=commits),
                first_operation=waiting.first_operation + start,
                operations=stop - start,
                items=len(commits.items) + len(commits.deletes),
            )
        )
    return parts[0], parts[1]


def _joined(outcomes: Sequence[CommitOutcome]) -> CommitOutcome:
    """Outcomes of consecutive parts as one."""
    messages: dict[int, str] = {}
    start = 0
    for outcome in outcomes:
        messages |= {start + index: message for index, message in outcome.messages.items()}
        start += len(outcome.statuses)
    return CommitOutcome(
        np.concatenate([outcome.statuses for outcome in outcomes]),
        np.concatenate([outcome.versions for outcome in outcomes]),
        messages,
    )
