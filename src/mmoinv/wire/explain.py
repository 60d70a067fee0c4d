"""Frames taken apart, byte by byte, for people who read captures and logs.

Bytes in, annotated spans out; what is broken is annotated as far as it goes. Fields of records
come from the record table, those of packets from `mmoinv.wire.anatomy`; whether a packet is good
is what its decoder says. Prints nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from mmoinv import codec
from mmoinv.errors import ContentError, FramingError
from mmoinv.records import (
    FRAME_HEADER_SIZE,
    MAX_BATCH_ITEMS,
    MAX_BODY_SIZE,
    WIDE,
    WIRE_LAYOUTS,
    Batch,
    Field,
    Layout,
)
from mmoinv.wire.anatomy import (
    BATCH_ENCODINGS,
    COLUMN_KINDS,
    PACKETS,
    RECORD_MEANINGS,
    SIZES,
    Blob,
    Each,
    Items,
    Number,
    Part,
    Records,
    Text,
    is_anyones,
    is_spoken,
    one_of,
)
from mmoinv.wire.dialects import DIALECTS, Dialect
from mmoinv.wire.opcodes import Opcode


class Span(NamedTuple):
    """Some bytes and what they are.

    ``type`` is that of a number, such as u16, u16[] for many, or "utf-8", "bytes"; ``value`` is
    decoded, in decimals; ``group`` says what it is part of: "participant 0, record 2"; ``place``
    is the largest number in it.
    """

    offset: int
    data: bytes
    name: str
    type: str
    value: str
    meaning: str = ""
    group: str = ""
    place: int = 0


@dataclass
class ExplainedFrame:
    """One frame; its spans lie side by side from its first byte to its last.

    ``sender`` is "world" or "realm", "" where it is neither's or both's; ``guessed`` whether it
    was found out by what fits. ``fault`` says at which byte what is broken, so that a link would
    be closed; ``invalid`` why a well-formed packet is refused; ``note`` what else is strange.
    ``batches`` are the batches that came as columns, each with the offset behind it.
    """

    offset: int
    name: str
    sender: str = ""
    guessed: bool = False
    spans: list[Span] = field(default_factory=list)
    fault: str = ""
    invalid: str = ""
    note: str = ""
    batches: list[tuple[int, Batch]] = field(default_factory=list)
    likely: int = 0
    """Bytes before the first that makes it doubtful that this is the packet."""

    @property
    def size(self) -> int:
        """Bytes, as far as they are there."""
        return sum(len(span.data) for span in self.spans)


def explain(data: bytes, dialect: int | None = None, sender: str = "") -> list[ExplainedFrame]:
    """Every frame of ``data``, the last of which may be cut off.

    ``dialect`` says how records of protocol 3 lie (None: by their length), ``sender`` who wrote
    those frames whose opcode means another packet in each direction, "world" or "realm" ("": what
    fits). Never raises for what the bytes are.
    """
    spoken = None if dialect is None else DIALECTS[dialect]
    frames, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + FRAME_HEADER_SIZE], "little")
        end = at + FRAME_HEADER_SIZE + length
        # Where a length is no length, nothing behind it is where a frame begins.
        piece = data[at:end] if length <= MAX_BODY_SIZE else data[at:]
        frames.append(_explained(piece, at, spoken, sender))
        at += len(piece)
    return frames


def _explained(data: bytes, base: int, dialect: Dialect | None, sender: str) -> ExplainedFrame:
    senders = [one for code, one in PACKETS if code == data[0]]
    if is_anyones(data[0]):
        frame = _read(data, base, dialect, senders[0])
        frame.sender = sender
        return frame
    if sender in senders:
        senders = [sender]
    best: ExplainedFrame | None = None
    for one in senders or [""]:
        frame = _read(data, base, dialect, one)
        frame.guessed = len(senders) > 1
        if not frame.fault and not frame.invalid:
            return frame
        if best is None or _likelihood(frame) > _likelihood(best):
            best = frame
    assert best is not None
    return best


def _likelihood(frame: ExplainedFrame) -> tuple[bool, int]:
    return not frame.fault, frame.likely


def _read(data: bytes, base: int, dialect: Dialect | None, sender: str) -> ExplainedFrame:
    """One frame as a packet of that sender; "": as one that nobody knows."""
    opcode = data[0]
    packet = PACKETS.get((opcode, sender))
    name = packet.name if packet else "unknown packet"
    frame = ExplainedFrame(base, name, sender)
    walk = _Walk(data, base, dialect, frame)
    try:
        walk.number(Number("opcode", "u8", lambda _: f"0x{opcode:02X} {name}"))
        length = walk.number(Number("body length", "u32", limit=MAX_BODY_SIZE))
        if packet is None:
            raise _BrokenError(f"opcode 0x{opcode:02X} at byte {base} is not defined")
        walk.parts(packet.parts)
        if len(data) < FRAME_HEADER_SIZE + length:
            raise _BrokenError(f"{name} ends at byte {base + walk.at}, its body should be longer")
        if walk.left:
            raise _BrokenError(
                f"{name} ends at byte {base + walk.at}, but {walk.left} more bytes follow"
            )
        decode = packet.decode
        if opcode == Opcode.SAVE_INVENTORY_ITEMS:
            decode = partial(codec.decode_save_inventory_items, layout=walk.layout.name)
        decode(data[FRAME_HEADER_SIZE:])
    except _BrokenError as error:
        frame.fault = _cut(data, base) + str(error) + walk.hint
    except FramingError as error:
        frame.fault = _moved(error, base + FRAME_HEADER_SIZE)
    except ContentError as error:
        frame.invalid = str(error)
    frame.likely = walk.at if walk.doubt is None else walk.doubt
    if walk.left:
        walk.take(walk.left, "not understood" if packet else "body", "bytes")
    if dialect is not None and packet and not is_spoken(dialect, opcode, sender):
        does = "closes the link" if dialect.protocol == 4 else "skips it"
        frame.note = (
            f"{name} 0x{opcode:02X} is no packet of dialect {dialect.number}: a peer {does}"
        )
    return frame


def _cut(data: bytes, base: int) -> str:
    """What to say first where bytes of the frame are missing."""
    if len(data) < FRAME_HEADER_SIZE:
        return ""
    end = FRAME_HEADER_SIZE + int.from_bytes(data[1:FRAME_HEADER_SIZE], "little")
    if not len(data) < end <= FRAME_HEADER_SIZE + MAX_BODY_SIZE:
        return ""
    missing = end - len(data)
    return f"cut off at byte {base + len(data)}, {missing} bytes before the end of the frame; "


def _moved(error: FramingError, base: int) -> str:
    """What a decoder said, its bytes counted from the first of all instead of from its own."""
    text = re.sub(r"\bbyte (\d+)", lambda found: f"byte {int(found[1]) + base}", str(error))
    return text if "byte " in text else f"{text} (at byte {(error.offset or 0) + base})"


class _BrokenError(Exception):
    """The rest of a frame means nothing."""


class _Walk:
    """Goes through one frame and notes every span. ``base`` is where the frame begins."""

    def __init__(
        self, data: bytes, base: int, dialect: Dialect | None, frame: ExplainedFrame
    ) -> None:
        self.data, self.base, self.frame = data, base, frame
        self.at = 0
        self.is_guessed = dialect is None or dialect.layout is None
        self.layout = WIRE_LAYOUTS[(dialect and dialect.layout) or "packed"]
        self.hint = ""
        self.doubt: int | None = None
        self.groups: list[str] = []
        self.places: list[int] = [0]

    @property
    def left(self) -> int:
        """Bytes that are not noted yet."""
        return len(self.data) - self.at

    def take(self, size: int, name: str, type: str, value: str = "", meaning: str = "") -> bytes:
        """Note the next bytes as one span."""
        if size > self.left:
            raise _BrokenError(
                f"{name} at byte {self.base + self.at} needs {size} bytes, "
                f"only {self.left} are left"
            )
        data = self.data[self.at : self.at + size]
        self.frame.spans.append(
            Span(
                self.base + self.at,
                data,
                name,
                type,
                value,
                meaning,
                ", ".join(self.groups),
                max(self.places),
            )
        )
        self.at += size
        return data

    def say(self, value: str, meaning: str = "") -> None:
        """What the last span turned out to mean."""
        self.frame.spans[-1] = self.frame.spans[-1]._replace(value=value, meaning=meaning)

    def number(self, part: Number) -> int:
        """Note a number; one over its limit is broken."""
        start = self.base + self.at
        data = self.take(SIZES[part.type], part.name, part.type)
        number = int.from_bytes(data, "little", signed=part.type[0] == "i")
        self.say(str(number), part.meaning(number) if part.meaning else "")
        if part.limit is not None and number > part.limit:
            self.doubt = start - self.base
            raise _BrokenError(
                f"{part.name} {number} at byte {start} is over the limit of {part.limit}"
            )
        return number

    def parts(self, parts: Iterable[Part]) -> None:
        """Note one part after the other."""
        numbers: dict[str, int] = {}
        for part in parts:
            match part:
                case Number():
                    numbers[part.name] = self.number(part)
                case Each():
                    self._each(numbers[part.counted_by], part)
                case Text() | Blob():
                    self._sized(part)
                case Items():
                    self._items()
                case Records():
                    self._records(self.number(Number("records", "u16", limit=MAX_BATCH_ITEMS)))

    def _each(self, count: int, part: Each) -> None:
        least = sum(SIZES[one.type] for one in part.parts if isinstance(one, Number))
        if count * least > self.left and self.doubt is None:
            self.doubt = self.at
        for place in range(count):
            self.places.append(place)
            if len(part.parts) == 1:
                self.number(part.parts[0]._replace(name=f"{part.name} {place}"))
            else:
                self.groups.append(f"{part.name} {place}")
                self.parts(part.parts)
                self.groups.pop()
            self.places.pop()

    def _sized(self, part: Text | Blob) -> None:
        size = self.number(Number(f"{part.name} length", part.length))
        start = self.base + self.at
        data = self.take(size, part.name, "utf-8" if isinstance(part, Text) else "bytes")
        if isinstance(part, Text):
            try:
                self.say(repr(data.decode()))
            except UnicodeDecodeError as error:
                raise _BrokenError(
                    f"{part.name} is not UTF-8 from byte {start + error.start} on"
                ) from None

    def _records(self, count: int) -> None:
        """Records of protocol 3, to the end of the frame."""
        needed = {one.itemsize * count: one for one in WIRE_LAYOUTS.values()}
        fitting = needed.get(self.left)
        if self.is_guessed and fitting:
            self.layout = fitting
            if count:
                self.say(str(count), f"layout {fitting.name}, by the length")
        elif self.left != self.layout.itemsize * count:
            self.hint = f" (records are read as {self.layout.name}"
            dialects = [str(one.number) for one in DIALECTS if one.layout == (fitting or WIDE).name]
            if fitting:
                self.hint += f"; the length is that of {fitting.name}, --dialect {dialects[0]}"
            elif self.is_guessed:
                self.hint += "; the length is that of no layout"
            self.hint += ")"
        for place in range(count):
            self._record(place, self.layout)

    def _record(self, place: int, layout: Layout) -> None:
        start = self.at
        self.groups.append(f"record {place}")
        self.places.append(place)
        pieces = [(one.offset, one.size, one.name) for one in layout.fields]
        pieces += [(offset, size, "") for offset, size in layout.padding]
        for offset, size, name in sorted(pieces):
            assert self.at == start + offset
            if name:
                self.number(Number(name, f"u{8 * size}", RECORD_MEANINGS.get(name)))
            elif any(self.take(size, "padding", "bytes")):
                self.say("", "not zero, and ignored")
        self.groups.pop()
        self.places.pop()

    # Batches of protocol 4

    def _items(self) -> None:
        start = self.at
        count = self.number(Number("records", "u16", limit=MAX_BATCH_ITEMS))
        encoding = self.number(Number("encoding", "u8", one_of(*BATCH_ENCODINGS)))
        if encoding == 0:
            for place in range(count):
                self._record(place, WIDE)
            return
        items, refusal = None, None
        try:
            items, _ = codec.decode_batch(self.data, start)
        except FramingError as error:
            refusal = error
        for one in WIDE.fields if encoding == 1 else ():
            self.groups.append(f"column {one.name}")
            self._column(one, count)
            self.groups.pop()
            # What the decoder cannot take is shown all the same, and then said.
            if refusal is not None and (refusal.offset or 0) < self.at:
                break
        if refusal is not None:
            raise _BrokenError(_moved(refusal, self.base))
        assert items is not None
        self.frame.batches.append((self.base + self.at, items))

    def _column(self, one: Field, count: int) -> None:
        (head,) = self.take(1, "kind and width", "u8")
        kind, width = head >> 4, head & 15
        is_known = kind < len(COLUMN_KINDS)
        self.say(f"kind {kind}, width {width}", COLUMN_KINDS[kind] if is_known else "not defined")
        if not (is_known and 1 <= width <= 8 and count):
            return
        meaning = RECORD_MEANINGS.get(one.name)
        if kind == 1:
            value = int.from_bytes(self.take(width, "value", f"u{8 * width}"), "little")
            self.say(str(value), meaning(value) if meaning else "")
        elif kind == 2:
            self._numbers("values", count, width)
        elif kind == 3:
            self.number(Number("base", "u64", meaning))
            self._numbers("offsets", count, width)
        elif kind == 4:
            self._numbers("dictionary", self.number(Number("dictionary size", "u8")), width)
            self._numbers("indices", count, 1)

    def _numbers(self, name: str, count: int, width: int) -> None:
        data = self.take(count * width, name, f"u{8 * width}[]")
        starts = range(0, len(data), width)
        self.say(", ".join(str(int.from_bytes(data[i : i + width], "little")) for i in starts))
