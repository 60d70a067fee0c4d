"""The link is lost with a save on its way, and the game goes on with a new one.

A connector does not reconnect by itself yet. What was not answered may or may not be stored: the
new connector joins anew, and what the realm has then is the truth to go on from.

Output:

    Saved: 20 potions
    The realm goes away ...
    Drunk one, and saving: LinkError
    Still dirty: True, nothing is lost: 19 potions here
    The realm is back, with a new connector.
    It has 20 potions; what was done meanwhile is done again.
    Saved: 19 potions
"""

import asyncio
import logging
import tempfile

from mmoinv import RealmConnector, RealmServer
from mmoinv.errors import LinkError, OperationPendingError
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
    # The connector's warning that the link is lost: this example says it itself.
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
        await realm.close()
        while connector.state is ConnectorState.CONNECTED:
            await asyncio.sleep(0.01)
        mira.use(PACK)
        try:
            # Had it been sent before, its handle would end with OperationPendingError.
            await mira.save(connector.repository())
        except (LinkError, OperationPendingError) as error:
            print(f"Drunk one, and saving: {type(error).__name__}")
        await connector.close()
        print(
            f"Still dirty: {mira.is_dirty},",
            f"nothing is lost: {mira.count(POTION)} potions here",
        )

        print("The realm is back, with a new connector.")
        async with (
            RealmServer(database, port=0) as realm,
            RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as connector,
        ):
            again = await joined(connector)
            print(f"It has {again.count(POTION)} potions;", end=" ")
            print("what was done meanwhile is done again.")
            again.remove(PACK, again.count(POTION) - mira.count(POTION))
            await again.save(connector.repository())
            print(f"Saved: {again.count(POTION)} potions")


if __name__ == "__main__":
    asyncio.run(main())
