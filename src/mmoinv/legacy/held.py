"""What our own tables have of many characters at once. Works on an open connection."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, func, select

from mmoinv.commits import OwnReason
from mmoinv.legacy.sql_tables import in_chunks
from mmoinv.records import Batch, empty_batch
from mmoinv.stores.stored_rows import inventory
from mmoinv.stores.tables import CHARACTER_LEDGER, INVENTORY, SESSION, WALLET, spans

AT_ONCE = 500
"""Characters of one list in a statement."""


class Held(NamedTuple):
    """One character: ``items`` slot-sorted, ``unreadable`` how many stored rows are no records;
    version 0, epoch 0 and world 0 if it never joined."""

    items: Batch
    unreadable: int = 0
    balances: Mapping[int, int] = {}
    version: int = 0
    epoch: int = 0
    world_id: int = 0
    online: bool = False


NOTHING = Held(empty_batch())


def held_by(connection: Connection, character_guids: Collection[int]) -> dict[int, Held]:
    """Each of some characters; those of whom nothing is stored too."""
    result: dict[int, Held] = {}
    for some in in_chunks(list(character_guids), AT_ONCE):
        rows: dict[int, list[tuple[int | None, ...]]] = {guid: [] for guid in some}
        for row in connection.execute(
            select(INVENTORY).where(INVENTORY.c.character_guid.in_(some))
        ):
            rows[row[0]].append(tuple(row))
        balances: dict[int, dict[int, int]] = {guid: {} for guid in some}
        for guid, currency, balance in connection.execute(
            select(WALLET).where(WALLET.c.character_guid.in_(some))
        ):
            balances[guid][currency] = balance
        session = SESSION.c
        sessions = {
            row[0]: row[1:]
            for row in connection.execute(
                select(
                    session.character_guid,
                    session.version,
                    session.epoch,
                    session.world_id,
                    session.online,
                ).where(session.character_guid.in_(some))
            )
        }
        for guid in some:
            items, bad = inventory(rows[guid]) if rows[guid] else (NOTHING.items, [])
            version, epoch, world_id, online = sessions.get(guid, (0, 0, 0, 0))
            result[guid] = Held(
                items, len(bad), balances[guid], version, epoch, world_id, bool(online)
            )
    return result


def characters_between(connection: Connection, first_guid: int, last_guid: int) -> list[int]:
    """The characters of a range (inclusive) of whom there is anything, ascending: items, money, or
    a committed operation."""
    found: set[int] = set()
    for table in (INVENTORY, WALLET, SESSION):
        guid = table.c.character_guid
        for span in spans(connection, table, first_guid, last_guid):
            query = select(guid).where(span).distinct()
            if table is SESSION:
                query = query.where(SESSION.c.version != 0)
            found.update(connection.execute(query).scalars())
    return sorted(found)


def imports_of(
    connection: Connection, character_guids: Collection[int], desk_id: int
) -> dict[int, int]:
    """How many operations of the ledger are imports, of each character that has any."""
    columns = CHARACTER_LEDGER.c
    guid = columns.character_guid
    wanted = set(character_guids)
    result: dict[int, int] = {}
    for some in in_chunks(sorted(wanted), AT_ONCE):
        for span in spans(connection, CHARACTER_LEDGER, some[0], some[-1]):
            rows = connection.execute(
                select(guid, func.count())
                .where(
                    and_(
                        span,
                        columns.reason == int(OwnReason.IMPORTED),
                        columns.world_id == desk_id,
                    )
                )
                .group_by(guid)
            )
            result.update({row[0]: row[1] for row in rows if row[0] in wanted})
    return result


def places_of(connection: Connection, item_guids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Character and slot of each of these items that is stored."""
    found: dict[int, tuple[int, int]] = {}
    columns = INVENTORY.c
    for some in in_chunks(item_guids):
        rows = connection.execute(
            select(columns.item_guid, columns.character_guid, columns.slot).where(
                columns.item_guid.in_(some)
            )
        )
        found.update({number: (guid, slot) for number, guid, slot in rows})
    return found


def highest_guid(connection: Connection, limit: int) -> int:
    """The highest item guid up to ``limit`` (below 2^63); 0 if there is none."""
    number = INVENTORY.c.item_guid
    return int(
        connection.execute(select(func.max(number)).where(number.between(1, limit))).scalar() or 0
    )


def named(items: Batch) -> list[int]:
    """The item guids of a batch, without 0."""
    guids = items["item_guid"]
    return [int(number) for number in guids[guids != 0]]


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches are equal, byte for byte."""
    return len(one) == len(other) and one.tobytes() == other.tobytes()


def pages(guids: Sequence[int], count: int = AT_ONCE) -> Iterator[Sequence[int]]:
    """Guids in lists of up to ``count``."""
    for start in range(0, len(guids), count):
        yield guids[start : start + count]


def without(items: Batch, item_guids: Collection[int]) -> Batch:
    """A batch without some of its items."""
    if not item_guids:
        return items
    return items[~np.isin(items["item_guid"], np.array(sorted(item_guids), np.uint64))]
