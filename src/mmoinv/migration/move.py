"""What all parts of one `MigratingRepository` share: the two sides, the book, the lock, the loop.

Knows how a side is joined and read, and how the book is asked; no rules of when.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from mmoinv.codec import sort_by_slot
from mmoinv.errors import JoinError, LinkError, MmoinvError
from mmoinv.migration.book import Book
from mmoinv.migration.character import Character
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.names import Names, checked_fields, is_level
from mmoinv.migration.own_threads import OwnThreads
from mmoinv.migration.settings import MigrationSettings
from mmoinv.migration.witness import At, Witness
from mmoinv.records import Batch
from mmoinv.repository import (
    CharacterChanges,
    InventoryRepository,
    OperationHandle,
    TransactionalRepository,
)

log = logging.getLogger("mmoinv.migration")

Coming = Callable[[int], Awaitable[object]]
"""Joins a character, or lets it leave."""


class Held(NamedTuple):
    """What a side has of a character: ``items`` slot-sorted, balances by currency."""

    items: Batch
    balances: Mapping[int, int]


class Way:
    """One side: its repository, how characters come to it and leave, and a thread of its own for
    calls of it that may block."""

    def __init__(
        self,
        side: Side,
        repository: InventoryRepository,
        join: Coming | None,
        leave: Coming | None,
        keeps_money: bool,
        is_checked: bool = False,
    ) -> None:
        self.side = side
        self.repository = repository
        self.has_joins = join is not None
        self.keeps_money = keeps_money
        self.thread = OwnThreads(f"migration {side.value}")
        self.in_trouble_until_s = 0.0
        """It did not come to an end in time: nobody who logs in waits for it until then."""
        self._is_checked = is_checked
        """What it is given has been checked already, for the names that it wants too."""
        self._not_left: set[int] = set()
        self._join = join
        self._leave = leave

    async def join(self, character_guid: int) -> None:
        """Join a character there."""
        if character_guid in self._not_left:
            await self.leave(character_guid)
        if self._join is not None:
            await self._join(character_guid)

    async def leave(self, character_guid: int) -> None:
        """Let it leave, if it is there. If that fails, it is tried again before the next join."""
        if self._leave is not None:
            self._not_left.add(character_guid)
            with contextlib.suppress(JoinError):
                await self._leave(character_guid)
            self._not_left.discard(character_guid)

    def commit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        """Hand on an operation of which everything is checked but the names it may want."""
        repository = self.repository
        if self._is_checked and isinstance(repository, TransactionalRepository):
            return repository.commit_checked(changes, reason, conserve)
        return repository.commit_changes(changes, reason, conserve=conserve)

    def stored(self, character_guid: int) -> Held:
        """What the side has of a character. It may block."""
        items = sort_by_slot(self.repository.load_items(character_guid))
        balances = self.repository.load_balances(character_guid) if self.keeps_money else {}
        return Held(items, balances)

    async def read(self, character_guid: int) -> Held:
        """The same, read in the side's own thread."""
        return await asyncio.wrap_future(self.thread.call(self.stored, character_guid))


class Move:
    """The shared state of one repository. ``lock`` guards every character and both followers; it
    is held for microseconds, and never while an answer is waited for or told."""

    def __init__(
        self,
        ways: Mapping[Side, Way],
        book: Book,
        witness: Witness,
        names: Names,
        never_kept: Collection[str],
        settings: MigrationSettings,
        now_s: Callable[[], float],
    ) -> None:
        self.lock = threading.RLock()
        self.ways = ways
        self.book = book
        self.witness = witness
        self.names = names
        self.never_kept = checked_fields(never_kept)
        self.settings = settings
        self.now_s = now_s
        self.holder = secrets.randbits(62) + 1
        self.characters: dict[int, Character] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        self.unnoted: set[int] = set()
        """Characters of which the book was not told something that it can do without for now."""
        self._book_thread = OwnThreads("migration book")
        self._tasks: set[asyncio.Task[None]] = set()

    # Money and fields that not both sides keep

    @property
    def keeps_money(self) -> bool:
        """Whether both sides do."""
        return all(way.keeps_money for way in self.ways.values())

    def is_same(self, expected: Held, found: Held) -> bool:
        """Whether both sides have the same, as far as the old way can have it."""
        return is_same_money(expected.balances, found.balances) and is_level(
            expected.items, found.items, self.never_kept
        )

    def compared(
        self,
        character: Character,
        at: At,
        operation_id: int | None,
        expected: Held,
        found: Held,
        mode: MigrationMode,
    ) -> bool:
        """Tell the witness what both sides have; whether that is the same, or known to differ."""
        if not self.keeps_money:
            expected, found = expected._replace(balances={}), found._replace(balances={})
        try:
            is_equal = self.witness.compared(
                character.guid,
                mode,
                mode.decider,
                at,
                operation_id,
                expected.items,
                found.items,
                expected.balances,
                found.balances,
            )
        except Exception:
            log.exception("the witness could not compare character %d", character.guid)
            is_equal = False
        return is_equal or self.is_same(expected, found)

    def tell(self, method: Callable[..., object], *arguments: Any) -> None:
        """Tell the witness; what it raises is logged and disturbs nothing."""
        try:
            method(*arguments)
        except Exception:
            log.exception("the witness failed")

    # The book

    async def ask_book(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the book in its thread."""
        return await asyncio.wrap_future(self._book_thread.call(method, *arguments))

    def note(self, character_guid: int, method: Callable[..., object], *arguments: Any) -> None:
        """The same without waiting. What could not be written is in `unnoted`."""
        call = partial(method, character_guid, self.holder, *arguments)
        self._book_thread.post(partial(self._note, character_guid, call))

    def _note(self, character_guid: int, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            log.error("character %d: the book is to be told again: %s", character_guid, error)
            self.unnoted.add(character_guid)

    def mark(self, character: Character, is_behind: bool) -> None:
        """The other side of a character is behind, or no longer: noted if that is news."""
        if character.is_behind is not is_behind:
            character.is_behind = is_behind
            self.note(character.guid, self.book.mark, is_behind)

    # The loop

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task in the loop in which characters are joined, from any thread."""

        def begin() -> None:
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

        loop = self.loop
        try:
            if loop is None:
                raise RuntimeError
            if _running_loop() is loop:
                begin()
            else:
                loop.call_soon_threadsafe(begin)
        except RuntimeError:
            work.close()
            raise LinkError(
                "the event loop in which the characters were joined is over: nothing was taken"
            ) from None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the migration failed", exc_info=task.exception())

    def wake(self, future: "asyncio.Future[Any]", value: Any = None) -> None:
        """Set a future of the loop from any thread."""

        def settle() -> None:
            if not future.done():
                future.set_result(value)

        with contextlib.suppress(RuntimeError):
            future.get_loop().call_soon_threadsafe(settle)

    async def close(self) -> None:
        """End tasks and threads. What the book was told is still written."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=1)
        for way in self.ways.values():
            way.thread.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self.ask_book(lambda: None)
        self._book_thread.close()


def is_same_money(one: Mapping[int, int], other: Mapping[int, int]) -> bool:
    """Whether balances are equal; what is not there is 0."""
    return one == other or all(one.get(key, 0) == other.get(key, 0) for key in {*one, *other})


def reason_of(error: BaseException) -> str:
    """An error in a few words, for records of what was missed."""
    if isinstance(error, MmoinvError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
