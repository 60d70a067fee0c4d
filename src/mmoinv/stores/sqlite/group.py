"""One group of entries inside one open SQLite transaction.

Plays the steps of `mmoinv.stores.group` with bulk statements, and does joins and leaves.
Begins and ends no transaction.
"""

import logging
import sqlite3
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from mmoinv.records import Batch
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.entries import (
    CommitEntry,
    Entry,
    JoinEntry,
    JoinOutcome,
    JoinRefused,
    LeaveEntry,
    LeaveOutcome,
    MintGuids,
    Outcome,
)
from mmoinv.stores.group import Stage, Steps, write_stage
from mmoinv.stores.sqlite.bulk import (
    ITEM_COLUMNS,
    ROW_COLUMNS,
    ROWS_AS_TEXT,
    look,
    numbers,
    write,
)
from mmoinv.stores.steps import Look, Seen
from mmoinv.stores.stored_rows import readable_items, row_fault, row_text

log = logging.getLogger("mmoinv.stores")

READ_ITEMS = f"SELECT {ROWS_AS_TEXT} FROM character_inventory WHERE character_guid = ?"
RAISE_EPOCH = (
    "INSERT INTO character_session (character_guid, world_id, process_nonce, epoch, online) "
    "VALUES (?, ?, ?, 1, 1) ON CONFLICT (character_guid) DO UPDATE SET epoch = epoch + 1, "
    "world_id = excluded.world_id, process_nonce = excluded.process_nonce, online = 1 "
    "RETURNING epoch, version"
)
RE_CLAIM = (
    "UPDATE character_session SET online = 1 WHERE character_guid = ? AND world_id = ? "
    "AND process_nonce = ? AND epoch = ? RETURNING epoch, version"
)
LEAVE = (
    "UPDATE character_session SET online = 0 "
    "WHERE character_guid = ? AND world_id = ? AND epoch = ? AND online = 1"
)


def signed_number(number: int) -> int:
    """A u64 as the i64 of the same bits."""
    return number - (1 << 64) if number >> 63 else number


def write_entries(
    connection: sqlite3.Connection,
    entries: Sequence[Entry],
    mint_guids: MintGuids,
    committed: CommittedInventories,
) -> list[Outcome]:
    """The outcome of each entry, in order. Adjacent commits are one stage."""
    outcomes: list[Outcome] = []
    for kind, run in groupby(entries, type):
        if kind is CommitEntry:
            stage = Stage((entry for entry in run if isinstance(entry, CommitEntry)), committed)
            _play(connection, write_stage(stage, mint_guids))
            outcomes.extend(stage.outcomes())
            continue
        for entry in run:
            if isinstance(entry, JoinEntry):
                outcome = _join(connection, entry)
                if isinstance(outcome, JoinOutcome):
                    committed.keep_joined(entry.character_guid, outcome)
                outcomes.append(outcome)
            elif isinstance(entry, LeaveEntry):
                outcomes.append(_leave(connection, entry))
                committed.drop(np.array([entry.character_guid], np.uint64))
    return outcomes


def _play(connection: sqlite3.Connection, steps: Steps) -> None:
    now_s = int(time.time())
    reply: Seen | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration:
            return
        if isinstance(step, Look):
            reply = look(connection, step)
        else:
            write(connection, step, now_s)
            reply = None


def _join(connection: sqlite3.Connection, entry: JoinEntry) -> JoinOutcome | JoinRefused:
    guid = signed_number(entry.character_guid)
    holder = (guid, entry.world_id, signed_number(entry.process_nonce))
    if entry.session_epoch:
        rows = connection.execute(RE_CLAIM, (*holder, entry.session_epoch)).fetchall()
        if not rows:
            return JoinRefused(
                f"character {entry.character_guid}: session epoch {entry.session_epoch} was "
                "taken by someone else since; join anew"
            )
    else:
        rows = connection.execute(RAISE_EPOCH, holder).fetchall()
    ((epoch, version),) = rows
    items, set_aside = read_items(connection, entry.character_guid, set_bad_aside=True)
    return JoinOutcome(epoch, version, items, set_aside)


def _leave(connection: sqlite3.Connection, entry: LeaveEntry) -> LeaveOutcome:
    cursor = connection.execute(
        LEAVE, (signed_number(entry.character_guid), entry.world_id, entry.session_epoch)
    )
    return LeaveOutcome(cursor.rowcount > 0)


def read_items(
    connection: sqlite3.Connection, character_guid: int, set_bad_aside: bool
) -> tuple[Batch, int]:
    """The slot-sorted inventory of a character and how many rows could not be read.

    With ``set_bad_aside`` (inside a transaction) those are moved to set_aside_item.
    """
    guid = signed_number(character_guid)
    (text,) = connection.execute(READ_ITEMS, (guid,)).fetchone()
    rows = numbers(text, len(ROW_COLUMNS))
    items = readable_items(
        {name: np.ascontiguousarray(rows[:, i]) for i, name in enumerate(ROW_COLUMNS)}
    )
    if items is not None:
        return items, 0
    return _read_row_by_row(connection, guid, set_bad_aside)


def _read_row_by_row(
    connection: sqlite3.Connection, guid: int, set_bad_aside: bool
) -> tuple[Batch, int]:
    good: list[dict[str, Any]] = []
    bad = 0
    rows = connection.execute(
        f"SELECT {', '.join(ROW_COLUMNS)} FROM character_inventory WHERE character_guid = ?",
        (guid,),
    ).fetchall()
    for values in rows:
        row = dict(zip(ROW_COLUMNS, values, strict=True))
        reason = row_fault(row)
        if not reason:
            good.append(row)
            continue
        bad += 1
        if set_bad_aside:
            _set_aside(connection, row, reason)
    columns = {name: np.array([row[name] or 0 for row in good], np.int64) for name in ITEM_COLUMNS}
    items = readable_items(columns)
    assert items is not None
    return items, bad


def _set_aside(connection: sqlite3.Connection, row: dict[str, Any], reason: str) -> None:
    key = row["character_guid"], row["slot"]
    connection.execute(
        "INSERT INTO set_aside_item (character_guid, slot, stored_row, reason, set_aside_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (*key, row_text(row), reason, int(time.time())),
    )
    connection.execute("DELETE FROM character_inventory WHERE character_guid = ? AND slot = ?", key)
    log.error(
        "character %d: a stored row cannot be read and is set aside (table set_aside_item): %s",
        row["character_guid"] % (1 << 64),
        reason,
    )
