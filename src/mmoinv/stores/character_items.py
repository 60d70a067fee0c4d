"""The C++ line's own table ``character_items``, read as it is stored: a source for an import.

owner, slot, entry, creator (may be NULL), count, durability, flags; key owner and slot. Changes
nothing. What the table does not have is 0, item guids too: the realm names items that have none.
"""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Table,
    func,
    inspect,
    select,
)

from mmoinv.errors import ConfigurationError
from mmoinv.records import Batch
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.stored_rows import BadRow, Row, inventory
from mmoinv.stores.tables import Unsigned64
from mmoinv.stores.urls import store_for

CHARACTERS_AT_ONCE = 1000
SOURCE = Table(
    "character_items",
    MetaData(),
    Column("owner", Unsigned64(), primary_key=True),
    Column("slot", BigInteger, primary_key=True),
    Column("entry", BigInteger),
    Column("creator", Unsigned64()),
    Column("count", BigInteger),
    Column("durability", BigInteger),
    Column("flags", BigInteger),
)
"""As the C++ line creates it, but for widths: any whole number is read, and then checked."""


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


async def count_character_items(url: str) -> SourceCounts:
    """How many characters and rows the table has; `ConfigurationError` if it is not there, or not
    the one that it should be, a `StoreError` if the database cannot be read."""

    def work(connection: Connection) -> SourceCounts:
        _check(connection, url)
        characters, rows = connection.execute(
            select(func.count(SOURCE.c.owner.distinct()), func.count())
        ).one()
        return SourceCounts(characters, rows)

    return await _source(url).inspect(work)


async def read_character_items(
    url: str, characters_at_once: int = CHARACTERS_AT_ONCE
) -> AsyncIterator[SourceInventory]:
    """Every character of the table, in the order in which the database keeps them; errors as
    `count_character_items`.

    Some characters at a time, each time anew: nothing may write the table meanwhile. ``owner``
    is a u64, in a signed column its two's complement.
    """
    source = _source(url)
    after: int | None = None
    while True:
        page = await source.inspect(_page(url, after, characters_at_once))
        for guid, rows in page.items():
            items, faults = inventory(rows)
            yield SourceInventory(guid, items, faults)
            after = guid
        if len(page) < characters_at_once:
            return


def _page(
    url: str, after: int | None, characters: int
) -> Callable[[Connection], dict[int, list[Row]]]:
    """Reads the rows of the next characters, by character."""

    def work(connection: Connection) -> dict[int, list[Row]]:
        _check(connection, url)
        owner = SOURCE.c.owner
        owners = select(owner).distinct().order_by(owner).limit(characters)
        if after is not None:
            owners = owners.where(owner > after)
        some = connection.execute(owners).scalars().all()
        page: dict[int, list[Row]] = {guid: [] for guid in some}
        if some:
            found = connection.execute(select(SOURCE).where(owner.between(some[0], some[-1])))
            for guid, slot, entry, creator, count, durability, flags in found:
                row = (guid, slot, entry, count, creator or 0, 0, durability, 0, 0, flags, None)
                page[guid].append(row)
        return page

    return work


def _source(url: str) -> SqlStore:
    store = store_for(url, StoreSettings(cached_characters=0))
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url} cannot be read as an import source.")
    return store


def _check(connection: Connection, url: str) -> None:
    shown = _source(url).url
    inspector = inspect(connection)
    if not inspector.has_table(SOURCE.name):
        raise ConfigurationError(
            f"database {shown}: there is no table {SOURCE.name}. Name the database of the C++ "
            "realm; nothing was changed."
        )
    there = {column["name"] for column in inspector.get_columns(SOURCE.name)}
    missing = [column.name for column in SOURCE.columns if column.name not in there]
    if missing:
        raise ConfigurationError(
            f"database {shown}: table {SOURCE.name} has no column {', '.join(missing)} (there are "
            f"{', '.join(sorted(there))}); nothing was changed."
        )
