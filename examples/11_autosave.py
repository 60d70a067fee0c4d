"""Autosave: a while after a change, at intervals, at log-out and at the end.

Output:

    Found 5 potions. Dirty: True
    A moment later, without a call to save. Dirty: False
    Drunk one, and logged out: committed at version 2
    Orin found a sword just before the end.
    At the end: everything is saved
    The realm has 4 potions of Mira and 1 sword of Orin
"""

import asyncio
import tempfile

from mmoinv import Autosave, AutosaveSettings, RealmConnector, RealmServer
from mmoinv.inventory import Inventory, InventorySlot, PlayerState, sample_catalog

POTION, SWORD = 2001, 10001
PACK = InventorySlot.from_relative(255, 23)
MIRA, ORIN = 7, 8


async def joined(connector: RealmConnector, guid: int) -> Inventory:
    character = await connector.join(guid)
    return Inventory.from_items(
        guid, character.items, sample_catalog(), PlayerState(level=10), connector.new_item_guids
    )


async def play(connector: RealmConnector) -> None:
    # Short times, for the example. A loop of your own calls autosave.tick() instead.
    settings = AutosaveSettings(debounce_s=0.1, tick_s=0.01, interval_s=30.0)
    mira, orin = await joined(connector, MIRA), await joined(connector, ORIN)
    async with Autosave(connector.repository(), settings) as autosave:
        for inventory in (mira, orin):
            autosave.add(inventory)

        mira.add_items(POTION, 5)
        print(f"Found 5 potions. Dirty: {mira.is_dirty}")
        while mira.is_dirty:
            await asyncio.sleep(0.01)
        print(f"A moment later, without a call to save. Dirty: {mira.is_dirty}")

        mira.use(PACK)
        outcome = await autosave.remove(mira)
        print(f"Drunk one, and logged out: committed at version {outcome.versions[MIRA]}")
        await connector.leave(MIRA)

        orin.add_items(SWORD)
        print("Orin found a sword just before the end.")
    # The end of the block has saved what was dirty, and waited for the answers.
    print("At the end:", "something is dirty" if orin.is_dirty else "everything is saved")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with RealmServer(f"sqlite:///{folder}/realm.db", port=0) as realm:
            secret = await realm.add_world("world-1")
            async with RealmConnector(
                "127.0.0.1", realm.port, world="world-1", secret=secret
            ) as connector:
                await play(connector)
                await connector.leave(ORIN)
                mira, orin = await joined(connector, MIRA), await joined(connector, ORIN)
                print(
                    f"The realm has {mira.count(POTION)} potions of Mira",
                    f"and {orin.count(SWORD)} sword of Orin",
                )


if __name__ == "__main__":
    asyncio.run(main())
