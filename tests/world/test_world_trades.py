"""Trades of characters of two worlds, over real sockets: offers, consent, locks, ends; and what the
commits around them do. At the end of each, nothing is lost or doubled."""

import asyncio
import contextlib

import pytest
from cutting import DOWN
from inventories import SECRET
from two_worlds import (
    ARROW,
    GOLD,
    PACK,
    POTION,
    SWORD,
    guids,
    stock,
    two_worlds,
    until,
)

from mmoinv import RealmConnector
from mmoinv.errors import (
    InsufficientFundsError,
    InvalidOperationError,
    ItemLockedError,
    JoinError,
    LinkBusyError,
    LinkError,
    OperationPendingError,
    OutboxWriteError,
    StaleSessionError,
    TradeCancelledError,
    TradeError,
    VersionConflictError,
)
from mmoinv.realm.limits import RealmLimits
from mmoinv.wire import TradeEnd
from mmoinv.world import ConnectorState, TradeState

POTIONS, OWN_SWORD, FREE = PACK, PACK + 1, PACK + 5


@pytest.fixture
async def worlds(tmp_path):
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}") as worlds:
        await stock(worlds)
        yield worlds
        await worlds.check()


async def offered(worlds, slots=(POTIONS,), money=None):
    """One's offer has arrived, and the other one has answered with what it gives."""
    one, other = worlds.sides
    one.propose(other)
    if slots or money:
        assert await one.window.offer(slots, money)
    await until(
        lambda: one.trade.theirs.revision and one.trade.mine.revision == other.trade.theirs.revision
    )
    return one, other


async def refusal_of(trade) -> TradeEnd:
    with pytest.raises(TradeError, match="nothing has changed hands") as caught:
        async with asyncio.timeout(10):
            await trade
    assert trade.state is TradeState.OVER
    assert caught.value.trade_id == trade.trade_id
    return TradeEnd(caught.value.reason)


# It comes about


async def test_a_trade_of_items_and_money_that_keeps_all_of_them_as_they_are(worlds):
    one, other = worlds.sides
    other.gives = ((POTIONS, OWN_SWORD), {GOLD: 25})
    told = []
    sword = one.inventory.get(OWN_SWORD)
    await offered(worlds, (OWN_SWORD,), {GOLD: 60})
    other.trade.on_ended = lambda trade: told.append(dict(trade._place._trades))
    assert one.trade.theirs.items["entry"].tolist() == [ARROW, SWORD]
    assert other.trade.theirs.money == {GOLD: 60}
    first = one.window.confirm(9)
    assert one.trade.state is TradeState.CONFIRMED
    await until(lambda: other.trade.theirs.confirmed)
    assert not first.value.done
    second = other.window.confirm()
    outcome = await one.trade
    assert await first.value == outcome
    assert outcome.operation_id == one.trade.trade_id == (await second.value).operation_id
    assert outcome.versions == {side.guid: 3 for side in worlds.sides}
    assert (await other.trade).versions == outcome.versions
    assert one.trade.state is other.trade.state is TradeState.COMMITTED
    assert told == [{}]
    assert [side.balance() for side in worlds.sides] == [65, 75]
    # Nothing is dirty, and the sword is the same one, in the slot that became free.
    assert not any(side.inventory.is_dirty for side in worlds.sides)
    assert other.inventory.get(POTIONS) == sword.placed(POTIONS, other.guid)
    reasons = {row.operation_id: row.reason for row in await worlds.store.read_ledger(one.guid)}
    assert reasons[one.trade.trade_id] == 9


async def test_a_present_wants_no_more_than_a_yes(worlds):
    one, other = worlds.sides
    other.connector.on_trade_offered = None
    trades = []
    other.connector.on_trade_offered = trades.append
    trade = one.connector.propose_trade(one.guid, other.guid, (), {GOLD: 100})
    with pytest.raises(TradeError, match="has said nothing yet"):
        trade.confirm()
    await until(lambda: trades)
    assert trades[0].theirs.money == {GOLD: 100}
    trades[0].confirm()
    await until(lambda: trade.theirs.confirmed)
    trade.confirm()
    await trade
    assert [side.balance() for side in worlds.sides] == [0, 140]


