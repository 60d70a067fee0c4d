"""AzerothCore's tables: ``character_inventory``, ``item_instance``, and money of ``characters``.

character_inventory says where an item is: guid (the character), bag (the guid of the bag that it is
in, or 0), slot, item (its guid); item_instance what it is. Bags become slots of our addressing. How
they are written again is in `mmoinv.legacy.azerothcore_writing`. Knows not the importer.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, func, select

from mmoinv.inventory.slots import (
    BAG_PACK,
    BANK,
    BANK_BAGS,
    EQUIPPED_BAGS,
    MAX_BAG_SLOTS,
    OWN,
    OWN_SLOTS,
    inside_of,
)
from mmoinv.legacy.azerothcore_writing import put
from mmoinv.legacy.interface import WIDEST, Capacity, OldChange, OldInventory, SourceCounts
from mmoinv.legacy.sql_tables import HALF, FoundTable, SqlTables, in_chunks
from mmoinv.records import U32_MAX
from mmoinv.stores.stored_rows import BadRow, Row, inventory, row_fault
from mmoinv.stores.tables import ROW_COLUMNS

WHOSE = "AzerothCore's table"
CHARACTERS = ("guid", "money")
PLACES = ("guid", "bag", "slot", "item")
ITEMS = (
    "guid",
    "itemEntry",
    "owner_guid",
    "creatorGuid",
    "count",
    "flags",
    "randomPropertyId",
    "durability",
)
OTHERS = ("giftCreatorGuid", "duration", "charges", "enchantments", "text")
"""Columns of item_instance for which our record has no room; kept aside if there is anything."""
MONEY = 0
"""The currency that characters.money becomes."""


class Tables(NamedTuple):
    """The three, as this database has them."""

    characters: FoundTable
    places: FoundTable
    items: FoundTable

    @property
    def last_guid(self) -> int:
        """The highest number that a character can have."""
        return min(
            found.limit("guid") if found.is_unsigned("guid") else HALF - 1
            for found in (self.characters, self.places)
        )


class AzerothcoreTables(SqlTables):
    """`mmoinv.legacy.OldTables` of AzerothCore, or of a relative with the same columns."""

    format = "azerothcore"

    def count(self, connection: Connection, first_guid: int, last_guid: int) -> SourceCounts:
        """How many characters, with items or without, and rows of items."""
        tables = self._tables(connection)
        guid, holder = tables.characters.column("guid"), tables.places.column("guid")
        last_guid = min(last_guid, tables.last_guid)
        rows = connection.execute(
            select(func.count())
            .select_from(tables.places.table)
            .where(holder.between(first_guid, last_guid))
        ).scalar_one()
        known = select(guid).where(guid.between(first_guid, last_guid))
        others = select(holder).where(holder.between(first_guid, last_guid))
        everyone = known.union(others).subquery()
        characters = connection.execute(select(func.count()).select_from(everyone)).scalar_one()
        return SourceCounts(characters, rows)

    def page(
        self, connection: Connection, first_guid: int, last_guid: int, at_once: int
    ) -> list[OldInventory]:
        """The next characters of a range."""
        tables = self._tables(connection)
        last_guid = min(last_guid, tables.last_guid)
        guids: set[int] = set()
        for found in (tables.characters, tables.places):
            guid = found.column("guid")
            some = select(guid).where(guid.between(first_guid, last_guid)).distinct().order_by(guid)
            guids.update(connection.execute(some.limit(at_once)).scalars())
        page = sorted(guids)[:at_once]
        if not page:
            return []
        guid, money = (tables.characters.column(name) for name in CHARACTERS)
        query = select(guid, money).where(guid.between(page[0], page[-1]))
        purses = {row[0]: row[1] for row in connection.execute(query)}
        rows = self._rows(connection, tables, page[0], page[-1])
        keepers = _keepers(connection, tables, rows)
        return [_inventory(number, rows[number], purses, keepers) for number in page]

    def _rows(
        self, connection: Connection, tables: Tables, first: int, last: int
    ) -> Mapping[int, list[dict[str, Any]]]:
        """Each character's rows of both tables, by column; item_instance's guid as "instance"."""
        places, items = tables.places, tables.items
        others = [name for name in OTHERS if items.has(name)]
        columns = [places.column(name).label(name) for name in PLACES]
        columns.append(items.column("guid").label("instance"))
        columns += [items.column(name).label(name) for name in (*ITEMS[1:], *others)]
        names = [*PLACES, "instance", *ITEMS[1:], *others]
        query = (
            select(*columns)
            .select_from(
                places.table.outerjoin(items.table, items.column("guid") == places.column("item"))
            )
            .where(places.column("guid").between(first, last))
        )
        rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in connection.execute(query):
            rows[row[0]].append(dict(zip(names, row, strict=True)))
        return rows

    def capacity_of(self, connection: Connection) -> Capacity:
        """As the columns' types are, and what places the game has."""
        tables = self._tables(connection)
        items = tables.items
        random = items.limit("randomPropertyId")
        limits = {
            "entry": items.limit("itemEntry"),
            "stack_count": items.limit("count"),
            "creator": items.limit("creatorGuid"),
            "durability": items.limit("durability"),
            "random_property_index": random,
            "random_suffix_index": random,
            "item_flags": items.limit("flags"),
            "item_guid": min(U32_MAX, items.limit("guid"), tables.places.limit("item")),
        }
        slots = np.zeros(WIDEST["slot"] + 1, np.bool_)
        slots[list(OWN_SLOTS)] = True
        for bag in BAG_PACK:
            slots[inside_of(bag) : inside_of(bag) + MAX_BAG_SLOTS] = True
        return Capacity(
            {name: min(limit, WIDEST[name]) for name, limit in limits.items()},
            {MONEY: tables.characters.limit("money")},
            slots,
            needs_bags=True,
            either=[("random_property_index", "random_suffix_index")],
        )

    def strangers_of(
        self, connection: Connection, character_guids: Sequence[int]
    ) -> Collection[int]:
        """Those that characters does not have: the game makes characters, not mmoinv."""
        guid = self._tables(connection).characters.column("guid")
        known: set[int] = set()
        for some in in_chunks(character_guids):
            known.update(connection.execute(select(guid).where(guid.in_(some))).scalars())
        return [number for number in character_guids if number not in known]

    def put(
        self,
        connection: Connection,
        changes: Sequence[OldChange],
        moved_guids: Collection[int],
        highest_guid: int,
    ) -> None:
        """Rows of items that are elsewhere or otherwise now, and money."""
        put(connection, self._tables(connection), changes, moved_guids, highest_guid)

    def _tables(self, connection: Connection) -> Tables:
        return Tables(
            FoundTable(connection, "characters", CHARACTERS, WHOSE, self.url),
            FoundTable(connection, "character_inventory", PLACES, WHOSE, self.url),
            FoundTable(connection, "item_instance", ITEMS, WHOSE, self.url),
        )


