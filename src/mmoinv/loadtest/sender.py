"""The sender: a world server without a game, which writes frames that it encoded beforehand.

It keeps a window of saves in flight over one socket, so that the realm is what is measured and
not who asks it. In a process of its own; told what to do through a pipe. Knows neither the
realm's process nor the verdict.
"""

import secrets
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv import codec
from mmoinv.commits import CURRENCY, OPERATION, PARTICIPANT, CommitFlags, Commits
from mmoinv.errors import LinkError, LogonError, MmoinvError
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.loadtest.starting_items import CARRIED
from mmoinv.records import INVENTORY_ITEM, SLOT
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    LinkBroken,
    LogonAccepted,
    LogonRefused,
    Opcode,
    WorldLink,
)

SILENT_FOR_S = 30.0
"""How long the realm may say nothing while it owes answers."""
READ_BYTES = 1 << 18
JOIN_WINDOW = 256
FILL_WINDOW = 512
PROGRESS_EVERY_S = 0.1

ANSWER = np.dtype(
    [
        ("operation_id", "<u8"),
        ("status", "<u1"),
        ("participant_count", "<u2"),
        ("character_guid", "<u8"),
        ("version", "<u8"),
        ("message_length", "<u2"),
    ]
)
"""The body of a CommitInventoryResult over one character and without a message."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """``window`` is how many saves may be without an answer at a time; ``whole``: each carries
    the whole inventory."""

    host: str
    port: int
    name: str
    secret: str
    characters: int
    items: int
    changed: int
    window: int
    seed: int
    whole: bool = False


class Answered(NamedTuple):
    """What came of some saves: ``rtt_s`` f64, one a save, from the write of its last byte to its
    answer, 0 for one that was refused with a reason; the first reasons."""

    rtt_s: npt.NDArray[np.float64]
    refused: int
    reasons: list[str]


def carried_slots(count: int) -> npt.NDArray[np.uint16]:
    """The slots that every character of the sender has its items in, ascending."""
    return np.sort(np.array(CARRIED, SLOT))[:count]


def run_sender(connection: Connection, settings: SenderSettings) -> None:
    """Run until told to end. "fill" joins everyone and fills the bags, "send" sends as many
    saves as its payload says, "holdings" gives what must be stored."""
    with socket.create_connection((settings.host, settings.port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)
        sender = Sender(link, settings, lambda count: connection.send(("progress", count)))
        connection.send(("ready", None))
        while True:
            kind, payload = connection.recv()
            if kind == "end":
                return
            connection.send((kind, getattr(sender, f"do_{kind}")(payload)))


class Sender:
    """One logged-on link and what its characters hold: ``items`` has one row a character."""

    def __init__(
        self, link: socket.socket, settings: SenderSettings, progress: Callable[[int], None]
    ) -> None:
        self._socket = link
        self._settings = settings
        self._progress = progress
        self._rng = np.random.default_rng(settings.seed)
        self._wire = WorldLink()
        self._selector = selectors.DefaultSelector()
        self._selector.register(link, selectors.EVENT_READ)
        count = settings.characters
        self._guids = np.arange(GUID_BASE, GUID_BASE + count, dtype=np.uint64)
        self._epochs = np.zeros(count, np.uint32)
        self._versions = np.zeros(count, np.uint64)
        self._items = np.zeros((count, settings.items), INVENTORY_ITEM)
        self._node_epoch = self._log_on()
        self._operations = 0
        self._minted = 0

    # What the parent may ask for

    def do_fill(self, _: Any) -> int:
        """Join everyone; give those an inventory who have another one. How many those are."""
        slots = carried_slots(self._settings.items)
        missing = self._join(slots)
        items = self._items
        for start in range(0, len(missing), FILL_WINDOW):
            some = missing[start : start + FILL_WINDOW]
            fresh = np.zeros((len(some), self._settings.items), INVENTORY_ITEM)
            fresh["slot"] = slots
            fresh["entry"] = self._rng.integers(1000, 20_000, fresh.shape)
            fresh["stack_count"] = self._rng.integers(1, 20, fresh.shape)
            fresh["durability"] = self._rng.integers(0, 120, fresh.shape)
            fresh["contained"] = self._guids[some][:, np.newaxis]
            guids = np.arange(self._minted, self._minted + fresh.size, dtype=np.uint64)
            self._minted += fresh.size
            fresh["item_guid"] = (guids + np.uint64(self._node_epoch << 32)).reshape(fresh.shape)
            items[some] = fresh
            frames = codec.encode_commits(self._commits(some, fresh, CommitFlags.REPLACE))
            self._exchange(frames, len(some))
            self._progress(len(some))
        return len(missing)

    def do_send(self, saves: int) -> dict[str, Any]:
        """Encode so many saves, then send them and take the answers."""
        frames = self._encode(saves)
        began_s = time.perf_counter()
        answered = self._exchange(frames, self._settings.window, self._progress)
        return {
            "saves": saves,
            "seconds": time.perf_counter() - began_s,
            "rtt_ms": answered.rtt_s * 1e3,
            "packet_bytes": len(frames) // saves,
            "refused": answered.refused,
            "refusals": answered.reasons,
        }

    def do_holdings(self, _: Any) -> dict[int, bytes]:
        """What must be stored, by character guid, as bytes of `INVENTORY_ITEM` records."""
        return {
            guid: self._items[index].tobytes() for index, guid in enumerate(self._guids.tolist())
        }

    # Frames

    def _encode(self, saves: int) -> bytes:
        """Frames of saves over all characters in turn, each turn in another order. What they
        carry is what the characters then hold."""
        count, changed = self._settings.characters, self._settings.changed
        parts = []
        for start in range(0, saves, count):
            who = self._rng.permutation(count)[: saves - start]
            places = self._rng.random((len(who), self._settings.items)).argpartition(changed)
            places = np.sort(places[:, :changed], axis=1)
            rows = who[:, np.newaxis], places
            records = self._items[rows]
            records["stack_count"] = records["stack_count"] % 20 + 1
            records["durability"] += 1
            self._items[rows] = records
            flags = 0
            if self._settings.whole:
                records, flags = self._items[who], CommitFlags.REPLACE
            for first in range(0, len(who), FILL_WINDOW):
                some = slice(first, first + FILL_WINDOW)
                parts.append(codec.encode_commits(self._commits(who[some], records[some], flags)))
        return b"".join(parts)

    def _commits(
        self, who: npt.NDArray[np.int64], records: npt.NDArray[np.void], flags: int
    ) -> Commits:
        """One operation a character, on the version that it will have by then."""
        count, each = records.shape
        operations = np.zeros(count, OPERATION)
        participants = np.zeros(count, PARTICIPANT)
        numbers = np.arange(self._operations, self._operations + count, dtype=np.uint64)
        self._operations += count
        operations["operation_id"] = numbers + np.uint64(self._node_epoch << 32)
        operations["first_participant"] = participants["operation"] = np.arange(count)
        operations["participant_count"] = 1
        operations["flags"] = flags
        participants["character_guid"] = self._guids[who]
        participants["session_epoch"] = self._epochs[who]
        participants["expected_version"] = self._versions[who]
        self._versions[who] += np.uint64(1)
        participants["first_item"] = np.arange(count) * each
        participants["item_count"] = each
        return Commits(
            operations,
            participants,
            records.reshape(-1),
            np.empty(0, SLOT),
            np.empty(0, CURRENCY),
        )

    # The link

    def _log_on(self) -> int:
        self._wire.begin_logon(self._settings.name, self._settings.secret, secrets.randbits(64))
        while True:
            self._write(self._wire.data_to_send())
            for event in self._wire.receive_data(self._read()):
                match event:
                    case LogonAccepted():
                        return event.node_epoch
                    case LogonRefused() | LinkBroken():
                        raise LogonError(f"the sender's logon failed: {event.reason}")

    def _join(self, slots: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
        """Join everyone; the indices of those whose inventory is not in these slots."""
        missing = []
        asked = answered = 0
        count = self._settings.characters
        while answered < count:
            while asked < count and asked - answered < JOIN_WINDOW:
                self._wire.request_join(GUID_BASE + asked)
                asked += 1
            self._write(self._wire.data_to_send())
            for event in self._wire.receive_data(self._read()):
                match event:
                    case CharacterJoined(character):
                        index = character.character_guid - GUID_BASE
                        self._epochs[index] = character.session_epoch
                        self._versions[index] = character.version
                        if np.array_equal(character.items["slot"], slots):
                            self._items[index] = character.items
                        else:
                            missing.append(index)
                        answered += 1
                        if answered % JOIN_WINDOW == 0:
                            self._progress(0)
                    case CharacterJoinFailed() | LinkBroken():
                        raise LinkError(f"the sender's join failed: {event}")
        return np.array(missing, np.int64)

    def _exchange(
        self, frames: bytes, window: int, progress: Callable[[int], None] = lambda _: None
    ) -> Answered:
        """Write the frames of the last operations, at most ``window`` without an answer, and read
        what is answered; ``progress`` is told every now and then how many that are."""
        split, _ = codec.split_frames(frames)
        ends = split["offset"].astype(np.int64) + split["length"]
        count = len(ends)
        first = np.uint64(self._operations - count + (self._node_epoch << 32))
        view = memoryview(frames)
        sent_s, rtt_s = np.zeros(count), np.zeros(count)
        sent_bytes = sent = answered = refused = 0
        reasons: list[str] = []
        rest = b""
        last_s = told_s = time.perf_counter()
        while answered < count:
            may_send = min(answered + window, count)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if sent < may_send else 0)
            self._selector.modify(self._socket, events)
            ready = self._selector.select(1.0)
            now_s = time.perf_counter()
            if not ready and now_s - last_s > SILENT_FOR_S:
                raise LinkError(
                    f"the realm was silent for {SILENT_FOR_S:.0f} s; {count - answered} saves "
                    "may or may not be saved"
                )
            mask = ready[0][1] if ready else 0
            if mask & selectors.EVENT_WRITE:
                sent_bytes += self._socket.send(view[sent_bytes : ends[may_send - 1]])
                before, sent = sent, int(np.searchsorted(ends, sent_bytes, "right"))
                sent_s[before:sent] = now_s
            if mask & selectors.EVENT_READ:
                data = rest + self._receive()
                found, consumed = codec.split_frames(data)
                rest = data[consumed:]
                plain, others = _answers(data, found)
                refused += int((plain["status"] > 1).sum()) + len(others)
                reasons += others[:3]
                which = (plain["operation_id"] - first).astype(np.int64)
                rtt_s[which] = now_s - sent_s[which]
                answered += len(plain) + len(others)
                last_s = now_s
            if now_s - told_s > PROGRESS_EVERY_S:
                told_s = now_s
                progress(answered)
        return Answered(rtt_s, refused, reasons)

    def _read(self) -> bytes:
        """Wait for bytes."""
        self._selector.modify(self._socket, selectors.EVENT_READ)
        if not self._selector.select(SILENT_FOR_S):
            raise LinkError(f"the realm was silent for {SILENT_FOR_S:.0f} s")
        return self._receive()

    def _receive(self) -> bytes:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise LinkError("the realm closed the link; its log says why")
        return data

    def _write(self, data: bytes) -> None:
        """Write all of a little."""
        view = memoryview(data)
        while view:
            self._selector.modify(self._socket, selectors.EVENT_WRITE)
            self._selector.select(SILENT_FOR_S)
            view = view[self._socket.send(view) :]


def _answers(data: bytes, frames: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.void], list[str]]:
    """The plain answers of split frames as one `ANSWER` array; what the others say."""
    is_plain = (frames["opcode"] == Opcode.COMMIT_INVENTORY) & (frames["length"] == ANSWER.itemsize)
    others = []
    for frame in frames[~is_plain].tolist():
        opcode, offset, length = frame
        if opcode == Opcode.COMMIT_INVENTORY:
            body = data[offset : offset + length]
            others.append(codec.decode_commit_inventory_result(body)[3])
        elif opcode != Opcode.PING:
            raise MmoinvError(f"the realm sent opcode 0x{opcode:02X} in the middle of a run")
    offsets = frames["offset"][is_plain].astype(np.int64)
    spans = offsets[:, np.newaxis] + np.arange(ANSWER.itemsize)
    plain = np.frombuffer(data, np.uint8)[spans]
    return np.ascontiguousarray(plain).view(ANSWER).reshape(-1), others
