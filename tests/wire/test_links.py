"""Both ends of a link against each other, through a pipe that cuts and joins bytes anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from links import (
    COMMIT,
    JOIN,
    NODE_EPOCH,
    SECRET,
    VERIFIER,
    bytewise,
    changes,
    logged_on,
    pump,
    whole,
)

from mmoinv import codec
from mmoinv.errors import ConfigurationError
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    CharacterLeft,
    CommitsReceived,
    JoinFailure,
    JoinRequested,
    LeaveRequested,
    LinkBroken,
    LinkState,
    LogonAccepted,
    LogonFailed,
    LogonRefused,
    LogonStatus,
    OperationAnswered,
    OperationResultReceived,
    RealmLink,
    WorldLink,
)
from mmoinv.wire.packets import LogonChallenge, Ping

dialects = pytest.mark.parametrize("dialect", range(4))


def plain(events) -> list:
    """Events as values that can be compared; runs of commits joined."""
    result = []
    for event in events:
        if isinstance(event, CommitsReceived):
            for index in range(len(event.commits.operations)):
                one = event.commits.between(index, index + 1)
                result.append(tuple(array.tobytes() for array in one))
        elif isinstance(event, CharacterJoined):
            result.append(event.character.encode())
        else:
            result.append(event)
    return result


def conversation(dialect: int, cut) -> tuple[list, list]:
    """Everything that a link carries, in both directions."""
    world, realm = logged_on(dialect, cut)
    world.request_join(7)
    world.send_bytes(changes(world))
    world.request_join(8, 3)
    world.send_bytes(changes(world))
    world.send_left(7, 1, 2)
    realm.send_join(JOIN)
    realm.send_join_failed(8, JoinFailure.SESSION_TAKEN, "taken")
    realm.send_leave(7, 1)
    if dialect:
        realm.send_bytes(
            codec.encode_inventory_operation_result(7, 5, 0, 1, realm.dialect.result_opcode)
        )
    else:
        realm.send_bytes(codec.encode_commit_inventory_result(1 << 32 | 1, 0, [(7, 1)]))
    at_world, at_realm = pump(world, realm, cut)
    assert world.state is realm.state is LinkState.OPEN
    return plain(at_world), plain(at_realm)


@dialects
def test_everything_arrives_in_order(dialect):
    at_world, at_realm = conversation(dialect, whole)
    count = 2 if dialect else 3
    assert at_realm[0] == JoinRequested(7, 0)
    assert at_realm[1 + count] == JoinRequested(8, 3)
    assert at_realm[-1] == CharacterLeft(7, 1, 2)
    assert len(at_realm) == 3 + 2 * count
    answer = (
        OperationResultReceived(7, 5, 0, True)
        if dialect
        else OperationAnswered(1 << 32 | 1, 0, [(7, 1)], "")
    )
    assert at_world == [
        JOIN.encode(),
        CharacterJoinFailed(8, JoinFailure.SESSION_TAKEN, "taken"),
        LeaveRequested(7, 1),
        answer,
    ]


@dialects
def test_a_pipe_of_single_bytes_changes_nothing(dialect):
    assert conversation(dialect, bytewise) == conversation(dialect, whole)


@given(st.integers(0, 3), st.data())
def test_a_pipe_that_cuts_anywhere_changes_nothing(dialect, data):
    def cut(stream: bytes) -> list[bytes]:
        places = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
        bounds = [0, *places, len(stream)]
        return [stream[a:b] for a, b in pairwise(bounds)]

    assert conversation(dialect, cut) == conversation(dialect, whole)


@dialects
def test_a_run_of_commits_is_one_event(dialect):
    world, realm = logged_on(dialect)
    events = realm.receive_data(changes(world))
    assert len(events) == 1
    assert isinstance(events[0], CommitsReceived)


def test_received_buffers_may_be_reused_at_once():
    _, realm = logged_on()
    buffer = bytearray(COMMIT + COMMIT[:9])
    (event,) = realm.receive_data(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    buffer.clear()
    assert event.commits.items["entry"].tolist() == [2589, 5]
    (event,) = realm.receive_data(bytearray(COMMIT[9:]))
    assert event.commits.operations["operation_id"].tolist() == [1 << 32 | 1]


def test_a_long_frame_in_small_pieces_is_looked_at_once_when_whole(monkeypatch):
    _, realm = logged_on()
    calls = []
    original = realm._receive_frames
    monkeypatch.setattr(realm, "_receive_frames", lambda data: calls.append(1) or original(data))
    for piece in bytewise(COMMIT):
        realm.receive_data(piece)
    # Once for its first byte, once for its header, once for the whole.
    assert len(calls) <= 3


# Logon


def test_the_world_learns_its_node_epoch():
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", SECRET, 1)
    pump(world, realm)
    realm.offer_challenge(VERIFIER)
    pump(world, realm)
    realm.accept_logon(NODE_EPOCH)
    assert pump(world, realm)[0] == [LogonAccepted(NODE_EPOCH, 4, 0)]


@pytest.mark.parametrize("verifier", [VERIFIER, None])
def test_wrong_credentials(verifier):
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", "wrong" if verifier else SECRET, 1)
    pump(world, realm)
    realm.offer_challenge(verifier)
    at_world, at_realm = pump(world, realm)
    assert at_realm == [LogonFailed("w", "the world is unknown or its proof is wrong")]
    assert [event.status for event in at_world] == [LogonStatus.WRONG_CREDENTIALS]
    assert "mmoinv world add" in at_world[0].reason
    assert world.state is realm.state is LinkState.CLOSED


@pytest.mark.parametrize(("protocol", "dialect"), [(4, 1), (3, 0), (5, 0), (4, 9), (0, 0)])
def test_a_version_or_dialect_that_is_not_spoken(protocol, dialect):
    realm = RealmLink()
    events = realm.receive_data(LogonChallenge(protocol, dialect, 1, "w", "n,,n=w,r=x").encode())
    assert isinstance(events[0], LogonFailed)
    world = WorldLink()
    world.begin_logon("w", SECRET, 1)
    world.data_to_send()
    (refusal,) = world.receive_data(realm.data_to_send())
    assert refusal.status == LogonStatus.VERSION_REFUSED


def test_a_verifier_that_cannot_be_read_is_the_realms_fault():
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", SECRET, 1)
    pump(world, realm)
    (failed,) = realm.offer_challenge("no verifier")
    assert "verifier" in failed.reason
    assert [event.status for event in pump(world, realm)[0]] == [LogonStatus.INTERNAL]


@pytest.mark.parametrize("proved", [False, True])
def test_a_realm_may_refuse_before_and_after_the_proof(proved):
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", SECRET, 1)
    pump(world, realm)
    if proved:
        realm.offer_challenge(VERIFIER)
        pump(world, realm)
    (failed,) = realm.refuse_logon(LogonStatus.DATABASE_BUSY)
    assert "busy" in failed.reason
    at_world, _ = pump(world, realm)
    assert at_world == [LogonRefused(LogonStatus.DATABASE_BUSY, failed.reason)]


def test_a_realm_that_cannot_prove_itself_is_not_trusted():
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", SECRET, 1)
    pump(world, realm)
    realm.offer_challenge(VERIFIER)
    pump(world, realm)
    realm._server_final = "v=" + "A" * 43 + "="
    realm.accept_logon(NODE_EPOCH)
    at_world, _ = pump(world, realm)
    assert [event.status for event in at_world] == [None]
    assert world.state is LinkState.CLOSED


def test_a_logon_begins_once():
    world = WorldLink()
    world.begin_logon("w", SECRET, 1)
    with pytest.raises(ConfigurationError):
        world.begin_logon("w", SECRET, 1)
    with pytest.raises(ConfigurationError):
        WorldLink().begin_logon("w", SECRET, 1, dialect=4)


def test_a_proof_before_the_challenge_is_answered_breaks_the_link():
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("w", SECRET, 1)
    data = world.data_to_send()
    events = realm.receive_data(data + data)
    assert isinstance(events[-1], LinkBroken)


# Time and ends


def test_a_ping_is_answered_during_the_logon():
    """While the realm looks something up, a peer may ask whether it is still there."""
    world, realm = WorldLink(), RealmLink()

    def is_answered(link, state) -> None:
        assert link.state is state
        assert link.receive_data(Ping(0, 9).encode()) == []
        assert link.data_to_send() == Ping(1, 9).encode()

    is_answered(realm, LinkState.CHALLENGE)
    world.begin_logon("world-1", SECRET, 77)
    realm.receive_data(world.data_to_send())
    is_answered(world, LinkState.CHALLENGE)
    is_answered(realm, LinkState.LOOKUP)
    realm.offer_challenge(VERIFIER)
    world.receive_data(realm.data_to_send())
    is_answered(realm, LinkState.PROOF)
    realm.receive_data(world.data_to_send())
    is_answered(world, LinkState.PROOF)
    is_answered(realm, LinkState.GRANT)
    realm.accept_logon(NODE_EPOCH)
    pump(world, realm)
    is_answered(world, LinkState.OPEN)
    is_answered(realm, LinkState.OPEN)


def test_silence_is_pinged_and_then_taken_for_death():
    world, realm = logged_on()
    assert realm.tick(100.0) == []
    assert realm.tick(104.9) == []
    assert realm.data_to_send() == b""
    realm.tick(105.0)
    question = realm.data_to_send()
    assert Ping.decode(question[5:]).kind == 0
    assert world.receive_data(question) == []
    answer = world.data_to_send()
    assert Ping.decode(answer[5:]) == Ping(1, Ping.decode(question[5:]).token)
    realm.receive_data(answer)
    assert realm.tick(119.0) == []
    assert realm.tick(133.9) == []
    (event,) = realm.tick(134.0)
    assert "silent" in event.reason
    assert realm.state is LinkState.BROKEN


def test_a_logon_must_end_in_time():
    realm = RealmLink()
    assert realm.tick(0.0) == []
    assert realm.tick(9.9) == []
    (event,) = realm.tick(10.0)
    assert "logon" in event.reason


def test_a_frame_must_be_whole_in_time():
    """A byte a second is never silent, and never ends."""
    world, realm = logged_on()
    now_s, events = 0.0, realm.tick(0.0)
    frame = iter(COMMIT)
    while not events:
        now_s += 1.0
        events = realm.receive_data(bytes([next(frame)])) + realm.tick(now_s)
    assert "not whole within 60 s" in events[-1].reason
    assert now_s == 61.0
    # One that is merely long, and others before and behind it, are none of that.
    for now_s in range(100, 400, 10):
        half, other = (COMMIT[:50], COMMIT[50:]) if now_s % 20 else (COMMIT[50:], COMMIT[:50])
        world.receive_data(half + other)
    world, realm = logged_on()
    realm.receive_data(COMMIT[:50])
    for now_s in range(0, 300, 10):
        realm.receive_data(COMMIT[50:] + COMMIT[:50])
        assert realm.tick(float(now_s)) == []


def test_the_end_of_the_stream():
    _, realm = logged_on()
    (event,) = realm.receive_eof()
    assert "closed the link" in event.reason
    _, realm = logged_on()
    realm.receive_data(COMMIT[:20])
    (event,) = realm.receive_eof()
    assert "middle of a frame" in event.reason
    assert realm.receive_eof() == []


def test_nothing_is_sent_over_a_link_that_is_not_open():
    world = WorldLink()
    world.send_bytes(COMMIT)
    world.request_join(7)
    assert world.data_to_send() == b""
