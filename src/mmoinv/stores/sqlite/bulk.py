"""Bulk statements for SQLite: arrays in, arrays out, few statements of few sizes.

sqlite3 gives up the GIL at every row that it steps over, and beside a busy event loop waits
for it each time: so many rows go into one statement, and what comes back comes as one row of
text. Texts have fixed sizes, so that the connection's statement cache holds all of them.
Knows the tables, not why they change.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import compress
from operator import not_
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.records import Batch
from mmoinv.stores.steps import (
    NO_GUIDS,
    NO_ITEMS,
    Balances,
    LedgerRows,
    Look,
    OwnedItems,
    Places,
    Seen,
    Sessions,
    U64Array,
    Write,
    check_written,
    take_records,
)
from mmoinv.stores.stored_rows import ROW_IS_U64, ROW_LIMITS
from mmoinv.stores.tables import LEDGER_COLUMNS, ROW_COLUMNS

I64Array = npt.NDArray[np.int64]

MAX_ROWS = 256
"""Rows of one statement; the sizes are the powers of two up to it."""
STATEMENT_CACHE_SIZE = 256


class Bulk(NamedTuple):
    """One kind of statement: ``text(rows)``, with ``columns`` parameters a row.

    Where ``repeatable``, a last row given several times changes nothing, and a short chunk is
    filled up with it; else it is cut into sizes that fit.
    """

    text: Callable[[int], str]
    columns: int
    repeatable: bool = True


def _marks(rows: int, row: str = "?") -> str:
    return ",".join([row] * rows)


def _pairs(rows: int) -> str:
    # Straight "IN (VALUES ...)" on a row value makes SQLite scan the whole table.
    return f"(SELECT column1, column2 FROM (VALUES {_marks(rows, '(?,?)')}))"


def _as_text(columns: Iterable[str]) -> str:
    """All rows as one text of numbers with commas; far quicker than a chain of ``||``."""
    names = list(columns)
    return f"group_concat(printf('{','.join(['%d'] * len(names))}', {', '.join(names)}))"


ROWS_AS_TEXT = _as_text(
    "ifnull(item_guid, 0)" if name == "item_guid" else name for name in ROW_COLUMNS
)
"""Rows of character_inventory, in the order of `ROW_COLUMNS`."""
SESSION_COLUMNS = ("character_guid", "world_id", "epoch", "version", "online")
SESSIONS = Bulk(
    lambda rows: (
        f"SELECT {_as_text(SESSION_COLUMNS)} FROM character_session "
        f"WHERE character_guid IN ({_marks(rows)})"
    ),
    1,
)
APPLIED = Bulk(
    lambda rows: (
        "SELECT group_concat(operation_id) FROM applied_operation "
        f"WHERE operation_id IN ({_marks(rows)})"
    ),
    1,
)
PLACE_COLUMNS = ("item_guid", "character_guid", "slot")
PLACES = Bulk(
    lambda rows: (
        f"SELECT {_as_text(PLACE_COLUMNS)} FROM character_inventory "
        f"WHERE item_guid IN ({_marks(rows)})"
    ),
    1,
)
STORED = Bulk(
    lambda rows: (
        f"SELECT {ROWS_AS_TEXT} FROM character_inventory WHERE character_guid IN ({_marks(rows)})"
    ),
    1,
)
BALANCE_COLUMNS = ("character_guid", "currency_id", "balance")
BALANCES = Bulk(
    lambda rows: (
        f"SELECT {_as_text(BALANCE_COLUMNS)} FROM character_wallet "
        f"WHERE character_guid IN ({_marks(rows)})"
    ),
    1,
)
EMPTY_CHARACTERS = Bulk(
    lambda rows: f"DELETE FROM character_inventory WHERE character_guid IN ({_marks(rows)})", 1
)
DELETE_SLOTS = Bulk(
    lambda rows: f"DELETE FROM character_inventory WHERE (character_guid, slot) IN {_pairs(rows)}",
    2,
)
INSERT_TEXT = f"INSERT INTO character_inventory ({', '.join(ROW_COLUMNS)}) VALUES "
INSERT_ROW = "(" + _marks(len(ROW_COLUMNS) - 1) + ",NULLIF(?,0))"
INSERT_ITEMS = Bulk(
    lambda rows: INSERT_TEXT + _marks(rows, INSERT_ROW), len(ROW_COLUMNS), repeatable=False
)
NO_ITEM = -1
"""In place of an item's guid, beside an entry of 0, where a row was to be updated and is not."""


