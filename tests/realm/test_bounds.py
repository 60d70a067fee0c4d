"""Bounds of what a realm remembers, where no other test reaches them."""

from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.realm.statistics import Ring
from mmoinv.realm.trades import Trades
from mmoinv.records import InventoryItemData, batch_of
from mmoinv.wire import TradeCancel, TradeEnd, TradeOffer
from mmoinv.wire.trades import NO_MONEY

EPOCH = 5
ITEMS = batch_of(InventoryItemData(2589, 0xFF17, item_guid=1))


class Link:
    """A link that holds ten characters, and what it was told of trades."""

    def __init__(self, world_id: int) -> None:
        self.world_id = world_id
        self.held = HeldEpochs()
        for guid in range(world_id, world_id + 10):
            self.held.put(guid, EPOCH)
        self.ends: list[TradeCancel] = []

    def send_trade_offer(self, offer: TradeOffer) -> None:
        pass

    def send_trade_cancel(self, cancel: TradeCancel) -> None:
        self.ends.append(cancel)


def test_one_world_has_so_many_trades_open_and_no_more() -> None:
    links = {100: Link(100), 200: Link(200)}
    trades = Trades(
        lambda entry, answer: None,
        lambda guid: (links[guid // 100 * 100], EPOCH),
        RealmLimits(max_link_trades=3),
    )
    trades.tick(1.0)
    for n in range(5):
        offer = TradeOffer(1000 + n, 100 + n, EPOCH, 200 + n, 0, 1, 0, ITEMS, NO_MONEY)
        trades.receive_offer(links[100], offer)
    assert [(end.trade_id, end.reason) for end in links[100].ends] == [
        (1003, TradeEnd.OVERLOADED),
        (1004, TradeEnd.OVERLOADED),
    ]


def test_a_ring_keeps_the_last_figures_only() -> None:
    ring = Ring(4)
    for value in range(11):
        ring.append(value)
    assert ring.values().tolist() == [7, 8, 9, 10]
    assert ring.count == 11