async def test_one_after_the_other_there_and_back(worlds):
    one, other = worlds.sides
    for giver, receiver in ((one, other), (other, one), (one, other)):
        slot = next(item.slot for item in giver.inventory if item.entry == POTION)
        giver.propose(receiver)
        await giver.window.offer((slot,))
        trade = giver.trade
        await until(lambda trade=trade: trade.theirs.revision)
        giver.window.confirm()
        await until(lambda receiver=receiver: receiver.trade.theirs.confirmed)
        await receiver.window.confirm().value
        await trade
        assert POTION in receiver.inventory.items["entry"]
        assert POTION not in giver.inventory.items["entry"]


# Consent


async def test_an_offer_that_changes_takes_the_confirmation_back(worlds):
    one, other = await offered(worlds)
    looks = []
    one.trade.on_offer_changed = lambda trade: looks.append((trade.state, trade.theirs.money))
    confirmed = one.window.confirm().value
    await until(lambda: other.trade.theirs.confirmed)
    assert await other.window.offer((), {GOLD: 1})
    assert not other.trade.theirs.confirmed
    with pytest.raises(TradeCancelledError, match="an offer has changed"):
        await confirmed
    assert looks == [(TradeState.OPEN, {GOLD: 1})]
    assert one.trade.state is TradeState.OPEN
    # What was to come is free again, what is given is not.
    assert one.inventory.held == {POTIONS}
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    await one.window.confirm().value
    assert [side.balance() for side in worlds.sides] == [101, 39]


async def test_both_change_their_minds_at_once(worlds):
    """Each confirms what the other one takes back in the same moment."""
    one, other = await offered(worlds)
    await other.window.offer((), {GOLD: 1})
    half = one.window.confirm().value
    with pytest.raises(TradeCancelledError):
        await half
    await other.window.offer((), {GOLD: 2})
    await until(lambda: one.trade.theirs.money == {GOLD: 2})
    assert await one.window.offer((POTIONS,), {GOLD: 3})
    half = other.window.confirm().value
    with pytest.raises(TradeCancelledError):
        await half
    assert other.trade.theirs.money == {GOLD: 3}
    assert not one.trade.theirs.confirmed
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    await one.window.confirm().value
    assert [side.balance() for side in worlds.sides] == [99, 41]


async def test_only_what_was_seen_is_confirmed(worlds):
    one, other = await offered(worlds)
    seen = one.trade.theirs.revision
    await other.window.offer((), {GOLD: 1})
    await until(lambda: one.trade.theirs.revision != seen)
    with pytest.raises(TradeError, match="look again"):
        one.window.confirm(seen_revision=seen)
    assert one.trade.state is TradeState.OPEN
    one.trade.cancel()


@pytest.mark.parametrize("lie", ["stack", "guid", "money", "keeps"])
async def test_a_half_that_is_something_else_is_not_sent_and_would_be_found_out(
    worlds, monkeypatch, lie
):
    one, other = await offered(worlds)
    items = other.trade.theirs.items.copy()
    items["slot"] = FREE
    if lie == "stack":
        items["stack_count"] += 1
    elif lie == "guid":
        items["item_guid"] = other.connector.new_item_guids(1)
    with contextlib.suppress(TradeError):
        if lie in ("stack", "guid"):
            other.trade.confirm(items)
            raise AssertionError("it was not found out")
    # A world without these checks, or with its own ideas.
    monkeypatch.setattr(type(other.trade), "_check_half", lambda *_: None)
    if lie == "money":
        make = type(other.trade)._half_of
        monkeypatch.setattr(
            type(other.trade),
            "_half_of",
            lambda trade, items: make(trade, items)._replace(money=((GOLD, 1),)),
        )
    elif lie == "keeps":
        await other.window.offer((OWN_SWORD,))
        await until(lambda: len(one.trade.theirs.items) == 1)
        monkeypatch.setattr(type(other.trade), "_given", frozenset())
    half = other.trade.confirm(items)
    with pytest.raises(InvalidOperationError):
        await half
    with pytest.raises(InvalidOperationError):
        await other.trade
    assert await refusal_of(one.trade) is TradeEnd.INVALID


