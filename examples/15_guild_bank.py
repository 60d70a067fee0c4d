"""A guild's bank: an owner that many put into and take from, and whose balance the realm guards.

Output:

    Mira brings 20 potions and 100: the bank has [20] and 100
    Orin takes 5 potions and 60: the bank has [15] and 40
    And 60 more: character 9000001 has 40 of currency 1, and 60 are to be taken
"""

import asyncio
import tempfile

from mmoinv import InventoryItemData, InventoryUnitOfWork, RealmConnector, RealmServer
from mmoinv.errors import InsufficientFundsError

MIRA, ORIN, BANK, GOLD = 7, 8, 9_000_001, 1
PACK, SHELF = 255 << 8 | 23, 0


def potions(guid: int, slot: int, count: int) -> InventoryItemData:
    """A stack of them."""
    return InventoryItemData(entry=2001, slot=slot, stack_count=count, item_guid=guid)


async def play(connector: RealmConnector) -> None:
    for guid in (MIRA, ORIN, BANK):
        await connector.join(guid)
    repository = connector.repository()
    twenty, five = connector.new_item_guids(2).tolist()
    await repository.save_item(MIRA, potions(twenty, PACK, 20))
    await repository.add_money(MIRA, GOLD, 100)

    def bank() -> str:
        stacks = repository.load_items(BANK)["stack_count"].tolist()
        return f"the bank has {stacks} and {repository.load_balances(BANK)[GOLD]}"

    def moving(source: int, target: int, amount: int) -> InventoryUnitOfWork:
        unit = InventoryUnitOfWork(repository)
        unit.register_money(source, GOLD, -amount)
        unit.register_money(target, GOLD, amount)
        return unit

    brings = moving(MIRA, BANK, 100)
    brings.register_deleted(MIRA, PACK)
    brings.register_new(BANK, potions(twenty, SHELF, 20))
    await brings.commit(conserve=True)
    print("Mira brings 20 potions and 100:", bank())

    # A part of a stack is a new item; together they are as many as before.
    takes = moving(BANK, ORIN, 60)
    takes.register_dirty(BANK, potions(twenty, SHELF, 15))
    takes.register_new(ORIN, potions(five, PACK, 5))
    await takes.commit(conserve=True)
    print("Orin takes 5 potions and 60:", bank())
    try:
        await moving(BANK, ORIN, 60).commit(conserve=True)
    except InsufficientFundsError as error:
        print("And 60 more:", str(error).partition("refused: ")[2].partition(";")[0])


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
