"""The C++ line's own table ``character_items``: one row an item, key owner and slot.

owner, slot (absolute), entry, creator (may be NULL), count, durability, and in newer ones flags.
Older ones have no key, so a slot may come twice: the last row wins. What the table does not have is
0, item guids too. Knows neither the importer nor packets.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, delete, func, insert, inspect, select, text

from mmoinv.legacy.interface import WIDEST, Capacity, OldChange, OldInventory, SourceCounts
from mmoinv.legacy.sql_tables import FoundTable, SqlTables, empty_values
from mmoinv.records import Batch, Fault, fault_sentence
from mmoinv.stores.stored_rows import BadRow, Row, inventory, row_fault
from mmoinv.stores.tables import ROW_COLUMNS, unsigned_number

NAME = "character_items"
COLUMNS = ("owner", "slot", "entry", "creator", "count", "durability")
FLAGS = "flags"
FIELDS = {
    "entry": "entry",
    "stack_count": "count",
    "creator": "creator",
    "durability": "durability",
    "item_flags": FLAGS,
}
"""The column of each field that is kept, besides the slot."""
WHOSE = "the C++ realm's table"


class KyorilTables(SqlTables):
    """`mmoinv.legacy.OldTables` of the C++ line.

    Owner and creator are u64: as they are in an unsigned column, in a signed one a negative number
    is the u64 of the same 64 bits. Column names may be written in capitals; columns more are not
    read, and are empty in new rows.
    """

    format = "kyoril"

    def count(self, connection: Connection, first_guid: int, last_guid: int) -> SourceCounts:
        """How many characters and rows a range has."""
        found = self._table(connection)
        self._require_owners(connection, found)
        owner = found.column("owner")
        characters = rows = 0
        for first, last in found.spans("owner", first_guid, last_guid):
            inside = owner.between(first, last)
            owners = select(owner).where(inside).distinct().subquery()
            characters += connection.execute(select(func.count()).select_from(owners)).scalar_one()
            rows += connection.execute(
                select(func.count()).select_from(found.table).where(inside)
            ).scalar_one()
        return SourceCounts(characters, rows)

    def page(
        self, connection: Connection, first_guid: int, last_guid: int, at_once: int
    ) -> list[OldInventory]:
        """The next characters of a range."""
        found = self._table(connection)
        if not first_guid:
            self._require_owners(connection, found)
        owner = found.column("owner")
        columns = [found.column(name) for name in COLUMNS]
        columns.append(found.column(FLAGS) if found.has(FLAGS) else text("0"))
        for first, last in found.spans("owner", first_guid, last_guid):
            owners = select(owner).where(owner.between(first, last)).distinct().order_by(owner)
            some = connection.execute(owners.limit(at_once)).scalars().all()
            if not some:
                continue
            query = select(*columns).where(owner.between(some[0], some[-1]))
            rows: dict[int, list[tuple[Any, ...]]] = {stored: [] for stored in some}
            # In the order in which they were written, as far as the database knows it.
            for row in connection.execute(_in_order(connection, query)):
                rows[row[0]].append(tuple(row))
            return [
                _inventory(unsigned_number(stored), of_one, found.has(FLAGS))
                for stored, of_one in rows.items()
            ]
        return []

    def capacity_of(self, connection: Connection) -> Capacity:
        """As the columns' types are."""
        found = self._table(connection)
        fields = {
            field: min(WIDEST[field], found.limit(name))
            for field, name in FIELDS.items()
            if found.has(name)
        }
        slots = None
        if found.limit("slot") < WIDEST["slot"]:
            slots = np.arange(WIDEST["slot"] + 1) <= found.limit("slot")
        return Capacity(fields, slots=slots)

    def strangers_of(
        self, connection: Connection, character_guids: Sequence[int]
    ) -> Collection[int]:
        """Those whose guid the column does not hold."""
        limit = self._table(connection).limit("owner")
        return [guid for guid in character_guids if guid > limit]

    def advice_of(self, connection: Connection) -> str:
        """An index, where there is none."""
        found = self._table(connection)
        inspector = inspect(connection)
        keys: list[list[str | None]] = [
            index["column_names"] for index in inspector.get_indexes(NAME)
        ]
        keys.append([*inspector.get_pk_constraint(NAME)["constrained_columns"]])
        owner = found.names["owner"]
        if any(columns and columns[0] == owner for columns in keys):
            return ""
        return (
            f"{NAME} has no index on owner, so it is read whole for every page of characters. "
            f"If it is large: CREATE INDEX {NAME}_owner ON {NAME} (owner)"
        )

    def put(
        self,
        connection: Connection,
        changes: Sequence[OldChange],
        moved_guids: Collection[int],
        highest_guid: int,
    ) -> None:
        """Only the rows of slots that hold something else now."""
        found = self._table(connection)
        owner, slot = found.column("owner"), found.column("slot")
        names = {field: name for field, name in FIELDS.items() if found.has(name)}
        creator = found.details[found.names["creator"]]
        no_creator = None if creator["nullable"] else 0
        given = {found.names[name] for name in ("owner", "slot", *names.values())}
        empty = empty_values(found.details, given)
        new: list[dict[str, Any]] = []
        for change in changes:
            stored = found.stored("owner", change.character_guid)
            before = _by_slot(change.before.items, names) if change.before else {}
            after = _by_slot(change.items, names)
            slots = [
                number
                for number in sorted(before.keys() | after.keys())
                if before.get(number) != after.get(number)
            ]
            if change.before is not None and slots:
                connection.execute(
                    delete(found.table).where(and_(owner == stored, slot.in_(slots)))
                )
            for number in slots:
                if number not in after:
                    continue
                values = dict(zip(names, after[number], strict=True))
                maker = values["creator"]
                row: dict[str, Any] = {names[field]: value for field, value in values.items()}
                row["creator"] = found.stored("creator", maker) if maker else no_creator
                row |= {"owner": stored, "slot": number}
                new.append({found.names[name]: value for name, value in row.items()} | empty)
        if new:
            connection.execute(insert(found.table), new)

    def _table(self, connection: Connection) -> FoundTable:
        return FoundTable(connection, NAME, COLUMNS, WHOSE, self.url, optional=[FLAGS])

    def _require_owners(self, connection: Connection, found: FoundTable) -> None:
        """Each row must say whose it is."""
        owner = found.column("owner")
        nobody = func.typeof(owner) != "integer" if found.on_sqlite else owner.is_(None)
        query = select(func.count()).select_from(found.table).where(nobody)
        if rows := connection.execute(query).scalar():
            example = connection.execute(select(owner).where(nobody).limit(1)).scalar()
            raise found.wrong(
                f"{rows} rows of {NAME} have an owner that is no number, such as {example!r}"
            )


