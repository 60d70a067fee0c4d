"""Bulk statements for PostgreSQL: arrays in, arrays out, a few statements a group.

Keys go in as arrays, what comes back comes as one packed array a column, and records go in by
COPY, packed by numpy: no Python object a row. Knows the tables, not why they change.
"""

import io
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.codec import find_keys
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
)
from mmoinv.stores.stored_rows import ROW_IS_U64, ROW_LIMITS
from mmoinv.stores.tables import LEDGER_COLUMNS, ROW_COLUMNS

I64Array = npt.NDArray[np.int64]

CHANGED_COLUMNS = ROW_COLUMNS[:-1]
"""Of a record whose item stays in its slot: the guid does not change."""
WRITER_SETTINGS = """
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
CREATE TEMPORARY TABLE changed_item (
    {columns}
) ON COMMIT DELETE ROWS;
""".replace("{columns}", ", ".join(f"{name} bigint" for name in CHANGED_COLUMNS))
"""Every statement finds its rows by a key, whatever the statistics say; and the records that
change go through a table of the session's own."""
SAFE_COMMIT = "SET synchronous_commit = on"
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


def _packed(columns: tuple[str, ...], query: str) -> str:
    """The query's result as one packed array a column; NULL where there is no row."""
    arrays = ", ".join(f"array_send(array_agg({name}::bigint))" for name in columns)
    return f"WITH found AS MATERIALIZED ({query}) SELECT {arrays} FROM found"


SESSION_COLUMNS = ("character_guid", "world_id", "epoch", "version", "online")
LOCK_AND_RAISE = _packed(
    SESSION_COLUMNS,
    # Locked and raised in one go: nearly every operation that is looked at is committed.
    "UPDATE character_session SET version = version + 1 "
    "WHERE character_guid = ANY($1::bigint[]) "
    "RETURNING character_guid, world_id, epoch, version - 1 AS version, online",
)
SESSIONS = _packed(
    SESSION_COLUMNS,
    f"SELECT {', '.join(SESSION_COLUMNS)} FROM character_session "
    "WHERE character_guid = ANY($1::bigint[])",
)
RAISE_VERSIONS = (
    "UPDATE character_session SET version = version + $2 WHERE character_guid = ANY($1::bigint[])"
)
APPLIED = _packed(
    ("operation_id",),
    "SELECT operation_id FROM applied_operation WHERE operation_id = ANY($1::bigint[])",
)
PLACE_COLUMNS = ("item_guid", "character_guid", "slot")
PLACES = _packed(
    PLACE_COLUMNS,
    f"SELECT {', '.join(PLACE_COLUMNS)} FROM character_inventory "
    "WHERE item_guid = ANY($1::bigint[])",
)
STORED = _packed(
    (*ROW_COLUMNS[:-1], "coalesce(item_guid, 0)"),
    f"SELECT {', '.join(ROW_COLUMNS)} FROM character_inventory "
    "WHERE character_guid = ANY($1::bigint[])",
)
BALANCE_COLUMNS = ("character_guid", "currency_id", "balance")
BALANCES = _packed(
    BALANCE_COLUMNS,
    f"SELECT {', '.join(BALANCE_COLUMNS)} FROM character_wallet "
    "WHERE character_guid = ANY($1::bigint[])",
)
SET_BALANCES = (
    f"INSERT INTO character_wallet ({', '.join(BALANCE_COLUMNS)}) "
    "SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) "
    "ON CONFLICT (character_guid, currency_id) DO UPDATE SET balance = excluded.balance"
)
NOTE_CHANGES = (
    f"INSERT INTO inventory_ledger ({', '.join(LEDGER_COLUMNS)}) "
    "SELECT guid, version, operation, $9, world, reason, changes, money, partners "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bytea[], $7::bytea[], $8::bytea[]) "
    "AS n (guid, version, operation, world, reason, changes, money, partners)"
)
EMPTY_CHARACTERS = "DELETE FROM character_inventory WHERE character_guid = ANY($1::bigint[])"
DELETE_SLOTS = (
    "DELETE FROM character_inventory i USING unnest($1::bigint[], $2::bigint[]) AS d (guid, slot) "
    "WHERE i.character_guid = d.guid AND i.slot = d.slot"
)


APPLY_OPERATIONS = (
    "INSERT INTO applied_operation (operation_id, applied_at) "
    "SELECT o, $2 FROM unnest($1::bigint[]) AS o"
)


