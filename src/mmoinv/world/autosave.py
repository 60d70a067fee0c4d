"""Saves inventories by themselves: after a change, at intervals, on log-out, on shutdown.

A game with a loop of its own calls `Autosave.tick`; under asyncio it ticks by itself. Knows
inventories and a repository; no link.
"""

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mmoinv.errors import ConfigurationError, LinkBusyError, MmoinvError
from mmoinv.inventory import Inventory, ItemEvent
from mmoinv.repository import InventoryRepository, OperationHandle

log = logging.getLogger(__name__)

NEVER_S = float("inf")
_GOLDEN = 0x9E37_79B9_7F4A_7C15
"""2**64 divided by the golden ratio: multiples of it fall evenly, also for guids in a row."""


@dataclass(frozen=True)
class AutosaveSettings:
    """When inventories are saved. Times in seconds, more than 0.

    After a change it waits until nothing has changed for ``debounce_s``, at most ``max_delay_s``
    in all. Every ``interval_s`` each inventory that is dirty is saved, each at a moment of its
    own, so that not all come at once. A refused save is tried again after ``retry_s``, then
    after twice as long each time, up to ``max_retry_s``. Each occasion can be switched off.
    ``tick_s`` is how often it looks when it ticks by itself. At most ``max_unanswered`` of its
    saves are on their way at a time, so that a trade or a log-out never waits behind a wave of
    them; those that are due meanwhile go as answers come, the longest due first.
    """

    debounce_s: float = 2.0
    max_delay_s: float = 10.0
    interval_s: float = 60.0
    on_change: bool = True
    on_interval: bool = True
    on_leave: bool = True
    on_close: bool = True
    retry_s: float = 1.0
    max_retry_s: float = 60.0
    tick_s: float = 0.05
    max_unanswered: int = 256

    def __post_init__(self) -> None:
        for name in ("debounce_s", "max_delay_s", "interval_s", "retry_s", "max_retry_s", "tick_s"):
            if not 0 < getattr(self, name) < NEVER_S:
                raise ConfigurationError(
                    f"autosave: {name} is {getattr(self, name)}, it must be more than 0 and finite"
                )
        if self.max_unanswered < 1:
            raise ConfigurationError(
                f"autosave: max_unanswered is {self.max_unanswered}, it must be at least 1"
            )


@dataclass(eq=False)
class _Watched:
    """One inventory: when it was changed, when it is next looked at."""

    inventory: Inventory
    stop: Callable[[], None] = lambda: None
    changed_s: float = NEVER_S
    change_due_s: float = NEVER_S
    interval_due_s: float = NEVER_S
    retry_due_s: float = NEVER_S
    retry_s: float = 0.0
    queued_s: float = NEVER_S
    is_late: bool = False
    """It was due while a save of it was on its way."""
    is_gone: bool = False

    @property
    def due_s(self) -> float:
        # While a refused save waits for its next try, other occasions wait with it.
        if self.retry_due_s < NEVER_S:
            return self.retry_due_s
        return min(self.change_due_s, self.interval_due_s)