def _in_order(connection: Connection, query: Any) -> Any:
    """With a key no slot comes twice; without one MariaDB keeps the order of writing."""
    inspector = inspect(connection)
    if NAME not in inspector.get_table_names():
        return query  # A view.
    if connection.dialect.name == "postgresql":
        return query.order_by(text("ctid"))
    has_key = bool(inspector.get_pk_constraint(NAME)["constrained_columns"])
    if connection.dialect.name == "sqlite" and not has_key:
        return query.order_by(text("rowid"))
    return query


def _inventory(
    character_guid: int, stored: Sequence[tuple[Any, ...]], has_flags: bool
) -> OldInventory:
    rows = [_row(character_guid, *values) for values in stored]
    whole = all(isinstance(value, int) for row in rows for value in row[:-1])
    if whole and len({row[1] for row in rows}) == len(rows):
        items, bad = inventory(rows)
        if not bad:
            return OldInventory(character_guid, items)
    # A table that came here without its key, or from SQLite, may hold anything.
    names = (*COLUMNS, FLAGS) if has_flags else COLUMNS

    def untaken(index: int, reason: str) -> BadRow:
        told = dict(zip(names, stored[index], strict=False))
        return BadRow(told | {"owner": character_guid}, reason)

    taken: dict[int, int] = {}
    faults: dict[int, BadRow] = {}
    for index, row in enumerate(rows):
        if reason := row_fault(dict(zip(ROW_COLUMNS, row, strict=True))):
            faults[index] = untaken(index, reason)
            continue
        slot = row[1] or 0
        if slot in taken:
            twice = fault_sentence(Fault.SLOT_TWICE, slot)
            faults[taken[slot]] = untaken(taken[slot], f"{twice}, and a later row is taken")
        taken[slot] = index
    items, _ = inventory([rows[index] for index in sorted(taken.values())])
    return OldInventory(character_guid, items, [faults[index] for index in sorted(faults)])


def _row(
    guid: int,
    owner: int,
    slot: int,
    entry: int,
    creator: int | None,
    count: int,
    durability: int,
    flags: int,
) -> Row:
    """In the order of `ROW_COLUMNS`."""
    creator = 0 if creator is None else creator
    if isinstance(creator, int):  # SQLite may have anything there, which is told later.
        creator = unsigned_number(creator)
    return (guid, slot, entry, count, creator, 0, durability, 0, 0, flags, None)


def _by_slot(items: Batch, names: Collection[str]) -> dict[int, tuple[int, ...]]:
    columns = [items[name].tolist() for name in names]
    return dict(zip(items["slot"].tolist(), zip(*columns, strict=True), strict=True))
