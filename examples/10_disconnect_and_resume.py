"""The realm goes away with a save on its way; it comes back, and the save with it.

The connector finds the realm again by itself, claims its sessions and sends what was not answered
once more: under the same operation id, so that nothing is stored twice.

Output:

    Saved: 20 potions
    The realm goes away ...
    Drunk one, and saving: on its way
    Waiting for the realm: 1 operation
    The realm is back, and the connector finds it.
    Saved: 19 potions, dirty: False
"""

import asyncio
import logging
import tempfile

from mmoinv import RealmConnector, RealmServer
from mmoinv.inventory import Inventory, InventorySlot, PlayerState, sample_catalog
from mmoinv.world import ConnectorState

POTION = 2001
PACK = InventorySlot.from_relative(255, 23)
MIRA = 7


async def joined(connector: RealmConnector) -> Inventory:
    """Mira's inventory, as the realm has it."""
    character = await connector.join(MIRA)
    return Inventory.from_items(
        MIRA, character.items, sample_catalog(), PlayerState(level=10), connector.new_item_guids
    )


async def main() -> None:
    # The connector's warnings about the link: this example says it itself.
    logging.getLogger("mmoinv").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/realm.db"
        realm = RealmServer(database, port=0)
        await realm.start()
        secret = await realm.add_world("world-1")
        connector = RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret)
        await connector.connect()
        mira = await joined(connector)
        mira.add_items(POTION, 20)
        await mira.save(connector.repository())
        print(f"Saved: {mira.count(POTION)} potions")

        print("The realm goes away ...")
        port = realm.port
        await realm.close()
        while connector.state is ConnectorState.CONNECTED:
            await asyncio.sleep(0.01)
        mira.use(PACK)
        handle = mira.save(connector.repository())
        print(f"Drunk one, and saving: {'done' if handle.done else 'on its way'}")
        print(f"Waiting for the realm: {connector.pending_count} operation")

        print("The realm is back, and the connector finds it.")
        async with RealmServer(database, port=port):
            await handle
            print(f"Saved: {mira.count(POTION)} potions, dirty: {mira.is_dirty}")
            await connector.close()


if __name__ == "__main__":
    asyncio.run(main())