class Autosave:
    """Watches inventories and saves what is dirty. One thread: that of the game.

    At most one save of an inventory is on its way: what changes meanwhile goes after its answer.
    ``failures`` has the last error by character guid, until a save of it succeeds; ``on_failure``
    is called with the inventory and the error, but not for `LinkBusyError`, which passes by itself.
    Nothing is given up: what is refused stays dirty.
    ``unsaved`` has what was not committed when it was last closed, also by the end of ``async
    with``. ``reason`` is the number that its commits carry.
    """

    def __init__(
        self,
        repository: InventoryRepository,
        settings: AutosaveSettings | None = None,
        *,
        reason: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.repository = repository
        self.settings = settings or AutosaveSettings()
        self.reason = reason
        self.failures: dict[int, MmoinvError] = {}
        self.on_failure: Callable[[Inventory, MmoinvError], object] | None = None
        self.unsaved: list[Inventory] = []
        self._now = now
        self._watched: dict[int, _Watched] = {}
        self._queue: list[tuple[float, int, _Watched]] = []
        self._order = itertools.count()
        # Answers may come in from the connector's thread: they are taken in a tick.
        self._answers: deque[tuple[_Watched, OperationHandle]] = deque()
        self._unanswered: set[OperationHandle] = set()
        """Saves that a tick has sent. Those of log-outs and of the end are not held back."""
        self._is_busy = False
        """The connector takes nothing more in this tick."""
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, inventory: Inventory) -> bool:
        watched = self._watched.get(inventory.character_guid)
        return watched is not None and watched.inventory is inventory

    # Which inventories

    def add(self, inventory: Inventory) -> None:
        """Watch an inventory from now on. `ConfigurationError` if one of its character is watched
        already."""
        guid = inventory.character_guid
        if guid in self._watched:
            raise ConfigurationError(
                f"an inventory of character {guid} is saved by itself already: remove that first"
            )
        now_s = self._now()
        watched = _Watched(inventory)
        watched.stop = inventory.subscribe(lambda _, events: self._changed(watched, events))
        if self.settings.on_interval:
            share = (guid * _GOLDEN & 0xFFFF_FFFF_FFFF_FFFF) / 2**64
            watched.interval_due_s = now_s + self.settings.interval_s * share
        self._watched[guid] = watched
        if not inventory.is_submitted:
            self._changed(watched, ())
        self._queue_up(watched)

    def remove(self, inventory: Inventory) -> OperationHandle | None:
        """Log-out: save what is dirty and watch the inventory no longer.

        The handle of the save that carries the last of it, None if there is nothing to save or
        `AutosaveSettings.on_leave` is off. If the save raises (`LinkBusyError`, ...), nothing was
        taken, and the inventory is still watched. `ConfigurationError` if it was not watched.
        """
        if inventory not in self:
            raise ConfigurationError(
                f"this inventory of character {inventory.character_guid} is not saved by itself"
            )
        handle = None
        if self.settings.on_leave and (inventory.is_saving or not inventory.is_submitted):
            handle = inventory.save(self.repository, self.reason)
        watched = self._watched.pop(inventory.character_guid)
        watched.stop()
        watched.is_gone = True
        self.failures.pop(inventory.character_guid, None)
        return handle

    def _changed(self, watched: _Watched, _: tuple[ItemEvent, ...]) -> None:
        if not self.settings.on_change:
            return
        now_s = self._now()
        if watched.changed_s == NEVER_S:
            watched.changed_s = now_s
        latest_s = watched.changed_s + self.settings.max_delay_s
        watched.change_due_s = min(now_s + self.settings.debounce_s, latest_s)
        self._queue_up(watched)

    def _queue_up(self, watched: _Watched) -> None:
        """Make sure that it is looked at when it is due; too early does no harm."""
        due_s = watched.due_s
        if due_s < watched.queued_s:
            watched.queued_s = due_s
            heapq.heappush(self._queue, (due_s, next(self._order), watched))

    # Saving

    def tick(self) -> int:
        """Save what is due; how many saves were sent. Never waits, and never raises for a save."""
        now_s = self._now()
        while self._answers:
            self._answered(*self._answers.popleft(), now_s)
        sent = 0
        self._is_busy = False
        while self._queue and self._queue[0][0] <= now_s:
            # The last tenth of what a connector takes is for trades and log-outs.
            if self._is_busy or self.repository.is_busy:
                break
            if len(self._unanswered) >= self.settings.max_unanswered:
                break
            queued_s, _, watched = heapq.heappop(self._queue)
            # An older entry of one that was queued anew for an earlier time.
            if watched.is_gone or queued_s != watched.queued_s:
                continue
            watched.queued_s = NEVER_S
            if watched.due_s <= now_s:
                sent += self._save(watched, now_s)
            self._queue_up(watched)
        return sent

    def _save(self, watched: _Watched, now_s: float) -> int:
        inventory = watched.inventory
        while watched.interval_due_s <= now_s:
            watched.interval_due_s += self.settings.interval_s
        watched.changed_s = watched.change_due_s = watched.retry_due_s = NEVER_S
        if inventory.is_saving:
            # One at a time: the answer brings it back here.
            if not watched.is_late:
                watched.is_late = True
                self._watch_answer(watched, inventory.saved.underway[-1].handle)
            return 0
        if inventory.is_submitted:
            return 0
        try:
            handle = inventory.save(self.repository, self.reason)
        except MmoinvError as error:
            self._failed(watched, error, now_s)
            return 0
        self._unanswered.add(handle)
        self._watch_answer(watched, handle)
        return 1

    def _watch_answer(self, watched: _Watched, handle: OperationHandle) -> None:
        handle.add_done_callback(lambda handle: self._answers.append((watched, handle)))

    def _answered(self, watched: _Watched, handle: OperationHandle, now_s: float) -> None:
        self._unanswered.discard(handle)
        if watched.is_gone:
            return
        if handle.exception is not None:
            watched.is_late = False
            self._failed(watched, handle.exception, now_s)
            return
        watched.retry_s = 0.0
        watched.retry_due_s = NEVER_S
        self.failures.pop(watched.inventory.character_guid, None)
        if watched.is_late:
            watched.is_late = False
            watched.change_due_s = now_s
            self._queue_up(watched)

    def _failed(self, watched: _Watched, error: MmoinvError, now_s: float) -> None:
        guid = watched.inventory.character_guid
        # The bound on pending work is no fault of this save: it comes back later, without noise.
        self._is_busy = is_busy = isinstance(error, LinkBusyError)
        if not is_busy and type(self.failures.get(guid)) is not type(error):
            log.warning("character %d could not be saved, it is still dirty: %s", guid, error)
        self.failures[guid] = error
        settings = self.settings
        watched.retry_s = min(max(settings.retry_s, 2 * watched.retry_s), settings.max_retry_s)
        watched.retry_due_s = now_s + watched.retry_s
        self._queue_up(watched)
        if self.on_failure is not None and not is_busy:
            try:
                self.on_failure(watched.inventory, error)
            except Exception:
                log.exception("on_failure failed for character %d", guid)

    # Under asyncio

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        while True:
            try:
                self.tick()
            except Exception:
                log.exception("a tick of the autosave failed; it goes on")
            await asyncio.sleep(self.settings.tick_s)

    async def close(self, timeout_s: float = 10.0) -> list[Inventory]:
        """Shutdown: save everything that is dirty (unless `AutosaveSettings.on_close` is off) and
        wait for the answers; gives the inventories that are not committed then, logs an error for
        each, and keeps them in ``unsaved``.

        Whoever is watched stays so: call it before the connector closes, and again if it failed.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        handles: set[OperationHandle] = set()
        if self.settings.on_close:
            for watched in self._watched.values():
                inventory = watched.inventory
                try:
                    if inventory.is_saving or not inventory.is_submitted:
                        handles.add(inventory.save(self.repository, self.reason))
                except MmoinvError as error:
                    self._failed(watched, error, self._now())
        if handles:
            waits = [asyncio.ensure_future(_ended(handle)) for handle in handles]
            _, late = await asyncio.wait(waits, timeout=timeout_s)
            for wait in late:
                wait.cancel()
        self.tick()
        unsaved = [one.inventory for one in self._watched.values() if one.inventory.is_dirty]
        self.unsaved = unsaved
        for inventory in unsaved:
            log.error(
                "character %d is not saved: %s",
                inventory.character_guid,
                self.failures.get(inventory.character_guid, "it is not answered yet"),
            )
        return list(unsaved)


async def _ended(handle: OperationHandle) -> None:
    try:
        await handle
    except MmoinvError:
        # `failures` has it.
        return
