"""Control packets: their bytes, and every body that is too short, too long or no text."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.commits import CURRENCY
from mmoinv.errors import FramingError, RecordError
from mmoinv.records import InventoryItemData, batch_of
from mmoinv.wire import packets
from mmoinv.wire.packets import (
    LogonChallenge,
    LogonChallengeAnswer,
    LogonProof,
    LogonProofAnswer,
    Ping,
    PlayerCharacterJoin,
    PlayerCharacterJoinFailed,
    PlayerCharacterLeave,
    PlayerCharacterLeft,
    RequestCharacterJoin,
)

GUID = 0xFEDCBA9876543210
EXAMPLES = {
    "LogonChallenge to realm": LogonChallenge(4, 0, 0x1122334455667788, "world-1", "n,,n=x,r=y"),
    "LogonChallenge to world": LogonChallengeAnswer(0, "r=yz,s=AAAA,i=4096"),
    "LogonProof to realm": LogonProof("c=biws,r=yz,p=AAAA"),
    "LogonProof to world": LogonProofAnswer(0, "v=AAAA", 41, 4, 0),
    "RequestCharacterJoin": RequestCharacterJoin(GUID, 3),
    "PlayerCharacterJoinFailed": PlayerCharacterJoinFailed(GUID, 2, "zu spät"),
    "PlayerCharacterLeave": PlayerCharacterLeave(GUID, 3),
    "PlayerCharacterLeft": PlayerCharacterLeft(GUID, 3, 1),
    "Ping": Ping(0, 7),
}
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
named = pytest.mark.parametrize("name", EXAMPLES)


def join() -> PlayerCharacterJoin:
    currencies = np.array([(1, 5_000_000_000), (2, -3)], CURRENCY)
    items = batch_of(
        InventoryItemData(19, 0xFF00, durability=80, item_guid=1 << 32 | 1),
        InventoryItemData(2589, 0xFF17, 20, item_guid=1 << 32 | 2),
    )
    return PlayerCharacterJoin(GUID, 3, 17, items, currencies, b"the game's own")


def same(left, right) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@named
def test_golden_bytes(name):
    assert EXAMPLES[name].encode().hex() == GOLDEN[name]


def test_golden_bytes_of_a_join():
    assert join().encode().hex() == GOLDEN["PlayerCharacterJoin"]


def test_no_golden_bytes_without_a_packet():
    logons = {f"logon of dialect {dialect}" for dialect in range(4)}
    trades = {"TradeOffer", "TradeConfirm", "TradeCancel"}
    assert GOLDEN.keys() == {*EXAMPLES, "PlayerCharacterJoin"} | logons | trades


def test_bytes_by_hand():
    """Independent of the encoders: what docs/protocol.md says, packed field by field."""
    by_hand = {
        "RequestCharacterJoin": struct.pack("<BIQI", 0x81, 12, GUID, 3),
        "PlayerCharacterLeave": struct.pack("<BIQI", 0x03, 12, GUID, 3),
        "PlayerCharacterLeft": struct.pack("<BIQIB", 0x07, 13, GUID, 3, 1),
        "Ping": struct.pack("<BIBQ", 0x82, 9, 0, 7),
        "LogonProof to world": struct.pack("<BIBH6sIBB", 0x01, 15, 0, 6, b"v=AAAA", 41, 4, 0),
        "LogonChallenge to realm": struct.pack(
            "<BIBBQB7sH10s", 0x00, 30, 4, 0, 0x1122334455667788, 7, b"world-1", 10, b"n,,n=x,r=y"
        ),
    }
    for name, data in by_hand.items():
        assert EXAMPLES[name].encode() == data, name


@named
def test_round_trip(name):
    packet = EXAMPLES[name]
    assert type(packet).decode(packet.encode()[5:]) == packet


def test_round_trip_of_a_join():
    packet = join()
    assert same(PlayerCharacterJoin.decode(packet.encode()[5:]), packet)


@named
def test_a_body_cut_anywhere_or_with_more_behind_it(name):
    check_lengths(EXAMPLES[name])


def test_a_join_cut_anywhere_or_with_more_behind_it():
    check_lengths(join())


def check_lengths(packet) -> None:
    body = packet.encode()[5:]
    for length in range(len(body)):
        with pytest.raises(FramingError):
            type(packet).decode(body[:length])
    with pytest.raises(FramingError, match="more bytes follow"):
        type(packet).decode(body + b"\0")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (LogonChallengeAnswer, b"\0\2\0\xff\xfe"),
        (LogonProof, b"\2\0\xc3\x28"),
        (PlayerCharacterJoinFailed, bytes(9) + b"\1\0\x80"),
    ],
)
def test_text_that_is_not_utf_8(kind, body):
    with pytest.raises(FramingError, match="UTF-8"):
        kind.decode(body)


def test_text_that_does_not_fit():
    with pytest.raises(RecordError, match="world name"):
        LogonChallenge(4, 0, 0, "x" * 256, "").encode()


@pytest.mark.parametrize(
    "packet",
    [
        LogonChallenge(4, 0, 1 << 64, "w", ""),
        LogonProofAnswer(0, "", -1, 4, 0),
        RequestCharacterJoin(-1),
        PlayerCharacterLeft(GUID, 1 << 32, 0),
        Ping(0, 1 << 64),
        join()._replace(version=-1),
        join()._replace(currencies=np.zeros(256, CURRENCY)),
        join()._replace(currencies=np.zeros(1, "<i8")),
        LogonProof("\ud800"),
    ],
)
def test_what_cannot_be_encoded_is_an_error_of_ours(packet):
    with pytest.raises(RecordError):
        packet.encode()


def test_a_message_that_is_too_long_is_cut_and_gets_through():
    packet = PlayerCharacterJoinFailed(GUID, 2, "ä" * 40_000)
    assert PlayerCharacterJoinFailed.decode(packet.encode()[5:]).message == "ä" * 32_767


def test_a_ping_is_a_question_or_an_answer():
    with pytest.raises(FramingError, match="kind 2"):
        Ping.decode(Ping(2, 0).encode()[5:])


DECODERS = [
    value
    for value in vars(packets).values()
    if isinstance(value, type) and hasattr(value, "decode") and value is not bytes
]


@given(st.sampled_from(DECODERS), st.binary(max_size=200))
def test_random_bodies_are_packets_or_framing_errors(kind, body):
    try:
        packet = kind.decode(body)
    except FramingError:
        return
    assert packet.encode()[5:] == body or kind is PlayerCharacterJoin
