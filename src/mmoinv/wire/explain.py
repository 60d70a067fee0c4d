"""Frames taken apart, byte by byte, for people who read captures and logs.

Bytes in, annotated spans out; what is broken is annotated as far as it goes. Record fields come
from the record table, columns and limits from the codec's decoder; what a control packet is made
of is the table here, held against the encoders by the tests. Judges nothing that the codec
judges, and prints nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mmoinv import codec
from mmoinv.commits import CommitFlags
from mmoinv.errors import ContentError, FramingError, ProtocolError
from mmoinv.records import EQUIPPED_BAG, WIDE, WIRE_LAYOUTS, Layout
from mmoinv.wire.dialects import DIALECTS
from mmoinv.wire.opcodes import CommitStatus, JoinFailure, LeaveReason, LogonStatus, Opcode

WORLD, REALM = "world", "realm"
SHOWN_RECORDS = 8
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8, "opcode": 1}
COLUMN_KINDS = ("all zero", "all the same", "plain", "base and offsets", "dictionary")

Meaning = Callable[[int], str]


class Span(NamedTuple):
    """Some bytes and what they are: ``kind`` is a type such as u16, ``value`` in words."""

    offset: int
    data: bytes
    name: str
    kind: str
    value: str
    meaning: str = ""


@dataclass
class ExplainedFrame:
    """One frame; its spans lie side by side from its first byte to its last.

    ``sender`` is "world" or "realm", ``guessed`` whether that was found out by what fits;
    ``fault`` says what is broken, "" if nothing is.
    """

    offset: int
    name: str = "?"
    sender: str = ""
    guessed: bool = False
    spans: list[Span] = field(default_factory=list)
    fault: str = ""

    @property
    def size(self) -> int:
        """Bytes, as far as they are there."""
        return sum(len(span.data) for span in self.spans)


class _BrokenError(Exception):
    """The rest of a frame means nothing."""


# What numbers mean


def _slot(number: int) -> str:
    bag = number >> 8
    where = "the character itself" if bag == EQUIPPED_BAG else f"bag {bag}"
    return f"{where}, slot {number & 0xFF}"


def _hexadecimal(number: int) -> str:
    return f"{number:#x}"


def _minted(number: int) -> str:
    return f"node epoch {number >> 32}, counter {number & 0xFFFFFFFF}" if number >> 32 else ""


def _flags(number: int) -> str:
    return " | ".join(flag.name for flag in CommitFlags if number & flag)


def _commit_status(number: int) -> str:
    known = number in CommitStatus.__members__.values()
    return CommitStatus(number).sentence if known else "not defined"


def _logon_status(number: int) -> str:
    known = number in LogonStatus.__members__.values()
    return LogonStatus(number).sentence.split(";")[0] if known else "not defined"


def _join_failure(number: int) -> str:
    known = number in JoinFailure.__members__.values()
    return JoinFailure(number).sentence if known else "not defined"


def _leave_reason(number: int) -> str:
    known = number in LeaveReason.__members__.values()
    return LeaveReason(number).name.lower() if known else "not defined"


def _dialect(number: int) -> str:
    if number >= len(DIALECTS):
        return "not defined"
    dialect = DIALECTS[number]
    return f"protocol {dialect.protocol}" + (f", {dialect.layout}" if dialect.layout else "")


def _one_of(*words: str) -> Meaning:
    return lambda number: words[number] if number < len(words) else "not defined"


RECORD_MEANINGS: dict[str, Meaning] = {"slot": _slot, "item_guid": _minted}
GUID = ("character guid", "u64", _hexadecimal)
EPOCH = ("session epoch", "u32")

Part = tuple[str, str] | tuple[str, str, Meaning]

PACKETS: dict[tuple[int, str], tuple[str, tuple[Part, ...]]] = {
    (Opcode.LOGON_CHALLENGE, WORLD): (
        "LogonChallenge",
        (
            ("protocol", "u8"),
            ("dialect", "u8", _dialect),
            ("process nonce", "u64"),
            ("world name", "str8"),
            ("client-first", "str16"),
        ),
    ),
    (Opcode.LOGON_CHALLENGE, REALM): (
        "LogonChallenge",
        (("status", "u8", _logon_status), ("server-first", "str16")),
    ),
    (Opcode.LOGON_PROOF, WORLD): ("LogonProof", (("client-final", "str16"),)),
    (Opcode.LOGON_PROOF, REALM): (
        "LogonProof",
        (
            ("status", "u8", _logon_status),
            ("server-final", "str16"),
            ("node epoch", "u32"),
            ("protocol", "u8"),
            ("dialect", "u8", _dialect),
        ),
    ),
    (Opcode.REQUEST_CHARACTER_JOIN, WORLD): ("RequestCharacterJoin", (GUID, EPOCH)),
    (Opcode.PLAYER_CHARACTER_JOIN, REALM): (
        "PlayerCharacterJoin",
        (GUID, EPOCH, ("version", "u64"), ("items", "batch"), ("", "balances"), ("", "blob")),
    ),
    (Opcode.PLAYER_CHARACTER_JOIN_FAILED, REALM): (
        "PlayerCharacterJoinFailed",
        (GUID, ("reason", "u8", _join_failure), ("message", "str16")),
    ),
    (Opcode.PLAYER_CHARACTER_LEAVE, REALM): ("PlayerCharacterLeave", (GUID, EPOCH)),
    (Opcode.PLAYER_CHARACTER_LEFT, WORLD): (
        "PlayerCharacterLeft",
        (GUID, EPOCH, ("reason", "u8", _leave_reason)),
    ),
    (Opcode.COMMIT_INVENTORY, WORLD): (
        "CommitInventory",
        (
            ("operation id", "u64", _minted),
            ("reason", "u8"),
            ("flags", "u8", _flags),
            ("", "participants"),
        ),
    ),
    (Opcode.COMMIT_INVENTORY, REALM): (
        "CommitInventoryResult",
        (
            ("operation id", "u64", _minted),
            ("status", "u8", _commit_status),
            ("", "versions"),
            ("message", "str16"),
        ),
    ),
    (Opcode.SAVE_INVENTORY_ITEMS, WORLD): (
        "SaveInventoryItems",
        (GUID, ("operation id", "u32"), ("", "records")),
    ),
    (Opcode.DELETE_INVENTORY_ITEMS, WORLD): (
        "DeleteInventoryItems",
        (GUID, ("operation id", "u32"), ("", "slots")),
    ),
    **{
        (opcode, REALM): (
            "InventoryOperationResult",
            (
                GUID,
                ("operation id", "u32"),
                ("type", "u8", _one_of("save", "delete")),
                ("success", "u8", _one_of("no", "yes")),
            ),
        )
        for opcode in (Opcode.INVENTORY_OPERATION_RESULT, Opcode.INVENTORY_OPERATION_RESULT_2026)
    },
    **{
        (Opcode.PING, sender): (
            "Ping",
            (("kind", "u8", _one_of("ping", "pong")), ("token", "u64")),
        )
        for sender in (WORLD, REALM)
    },
}
"""By opcode and sender: the packet's name and its parts. Kinds that are no numbers are methods
of the walk."""


class _Walk:
    """Goes through one frame and notes every span."""

    def __init__(self, data: bytes, start: int, end: int, layout: Layout | None) -> None:
        self.data, self.at, self.end, self.layout = data, start, end, layout
        self.spans: list[Span] = []

    def take(self, size: int, name: str, kind: str, value: str = "", meaning: str = "") -> bytes:
        left = self.end - self.at
        if size > left:
            raise _BrokenError(
                f"{name} at byte {self.at} needs {size} bytes, only {left} are left in the frame"
            )
        data = self.data[self.at : self.at + size]
        self.spans.append(Span(self.at, data, name, kind, value, meaning))
        self.at += size
        return data

    def number(self, name: str, kind: str, meaning: Meaning | None = None) -> int:
        size = SIZES[kind]
        data = self.take(size, name, kind)
        number = int.from_bytes(data, "little", signed=kind == "i64")
        self.spans[-1] = self.spans[-1]._replace(
            value=str(number), meaning=meaning(number) if meaning else ""
        )
        return number

    def parts(self, parts: Iterable[Part]) -> None:
        for name, kind, *meaning in parts:
            if kind in SIZES:
                self.number(name, kind, *meaning)
            else:
                getattr(self, f"_{kind}")(name)

    def _text(self, name: str, kind: str) -> None:
        size = self.number(f"length of {name}", kind)
        data = self.take(size, name, f"{size} bytes")
        try:
            text = repr(data.decode())
        except UnicodeDecodeError:
            raise _BrokenError(f"{name} at byte {self.at - size} is not UTF-8") from None
        self.spans[-1] = self.spans[-1]._replace(value=text)

    def _str8(self, name: str) -> None:
        self._text(name, "u8")

    def _str16(self, name: str) -> None:
        self._text(name, "u16")

    def _blob(self, _: str) -> None:
        size = self.number("length of the game's own", "u32")
        self.take(size, "the game's own", f"{size} bytes")

    def _balances(self, _: str) -> None:
        self._currencies(self.number("currencies", "u8"), "balance")

    def _currencies(self, count: int, amount: str) -> None:
        for place in range(count):
            self.number(f"currency {place}: id", "u16")
            self.number(f"currency {place}: {amount}", "i64")

    def _participants(self, _: str) -> None:
        for place in range(self.number("participants", "u16")):
            own = f"participant {place}: "
            self.number(f"{own}character guid", "u64", _hexadecimal)
            self.number(f"{own}session epoch", "u32")
            self.number(f"{own}expected version", "u64")
            deletes = self.number(f"{own}deletes", "u16")
            currencies = self.number(f"{own}currencies", "u8")
            self._batch("items")
            for index in range(deletes):
                self.number(f"deleted slot {index}", "u16", _slot)
            self._currencies(currencies, "change")

    def _versions(self, _: str) -> None:
        for place in range(self.number("participants", "u16")):
            self.number(f"participant {place}: character guid", "u64", _hexadecimal)
            self.number(f"participant {place}: version", "u64")

    def _slots(self, _: str) -> None:
        for index in range(self.number("slots", "u16")):
            self.number(f"slot {index}", "u16", _slot)

    def _records(self, _: str) -> None:
        start = self.at
        count = self.number("records", "u16")
        layout = self.layout
        if layout is None:
            fitting = [one for one in WIRE_LAYOUTS.values() if one.itemsize * count == self.left]
            layout = fitting[0] if fitting else WIRE_LAYOUTS["packed"]
            self.spans[-1] = self.spans[-1]._replace(
                meaning=f"layout {layout.name}, by the length" if fitting else ""
            )
        if self.left != count * layout.itemsize:
            raise _BrokenError(
                f"{count} records of layout {layout.name} at byte {start + 2} need "
                f"{count * layout.itemsize} bytes, {self.left} are left in the frame"
            )
        for place in range(count):
            self._record(place, layout)

    @property
    def left(self) -> int:
        return self.end - self.at

    def _record(self, place: int, layout: Layout) -> None:
        start = self.at
        pieces = [(one.offset, one.size, one.name) for one in layout.fields]
        pieces += [(offset, size, "") for offset, size in layout.padding]
        for offset, size, name in sorted(pieces):
            assert self.at == start + offset
            if not name:
                self.take(size, f"record {place}: padding", f"{size} bytes")
                continue
            kind = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}[size]
            self.number(f"record {place}: {name}", kind, RECORD_MEANINGS.get(name))

    def _batch(self, name: str) -> None:
        start = self.at
        count = self.number(f"{name}: records", "u16")
        encoding = self.number(f"{name}: encoding", "u8", _one_of("records", "columns"))
        if encoding == 0:
            for place in range(count):
                self._record(place, WIDE)
            return
        try:
            # The decoder judges the columns; what is wrong, it says best.
            items, behind = codec.decode_batch(self.data[: self.end], start)
        except FramingError as error:
            self._rest(f"{name}: columns")
            raise _BrokenError(str(error)) from None
        for one in WIDE.fields:
            self._column(one.name, count, items[one.name].tolist())
        assert self.at == behind

    def _column(self, name: str, count: int, values: list[int]) -> None:
        head = self.data[self.at]
        kind, width = head >> 4, head & 15
        what = f"kind {kind}, width {width}"
        self.take(1, f"column {name}", "u8", what, COLUMN_KINDS[kind])
        size = {0: 0, 1: width, 2: count * width, 3: 8 + count * width}.get(kind, -1)
        if size < 0:
            entries = self.data[self.at]
            size = 1 + entries * width + count
        if size:
            shown = values[:1] if kind == 1 else values[:SHOWN_RECORDS]
            more = ", ..." if len(values) > len(shown) and kind != 1 else ""
            self.take(size, "", f"{size} bytes", ", ".join(map(str, shown)) + more)

    def _rest(self, name: str) -> None:
        if self.left > 0:
            self.take(self.left, name, f"{self.left} bytes")


def explain(data: bytes, dialect: int | None = None, sender: str = "") -> list[ExplainedFrame]:
    """Every frame of ``data``, the last of which may be cut off.

    ``dialect`` says how records of protocol 3 lie (None: by their length), ``sender`` who wrote
    the frames, "world" or "realm" ("": what fits). Never raises for what the bytes are.
    """
    layout = None
    if dialect is not None and (name := DIALECTS[dialect].layout):
        layout = WIRE_LAYOUTS[name]
    frames = []
    at = 0
    while at < len(data):
        frame = _explained(data, at, layout, sender)
        frames.append(frame)
        at += frame.size
    return frames


def _explained(data: bytes, at: int, layout: Layout | None, sender: str) -> ExplainedFrame:
    opcode = data[at]
    senders = [one for code, one in PACKETS if code == opcode and sender in ("", one)]
    tried = [_walked(data, at, layout, one) for one in senders or [""]]
    best = next((frame for frame in tried if not frame.fault), tried[0])
    best.guessed = len(tried) > 1 and opcode != Opcode.PING
    if opcode == Opcode.PING and len(tried) > 1:
        best.sender = ""
    return best


def _walked(data: bytes, at: int, layout: Layout | None, sender: str) -> ExplainedFrame:
    """One frame, as what that sender would have meant; "" if it has no such packet."""
    opcode = data[at]
    name, parts = PACKETS.get((opcode, sender), ("unknown packet", ()))
    frame = ExplainedFrame(at, name, sender)
    walk = _Walk(data, at, len(data), layout)
    frame.spans = walk.spans
    try:
        walk.number("opcode", "opcode", lambda _: name)
        length = walk.number("body length", "u32")
        end = walk.at + length
        walk.end = min(end, len(data))
        if not sender:
            walk._rest("body")
            raise _BrokenError(f"opcode 0x{opcode:02X} is not known" + _unless_cut(end, data))
        walk.parts(parts)
        if end > len(data):
            raise _BrokenError(
                f"the frame ends at byte {end}, but only {len(data)} bytes are there"
            )
        if walk.at < end:
            raise _BrokenError(
                f"{name} ends at byte {walk.at}, but {end - walk.at} more bytes follow"
            )
        _judge(frame, data[at + 5 : end], layout)
    except _BrokenError as error:
        frame.fault = str(error)
        walk._rest("not understood")
    return frame


def _unless_cut(end: int, data: bytes) -> str:
    return f", and the frame is cut off: it ends at byte {end}" if end > len(data) else ""


def _judge(frame: ExplainedFrame, body: bytes, layout: Layout | None) -> None:
    """What the decoders say of the content of a packet that is well formed."""
    try:
        if frame.name == "CommitInventory":
            codec.decode_commit_inventory(body)
        elif frame.name == "SaveInventoryItems":
            one = layout or next(
                one
                for one in WIRE_LAYOUTS.values()
                if len(body) == 14 + one.itemsize * int.from_bytes(body[12:14], "little")
            )
            codec.decode_save_inventory_items(body, one.name)
        elif frame.name == "DeleteInventoryItems":
            codec.decode_delete_inventory_items(body)
    except ContentError as error:
        frame.fault = f"well formed, but refused: {error}"
    except ProtocolError as error:
        frame.fault = str(error)
