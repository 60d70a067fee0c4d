"""What players own held to what is stored: in the realm's database, and in the old tables.

Opens databases beside everything that runs; knows no mode.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmoinv.audit import verify
from mmoinv.errors import MmoinvError
from mmoinv.legacy import tables_of, verify_tables
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.stores import open_store, store_for
from mmoinv.stores.sql_store import SqlStore

RECORD_FIELDS = INVENTORY_ITEM.names or ()
LAST_GUID = (1 << 64) - 1
SHOWN = 10
"""Problems of one kind that are told; all of them are counted."""

Inventories = Mapping[int, Batch]
"""By character guid, slot-sorted."""


def difference(expected: Batch, found: Batch, fields: Sequence[str]) -> str:
    """In what two slot-sorted batches differ first, looking at some fields only; "" in nothing."""
    old = dict(zip(expected["slot"].tolist(), expected, strict=True))
    new = dict(zip(found["slot"].tolist(), found, strict=True))
    if len(new) != len(found):
        return "a slot comes twice"
    for slot in sorted(old.keys() | new.keys()):
        where = f"slot {slot >> 8}:{slot & 0xFF}"
        if slot not in new:
            return f"{where} is empty, and had {_told(old[slot])}"
        if slot not in old:
            return f"{where} has {_told(new[slot])}, and was empty"
        for name in fields:
            if old[slot][name] != new[slot][name]:
                return f"{where}, {name}: {int(new[slot][name])} instead of {int(old[slot][name])}"
    return ""


def _told(record: np.void) -> str:
    return f"{int(record['stack_count'])} of entry {int(record['entry'])}"


def differences(
    where: str, owned: Inventories, stored: Inventories, fields: Sequence[str]
) -> list[str]:
    """A sentence for each character of ``owned`` that is not stored as it should be."""
    return [
        f"{where}: character {guid}: {found}"
        for guid, items in owned.items()
        if (found := difference(items, stored.get(guid, items[:0]), fields))
    ]


def doubled(where: str, stored: Inventories) -> list[str]:
    """A sentence for each item guid that is stored twice."""
    owners: dict[int, int] = {}
    problems = []
    for guid, items in stored.items():
        for number in items["item_guid"].tolist():
            if number and number in owners:
                problems.append(
                    f"{where}: item {number:#x} is twice there, at characters {owners[number]} "
                    f"and {guid}"
                )
            owners[number] = guid
    return problems


async def in_realm(database: str) -> dict[int, Batch]:
    """Everything that the realm's database has."""
    async with await open_store(database) as store:
        owners, items = await store.read_inventories(0, LAST_GUID)
    return {guid: items[owners == guid] for guid in np.unique(owners).tolist()}


async def in_old_tables(url: str, old_format: str) -> tuple[dict[int, Batch], list[str]]:
    """Everything that the old tables have, and a sentence for each row that is no item."""
    tables = await tables_of(url, old_format)
    found: dict[int, Batch] = {}
    faults: list[str] = []
    async for page in tables.read(0, LAST_GUID):
        for old in page:
            found[old.character_guid] = old.items
            faults += [
                f"old tables: character {old.character_guid}: {row.reason}" for row in old.faults
            ]
    return found, faults


async def not_equal(url: str, old_format: str, database: str) -> list[str]:
    """What `mmoinv migrate verify` finds: a sentence for each difference."""
    report = await verify_tables(await tables_of(url, old_format), sql_store(database))
    return [f"old tables and realm: {one}" for one in report.differences]


async def not_adding_up(database: str) -> list[str]:
    """What `mmoinv verify` finds: a sentence for each problem."""
    findings = await sql_store(database).read_only(verify)
    return [f"realm, {problem.kind}: {problem.text}" for problem in findings.problems]


def sql_store(database: str) -> SqlStore:
    """A store that is not open."""
    store = store_for(database)
    if not isinstance(store, SqlStore):
        raise MmoinvError(f"database {store.url}: a rehearsal needs one that takes SQL")
    return store


def shortened(problems: Iterable[str]) -> list[str]:
    """The first of them, and how many more there are."""
    found = list(problems)
    more = len(found) - SHOWN
    return [*found[:SHOWN], f"... and {more:,} more"] if more > 0 else found
