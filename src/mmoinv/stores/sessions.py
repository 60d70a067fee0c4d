"""Joins and leaves: the same SQLAlchemy statements on every database.

Works on an open connection, inside a transaction of whoever calls, as `Store.write_group` does.
"""

import logging
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Row, and_, bindparam, literal_column, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from mmoinv.stores.entries import JoinEntry, JoinOutcome, JoinRefused, LeaveEntry, LeaveOutcome
from mmoinv.stores.stored_rows import BadRow, inventories, row_text
from mmoinv.stores.tables import (
    INVENTORY,
    SESSION,
    SET_ASIDE,
    WALLET,
    keeps_unsigned,
    unsigned_number,
)

log = logging.getLogger("mmoinv.stores")


def join(connection: Connection, entries: Sequence[JoinEntry]) -> list[JoinOutcome | JoinRefused]:
    """Grant or refuse the sessions of characters, each of which comes once; in order."""
    granted, refused = _re_claim(connection, [entry for entry in entries if entry.session_epoch])
    anew = [entry for entry in entries if not entry.session_epoch]
    if anew:
        granted |= _raise_epochs(connection, anew)
    held = inventories(_stored_rows(connection, list(granted)))
    owned = wallets(connection, list(granted))
    result: list[JoinOutcome | JoinRefused] = []
    for entry in entries:
        guid = entry.character_guid
        if guid in refused:
            result.append(refused[guid])
            continue
        items, bad = held[guid]
        for row in bad:
            _set_aside(connection, guid, row)
        result.append(JoinOutcome(*granted[guid], items, len(bad), owned[guid]))
    return result


def _re_claim(
    connection: Connection, entries: Sequence[JoinEntry]
) -> tuple[dict[int, tuple[int, int]], dict[int, JoinRefused]]:
    """Epoch and version of each session that is claimed again; who has lost his, and why. After
    a realm's restart its worlds claim all of theirs at once."""
    wanted = sorted(entry.character_guid for entry in entries)
    rows: dict[int, Row[Any]] = {}
    for some in _halves(wanted):
        found = connection.execute(
            select(
                SESSION.c.character_guid,
                SESSION.c.world_id,
                SESSION.c.process_nonce,
                SESSION.c.epoch,
                SESSION.c.version,
            )
            .where(SESSION.c.character_guid.in_(some))
            .order_by(SESSION.c.character_guid)
            .with_for_update()
        )
        rows |= {row.character_guid: row for row in found}
    granted: dict[int, tuple[int, int]] = {}
    refused: dict[int, JoinRefused] = {}
    for entry in entries:
        guid = entry.character_guid
        row = rows.get(guid)
        claimed = entry.world_id, entry.process_nonce, entry.session_epoch
        if row is not None and (row.world_id, row.process_nonce, row.epoch) == claimed:
            granted[guid] = row.epoch, row.version
        else:
            refused[guid] = JoinRefused(
                f"character {guid}: session epoch {entry.session_epoch} was taken by someone "
                "else since; join anew"
            )
    for some in _halves([guid for guid in wanted if guid in granted]):
        connection.execute(
            update(SESSION).where(SESSION.c.character_guid.in_(some)).values(online=1)
        )
    return granted, refused


def _halves(ascending: list[int]) -> list[list[int]]:
    """Guids below 2^63 and from there on: MariaDB reads the whole table for a list with both."""
    middle = bisect_left(ascending, 1 << 63)
    return [some for some in (ascending[:middle], ascending[middle:]) if some]


def _upsert(connection: Connection) -> Insert:
    """Takes a session, or creates it. The table has no other key: nobody else's row is hit."""
    values = {
        "character_guid": bindparam("guid"),
        "world_id": bindparam("world"),
        "process_nonce": bindparam("nonce"),
        "epoch": 1,
        "online": 1,
    }
    # Without parameters: asyncmy takes none behind the values.
    taken = {"epoch": SESSION.c.epoch + literal_column("1"), "online": literal_column("1")}
    columns = ("world_id", "process_nonce")
    if keeps_unsigned(connection.dialect):
        theirs = mysql.insert(SESSION).values(values)
        upsert: Insert = theirs.on_duplicate_key_update(
            taken | {name: theirs.inserted[name] for name in columns}
        )
        return upsert
    on_conflict = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    ours: sqlite.Insert | postgresql.Insert = on_conflict(SESSION).values(values)
    return ours.on_conflict_do_update(
        index_elements=[SESSION.c.character_guid],
        set_=taken | {name: ours.excluded[name] for name in columns},
    )


def _raise_epochs(
    connection: Connection, entries: Sequence[JoinEntry]
) -> dict[int, tuple[int, int]]:
    """The new epoch, and the version, of each character."""
    # Always in one order, so that two realms do not wait for each other.
    entries = sorted(entries, key=lambda entry: entry.character_guid)
    connection.execute(
        _upsert(connection),
        [
            {"guid": entry.character_guid, "world": entry.world_id, "nonce": entry.process_nonce}
            for entry in entries
        ],
    )
    found = connection.execute(
        select(SESSION.c.character_guid, SESSION.c.epoch, SESSION.c.version).where(
            SESSION.c.character_guid.in_([entry.character_guid for entry in entries])
        )
    )
    return {guid: (epoch, version) for guid, epoch, version in found}


def leave(connection: Connection, entry: LeaveEntry) -> LeaveOutcome:
    """Give a session back, if it is still the one."""
    result = connection.execute(
        update(SESSION)
        .where(
            and_(
                SESSION.c.character_guid == entry.character_guid,
                SESSION.c.world_id == entry.world_id,
                SESSION.c.epoch == entry.session_epoch,
                SESSION.c.online == 1,
            )
        )
        .values(online=0)
    )
    return LeaveOutcome(result.rowcount > 0)


def _stored_rows(
    connection: Connection, character_guids: Sequence[int]
) -> dict[int, list[tuple[int | None, ...]]]:
    """The rows of each character, in the order of `ROW_COLUMNS`, as they are stored."""
    rows: dict[int, list[tuple[int | None, ...]]] = {guid: [] for guid in character_guids}
    if rows:
        found = connection.execute(
            select(INVENTORY).where(INVENTORY.c.character_guid.in_(list(rows)))
        )
        for row in found:
            rows[row[0]].append(tuple(row))
    return rows


def wallets(connection: Connection, character_guids: Sequence[int]) -> dict[int, dict[int, int]]:
    """The balances of each character, by currency."""
    found: dict[int, dict[int, int]] = {guid: {} for guid in character_guids}
    if found:
        rows = connection.execute(select(WALLET).where(WALLET.c.character_guid.in_(list(found))))
        for guid, currency_id, balance in rows:
            found[guid][currency_id] = balance
    return found


def note_set_aside(connection: Connection, guid: int, row: BadRow) -> None:
    """Keep a row in the table of those that were set aside."""
    connection.execute(
        SET_ASIDE.insert().values(
            character_guid=guid,
            slot=row.values["slot"],
            stored_row=row_text(row.values),
            reason=row.reason,
            set_aside_at=int(time.time()),
        )
    )


def _set_aside(connection: Connection, guid: int, row: BadRow) -> None:
    note_set_aside(connection, guid, row)
    connection.execute(
        INVENTORY.delete().where(
            and_(INVENTORY.c.character_guid == guid, INVENTORY.c.slot == row.values["slot"])
        )
    )
    log.error(
        "character %d: a stored row cannot be read and is set aside (table set_aside_item): %s",
        unsigned_number(guid),
        row.reason,
    )
