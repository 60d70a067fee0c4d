"""Two worlds at one realm, a character each, and what must hold of the two whatever happened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
from cutting import CuttingProxy
from inventories import SECRET

from mmoinv.codec import sort_by_slot
from mmoinv.errors import MmoinvError
from mmoinv.inventory import (
    BACKPACK,
    Inventory,
    InventoryType,
    ItemCatalog,
    ItemTemplate,
    PlayerState,
)
from mmoinv.realm import RealmServer
from mmoinv.realm.limits import RealmLimits
from mmoinv.world import Outbox, RealmConnector, Trade, TradeState, TradeWindow

PACK = BACKPACK.start
POTION, SWORD, BAG, TROPHY, ARROW, PEBBLE = range(1, 7)
CATALOG = ItemCatalog(
    (
        ItemTemplate(POTION, "Potion", max_stack=20),
        ItemTemplate(SWORD, "Sword", InventoryType.WEAPON, max_durability=90),
        ItemTemplate(BAG, "Bag", InventoryType.BAG, container_slots=4),
        ItemTemplate(TROPHY, "Trophy", max_count=1),
        ItemTemplate(PEBBLE, "Pebble", max_stack=20),
        ItemTemplate(ARROW, "Arrow", InventoryType.AMMO, max_stack=100),
    )
)
GOLD = 1
ENDED = (TradeState.COMMITTED, TradeState.OVER)


async def until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


class Side:
    """One world with its character."""

    def __init__(self, connector: RealmConnector, guid: int, proxy: CuttingProxy) -> None:
        self.connector = connector
        self.guid = guid
        self.proxy = proxy
        self.trades: list[Trade] = []
        self.windows: list[TradeWindow] = []
        self.confirms_gladly = False
        """It confirms whatever the other one offers."""
        self.looted = 0
        self.gives: tuple[tuple[int, ...], dict[int, int]] = ((), {})
        """What it offers to who proposes."""
        connector.on_trade_offered = self._offered

    async def enter(self) -> None:
        """Join, as after a start."""
        joined = await self.connector.join(self.guid)
        self.inventory = Inventory.from_items(
            self.guid, joined.items, CATALOG, PlayerState(), self.connector.new_item_guids
        )

    @property
    def repository(self) -> Any:
        return self.connector.repository()

    @property
    def window(self) -> TradeWindow:
        """The newest one."""
        return self.windows[-1]

    @property
    def trade(self) -> Trade:
        return self.trades[-1]

    def propose(self, other: "Side") -> TradeWindow:
        return self._open(self.connector.propose_trade(self.guid, other.guid))

    def _offered(self, trade: Trade) -> None:
        self._open(trade)
        trade.on_confirmed = self._look
        self._answering = asyncio.ensure_future(self._answer())

    def _open(self, trade: Trade) -> TradeWindow:
        self.trades.append(trade)
        window = TradeWindow(trade, self.inventory, self.repository)
        self.windows.append(window)
        return window

    async def _answer(self) -> None:
        with contextlib.suppress(MmoinvError):
            await self.window.offer(*self.gives)

    def _look(self, trade: Trade) -> None:
        if self.confirms_gladly:
            with contextlib.suppress(MmoinvError):
                self.window.confirm()

    def loot(self) -> None:
        """A pebble, where no trade is; not saved."""
        assert self.inventory.add_items(PEBBLE, 1)
        self.looted += 1

    async def settle(self) -> None:
        """Until every trade has ended and all is saved."""
        await until(lambda: all(trade.is_over for trade in self.trades))
        await self.save()

    async def save(self) -> None:
        """Until all is saved."""
        while self.inventory.is_dirty or self.inventory.is_saving:
            with contextlib.suppress(MmoinvError):
                await self.inventory.save(self.repository)
        await self.connector.flush(20)

    def balance(self) -> int:
        return self.connector.character(self.guid).balances.get(GOLD, 0)


class TwoWorlds:
    """A realm that can be started anew, and the two sides."""

    def __init__(self, realm: RealmServer, sides: tuple[Side, Side], url: str) -> None:
        self.realm = realm
        self.sides = sides
        self.url = url
        self.items: dict[int, tuple[Any, ...]] = {}
        self.gold = 0

    @property
    def store(self) -> Any:
        return self.realm.store

    async def restart(self) -> None:
        port = self.realm.port
        await self.realm.close()
        self.realm = RealmServer(self.url, port=port, limits=self.realm._limits)
        await self.realm.start()

    async def remember(self) -> None:
        """What there is now is what there must be in the end."""
        for side in self.sides:
            await side.settle()
            for item in side.inventory:
                self.items[item.item_guid] = what(item)
        self.gold = sum(side.balance() for side in self.sides)

    async def check(self) -> None:
        """All guids once, all sums as they were, and three times the same: the database, what the
        connector holds for committed, and the live inventory."""
        for side in self.sides:
            await side.settle()
        found: dict[int, tuple[Any, ...]] = {}
        gold = 0
        for side in self.sides:
            stored = sort_by_slot(await self.store.read_items(side.guid))
            session = await self.store.read_session(side.guid)
            balances = await self.store.read_wallet(side.guid)
            character = side.connector.character(side.guid)
            assert stored.tobytes() == character.items.tobytes(), side.guid
            assert stored.tobytes() == side.inventory.items.tobytes(), side.guid
            assert stored.tobytes() == side.inventory.committed.tobytes(), side.guid
            assert (session.version, session.epoch) == (character.version, character.epoch)
            assert balances.get(GOLD, 0) == side.balance() >= 0
            assert side.inventory.held == frozenset()
            assert side.connector.trade_of(side.guid) is None
            assert side.connector.pending_count == 0
            for item in side.inventory:
                assert item.item_guid not in found
                found[item.item_guid] = what(item)
            gold += side.balance()
        assert gold == self.gold
        pebbles = sum(side.inventory.count(PEBBLE) for side in self.sides)
        assert pebbles == sum(side.looted for side in self.sides)
        assert {guid: found[guid] for guid in self.items} == self.items
        # Both sides were told the same.
        fates: dict[int, set[TradeState]] = {}
        for side in self.sides:
            for trade in side.trades:
                fates.setdefault(trade.trade_id, set()).add(trade.state)
        for fate in fates.values():
            assert len(fate) == 1, fates
            assert fate <= set(ENDED)

    def owner_of(self, guid: int) -> int:
        """The side that has an item."""
        return next(
            place
            for place, side in enumerate(self.sides)
            if guid in side.inventory.items["item_guid"]
        )


def what(item: Any) -> tuple[Any, ...]:
    """All of an item but where it is."""
    return (
        item.entry,
        item.stack_count,
        item.creator,
        item.durability,
        item.item_flags,
        item.random_property_index,
        item.random_suffix_index,
    )


@contextlib.asynccontextmanager
async def two_worlds(
    url: str, folder: Path | None = None, limits: RealmLimits | None = None
) -> AsyncIterator[TwoWorlds]:
    """A realm, two proxies, two worlds with a character each, 7 and 8, who have joined. With a
    folder each world has its outbox in it."""
    async with contextlib.AsyncExitStack() as stack:
        realm = RealmServer(url, port=0, limits=limits)
        await realm.start()
        sides = []
        for name, guid in (("world-1", 7), ("world-2", 8)):
            await realm.add_world(name, SECRET)
            proxy = await stack.enter_async_context(CuttingProxy(realm.port))
            connector = RealmConnector(
                "127.0.0.1",
                proxy.port,
                world=name,
                secret=SECRET,
                reconnect_longest_s=0.05,
                outbox=None if folder is None else Outbox(folder / name),
            )
            await connector.connect()
            side = Side(connector, guid, proxy)
            await side.enter()
            sides.append(side)
        worlds = TwoWorlds(realm, (sides[0], sides[1]), url)
        try:
            yield worlds
        finally:
            for side in sides:
                await side.connector.close(2)
            await worlds.realm.close()


async def stock(worlds: TwoWorlds) -> None:
    """Seven has 5 potions, a sword and 100 in gold, Eight 100 arrows, a sword and 40."""
    one, other = worlds.sides
    for side, entry, amount, gold in ((one, POTION, 5, 100), (other, ARROW, 100, 40)):
        assert side.inventory.add_items(entry, amount)
        assert side.inventory.add_items(SWORD, 1, creator=side.guid)
        assert side.inventory.change_item(PACK + 1, durability=11 * side.guid)
        await side.inventory.save(side.repository)
        await side.repository.add_money(side.guid, GOLD, gold)
    await worlds.remember()


def guids(items: Any) -> set[int]:
    return set(np.array(items["item_guid"]).tolist())
