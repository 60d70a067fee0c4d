"""The comparison of old tables with ours: by count, by sum, and record by record.

Changes nothing. Fields that the old tables don't keep are not compared; rows of theirs that no
record can hold are counted apart. Knows no schema of old tables.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from mmoinv.codec import compare_items
from mmoinv.legacy.completion import completed, only
from mmoinv.legacy.held import AT_ONCE, NOTHING, Held, characters_between, held_by, pages, same
from mmoinv.legacy.interface import LAST_GUID, Capacity, OldInventory, OldTables
from mmoinv.records import WIDE, Batch, DifferenceKind, empty_batch
from mmoinv.stores.schema import require_readable
from mmoinv.stores.sql_store import SqlStore

SHOWN = 1000
"""Differences that are kept in words; all are counted."""
CHARACTERS_AT_ONCE = 500


class Difference(NamedTuple):
    """One value that is not the same: ``kind`` is missing (here is no item in that slot), extra
    (in the old tables is none), field, money or unreadable; ``field`` the record's, or the
    currency."""

    character_guid: int
    slot: int
    kind: str
    field: str
    old: int
    here: int

    def __str__(self) -> str:
        whose = f"character {self.character_guid}"
        if self.kind == "money":
            return (
                f"{whose}: {self.old} of currency {self.field} in the old tables, {self.here} here"
            )
        if self.kind == "unreadable":
            return f"{whose}: {self.here} rows here cannot be read"
        where = f"{whose}, slot {self.slot >> 8}:{self.slot & 0xFF}"
        if self.kind == "missing":
            return f"{where}: entry {self.old} in the old tables, nothing here"
        if self.kind == "extra":
            return f"{where}: nothing in the old tables, entry {self.here} here"
        return f"{where}: {self.field} {self.old} in the old tables, {self.here} here"


class Both(NamedTuple):
    """A number of the old tables, and ours."""

    old: int
    here: int


@dataclass
class VerifyReport:
    """What was compared, and what differs. ``entries`` and ``currencies`` are the sums that are
    not the same, by entry and by currency; ``set_aside`` counts rows of the old tables that no
    record can hold, ``leftovers`` those of which a record cannot hold all."""

    url: str
    old_characters: int = 0
    characters: int = 0
    old_items: int = 0
    items: int = 0
    entries: dict[int, Both] = field(default_factory=dict)
    currencies: dict[int, Both] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    differing: int = 0
    set_aside: int = 0
    leftovers: int = 0

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.kinds

    def note(self, difference: Difference) -> None:
        """Note a difference."""
        self.kinds[difference.kind] += 1
        if len(self.differences) < SHOWN:
            self.differences.append(difference)


async def verify_tables(
    tables: OldTables,
    store: SqlStore,
    first_guid: int = 0,
    last_guid: int = LAST_GUID,
    progress: Callable[[int, int], object] = lambda done, of: None,
) -> VerifyReport:
    """Compare the characters of a range. ``store`` is not open; errors as for an import."""

    def ready(connection: Connection) -> None:
        require_readable(connection, store.url)

    await store.read_only(ready)
    capacity = await tables.capacity()
    work = _Comparison(store, capacity, VerifyReport(tables.url))
    counts = await tables.counts(first_guid, last_guid)
    progress(0, counts.characters)
    next_guid = first_guid
    async for page in tables.read(first_guid, last_guid, CHARACTERS_AT_ONCE):
        last = page[-1].character_guid
        await work.compare(page, next_guid, last)
        next_guid = last + 1
        progress(work.report.old_characters, counts.characters)
    if next_guid <= last_guid:
        await work.compare((), next_guid, last_guid)
    work.add_up()
    return work.report


class _Comparison:
    """A comparison that runs."""

    def __init__(self, store: SqlStore, capacity: Capacity, report: VerifyReport) -> None:
        self.store, self.report = store, report
        self._kept = capacity.fields.keys()
        self._currencies = capacity.balances.keys()
        self._guid_limit = capacity.fields.get("item_guid", 0)
        self._entries: tuple[Counter[int], Counter[int]] = Counter(), Counter()
        self._money: tuple[Counter[int], Counter[int]] = Counter(), Counter()

    async def compare(self, page: Sequence[OldInventory], first: int, last: int) -> None:
        """All characters of a range; ``page`` is what the old tables have of it."""
        theirs = {old.character_guid: old for old in page}

        def characters(connection: Connection) -> list[int]:
            return characters_between(connection, first, last)

        guids = sorted(theirs.keys() | set(await self.store.read_only(characters)))
        for some in pages(guids, AT_ONCE):

            def held(connection: Connection, some: Sequence[int] = some) -> Mapping[int, Held]:
                return held_by(connection, some)

            here = await self.store.read_only(held)
            olds: list[Batch] = [empty_batch()]
            ours: list[Batch] = [empty_batch()]
            for guid in some:
                old = theirs.get(guid) or OldInventory(guid, NOTHING.items)
                olds.append(old.items)
                ours.append(here[guid].items)
                self._compare_one(old, here[guid], guid in theirs)
            for sums, batches in zip(self._entries, (olds, ours), strict=True):
                _add_entries(sums, np.concatenate(batches))

    def _compare_one(self, old: OldInventory, here: Held, is_old: bool) -> None:
        report, guid = self.report, old.character_guid
        report.old_characters += is_old
        report.characters += bool(len(here.items) or here.version)
        report.old_items += len(old.items)
        report.items += len(here.items)
        report.set_aside += len(old.faults)
        report.leftovers += len(old.leftovers)
        before = sum(report.kinds.values())
        expected = only(completed(old.items, here.items, self._kept), self._kept)
        found = only(here.items, self._kept)
        beyond = found["item_guid"] > self._guid_limit
        if beyond.any():
            # They have other guids in the old tables, or none: an export gave them.
            elsewhere = np.isin(expected["slot"], found["slot"][beyond])
            expected["item_guid"][elsewhere] = 0
            found["item_guid"][beyond] = 0
        if not same(expected, found):
            for difference in _differences(guid, expected, found):
                report.note(difference)
        if here.unreadable:
            report.note(Difference(guid, 0, "unreadable", "", 0, here.unreadable))
        for currency in self._currencies:
            had, has = old.balances.get(currency, 0), here.balances.get(currency, 0)
            self._money[0][currency] += had
            self._money[1][currency] += has
            if had != has:
                report.note(Difference(guid, 0, "money", str(currency), had, has))
        report.differing += sum(report.kinds.values()) > before

    def add_up(self) -> None:
        """The sums that are not the same."""
        for (old, here), into in (
            (self._entries, self.report.entries),
            (self._money, self.report.currencies),
        ):
            for key in sorted(old.keys() | here.keys()):
                if old[key] != here[key]:
                    into[key] = Both(old[key], here[key])


def _add_entries(sums: Counter[int], items: Batch) -> None:
    entries, groups = np.unique(items["entry"], return_inverse=True)
    counts = np.bincount(groups, items["stack_count"], len(entries)).astype(np.int64)
    for entry, count in zip(entries.tolist(), counts.tolist(), strict=True):
        sums[entry] += count


def _differences(guid: int, expected: Batch, found: Batch) -> list[Difference]:
    """What is not the same in two batches."""
    return [
        Difference(
            guid,
            slot,
            DifferenceKind(kind).name.lower(),
            WIDE.fields[place].name if kind == DifferenceKind.FIELD else "",
            old,
            here,
        )
        for slot, kind, place, old, here in compare_items(expected, found).tolist()
    ]
