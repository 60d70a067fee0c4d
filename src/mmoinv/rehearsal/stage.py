"""The stage of a rehearsal: databases, the realm's process, the world, its files; and how anything
is looked at. What is played on it is in `mmoinv.rehearsal.steps`.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmoinv.migration import FileBook, MigrationMode, Rules, Side, write_rules
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.findings import Findings, read_findings
from mmoinv.migration.thresholds import FinishThresholds, Thresholds
from mmoinv.realm import add_world
from mmoinv.records import U32_MAX
from mmoinv.rehearsal.checks import (
    RECORD_FIELDS,
    differences,
    doubled,
    in_old_tables,
    in_realm,
    not_equal,
)
from mmoinv.rehearsal.counted import CountedEvidence, Counts
from mmoinv.rehearsal.databases import Databases
from mmoinv.rehearsal.old_path import OldPath
from mmoinv.rehearsal.settings import RehearsalSettings
from mmoinv.rehearsal.world import Actor, RehearsalWorld, WorldParts
from mmoinv.stores import open_store
from mmoinv.torture.realm import RealmProcess

FIRST_GUID = {"kyoril": 0x4C54_0000_0000_0000, "azerothcore": 1000}
HIGH_EVERY = 10
"""Where guids have 64 bits, every tenth character has one above 2**63."""
LEVEL_WITHIN_S = 30.0
MODES_WITHIN_S = 30.0
LOOK_EVERY_S = 0.02
MOST_FOR_A_MOMENT = 0.05
"""Of the comparisons, those that may have found a difference of each class that was mended."""
QUIET_S = 0.5
"""The old path must be quiet for so long at least, before it is cleared away."""
MAIN, BUGGY = "world.evidence", "planted-bug.evidence"


class Stage:
    """Everything of one rehearsal that outlives a step. `open` it, and `close` it."""

    def __init__(self, settings: RehearsalSettings, databases: Databases, folder: Path) -> None:
        self.settings = settings
        self.databases = databases
        self.folder = folder
        self.rules_path = folder / "modes.toml"
        self.book_path = folder / "moving.book"
        self.counts = Counts()
        self.old_path = OldPath(databases.old, settings.format)
        self.config = _config(settings)
        self.realm = RealmProcess(databases.realm, _free_port(), folder)
        self.world: RehearsalWorld
        self._evidence: CountedEvidence | None = None

    async def open(self) -> None:
        """Start the realm and the world; nobody is in it."""
        async with await open_store(self.databases.realm) as store:
            secret = await add_world(store, "rehearsal")
        self.put(MigrationMode.LEGACY)
        await self.realm.start()
        # The game's own guids of 32 bits where the old tables keep them, else the realm's.
        own = _own_guids() if "item_guid" in self.old_path.tables.fields else None
        parts = WorldParts(
            self.rules_path, self.book_path, self.realm.port, secret, self.old_path, own
        )
        settings = self.settings
        self.world = RehearsalWorld(parts, self.counts, settings.seed, settings.acts_per_s)
        await self._begin(MAIN)

    async def close(self) -> None:
        """End what runs."""
        await self.end_world()
        await self.old_path.close()
        await self.realm.end()

    async def _begin(self, evidence: str) -> None:
        self._evidence = CountedEvidence(self.folder / evidence, self.config, self.counts)
        await self.world.start(self._evidence)

    async def end_world(self) -> None:
        """End the world's process, if there is one."""
        if self._evidence is not None:
            self._evidence = None
            await self.world.stop()

    async def kill_world(self) -> None:
        """End the world's process without a word to anybody: nobody leaves, and what is owed to the
        side that follows is not written."""
        assert self._evidence is not None
        self._evidence = None
        await self.world.die()

    async def begin_again(self, evidence: str) -> None:
        """The world is ended and started again, with another file of evidence or the same."""
        await self.end_world()
        await self._begin(evidence)

    def cast(self) -> None:
        """Give the game its players, with what they begin with; they are in no table yet."""
        first = FIRST_GUID[self.settings.format]
        for index in range(self.settings.players):
            guid = first + index
            if first > U32_MAX and index % HIGH_EVERY == HIGH_EVERY - 1:
                guid |= 1 << 63
            player = self.world.new_player(guid, index)
            items = player.items.copy()
            if first <= U32_MAX:
                items["creator"] &= U32_MAX
            self.world.actors.append(Actor(player, items))

    # The move's tools

    def put(self, mode: MigrationMode, rules: Rules | None = None) -> None:
        """Write the rules: everybody in a mode, or other ones."""
        write_rules(self.rules_path, rules or Rules(default=mode))

    def book(self) -> FileBook:
        """The book; close it."""
        return FileBook(self.book_path)

    def findings(self, evidence: str = MAIN) -> Findings:
        """What the evidence says until now."""
        if self._evidence is not None:
            self._evidence.flush()
        return read_findings([self.folder / evidence], self.config.known)

    # Looking

    async def until(self, is_so: Callable[[], bool], within_s: float) -> bool:
        """Wait until something is so; whether it is."""
        ends_s = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > ends_s:
                return False
            await asyncio.sleep(LOOK_EVERY_S)
        return True

    async def everybody_in(self, mode: MigrationMode) -> list[str]:
        """Wait until all who are in the world are in a mode; who is not."""
        moving = self.world.moving
        assert moving is not None

        def others() -> list[int]:
            return [
                one.guid
                for one in self.world.actors
                if one.is_in and moving.mode_of(one.guid) is not mode
            ]

        if await self.until(lambda: not others(), MODES_WITHIN_S):
            return []
        return [
            f"character {guid} is in mode {moving.mode_of(guid)} {MODES_WITHIN_S:g} s after all "
            f"should be in {mode}"
            for guid in others()
        ]

    async def enough_compared(self) -> None:
        """Wait until both sides were compared as often again as a verdict wants."""
        wanted = self.counts.take()["compared"] + self.config.to_primary.min_compared
        await self.until(lambda: self.counts.take()["compared"] >= wanted, LEVEL_WITHIN_S)

    async def level(self, within_s: float = LEVEL_WITHIN_S) -> list[str]:
        """Wait until both sides have everything; what is in the way."""
        moving = self.world.moving
        assert moving is not None
        if await moving.flush(within_s):
            return []
        behind = sum(follower.behind_count for follower in moving.followers.values())
        return [
            f"{behind} characters are behind on the side that follows, {within_s:g} s after "
            "nothing was wrong any more"
        ]

    async def stored(self, behind: Collection[int] = ()) -> list[str]:
        """Hold what everybody had at log-out to what is stored on the sides that its mode writes,
        but for the other side of who is ``behind``; if all are written on both, the two to each
        other."""
        settings, urls = self.settings, self.databases
        actors = self.world.actors
        new, old = (
            {
                one.guid: one.items
                for one in actors
                if side in one.mode.sides and (side is one.mode.decider or one.guid not in behind)
            }
            for side in (Side.NEW, Side.LEGACY)
        )
        realm = await in_realm(urls.realm)
        tables, problems = await in_old_tables(urls.old, settings.format)
        problems += differences("realm", new, realm, RECORD_FIELDS)
        problems += differences("old tables", old, tables, self.old_path.tables.fields)
        problems += doubled("realm", realm)
        known = {one.guid for one in actors}
        for where, found in (("realm", realm), ("old tables", tables)):
            problems += [
                f"{where}: {guid} has items, and is nobody" for guid in sorted(set(found) - known)
            ]
        if len(new) == len(old) == len(actors):
            problems += await not_equal(urls.old, settings.format, urls.realm)
        return problems


def _config(settings: RehearsalSettings) -> MigrationConfig:
    """Thresholds as they are, but for how long and how much: a rehearsal lasts a minute, and what
    it makes fail is missed. A write that ends late may take an item from whom it was given to, in
    tables that know one place for each; the next comparison mends it, and nothing may be open."""
    scaled = Thresholds(
        min_compared=settings.players,
        min_hours=1,
        max_missed_share=1.0,
        max_missing_share=MOST_FOR_A_MOMENT,
        max_extra_share=MOST_FOR_A_MOMENT,
        max_field_share=MOST_FOR_A_MOMENT,
    )
    quiet_h = max(QUIET_S, settings.part_s) / 3600

    return MigrationConfig(
        to_primary=scaled, to_new=scaled, finish=FinishThresholds(quiet_h=quiet_h)
    )


def _own_guids() -> Callable[[int], npt.NDArray[np.uint64]]:
    numbers = itertools.count(1)

    def mint(count: int) -> npt.NDArray[np.uint64]:
        return np.fromiter(itertools.islice(numbers, count), np.uint64, count)

    return mint


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
