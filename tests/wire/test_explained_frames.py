"""Every packet is explained to its last byte, with the values that its decoder gives."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from explained import DIALECT, GOLDEN, check_spans, columns_of, decoded, said
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.commits import CURRENCY, CurrencyDelta, ParticipantChanges
from mmoinv.records import (
    INVENTORY_ITEM,
    WIRE_LAYOUTS,
    Batch,
    InventoryItemData,
    batch_of,
    empty_batch,
    slots_of,
)
from mmoinv.wire import packets, trades
from mmoinv.wire.anatomy import PACKETS, is_anyones, is_spoken
from mmoinv.wire.dialects import DIALECTS
from mmoinv.wire.explain import ExplainedFrame, explain

golden = pytest.mark.parametrize(("name", "data", "layout"), GOLDEN, ids=[one[0] for one in GOLDEN])


def check_columns(frame: ExplainedFrame) -> None:
    """What the spans of the columns say comes to the records that are decoded."""
    if len(frame.batches) == 1:
        ((_, batch),) = frame.batches
        assert columns_of(frame) == {name: batch[name].tolist() for name in batch.dtype.names}


@golden
def test_golden_packets(name, data, layout):
    for dialect in {DIALECT[layout], None}:
        (frame,) = explain(data, dialect)
        check_spans([frame], data)
        assert not frame.fault
        if not frame.invalid:
            assert said(frame) == decoded(frame, data, layout or "packed")
            check_columns(frame)


def test_every_packet_has_golden_bytes():
    found = {(data[0], explain(data)[0].sender) for _, data, _ in GOLDEN}
    assert {(opcode, "" if is_anyones(opcode) else sender) for opcode, sender in PACKETS} == found


U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
I64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=60)
CURRENCIES = st.lists(st.tuples(U16, I64), max_size=4)
FREE_SLOTS = st.integers(0, 65535).filter(lambda slot: not 74 <= slot & 0xFF <= 85)


@st.composite
def batches(draw, most: int = 40, wide: bool = True) -> Batch:
    """Any valid batch, of values that make columns of every kind."""
    items = empty_batch(draw(st.integers(0, most)))
    seed = random.Random(draw(U32))
    for name in INVENTORY_ITEM.names or ():
        bits = 8 * INVENTORY_ITEM[name].itemsize if wide else {"stack_count": 8}.get(name, 16)
        low, high = sorted(seed.choice([1, 2, 300, 2**bits - 1]) % 2**bits for _ in "ab")
        values = [seed.randint(low, high) for _ in range(seed.choice([1, 2, 3, len(items) + 1]))]
        items[name] = [seed.choice(values) for _ in items]
    items["entry"] = np.maximum(items["entry"], 1)
    items["stack_count"] = np.maximum(items["stack_count"], 1)
    items["item_guid"] = np.maximum(items["item_guid"], 1)
    slots = draw(st.lists(FREE_SLOTS, min_size=len(items), max_size=len(items), unique=True))
    items["slot"] = slots
    return items


@st.composite
def changes(draw, guid: int) -> ParticipantChanges:
    items = draw(batches())
    taken = set(items["slot"].tolist())
    deletes = draw(
        st.lists(FREE_SLOTS.filter(lambda slot: slot not in taken), max_size=5, unique=True)
    )
    money = tuple(CurrencyDelta(*one) for one in draw(CURRENCIES))
    return ParticipantChanges(guid, draw(U32), draw(U64), items, slots_of(*deletes), money)


def commit(draw: Callable[..., Any]) -> bytes:
    guids = draw(st.lists(U64, min_size=1, max_size=3, unique=True))
    return codec.encode_commit_inventory(
        draw(U64),
        [draw(changes(guid)) for guid in guids],
        draw(U8),
        draw(st.sampled_from([0, 2, 4, 6])),
    )


def join(draw: Callable[..., Any]) -> bytes:
    money = np.array(draw(CURRENCIES), CURRENCY)
    values = draw(U64), draw(U32), draw(U64), draw(batches()), money, draw(st.binary(max_size=40))
    return packets.PlayerCharacterJoin(*values).encode()


def control(packet: Any, *values: st.SearchStrategy[Any]) -> Callable[..., bytes]:
    return lambda draw: packet(*map(draw, values)).encode()


def offer(draw: Callable[..., Any]) -> bytes:
    numbers = [draw(one) for one in (U64, U64, U32, U64, U32, U16, U8)]
    money = np.array(draw(CURRENCIES), CURRENCY)
    return trades.TradeOffer(*numbers, draw(batches()), money).encode()


def confirm(draw: Callable[..., Any]) -> bytes:
    numbers = [draw(one) for one in (U64, U64, U32, U16, U16)]
    half = codec.encode_commit_inventory(
        draw(U64), [draw(changes(draw(U64)))], draw(U8), draw(st.sampled_from([0, 4]))
    )
    return trades.TradeConfirm(*numbers, half[5:]).encode()


ENCODED: dict[tuple[str, str], Callable[..., bytes]] = {
    ("LogonChallenge", "world"): control(
        packets.LogonChallenge, U8, U8, U64, st.text(max_size=60), TEXT
    ),
    ("LogonChallenge", "realm"): control(packets.LogonChallengeAnswer, U8, TEXT),
    ("LogonProof", "world"): control(packets.LogonProof, TEXT),
    ("LogonProof", "realm"): control(packets.LogonProofAnswer, U8, TEXT, U32, U8, U8),
    ("RequestCharacterJoin", "world"): control(packets.RequestCharacterJoin, U64, U32),
    ("PlayerCharacterJoin", "realm"): join,
    ("PlayerCharacterJoinFailed", "realm"): control(
        packets.PlayerCharacterJoinFailed, U64, U8, TEXT
    ),
    ("PlayerCharacterLeave", "realm"): control(packets.PlayerCharacterLeave, U64, U32),
    ("PlayerCharacterLeft", "world"): control(packets.PlayerCharacterLeft, U64, U32, U8),
    ("Ping", "world"): control(packets.Ping, st.integers(0, 1), U64),
    ("Ping", "realm"): control(packets.Ping, st.integers(0, 1), U64),
    ("CommitInventory", "world"): commit,
    ("TradeOffer", "world"): offer,
    ("TradeOffer", "realm"): offer,
    ("TradeConfirm", "world"): confirm,
    ("TradeCancel", "world"): control(trades.TradeCancel, U64, U64, U8, TEXT),
    ("TradeCancel", "realm"): control(trades.TradeCancel, U64, U64, U8, TEXT),
    ("CommitInventoryResult", "realm"): lambda draw: codec.encode_commit_inventory_result(
        draw(U64), draw(U8), draw(st.lists(st.tuples(U64, U64), max_size=5)), draw(TEXT)
    ),
    ("DeleteInventoryItems", "world"): lambda draw: codec.encode_delete_inventory_items(
        draw(U64), draw(U32), slots_of(*draw(st.lists(FREE_SLOTS, max_size=9, unique=True)))
    ),
    ("InventoryOperationResult", "realm"): lambda draw: codec.encode_inventory_operation_result(
        draw(U64),
        draw(U32),
        *draw(st.tuples(*[st.integers(0, 1)] * 2)),
        draw(st.sampled_from([10, 11])),
    ),
}


def test_every_packet_of_the_table_is_held_to_its_encoder():
    described = {(packet.name, sender) for (_, sender), packet in PACKETS.items()}
    assert described == {*ENCODED, ("SaveInventoryItems", "world")}


@pytest.mark.parametrize("packet", ENCODED, ids=" by ".join)
@given(data=st.data())
def test_random_values(packet, data):
    frame_bytes = ENCODED[packet](data.draw)
    (frame,) = explain(frame_bytes, None, packet[1])
    check_spans([frame], frame_bytes)
    assert (frame.name, frame.sender) == packet
    assert not frame.guessed
    assert said(frame) == decoded(frame, frame_bytes, "")
    check_columns(frame)


@pytest.mark.parametrize("layout", WIRE_LAYOUTS)
@given(items=batches(most=6, wide=False), guid=U64, number=U32)
def test_random_saves_of_every_layout(layout, items, guid, number):
    data = codec.encode_save_inventory_items(guid, number, items, layout)
    for dialect in {DIALECT[layout], None}:
        (frame,) = explain(data, dialect)
        check_spans([frame], data)
        assert said(frame) == decoded(frame, data, layout)
    assert not len(items) or f"layout {layout}, by the length" in meanings(frame)


def meanings(frame: ExplainedFrame) -> str:
    return " / ".join(span.meaning for span in frame.spans)


def test_meanings():
    items = batch_of(
        InventoryItemData(2589, 0xFF17, 20, item_guid=9 << 32 | 1),
        InventoryItemData(118, 19 << 8 | 4, 3, item_guid=9 << 32 | 2),
    )
    one = ParticipantChanges(2**63 + 5, 3, 11, items, slots_of())
    (frame,) = explain(codec.encode_commit_inventory(41 << 32 | 6, [one], 8, 6))
    for meaning in (
        "0x80 CommitInventory",
        "node epoch 41, counter 6",
        "CONSERVE | REPEATED",
        "bag 19, slot 4",
        "bag 255 (own), slot 23",
        "0x8000000000000005",
    ):
        assert meaning in meanings(frame)
    (frame,) = explain(codec.encode_delete_inventory_items(7, 1 << 16 | 5, slots_of(5)))
    assert "world server 1, counter 5" in meanings(frame)
    (frame,) = explain(packets.PlayerCharacterLeft(1, 2, 9).encode())
    assert "not defined" in meanings(frame)
    (frame,) = explain(codec.encode_commit_inventory_result(1, 3, [], ""))
    assert "version conflict" in meanings(frame)


def test_the_sender_is_asked_for_only_where_it_matters():
    answer = codec.encode_commit_inventory_result(1 << 32, 3, [(7, 12)], "too late")
    (frame,) = explain(answer)
    assert (frame.name, frame.sender, frame.guessed) == ("CommitInventoryResult", "realm", True)
    assert explain(answer, None, "world")[0].fault
    (frame,) = explain(packets.PlayerCharacterLeave(7, 1).encode(), None, "world")
    assert (frame.name, frame.sender, frame.fault) == ("PlayerCharacterLeave", "realm", "")


def test_broken_frames_of_either_sender_are_told_apart():
    items = empty_batch(30)
    items["entry"] = items["stack_count"] = 1
    items["item_guid"], items["slot"] = np.arange(30) + 1, np.arange(30)
    sent = bytearray(
        codec.encode_commit_inventory(1, [ParticipantChanges(7, 1, 0, items, slots_of())])
    )
    sent[40] += 1
    assert explain(bytes(sent))[0].name == "CommitInventory"
    answered = bytearray(codec.encode_commit_inventory_result(1, 3, [(7, 12)], "too late"))
    answered[14] += 1
    assert explain(bytes(answered))[0].name == "CommitInventoryResult"


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_packet_of_another_dialect_is_noted(dialect):
    for (opcode, sender), packet in PACKETS.items():
        body = bytes(14)
        (frame,) = explain(packets.frame(opcode, body), dialect.number, sender)
        assert bool(frame.note) != is_spoken(dialect, opcode, sender), packet.name
    assert is_spoken(dialect, dialect.result_opcode, "realm")
