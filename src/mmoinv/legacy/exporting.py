"""The way back: old tables written from ours.

What they cannot hold is looked for in all that is to be written, before anything is. Only
characters that differ are written, so it may be killed and run again. Reads ours, and changes
nothing there. Knows no schema of old tables.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from mmoinv.legacy.completion import completed, only
from mmoinv.legacy.held import (
    Held,
    characters_between,
    held_by,
    highest_guid,
    named,
    pages,
    places_of,
    same,
    without,
)
from mmoinv.legacy.interface import (
    LAST_GUID,
    WIDEST,
    Capacity,
    OldChange,
    OldInventory,
    OldTables,
    beyond,
    misfits,
    placeless_of,
)
from mmoinv.records import Batch
from mmoinv.stores.schema import require_readable
from mmoinv.stores.sql_store import SqlStore

CHARACTERS_AT_ONCE = 500
KEPT = 1000
"""Losses that are kept in words; all are counted."""


class Loss(NamedTuple):
    """Something that the old tables cannot hold."""

    character_guid: int
    text: str


@dataclass
class ExportReport:
    """What an export did, or would do. ``losses`` by kind: with any, nothing is ``written``
    unless it was asked to be `lossy`. ``renamed`` items have a guid that the old tables cannot
    hold, and get or have one of theirs. ``left`` characters are online."""

    url: str
    dry_run: bool
    characters: int = 0
    written: int = 0
    unchanged: int = 0
    items: int = 0
    renamed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    stopped: bool = False

    @property
    def passed(self) -> bool:
        """Whether everything is in the old tables now, or would be."""
        return not self.kinds and not self.left

    def lose(self, character_guid: int, kind: str, text: str) -> None:
        """Note what cannot be held."""
        self.kinds[kind] += 1
        if len(self.losses) < KEPT:
            self.losses.append(Loss(character_guid, text))


@dataclass(frozen=True)
class ExportWish:
    """How to export. ``lossy``: what cannot be held is cut to what can, or left out;
    ``takes_online``: also characters that are online, as they were saved last."""

    first_guid: int = 0
    last_guid: int = LAST_GUID
    dry_run: bool = False
    lossy: bool = False
    takes_online: bool = False


async def export_tables(
    tables: OldTables,
    store: SqlStore,
    wish: ExportWish = ExportWish(),
    progress: Callable[[int, int], object] = lambda done, of: None,
) -> ExportReport:
    """Write the characters that ours have into old tables, which must be there. ``store`` is not
    open; errors as for an import. Characters of whom ours have nothing are left as they are.
    ``progress`` is told twice, when all are looked through and when they are written."""
    if not wish.dry_run:
        # Whether they can be written is found out first. An SQLite file that another export was
        # killed over is put right by that, which reading alone could not do.
        await tables.write(())
    capacity = await tables.capacity()
    report = ExportReport(tables.url, wish.dry_run)
    work = _Export(tables, store, wish, capacity, report)
    guids = await work.characters()
    for some in pages(guids, CHARACTERS_AT_ONCE):
        progress(report.characters, len(guids))
        await work.look(some)
    if report.kinds and not wish.lossy:
        report.stopped = True
        return report
    progress(0, len(guids))
    done = 0
    for some in pages(guids, CHARACTERS_AT_ONCE):
        await work.write(some)
        done += len(some)
        progress(done, len(guids))
    return report


class _Export:
    """An export that runs."""

    def __init__(
        self,
        tables: OldTables,
        store: SqlStore,
        wish: ExportWish,
        capacity: Capacity,
        report: ExportReport,
    ) -> None:
        self.tables, self.store, self.wish = tables, store, wish
        self.capacity, self.report = capacity, report
        self._guid_limit = capacity.fields.get("item_guid", 0)

    async def characters(self) -> list[int]:
        """Who is to be exported."""
        wish = self.wish

        def work(connection: Connection) -> list[int]:
            require_readable(connection, self.store.url)
            return characters_between(connection, wish.first_guid, wish.last_guid)

        return await self.store.read_only(work)

    async def look(self, guids: Sequence[int]) -> None:
        """What of these characters cannot be held."""
        held = await self._held(guids)
        strangers = set(await self.tables.strangers(guids))
        report = self.report
        report.characters += len(guids)
        for guid in guids:
            here = held[guid]
            if here.online and not self.wish.takes_online:
                report.left.append(guid)
            elif guid in strangers:
                if len(here.items) or here.balances:
                    report.lose(guid, "character cannot be there", "it cannot be there")
            else:
                for misfit in misfits(here.items, self.capacity):
                    report.lose(guid, misfit.kind, str(misfit))
                for currency, balance in sorted(here.balances.items()):
                    limit = self.capacity.balances.get(currency, 0)
                    if balance > limit:
                        what = f"currency {currency} is {beyond(limit)}"
                        report.lose(guid, what, f"{what}: {balance}")

    async def write(self, guids: Sequence[int]) -> None:
        """Write those of these characters that differ, in one transaction."""
        held = await self._held(guids)
        strangers = set(await self.tables.strangers(guids))
        before: dict[int, OldInventory] = {}
        async for page in self.tables.read(guids[0], guids[-1]):
            before |= {old.character_guid: old for old in page if old.character_guid in held}
        were = [number for old in before.values() for number in named(old.items)]

        def look(connection: Connection) -> tuple[set[int], int]:
            places = places_of(connection, were)
            return set(places), highest_guid(connection, self._guid_limit)

        here_too, highest = await self.store.read_only(look)
        changes = []
        for guid in guids:
            here = held[guid]
            if guid in strangers or (here.online and not self.wish.takes_online):
                continue
            change = self._change(guid, here, before.get(guid), here_too)
            if change is None:
                self.report.unchanged += 1
            else:
                changes.append(change)
        if changes and not self.wish.dry_run:
            await self.tables.write(changes, here_too, highest)
        self.report.written += len(changes)
        self.report.items += sum(len(change.items) for change in changes)

    async def _held(self, guids: Sequence[int]) -> Mapping[int, Held]:
        def work(connection: Connection) -> Mapping[int, Held]:
            return held_by(connection, guids)

        return await self.store.read_only(work)

    def _change(
        self, guid: int, here: Held, before: OldInventory | None, here_too: set[int]
    ) -> OldChange | None:
        """What is to be written of a character; None if it is there already."""
        kept = self.capacity.fields.keys()
        items = self._fitted(here.items)
        if self._guid_limit:
            beyond = items["item_guid"] > self._guid_limit
            self.report.renamed += int(beyond.sum())
            items["item_guid"][beyond] = 0
            if before is not None:
                # The guids that an export before this one has given.
                items = completed(items, without(before.items, here_too), kept)
        items = only(items, kept)
        balances = {
            currency: min(here.balances.get(currency, 0), limit)
            for currency, limit in self.capacity.balances.items()
        }
        if before is not None:
            equal = same(items, only(before.items, kept))
            if equal and all(before.balances.get(one) == balances[one] for one in balances):
                return None
        elif not len(items) and not any(balances.values()):
            return None
        return OldChange(guid, before, items, balances)

    def _fitted(self, items: Batch) -> Batch:
        """A copy with what has a place, each value cut to what can be held."""
        fitted = items[~placeless_of(items, self.capacity)].copy()
        for name, limit in self.capacity.fields.items():
            if name not in ("item_guid", "contained") and limit < WIDEST[name]:
                fitted[name] = np.minimum(fitted[name], limit)
        for one, other in self.capacity.either:
            fitted[other][fitted[one] != 0] = 0
        return fitted
