"""The world server of a rehearsal: players log in, loot, move, trade, save and log out.

It knows what each player owns, by what was answered, and holds each login to it. Which mode
anybody is in, and what fails meanwhile, it does not know.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmoinv.errors import LinkBusyError, MmoinvError
from mmoinv.loadtest.deeds import DeedLog
from mmoinv.loadtest.players import Player
from mmoinv.loadtest.starting_items import item_count_of
from mmoinv.migration import (
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Side,
)
from mmoinv.migration.whole_inventories import WholeInventories
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.rehearsal.checks import RECORD_FIELDS, difference
from mmoinv.rehearsal.counted import CountedEvidence, Counts
from mmoinv.rehearsal.old_path import OldPath
from mmoinv.repository import OperationHandle
from mmoinv.world import RealmConnector

SETTINGS = MigrationSettings(
    follower_timeout_s=0.6,
    retry_first_s=0.1,
    retry_longest_s=0.5,
    join_wait_s=0.5,
    leave_wait_s=1.0,
    flip_timeout_s=2.0,
    tick_s=0.05,
)
"""As a world has them, made quick: a rehearsal's failures last a second, and not an hour."""
LOGS_OUT = 0.06
"""How often a player logs out and in again instead of anything else."""
UNANSWERED = 2
"""Saves of a player on their way, before it waits: a side that is too slow for all this must not
fall behind for ever."""
DEEDS_PER_SAVE = (1, 2, 3, 4)
ENCHANTED = "random_suffix_index"
"""What items get that the C++ line's table has no column for."""
PATIENCE_S = 20.0
"""Whoever cannot log in or out for so long is a problem."""
AGAIN_S = 0.1
SHOWN_ERRORS = 20


@dataclass(eq=False)
class Actor:
    """One player: whether it is in the world, and what it owned when it was last seen."""

    player: Player
    items: Batch
    """What was committed of it when it logged out."""
    mode: MigrationMode = MigrationMode.LEGACY
    """The mode in which it logged out."""
    is_in: bool = False

    @property
    def guid(self) -> int:
        """The character's guid."""
        return self.player.guid


@dataclass(frozen=True)
class WorldParts:
    """What a world is made of; it can be ended and made again of the same."""

    rules_path: Path
    book_path: Path
    realm_port: int
    secret: str
    old_path: OldPath
    names: Callable[[int], Any] | None
    """Gives item guids of the game's own; None: they are the realm's."""