async def test_what_is_not_there_cannot_be_offered(worlds):
    one, other = worlds.sides
    for slots, money, said in (
        ((FREE,), {}, "nothing is committed in slot"),
        ((), {GOLD: 101}, "less than 101"),
        ((), {2: 1}, "less than 1"),
        ((), {GOLD: -1}, "not above 0"),
    ):
        with pytest.raises(TradeError, match=said):
            one.connector.propose_trade(one.guid, other.guid, slots, money)
    handle = one.repository.delete_item(one.guid, POTIONS)
    with pytest.raises(TradeError, match="is on its way"):
        one.connector.propose_trade(one.guid, other.guid, (POTIONS,))
    await handle
    assert one.connector.trade_of(one.guid) is None
    # As it was, for the end.
    await one.repository.save_item(one.guid, one.inventory.get(POTIONS))


async def test_slots_that_cannot_be_filled(worlds):
    one, other = await offered(worlds)
    items = other.trade.theirs.items.copy()
    for slot, said in ((OWN_SWORD, "is not empty"), (0xFF00 + 80, "buyback")):
        items["slot"] = slot
        with pytest.raises((TradeError, Exception), match=said):
            other.trade.confirm(items)
    assert other.trade.state is TradeState.OPEN
    one.trade.cancel()


async def test_money_that_is_spent_meanwhile(worlds):
    one, other = await offered(worlds, (), {GOLD: 100})
    await one.repository.add_money(one.guid, GOLD, -1)
    worlds.gold -= 1
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    one.window.confirm()
    for side in worlds.sides:
        with pytest.raises(InsufficientFundsError):
            await side.trade


# Locks


async def test_slots_in_an_open_trade_are_locked_on_both_sides(worlds):
    one, other = worlds.sides
    other.gives = ((POTIONS,), {})
    await offered(worlds)
    for side in worlds.sides:
        there = side.inventory.get(POTIONS)
        for commit in (
            lambda side=side: side.repository.delete_item(side.guid, POTIONS),
            lambda side=side, there=there: side.repository.save_item(side.guid, there.counted(1)),
            lambda side=side: side.repository.save_all_items(side.guid, side.inventory.items),
        ):
            with pytest.raises(ItemLockedError, match=f"{side.trade.trade_id:#x}"):
                commit()
        assert side.connector.pending_count == 0
        # What is not in it is free.
        assert side.inventory.remove(OWN_SWORD)
        await side.save()
        assert side.inventory.add_items(SWORD)
    one.window.confirm()
    coming = one.trade.half.saves["slot"].tolist()
    assert one.trade.held == {POTIONS, *coming}
    with pytest.raises(ItemLockedError):
        one.repository.delete_item(one.guid, POTIONS)
    other.trade.cancel()
    await refusal_of(one.trade)
    for side in worlds.sides:
        assert side.inventory.remove(POTIONS, 1)
        assert side.inventory.add_items(side.inventory.get(POTIONS).entry, 1)
    worlds.items.clear()


# Ends


async def test_who_cannot_be_traded_with(worlds):
    one, other = worlds.sides
    assert await refusal_of(one.connector.propose_trade(7, 99)) is TradeEnd.NOT_FOUND
    await one.connector.join(9)
    assert await refusal_of(one.connector.propose_trade(7, 9)) is TradeEnd.SAME_WORLD
    await offered(worlds)
    with pytest.raises(TradeError, match="is trading already"):
        one.connector.propose_trade(7, 99)
    assert await refusal_of(one.connector.propose_trade(9, 8)) is TradeEnd.BUSY
    one.trade.cancel()
    assert await refusal_of(other.trade) is TradeEnd.CANCELLED
    other.connector.on_trade_offered = None
    assert await refusal_of(one.connector.propose_trade(7, 8)) is TradeEnd.REFUSED
    with pytest.raises(JoinError):
        one.connector.propose_trade(99, 8)


