"""What is fuzzed: each decoder of the codec, each control packet, both links in each state.

A target takes bytes, asserts what must hold, and says in a few words what came of it: an input
that comes to something new is worth spoiling further. Knows no clock and writes nothing.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import fuzz_corpus
import numpy as np
from fuzz_mutation import in_pieces

from mmoinv import _codec_py, codec
from mmoinv.commits import Commits, join_commits
from mmoinv.errors import ContentError, FramingError
from mmoinv.records import MAX_BATCH_ITEMS, MAX_CHUNK_ITEMS, MAX_PACKET_ITEMS, WIRE_LAYOUTS
from mmoinv.wire import (
    CommitsReceived,
    LinkState,
    LogonProved,
    LogonRequested,
    RealmLink,
    WorldLink,
    make_verifier,
    packets,
    trades,
)
from mmoinv.wire.dialects import DIALECTS
from mmoinv.wire.explain import explain
from mmoinv.wire.link import MAX_LOGON_BODY_SIZE

TWINS = [codec, _codec_py]
CLIENT_NONCE, SERVER_NONCE = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
VERIFIER = make_verifier("pencil", bytes.fromhex("5b6d99689d12358eeca04b141236fa81"))


class Target(NamedTuple):
    """``run`` gets an input and a source of chance, and returns what came of it."""

    name: str
    seeds: list[bytes]
    run: Callable[[bytes, Random], str]
    framed: bool = False


def targets() -> list[Target]:
    """All of them."""
    frames = fuzz_corpus.frames()
    bodies = {opcode: [one[5:] for one in some] for opcode, some in frames.items()}
    every = [one for some in frames.values() for one in some]
    upward = [one for code in (0x80, 0x81, 0x07, 0x82, 0x85, 0x86, 0x87) for one in frames[code]]
    old = frames[0x0E] + frames[0x0F]
    found = [
        Target("decode_batch", fuzz_corpus.batches(), _batch),
        Target("decode_commit_inventory", bodies[0x80], _commit),
        Target("decode_commit_inventory_result", bodies[0x80], _commit_result),
        Target("decode_delete_inventory_items", bodies[0x0F], _delete),
        Target("decode_inventory_operation_result", bodies[0x0A] + bodies[0x0B], _result),
        Target("split_frames", every, _split, True),
        Target("unpack_changes", fuzz_corpus.changes(), _changes),
        Target("decode_commits, protocol 4", frames[0x80], _commits(None), True),
        Target("explain", every, _explain, True),
    ]
    for name in WIRE_LAYOUTS:
        found.append(Target(f"decode_save_inventory_items, {name}", bodies[0x0E], _save(name)))
        found.append(Target(f"decode_commits, {name}", old, _commits(name), True))
    for packet, opcode in _CONTROL:
        found.append(Target(packet.__name__, bodies[opcode], _control(packet)))
    for dialect in range(len(DIALECTS)):
        logon = fuzz_corpus.golden_logon(dialect)
        found += [
            Target(f"RealmLink, logon, dialect {dialect}", logon[0::2], _realm(None), True),
            Target(f"WorldLink, logon, dialect {dialect}", logon[1::2], _world(dialect, 0), True),
            Target(f"RealmLink, open, dialect {dialect}", upward + old, _realm(dialect), True),
            Target(f"WorldLink, open, dialect {dialect}", every, _world(dialect, 1), True),
        ]
    return found


# What came of it


def plain(value: Any) -> Any:
    """A result in a form that compares."""
    if isinstance(value, np.ndarray):
        return value.dtype.descr, value.tobytes()
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value


def _words(text: str) -> str:
    return re.sub(r"\d+|'.*'", "#", text)


def outcome(name: str, *arguments: Any) -> Any:
    """What both codecs make of it, which must be the same: a result, or an error of a peer's."""
    results: list[Any] = []
    said = []
    for twin in TWINS:
        try:
            results.append(getattr(twin, name)(*arguments))
            said.append(plain(results[-1]))
        except (FramingError, ContentError) as error:
            results.append(error)
            said.append((type(error), str(error), plain(list(vars(error).values()))))
    assert said[0] == said[1], f"{name}: the twins differ: {said[0]!r:.200} and {said[1]!r:.200}"
    return results[0]


