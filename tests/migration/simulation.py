"""A `MigratingRepository` whose clock, threads, event loop, sides and book a test turns by hand.

Nothing happens but one step at a time: an iteration of the loop, a call in a side's thread, an
answer. So every order of events can be played, the same each time, and the process can be killed
between any two of them.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from mmoinv import InMemoryInventoryRepository
from mmoinv.errors import BookError, LinkError, MmoinvError, VersionConflictError
from mmoinv.migration import (
    BookEntry,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Side,
)
from mmoinv.migration import move as move_module
from mmoinv.migration.book import NOT_THERE
from mmoinv.records import Batch
from mmoinv.repository import CharacterChanges, OperationHandle, TransactionalRepository

SETTINGS = MigrationSettings(retry_longest_s=4.0)


class Storage(InMemoryInventoryRepository):
    """What is left of a side when every process is killed. ``keeps_names``: else it stores items
    without their guids, as old ways do."""

    def __init__(self, *, keeps_names: bool) -> None:
        super().__init__(names_items=keeps_names)
        self.keeps_names = keeps_names

    def apply(self, changes: Sequence[CharacterChanges], conserve: bool) -> OperationHandle:
        """Write an operation, or refuse it."""
        if not self.keeps_names:
            changes = [change._replace(saves=nameless(change.saves)) for change in changes]
        return self._submit(changes, 0, conserve)


def nameless(items: Batch) -> Batch:
    """A copy without item guids."""
    copy = items.copy()
    copy["item_guid"] = 0
    return copy


class Operation:
    """One operation that a side was given."""

    def __init__(
        self, number: int, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> None:
        self.handle = OperationHandle(number, [one.character_guid for one in changes])
        self.changes = changes
        self.reason = reason
        self.conserve = conserve


class Link(TransactionalRepository):
    """One process's connection to a side: takes operations in order, and answers when told to.
    What is refused takes along what waits behind it, as a connector does."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage
        self.pending: list[Operation] = []
        self.is_failing = False
        self.is_dead = False
        self.joined: set[int] = set()
        self.waiting_joins: list[asyncio.Future[None]] = []
        self.joins_wait = False
        self._numbers = itertools.count(1)

    @property
    def names_items(self) -> bool:
        return self.storage.names_items

    def _check(self) -> None:
        if self.is_dead:
            raise LinkError("the process was killed")
        if self.is_failing:
            raise LinkError("this side fails")

    def load_items(self, character_guid: int) -> Batch:
        self._check()
        assert character_guid in self.joined
        return self.storage.load_items(character_guid)

    def load_balances(self, character_guid: int) -> dict[int, int]:
        self._check()
        return self.storage.load_balances(character_guid)

    async def join(self, character_guid: int) -> None:
        self._check()
        assert character_guid not in self.joined
        if self.joins_wait:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting_joins.append(future)
            await future
            self._check()
        self.joined.add(character_guid)

    async def leave(self, character_guid: int) -> None:
        self._check()
        assert not self.of(character_guid)
        self.joined.discard(character_guid)

    def of(self, character_guid: int) -> list[Operation]:
        """What of a character is pending."""
        return [one for one in self.pending if character_guid in one.handle.character_guids]

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        self._check()
        for change in changes:
            assert change.character_guid in self.joined
        operation = Operation(next(self._numbers), changes, reason, conserve)
        self.pending.append(operation)
        return operation.handle

    def heads(self) -> list[Operation]:
        """The operations that are the oldest of each of their characters."""
        seen: set[int] = set()
        found = []
        for one in self.pending:
            if seen.isdisjoint(one.handle.character_guids):
                found.append(one)
            seen.update(one.handle.character_guids)
        return found

    def answer(self, operation: Operation) -> None:
        """Apply an operation, unless the storage refuses it, and say so."""
        done = self.storage.apply(operation.changes, operation.conserve)
        if done.exception is not None:
            self.refuse(operation, done.exception)
            return
        self.pending.remove(operation)
        operation.handle.succeed(done.result)

    def refuse(self, operation: Operation, error: MmoinvError | None = None) -> None:
        """Refuse an operation, and what waits behind it."""
        refused = {operation}
        guids = set(operation.handle.character_guids)
        for one in self.pending[self.pending.index(operation) + 1 :]:
            if not guids.isdisjoint(one.handle.character_guids):
                refused.add(one)
                guids.update(one.handle.character_guids)
        gone = [one for one in self.pending if one in refused]
        self.pending = [one for one in self.pending if one not in refused]
        for one in gone:
            one.handle.fail(error or VersionConflictError("refused"))