async def test_one_side_does_not_want_it(worlds):
    one, other = worlds.sides
    other.connector.on_trade_offered = lambda trade: trade.cancel(TradeEnd.REFUSED, "not today")
    trade = one.connector.propose_trade(7, 8)
    ended = []
    trade.on_ended = ended.append
    with pytest.raises(TradeError, match="not today"):
        await trade
    assert ended == [trade]
    for act in (trade.offer, trade.confirm):
        with pytest.raises(TradeError, match="it has not come about"):
            act()
    trade.cancel()


async def test_it_is_cancelled_after_one_has_confirmed(worlds):
    one, other = await offered(worlds)
    half = one.window.confirm().value
    with pytest.raises(TradeError, match="awaited"):
        one.trade.offer()
    one.trade.cancel()
    with pytest.raises(TradeCancelledError):
        await half
    assert await refusal_of(one.trade) is TradeEnd.CANCELLED
    assert await refusal_of(other.trade) is TradeEnd.CANCELLED


async def test_it_is_cancelled_too_late(worlds):
    one, other = await offered(worlds)
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    one.window.confirm()
    await asyncio.sleep(0)
    one.trade.cancel()
    # One link carries both, in this order, so both halves were there.
    await asyncio.gather(one.trade, other.trade)


@pytest.mark.parametrize("confirms", [False, True])
@pytest.mark.parametrize("leaves", [0, 1])
async def test_a_character_leaves(worlds, leaves, confirms):
    await offered(worlds)
    if confirms:
        worlds.sides[leaves].window.confirm()
    side = worlds.sides[leaves]
    await side.connector.leave(side.guid)
    for each in worlds.sides:
        assert await refusal_of(each.trade) is TradeEnd.LEFT
    await side.enter()


async def test_a_character_is_wanted_elsewhere(worlds):
    one, other = await offered(worlds)
    one.window.confirm()
    joined = await other.connector.join(one.guid)
    assert len(joined.items) == 2
    for side in worlds.sides:
        assert await refusal_of(side.trade) is TradeEnd.LEFT
    await other.connector.leave(one.guid)
    await one.enter()


async def test_a_character_is_fenced_out_by_another_realm_process(worlds):
    """Another process grants the session: this realm does not know, its database does."""
    one, other = await offered(worlds)
    lost = []
    one.connector.on_session_lost = lambda guid, reason: lost.append(guid)
    async with two_realms_join(worlds, one.guid):
        other.window.confirm()
        await until(lambda: one.trade.theirs.confirmed)
        one.window.confirm()
        for side in worlds.sides:
            with pytest.raises(StaleSessionError):
                await side.trade
        await until(lambda: lost == [one.guid])
        await until(lambda: one.connector.character(one.guid) is None)
        assert other.connector.character(other.guid) is not None
    await one.enter()


@contextlib.asynccontextmanager
async def two_realms_join(worlds, guid):
    from mmoinv.realm import RealmServer

    async with RealmServer(worlds.url, port=0) as second:
        secret = await second.add_world("world-3")
        async with RealmConnector(
            "127.0.0.1", second.port, world="world-3", secret=secret
        ) as third:
            await third.join(guid)
            yield third
            await third.leave(guid)


@pytest.mark.parametrize("confirms", [False, True])
async def test_it_takes_too_long(tmp_path, confirms):
    limits = RealmLimits(trade_s=60.0 if confirms else 1.0, trade_confirm_s=1.0)
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}", limits=limits) as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        if confirms:
            one.window.confirm()
        assert await refusal_of(one.trade) is TradeEnd.TIMED_OUT
        assert await refusal_of(other.trade) is TradeEnd.TIMED_OUT
        await worlds.check()


@pytest.mark.parametrize("confirms", [False, True])
async def test_the_realm_is_started_anew(worlds, confirms):
    one, other = await offered(worlds)
    if confirms:
        one.window.confirm()
        await until(lambda: other.trade.theirs.confirmed)
    await worlds.restart()
    for side in worlds.sides:
        await refusal_of(side.trade)


