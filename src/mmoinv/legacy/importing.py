"""The import: characters of old tables into ours, as operations of the ledger.

It joins, commits with the reason 253 and leaves, many characters in one transaction; like any
world it is fenced. It may be killed and run again: what is equal already is left alone. Knows no
schema of old tables.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from mmoinv.audit.desk import DESK, Desk, Replacement
from mmoinv.audit.history import world_names
from mmoinv.audit.verification import slot_fault
from mmoinv.commits import OwnReason
from mmoinv.errors import ConfigurationError
from mmoinv.legacy.completion import completed, contained
from mmoinv.legacy.held import NOTHING, Held, held_by, imports_of, named, places_of, same, without
from mmoinv.legacy.interface import LAST_GUID, Capacity, OldInventory, OldTables
from mmoinv.records import Batch, InventoryItemData
from mmoinv.stores.schema import is_current
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.stored_rows import BadRow

T = TypeVar("T")
CHARACTERS_AT_ONCE = 500
KEPT = 1000
"""Characters that are named in a report; all are counted."""
Progress = Callable[[int, int], object]
"""Is told how many characters are done, of how many."""


class Left(NamedTuple):
    """A character that was left as it is, and why."""

    character_guid: int
    reason: str


@dataclass
class ImportReport:
    """What an import did, or would do. ``written`` characters and their ``items``; ``unchanged``
    were there already; ``left`` were not touched. ``set_aside`` counts rows that were not taken,
    by reason, ``leftovers`` those of which a part was not: of each, one example. ``strange`` items
    were taken in places that the game may not know."""

    source: str
    url: str
    dry_run: bool
    characters: int = 0
    written: int = 0
    unchanged: int = 0
    items: int = 0
    money: Counter[int] = field(default_factory=Counter)
    strange: int = 0
    newly_kept: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    leftovers: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Left] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    left_count: int = 0

    @property
    def passed(self) -> bool:
        """Whether no character was left out."""
        return not self.left_count

    def leave(self, character_guid: int, reason: str) -> None:
        """Note a character that is not touched."""
        self.left_count += 1
        if len(self.left) < KEPT:
            self.left.append(Left(character_guid, reason))

    def note(self, old: OldInventory, faults: Sequence[BadRow]) -> None:
        """Count what was not taken, or not whole."""
        for counts, rows in ((self.set_aside, faults), (self.leftovers, old.leftovers)):
            for row in rows:
                # The same but for its numbers is the same kind.
                kind = re.sub(r"-?\d+", "N", row.reason)
                counts[kind] += 1
                self.examples.setdefault(kind, Left(old.character_guid, row.reason))


@dataclass(frozen=True)
class ImportWish:
    """How to import. ``overwrites``: also characters that have been played here since;
    ``takes_online``: also those that are online, which their worlds lose."""

    first_guid: int = 0
    last_guid: int = LAST_GUID
    dry_run: bool = False
    overwrites: bool = False
    takes_online: bool = False
    source: str = ""
    """Under which name rows are set aside; empty: the format's."""
    characters_at_once: int = CHARACTERS_AT_ONCE


async def import_tables(
    tables: OldTables,
    store: SqlStore,
    wish: ImportWish = ImportWish(),
    progress: Progress = lambda done, of: None,
) -> ImportReport:
    """Bring the characters of old tables over. ``store`` is not open; an empty database gets the
    schema. Errors: `ConfigurationError` if the tables are not those that are wanted, a `StoreError`
    if a database fails: what was written until then stays, and running it again goes on."""
    if not 1 <= len(wish.source or tables.format) <= 64:
        raise ConfigurationError(f"source {wish.source!r} must have 1 to 64 characters")
    counts = await tables.counts(wish.first_guid, wish.last_guid)
    report = ImportReport(wish.source or tables.format, tables.url, wish.dry_run)
    capacity = await tables.capacity()
    if wish.dry_run:
        work = _Import(store, None, wish, capacity, report)
        await _all_of(tables, work, counts.characters, progress)
    else:
        async with store:
            work = _Import(store, await Desk.at(store), wish, capacity, report)
            await _all_of(tables, work, counts.characters, progress)
    return report


