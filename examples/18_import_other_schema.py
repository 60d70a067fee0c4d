"""Old tables of one's own: a player's whole bag is one text of JSON. In, compared, and out again.

Output:

    import: 2 written, 3 items, 70 of currency 1
    set aside: character 8: 'wand' is no entry
    verify: nothing differs
    Mira drinks one: [('255:23', 2589, 19), ('255:24', 7, 1)] and 50
    verify: character 7, slot 255:23: stack_count 20 in the old tables, 19 here
    export: 1 written, 1 equal already
    Mira's row: {"bag": [[0, 2589, 19], [1, 7, 1]], "gold": 50}
    Orin's row: {"bag": [[0, 7, 1], [1, "wand", 1]], "gold": 20}
"""

import asyncio
import json
import os
import sqlite3
import tempfile
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from mmoinv import InventoryItemData, RealmConnector, RealmServer, batch_of
from mmoinv.legacy import (
    BadRow,
    Capacity,
    OldChange,
    OldInventory,
    SourceCounts,
    SqlTables,
    export_tables,
    import_tables,
    verify_tables,
)
from mmoinv.stores import store_for

BACKPACK, GOLD = 255 << 8 | 23, 1
MIRA, ORIN = 7, 8


class PlayerTables(SqlTables):
    """Table ``player``: id, and inventory as JSON: gold, and bag as a list of place in the
    backpack, entry and how many."""

    format = "player"

    def count(self, connection: Connection, first_guid: int, last_guid: int) -> SourceCounts:
        """How many players, and texts, are in a range."""
        query = text("SELECT count(*) FROM player WHERE id BETWEEN :first AND :last")
        found = connection.execute(query, _span(first_guid, last_guid)).scalar_one()
        return SourceCounts(found, found)

    def page(
        self, connection: Connection, first_guid: int, last_guid: int, at_once: int
    ) -> list[OldInventory]:
        """The next players of a range."""
        query = text(
            "SELECT id, inventory FROM player WHERE id BETWEEN :first AND :last "
            "ORDER BY id LIMIT :most"
        )
        found = connection.execute(query, _span(first_guid, last_guid) | {"most": at_once})
        return [self._inventory(guid, json.loads(stored)) for guid, stored in found]

    def _inventory(self, guid: int, stored: dict[str, Any]) -> OldInventory:
        items, faults = [], []
        for place, entry, many in stored["bag"]:
            if isinstance(entry, int):
                items.append(InventoryItemData(entry, BACKPACK + place, many))
            else:
                # Nothing is dropped: what cannot be taken is kept, with the reason.
                row = {"slot": place, "entry": entry, "many": many}
                faults.append(BadRow(row, f"{entry!r} is no entry"))
        return OldInventory(guid, batch_of(*items), faults, {GOLD: stored["gold"]})

    def capacity_of(self, connection: Connection) -> Capacity:
        """Entries and stacks, in the backpack alone; gold of 32 bits."""
        slots = np.zeros(1 << 16, np.bool_)
        slots[BACKPACK : BACKPACK + 16] = True
        fields = {"entry": 2**32 - 1, "stack_count": 2**16 - 1}
        return Capacity(fields, {GOLD: 2**32 - 1}, slots)

    def put(
        self,
        connection: Connection,
        changes: Sequence[OldChange],
        moved_guids: Collection[int],
        highest_guid: int,
    ) -> None:
        """Write the texts anew; what could not be read stays in them."""
        for change in changes:
            bag = [
                [slot - BACKPACK, entry, many]
                for slot, entry, many in change.items[["slot", "entry", "stack_count"]].tolist()
            ]
            faults = change.before.faults if change.before else ()
            bag += [[row.values[name] for name in ("slot", "entry", "many")] for row in faults]
            stored = json.dumps({"bag": bag, "gold": change.balances[GOLD]})
            connection.execute(
                text(
                    "INSERT INTO player (id, inventory) VALUES (:id, :stored) "
                    "ON CONFLICT (id) DO UPDATE SET inventory = excluded.inventory"
                ),
                {"id": change.character_guid, "stored": stored},
            )


def _span(first_guid: int, last_guid: int) -> dict[str, int]:
    # A signed column: no player of ours is above it.
    return {"first": min(first_guid, 2**63 - 1), "last": min(last_guid, 2**63 - 1)}


async def drink_one(database: str) -> None:
    """Mira plays: one potion less."""
    async with RealmServer(database, port=0) as realm:
        secret = await realm.add_world("world-1")
        async with RealmConnector(
            "127.0.0.1", realm.port, world="world-1", secret=secret
        ) as connector:
            character = await connector.join(MIRA)
            potions = InventoryItemData.from_record(character.items[0])
            repository = connector.repository()
            await repository.save_item(MIRA, potions.counted(potions.stack_count - 1))
            items, gold = repository.load_items(MIRA), repository.load_balances(MIRA)[GOLD]
            shown = [
                (f"{slot >> 8}:{slot & 0xFF}", entry, many)
                for slot, entry, many in items[["slot", "entry", "stack_count"]].tolist()
            ]
            await connector.leave(MIRA)
            print("Mira drinks one:", shown, "and", gold)


async def main(folder: str) -> None:
    old = PlayerTables(f"sqlite:///{folder}/old.db")
    database = f"sqlite:///{folder}/realm.db"

    report = await import_tables(old, store_for(database))
    print(
        f"import: {report.written} written, {report.items} items, "
        f"{report.money[GOLD]} of currency {GOLD}"
    )
    for example in report.examples.values():
        print(f"set aside: character {example.character_guid}: {example.reason}")

    async def verified() -> None:
        found = await verify_tables(old, store_for(database))
        print("verify:", *(found.differences or ["nothing differs"]))

    await verified()
    await drink_one(database)
    await verified()
    back = await export_tables(old, store_for(database))
    print(f"export: {back.written} written, {back.unchanged} equal already")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(os.path.join(folder, "old.db"))
        with connection:
            connection.execute("CREATE TABLE player (id INTEGER PRIMARY KEY, inventory TEXT)")
            connection.executemany(
                "INSERT INTO player VALUES (?, ?)",
                [
                    (MIRA, '{"bag": [[0, 2589, 20], [1, 7, 1]], "gold": 50}'),
                    (ORIN, '{"bag": [[0, 7, 1], [1, "wand", 1]], "gold": 20}'),
                ],
            )
        asyncio.run(main(folder))
        for name, guid in (("Mira", MIRA), ("Orin", ORIN)):
            query = "SELECT inventory FROM player WHERE id = ?"
            print(f"{name}'s row:", *connection.execute(query, (guid,)).fetchone())
        connection.close()
