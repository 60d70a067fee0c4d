"""The C++ line's own table ``character_items``, read as it is stored: a source for an import.

owner, slot, entry, creator (may be NULL), count, durability, flags; key owner and slot. Changes
nothing. What the table does not have is 0, item guids too: the realm names items that have none.
Knows neither the importer nor packets.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    TableClause,
    column,
    func,
    inspect,
    select,
    table,
)

from mmoinv.errors import ConfigurationError
from mmoinv.records import Batch, Fault, fault_sentence
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.stored_rows import BadRow, Row, inventory, row_fault
from mmoinv.stores.tables import ROW_COLUMNS, unsigned_number
from mmoinv.stores.urls import store_for

NAME = "character_items"
COLUMNS = ("owner", "slot", "entry", "creator", "count", "durability", "flags")
CHARACTERS_AT_ONCE = 1000
MOST_AT_ONCE = 100_000
STATEMENT_TIMEOUT_S = 600.0
"""Counting reads the whole table."""
HALF, WHOLE = 1 << 63, 1 << 64


class SourceInventory(NamedTuple):
    """One character: the slot-sorted `INVENTORY_ITEM` batch of its readable rows, and the rows
    that no record can hold, with the reason (in our columns' names: count is stack_count)."""

    character_guid: int
    items: Batch
    faults: list[BadRow]


class SourceCounts(NamedTuple):
    """How much there is to read."""

    characters: int
    rows: int


class _Table(NamedTuple):
    """The table as this database has it."""

    columns: tuple[ColumnElement[Any], ...]
    """In the order of `COLUMNS`."""
    spans: tuple[tuple[int, int], ...]
    """The owners as they are stored, first and last of each range, ascending as u64."""


async def count_character_items(url: str) -> SourceCounts:
    """How many characters and rows the table has; `ConfigurationError` if it is not there, or not
    the one that it should be, a `StoreError` if the database cannot be read."""
    store = _store(url)

    def work(connection: Connection) -> SourceCounts:
        owner = _table(connection, store.url).columns[0]
        owners = select(owner).distinct().subquery()
        return SourceCounts(
            connection.execute(select(func.count()).select_from(owners)).scalar_one(),
            connection.execute(select(func.count(owner))).scalar_one(),
        )

    return await store.read_only(work)


async def read_character_items(
    url: str, characters_at_once: int = CHARACTERS_AT_ONCE
) -> AsyncIterator[SourceInventory]:
    """Every character of the table, ascending; errors as `count_character_items`.

    Owner and creator are u64: as they are in an unsigned column, in a signed one a negative
    number is the u64 of the same 64 bits. Each ``characters_at_once`` (1 to 100,000) are read in
    a transaction of their own, which cannot write: end whatever writes the table before. Column
    names may be written in capitals, columns more are not read.
    """
    if not 1 <= characters_at_once <= MOST_AT_ONCE:
        raise ConfigurationError(
            f"characters_at_once = {characters_at_once}: 1 to {MOST_AT_ONCE:,} is wanted"
        )
    store = _store(url)
    source = await store.read_only(lambda connection: _table(connection, store.url))
    for first, last in source.spans:
        while first <= last:
            page = await store.read_only(_page(source, first, last, characters_at_once))
            for owner, rows in page:
                yield _inventory(unsigned_number(owner), rows)
                first = owner + 1
            if len(page) < characters_at_once:
                break


def _store(url: str) -> SqlStore:
    store = store_for(
        url, StoreSettings(cached_characters=0, statement_timeout_s=STATEMENT_TIMEOUT_S)
    )
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url} cannot be read as an import source.")
    return store