async def _all_of(tables: OldTables, work: "_Import", of: int, progress: Progress) -> None:
    wish = work.wish
    progress(0, of)
    async for page in tables.read(wish.first_guid, wish.last_guid, wish.characters_at_once):
        await work.take(page)
        progress(work.report.characters, of)


class _Stored(NamedTuple):
    """What is known of a page's characters, and of those who have their items."""

    held: Mapping[int, Held]
    imports: Mapping[int, int]
    places: Mapping[int, tuple[int, int]]
    desk_id: int


class _Import:
    """An import that runs. Without a desk it changes nothing."""

    def __init__(
        self,
        store: SqlStore,
        desk: Desk | None,
        wish: ImportWish,
        capacity: Capacity,
        report: ImportReport,
    ) -> None:
        self.store, self.desk, self.wish = store, desk, wish
        self.report = report
        self._is_missing = isinstance(store, SqliteStore) and not Path(store.path).exists()
        self._kept = capacity.fields.keys()
        self._currencies = capacity.balances.keys()

    async def take(self, page: Sequence[OldInventory]) -> None:
        """A page of characters, in three transactions at most."""
        stored = await self._ask(lambda connection: self._look(connection, page))
        rows: list[tuple[int, BadRow]] = []
        wanted: dict[int, tuple[Batch, Mapping[int, int]]] = {}
        taken_from: dict[int, set[int]] = {}
        abandoned: list[int] = []
        for old in page:
            guid, here = old.character_guid, stored.held[old.character_guid]
            items, faults = old.items, list(old.faults)
            kept, moved = self._with_others(old, stored)
            if kept:
                faults += _faults(items, kept)
                items = without(items, kept.keys())
            items = completed(items, here.items, self._kept)
            if "contained" not in self._kept:
                items = contained(items, guid)
            self.report.characters += 1
            self.report.note(old, faults)
            rows += [(guid, row) for row in (*faults, *old.leftovers)]
            money = self._money(old, here)
            if same(items, here.items) and not here.unreadable and not money:
                self.report.unchanged += 1
            elif reason := self._objection(here, stored.imports.get(guid, 0), stored.desk_id):
                self.report.leave(guid, reason)
            else:
                wanted[guid] = items, money
                for number, other in moved.items():
                    taken_from.setdefault(other, set()).add(number)
            if here.online and here.world_id == stored.desk_id and guid not in wanted:
                abandoned.append(guid)  # By an import that was killed.
        if self.desk is None:
            for wish in wanted.values():
                self._count(*wish)
            return
        if rows:
            # First: what is not taken is kept, whatever comes after.
            self.report.newly_kept += await self.store.keep_import_rows(self.report.source, rows)
        if taken_from:
            await self._release(taken_from, wanted)
        for guid in abandoned:
            await self.desk.leave(guid, stored.held[guid].epoch)
        if wanted:
            await self._write(stored, wanted, taken_from)

    async def _ask(self, work: Callable[[Connection | None], T]) -> T:
        if self.desk is not None:
            return await self.store.ask(work)
        if self._is_missing:
            # What is not there is not made for a dry run.
            return work(None)
        return await self.store.read_only(work)

    def _look(self, connection: Connection | None, page: Sequence[OldInventory]) -> _Stored:
        guids = {old.character_guid for old in page}
        desk_id = self.desk.world_id if self.desk else 0
        if self.desk is None:
            if connection is None or not is_current(connection, self.store.url):
                return _Stored(dict.fromkeys(guids, NOTHING), {}, {}, 0)
            names = world_names(connection)
            desk_id = next((number for number, name in names.items() if name == DESK), 0)
        assert connection is not None
        held = held_by(connection, guids)
        abroad: list[int] = []
        for old in page:
            own = set(named(held[old.character_guid].items))
            abroad += [number for number in named(old.items) if number not in own]
        places = places_of(connection, abroad)
        others = {guid for guid, _ in places.values()} - held.keys()
        held |= held_by(connection, others)
        played = [guid for guid, one in held.items() if one.version]
        return _Stored(held, imports_of(connection, played, desk_id), places, desk_id)

    def _money(self, old: OldInventory, here: Held) -> dict[int, int]:
        return {
            currency: amount - here.balances.get(currency, 0)
            for currency, amount in old.balances.items()
            if currency in self._currencies and amount != here.balances.get(currency, 0)
        }

    def _objection(self, here: Held, imports: int, desk_id: int) -> str:
        """Why a character is not written over; empty if nothing speaks against it."""
        if here.online and here.world_id != desk_id and not self.wish.takes_online:
            return "it is online, and its world would lose it; --online takes it all the same"
        if self.wish.overwrites:
            return ""
        if here.version != imports or (not here.version and (len(here.items) or here.balances)):
            return "it has been played here, or written by someone else; --overwrite writes over it"
        return ""

    def _with_others(
        self, old: OldInventory, stored: _Stored
    ) -> tuple[dict[int, str], dict[int, int]]:
        """Items of the old tables that someone else has here: why he keeps them, or who he is. From
        one who was only imported they are taken: the old tables say whose they are now."""
        kept, moved = {}, {}
        for number in named(old.items) if stored.places else ():
            place = stored.places.get(number)
            if place is None or place[0] == old.character_guid:
                continue
            other = place[0]
            imports = stored.imports.get(other, 0)
            is_asked_for = self.wish.first_guid <= other <= self.wish.last_guid
            objection = self._objection(stored.held[other], imports, stored.desk_id)
            if objection or not is_asked_for:
                kept[number] = f"item {number} is with character {other} here"
            else:
                moved[number] = other
        return kept, moved

    async def _release(
        self, taken_from: Mapping[int, set[int]], wanted: Mapping[int, tuple[Batch, object]]
    ) -> None:
        """Take items from those who have them here, and in the old tables no longer."""
        assert self.desk is not None
        guids = list(taken_from)
        joined = await self.desk.join_all(guids)
        changes = [
            Replacement(guid, one.epoch, one.version, without(one.items, taken_from[guid]), {})
            for guid, one in zip(guids, joined, strict=True)
        ]
        refused = await self.desk.replace_all(changes, OwnReason.IMPORTED)
        for guid, reason in refused.items():
            if guid not in wanted:
                self.report.leave(guid, reason)

    async def _write(
        self,
        stored: _Stored,
        wanted: Mapping[int, tuple[Batch, Mapping[int, int]]],
        released: Collection[int],
    ) -> None:
        desk = self.desk
        assert desk is not None
        guids = list(wanted)
        joined = await desk.join_all(guids)
        replacements = []
        for guid, one in zip(guids, joined, strict=True):
            items, money = wanted[guid]
            if one.version != stored.held[guid].version + (guid in released):
                await desk.leave(guid, one.epoch)
                self.report.leave(guid, "it was changed meanwhile; run it again")
                continue
            missing = items["item_guid"] == 0
            if missing.any():
                items = items.copy()
                items["item_guid"][missing] = desk.mint(int(missing.sum()))
                if "contained" not in self._kept:
                    items = contained(items, guid)
            replacements.append(Replacement(guid, one.epoch, one.version, items, money))
        refused = await desk.replace_all(replacements, OwnReason.IMPORTED)
        for written in replacements:
            if written.character_guid in refused:
                self.report.leave(written.character_guid, refused[written.character_guid])
            else:
                self._count(written.items, written.money)

    def _count(self, items: Batch, money: Mapping[int, int]) -> None:
        self.report.written += 1
        self.report.items += len(items)
        self.report.money.update(money)
        slots = set(items["slot"].tolist())
        self.report.strange += sum(slot_fault(slot, slots) is not None for slot in slots)


def _faults(items: Batch, reasons: Mapping[int, str]) -> list[BadRow]:
    """Records as rows that are not taken; ``reasons`` by item guid."""
    return [
        BadRow(item._asdict(), reasons[item.item_guid])
        for item in map(InventoryItemData._make, items.tolist())
        if item.item_guid in reasons
    ]