class Shelf:
    """A book in memory, which outlives processes."""

    def __init__(self) -> None:
        self.entries: dict[int, BookEntry] = {}
        self.is_failing = False
        self.is_failing_after = False
        """The next change is written, and an error is raised all the same."""

    def read(self, character_guid: int) -> BookEntry:
        return self.entries.get(character_guid, NOT_THERE)


class Hand:
    """One process's hand on the book."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.is_dead = False

    def _check(self) -> None:
        if self.shelf.is_failing or self.is_dead:
            raise BookError("the book cannot be had")

    def claim(self, character_guid: int, holder: int) -> BookEntry:
        self._check()
        entry = self.shelf.read(character_guid)
        self.shelf.entries[character_guid] = entry._replace(holder=holder)
        return entry

    def read(self, character_guid: int) -> BookEntry:
        self._check()
        return self.shelf.read(character_guid)

    def change(self, character_guid: int, holder: int, mode: MigrationMode) -> None:
        self._check()
        entry = self.shelf.read(character_guid)
        if entry.holder != holder:
            raise BookError("held by another world")
        self.shelf.entries[character_guid] = entry._replace(mode=mode)
        if self.shelf.is_failing_after:
            self.shelf.is_failing_after = False
            raise BookError("nobody knows")

    def mark(self, character_guid: int, holder: int, is_behind: bool) -> None:
        self._check()
        entry = self.shelf.read(character_guid)
        if entry.holder == holder:
            self.shelf.entries[character_guid] = entry._replace(is_behind=is_behind)

    def release(self, character_guid: int, holder: int, is_behind: bool) -> None:
        self._check()
        entry = self.shelf.read(character_guid)
        if entry.holder == holder:
            self.shelf.entries[character_guid] = BookEntry(entry.mode, is_behind, 0)


class StepThread:
    """Stands for `OwnThreads`: a call is made when the test says so."""

    def __init__(self, name: str, count: int = 1) -> None:
        self.name = name
        self.calls: deque[Callable[[], None]] = deque()

    def call(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*arguments)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.calls.append(run)
        return future

    def post(self, function: Callable[[], None]) -> None:
        self.calls.append(function)

    def close(self) -> None:
        """Nothing."""

    def step(self) -> bool:
        """Make one call; False if there is none."""
        if not self.calls:
            return False
        self.calls.popleft()()
        return True


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock is the simulation's."""

    def __init__(self, clock: list[float]) -> None:
        self._clock = clock
        super().__init__()

    def time(self) -> float:
        return self._clock[0]

    def turn(self) -> None:
        """One iteration."""
        self.call_soon(self.stop)
        self.run_forever()


class Process:
    """One process over the two storages and the book, until it is killed."""

    def __init__(
        self,
        storages: dict[Side, Storage],
        shelf: Shelf,
        rules: ModeRules,
        clock: list[float],
        mint: Callable[[int], Sequence[int]],
        settings: MigrationSettings = SETTINGS,
    ) -> None:
        self.clock = clock
        self.loop = Loop(clock)
        self.links = {side: Link(storage) for side, storage in storages.items()}
        self.hand = Hand(shelf)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(move_module, "OwnThreads", StepThread)
            self.moving = MigratingRepository(
                self.links[Side.LEGACY],
                self.links[Side.NEW],
                rules=rules,
                book=self.hand,
                mint=mint,
                never_kept=() if storages[Side.LEGACY].keeps_names else ("item_guid",),
                settings=settings,
                now=lambda: clock[0],
            )
        move = self.moving._move
        self.threads: list[Any] = [
            *(way.thread for way in move.ways.values()),
            move._book_thread,
        ]
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self.loop.create_task(work)
        self.tasks.append(task)
        return task

    def rest(self, turns: int = 12) -> None:
        """Let loop and threads run until they have nothing to do; nobody answers."""
        for _ in range(turns):
            self.loop.turn()
            while sum(thread.step() for thread in self.threads):
                self.loop.turn()

    def kill(self) -> None:
        """Nothing of it writes anything any more; what is left of it is cleared away."""
        self.hand.is_dead = True
        for link in self.links.values():
            link.is_dead = True
        for character in self.moving._move.characters.values():
            character.is_lost = True
        for _ in range(5):
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.rest()
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.exception()  # Seen.
        self.loop.close()
