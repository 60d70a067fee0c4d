"""One unit of work over two characters: a trade is stored as a whole or not at all.

A realm on SQLite and a world server in one process. The realm's answers are awaited here; a game
loop would look at the handle later.

Output:

    Mira: character 7:
      backpack 1: 1 Rusted Shortsword
    Orin: character 8:
      backpack 1: 20 Draught of Mending
    They swap them; Mira is saved, and Orin with her.
    One operation over characters [7, 8], committed
    The realm has stored: {7: ['Draught of Mending'], 8: ['Rusted Shortsword']}
    The sword kept its guid: True
"""

import asyncio
import tempfile

from mmoinv import RealmConnector, RealmServer
from mmoinv.inventory import Inventory, InventorySlot, PlayerState, sample_catalog

POTION, SWORD = 2001, 10001
PACK = InventorySlot.from_relative(255, 23)
MIRA, ORIN = 7, 8


async def joined(connector: RealmConnector, guid: int) -> Inventory:
    """A character's inventory, as the realm has it."""
    character = await connector.join(guid)
    return Inventory.from_items(
        guid, character.items, sample_catalog(), PlayerState(level=10), connector.new_item_guids
    )


async def trade(connector: RealmConnector) -> None:
    mira, orin = await joined(connector, MIRA), await joined(connector, ORIN)
    repository = connector.repository()
    mira.add_items(SWORD)
    orin.add_items(POTION, 20)
    await mira.save(repository)
    await orin.save(repository)
    print("Mira:", mira)
    print("Orin:", orin)

    sword = mira.get(PACK)
    mira.exchange([PACK], orin, [PACK])
    print("They swap them; Mira is saved, and Orin with her.")
    handle = mira.save(repository)
    outcome = await handle
    print(f"One operation over characters {sorted(outcome.versions)}, committed")

    stored = {guid: repository.load_items(guid) for guid in (MIRA, ORIN)}
    names = {
        guid: [sample_catalog()[entry].name for entry in items["entry"].tolist()]
        for guid, items in stored.items()
    }
    print("The realm has stored:", names)
    print("The sword kept its guid:", stored[ORIN]["item_guid"][0] == sword.item_guid)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with RealmServer(f"sqlite:///{folder}/realm.db", port=0) as realm:
            secret = await realm.add_world("world-1")
            async with RealmConnector(
                "127.0.0.1", realm.port, world="world-1", secret=secret
            ) as connector:
                await trade(connector)


if __name__ == "__main__":
    asyncio.run(main())
