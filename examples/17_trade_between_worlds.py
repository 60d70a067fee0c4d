"""Two characters of two world servers trade: each side offers, looks, and confirms its own half.

Output:

    Mira, in the castle, proposes a trade to Orin, in the forest
    Orin looks: 1 Rusted Shortsword for 30 gold
    Mira cannot drop it any more: ITEM_LOCKED
    Orin wants it cheaper: Mira's yes counts no more
    Mira looks: 25 gold
    They trade: committed, {7: 2, 8: 2}
    Mira has 25 gold and nothing else, nothing to save: True
    Orin has 75 gold and the sword, nothing to save: True
"""

import asyncio
import tempfile

from mmoinv import Inventory, InventorySlot, PlayerState, RealmConnector, RealmServer
from mmoinv.errors import TradeCancelledError
from mmoinv.inventory import sample_catalog
from mmoinv.world import Trade, TradeWindow

MIRA, ORIN, GOLD, SWORD = 7, 8, 1, 10001
PACK = InventorySlot.from_relative(255, 23)


async def world(realm: RealmServer, name: str) -> RealmConnector:
    secret = await realm.add_world(name)
    return RealmConnector("127.0.0.1", realm.port, world=name, secret=secret)


async def joined(connector: RealmConnector, guid: int) -> Inventory:
    character = await connector.join(guid)
    return Inventory.from_items(
        guid, character.items, sample_catalog(), PlayerState(), connector.new_item_guids
    )


async def play(castle: RealmConnector, forest: RealmConnector) -> None:
    mira, orin = await joined(castle, MIRA), await joined(forest, ORIN)
    mira.add_items(SWORD)
    await mira.save(castle.repository())
    await forest.repository().add_money(ORIN, GOLD, 100)

    # Orin's world: whoever proposes a trade gets a window with him.
    windows: asyncio.Queue[TradeWindow] = asyncio.Queue()
    his_looks: asyncio.Queue[Trade] = asyncio.Queue()

    def proposed(trade: Trade) -> None:
        trade.on_offer_changed = his_looks.put_nowait
        windows.put_nowait(TradeWindow(trade, orin, forest.repository()))

    forest.on_trade_offered = proposed

    print("Mira, in the castle, proposes a trade to Orin, in the forest")
    trade = castle.propose_trade(MIRA, ORIN)
    hers = TradeWindow(trade, mira, castle.repository())
    her_looks: asyncio.Queue[Trade] = asyncio.Queue()
    trade.on_offer_changed = her_looks.put_nowait
    await hers.offer([PACK])

    his = await windows.get()
    await his.offer(money={GOLD: 30})
    await his_looks.get()
    await her_looks.get()
    item = his.trade.theirs.items[0]
    template = orin.catalog.get(int(item["entry"]))
    assert template is not None
    print(f"Orin looks: {item['stack_count']} {template.name} for 30 gold")
    her_yes = hers.confirm().value
    print(f"Mira cannot drop it any more: {mira.remove(PACK).error.name}")

    await his.offer(money={GOLD: 25})
    try:
        await her_yes
    except TradeCancelledError:
        print("Orin wants it cheaper: Mira's yes counts no more")
    await her_looks.get()
    print(f"Mira looks: {trade.theirs.money[GOLD]} gold")
    hers.confirm()
    his.confirm()
    outcome = await hers
    await his
    print(f"They trade: committed, {dict(sorted(outcome.versions.items()))}")
    for name, connector, inventory in (("Mira", castle, mira), ("Orin", forest, orin)):
        gold = connector.repository().load_balances(inventory.character_guid)[GOLD]
        has = "the sword" if inventory.count(SWORD) else "nothing else"
        print(f"{name} has {gold} gold and {has}, nothing to save: {not inventory.is_dirty}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with RealmServer(f"sqlite:///{folder}/realm.db", port=0) as realm:
            castle, forest = await world(realm, "castle"), await world(realm, "forest")
            async with castle, forest:
                await play(castle, forest)


if __name__ == "__main__":
    asyncio.run(main())
