"""An auction: the house owns what is offered and what is bid, until it goes to the one who gets it.

Output:

    Mira offers her sword: the house has [10001] and 0
    Orin bids 40: the house has [10001] and 40
    Vala bids 60, and Orin has his 40 back: the house has [10001] and 60
    Sold, but the fee gets lost: of currency 1 there would be more or less than before
    Sold, and the fee stays: the house has [] and 3
    Mira 57, Orin 100, Vala 40 and the sword
"""

import asyncio
import tempfile

from mmoinv import InventoryItemData, InventoryUnitOfWork, RealmConnector, RealmServer
from mmoinv.errors import NotConservedError

MIRA, ORIN, VALA, HOUSE, GOLD = 7, 8, 9, 9_000_002, 1
PACK, LOT = 255 << 8 | 23, 0


async def play(connector: RealmConnector) -> None:
    joined = {guid: await connector.join(guid) for guid in (MIRA, ORIN, VALA, HOUSE)}
    repository = connector.repository()
    (guid,) = connector.new_item_guids(1).tolist()
    sword = InventoryItemData(entry=10001, slot=PACK, item_guid=guid)
    await repository.save_item(MIRA, sword)
    for bidder in (ORIN, VALA):
        await repository.add_money(bidder, GOLD, 100)

    def operation(**money: int) -> InventoryUnitOfWork:
        unit = InventoryUnitOfWork(repository)
        for owner, amount in zip((MIRA, ORIN, VALA, HOUSE), money.values(), strict=True):
            unit.register_money(owner, GOLD, amount)
        return unit

    def house() -> str:
        lots = joined[HOUSE].items["entry"].tolist()
        return f"the house has {lots} and {joined[HOUSE].balances.get(GOLD, 0)}"

    offer = InventoryUnitOfWork(repository)
    offer.register_deleted(MIRA, PACK)
    offer.register_new(HOUSE, sword._replace(slot=LOT))
    await offer.commit(conserve=True)
    print("Mira offers her sword:", house())

    await operation(mira=0, orin=-40, vala=0, house=40).commit(conserve=True)
    print("Orin bids 40:", house())
    # Who is outbid has it back in the operation that outbids.
    await operation(mira=0, orin=40, vala=-60, house=20).commit(conserve=True)
    print("Vala bids 60, and Orin has his 40 back:", house())

    for text, money in (
        ("Sold, but the fee gets lost:", {"mira": 57, "orin": 0, "vala": 0, "house": -60}),
        ("Sold, and the fee stays:", {"mira": 57, "orin": 0, "vala": 0, "house": -57}),
    ):
        sold = operation(**money)
        sold.register_deleted(HOUSE, LOT)
        sold.register_new(VALA, sword)
        try:
            await sold.commit(conserve=True)
            print(text, house())
        except NotConservedError as error:
            print(text, str(error).partition("refused: ")[2].partition(";")[0])
    mira, orin, vala = (joined[guid].balances[GOLD] for guid in (MIRA, ORIN, VALA))
    has_sword = guid in joined[VALA].items["item_guid"]
    print(f"Mira {mira}, Orin {orin}, Vala {vala}", has_sword * "and the sword")


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