def _update(fields: tuple[str, ...]) -> Bulk:
    # Cheaper than UPDATE ... FROM: these rows are known to be there, so that each insert becomes an
    # update of its slot. Should one be gone, a row is made that no item can have: see GONE.
    # Of a record that is written whole, that row is the record.
    others = dict.fromkeys(ROW_COLUMNS[2:-1], "0") | {"item_guid": str(NO_ITEM)}
    others = {name: value for name, value in others.items() if name not in fields}
    row = ",".join(["?"] * (2 + len(fields)) + [*others.values()])
    columns = ", ".join((*ROW_COLUMNS[:2], *fields, *others))
    sets = ", ".join(f"{name} = excluded.{name}" for name in fields if name != "item_guid")
    return Bulk(
        lambda rows: (
            f"INSERT INTO character_inventory ({columns}) VALUES {_marks(rows, f'({row})')} "
            f"ON CONFLICT (character_guid, slot) DO UPDATE SET {sets}"
        ),
        2 + len(fields),
    )


UPDATES = {
    fields: _update(fields)
    for fields in (
        ("stack_count",),
        ("durability",),
        ("stack_count", "durability"),
        ROW_COLUMNS[2:],
    )
}
"""By the fields that they set: what nearly all saves change, and everything."""
GONE = f"SELECT 1 FROM character_inventory WHERE item_guid = {NO_ITEM} AND entry = 0"
RAISE_VERSIONS = Bulk(
    lambda rows: (
        "UPDATE character_session SET version = version + 1 "
        f"WHERE character_guid IN ({_marks(rows)})"
    ),
    1,
)
APPLY_OPERATIONS = Bulk(
    lambda rows: (
        "INSERT INTO applied_operation (operation_id, applied_at) VALUES " + _marks(rows, "(?,?)")
    ),
    2,
    repeatable=False,
)
SET_BALANCES = Bulk(
    # Its key is the only one that there is.
    lambda rows: (
        f"INSERT INTO character_wallet ({', '.join(BALANCE_COLUMNS)}) VALUES "
        f"{_marks(rows, '(?,?,?)')} ON CONFLICT (character_guid, currency_id) DO UPDATE SET "
        "balance = excluded.balance"
    ),
    3,
)


def _note(columns: tuple[str, ...]) -> Bulk:
    return Bulk(
        lambda rows: (
            f"INSERT INTO inventory_ledger ({', '.join(columns)}) VALUES "
            + _marks(rows, f"({_marks(len(columns))})")
        ),
        len(columns),
        repeatable=False,
    )


NOTE_CHANGES = _note(LEDGER_COLUMNS[:-2])
NOTE_MORE_CHANGES = _note(LEDGER_COLUMNS)
"""With the last two: money, and other characters."""
INDEXED = (
    SESSIONS,
    APPLIED,
    PLACES,
    STORED,
    BALANCES,
    EMPTY_CHARACTERS,
    DELETE_SLOTS,
    RAISE_VERSIONS,
)
"""The statements that must find their rows by an index."""
ALL = (
    *INDEXED,
    *UPDATES.values(),
    INSERT_ITEMS,
    APPLY_OPERATIONS,
    SET_BALANCES,
    NOTE_CHANGES,
    NOTE_MORE_CHANGES,
)

_texts: dict[tuple[int, int], str] = {}


def _text(bulk: Bulk, rows: int) -> str:
    key = id(bulk), rows
    if key not in _texts:
        _texts[key] = bulk.text(rows)
    return _texts[key]


def _sizes(bulk: Bulk, count: int) -> Iterator[tuple[int, int, int]]:
    """(first row, rows behind it, rows of the statement) for each statement of ``count`` rows."""
    start = 0
    while start < count:
        left = min(count - start, MAX_ROWS)
        rows = 1 << left.bit_length() - 1
        if bulk.repeatable and rows < left:
            rows, taken = rows * 2, left
        else:
            taken = rows
        yield start, taken, rows
        start += taken


