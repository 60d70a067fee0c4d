"""What became of some items, and of a character's money, after a version: destroyed, made, gone on.

Follows operations of the ledger, all participants of each. An operation conserves an entry if
over its characters the stacks of the entry stay the same; what it takes away of them is destroyed,
what it adds is made. Where an operation both takes and adds, it cannot be said which item was
destroyed: it is then taken to be as little as it can have been. Works on an open connection.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, or_, select

from mmoinv.audit.history import CHARACTER_COLUMNS, COLUMNS, contains
from mmoinv.commits import OwnReason
from mmoinv.stores.ledger import LedgerEntry, unpacked
from mmoinv.stores.tables import CHARACTER_LEDGER, LEDGER, spans

NEEDLES = 16
"""Items that one statement looks for."""
ASKED = 200
"""Rows that one statement asks for."""

RowKey = tuple[int, int]
"""Character and version: names a row of the ledger."""


class Life(NamedTuple):
    """Of one item and entry: ``destroyed`` of its stack at the least, by the character; ``made`` of
    it at the most, by anyone; ``last`` is the last row that touched it."""

    destroyed: int = 0
    made: int = 0
    last: LedgerEntry | None = None

    @property
    def missing(self) -> int:
        """What is destroyed and was not made again."""
        return max(0, self.destroyed - self.made)


class Operation(NamedTuple):
    """The rows of one operation. ``is_plain`` if those of all its characters are there, and it is
    no correction: what that takes away should not have been."""

    rows: list[LedgerEntry]
    is_plain: bool


def lives(
    connection: Connection,
    character_guid: int,
    later: Sequence[LedgerEntry],
    wanted: Mapping[int, int],
) -> dict[int, Life]:
    """Of items (guid to entry) that a character held before the operations ``later``, which are
    all its later ones, in any order. Looks through all rows that were written since."""
    if not wanted or not later:
        return {}
    rows = {(one.character_guid, one.version): one for one in later}
    rows |= _touching(connection, character_guid, min(one.version for one in later), list(wanted))
    found = {guid: Life() for guid in wanted}
    # In the order of the operations' numbers where the clock cannot tell.
    for entry in sorted(rows.values(), key=lambda one: (one.committed_at, one.operation_id)):
        for guid in _guids(entry) & wanted.keys():
            found[guid] = found[guid]._replace(last=entry)
    for operation in _operations(connection, rows):
        touched = set().union(*(_guids(entry) for entry in operation.rows)) & wanted.keys()
        for guid in touched:
            destroyed, made = _flow(operation, character_guid, guid, wanted[guid])
            known = found[guid]
            found[guid] = known._replace(
                destroyed=known.destroyed + destroyed, made=known.made + made
            )
    return found


def money_missing(connection: Connection, later: Sequence[LedgerEntry], currency_id: int) -> int:
    """How much of a currency a character lost to nobody in ``later``, all its later operations,
    and did not get from nowhere."""
    missing = 0
    rows = {(one.character_guid, one.version): one for one in later}
    for operation in _operations(connection, rows):
        amounts = {
            one.character_guid: amount
            for one in operation.rows
            for currency, amount, _ in one.money.tolist()
            if currency == currency_id
        }
        own = amounts.get(later[0].character_guid, 0)
        if own > 0:
            missing -= min(own, max(0, sum(amounts.values()))) if operation.is_plain else own
        elif operation.is_plain:
            missing += max(0, -own - sum(amount for amount in amounts.values() if amount > 0))
    return max(0, missing)


def _flow(operation: Operation, character_guid: int, guid: int, entry: int) -> tuple[int, int]:
    """How much of an item's stack an operation destroyed at the least, of this character, and made
    at the most."""
    by_item: dict[int, int] = defaultdict(int)
    unnamed_gains = unnamed_losses = 0
    was_own = False
    for row in operation.rows:
        for records, sign in ((row.before, -1), (row.after, 1)):
            of_entry = records[records["entry"] == entry]
            for item_guid, stack in zip(
                of_entry["item_guid"].tolist(), of_entry["stack_count"].tolist(), strict=True
            ):
                if item_guid:
                    by_item[item_guid] += sign * stack
                elif sign > 0:
                    unnamed_gains += stack
                else:
                    unnamed_losses += stack
                if item_guid == guid and sign < 0 and row.character_guid == character_guid:
                    was_own = True
    gains = unnamed_gains + sum(change for change in by_item.values() if change > 0)
    losses = unnamed_losses - sum(change for change in by_item.values() if change < 0)
    change = by_item[guid]
    if change > 0:
        return 0, min(change, max(0, gains - losses)) if operation.is_plain else change
    if change < 0 and was_own and operation.is_plain:
        return max(0, -change - gains), 0
    return 0, 0


def _guids(entry: LedgerEntry) -> set[int]:
    return {*entry.before["item_guid"].tolist(), *entry.after["item_guid"].tolist()}


def _touching(
    connection: Connection, character_guid: int, first_version: int, guids: Sequence[int]
) -> dict[RowKey, LedgerEntry]:
    """All rows with any of these items, of anyone, from a version of the character on."""
    columns = CHARACTER_LEDGER.c
    start = connection.execute(
        select(columns.ledger_id)
        .where(and_(columns.character_guid == character_guid, columns.version == first_version))
        .order_by(columns.ledger_id)
        .limit(1)
    ).scalar_one()
    found: dict[RowKey, LedgerEntry] = {}
    for place in range(0, len(guids), NEEDLES):
        some = guids[place : place + NEEDLES]
        needles = [
            contains(connection, guid.to_bytes(8, "little"), n) for n, guid in enumerate(some)
        ]
        rows = connection.execute(
            select(*COLUMNS).where(and_(LEDGER.c.ledger_id >= start, or_(*needles)))
        )
        for row in rows:
            entry = unpacked(*row)
            # The bytes may stand there by chance.
            if _guids(entry) & set(some):
                found[entry.character_guid, entry.version] = entry
    return found


def _operations(connection: Connection, rows: Mapping[RowKey, LedgerEntry]) -> list[Operation]:
    """The operations that ``rows`` are of, with the rows of all their other characters."""
    columns = CHARACTER_LEDGER.c
    known = dict(rows)
    partners = {key for one in rows.values() for key in _partners(one)}
    wanted = sorted(partners - known.keys())
    for place in range(0, len(wanted), ASKED):
        some = wanted[place : place + ASKED]
        versions = [version for _, version in some]
        # More than these pairs; no index would find the rows of a condition of pairs.
        for span in spans(
            connection, CHARACTER_LEDGER, min(versions), max(versions), columns.version
        ):
            for row in connection.execute(
                select(*CHARACTER_COLUMNS).where(
                    and_(columns.character_guid.in_({guid for guid, _ in some}), span)
                )
            ):
                if (row.character_guid, row.version) in partners:
                    entry = unpacked(*row)
                    known[entry.character_guid, entry.version] = entry
    by_id: dict[int, list[LedgerEntry]] = defaultdict(list)
    for entry in known.values():
        by_id[entry.operation_id].append(entry)
    return [
        Operation(
            of_one,
            all(
                _partners(entry) <= known.keys() and entry.reason != OwnReason.CORRECTED
                for entry in of_one
            ),
        )
        for of_one in by_id.values()
    ]


def _partners(entry: LedgerEntry) -> set[RowKey]:
    return {(guid, version) for guid, version in entry.partners.tolist()}
