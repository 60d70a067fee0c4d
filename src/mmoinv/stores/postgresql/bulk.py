"""Bulk statements for PostgreSQL: arrays in, arrays out, a few statements a group.

Columns go in as arrays, what comes back comes as one packed array a column, and new records go
in by COPY, packed by numpy: no Python object a row. Knows the tables, not why they change.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.records import Batch
from mmoinv.stores.steps import (
    NO_GUIDS,
    NO_ITEMS,
    Look,
    OwnedItems,
    Places,
    Seen,
    Sessions,
    U64Array,
    Write,
)
from mmoinv.stores.tables import COLUMN_SIZES, ROW_COLUMNS

I64Array = npt.NDArray[np.int64]

WRITER_SETTINGS = """
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
"""
"""Every statement finds its rows by a key, whatever the statistics say."""
SAFE_COMMIT = "SET synchronous_commit = on"
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


def _packed(columns: tuple[str, ...], query: str) -> str:
    """The query's result as one packed array a column; NULL where there is no row."""
    arrays = ", ".join(f"array_send(array_agg({name}::bigint))" for name in columns)
    return f"WITH found AS MATERIALIZED ({query}) SELECT {arrays} FROM found"


SESSION_COLUMNS = ("character_guid", "world_id", "epoch", "version", "online")
SESSIONS = _packed(
    SESSION_COLUMNS,
    f"SELECT {', '.join(SESSION_COLUMNS)} FROM character_session "
    "WHERE character_guid = ANY($1::bigint[]) ORDER BY character_guid FOR UPDATE",
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
EMPTY_CHARACTERS = "DELETE FROM character_inventory WHERE character_guid = ANY($1::bigint[])"
DELETE_SLOTS = (
    "DELETE FROM character_inventory i USING unnest($1::bigint[], $2::bigint[]) AS d (guid, slot) "
    "WHERE i.character_guid = d.guid AND i.slot = d.slot"
)
_VALUES = ROW_COLUMNS[2:-1]
"""What changes when an item stays in its slot."""
_UPDATE_PARAMETERS = ", ".join(f"${n}::bigint[]" for n in range(3, 3 + 2 + len(_VALUES)))
FINISH = (
    # One statement for what touches rows of its own: the records whose item stays in its slot,
    # the versions, the applied operations. $1 and $2 are the operations and the time.
    "WITH updated AS (UPDATE character_inventory i SET "
    + ", ".join(f"{name} = u.{name}" for name in _VALUES)
    + f" FROM unnest({_UPDATE_PARAMETERS}) AS u (character_guid, slot, {', '.join(_VALUES)}) "
    "WHERE i.character_guid = u.character_guid AND i.slot = u.slot), "
    "raised AS (UPDATE character_session SET version = version + 1 "
    f"WHERE character_guid = ANY(${5 + len(_VALUES)}::bigint[])) "
    "INSERT INTO applied_operation (operation_id, applied_at) "
    "SELECT o, $2 FROM unnest($1::bigint[]) AS o"
)
ALL = {
    "sessions": SESSIONS,
    "applied": APPLIED,
    "places": PLACES,
    "stored": STORED,
    "empty": EMPTY_CHARACTERS,
    "delete": DELETE_SLOTS,
    "finish": FINISH,
}

ARRAY_HEADER_BYTES = 20
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])
_WIDTHS = {name: 4 if name in ("slot", "stack_count") else 8 for name in ROW_COLUMNS}
"""Bytes of the columns' types: integer or bigint."""
ROW_IS_U64 = np.array([COLUMN_SIZES[name] == 8 for name in ROW_COLUMNS])
ROW_LIMITS = np.array([2 ** (8 * min(COLUMN_SIZES[name], 4)) - 1 for name in ROW_COLUMNS])


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


async def look(raw: Any, wanted: Look) -> Seen:
    """Answer a `Look` inside the open transaction; the sessions are locked first."""
    sessions = await fetch(raw, SESSIONS, wanted.character_guids, len(SESSION_COLUMNS))
    (applied,) = await fetch(raw, APPLIED, wanted.operation_ids, 1)
    places = await fetch(raw, PLACES, wanted.item_guids, len(PLACE_COLUMNS))
    stored, damaged = NO_ITEMS, NO_GUIDS
    if len(wanted.whole_characters):
        stored, damaged = _stored(
            await fetch(raw, STORED, wanted.whole_characters, len(ROW_COLUMNS))
        )
    return Seen(
        _sessions(sessions),
        applied.view(np.uint64),
        Places(places[0].view(np.uint64), places[1].view(np.uint64), places[2]),
        stored,
        damaged,
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


async def write(raw: Any, changes: Write, now_s: int) -> None:
    """Do a `Write` inside the open transaction; ``now_s`` in seconds since 1970."""
    if len(changes.emptied_characters):
        await raw.execute(EMPTY_CHARACTERS, signed(changes.emptied_characters))
    if len(changes.deleted.slot):
        await raw.execute(
            DELETE_SLOTS, signed(changes.deleted.character_guid), changes.deleted.slot.tolist()
        )
    updated = changes.updated
    await raw.execute(
        FINISH,
        signed(changes.committed_operations),
        now_s,
        signed(updated.character_guid),
        updated.items["slot"].tolist(),
        *(_column(updated.items, name) for name in _VALUES),
        signed(changes.committed_characters),
    )
    await insert(raw, changes.inserted)


def _column(items: Batch, name: str) -> list[int]:
    values: list[int] = items[name].astype(np.uint64).view(np.int64).tolist()
    return values


async def insert(raw: Any, owned: OwnedItems) -> None:
    """Insert records by COPY. One without a guid has none, and its own shorter rows."""
    if not len(owned.items):
        return
    named = owned.items["item_guid"] != 0
    for is_named, columns in ((True, ROW_COLUMNS), (False, ROW_COLUMNS[:-1])):
        some = owned if named.all() else owned.where(named == is_named)
        if not len(some.items):
            continue
        await raw.copy_to_table(
            "character_inventory",
            source=io.BytesIO(copy_data(some, columns)),
            columns=columns,
            format="binary",
        )
        if named.all():
            return


COPY_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"


def copy_data(owned: OwnedItems, columns: tuple[str, ...]) -> bytes:
    """Records in the binary format of COPY."""
    row = np.dtype(
        [("fields", ">i2")]
        + [
            entry
            for name in columns
            for entry in ((f"{name} width", ">i4"), (name, f">i{_WIDTHS[name]}"))
        ]
    )
    rows = np.empty(len(owned.items), row)
    rows["fields"] = len(columns)
    for name in columns:
        rows[f"{name} width"] = _WIDTHS[name]
        values = owned.character_guid if name == "character_guid" else owned.items[name]
        rows[name] = values.view(np.int64) if values.dtype.itemsize == 8 else values
    return COPY_SIGNATURE + rows.tobytes() + COPY_END