def _table(connection: Connection, shown: str) -> _Table:
    """Finds the table; `ConfigurationError` if it is not the one that is wanted."""

    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(
            f"database {shown}: {what}. Wanted is the C++ realm's table {NAME} "
            f"({', '.join(COLUMNS)}; whole numbers); nothing was changed."
        )

    inspector = inspect(connection)
    if not inspector.has_table(NAME):
        names = inspector.get_table_names()
        raise wrong(f"there is no table {NAME} (there are: {_listed(names)})")
    types = {there["name"]: there["type"] for there in inspector.get_columns(NAME)}
    # PostgreSQL tells small letters from capitals, and may have both.
    names_there = {name.lower(): name for name in types} | {name: name for name in types}
    missing = [name for name in COLUMNS if name not in names_there]
    if missing:
        raise wrong(f"table {NAME} has no column {', '.join(missing)} (it has: {_listed(types)})")
    names = [names_there[name] for name in COLUMNS]
    source: TableClause = table(NAME, *(column(name, BigInteger) for name in names))
    columns = tuple(source.c[name] for name in names)
    # On SQLite a column's type binds no value, not even in a key.
    on_sqlite = connection.dialect.name == "sqlite"
    others = [name for name in names if not isinstance(types[name], Integer)]
    if others and not on_sqlite:
        kinds = ", ".join(f"{name} {types[name]}" for name in others)
        raise wrong(f"table {NAME} has columns of another type: {kinds}")
    owner = columns[0]
    nobody = func.typeof(owner) != "integer" if on_sqlite else owner.is_(None)
    if rows := connection.execute(select(func.count()).select_from(source).where(nobody)).scalar():
        example = connection.execute(select(owner).where(nobody).limit(1)).scalar()
        raise wrong(f"{rows} rows of {NAME} have an owner that is no number, such as {example!r}")
    if getattr(types[names[0]], "unsigned", False):
        return _Table(columns, ((0, WHOLE - 1),))
    return _Table(columns, ((0, HALF - 1), (-HALF, -1)))


def _listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message."""
    ordered = sorted(names)
    more = [f"and {len(ordered) - most} more"] if len(ordered) > most else []
    return ", ".join([*ordered[:most], *more]) or "none"


def _page(
    source: _Table, first: int, last: int, characters: int
) -> Callable[[Connection], list[tuple[int, list[Row]]]]:
    """Reads the rows of the next characters from an owner on, by owner as it is stored."""
    owner, slot, *_ = source.columns

    def work(connection: Connection) -> list[tuple[int, list[Row]]]:
        owners = select(owner).where(owner.between(first, last)).distinct().order_by(owner)
        some = connection.execute(owners.limit(characters)).scalars().all()
        if not some:
            return []
        found = connection.execute(
            select(*source.columns).where(owner.between(some[0], some[-1])).order_by(owner, slot)
        )
        return [
            (stored, [_row(*values) for values in rows])
            for stored, rows in groupby(found, key=lambda values: values[0])
        ]

    return work


def _row(
    owner: int, slot: int, entry: int, creator: int | None, count: int, durability: int, flags: int
) -> Row:
    """In the order of `ROW_COLUMNS`."""
    creator = 0 if creator is None else creator
    if isinstance(creator, int):  # SQLite may have anything there, which is told later.
        creator = unsigned_number(creator)
    guid = unsigned_number(owner)
    return (guid, slot, entry, count, creator, 0, durability, 0, 0, flags, None)


def _inventory(character_guid: int, rows: list[Row]) -> SourceInventory:
    slots = Counter(row[1] for row in rows)
    whole = all(isinstance(value, int) for row in rows for value in row[:-1])
    if whole and len(slots) == len(rows):
        return SourceInventory(character_guid, *inventory(rows))
    # A table that came here without its key, or from SQLite, may hold anything.
    good, faults = [], []
    for row in rows:
        values = dict(zip(ROW_COLUMNS, row, strict=True))
        reason = row_fault(values)
        if not reason and slots[row[1]] > 1:
            reason = fault_sentence(Fault.SLOT_TWICE, values["slot"] or 0)
        if reason:
            faults.append(BadRow(values, reason))
        else:
            good.append(row)
    return SourceInventory(character_guid, inventory(good)[0], faults)
