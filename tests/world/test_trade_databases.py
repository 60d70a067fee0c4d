"""Trades between two worlds on every database: one that comes about, one whose answers are lost,
one whose link is lost before it can come about."""

import asyncio

import pytest
from cutting import DOWN
from two_worlds import GOLD, PACK, POTION, TwoWorlds, stock, two_worlds, until

from mmoinv.errors import TradeCancelledError
from mmoinv.world import ConnectorState, TradeState


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def worlds(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'realm.db'}"
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    async with two_worlds(url) as worlds:
        await stock(worlds)
        yield worlds
        await worlds.check()


async def offered(worlds: TwoWorlds) -> None:
    one, other = worlds.sides
    other.gives = ((PACK, PACK + 1), {GOLD: 7})
    window = one.propose(other)
    assert await window.offer([PACK], {GOLD: 30})
    await until(lambda: len(one.trade.theirs.items) == 2)


def lose_answers(way: str, opcode: int, number: int) -> str:
    return "before" if (way, opcode) == (DOWN, 0x80) else ""


async def test_it_comes_about(worlds):
    one, other = worlds.sides
    other.confirms_gladly = True
    await offered(worlds)
    assert one.window.confirm()
    outcome = await one.trade
    assert (await other.trade) == outcome
    assert [side.balance() for side in worlds.sides] == [77, 63]
    assert POTION in other.inventory.items["entry"]
    assert not other.inventory.is_dirty


async def test_it_has_come_about_and_nobody_was_told(worlds):
    one, other = worlds.sides
    await offered(worlds)
    assert one.window.confirm()
    one.loot()
    save = one.inventory.save(one.repository)
    await until(lambda: other.trade.theirs.confirmed)
    for side in worlds.sides:
        side.proxy.cut = lose_answers
    assert other.window.confirm()
    await until(lambda: one.proxy.cuts)
    await until(lambda: other.proxy.cuts)
    for side in worlds.sides:
        side.proxy.cut = lambda way, opcode, number: ""
    outcomes = await asyncio.gather(one.trade, other.trade)
    assert [outcome.status for outcome in outcomes] == [1, 1]
    await save
    # In both histories, once.
    for side in worlds.sides:
        rows = await worlds.store.read_ledger(side.guid)
        assert [row.operation_id for row in rows].count(one.trade.trade_id) == 1


async def test_it_can_never_come_about_any_more(worlds):
    """The half was with the realm when the link was lost. Sent again, it is made final."""
    one, other = worlds.sides
    await offered(worlds)
    half = one.window.confirm().value
    await until(lambda: other.trade.theirs.confirmed)
    version = one.connector.character(one.guid).version
    one.proxy.cut_all()
    with pytest.raises(TradeCancelledError):
        await half
    assert one.connector.state is ConnectorState.CONNECTED
    assert one.connector.character(one.guid).version == version + 1
    await until(lambda: other.trade.is_over)
    assert other.trade.state is TradeState.OVER
    # The next commit is made on that version.
    one.loot()
    await one.inventory.save(one.repository)
