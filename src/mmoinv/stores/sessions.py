"""Joins and leaves: the same SQLAlchemy statements on every database.

Works on an open connection, inside a transaction of whoever calls, as `Store.write_group` does.
"""

import logging
import time
from collections.abc import Sequence

from sqlalchemy import Connection, Insert, and_, bindparam, literal_column, select, update
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
    refused: dict[int, JoinRefused] = {}
    granted: dict[int, tuple[int, int]] = {}
    for entry in entries:
        if entry.session_epoch:
            claim = _re_claim(connection, entry)
            if isinstance(claim, JoinRefused):
                refused[entry.character_guid] = claim
            else:
                granted[entry.character_guid] = claim
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


def _re_claim(connection: Connection, entry: JoinEntry) -> tuple[int, int] | JoinRefused:
    """Epoch and version of a session that is claimed again."""
    row = connection.execute(
        select(
            SESSION.c.world_id,
            SESSION.c.process_nonce,
            SESSION.c.epoch,
            SESSION.c.version,
        )
        .where(SESSION.c.character_guid == entry.character_guid)
        .with_for_update()
    ).one_or_none()
    if row is None or tuple(row)[:3] != (entry.world_id, entry.process_nonce, entry.session_epoch):
        return JoinRefused(
            f"character {entry.character_guid}: session epoch {entry.session_epoch} was "
            "taken by someone else since; join anew"
        )
    connection.execute(
        update(SESSION).where(SESSION.c.character_guid == entry.character_guid).values(online=1)
    )
    return row.epoch, row.version


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
