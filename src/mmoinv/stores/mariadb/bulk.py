"""Bulk statements for MariaDB and MySQL: arrays in, arrays out, one text of statements a step.

Only numbers stand in the texts, so there is nothing to escape. A list of literals with numbers
on both sides of 2^63 makes the server scan the table, and so does a list of one pair: both are
written otherwise. Knows the tables, not why they change.
"""

from collections.abc import Sequence
from typing import Any

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
)
from mmoinv.stores.tables import LEDGER_COLUMNS, ROW_COLUMNS

Rows = Sequence[Sequence[Any]]
HALF = 1 << 63

WRITER_SETTINGS = """
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1,
    innodb_lock_wait_timeout = {lock_timeout_s:d};
/*M! SET SESSION max_statement_time = {statement_timeout_s:f},
    idle_transaction_timeout = {idle_timeout_s:d} */;
CREATE TEMPORARY TABLE IF NOT EXISTS changed_item ({columns}) ENGINE = MEMORY
"""
"""Without the strict mode a NULL for a column that takes none would become 0. Many records that
change go through a table of the session's own."""
BEGIN = "START TRANSACTION READ WRITE"
SESSION_COLUMNS = ("character_guid", "world_id", "epoch", "version", "online")
KINDS = ("sessions", "applied", "places", "stored", "balances")
"""Of rows that a `Look` asks for."""
BALANCE_COLUMNS = ("character_guid", "currency_id", "balance")
PLACE_COLUMNS = ("item_guid", "character_guid", "slot")
VALUES = ROW_COLUMNS[2:-1]
"""What changes when an item stays in its slot."""
INSERT = f"INSERT INTO character_inventory ({', '.join(ROW_COLUMNS)}) VALUES "
_ROW = "(" + ",".join(["%d"] * (len(ROW_COLUMNS) - 1)) + ",NULLIF(%d,0))"
CHANGED_COLUMNS = ", ".join(f"{name} BIGINT UNSIGNED" for name in ROW_COLUMNS[:-1])
FEW_ROWS = 48
"""Up to so many records that change are one statement, and are sent together with the ledger and
the COMMIT."""
IN_PLACE = (
    # These rows are known to be there. Should an item guid be a stranger's all the same, that
    # row is what the server would update: then entry, which takes no NULL, refuses it.
    " ON DUPLICATE KEY UPDATE entry = IF(character_guid = VALUES(character_guid) "
    "AND slot = VALUES(slot), VALUES(entry), NULL), "
    + ", ".join(f"{name} = VALUES({name})" for name in VALUES if name != "entry")
)


def is_in(column: str, numbers: U64Array) -> list[str]:
    """Conditions that together say that the column is one of the numbers."""
    halves = numbers < HALF
    return [
        f"{column} IN ({','.join(map(str, some.tolist()))})"
        for some in (numbers[halves], numbers[~halves])
        if len(some)
    ]


def _each(statement: str, conditions: list[str], tail: str = "") -> list[str]:
    return [f"{statement} WHERE {condition}{tail}" for condition in conditions]


def selects(look: Look) -> list[tuple[str, list[str]]]:
    """What a `Look` asks, by the kind of rows, the sessions first: they are locked."""
    return [
        (
            "sessions",
            _each(
                f"SELECT {', '.join(SESSION_COLUMNS)} FROM character_session",
                is_in("character_guid", look.character_guids),
                " ORDER BY character_guid FOR UPDATE",
            ),
        ),
        (
            "applied",
            _each(
                "SELECT operation_id FROM applied_operation",
                is_in("operation_id", look.operation_ids),
            ),
        ),
        (
            "places",
            _each(
                f"SELECT {', '.join(PLACE_COLUMNS)} FROM character_inventory",
                is_in("item_guid", look.item_guids),
            ),
        ),
        (
            "stored",
            _each(
                f"SELECT {', '.join(ROW_COLUMNS[:-1])}, IFNULL(item_guid, 0) "
                "FROM character_inventory",
                is_in("character_guid", look.whole_characters),
            ),
        ),
        (
            "balances",
            _each(
                # Two's complement: all numbers are read as u64.
                f"SELECT {', '.join(BALANCE_COLUMNS[:-1])}, CAST({BALANCE_COLUMNS[-1]} AS UNSIGNED)"
                " FROM character_wallet",
                is_in("character_guid", look.wallet_characters),
            ),
        ),
    ]


def seen(rows: dict[str, list[Any]]) -> Seen:
    """The answer to a `Look`, from the rows of each kind."""
    sessions = _columns(rows["sessions"], len(SESSION_COLUMNS))
    order = np.argsort(sessions[0])
    sessions = sessions[:, order]
    places = _columns(rows["places"], len(PLACE_COLUMNS))
    balances = _columns(rows["balances"], len(BALANCE_COLUMNS))
    columns = _columns(rows["stored"], len(ROW_COLUMNS))
    items: Batch = np.empty(columns.shape[1], NO_ITEMS.items.dtype)
    for name, column in zip(ROW_COLUMNS[1:], columns[1:], strict=True):
        items[name] = column
    return Seen(
        Sessions(
            sessions[0],
            sessions[1].astype(np.int64),
            sessions[2].astype(np.uint32),
            sessions[3],
            sessions[4] != 0,
        ),
        _columns(rows["applied"], 1)[0],
        Places(places[0], places[1], places[2].astype(np.int64)),
        OwnedItems(columns[0], items),
        # The columns' types hold nothing that a record cannot.
        NO_GUIDS,
        Balances(balances[0], balances[1].astype(np.uint16), balances[2].view(np.int64)),
    )


