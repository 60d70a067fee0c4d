"""Items against money, in one operation that must conserve both.

With ``conserve`` the realm adds up, over all characters of the operation, the stacks of each kind
of item and the money of each currency: afterwards there must be as much as before.

Output:

    Orin pays 30 for the sword: committed, {7: 30, 8: 70}
    A bug pays twice: of currency 1 there would be more or less than before
    Mira has 30, Orin 70 and the sword
"""

import asyncio
import tempfile

from mmoinv import InventoryItemData, InventoryUnitOfWork, RealmConnector, RealmServer
from mmoinv.errors import NotConservedError

MIRA, ORIN, GOLD = 7, 8, 1
SLOT = 255 << 8 | 23


async def play(connector: RealmConnector) -> None:
    mira, orin = await connector.join(MIRA), await connector.join(ORIN)
    repository = connector.repository()
    (guid,) = connector.new_item_guids(1).tolist()
    sword = InventoryItemData(entry=10001, slot=SLOT, item_guid=guid)
    await repository.save_item(MIRA, sword)
    await repository.add_money(ORIN, GOLD, 100)

    trade = InventoryUnitOfWork(repository)
    trade.register_deleted(MIRA, SLOT)
    trade.register_new(ORIN, sword)
    trade.register_money(ORIN, GOLD, -30)
    trade.register_money(MIRA, GOLD, 30)
    await trade.commit(conserve=True)
    balances = {guid: repository.load_balances(guid)[GOLD] for guid in (MIRA, ORIN)}
    print("Orin pays 30 for the sword: committed,", balances)

    bug = InventoryUnitOfWork(repository)
    bug.register_money(ORIN, GOLD, -30)
    bug.register_money(MIRA, GOLD, 60)
    try:
        await bug.commit(conserve=True)
    except NotConservedError as error:
        print("A bug pays twice:", str(error).partition("refused: ")[2].partition(";")[0])
    has_sword = guid in orin.items["item_guid"]
    print(
        f"Mira has {mira.balances[GOLD]}, Orin {orin.balances[GOLD]}", has_sword * "and the sword"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with RealmServer(f"sqlite:///{folder}/realm.db", port=0) as realm:
            secret = await realm.add_world("world-1")
            async with RealmConnector(
                "127.0.0.1", realm.port, world="world-1", secret=secret
            ) as connector:
                await play(connector)


if __name__ == "__main__":
    asyncio.run(main())