class RehearsalWorld:
    """``problems`` are sentences on what should not have been, ``noticed`` what players had to
    notice: saves that were refused and logins that failed."""

    def __init__(self, parts: WorldParts, counts: Counts, seed: int, acts_per_s: float) -> None:
        self.actors: list[Actor] = []
        self.problems: list[str] = []
        self.noticed: list[str] = []
        self.counts = counts
        self._parts = parts
        self._rng = random.Random(seed)
        self._acts_per_s = acts_per_s
        self._deeds = DeedLog()
        self._is_over = asyncio.Event()
        self._unanswered = 0
        self._close = contextlib.AsyncExitStack()
        self.moving: MigratingRepository | None = None

    # The process, as it were

    async def start(self, evidence: CountedEvidence) -> None:
        """Begin, as a new process of a world would."""
        parts = self._parts
        stack = contextlib.AsyncExitStack()
        stack.callback(evidence.close)
        self._book = book = FileBook(parts.book_path)
        stack.callback(book.close)
        self._connector = await stack.enter_async_context(
            RealmConnector(
                "127.0.0.1",
                parts.realm_port,
                world="rehearsal",
                secret=parts.secret,
                reconnect_longest_s=0.2,
            )
        )
        old_path = parts.old_path
        legacy = WholeInventories(old_path.load, old_path.save, threads=old_path.tables.writers)
        stack.callback(legacy.close)
        self.moving = await stack.enter_async_context(
            MigratingRepository(
                legacy,
                self._connector.repository(),
                # It looks at the file five times a second: a rehearsal has no time.
                rules=ModeRules(path=parts.rules_path, now=lambda: 5 * time.monotonic()),
                book=book,
                evidence=evidence,
                mint=parts.names or self._connector.new_item_guids,
                join_new=self._connector.join,
                leave_new=self._connector.leave,
                never_kept=sorted(set(RECORD_FIELDS) - set(parts.old_path.tables.fields)),
                settings=SETTINGS,
            )
        )
        self._close = stack

    async def stop(self) -> None:
        """End, in order. Nobody is in the world any more."""
        self.moving = None
        await self._close.aclose()

    async def die(self) -> None:
        """End at once, with everybody in the world; what was answered of them is what they have."""
        assert self.moving is not None
        for one in self.actors:
            if one.is_in:
                one.is_in = False
                one.items = one.player.inventory.committed
        await self.moving.close(timeout_s=0)
        for one in self.actors:
            one.mode = self._book.read(one.guid).mode
        await self.stop()

    async def answered(self) -> None:
        """Wait until everything that was sent is answered."""
        ends_s = asyncio.get_running_loop().time() + PATIENCE_S
        for one in self.actors:
            while one.player.inventory.is_saving:
                if asyncio.get_running_loop().time() > ends_s:
                    self._problem(f"character {one.guid}: a save is not answered")
                    return
                await asyncio.sleep(AGAIN_S)

    def new_item_guids(self, count: int) -> Any:
        """Item guids for what players find."""
        assert self.moving is not None
        return self.moving.new_item_guids(count)

    # Players

    def new_player(self, guid: int, index: int) -> Player:
        """A player with what it begins with; it is in no database yet."""
        player = Player(
            guid, np.empty(0, INVENTORY_ITEM), self._rng, self.new_item_guids, self._deeds
        )
        player.load(player.new_items(item_count_of(index, self._rng)))
        return player

    @contextlib.asynccontextmanager
    async def played(self) -> AsyncIterator[None]:
        """Everybody who is out logs in, and plays as long as the block lasts; then everything that
        was done is saved, as far as that can be."""
        self._is_over.clear()
        await asyncio.gather(*(self.log_in(one) for one in self.actors if not one.is_in))
        lives = [asyncio.create_task(self._live(one)) for one in self.actors]
        try:
            yield
            self._is_over.set()
            await asyncio.gather(*lives)
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)

    async def everybody_out(self) -> None:
        """All log out."""
        await asyncio.gather(*(self.log_out(one) for one in self.actors if one.is_in))

    async def _live(self, one: Actor) -> None:
        while not self._is_over.is_set():
            pause_s = self._rng.uniform(0.5, 1.5) / self._acts_per_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), pause_s)
                return
            if self._rng.random() < LOGS_OUT:
                await self.log_out(one)
                await self.log_in(one)
            elif one.is_in and len(one.player.inventory.saved.underway) < UNANSWERED:
                others = [other.player for other in self.actors if other.is_in]
                one.player.play(self._rng.choice(DEEDS_PER_SAVE), others)
                self._save(one)

    def enchant(self) -> None:
        """Everybody's first item gets something that not every table can hold."""
        for number, one in enumerate(self.actors, 1):
            if one.is_in and len(one.player.inventory):
                slot = int(one.player.items["slot"][0])
                one.player.inventory.change_item(slot, **{ENCHANTED: number})
                self._save(one)

    def _save(self, one: Actor) -> OperationHandle | None:
        assert self.moving is not None
        try:
            handle = one.player.inventory.save(self.moving)
        except LinkBusyError as error:
            # Nothing was taken: the next save carries it.
            self._notice(f"character {one.guid}: a save was not taken: {error}")
            return None
        handle.add_done_callback(self._answered)
        return handle

    def _answered(self, handle: OperationHandle) -> None:
        if handle.exception is None:
            self.counts.add("commits")
        else:
            # It is still unsaved, and the next save carries it.
            self._notice(f"a save was refused: {handle.exception}")

    def _notice(self, text: str) -> None:
        self.counts.add("noticed")
        if len(self.noticed) < SHOWN_ERRORS:
            self.noticed.append(text)

    # In and out

    async def log_in(self, one: Actor) -> None:
        """Join a character, and hold what it is given to what it had."""
        assert self.moving is not None
        ends_s = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                joined = await self.moving.join(one.guid)
                break
            except MmoinvError as error:
                self._notice(f"character {one.guid} could not log in: {error}")
                if asyncio.get_running_loop().time() > ends_s:
                    self._problem(f"character {one.guid} could not log in any more: {error}")
                    return
                await asyncio.sleep(AGAIN_S)
        self.counts.add("logins")
        self._hold_to(one, joined.items)
        one.player.load(joined.items)
        one.is_in = True

    def _hold_to(self, one: Actor, items: Batch) -> None:
        """What a login gives must be what the character had."""
        is_old = one.mode.decider is Side.LEGACY
        fields = self._parts.old_path.tables.fields if is_old else RECORD_FIELDS
        if found := difference(one.items, items, fields):
            self._problem(f"character {one.guid} logged in with what it had not: {found}")

    async def log_out(self, one: Actor) -> None:
        """Save whatever there is, wait for the answers, and leave."""
        assert self.moving is not None
        inventory = one.player.inventory
        one.is_in = False
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + PATIENCE_S
        while inventory.is_dirty or inventory.is_saving or inventory.saved.tied:
            if loop.time() > ends_s:
                self._problem(f"character {one.guid} could not be saved within {PATIENCE_S:g} s")
                break
            handle = self._save(one)
            try:
                async with asyncio.timeout(1.0):
                    if handle is not None:
                        await handle
            except (MmoinvError, TimeoutError):
                await asyncio.sleep(AGAIN_S)
            else:
                await asyncio.sleep(0 if handle is not None else AGAIN_S)
        one.items = inventory.committed
        await self.moving.leave(one.guid)
        # Not before: it may change its mode to the last.
        one.mode = self._book.read(one.guid).mode

    def _problem(self, text: str) -> None:
        self.problems.append(text)