def _keepers(
    connection: Connection, tables: Tables, rows: Mapping[int, list[dict[str, Any]]]
) -> dict[int, int]:
    """Of items that several characters have, which a table without its key may say: whose each is.
    Its owner's if he has it, else the first one's."""
    holder, item = tables.places.column("guid"), tables.places.column("item")
    owners = {row["item"]: row["owner_guid"] for of_one in rows.values() for row in of_one}
    keepers: dict[int, int] = {}
    for some in in_chunks([number for number in owners if isinstance(number, int)]):
        twice = select(item).where(item.in_(some)).group_by(item).having(func.count() > 1)
        numbers = connection.execute(twice).scalars().all()
        holders: dict[int, set[int]] = defaultdict(set)
        for number, guid in connection.execute(
            select(item, holder).where(and_(item.in_(numbers), holder.is_not(None)))
        ):
            holders[number].add(guid)
        for number, guids in holders.items():
            owner = owners[number]
            keepers[number] = owner if owner in guids else min(guids)
    return keepers


def _inventory(
    character_guid: int,
    rows: Sequence[dict[str, Any]],
    purses: Mapping[int, Any],
    keepers: Mapping[int, int],
) -> OldInventory:
    """What is taken of a character's rows, and what is not, with the reason."""
    faults: list[BadRow] = []
    bags: dict[int, int] = {}
    """Slots of bags of which there is nothing to complain."""
    taken: dict[int, tuple[Row, dict[str, Any]]] = {}
    places: dict[int, int] = {}
    # Bags before what is in them.
    for row in sorted(rows, key=lambda row: bool(row["bag"])):
        reason = ""
        record: Row = ()
        if character_guid not in purses:
            reason = f"there is no character {character_guid} in characters"
        elif keepers.get(row["item"], character_guid) != character_guid:
            reason = f"item {row['item']} is also with character {keepers[row['item']]}"
        else:
            slot, reason = _slot_of(row, bags)
        if not reason:
            record = _record(character_guid, slot, row)
            reason = row_fault(dict(zip(ROW_COLUMNS, record, strict=True)))
        if reason:
            faults.append(BadRow(row, reason))
            continue
        number = row["item"]
        for earlier in {places.get(number, slot), slot} & taken.keys():
            what = f"slot {slot}: the slot occurs twice"
            if earlier != slot or taken[earlier][1]["item"] == number:
                what = f"item {number} is there twice"
            before = taken.pop(earlier)[1]
            bags.pop(before["item"], None)
            faults.append(BadRow(before, f"{what}, and a later row is taken"))
        taken[slot], places[number] = (record, row), slot
        if not row["bag"]:
            bags[number] = row["slot"]
    items, _ = inventory([record for record, _ in taken.values()])
    leftovers = [left for _, row in taken.values() if (left := _left(row)) is not None]
    balances = {}
    money = purses.get(character_guid)
    if isinstance(money, int) and money >= 0:
        balances[MONEY] = money
    elif character_guid in purses:
        faults.append(BadRow({"guid": character_guid, "money": money}, "money is no amount"))
    return OldInventory(character_guid, items, faults, balances, leftovers)