def _chunks(bulk: Bulk, values: I64Array) -> list[tuple[int, list[int]]]:
    """(rows, flat parameters) a statement; ``values`` has the shape (n, columns)."""
    chunks = []
    for start, taken, rows in _sizes(bulk, len(values)):
        flat: list[int] = values[start : start + taken].ravel().tolist()
        if taken < rows:
            flat += flat[-bulk.columns :] * (rows - taken)
        chunks.append((rows, flat))
    return chunks


def prepare(connection: sqlite3.Connection) -> None:
    """Compile every statement of every size now, not in the first large group: that would take
    as long again. Changes nothing; wants an open transaction."""
    rows = MAX_ROWS
    while rows:
        for bulk in ALL:
            # No column takes NULL, so that nothing is found and nothing inserted.
            with suppress(sqlite3.IntegrityError):
                connection.execute(_text(bulk, rows), [None] * (rows * bulk.columns)).fetchall()
        rows //= 2


def run(connection: sqlite3.Connection, bulk: Bulk, values: I64Array) -> None:
    """Run a statement that changes rows; ``values`` i64, shape (n, columns), n may be 0."""
    for rows, flat in _chunks(bulk, values):
        connection.execute(_text(bulk, rows), flat)


def numbers(text: str | None, columns: int) -> I64Array:
    """What `_as_text` gave as i64, shape (rows, columns)."""
    if not text:
        return np.empty((0, columns), np.int64)
    return np.fromstring(text, np.int64, sep=",").reshape(-1, columns)


def fetch(connection: sqlite3.Connection, bulk: Bulk, values: I64Array, columns: int) -> I64Array:
    """Run a query; i64, shape (rows found, columns), in any order."""
    parts = [
        numbers(connection.execute(_text(bulk, rows), flat).fetchone()[0], columns)
        for rows, flat in _chunks(bulk, values)
    ]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else numbers(None, columns)


# From and to the arrays of the group logic. u64 and i64 share their bits.


def signed(numbers: U64Array) -> I64Array:
    """u64 as one column of their two's complement, shape (n, 1)."""
    return numbers.astype("<u8").view(np.int64).reshape(-1, 1)


def unsigned(numbers: I64Array) -> U64Array:
    """The inverse of `signed` for one column."""
    return numbers.astype(np.int64).view(np.uint64)


def table_rows(owned: OwnedItems, columns: tuple[str, ...] = ROW_COLUMNS) -> I64Array:
    """Records as rows of the table, i64, shape (n, columns), in the order of their characters. The
    first column is ``character_guid``."""
    guids = signed(owned.character_guid)[:, 0]
    order = np.argsort(guids, kind="stable")
    items = take_records(owned.items, order)
    rows = np.empty((len(items), len(columns)), np.int64)
    rows[:, 0] = guids[order]
    for index, name in enumerate(columns[1:], 1):
        column = items[name]
        rows[:, index] = column.view(np.int64) if column.dtype.itemsize == 8 else column
    return rows


def look(connection: sqlite3.Connection, wanted: Look) -> Seen:
    """Answer a `Look` inside the open transaction."""
    sessions = fetch(connection, SESSIONS, signed(wanted.character_guids), len(SESSION_COLUMNS))
    applied = fetch(connection, APPLIED, signed(wanted.operation_ids), 1)
    places = fetch(connection, PLACES, signed(wanted.item_guids), len(PLACE_COLUMNS))
    stored, damaged = NO_ITEMS, NO_GUIDS
    if len(wanted.whole_characters):
        rows = fetch(connection, STORED, signed(wanted.whole_characters), len(ROW_COLUMNS))
        stored, damaged = _stored(rows)
    balances = fetch(connection, BALANCES, signed(wanted.wallet_characters), len(BALANCE_COLUMNS))
    return Seen(
        _sessions(sessions),
        unsigned(applied[:, 0]),
        Places(unsigned(places[:, 0]), unsigned(places[:, 1]), places[:, 2]),
        stored,
        damaged,
        Balances(unsigned(balances[:, 0]), balances[:, 1].astype(np.uint16), balances[:, 2]),
    )


def _sessions(rows: I64Array) -> Sessions:
    guids = unsigned(rows[:, 0])
    order = np.argsort(guids)
    rows = rows[order]
    return Sessions(
        guids[order],
        rows[:, 1],
        rows[:, 2].astype(np.uint32),
        unsigned(rows[:, 3]),
        rows[:, 4] != 0,
    )


