"""How a game that is to be moved over reads and writes its own tables: the whole inventory each
time, deleted and inserted again, in one transaction.

This is what a team brings along, written down for the two formats; nothing of a move is in it.
Knows open connections alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, text

from mmoinv.inventory.slots import OWN, bag_holding, inside_of, is_inside_bag
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.stores.tables import signed_number, unsigned_number

Row = Sequence[Any]


class OldTables(ABC):
    """The tables of a game. ``is_signed``: the database has no unsigned numbers."""

    fields: tuple[str, ...] = ()
    """The fields of a record that are kept."""
    writers = 4
    """Inventories that are loaded or saved at a time."""

    def __init__(self, is_signed: bool) -> None:
        self._is_signed = is_signed

    @abstractmethod
    def load(self, connection: Connection, character_guid: int) -> Batch:
        """The whole inventory, slot-sorted; fields that are not kept are 0."""

    @abstractmethod
    def save(self, connection: Connection, character_guid: int, items: Batch) -> None:
        """Write the whole inventory."""

    def _stored(self, number: int) -> int:
        return signed_number(number) if self._is_signed else number


class KyorilItems(OldTables):
    """The C++ line's ``character_items``."""

    fields = ("entry", "slot", "stack_count", "creator", "durability", "item_flags")

    def load(self, connection: Connection, character_guid: int) -> Batch:
        rows = connection.execute(_LOAD, {"owner": self._stored(character_guid)}).all()
        return _batch(
            [
                (entry, slot, count, unsigned_number(creator or 0), 0, durability, 0, 0, flags, 0)
                for slot, entry, creator, count, durability, flags in rows
            ]
        )

    def save(self, connection: Connection, character_guid: int, items: Batch) -> None:
        owner = self._stored(character_guid)
        connection.execute(_DELETE, {"owner": owner})
        rows: list[Mapping[str, Any]] = [
            {
                "owner": owner,
                "slot": slot,
                "entry": entry,
                "creator": self._stored(creator) if creator else None,
                "count": count,
                "durability": durability,
                "flags": flags,
            }
            for entry, slot, count, creator, _, durability, _, _, flags, _ in items.tolist()
        ]
        if rows:
            connection.execute(_INSERT, rows)


_LOAD = text(
    "SELECT slot, entry, creator, count, durability, flags FROM character_items "
    "WHERE owner = :owner ORDER BY slot"
)
_DELETE = text("DELETE FROM character_items WHERE owner = :owner")
_INSERT = text(
    "INSERT INTO character_items (owner, slot, entry, creator, count, durability, flags) "
    "VALUES (:owner, :slot, :entry, :creator, :count, :durability, :flags)"
)


class AzerothcoreItems(OldTables):
    """AzerothCore's ``character_inventory`` and ``item_instance``. Its items have guids of 32
    bits, which are the game's own."""

    fields = tuple(name for name in INVENTORY_ITEM.names or () if name != "contained")
    # Whoever saves may take rows of others: side by side they would wait for each other.
    writers = 1

    def load(self, connection: Connection, character_guid: int) -> Batch:
        rows = connection.execute(_LOAD_PLACES, {"guid": character_guid}).all()
        bags = {item: OWN + slot for bag, slot, item, *_ in rows if not bag}
        found = []
        for bag, slot, item, entry, creator, count, flags, random, durability in rows:
            found.append(
                (
                    *(entry, (inside_of(bags[bag]) if bag else OWN) + slot, count, creator),
                    *(bag or character_guid, durability, max(0, random), max(0, -random)),
                    *(flags, item),
                )
            )
        return _batch(found)

    def save(self, connection: Connection, character_guid: int, items: Batch) -> None:
        whose = {"guid": character_guid}
        connection.execute(_NEW_CHARACTER, whose)
        had = connection.execute(_OWN_ITEMS, whose).scalars().all()
        guids = dict(zip(items["slot"].tolist(), items["item_guid"].tolist(), strict=True))
        # Also what was somebody else's until now.
        gone = sorted({*had, *guids.values()})
        if gone:
            connection.execute(_DELETE_PLACES, {"items": gone})
            connection.execute(_DELETE_ITEMS, {"items": gone})
        rows: list[Mapping[str, Any]] = []
        for record in items.tolist():
            entry, slot, count, creator, _, durability, prop, suffix, flags, number = record
            rows.append(
                whose
                | {
                    "bag": guids[bag_holding(slot)] if is_inside_bag(slot) else 0,
                    "slot": slot & 0xFF,
                    "item": number,
                    "entry": entry,
                    "creator": creator,
                    "count": count,
                    "flags": flags,
                    "random": prop or -suffix,
                    "durability": durability,
                }
            )
        if rows:
            connection.execute(_INSERT_PLACES, rows)
            connection.execute(_INSERT_ITEMS, rows)


_LOAD_PLACES = text(
    "SELECT bag, slot, item, itemEntry, creatorGuid, count, flags, randomPropertyId, durability "
    "FROM character_inventory JOIN item_instance ON item_instance.guid = item "
    "WHERE character_inventory.guid = :guid"
)
_NEW_CHARACTER = text(
    "INSERT INTO characters (guid, name, money) SELECT :guid, 'rehearsal', 0 "
    "WHERE NOT EXISTS (SELECT 1 FROM characters WHERE guid = :guid)"
)
_OWN_ITEMS = text("SELECT item FROM character_inventory WHERE guid = :guid")
_DELETE_PLACES = text("DELETE FROM character_inventory WHERE item IN :items").bindparams(
    bindparam("items", expanding=True)
)
_DELETE_ITEMS = text("DELETE FROM item_instance WHERE guid IN :items").bindparams(
    bindparam("items", expanding=True)
)
_INSERT_PLACES = text(
    "INSERT INTO character_inventory (guid, bag, slot, item) VALUES (:guid, :bag, :slot, :item)"
)
_INSERT_ITEMS = text(
    "INSERT INTO item_instance (guid, itemEntry, owner_guid, creatorGuid, count, flags, "
    "randomPropertyId, durability) VALUES (:item, :entry, :guid, :creator, :count, :flags, "
    ":random, :durability)"
)

OLD_TABLES: Mapping[str, type[OldTables]] = {
    "kyoril": KyorilItems,
    "azerothcore": AzerothcoreItems,
}
"""By format."""


def _batch(rows: Sequence[tuple[int, ...]]) -> Batch:
    """Records by slot."""
    return np.array(sorted(rows, key=lambda row: row[1]), INVENTORY_ITEM)