def _slot_of(row: Mapping[str, Any], bags: Mapping[int, int]) -> tuple[int, str]:
    """The absolute slot of an item, or why it has none."""
    bag, slot, item = row["bag"], row["slot"], row["item"]
    for name in PLACES[1:]:
        if not isinstance(row[name], int):
            return 0, f"{name} {row[name]!r} is not a whole number"
    if not 1 <= item <= U32_MAX:
        return 0, f"item guid {item} is outside 1..{U32_MAX}, apart from those that mmoinv gives"
    if row["instance"] is None:
        return 0, f"there is no item {item} in item_instance"
    if not bag:
        if OWN | slot in OWN_SLOTS and 0 <= slot < 256:
            return OWN | slot, ""
        return 0, f"slot {slot} of the character itself is no place that mmoinv has"
    if bag not in bags:
        return 0, f"the bag {bag} that it is in is not the character's, or is not taken"
    place = bags[bag]
    if place not in EQUIPPED_BAGS:
        where = "in the bank" if OWN | place in (*BANK, *BANK_BAGS) else "not worn"
        return 0, f"the bag that it is in is {where} (slot {place}): mmoinv has no place in it"
    if not 0 <= slot < MAX_BAG_SLOTS:
        return 0, f"a bag has no slot {slot}"
    return place << 8 | slot, ""


def _record(character_guid: int, slot: int, row: Mapping[str, Any]) -> Row:
    """In the order of `ROW_COLUMNS`."""
    random = row["randomPropertyId"]
    is_number = isinstance(random, int)
    return (
        character_guid,
        slot,
        row["itemEntry"],
        row["count"],
        row["creatorGuid"],
        0,
        row["durability"],
        max(0, random) if is_number else random,
        max(0, -random) if is_number else 0,
        row["flags"],
        row["item"],
    )


def _left(row: Mapping[str, Any]) -> BadRow | None:
    """What a record has no room for, if it says anything."""
    left = {name: row[name] for name in OTHERS if name in row and not _says_nothing(row[name])}
    if not left:
        return None
    values = {name: row[name] for name in (*PLACES, "itemEntry")} | left
    return BadRow(values, f"taken, but for what no record has room for: {', '.join(left)}")


def _says_nothing(value: Any) -> bool:
    """Nothing, 0, an empty text, or zeros and spaces, as lists of numbers are written."""
    return not value or (isinstance(value, str) and not value.strip("0 "))