@lru_cache(maxsize=64)
def update_changed(fields: tuple[str, ...]) -> str:
    """Note operations as applied, and write these columns of the temporary table into their rows;
    its status says how many there were."""
    return (
        f"WITH applied AS ({APPLY_OPERATIONS}) UPDATE character_inventory i SET "
        + ", ".join(f"{name} = c.{name}" for name in fields)
        + " FROM changed_item c WHERE i.character_guid = c.character_guid AND i.slot = c.slot"
    )


def _arrays(columns: int, first: int = 1) -> str:
    return ", ".join(f"${number}::bigint[]" for number in range(first, first + columns))


FEW_ROWS = 48
"""Up to so many records go in as arrays, in one statement; more by COPY, which costs two round
trips more and far less a row."""
FINISH_FEW = (
    f"WITH applied AS ({APPLY_OPERATIONS}) UPDATE character_inventory i SET "
    + ", ".join(f"{name} = c.{name}" for name in CHANGED_COLUMNS[2:])
    + f" FROM unnest({_arrays(len(CHANGED_COLUMNS), 3)}) AS c ({', '.join(CHANGED_COLUMNS)}) "
    "WHERE i.character_guid = c.character_guid AND i.slot = c.slot"
)
INSERT_FEW = (
    f"INSERT INTO character_inventory ({', '.join(ROW_COLUMNS)}) "
    f"SELECT {', '.join(CHANGED_COLUMNS)}, NULLIF(item_guid, 0) "
    f"FROM unnest({_arrays(len(ROW_COLUMNS))}) AS n ({', '.join(ROW_COLUMNS)})"
)
CLEAR_CHANGED = "DELETE FROM changed_item"
ALL = {
    "lock": LOCK_AND_RAISE,
    "sessions": SESSIONS,
    "raise": RAISE_VERSIONS,
    "applied": APPLIED,
    "places": PLACES,
    "stored": STORED,
    "empty": EMPTY_CHARACTERS,
    "delete": DELETE_SLOTS,
    "update": update_changed(CHANGED_COLUMNS[2:]),
    "finish few": FINISH_FEW,
    "balances": BALANCES,
}

ARRAY_HEADER_BYTES = 20
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])
_WIDTHS = {name: 4 if name in ("slot", "stack_count") else 8 for name in ROW_COLUMNS}
"""Bytes of the columns' types: integer or bigint."""


def unpack(packed: bytes | None) -> I64Array:
    """A packed bigint array, as `_packed` asks for it."""
    if packed is None:
        return np.empty(0, np.int64)
    elements = np.frombuffer(packed, _ELEMENT, offset=ARRAY_HEADER_BYTES)
    return elements["value"].astype(np.int64)


async def fetch(raw: Any, query: str, keys: U64Array, columns: int) -> list[I64Array]:
    """Run one of the packed queries; i64 columns of equal length."""
    if not len(keys):
        return [np.empty(0, np.int64)] * columns
    row = await raw.fetchrow(query, signed(keys))
    return [unpack(value) for value in row]


def signed(numbers: U64Array) -> list[int]:
    """u64 as a list of their two's complements."""
    values: list[int] = numbers.view(np.int64).tolist()
    return values