async def test_the_realm_stops_once_both_have_confirmed(worlds):
    one, other = await offered(worlds)
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    # The answers are lost, and so is the link.
    for side in worlds.sides:
        side.proxy.cut = lambda way, opcode, number: (
            "before" if (way, opcode) == (DOWN, 0x80) else ""
        )
    one.window.confirm()
    await until(lambda: all(side.proxy.cuts for side in worlds.sides))
    for side in worlds.sides:
        side.proxy.cut = lambda way, opcode, number: ""
    await worlds.restart()
    for side in worlds.sides:
        assert (await side.trade).status == 1


async def test_a_connector_closes_in_the_middle(tmp_path):
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}") as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        one.window.confirm()
        await until(lambda: other.trade.theirs.confirmed)
        await one.connector.close()
        assert one.connector.unsaved == []
        assert await refusal_of(one.trade) is TradeEnd.LEFT
        assert await refusal_of(other.trade) is TradeEnd.LEFT
        with pytest.raises(LinkError):
            one.connector.propose_trade(7, 8)


async def test_what_is_known_when_the_answer_never_comes(tmp_path):
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}") as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        other.window.confirm()
        await until(lambda: one.trade.theirs.confirmed)
        one.proxy.cut = lambda way, opcode, number: (
            "swallow" if (way, opcode) == (DOWN, 0x80) else ""
        )
        one.window.confirm()
        await other.trade
        await one.connector.close(0.1)
        with pytest.raises(OperationPendingError):
            await one.trade
        assert one.trade.state is TradeState.UNKNOWN
        (unsaved,) = one.connector.unsaved
        assert (unsaved.operation_id, unsaved.sent) == (one.trade.trade_id, True)


async def test_protocol_3_has_no_trades(worlds, tmp_path):
    await worlds.realm.add_world("world-3", SECRET)
    async with RealmConnector(
        "127.0.0.1", worlds.realm.port, world="world-3", secret=SECRET, dialect=1
    ) as old:
        await old.join(3)
        with pytest.raises(TradeError, match="protocol 3"):
            old.propose_trade(3, 8)
        # And cannot be proposed one: nobody answers.
        trade = worlds.sides[1].connector.propose_trade(8, 3)
        await asyncio.sleep(0.05)
        trade.cancel()


# What is around it


@pytest.mark.parametrize("comes_about", [True, False])
@pytest.mark.parametrize("has_outbox", [False, True])
async def test_what_is_committed_before_it_and_behind_it_goes_on(tmp_path, comes_about, has_outbox):
    folder = tmp_path if has_outbox else None
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}", folder) as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        one.loot()
        before = one.inventory.save(one.repository)
        half = one.window.confirm().value
        behind = []
        for _ in range(3):
            one.loot()
            behind.append(one.inventory.save(one.repository))
        await before
        await until(lambda: other.trade.theirs.confirmed)
        assert not any(handle.done for handle in behind)
        if comes_about:
            other.window.confirm()
            await half
        else:
            other.trade.cancel()
            with pytest.raises(TradeCancelledError):
                await half
        await asyncio.gather(*behind)
        # In the outbox they lie as they were made, on the version after the trade; so it is made
        # final, which raises the version.
        counts = 7 if comes_about or has_outbox else 6
        assert one.connector.character(one.guid).version == counts
        await worlds.check()


async def test_what_waits_behind_a_refused_one_is_refused_with_it(worlds):
    """Also the half of a trade, and then the trade is over for both."""
    one, other = await offered(worlds)
    one.connector.character(one.guid).version += 1
    conflict = one.repository.save_item(one.guid, one.inventory.get(OWN_SWORD).placed(FREE, 7))
    half = one.trade.confirm()
    for handle in (conflict, half, one.trade):
        with pytest.raises(VersionConflictError):
            await handle
    assert await refusal_of(other.trade) is TradeEnd.CANCELLED
    one.connector.character(one.guid).version -= 1


async def test_at_the_bound_nothing_is_confirmed_and_it_can_be_tried_again(worlds):
    one, other = await offered(worlds)
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    one.connector._operations._pending.limit = 0
    with pytest.raises(LinkBusyError):
        one.window.confirm()
    assert one.trade.state is TradeState.OPEN
    assert one.inventory.held == {POTIONS}
    one.connector._operations._pending.limit = 100
    await one.window.confirm().value


