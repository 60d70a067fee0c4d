"""The world server is killed with a save on its way; the next process sends it.

With an outbox each operation is on the disk before it is sent. `connect` of the next process first
sends what was left there, under its old id, and says what became of it. Only then can characters be
joined, so nobody sees an inventory from before.

Output:

    Saved: 20 potions
    The realm goes away, a potion is drunk, and the world server is killed.
    The next one: saved, saved now; the process before ended too early for it
    Mira has 19 potions
"""

import asyncio
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

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


async def first_process(port: int, secret: str, outbox: str) -> None:
    """Saves, loses the realm, saves again, and dies of it."""
    connector = RealmConnector("127.0.0.1", port, world="world-1", secret=secret, outbox=outbox)
    await connector.connect()
    mira = await joined(connector)
    mira.add_items(POTION, 20)
    await mira.save(connector.repository())
    print(f"Saved: {mira.count(POTION)} potions", flush=True)
    while connector.state is ConnectorState.CONNECTED:
        await asyncio.sleep(0.01)
    mira.use(PACK)
    mira.save(connector.repository())
    while connector.outbox is not None and not connector.outbox.holds_everything:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, outbox = f"sqlite:///{folder}/realm.db", Path(folder) / "outbox"
        realm = RealmServer(database, port=0)
        await realm.start()
        secret = await realm.add_world("world-1")
        port = realm.port
        world = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, str(port), secret, outbox), stdout=asyncio.subprocess.PIPE
        )
        assert world.stdout is not None
        print((await world.stdout.readline()).decode().strip())
        await realm.close()
        await world.wait()
        print("The realm goes away, a potion is drunk, and the world server is killed.")

        async with (
            RealmServer(database, port=port),
            RealmConnector(
                "127.0.0.1", port, world="world-1", secret=secret, outbox=outbox
            ) as connector,
        ):
            for one in connector.replayed:
                print(f"The next one: {one.fate.value}, {one.meaning}")
            print(f"Mira has {(await joined(connector)).count(POTION)} potions")


if __name__ == "__main__":
    # The connector's warnings about the link: this example says it itself.
    logging.getLogger("mmoinv").setLevel(logging.CRITICAL)
    if len(sys.argv) > 1:
        asyncio.run(first_process(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(main())
