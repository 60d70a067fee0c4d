"""A letter with an item and money in it. It lies in a mailbox: an owner that is nobody's character.

To the realm an owner is a guid, whoever it is. So an item in a letter is stored, is there once,
and has a history. Each step is one operation that conserves: the item is never in two places, and
never in none.

Output:

    Mira sends her shield and 20: mailbox [10101], balances {7: 30, 9000008: 20}
    Sent once more: item guid 8589934593 is in slot 0 of character 9000008 already
    Orin opens it: mailbox [], balances {8: 20, 9000008: 0}
"""

import asyncio
import tempfile

from mmoinv import InventoryItemData, InventoryUnitOfWork, RealmConnector, RealmServer
from mmoinv.errors import DuplicateItemGuidError

MIRA, ORIN, GOLD = 7, 8, 1
MAILBOX_OF_ORIN = 9_000_008
PACK = 255 << 8 | 23
LETTER = 0
"""A slot of the mailbox: the game's own choice."""


async def play(connector: RealmConnector) -> None:
    for guid in (MIRA, ORIN, MAILBOX_OF_ORIN):
        await connector.join(guid)
    repository = connector.repository()
    (guid,) = connector.new_item_guids(1).tolist()
    shield = InventoryItemData(entry=10101, slot=PACK, item_guid=guid)
    await repository.save_item(MIRA, shield)
    await repository.add_money(MIRA, GOLD, 50)

    def told(*guids: int) -> str:
        letters = repository.load_items(MAILBOX_OF_ORIN)["entry"].tolist()
        balances = {guid: repository.load_balances(guid)[GOLD] for guid in guids}
        return f"mailbox {letters}, balances {balances}"

    letter = InventoryUnitOfWork(repository)
    letter.register_deleted(MIRA, PACK)
    letter.register_money(MIRA, GOLD, -20)
    letter.register_new(MAILBOX_OF_ORIN, shield._replace(slot=LETTER))
    letter.register_money(MAILBOX_OF_ORIN, GOLD, 20)
    await letter.commit(conserve=True)
    print("Mira sends her shield and 20:", told(MIRA, MAILBOX_OF_ORIN))

    # A client that sends the same letter again finds no item to send.
    again = InventoryUnitOfWork(repository)
    again.register_new(MAILBOX_OF_ORIN, shield._replace(slot=LETTER + 1))
    try:
        await again.commit()
    except DuplicateItemGuidError as error:
        print("Sent once more:", str(error).partition("refused: ")[2].partition(";")[0])

    opened = InventoryUnitOfWork(repository)
    opened.register_deleted(MAILBOX_OF_ORIN, LETTER)
    opened.register_money(MAILBOX_OF_ORIN, GOLD, -20)
    opened.register_new(ORIN, shield)
    opened.register_money(ORIN, GOLD, 20)
    await opened.commit(conserve=True)
    print("Orin opens it:", told(ORIN, MAILBOX_OF_ORIN))


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
