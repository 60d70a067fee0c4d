"""`WholeInventories`: an old way that loads and saves whole inventories, behind our interface.

The team gives two functions, blocking or async::

    def load(guid): ...          # -> the inventory as a batch, or (batch, {currency: balance})
    def save(guid, items): ...   # or save(guid, items, balances)

An operation over several characters is one save after the other, unless the old way has a
transaction for them: then give ``save_together`` too. Without it a kill in the middle of a trade
leaves one half, as it always has with that old way.

Knows nothing of a move.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmoinv.codec import sort_by_slot, validate_batch, widen
from mmoinv.errors import (
    JoinError,
    LinkBusyError,
    MmoinvError,
    OperationRefusedError,
    RecordError,
)
from mmoinv.migration.own_threads import OwnThreads
from mmoinv.records import ITEM_DATA, Batch
from mmoinv.repository import (
    CharacterChanges,
    OperationHandle,
    OperationOutcome,
    TransactionalRepository,
)
from mmoinv.repository.verdicts import check_conserved, new_balances

log = logging.getLogger("mmoinv.migration")

Loaded = Batch | tuple[Batch, Mapping[int, int]]
Load = Callable[[int], Loaded | Awaitable[Loaded]]
Save = Callable[..., object]
SaveTogether = Callable[[Sequence[tuple[int, Batch, Mapping[int, int]]]], object]


@dataclass(eq=False)
class _Kept:
    """One character: what its last successful save wrote, or what was loaded."""

    items: Batch
    balances: dict[int, int]
    version: int = 0
    is_doubtful: bool = False
    """A save failed: what is stored may be something else."""


@dataclass(eq=False)
class _Sent:
    """One operation, in the queue of each of its characters until it has ended."""

    handle: OperationHandle
    changes: Sequence[CharacterChanges]
    conserve: bool
    is_running: bool = False


class WholeInventories(TransactionalRepository):
    """An `InventoryRepository` over two functions of an old way.

    ``load(guid)`` gives what is stored, in any order and of either record dtype; ``save(guid,
    items)`` stores everything anew. With ``keeps_money`` they also give and take balances by
    currency; without, a commit with money is refused. ``save_together([(guid, items, balances),
    ...])`` stores several characters at once, or none. Blocking functions run in ``threads``
    threads of their own, one call a character at a time; async ones in the loop of `join`.
    ``reads_back``: what was saved is loaded again before the commit ends, so that `load_items`
    gives what is really there, which is what a comparison wants to see.

    `join` and `leave` are those of a world: a character is loaded when it joins. What a save
    raises refuses the commit, and those that wait behind it; the next one writes everything again.
    """

    def __init__(
        self,
        load: Load,
        save: Save,
        *,
        save_together: SaveTogether | None = None,
        keeps_money: bool = False,
        reads_back: bool = True,
        threads: int = 4,
        max_pending: int = 10_000,
    ) -> None:
        super().__init__()
        self.keeps_money = keeps_money
        self._load = load
        self._save = save
        self._save_together = save_together
        self._reads_back = reads_back
        self._threads = OwnThreads("old way", threads)
        self._lock = threading.RLock()
        self._max_pending = max_pending
        self._pending: dict[_Sent, None] = {}
        """In the order in which they came."""
        self._queues: defaultdict[int, deque[_Sent]] = defaultdict(deque)
        self._kept: dict[int, _Kept] = {}
        self._leaving: set[int] = set()
        self._numbers = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def names_items(self) -> bool:
        return False

    def load_items(self, character_guid: int) -> Batch:
        return sort_by_slot(self._joined(character_guid).items)

    def load_balances(self, character_guid: int) -> dict[int, int]:
        return dict(self._joined(character_guid).balances)

    # Characters

    async def join(self, character_guid: int) -> Batch:
        """Load a character: a slot-sorted `INVENTORY_ITEM` batch. `JoinError` if it is joined."""
        if character_guid in self._kept:
            raise JoinError(f"character {character_guid} is joined here already", character_guid)
        self._loop = asyncio.get_running_loop()
        items, balances = await asyncio.wrap_future(
            self._threads.call(self._loaded, character_guid)
        )
        self._kept[character_guid] = _Kept(items, balances)
        return sort_by_slot(items)

    async def leave(self, character_guid: int) -> None:
        """Wait for the saves of a character, then forget it. If the last of them failed, what is
        committed is saved once more; what that raises is raised, and it is not forgotten."""
        kept = self._joined(character_guid)
        self._leaving.add(character_guid)
        try:
            for handle in self._unanswered(character_guid):
                with contextlib.suppress(MmoinvError):
                    await handle
            if kept.is_doubtful:
                changes = [
                    CharacterChanges(character_guid, kept.items, kept.items["slot"][:0], True)
                ]
                await self._add(changes, False)
        finally:
            self._leaving.discard(character_guid)
        self._kept.pop(character_guid, None)

    def close(self) -> None:
        """End the threads, once they have done what they were given."""
        self._threads.close()

    def _unanswered(self, character_guid: int) -> list[OperationHandle]:
        with self._lock:
            return [one.handle for one in self._queues.get(character_guid, ())]

    def _joined(self, character_guid: int) -> _Kept:
        kept = self._kept.get(character_guid)
        if kept is None or character_guid in self._leaving:
            raise JoinError(
                f"character {character_guid} is not joined here; nothing was taken. "
                "Await join(guid) first.",
                character_guid,
            )
        return kept

    # Operations

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        for change in changes:
            self._joined(change.character_guid)
            if change.money and not self.keeps_money:
                raise RecordError(
                    f"character {change.character_guid}: the old way keeps no money here; nothing "
                    "was taken"
                )
        return self._add(changes, conserve)

    def _add(self, changes: Sequence[CharacterChanges], conserve: bool) -> OperationHandle:
        guids = tuple(change.character_guid for change in changes)
        with self._lock:
            if len(self._pending) >= self._max_pending:
                raise LinkBusyError(
                    f"{len(self._pending)} saves wait for the old way: nothing was taken of this "
                    f"one for character {', '.join(map(str, guids))}; commit again later"
                )
            self._numbers += 1
            sent = _Sent(OperationHandle(self._numbers, guids), changes, conserve)
            self._pending[sent] = None
            for guid in guids:
                self._queues[guid].append(sent)
            self._start(sent)
        return sent.handle

    def _start(self, sent: _Sent) -> None:
        """With the lock: begin an operation if it is the oldest of each of its characters."""
        guids = sent.handle.character_guids
        if not sent.is_running and all(self._queues[guid][0] is sent for guid in guids):
            sent.is_running = True
            self._threads.post(partial(self._run, sent))

    def _run(self, sent: _Sent) -> None:
        """In a thread: one operation, of whose characters no other one is running."""
        error: MmoinvError | None = None
        try:
            outcome = self._write(sent)
        except MmoinvError as refusal:
            error = refusal
        except Exception as failure:
            error = OperationRefusedError(
                f"the old way could not save character "
                f"{', '.join(map(str, sent.handle.character_guids))}: {failure!r}. Nothing counts "
                "as saved; the next save writes everything again.",
                sent.handle.operation_id,
                sent.handle.character_guids,
            )
        with self._lock:
            behind = [] if error is None else self._behind(sent)
            for one in reversed(behind):
                self._take_out(one)
        # Before those behind can begin: who is told first commits first.
        if error is None:
            sent.handle.succeed(outcome)
        else:
            sent.handle.fail(error)
            for other in behind:
                other.handle.fail(
                    OperationRefusedError(
                        f"it waited behind a save that failed, and was never begun: {error}",
                        other.handle.operation_id,
                        other.handle.character_guids,
                    )
                )
        with self._lock:
            self._take_out(sent)
            freed = {*sent.handle.character_guids}.union(
                *(one.handle.character_guids for one in behind)
            )
            for guid in freed:
                if queue := self._queues.get(guid):
                    self._start(queue[0])

    def _behind(self, sent: _Sent) -> list[_Sent]:
        """Everything that waits for an operation, directly or through others, oldest first."""
        found = {sent: None}
        guids = set(sent.handle.character_guids)
        for one in self._pending:
            theirs = one.handle.character_guids
            if one not in found and not one.is_running and not guids.isdisjoint(theirs):
                found[one] = None
                guids.update(theirs)
        return list(found)[1:]

    def _take_out(self, sent: _Sent) -> None:
        self._pending.pop(sent, None)
        for guid in sent.handle.character_guids:
            self._queues[guid].remove(sent)
            if not self._queues[guid]:
                del self._queues[guid]

    def _write(self, sent: _Sent) -> OperationOutcome:
        kept = [self._kept[guid] for guid in sent.handle.character_guids]
        after = [
            change.applied_to(one.items) for change, one in zip(sent.changes, kept, strict=True)
        ]
        if sent.conserve:
            check_conserved(sent.changes, [one.items for one in kept], after, sent.handle)
        balances = [
            new_balances(change, one.balances, sent.handle)
            for change, one in zip(sent.changes, kept, strict=True)
        ]
        for one in kept:
            one.is_doubtful = True
        guids = sent.handle.character_guids
        self._store(list(zip(guids, after, balances, strict=True)))
        stored = list(zip(after, balances, strict=True))
        if self._reads_back:
            stored = [self._loaded(guid) for guid in guids]
        for one, (items, money) in zip(kept, stored, strict=True):
            one.items, one.balances = items, money
            one.version += 1
            one.is_doubtful = False
        versions = {guid: one.version for guid, one in zip(guids, kept, strict=True)}
        return OperationOutcome(sent.handle.operation_id, 0, versions)

    def _store(self, whole: Sequence[tuple[int, Batch, Mapping[int, int]]]) -> None:
        if self._save_together is not None:
            self._call(self._save_together, whole)
            return
        done: list[int] = []
        try:
            for guid, items, balances in whole:
                done.append(guid)
                self._save_one(guid, items, balances)
        except Exception:
            # The first halves of it are taken back, as far as that goes.
            for guid in done[:-1]:
                kept = self._kept[guid]
                try:
                    self._save_one(guid, kept.items, kept.balances)
                    kept.is_doubtful = False
                except Exception:
                    log.exception("character %d could not be saved as it was before", guid)
            raise

    def _save_one(self, guid: int, items: Batch, balances: Mapping[int, int]) -> None:
        if self.keeps_money:
            self._call(self._save, guid, items, balances)
        else:
            self._call(self._save, guid, items)

    def _loaded(self, guid: int) -> tuple[Batch, dict[int, int]]:
        loaded = self._call(self._load, guid)
        items, balances = loaded if isinstance(loaded, tuple) else (loaded, {})
        if items.dtype == ITEM_DATA:
            items = widen(items)
        validate_batch(items)
        ordered = sort_by_slot(items)
        ordered.flags.writeable = False
        return ordered, dict(balances) if self.keeps_money else {}

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call one of the team's functions and wait for what it gives."""
        result = function(*arguments)
        if not inspect.isawaitable(result):
            return result
        if self._loop is None:
            raise JoinError("no character was joined here")
        done: Future[Any] = asyncio.run_coroutine_threadsafe(_awaited(result), self._loop)
        return done.result()


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