class Transaction:
    """The statements of one open transaction.

    The versions of the characters that were looked at are raised at once; whose operation is
    refused is put back before anything else, or the commit (`settle`).
    """

    def __init__(self, raw: Any, now_s: int) -> None:
        """``raw`` is asyncpg's connection; ``now_s`` in seconds since 1970."""
        self._raw = raw
        self._now_s = now_s
        self._ahead: U64Array = NO_GUIDS
        """Whose stored version is one more than it should be, ascending."""
        self._has_changed = False

    async def look(self, wanted: Look) -> Seen:
        """Answer a `Look`; the sessions are locked first."""
        sessions = await self._look_at_sessions(wanted.character_guids)
        (applied,) = await fetch(self._raw, APPLIED, wanted.operation_ids, 1)
        places = await fetch(self._raw, PLACES, wanted.item_guids, len(PLACE_COLUMNS))
        stored, damaged = NO_ITEMS, NO_GUIDS
        if len(wanted.whole_characters):
            stored, damaged = _stored(
                await fetch(self._raw, STORED, wanted.whole_characters, len(ROW_COLUMNS))
            )
        balances = await fetch(self._raw, BALANCES, wanted.wallet_characters, len(BALANCE_COLUMNS))
        return Seen(
            sessions,
            applied.view(np.uint64),
            Places(places[0].view(np.uint64), places[1].view(np.uint64), places[2]),
            stored,
            damaged,
            Balances(balances[0].view(np.uint64), balances[1].astype(np.uint16), balances[2]),
        )

    async def _look_at_sessions(self, guids: U64Array) -> Sessions:
        again = _is_in(guids, self._ahead)
        parts = [
            await fetch(self._raw, LOCK_AND_RAISE, guids[~again], len(SESSION_COLUMNS)),
            await fetch(self._raw, SESSIONS, guids[again], len(SESSION_COLUMNS)),
        ]
        parts[1][3] -= 1
        self._ahead = np.union1d(self._ahead, parts[0][0].view(np.uint64))
        columns = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
        return _sessions(columns)

    async def write(self, changes: Write) -> Coroutine[Any, Any, None] | None:
        """Do a `Write`; what is given back does the rest of it."""
        raw = self._raw
        if len(changes.emptied_characters):
            await raw.execute(EMPTY_CHARACTERS, signed(changes.emptied_characters))
        if len(changes.deleted.slot):
            await raw.execute(
                DELETE_SLOTS,
                signed(changes.deleted.character_guid),
                changes.deleted.slot.tolist(),
            )
        await self._insert(changes.inserted)
        raised = _is_in(changes.committed_characters, self._ahead)
        await self._raise(changes.committed_characters[~raised], 1)
        self._ahead = np.setdiff1d(self._ahead, changes.committed_characters)
        await self._set_balances(changes.balances)
        updated, operations = changes.updated, changes.committed_operations.view(np.int64)
        if len(updated.items) <= FEW_ROWS and len(operations) <= FEW_ROWS:
            columns = [column.tolist() for column in _columns(updated, CHANGED_COLUMNS)]
            status = await raw.execute(FINISH_FEW, operations.tolist(), self._now_s, *columns)
            _check_updated(status, len(updated.items))
            return None
        names = (*CHANGED_COLUMNS[:2], *changes.changed_fields)
        await self._bring_changed(updated, names)
        return self._finish(operations, len(updated.items), changes.changed_fields)

    async def _finish(self, operations: I64Array, updated: int, fields: tuple[str, ...]) -> None:
        """Overwrite these fields of as many records as were brought, and note operations."""
        arguments = operations.tolist(), self._now_s
        if updated:
            status = await self._raw.execute(update_changed(fields), *arguments)
            _check_updated(status, updated)
        else:
            await self._raw.execute(APPLY_OPERATIONS, *arguments)

    async def _set_balances(self, balances: Balances) -> None:
        if len(balances.balance):
            await self._raw.execute(
                SET_BALANCES,
                signed(balances.character_guid),
                balances.currency_id.tolist(),
                balances.balance.tolist(),
            )

    def note(self, ledger: LedgerRows) -> Callable[[], Coroutine[Any, Any, object]]:
        """What adds rows to the ledger."""
        if len(ledger.changes) > FEW_ROWS:
            data = ledger_data(ledger, self._now_s)
            return partial(self._copy_bytes, "inventory_ledger", LEDGER_COLUMNS, data)
        return partial(
            self._raw.execute,
            NOTE_CHANGES,
            signed(ledger.character_guid),
            signed(ledger.version),
            signed(ledger.operation_id),
            ledger.world_id.tolist(),
            ledger.reason.tolist(),
            ledger.changes,
            ledger.money,
            ledger.partners,
            self._now_s,
        )

    async def settle(self) -> None:
        """Put the versions back that were raised for nothing."""
        await self._raise(self._ahead, -1)
        self._ahead = NO_GUIDS

    async def _raise(self, guids: U64Array, by: int) -> None:
        if len(guids):
            await self._raw.execute(RAISE_VERSIONS, signed(guids), by)

    async def _bring_changed(self, owned: OwnedItems, names: tuple[str, ...]) -> None:
        """Fill the temporary table with these columns of records whose item stays in its slot."""
        if not len(owned.items):
            return
        if self._has_changed:
            await self._raw.execute(CLEAR_CHANGED)
        self._has_changed = True
        # Neighbours in the table one after the other.
        owned = owned.where(np.lexsort((owned.items["slot"], owned.character_guid.view(np.int64))))
        await self._copy("changed_item", names, *_columns(owned, names))

    async def _insert(self, owned: OwnedItems) -> None:
        """Insert records; one without a guid has none, and its own shorter rows."""
        if not len(owned.items):
            return
        if len(owned.items) <= FEW_ROWS:
            columns = [column.tolist() for column in _columns(owned, ROW_COLUMNS)]
            await self._raw.execute(INSERT_FEW, *columns)
            return
        named = owned.items["item_guid"] != 0
        parts = [(owned, ROW_COLUMNS)]
        if not named.all():
            parts = [(owned.where(named), ROW_COLUMNS), (owned.where(~named), CHANGED_COLUMNS)]
        for some, names in parts:
            await self._copy("character_inventory", names, *_columns(some, names))

    async def _copy(self, table: str, names: tuple[str, ...], *columns: I64Array) -> None:
        if not len(columns[0]):
            return
        widths = [8] * len(names)
        if table == "character_inventory":
            widths = [_WIDTHS[name] for name in names]
        await self._copy_bytes(table, names, copy_data(columns, widths))

    async def _copy_bytes(self, table: str, names: tuple[str, ...], data: bytes) -> None:
        await self._raw.copy_to_table(
            table, source=io.BytesIO(data), columns=names, format="binary"
        )