def _columns(rows: Rows, columns: int) -> npt.NDArray[np.uint64]:
    """Rows of numbers as u64, shape (columns, rows), contiguous columns."""
    if not rows:
        return np.empty((columns, 0), np.uint64)
    return np.ascontiguousarray(np.array(rows, np.uint64).T)


def changes(write: Write, now_s: int) -> list[str]:
    """The statements of a `Write`, in order; ``now_s`` in seconds since 1970."""
    texts = _each(
        "DELETE FROM character_inventory", is_in("character_guid", write.emptied_characters)
    )
    texts += _each(
        "DELETE FROM character_inventory",
        pairs_in(write.deleted.character_guid, write.deleted.slot),
    )
    if len(write.updated.items) > FEW_ROWS:
        texts += _update(write.updated, write.changed_fields)
    elif len(write.updated.items):
        texts.append(INSERT + _rows(write.updated) + IN_PLACE)
    if len(write.inserted.items):
        texts.append(INSERT + _rows(write.inserted))
    texts += _each(
        "UPDATE character_session SET version = version + 1",
        is_in("character_guid", write.committed_characters),
    )
    if len(write.committed_operations):
        values = f",{now_s}),(".join(map(str, write.committed_operations.tolist()))
        texts.append(
            f"INSERT INTO applied_operation (operation_id, applied_at) VALUES ({values},{now_s})"
        )
    balances = write.balances
    if len(balances.balance):
        rows = zip(*(column.tolist() for column in balances), strict=True)
        # Its key is the only one that there is.
        texts.append(
            f"INSERT INTO character_wallet ({', '.join(BALANCE_COLUMNS)}) VALUES "
            + ",".join([f"({guid},{currency},{amount})" for guid, currency, amount in rows])
            + " ON DUPLICATE KEY UPDATE balance = VALUES(balance)"
        )
    return texts


UPDATE = "UPDATE changed_item c STRAIGHT_JOIN character_inventory i "
"""How the statement begins whose count of rows is to be looked at."""


def _update(owned: OwnedItems, fields: tuple[str, ...]) -> list[str]:
    """Overwrite these fields of rows that are known to be there: a third less work for the server
    than as an upsert, mostly because what has not changed need not be read."""
    names = "character_guid", "slot", *fields
    columns = np.empty((len(owned.items), len(names)), np.uint64)
    columns[:, 0] = owned.character_guid
    for index, name in enumerate(names[1:], 1):
        columns[:, index] = owned.items[name]
    row = "(" + ",".join(["%d"] * len(names)) + ")"
    values = ",".join([row] * len(columns)) % tuple(columns.ravel().tolist())
    return [
        # The table's engine knows no rollback: what is left of another transaction goes.
        "DELETE FROM changed_item",
        f"INSERT INTO changed_item ({', '.join(names)}) VALUES {values}",
        UPDATE
        + "ON i.character_guid = c.character_guid AND i.slot = c.slot SET "
        + ", ".join(f"i.{name} = c.{name}" for name in fields),
    ]


def note(ledger: LedgerRows, now_s: int) -> str:
    """Rows of the ledger as an INSERT."""
    rows = zip(
        ledger.character_guid.tolist(),
        ledger.version.tolist(),
        ledger.operation_id.tolist(),
        ledger.world_id.tolist(),
        ledger.reason.tolist(),
        ledger.changes,
        map(_bytes, ledger.money),
        map(_bytes, ledger.partners),
        strict=True,
    )
    values = [
        f"({guid},{version},{operation},{now_s},{world},{reason},x'{changes.hex()}',{money},"
        f"{partners})"
        for guid, version, operation, world, reason, changes, money, partners in rows
    ]
    columns = ", ".join(LEDGER_COLUMNS)
    return f"INSERT INTO inventory_ledger ({columns}) VALUES {','.join(values)}"


def _bytes(value: bytes | None) -> str:
    return "NULL" if value is None else f"x'{value.hex()}'"


def pairs_in(guids: U64Array, slots: npt.NDArray[np.uint16]) -> list[str]:
    """Conditions that together say that (character_guid, slot) is one of the pairs."""
    conditions = []
    halves = guids < HALF
    for half in (halves, ~halves):
        count = int(half.sum())
        flat = np.empty((count, 2), np.uint64)
        flat[:, 0], flat[:, 1] = guids[half], slots[half]
        numbers = tuple(flat.ravel().tolist())
        if count == 1:
            conditions.append("character_guid = {} AND slot = {}".format(*numbers))
        elif count:
            text = ",".join(["(%d,%d)"] * count) % numbers
            conditions.append(f"(character_guid, slot) IN ({text})")
    return conditions


def _rows(owned: OwnedItems) -> str:
    """Records as rows of an INSERT, in the order of `ROW_COLUMNS`."""
    columns = np.empty((len(owned.items), len(ROW_COLUMNS)), np.uint64)
    columns[:, 0] = owned.character_guid
    for index, name in enumerate(ROW_COLUMNS[1:], 1):
        columns[:, index] = owned.items[name]
    return ",".join([_ROW] * len(columns)) % tuple(columns.ravel().tolist())
