"""A trade between two worlds whose links are cut at every packet, whose realm is started anew, with
and without outbox: it has come about for both or for neither, and nothing is lost or doubled."""

import contextlib

import pytest
from cutting import DOWN, UP
from two_worlds import (
    GOLD,
    PACK,
    TwoWorlds,
    stock,
    two_worlds,
    until,
)

from mmoinv.errors import MmoinvError
from mmoinv.world import ConnectorState, TradeState


async def trade_once(worlds: TwoWorlds) -> None:
    """Both offer, the first one confirms, then the other one; and both loot meanwhile. Whatever
    goes wrong is left to be."""
    one, other = worlds.sides
    other.gives = ((PACK, PACK + 1), {GOLD: 7})
    other.confirms_gladly = True
    for side in worlds.sides:
        await until(lambda side=side: side.connector.state is ConnectorState.CONNECTED)
    window = one.propose(other)
    trade = window.trade
    one.loot()
    other.loot()
    await window.offer([PACK], {GOLD: 30})
    await until(lambda: trade.is_over or len(trade.theirs.items) == 2)
    window.confirm()
    # Unsaved, and saved behind the trade: neither knows of it.
    one.loot()
    if not one.inventory.is_submitted:
        one.inventory.save(one.repository)
    other.loot()
    one.loot()


async def try_to_trade(worlds: TwoWorlds) -> None:
    with contextlib.suppress(MmoinvError):
        await trade_once(worlds)


async def count_packets(url: str, folder) -> dict[tuple[int, str], int]:
    async with two_worlds(url, folder) as worlds:
        await stock(worlds)
        before = [{way: len(side.proxy.seen[way]) for way in (UP, DOWN)} for side in worlds.sides]
        await trade_once(worlds)
        await worlds.check()
        assert worlds.sides[0].trade.state is TradeState.COMMITTED
        return {
            (place, way): len(side.proxy.seen[way]) - before[place][way]
            for place, side in enumerate(worlds.sides)
            for way in (UP, DOWN)
        }


@pytest.mark.parametrize("has_outbox", [False, True], ids=["", "outbox"])
@pytest.mark.parametrize("way", [UP, DOWN])
@pytest.mark.parametrize("place", [0, 1])
async def test_a_link_that_is_cut_at_every_packet(tmp_path, place, way, has_outbox):
    folder = tmp_path / "outboxes" if has_outbox else None
    if folder is not None:
        folder.mkdir()
    count = (await count_packets(f"sqlite:///{tmp_path / 'first.db'}", folder))[place, way]
    assert count >= 4
    fates = set()
    for number in range(count):
        for when in ("before", "after"):
            url = f"sqlite:///{tmp_path / f'{number}-{when}.db'}"
            async with two_worlds(url, folder) as worlds:
                await stock(worlds)
                proxy = worlds.sides[place].proxy
                first = len(proxy.seen[way]) + number
                cut_at = iter([when])
                proxy.cut = lambda direction, _, place, first=first, cut_at=cut_at: (
                    next(cut_at, "") if direction == way and place >= first else ""
                )
                await try_to_trade(worlds)
                await worlds.check()
                assert proxy.cuts == 1
                fates.add(worlds.sides[0].trades[0].state)
                # And once more, with nothing in between.
                proxy.cut = lambda direction, opcode, place: ""
                if worlds.sides[0].trades[0].state is TradeState.OVER:
                    await trade_once(worlds)
                    await worlds.check()
                    assert worlds.sides[0].trade.state is TradeState.COMMITTED
    assert TradeState.OVER in fates
