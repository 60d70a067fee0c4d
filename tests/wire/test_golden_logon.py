"""The logon's bytes, whole, in every dialect: RFC 7677's example inside our frames."""

import json
import struct
from pathlib import Path

import pytest
from test_logon import (
    CLIENT_FINAL,
    CLIENT_FIRST,
    CLIENT_NONCE,
    SALT,
    SERVER_FINAL,
    SERVER_FIRST,
    SERVER_NONCE,
)

from mmoinv.wire import LogonAccepted, LogonProved, RealmLink, WorldLink, make_verifier

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
PROCESS_NONCE, NODE_EPOCH = 0x1122334455667788, 41
dialects = pytest.mark.parametrize("dialect", range(4))


def transcript(dialect: int) -> list[bytes]:
    """The four frames that two links exchange."""
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("user", "pencil", PROCESS_NONCE, dialect, CLIENT_NONCE)
    frames = [world.data_to_send()]
    realm.receive_data(frames[-1])
    realm.offer_challenge(make_verifier("pencil", SALT), SERVER_NONCE)
    frames.append(realm.data_to_send())
    assert world.receive_data(frames[-1]) == []
    frames.append(world.data_to_send())
    assert realm.receive_data(frames[-1]) == [LogonProved("user")]
    realm.accept_logon(NODE_EPOCH)
    frames.append(realm.data_to_send())
    protocol = 3 if dialect else 4
    assert world.receive_data(frames[-1]) == [LogonAccepted(NODE_EPOCH, protocol, dialect)]
    return frames


def by_hand(dialect: int) -> list[bytes]:
    """The same, without any of our code: the RFC's strings and `struct`."""
    protocol = 3 if dialect else 4

    def str16(text: str) -> bytes:
        return struct.pack("<H", len(text)) + text.encode()

    bodies = [
        struct.pack("<BBQB", protocol, dialect, PROCESS_NONCE, 4) + b"user" + str16(CLIENT_FIRST),
        b"\0" + str16(SERVER_FIRST),
        str16(CLIENT_FINAL),
        b"\0" + str16(SERVER_FINAL) + struct.pack("<IBB", NODE_EPOCH, protocol, dialect),
    ]
    return [
        struct.pack("<BI", opcode, len(body)) + body
        for opcode, body in zip((0, 0, 1, 1), bodies, strict=True)
    ]


@dialects
def test_golden_bytes_of_a_logon(dialect):
    frames = transcript(dialect)
    assert frames == by_hand(dialect)
    assert [frame.hex() for frame in frames] == GOLDEN[f"logon of dialect {dialect}"]