def _stored(rows: I64Array) -> tuple[OwnedItems, U64Array]:
    """Rows in the order of `ROW_COLUMNS` as records, and whose rows no record can hold."""
    held = ((rows >= 0) & (rows <= ROW_LIMITS) | ROW_IS_U64).all(axis=1)
    damaged = NO_GUIDS
    if not held.all():
        damaged = unsigned(rows[~held, 0])
        rows = rows[held]
    items: Batch = np.empty(len(rows), NO_ITEMS.items.dtype)
    for index, name in enumerate(ROW_COLUMNS[1:], 1):
        items[name] = rows[:, index].view(np.uint64)
    return OwnedItems(unsigned(rows[:, 0]), items), damaged


def write(connection: sqlite3.Connection, changes: Write, now_s: int) -> None:
    """Do a `Write` inside the open transaction; ``now_s`` in seconds since 1970.

    Rows of large tables in the order of their tables: of a group of a thousand neighbours are
    often on one page, and raising versions takes half as long.
    """
    run(connection, EMPTY_CHARACTERS, signed(changes.emptied_characters))
    deleted = np.empty((len(changes.deleted.slot), 2), np.int64)
    deleted[:, 0] = signed(changes.deleted.character_guid)[:, 0]
    deleted[:, 1] = changes.deleted.slot
    run(connection, DELETE_SLOTS, deleted)
    update(connection, changes.updated, changes.changed_fields)
    run(connection, INSERT_ITEMS, table_rows(changes.inserted))
    run(connection, RAISE_VERSIONS, np.sort(signed(changes.committed_characters), axis=0))
    applied = np.empty((len(changes.committed_operations), 2), np.int64)
    applied[:, 0] = signed(changes.committed_operations)[:, 0]
    applied[:, 1] = now_s
    run(connection, APPLY_OPERATIONS, applied)
    if len(changes.balances.balance):
        run(
            connection,
            SET_BALANCES,
            np.stack(
                [
                    signed(changes.balances.character_guid)[:, 0],
                    changes.balances.currency_id.astype(np.int64),
                    changes.balances.balance,
                ],
                axis=1,
            ),
        )


def update(connection: sqlite3.Connection, owned: OwnedItems, changed: Iterable[str]) -> None:
    """Overwrite records that are stored in their slots, in which no other fields have ``changed``.
    `StoreDataError` if one is not there."""
    if not len(owned.items):
        return
    fields = next(fields for fields in UPDATES if set(changed) <= set(fields))
    run(connection, UPDATES[fields], table_rows(owned, (*ROW_COLUMNS[:2], *fields)))
    if connection.execute(GONE).fetchone() is not None:
        # Of a second one SQLite would have said that there is such a row already.
        check_written(len(owned.items) - 1, len(owned.items))


def note(connection: sqlite3.Connection, ledger: LedgerRows, now_s: int) -> None:
    """Add rows to the ledger."""
    columns: list[list[object]] = [
        signed(ledger.character_guid)[:, 0].tolist(),
        signed(ledger.version)[:, 0].tolist(),
        signed(ledger.operation_id)[:, 0].tolist(),
        [now_s] * len(ledger.changes),
        ledger.world_id.tolist(),
        ledger.reason.tolist(),
        [*ledger.changes],
    ]
    if any(ledger.money) or any(ledger.partners):
        pairs = zip(ledger.money, ledger.partners, strict=True)
        more = [money is not None or others is not None for money, others in pairs]
        whole: list[list[object]] = [*columns, [*ledger.money], [*ledger.partners]]
        _run_columns(connection, NOTE_MORE_CHANGES, [[*compress(one, more)] for one in whole])
        columns = [[*compress(one, map(not_, more))] for one in columns]
    _run_columns(connection, NOTE_CHANGES, columns)


def _run_columns(connection: sqlite3.Connection, bulk: Bulk, columns: list[list[object]]) -> None:
    """Run a statement that adds rows, given as columns."""
    for start, taken, rows in _sizes(bulk, len(columns[0])):
        flat: list[object] = [None] * (rows * bulk.columns)
        for place, column in enumerate(columns):
            flat[place :: bulk.columns] = column[start : start + taken]
        connection.execute(_text(bulk, rows), flat)