def _told(result: Any, *sizes: int) -> str:
    if isinstance(result, Exception):
        return _words(str(result))
    return f"taken {[min(size, 300).bit_length() for size in sizes]}"


# The codec


def _batch(data: bytes, random: Random) -> str:
    result = outcome("decode_batch", data)
    if isinstance(result, Exception):
        return _told(result)
    items, end = result
    assert len(items) <= MAX_BATCH_ITEMS
    assert end <= len(data)
    for encoding in (0, 1):
        again, _ = codec.decode_batch(codec.encode_batch(items, encoding))
        assert again.tobytes() == items.tobytes(), "what was decoded is encoded as another batch"
    return _told(result, len(items))


def _check_commits(commits: Commits, limit: int) -> str:
    assert len(commits.items) <= limit, f"{len(commits.items)} records, over {limit}"
    if not len(commits.operations) or commits.operations["fault"].any():
        return _told(None, *map(len, commits)) + str(set(commits.operations["fault"].tolist()))
    if not commits.operations["kind"].any():
        again, _ = codec.decode_commits(codec.encode_commits(commits))
        assert plain(again) == plain(commits), "what was decoded is encoded as other operations"
    return _told(None, *map(len, commits))


def _commit(data: bytes, random: Random) -> str:
    result = outcome("decode_commit_inventory", data)
    if isinstance(result, Exception):
        return _told(result)
    return _check_commits(result, MAX_PACKET_ITEMS)


def _commits(layout: str | None) -> Callable[[bytes, Random], str]:
    def run(data: bytes, random: Random) -> str:
        limit = random.choice((1, 10, MAX_CHUNK_ITEMS))
        arguments = (data, 0, layout, random.random() < 0.5, random.choice((100, 1 << 20)), limit)
        result = outcome("decode_commits", *arguments)
        if isinstance(result, Exception):
            return _told(result)
        assert result[1] <= len(data)
        return _check_commits(result[0], limit + MAX_PACKET_ITEMS)

    return run


def _commit_result(data: bytes, random: Random) -> str:
    result = outcome("decode_commit_inventory_result", data)
    if isinstance(result, Exception):
        return _told(result)
    assert codec.encode_commit_inventory_result(*result)[5:] == data
    return _told(result, len(result[2]), len(result[3]))


def _save(layout: str) -> Callable[[bytes, Random], str]:
    def run(data: bytes, random: Random) -> str:
        result = outcome("decode_save_inventory_items", data, layout)
        if isinstance(result, Exception):
            return _told(result)
        frame = codec.encode_save_inventory_items(*result, layout)
        again = codec.decode_save_inventory_items(frame[5:], layout)
        assert plain(again) == plain(result), "what was decoded is encoded as another save"
        return _told(result, len(result[2]))

    return run


def _delete(data: bytes, random: Random) -> str:
    result = outcome("decode_delete_inventory_items", data)
    if isinstance(result, Exception):
        return _told(result)
    assert codec.encode_delete_inventory_items(*result)[5:] == data
    return _told(result, len(result[2]))


def _result(data: bytes, random: Random) -> str:
    result = outcome("decode_inventory_operation_result", data)
    if isinstance(result, Exception):
        return _told(result)
    assert codec.encode_inventory_operation_result(*result)[5:] == data
    return _told(result)


def _split(data: bytes, random: Random) -> str:
    result = outcome("split_frames", data, random.choice((0, 100, 1 << 20)))
    if isinstance(result, Exception):
        return _told(result)
    at = 0
    for opcode, offset, length in result[0].tolist():
        assert (data[at], at + 5) == (opcode, offset)
        at = offset + length
    assert at == result[1] <= len(data)
    return _told(result, len(result[0]))


def _changes(data: bytes, random: Random) -> str:
    result = outcome("unpack_changes", data)
    if isinstance(result, Exception):
        return _told(result)
    before, after = result
    # A change takes at least nine bytes: a slot, a mask and an entry.
    assert len(before) == len(after) <= len(data) / 9
    packed = codec.pack_changes(before, after, np.array([len(before)], np.uint64))
    assert plain(codec.unpack_changes(packed[0])) == plain(result), "packed as other changes"
    return _told(result, len(before))


# The wire


