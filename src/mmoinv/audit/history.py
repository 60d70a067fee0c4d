"""The ledger read back: a character's operations, what it held once, where an item has been.

Works on an open connection, as `SqlStore.read_only` gives it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, literal, select, text

from mmoinv.codec import apply_changes
from mmoinv.errors import StoreDataError
from mmoinv.records import SLOT, Batch
from mmoinv.stores.ledger import LedgerEntry, unpacked
from mmoinv.stores.sessions import wallets
from mmoinv.stores.stored_rows import inventory
from mmoinv.stores.tables import (
    CHARACTER_LEDGER,
    INVENTORY,
    LEDGER,
    LEDGER_COLUMNS,
    SESSION,
    WORLD,
    keeps_unsigned,
    spans,
)

COLUMNS = [LEDGER.c[name] for name in LEDGER_COLUMNS]
CHARACTER_COLUMNS = [CHARACTER_LEDGER.c[name] for name in LEDGER_COLUMNS]
"""Of the view that finds the rows of some characters quickly."""
PAGE = 500


class Holdings(NamedTuple):
    """What a character holds, or held: ``items`` slot-sorted, ``balances`` by currency, and the
    version and the session epoch; version 0 and epoch 0 if it never joined."""

    character_guid: int
    version: int
    epoch: int
    online: bool
    items: Batch
    balances: dict[int, int]


def entries_of(
    connection: Connection, character_guid: int, before_version: int | None = None
) -> Iterator[LedgerEntry]:
    """What operations changed of a character, newest first; with ``before_version`` only those
    that made an older one. `FramingError` if a row cannot be read."""
    session = connection.execute(
        select(SESSION.c.version).where(SESSION.c.character_guid == character_guid)
    ).scalar()
    columns = CHARACTER_LEDGER.c
    newest = (session or 0) if before_version is None else before_version - 1
    # Versions are a chain: a page is a range of them, whatever the database's order of u64.
    while newest > 0:
        oldest = max(1, newest - PAGE + 1)
        rows = [
            row
            for span in spans(connection, CHARACTER_LEDGER, oldest, newest, columns.version)
            for row in connection.execute(
                select(*CHARACTER_COLUMNS).where(
                    and_(columns.character_guid == character_guid, span)
                )
            )
        ]
        found = sorted((unpacked(*row) for row in rows), key=lambda one: -one.version)
        yield from found
        if not found:
            return  # What is older was forgotten.
        newest = oldest - 1


def holdings(connection: Connection, character_guid: int) -> Holdings:
    """What is stored of a character now."""
    rows = connection.execute(select(INVENTORY).where(INVENTORY.c.character_guid == character_guid))
    items, _ = inventory([tuple(row) for row in rows])
    session = connection.execute(
        select(SESSION.c.version, SESSION.c.epoch, SESSION.c.online).where(
            SESSION.c.character_guid == character_guid
        )
    ).one_or_none()
    version, epoch, online = session or (0, 0, 0)
    balances = wallets(connection, [character_guid])[character_guid]
    return Holdings(character_guid, version, epoch, bool(online), items, balances)


def holdings_at(
    connection: Connection,
    character_guid: int,
    at_s: int | None = None,
    version: int | None = None,
) -> Holdings:
    """What a character held at a time (seconds since 1970), or after the operation that made
    ``version``: the ledger is undone backwards from what is stored now.

    `StoreDataError` if the ledger does not go back so far.
    """
    held = holdings(connection, character_guid)
    for entry in entries_of(connection, character_guid):
        if (version is not None and entry.version <= version) or (
            at_s is not None and entry.committed_at <= at_s
        ):
            break
        if entry.version != held.version:
            raise _gap(character_guid, held.version)
        gone = entry.after["slot"][entry.before["entry"] == 0].astype(SLOT)
        before = entry.before[entry.before["entry"] != 0]
        balances = dict(held.balances)
        for currency_id, amount, balance in entry.money.tolist():
            balances[currency_id] = balance - amount
        held = held._replace(
            version=entry.version - 1,
            items=apply_changes(held.items, before, gone),
            balances=balances,
        )
    else:
        if held.version and (at_s is not None or held.version != version):
            raise _gap(character_guid, held.version)
    return held


def _gap(character_guid: int, version: int) -> StoreDataError:
    return StoreDataError(
        f"character {character_guid}: the ledger does not have the operation that made version "
        f"{version}; it may be older than what is kept, or the ledger was off then. What the "
        "character held before is not known."
    )


def item_entries(connection: Connection, item_guid: int) -> list[LedgerEntry]:
    """Every operation that touched an item, oldest first, whoever's it was. Reads the whole
    ledger: seconds for each million rows."""
    rows = connection.execute(
        select(*COLUMNS)
        .where(contains(connection, item_guid.to_bytes(8, "little")))
        .order_by(LEDGER.c.ledger_id)
    )
    entries = (unpacked(*row) for row in rows)
    # The bytes may stand there by chance.
    return [
        entry
        for entry in entries
        if item_guid in entry.before["item_guid"] or item_guid in entry.after["item_guid"]
    ]


def contains(connection: Connection, needle: bytes, number: int = 0) -> ColumnElement[bool]:
    """Whether a row's changes have these bytes; ``number`` tells several of one statement apart."""
    if connection.dialect.name == "sqlite":
        return func.instr(LEDGER.c.changes, needle) > 0
    if keeps_unsigned(connection.dialect):
        return func.locate(literal(needle), LEDGER.c.changes) > 0
    name = f"needle{number}"
    return text(f"position(CAST(:{name} AS bytea) IN changes) > 0").bindparams(**{name: needle})  # type: ignore[return-value]


def place_of(connection: Connection, item_guid: int) -> tuple[int, int] | None:
    """Character and slot of an item now; None if it is stored nowhere."""
    row = connection.execute(
        select(INVENTORY.c.character_guid, INVENTORY.c.slot).where(
            INVENTORY.c.item_guid == item_guid
        )
    ).first()
    return None if row is None else (row.character_guid, row.slot)


def holder(connection: Connection, character_guid: int) -> str:
    """The world that has, or had last, a character's session."""
    number = connection.execute(
        select(SESSION.c.world_id).where(SESSION.c.character_guid == character_guid)
    ).scalar()
    return world_names(connection).get(number or 0, f"world {number}")


def world_names(connection: Connection) -> dict[int, str]:
    """The worlds' names by id."""
    rows = connection.execute(select(WORLD.c.world_id, WORLD.c.name))
    return {row.world_id: row.name for row in rows}