async def test_changes_that_are_unsaved_stay_so_and_are_saved_later(worlds):
    one, other = worlds.sides
    other.gives = ((POTIONS,), {})
    await offered(worlds)
    other.window.confirm()
    await until(lambda: one.trade.theirs.confirmed)
    for side in worlds.sides:
        assert side.inventory.swap(OWN_SWORD, FREE)
        side.loot()
    half = one.window.confirm().value
    # The first one's changes were saved with it; these were not.
    one.loot()
    assert one.inventory.swap(FREE, FREE + 1)
    await half
    await other.trade
    for side in worlds.sides:
        assert side.inventory.is_dirty
        saves, _ = side.inventory.changes()
        assert not {POTIONS, *guids(side.trade.half.saves)} & set(saves["slot"].tolist())
    assert {item.entry for item in one.inventory} >= {SWORD, ARROW}


async def test_a_half_behind_the_answer_that_never_came(worlds):
    """The save before it is not answered: the half is not sent, and goes after the link."""
    one, other = await offered(worlds)
    one.proxy.cut = lambda way, opcode, number: "before" if opcode == 0x80 else ""
    one.loot()
    save = one.inventory.save(one.repository)
    half = one.window.confirm().value
    await until(lambda: one.connector.state is ConnectorState.RECONNECTING)
    one.proxy.cut = lambda way, opcode, number: ""
    await save
    with pytest.raises(TradeCancelledError):
        await half
    assert await refusal_of(one.trade) is TradeEnd.LINK_LOST
    assert await refusal_of(other.trade) is TradeEnd.LINK_LOST


# The outbox


@pytest.mark.parametrize("came_about", [False, True])
async def test_the_next_process_learns_what_became_of_it(tmp_path, came_about):
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with two_worlds(url, tmp_path) as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        if came_about:
            other.window.confirm()
            await until(lambda: one.trade.theirs.confirmed)
        one.proxy.cut = lambda way, opcode, number: (
            "swallow" if (way, opcode) == (DOWN, 0x80) else ""
        )
        one.window.confirm()
        one.loot()
        one.inventory.save(one.repository)
        if came_about:
            await other.trade
        else:
            await until(lambda: other.trade.theirs.confirmed)
        await until(lambda: one.connector.outbox.holds_everything)
        crash(one.connector)
        if not came_about:
            assert await refusal_of(other.trade) is TradeEnd.LINK_LOST
        one.proxy.cut = lambda way, opcode, number: ""
        await until(lambda: one.connector.state is ConnectorState.LOST)
        one.connector = RealmConnector(
            "127.0.0.1",
            worlds.realm.port,
            world="world-1",
            secret=SECRET,
            outbox=tmp_path / "world-1",
        )
        await one.connector.connect()
        first, second = one.connector.replayed
        assert first.operation_id == one.trade.trade_id
        assert (first.status, second.status) == (1 if came_about else 11, 0)
        one.trades.clear()
        await one.enter()
        assert (POTION in one.inventory.items["entry"]) is not came_about
        await worlds.check()
        await one.connector.close()


async def test_an_outbox_that_cannot_be_written_ends_it_for_both(tmp_path, monkeypatch):
    async with two_worlds(f"sqlite:///{tmp_path / 'realm.db'}", tmp_path) as worlds:
        await stock(worlds)
        one, other = await offered(worlds)
        other.window.confirm()
        await until(lambda: one.trade.theirs.confirmed)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("mmoinv.world.outbox_file._sync", full)
            half = one.window.confirm().value
            with pytest.raises(OutboxWriteError):
                await half
        with pytest.raises(OutboxWriteError):
            await one.trade
        assert await refusal_of(other.trade) is TradeEnd.CANCELLED
        await worlds.check()


def crash(connector: RealmConnector) -> None:
    """What the kernel does for a process that was killed."""
    outbox = connector.outbox
    outbox._file.close()
    outbox._thread.shutdown()
    outbox._thread = None
    connector._reconnects = False
    connector._uplink.link.abort()
