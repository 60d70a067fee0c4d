"""Old tables that SQLAlchemy reaches: pages, transactions, and what a table is like.

A schema adds five functions of an open connection. Knows no schema.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    SmallInteger,
    TableClause,
    column,
    inspect,
    table,
)
from sqlalchemy.dialects import mysql

from mmoinv.errors import ConfigurationError
from mmoinv.legacy.interface import Capacity, OldChange, OldInventory, SourceCounts
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.urls import store_for

MOST_AT_ONCE = 100_000
STATEMENT_TIMEOUT_S = 600.0
"""Counting reads whole tables."""
HALF, WHOLE = 1 << 63, 1 << 64


class SqlTables(ABC):
    """`mmoinv.legacy.OldTables` in a database of ours, SQLite, PostgreSQL, MariaDB or MySQL.

    Each of the five functions runs in a transaction of its own: all but `put` in one that cannot
    write, so that a standby will do.
    """

    format = ""

    def __init__(self, url: str) -> None:
        settings = StoreSettings(cached_characters=0, statement_timeout_s=STATEMENT_TIMEOUT_S)
        store = store_for(url, settings)
        if not isinstance(store, SqlStore):
            raise ConfigurationError(f"database {store.url}: old tables cannot be read from there.")
        self.store = store

    @property
    def url(self) -> str:
        """The URL without a password."""
        return self.store.url

    # What a schema adds

    @abstractmethod
    def count(self, connection: Connection, first_guid: int, last_guid: int) -> SourceCounts:
        """How much there is of a range of characters; `ConfigurationError` if the tables are not
        those that are wanted."""

    @abstractmethod
    def page(
        self, connection: Connection, first_guid: int, last_guid: int, at_once: int
    ) -> list[OldInventory]:
        """The first characters of a range, at most ``at_once``, ascending; empty: none is left."""

    @abstractmethod
    def capacity_of(self, connection: Connection) -> Capacity:
        """What the tables can hold."""

    def strangers_of(
        self, connection: Connection, character_guids: Sequence[int]
    ) -> Collection[int]:
        """Characters that the tables cannot have anything of; unless a schema says so, none."""
        return ()

    def advice_of(self, connection: Connection) -> str:
        """What would make it quicker to read the tables, a sentence; empty if nothing would."""
        return ""

    @abstractmethod
    def put(
        self,
        connection: Connection,
        changes: Sequence[OldChange],
        moved_guids: Collection[int],
        highest_guid: int,
    ) -> None:
        """Write what `OldTables.write` is asked."""

    # The interface

    async def counts(self, first_guid: int, last_guid: int) -> SourceCounts:
        """How much there is of a range."""
        return await self.store.read_only(
            lambda connection: self.count(connection, first_guid, last_guid)
        )

    async def read(
        self, first_guid: int, last_guid: int, at_once: int = 500
    ) -> AsyncIterator[list[OldInventory]]:
        """The characters of a range, in pages; each in a transaction of its own: end whatever
        writes the tables before."""
        if not 1 <= at_once <= MOST_AT_ONCE:
            raise ConfigurationError(
                f"at_once = {at_once} characters: 1 to {MOST_AT_ONCE:,} is wanted"
            )
        while first_guid <= last_guid:
            page = await self.store.read_only(
                partial(self._page, first_guid=first_guid, last_guid=last_guid, at_once=at_once)
            )
            if not page:
                return
            yield page
            first_guid = page[-1].character_guid + 1

    def _page(
        self, connection: Connection, first_guid: int, last_guid: int, at_once: int
    ) -> list[OldInventory]:
        return self.page(connection, first_guid, last_guid, at_once)

    async def capacity(self) -> Capacity:
        """What the tables can hold."""
        return await self.store.read_only(self.capacity_of)

    async def advice(self) -> str:
        """What would make it quicker to read the tables; empty if nothing would."""
        return await self.store.read_only(self.advice_of)

    async def strangers(self, character_guids: Sequence[int]) -> Collection[int]:
        """Characters that the tables cannot have anything of."""
        return await self.store.read_only(
            lambda connection: self.strangers_of(connection, character_guids)
        )

    async def write(
        self,
        changes: Sequence[OldChange],
        moved_guids: Collection[int] = (),
        highest_guid: int = 0,
    ) -> None:
        """Write all of it, in one transaction."""
        await self.store.inspect(
            lambda connection: self.put(connection, changes, moved_guids, highest_guid)
        )


class FoundTable:
    """A table as a database has it: its columns by small letters, whatever it writes them in."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        wanted: Sequence[str],
        whose: str,
        shown: str,
        optional: Sequence[str] = (),
    ) -> None:
        """``wanted`` columns must be there and, but on SQLite, hold whole numbers, as those that
        are ``optional`` do if they are there; `ConfigurationError` if not. ``whose`` says what the
        table is, ``shown`` is the URL."""
        self.name = name
        self._whose = f"{whose} {name} ({', '.join(wanted)}; whole numbers)"
        self._shown = shown
        inspector = inspect(connection)
        if not inspector.has_table(name):
            names = inspector.get_table_names()
            raise self.wrong(f"there is no table {name} (there are: {listed(names)})")
        self.details: dict[str, Any] = {one["name"]: one for one in inspector.get_columns(name)}
        # PostgreSQL tells small letters from capitals, and may have both.
        self.names = {one.lower(): one for one in self.details} | {one: one for one in self.details}
        missing = [one for one in wanted if one.lower() not in self.names]
        if missing:
            raise self.wrong(
                f"table {name} has no column {', '.join(missing)} (it has: {listed(self.details)})"
            )
        wanted = [*wanted, *(one for one in optional if one.lower() in self.names)]
        self.on_sqlite = connection.dialect.name == "sqlite"
        others = [one for one in wanted if not isinstance(self.type_of(one), Integer)]
        if others and not self.on_sqlite:
            # On SQLite a column's type binds no value, not even in a key.
            kinds = ", ".join(f"{self.names[one.lower()]} {self.type_of(one)}" for one in others)
            raise self.wrong(f"table {name} has columns of another type: {kinds}")
        numbers = {self.names[one.lower()] for one in wanted}
        self.table: TableClause = table(
            name,
            *(
                column(one, BigInteger() if one in numbers else detail["type"])
                for one, detail in self.details.items()
            ),
        )

    def wrong(self, what: str) -> ConfigurationError:
        """The error that says what is wrong with the table."""
        return ConfigurationError(
            f"database {self._shown}: {what}. Wanted is {self._whose}; nothing was changed."
        )

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name.lower() in self.names

    def column(self, name: str) -> Any:
        """A column, by its name in any letters."""
        return self.table.c[self.names[name.lower()]]

    def type_of(self, name: str) -> Any:
        """The type of a column."""
        return self.details[self.names[name.lower()]]["type"]

    def is_unsigned(self, name: str) -> bool:
        """Whether the column is one of MariaDB's and MySQL's unsigned ones."""
        return bool(getattr(self.type_of(name), "unsigned", False))

    def limit(self, name: str) -> int:
        """The largest number that the column holds; u64 in a signed one of 64 bits are kept as
        two's complement."""
        if self.on_sqlite:
            return WHOLE - 1
        bits = _bits(self.type_of(name))
        if self.is_unsigned(name) or bits == 64:
            return int((1 << bits) - 1)
        return int((1 << (bits - 1)) - 1)

    def spans(self, name: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        """A range of u64 (inclusive) as ranges of what the column stores, ascending as u64."""
        if self.is_unsigned(name):
            yield first, last
            return
        if first < HALF:
            yield first, min(last, HALF - 1)
        if last >= HALF:
            yield max(first, HALF) - WHOLE, last - WHOLE

    def stored(self, name: str, number: int) -> int:
        """A u64 as the column stores it."""
        return number if self.is_unsigned(name) or number < HALF else number - WHOLE


def _bits(kind: Any) -> int:
    for number, types in (
        (8, (mysql.TINYINT,)),
        (24, (mysql.MEDIUMINT,)),
        (16, (SmallInteger,)),
        (64, (BigInteger,)),
    ):
        if isinstance(kind, types):
            return number
    return 32


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for a message."""
    ordered = sorted(names)
    more = [f"and {len(ordered) - most} more"] if len(ordered) > most else []
    return ", ".join([*ordered[:most], *more]) or "none"


def in_chunks(values: Sequence[int], count: int = 5000) -> Iterator[Sequence[int]]:
    """Numbers for lists of a statement; those from 2^63 on apart, since MariaDB reads the whole
    table for a list with both."""
    ordered = sorted(values)
    for some in (
        [number for number in ordered if number < HALF],
        [number for number in ordered if number >= HALF],
    ):
        for start in range(0, len(some), count):
            yield some[start : start + count]


def empty_values(details: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """What a new row needs in the columns that nobody gives: "" or 0 where there must be a value,
    and no default. ``details`` as SQLAlchemy's inspector says them."""
    result: dict[str, Any] = {}
    for name, detail in details.items():
        if name in given or detail["nullable"] or detail.get("default") is not None:
            continue
        if detail.get("autoincrement") is True:
            continue
        kind = detail["type"]
        result[name] = 0 if _is_number(kind) else ""
    return result


def _is_number(kind: Any) -> bool:
    try:
        return kind.python_type in (int, float, bool) or kind.python_type.__name__ == "Decimal"
    except NotImplementedError:
        return False