def _sessions(columns: list[I64Array]) -> Sessions:
    guids = columns[0].view(np.uint64)
    order = np.argsort(guids)
    return Sessions(
        guids[order],
        columns[1][order],
        columns[2][order].astype(np.uint32),
        columns[3][order].view(np.uint64),
        columns[4][order] != 0,
    )


def _stored(columns: list[I64Array]) -> tuple[OwnedItems, U64Array]:
    """Columns in the order of `ROW_COLUMNS` as records, and whose rows no record can hold."""
    held = np.ones(len(columns[0]), np.bool_)
    for column, is_u64, limit in zip(columns, ROW_IS_U64, ROW_LIMITS, strict=True):
        if not is_u64:
            held &= (column >= 0) & (column <= limit)
    damaged = NO_GUIDS
    if not held.all():
        damaged = columns[0][~held].view(np.uint64)
        columns = [column[held] for column in columns]
    items: Batch = np.empty(len(columns[0]), NO_ITEMS.items.dtype)
    for name, column in zip(ROW_COLUMNS[1:], columns[1:], strict=True):
        items[name] = column.view(np.uint64)
    return OwnedItems(columns[0].view(np.uint64), items), damaged


def _columns(owned: OwnedItems, names: tuple[str, ...]) -> list[I64Array]:
    """Records as columns of the table, i64."""
    return [
        owned.character_guid.view(np.int64)
        if name == "character_guid"
        else owned.items[name].astype(np.uint64).view(np.int64)
        for name in names
    ]


def _is_in(values: U64Array, among: U64Array) -> npt.NDArray[np.bool_]:
    return find_keys(among, values) >= 0


def _check_updated(status: str, wanted: int) -> None:
    check_written(int(status.removeprefix("UPDATE ")), wanted)


COPY_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"


def copy_data(columns: Sequence[I64Array], widths: Sequence[int]) -> bytes:
    """Columns in the binary format of COPY; ``widths`` in bytes, 4 or 8."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for index, width in enumerate(widths):
        fields += [(f"width {index}", ">i4"), (f"value {index}", f">i{width}")]
    rows = np.empty(len(columns[0]), np.dtype(fields))
    rows["fields"] = len(columns)
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        rows[f"width {index}"] = width
        rows[f"value {index}"] = column
    return COPY_SIGNATURE + rows.tobytes() + COPY_END


_LEDGER_HEAD = [
    ("character_guid", ">i8"),
    ("version", ">i8"),
    ("operation_id", ">i8"),
    ("committed_at", ">i8"),
    ("world_id", ">i4"),
    ("reason", ">i4"),
]
"""The columns of the ledger that have a width, in their order; the others are bytes."""


def ledger_data(ledger: LedgerRows, now_s: int) -> bytes:
    """Rows of the ledger in the binary format of COPY, in the order of `LEDGER_COLUMNS`."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in _LEDGER_HEAD:
        fields += [(f"width of {name}", ">i4"), (name, kind)]
    heads = np.empty(len(ledger.changes), np.dtype([*fields, ("changes", ">i4")]))
    heads["fields"] = len(LEDGER_COLUMNS)
    for name, kind in _LEDGER_HEAD:
        heads[f"width of {name}"] = int(kind[-1])
    for name in ("character_guid", "version", "operation_id"):
        heads[name] = getattr(ledger, name).view(np.int64)
    heads["committed_at"] = now_s
    heads["world_id"], heads["reason"] = ledger.world_id, ledger.reason
    heads["changes"] = [len(changes) for changes in ledger.changes]
    packed, size = heads.tobytes(), heads.itemsize
    parts = [COPY_SIGNATURE]
    for index, (changes, money, partners) in enumerate(
        zip(ledger.changes, ledger.money, ledger.partners, strict=True)
    ):
        head = packed[index * size : (index + 1) * size]
        parts += (head, changes, _field(money), _field(partners))
    return b"".join([*parts, COPY_END])


def _field(value: bytes | None) -> bytes:
    """A field of COPY: NULL has the length -1."""
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value
