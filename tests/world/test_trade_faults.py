"""A trade between two worlds whose links are cut at every packet, with and without outbox, and
whose realm is killed: it has come about for both or for neither, and nothing is lost or doubled."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest
from cutting import DOWN, UP
from two_worlds import (
    GOLD,
    PACK,
    Side,
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


async def test_a_realm_that_is_killed_while_they_trade(tmp_path):
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with two_worlds(url) as worlds:
        await stock(worlds)
        port = worlds.realm.port
        await worlds.realm.close()
        process = await start_realm(url, port)
        try:
            for number in range(6):
                with contextlib.suppress(MmoinvError):
                    await give(*worlds.sides[:: -1 if number % 2 else 1])
                await asyncio.sleep(number * 0.002)
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                process = await start_realm(url, port)
            for side in worlds.sides:
                await side.settle()
                assert side.connector.reconnect_count >= 6
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        await worlds.restart()
        for side in worlds.sides:
            await until(lambda side=side: side.connector.state is ConnectorState.CONNECTED)
        await worlds.check()


async def start_realm(url: str, port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mmoinv", "realm", "--database", url, "--port", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return process
            await asyncio.sleep(0.05)


async def give(giver: Side, receiver: Side) -> None:
    """The first thing that there is, and a coin; up to the giver's yes. The other one says his by
    himself."""
    receiver.gives = ((), {})
    receiver.confirms_gladly = True
    for side in (giver, receiver):
        await until(lambda side=side: side.connector.state is ConnectorState.CONNECTED)
        await until(lambda side=side: side.connector.trade_of(side.guid) is None)
    window = giver.propose(receiver)
    await window.offer([next(iter(giver.inventory)).slot], {GOLD: 1})
    await until(lambda: window.trade.is_over or window.trade.theirs.revision)
    window.confirm()
