"""Bytes that no peer should send: what breaks a link, what is skipped, and that nothing raises."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from links import COMMIT, ITEMS, JOIN, NODE_EPOCH, SECRET, VERIFIER, changes, logged_on

from mmoinv import codec
from mmoinv.commits import CURRENCY, join_commits
from mmoinv.records import Fault
from mmoinv.wire import (
    CommitsReceived,
    LinkBroken,
    LinkState,
    OperationResultReceived,
    PlayerCharacterJoin,
    RealmLink,
    WorldLink,
)
from mmoinv.wire.packets import LogonChallenge, Ping, RequestCharacterJoin


def broken(link, data: bytes) -> str:
    events = link.receive_data(data)
    assert isinstance(events[-1], LinkBroken), events
    assert link.state is LinkState.BROKEN
    assert link.receive_data(COMMIT) == []
    assert link.broken_reason == events[-1].reason
    return events[-1].reason


def test_an_unknown_opcode_breaks_protocol_4():
    assert "0x7F" in broken(logged_on()[1], b"\x7f\0\0\0\0")
    assert "0x7F" in broken(logged_on()[0], b"\x7f\0\0\0\0")


def test_an_unknown_opcode_is_skipped_and_counted_on_protocol_3():
    world, realm = logged_on(1)
    unknown = b"\x7f\3\0\0\0abc"
    events = realm.receive_data(unknown + changes(world) + unknown)
    assert len(events) == 1
    assert realm.skipped_packets == 2
    assert world.receive_data(unknown) == []
    assert world.skipped_packets == 1


def test_a_packet_of_the_wrong_direction_breaks_the_link():
    assert "out of place" in broken(logged_on()[0], RequestCharacterJoin(7).encode())
    result = codec.encode_inventory_operation_result(7, 5, 0, 1)
    assert "out of place" in broken(logged_on()[0], result)


def test_a_world_takes_results_under_its_own_dialects_opcode_only():
    """In the C++ line from 2026 0x0A is a group packet, not a result."""
    for dialect, own, other in ((1, 0x0A, 0x0B), (2, 0x0B, 0x0A), (3, 0x0B, 0x0A)):
        world, _ = logged_on(dialect)
        foreign = bytes([other]) + b"\3\0\0\0abc"
        result = codec.encode_inventory_operation_result(7, 5, 1, 0, own)
        events = world.receive_data(foreign + result + foreign)
        assert events == [OperationResultReceived(7, 5, 1, False)]
        assert world.skipped_packets == 2


@pytest.mark.parametrize("dialect", [1, 2, 3])
def test_what_is_out_of_place_on_protocol_3_is_skipped_not_obeyed(dialect):
    world, realm = logged_on(dialect)
    logon = LogonChallenge(4, 0, 1, "world-2", "n,,n=world-2,r=x").encode()
    assert realm.receive_data(COMMIT + logon + JOIN.encode()) == []
    assert world.receive_data(RequestCharacterJoin(7).encode() + COMMIT) == []
    assert (realm.skipped_packets, world.skipped_packets) == (3, 2)
    assert realm.world_name == "world-1"


def test_items_before_the_logon_break_the_link():
    assert "out of place" in broken(RealmLink(), COMMIT)


def test_a_body_above_the_limit_breaks_the_link_at_its_header():
    assert "limit" in broken(logged_on()[1], b"\x80\x01\0\x10\0")
    assert "limit" in broken(logged_on()[1], b"\x81\x01\0\x10\0")
    # A stranger gets less.
    assert "limit" in broken(RealmLink(), b"\x00\x01\x20\0\0")


def test_what_came_before_broken_framing_counts():
    _, realm = logged_on()
    events = realm.receive_data(COMMIT + Ping(0, 1).encode() + COMMIT[:5] + b"\xff" * 200)
    assert isinstance(events[0], CommitsReceived)
    assert isinstance(events[-1], LinkBroken)
    assert len(events) == 2


@given(st.booleans(), st.integers(0, 3), st.lists(st.binary(max_size=60), max_size=8))
def test_random_bytes_never_raise(at_realm, dialect, pieces):
    for link in (logged_on(dialect)[at_realm], RealmLink() if at_realm else WorldLink()):
        for piece in pieces:
            link.receive_data(piece)
        link.receive_eof()
        assert link.is_over


def damaged(frames: bytes, data: st.DataObject) -> bytearray:
    stream = bytearray(frames)
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    return stream


@given(st.integers(0, 3), st.data())
def test_damaged_frames_never_raise(dialect, data):
    world, realm = logged_on(dialect)
    realm.receive_data(damaged(changes(world) + RequestCharacterJoin(7).encode(), data))


@given(st.integers(0, 3), st.booleans(), st.data())
def test_damaged_answers_never_raise(dialect, columns, data):
    world, _ = logged_on(dialect)
    answer = (
        codec.encode_inventory_operation_result(7, 5, 0, 1, world.dialect.result_opcode)
        if dialect
        else codec.encode_commit_inventory_result(1 << 32 | 1, 3, [(7, 1), (8, 2)], "why")
    )
    many = np.resize(ITEMS, 30) if columns else ITEMS
    join = PlayerCharacterJoin(7, 1, 0, many, np.empty(0, CURRENCY), b"own")
    world.receive_data(damaged(join.encode() + answer, data))


@given(st.sampled_from(["client-first", "server-first", "client-final", "server-final"]), st.data())
def test_damaged_logons_are_refused_and_never_raise(place, data):
    """Anything may stand in SCRAM's messages: no end opens and none raises."""
    world, realm = WorldLink(), RealmLink()

    def carry(name: str, frame: bytes) -> bytes:
        return bytes(damaged(frame, data)) if name == place else frame

    world.begin_logon("world-1", SECRET, 77, nonce="rOprNGfwEbeRWgbNEkqO")
    sent = carry("client-first", world.data_to_send())
    realm.receive_data(sent)
    realm.offer_challenge(VERIFIER, "hvYDpWUa2RaTCAfuxFIlj")
    world.receive_data(carry("server-first", realm.data_to_send()))
    realm.receive_data(carry("client-final", world.data_to_send()))
    realm.accept_logon(NODE_EPOCH)
    world.receive_data(carry("server-final", realm.data_to_send()))
    if world.state is LinkState.OPEN:
        assert realm.state is LinkState.OPEN


def test_few_bytes_that_come_to_many_records_cost_no_memory_once_they_are_refused():
    """4,096 records in one slot are 58 bytes as columns: refused, and not kept to be refused."""
    columns = bytes([0x11, 1]) * 10
    body = struct.pack("<QBBHQIQHB", 5, 0, 0, 1, 7, 3, 11, 0, 0)
    bomb = struct.pack("<BI", 0x80, len(body) + 23) + body + struct.pack("<HB", 4096, 1) + columns
    _, realm = logged_on()
    events = realm.receive_data(bomb * 40 + COMMIT + bomb)
    assert all(isinstance(event, CommitsReceived) for event in events)
    assert sum(len(event.commits.items) for event in events) == len(ITEMS)
    commits = join_commits([event.commits for event in events])
    assert commits.operations["fault"].tolist() == [Fault.SLOT_TWICE] * 40 + [0, Fault.SLOT_TWICE]
    assert commits.participants["item_count"].tolist() == [0] * 40 + [len(ITEMS), 0]
    assert commits.participants["first_delete"].tolist() == [0] * 41 + [1]
    assert commits.items.tobytes() == ITEMS.tobytes()
