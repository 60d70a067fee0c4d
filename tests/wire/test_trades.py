"""Packets of trades: their bytes, bodies that are none, halves that are not what was agreed on."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from links import logged_on

from mmoinv import codec
from mmoinv.commits import CURRENCY, CommitFlags, CurrencyDelta, ParticipantChanges
from mmoinv.errors import FramingError
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.wire import TradeCancelled, TradeConfirmed, TradeEnd, TradeOffered
from mmoinv.wire.packets import frame
from mmoinv.wire.trades import (
    TradeCancel,
    TradeConfirm,
    TradeOffer,
    half_fault,
    nothing_offered,
    offer_fault,
)

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
TRADE = 41 << 32 | 2
GIVEN = slots_of(0xFF17)
SWORD = InventoryItemData(19, 0xFF17, creator=5, contained=7, durability=80, item_guid=1 << 32 | 1)
HERBS = InventoryItemData(2447, 0xFF20, 12, contained=9, item_guid=2 << 32 | 1)


def money(**amounts: int):
    return np.array([(int(name[1:]), one) for name, one in amounts.items()], CURRENCY)


OFFER = TradeOffer(TRADE, 7, 3, 9, 0, 2, 0, batch_of(SWORD), money(c1=250))
ASKED = TradeOffer(TRADE, 9, 4, 7, 3, 1, 0, batch_of(HERBS), money(c1=50, c2=1))


def half(saves=None, deletes=GIVEN, currencies=((1, -200), (2, 1)), flags=0) -> bytes:
    items = batch_of(HERBS.placed(0xFF18, 7)) if saves is None else saves
    deltas = tuple(CurrencyDelta(*pair) for pair in currencies)
    changes = ParticipantChanges(7, 3, 17, items, deletes, deltas)
    return codec.encode_commit_inventory(41 << 32 | 3, [changes], 9, flags)[5:]


CONFIRM = TradeConfirm(TRADE, 9, 4, 2, 1, half())
CANCEL = TradeCancel(TRADE, 7, TradeEnd.LEFT, "zu spät")
EXAMPLES = {"TradeOffer": OFFER, "TradeConfirm": CONFIRM, "TradeCancel": CANCEL}
named = pytest.mark.parametrize("name", EXAMPLES)


@named
def test_golden_bytes(name):
    assert EXAMPLES[name].encode().hex() == GOLDEN[name]


def test_bytes_by_hand():
    """Independent of the encoders: what docs/protocol.md says, packed field by field."""
    sword = struct.pack("<IHHQQIIIIQ", 19, 0xFF17, 1, 5, 7, 80, 0, 0, 0, 1 << 32 | 1)
    herbs = struct.pack("<IHHQQIIIIQ", 2447, 0xFF18, 12, 0, 7, 0, 0, 0, 0, 2 << 32 | 1)
    offer = struct.pack("<QQIQIHB", TRADE, 7, 3, 9, 0, 2, 0)
    offer += struct.pack("<HB", 1, 0) + sword + struct.pack("<BHq", 1, 1, 250)
    confirm = struct.pack("<QQIHH", TRADE, 9, 4, 2, 1)
    confirm += struct.pack("<QBBHQIQHBHB", 41 << 32 | 3, 9, 0, 1, 7, 3, 17, 1, 2, 1, 0)
    confirm += herbs + struct.pack("<HHqHq", 0xFF17, 1, -200, 2, 1)
    cancel = struct.pack("<QQBH", TRADE, 7, 4, 8) + "zu spät".encode()
    assert OFFER.encode() == frame(0x85, offer)
    assert CONFIRM.encode() == frame(0x86, confirm)
    assert CANCEL.encode() == frame(0x87, cancel)


@named
def test_round_trip_and_a_body_cut_anywhere_or_with_more_behind_it(name):
    packet = EXAMPLES[name]
    body = packet.encode()[5:]
    assert type(packet).decode(body).encode()[5:] == body
    for length in range(len(body)):
        with pytest.raises(FramingError):
            type(packet).decode(body[:length])
    with pytest.raises(FramingError):
        type(packet).decode(body + b"\0")


def test_a_half_is_of_one_character():
    both = [ParticipantChanges(guid, 1, 0, empty_batch(), slots_of(5)) for guid in (7, 9)]
    packet = CONFIRM._replace(half=codec.encode_commit_inventory(1, both)[5:])
    with pytest.raises(FramingError, match="one character"):
        TradeConfirm.decode(packet.encode()[5:])


@given(st.sampled_from(list(EXAMPLES.values())), st.data())
def test_random_bodies_are_packets_or_framing_errors(packet, data):
    body = bytearray(packet.encode()[5:])
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        type(packet).decode(bytes(body))
    except FramingError:
        return


def test_links_carry_trades_on_protocol_4_and_skip_them_on_protocol_3():
    world, realm = logged_on()
    up = OFFER.encode() + CONFIRM.encode() + CANCEL.encode()
    kinds = [type(event) for event in realm.receive_data(up)]
    assert kinds == [TradeOffered, TradeConfirmed, TradeCancelled]
    kinds = [type(event) for event in world.receive_data(OFFER.encode() + CANCEL.encode())]
    assert kinds == [TradeOffered, TradeCancelled]
    world, realm = logged_on(1)
    assert (realm.receive_data(up), realm.skipped_packets) == ([], 3)
    assert (world.receive_data(OFFER.encode()), world.skipped_packets) == ([], 1)


def fault(**changed) -> str:
    return half_fault(CONFIRM._replace(half=half(**changed)).commits(), OFFER, ASKED)


def test_a_half_that_is_what_was_agreed_on():
    assert fault() == ""
    # What comes may go where what is given was.
    assert fault(saves=batch_of(HERBS.placed(0xFF17, 7)), deletes=slots_of()) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"deletes": slots_of()}, "slot 65303 was offered and stays"),
        ({"deletes": slots_of(0xFF17, 0xFF19)}, "65305 is emptied and was not offered"),
        ({"deletes": slots_of(0xFF19)}, "65305 is emptied and was not offered"),
        ({"saves": empty_batch()}, "not what the other side offers"),
        ({"saves": batch_of(HERBS._replace(item_guid=77))}, "not what the other side offers"),
        ({"saves": batch_of(HERBS._replace(item_flags=2))}, "not what the other side offers"),
        ({"saves": batch_of(HERBS.counted(13))}, "not what the other side offers"),
        ({"saves": batch_of(HERBS, SWORD.placed(0xFF19, 7))}, "not what the other side offers"),
        ({"currencies": ((1, -199), (2, 1))}, "money"),
        ({"currencies": ((1, -200),)}, "money"),
        ({"currencies": ((1, -200), (2, 1), (3, 0))}, "money"),
    ],
)
def test_a_half_that_is_something_else_is_found_out(changed, said):
    assert said in fault(**changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"items": batch_of(SWORD, SWORD.placed(0xFF18, 7))}, "guid is offered twice"),
        ({"items": batch_of(SWORD._replace(item_guid=0))}, "guid"),
        ({"items": np.repeat(batch_of(SWORD), 129)}, "129 items"),
        ({"currencies": money(c1=0)}, "not above 0"),
        ({"currencies": np.array([(1, 5), (1, 6)], CURRENCY)}, "currency is offered twice"),
    ],
)
def test_an_offer_that_cannot_be_one(changed, said):
    assert said in offer_fault(OFFER._replace(**changed))


def test_what_may_be_offered():
    assert offer_fault(OFFER) == offer_fault(nothing_offered(TRADE, 7, 9)) == ""


def test_a_repeated_half_says_so():
    confirm = CONFIRM._replace(half=half(flags=CommitFlags.REPEATED))
    assert confirm.commits().operations["flags"].tolist() == [4]