_CONTROL: list[tuple[Any, int]] = [
    (packets.LogonChallenge, 0x00),
    (packets.LogonChallengeAnswer, 0x00),
    (packets.LogonProof, 0x01),
    (packets.LogonProofAnswer, 0x01),
    (packets.RequestCharacterJoin, 0x81),
    (packets.PlayerCharacterJoin, 0x02),
    (packets.PlayerCharacterJoinFailed, 0x84),
    (packets.PlayerCharacterLeave, 0x03),
    (packets.PlayerCharacterLeft, 0x07),
    (packets.Ping, 0x82),
    (trades.TradeOffer, 0x85),
    (trades.TradeConfirm, 0x86),
    (trades.TradeCancel, 0x87),
]


def _control(packet: Any) -> Callable[[bytes, Random], str]:
    def run(data: bytes, random: Random) -> str:
        try:
            result = packet.decode(data)
        except FramingError as error:
            return _told(error)
        again = packet.decode(result.encode()[5:])
        assert plain(again) == plain(result), "what was decoded is encoded as another packet"
        return _told(result, len(data))

    return run


def _explain(data: bytes, random: Random) -> str:
    data = data[:4000]
    dialect = random.choice((None, 0, 1, 2, 3))
    frames = explain(data, dialect, random.choice(("", "world", "realm")))
    told = b"".join(span.data for frame in frames for span in frame.spans)
    assert told == data, "the spans are not all of the bytes"
    return " ".join(_words(f"{one.name} {one.fault} {one.invalid}") for one in frames[:2])


def _realm(dialect: int | None) -> Callable[[bytes, Random], str]:
    def start() -> RealmLink:
        link = RealmLink()
        if dialect is not None:
            link.state, link.dialect = LinkState.OPEN, DIALECTS[dialect]
        return link

    # The answers to a logon come between the pieces, so there it is not the same.
    return _link(start, dialect is not None)


def _world(dialect: int, is_open: int) -> Callable[[bytes, Random], str]:
    def start() -> WorldLink:
        link = WorldLink()
        link.begin_logon("user", "pencil", 0x1122334455667788, dialect, CLIENT_NONCE)
        link.data_to_send()
        if is_open:
            link.state = LinkState.OPEN
        return link

    return _link(start)


def _link(start: Callable[[], Any], is_same: bool = True) -> Callable[[bytes, Random], str]:
    """Whole and in pieces ``is_same``; nothing raises; only one frame is ever kept."""

    def run(data: bytes, random: Random) -> str:
        one, other = start(), start()
        whole = _fed(one, [data])
        pieces = _fed(other, in_pieces(random, data))
        if is_same:
            assert whole == pieces, f"it is another in pieces: {whole!r:.200}, {pieces!r:.200}"
            assert (one.state, one.skipped_packets) == (other.state, other.skipped_packets)
        names = [str(event[0]) for event in whole]
        return f"{one.state} {_words(one.broken_reason)} {names[:4]} {len(names).bit_length()}"

    return run


def _fed(link: Any, pieces: list[bytes]) -> list[Any]:
    """What comes of the pieces, answered as a realm does; runs of commits are joined."""
    events: list[Any] = []
    run: list[Commits] = []
    for piece in pieces:
        waiting = list(link.receive_data(piece))
        held = sum(len(one.commits.items) for one in waiting if isinstance(one, CommitsReceived))
        # A record that is taken was sent: no few bytes come to many records.
        assert held <= MAX_CHUNK_ITEMS + len(piece) + len(data_kept(link)) + MAX_PACKET_ITEMS
        while waiting:
            event = waiting.pop(0)
            if isinstance(event, CommitsReceived):
                run.append(event.commits)
                continue
            if run:
                events.append(("commits", plain(join_commits(run))))
                run = []
            if isinstance(event, LogonRequested):
                waiting += link.offer_challenge(VERIFIER, SERVER_NONCE)
            elif isinstance(event, LogonProved):
                link.accept_logon(41)
            said = [_words(one) if isinstance(one, str) else plain(one) for one in event]
            events.append((type(event).__name__, said))
        is_open = link.state is LinkState.OPEN
        limit = (1 << 20 if is_open else MAX_LOGON_BODY_SIZE) + 5
        assert len(data_kept(link)) < limit, f"{len(data_kept(link))} bytes are kept"
    if run:
        events.append(("commits", plain(join_commits(run))))
    return events


def data_kept(link: Any) -> bytes:
    """The frame that is not whole yet."""
    kept: bytes = link._rest
    return kept
