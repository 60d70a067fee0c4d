"""The codec in plain Python: the executable specification of `mmoinv._codec`.

Same functions, same results, same errors; written to be read, not to be quick. Arrays in,
bytes out; bytes in, arrays out. Every array that comes out owns its memory. Knows packets
that carry items and their answers; the links' control packets are in `mmoinv.wire`.

A *batch* argument may be of either dtype and comes out as `INVENTORY_ITEM`. Wrong arguments
raise `RecordError`, a batch that breaks a rule `BatchError`, a value too large for a layout
`NarrowingError`; broken framing `FramingError`, bad content `ContentError`.
"""

import operator
import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv import _codec_errors as errors
from mmoinv.commits import (
    CURRENCY,
    FRAME,
    OPERATION,
    PARTICIPANT,
    CommitFlags,
    Commits,
    OperationKind,
    ParticipantChanges,
    message_bytes,
)
from mmoinv.errors import FramingError, NarrowingError
from mmoinv.records import (
    DIFFERENCE,
    FRAME_HEADER_SIZE,
    INVENTORY_ITEM,
    ITEM_DATA,
    MAX_BATCH_ITEMS,
    MAX_BODY_SIZE,
    MAX_CHUNK_ITEMS,
    MAX_PACKET_ITEMS,
    MAX_PARTICIPANTS,
    SLOT,
    U8_MAX,
    U16_MAX,
    U32_MAX,
    U64_MAX,
    WIDE,
    WIRE_LAYOUTS,
    Batch,
    DifferenceKind,
    Fault,
    Layout,
    is_buyback,
)

Slots = npt.NDArray[np.uint16]
Structured = npt.NDArray[np.void]

SAVE, DELETE, RESULT, RESULT_2026, COMMIT = 0x0E, 0x0F, 0x0A, 0x0B, 0x80
COLUMNS_FROM_BYTES = 1000
"""A batch whose records take more bytes than this is sent as columns."""
FLAG_BITS = CommitFlags.REPLACE | CommitFlags.CONSERVE | CommitFlags.REPEATED

_DTYPES = {name: layout.dtype for name, layout in WIRE_LAYOUTS.items()}


# Arguments


def _batch(items: Any) -> Batch:
    if (
        not isinstance(items, np.ndarray)
        or items.dtype not in (INVENTORY_ITEM, ITEM_DATA)
        or items.ndim != 1
        or not items.flags.c_contiguous
    ):
        raise errors.not_a_batch(items)
    return items


def _array(name: str, array: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != dtype
        or array.ndim != 1
        or not array.flags.c_contiguous
    ):
        raise errors.not_an_array(name, array, dtype)
    return array


def _number(name: str, value: Any, limit: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise errors.number_outside(name, value, limit) from None
    if not 0 <= number <= limit:
        raise errors.number_outside(name, value, limit)
    return int(number)


def _signed(name: str, value: Any) -> int:
    limit = U64_MAX >> 1
    try:
        number = operator.index(value)
    except TypeError:
        raise errors.signed_outside(name, value, limit) from None
    if not -limit - 1 <= number <= limit:
        raise errors.signed_outside(name, value, limit)
    return int(number)


def _result_opcode(opcode: Any) -> int:
    if opcode not in (RESULT, RESULT_2026):
        raise errors.unknown_opcode(opcode)
    return int(opcode)


def _bytes(buffer: Any) -> memoryview:
    """A copy of the buffer, so that nothing here, tracebacks included, holds on to it."""
    try:
        with memoryview(buffer) as view:
            if view.c_contiguous:
                return memoryview(view.tobytes())
    except (TypeError, ValueError, BufferError):
        pass
    raise errors.not_a_buffer(buffer)


class _Output:
    """Where frames go: a caller's buffer from an offset on, or bytes that grow."""

    def __init__(self, out: Any, offset: Any) -> None:
        self.given = out is not None
        self.memory: bytearray | memoryview = bytearray()
        if self.given:
            try:
                view = memoryview(out)
            except TypeError:
                raise errors.not_writable(out) from None
            if view.readonly or not view.c_contiguous:
                raise errors.not_writable(out)
            self.memory = view.cast("B") if view.nbytes else bytearray()
        self.at = _number("offset", offset, len(self.memory))

    def add(self, frame: bytes) -> None:
        if not self.given:
            assert isinstance(self.memory, bytearray)
            self.memory += frame
            return
        if len(frame) > len(self.memory) - self.at:
            raise errors.no_room(len(self.memory) - self.at, len(frame))
        self.memory[self.at : self.at + len(frame)] = frame
        self.at += len(frame)

    def overlaps(self, array: npt.NDArray[Any]) -> bool:
        return self.given and np.may_share_memory(np.frombuffer(self.memory, np.uint8), array)

    def result(self) -> Any:
        return self.at if self.given else bytes(self.memory)


def _layout(name: Any) -> Layout:
    if not isinstance(name, str) or name not in WIRE_LAYOUTS:
        raise errors.unknown_layout(name)
    return WIRE_LAYOUTS[name]


def _at_most(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise errors.too_many(what, count, limit)


# Records


def widen(items: Batch) -> Batch:
    """Any batch as a new `INVENTORY_ITEM` batch; item_flags and item_guid become 0."""
    source = _batch(items)
    wide = np.zeros(len(source), INVENTORY_ITEM)
    for name in source.dtype.names or ():
        wide[name] = source[name]
    return wide


def narrow(items: Batch, layout: str = "packed") -> Structured:
    """A batch in the given wire layout (``"packed"`` gives `ITEM_DATA`), every value checked.

    Padding is zero. Fields that the layout does not have are left out. `NarrowingError`
    names the first record, and in it the first field, that does not fit.
    """
    target = _layout(layout)
    wide = widen(items)
    for record in wide:
        for field in target.fields:
            if (value := int(record[field.name])) > field.limit:
                raise NarrowingError(
                    int(record["slot"]), field.name, value, field.limit, target.name
                )
    narrowed: Structured = np.zeros(
        len(wide), ITEM_DATA if layout == "packed" else _DTYPES[target.name]
    )
    for field in target.fields:
        narrowed[field.name] = wide[field.name]
    return narrowed


def _batch_fault(items: Batch, named: bool) -> tuple[int, int]:
    for record in items:
        slot = int(record["slot"])
        if record["entry"] == 0:
            return Fault.ENTRY_ZERO, slot
        if record["stack_count"] == 0:
            return Fault.STACK_COUNT_ZERO, slot
        if named and record["item_guid"] == 0:
            return Fault.ITEM_GUID_ZERO, slot
        if is_buyback(slot):
            return Fault.BUYBACK_SLOT, slot
    return _repeated_slot(items["slot"])


def _repeated_slot(slots: Slots) -> tuple[int, int]:
    seen = set()
    for slot in slots.tolist():
        if slot in seen:
            return Fault.SLOT_TWICE, slot
        seen.add(slot)
    return Fault.NONE, 0


def _deletes_fault(deletes: Slots, items: Batch) -> tuple[int, int]:
    for slot in deletes.tolist():
        if is_buyback(slot):
            return Fault.BUYBACK_SLOT, slot
    fault, slot = _repeated_slot(deletes)
    if fault:
        return fault, slot
    saved = set(items["slot"].tolist())
    for slot in deletes.tolist():
        if slot in saved:
            return Fault.SAVED_AND_DELETED, slot
    return Fault.NONE, 0


def validate_batch(items: Batch, named: bool = False) -> None:
    """Raise `BatchError` unless the batch is valid.

    Checked record by record: entry >= 1, stack_count >= 1, with ``named`` item_guid >= 1, no
    buyback slot; then that no slot occurs twice.
    """
    fault, slot = _batch_fault(widen(items), named)
    if fault:
        raise errors.bad_batch(fault, slot)


def sort_by_slot(items: Batch) -> Batch:
    """A new `INVENTORY_ITEM` batch in ascending slot order; a slot twice raises `BatchError`."""
    wide = widen(items)
    fault, slot = _repeated_slot(np.sort(wide["slot"]))
    if fault:
        raise errors.bad_batch(fault, slot)
    return wide[np.argsort(wide["slot"], kind="stable")]


def diff(before: Batch, after: Batch) -> tuple[Batch, Slots]:
    """What turns ``before`` into ``after``: (records new or changed, slots that are gone).

    Both in slot order, whatever the order of the input; a slot twice raises `BatchError`.
    """
    old = {int(record["slot"]): record.tobytes() for record in sort_by_slot(before)}
    new = {int(record["slot"]): record.tobytes() for record in sort_by_slot(after)}
    saves = b"".join(record for slot, record in new.items() if old.get(slot) != record)
    deletes = [slot for slot in old if slot not in new]
    return np.frombuffer(saves, INVENTORY_ITEM).copy(), np.array(deletes, SLOT)


def apply_changes(before: Batch, saves: Batch, deletes: Slots) -> Batch:
    """The inverse of `diff`: ``before`` without ``deletes`` and with ``saves``, in slot order.

    A slot twice in ``before`` or in ``saves`` raises `BatchError`; a delete of an empty slot
    does nothing; a slot both deleted and saved is saved.
    """
    records = {int(record["slot"]): record.tobytes() for record in sort_by_slot(before)}
    for slot in _array("deletes", deletes, SLOT).tolist():
        records.pop(slot, None)
    records.update((int(record["slot"]), record.tobytes()) for record in sort_by_slot(saves))
    joined = b"".join(records[slot] for slot in sorted(records))
    return np.frombuffer(joined, INVENTORY_ITEM).copy()


def compare_items(expected: Batch, found: Batch) -> Structured:
    """In what two inventories differ: a `DIFFERENCE` array, in the order of slots and fields.

    One row for an item that is missing or extra, one for each field that differs where both have
    something in a slot. Batches in any order; a slot twice raises `BatchError`.
    """
    wanted = {int(record["slot"]): record for record in sort_by_slot(expected)}
    there = {int(record["slot"]): record for record in sort_by_slot(found)}
    rows = []
    for slot in sorted(wanted.keys() | there.keys()):
        if slot not in there:
            rows.append((slot, DifferenceKind.MISSING, 0, wanted[slot]["entry"], 0))
        elif slot not in wanted:
            rows.append((slot, DifferenceKind.EXTRA, 0, 0, there[slot]["entry"]))
        else:
            for place, field in enumerate(WIDE.fields):
                values = wanted[slot][field.name], there[slot][field.name]
                if values[0] != values[1]:
                    rows.append((slot, DifferenceKind.FIELD, place, *values))
    return np.array(rows, DIFFERENCE)


# Looking up


def _column(name: str, array: Any) -> list[int]:
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 1
        or array.dtype not in (np.dtype(np.uint64), np.dtype(np.int64))
    ):
        raise errors.unfit_array(name, errors.COLUMN, array)
    numbers: list[int] = array.astype(np.uint64).tolist()
    return numbers


def find_keys(keys: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each wanted key its index among ``keys``, the first one if it is there more than once;
    -1 where it is not there. An i64 array of the length of ``wanted``.

    Both are one-dimensional arrays of u64 or i64, which are the same 64 bits here; they need be
    neither in order nor contiguous.
    """
    places: dict[int, int] = {}
    for index, key in enumerate(_column("keys", keys)):
        places.setdefault(key, index)
    return np.array([places.get(key, -1) for key in _column("wanted", wanted)], np.int64)


def find_records(
    slots: npt.NDArray[np.int32],
    words: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int64],
    wanted: Slots,
    width: int,
) -> tuple[npt.NDArray[np.int64], Batch]:
    """For each pair of ``rows`` and ``wanted`` slots the first column of that row of ``slots`` in
    which the slot stands, -1 where it is in none of the first ``width``: an i64 array. And an
    `INVENTORY_ITEM` batch of what is in ``words`` at those places, where there is one.

    ``slots`` is a C-contiguous array of i32, shape (rows, columns), ``words`` of u64, shape (rows,
    columns, 6): a record each. ``rows`` i64, each one of the table's (`RecordError` if not);
    ``wanted`` u16, contiguous or not, as many as ``rows``.
    """
    if not _is_table(slots, np.int32, 2):
        raise errors.unfit_array("slots", errors.SLOT_TABLE, slots)
    if not _is_table(words, np.uint64, 3) or words.shape != (*slots.shape, 6):
        raise errors.unfit_array("words", errors.RECORD_TABLE, words)
    _array("rows", rows, np.dtype(np.int64))
    if not isinstance(wanted, np.ndarray) or wanted.ndim != 1 or wanted.dtype != SLOT:
        raise errors.unfit_array("wanted", errors.SLOT_COLUMN, wanted)
    if len(wanted) != len(rows):
        raise errors.wrong_length("wanted", len(wanted), len(rows))
    wide = _number("width", width, slots.shape[1])
    for row in rows.tolist():
        if not 0 <= row < len(slots):
            raise errors.no_such_row(row, len(slots))
    places, records = [], []
    for row, slot in zip(rows.tolist(), wanted.tolist(), strict=True):
        line = slots[row, :wide].tolist()
        places.append(line.index(slot) if slot in line else -1)
        if slot in line:
            records.append(words[row, places[-1]].tobytes())
    found = np.frombuffer(b"".join(records), INVENTORY_ITEM).copy()
    return np.array(places, np.int64), found


def _is_table(value: Any, dtype: type[np.generic], dimensions: int) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.ndim == dimensions
        and value.dtype == dtype
        and value.flags.c_contiguous
    )


# The ledger

CHANGES_FORMAT = 1
BEFORE, AFTER = 1, 2
_VALUES = [field for field in WIDE.fields if field.name != "slot"]


def pack_changes(before: Batch, after: Batch, counts: npt.NDArray[np.uint64]) -> list[bytes]:
    """Changes of slots as the ledger keeps them: one bytes object for each of ``counts`` (u64),
    which packs so many of the pairs ``before[i]``, ``after[i]``.

    Both are `INVENTORY_ITEM`; where nothing was, or is, the record has entry 0. A pair is of one
    slot. Format: u8 1; then for each pair u16 slot, u8 what there is (1 before, 2 after), and for
    either of these a u16 mask of fields and their values, in the order of the record without the
    slot: of before those that are not 0, of after those that differ from before.
    """
    _array("before", before, INVENTORY_ITEM)
    _array("after", after, INVENTORY_ITEM)
    _array("counts", counts, np.dtype(np.uint64))
    if not len(before) == len(after) == sum(counts.tolist()):
        raise errors.changes_apart()
    rows, at = [], 0
    for count in counts.tolist():
        row = bytearray([CHANGES_FORMAT])
        for old, new in zip(before[at : at + count], after[at : at + count], strict=True):
            row += _packed_change(old, new)
        at += count
        rows.append(bytes(row))
    return rows


def _packed_change(old: np.void, new: np.void) -> bytes:
    what = BEFORE * bool(old["entry"]) | AFTER * bool(new["entry"])
    slot = int((new if what & AFTER else old)["slot"])
    if not what or (what == BEFORE | AFTER and int(old["slot"]) != slot):
        raise errors.no_change()
    packed = struct.pack("<HB", slot, what)
    known = {field.name: 0 for field in _VALUES}
    for bit, record in ((BEFORE, old), (AFTER, new)):
        if not what & bit:
            continue
        mask, values = 0, b""
        for place, field in enumerate(_VALUES):
            value = int(record[field.name])
            if value != known[field.name]:
                mask |= 1 << place
                values += value.to_bytes(field.size, "little")
                known[field.name] = value
        packed += struct.pack("<H", mask) + values
    return packed


def unpack_changes(packed: Any) -> tuple[Batch, Batch]:
    """The inverse of `pack_changes` for one row: (before, after). `FramingError`
    if it is none."""
    reader = _Reader(_bytes(packed))
    (form,) = reader.unpack("<B", "format of the changes")
    if form != CHANGES_FORMAT:
        raise errors.changes_format(form)
    pairs = []
    while reader.offset < reader.end:
        slot, what = reader.unpack("<HB", "slot of a change")
        if what not in (BEFORE, AFTER, BEFORE | AFTER):
            raise errors.changes_what(what)
        known = {field.name: 0 for field in WIDE.fields}
        pair = np.zeros(2, INVENTORY_ITEM)
        for place, bit in enumerate((BEFORE, AFTER)):
            if not what & bit:
                continue
            (mask,) = reader.unpack("<H", "mask of a change")
            if mask >> len(_VALUES):
                raise errors.changes_mask(mask)
            for number, field in enumerate(_VALUES):
                if mask >> number & 1:
                    value = reader.take(field.size, "value of a change")
                    known[field.name] = int.from_bytes(value, "little")
            known["slot"] = slot
            pair[place] = tuple(known[field.name] for field in WIDE.fields)
            if not known["entry"]:
                raise errors.changes_mask(mask)
        pairs.append(pair)
    joined = np.concatenate(pairs) if pairs else np.empty(0, INVENTORY_ITEM)
    return joined[0::2].copy(), joined[1::2].copy()


# Reading and writing bytes


class _Reader:
    """A cursor over a body that never reads beyond it."""

    def __init__(self, view: memoryview, offset: int = 0, end: int | None = None) -> None:
        self.view = view
        self.offset = offset
        self.end = len(view) if end is None else end

    def take(self, size: int, what: str) -> bytes:
        if size > self.end - self.offset:
            raise errors.truncated(what, self.offset, size, self.end - self.offset)
        self.offset += size
        return bytes(self.view[self.offset - size : self.offset])

    def unpack(self, form: str, what: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form), what))

    def array(self, dtype: np.dtype[Any], count: int, what: str) -> npt.NDArray[Any]:
        return np.frombuffer(self.take(count * dtype.itemsize, what), dtype).copy()

    def limited(self, form: str, what: str, limit: int) -> int:
        start = self.offset
        (count,) = self.unpack(form, what)
        if count > limit:
            raise errors.over_limit(what, start, count, limit)
        return int(count)

    def finish(self, packet: str) -> None:
        if self.offset != self.end:
            raise errors.trailing(packet, self.offset, self.end - self.offset)


def _frame(opcode: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    _at_most("bytes", len(body), MAX_BODY_SIZE)
    return struct.pack("<BI", opcode, len(body)) + body


def split_frames(buffer: Any, max_body_size: int = MAX_BODY_SIZE) -> tuple[Structured, int]:
    """The complete frames of a buffer: (`FRAME` array, bytes consumed).

    Ends before the first incomplete frame, and before one whose body is larger than
    ``max_body_size`` bytes; if that one is the first, it raises `FramingError`.
    """
    view = _bytes(buffer)
    frames: list[tuple[int, int, int]] = []
    offset = 0
    # Offsets are u32: what lies beyond is left for the next call.
    size = min(len(view), U32_MAX)
    while size - offset >= FRAME_HEADER_SIZE:
        opcode, length = struct.unpack_from("<BI", view, offset)
        if length > max_body_size:
            if not frames:
                raise errors.over_limit("body length", offset + 1, length, max_body_size)
            break
        if length > size - offset - FRAME_HEADER_SIZE:
            break
        frames.append((opcode, offset + FRAME_HEADER_SIZE, length))
        offset += FRAME_HEADER_SIZE + length
    return np.array(frames, FRAME), offset


# Batches of protocol 4


def encode_batch(items: Batch, encoding: int | None = None) -> bytes:
    """A batch as protocol 4 writes it: u16 count, u8 encoding, records (0) or columns (1).

    Without ``encoding`` the sender's rule decides: columns when the records would take more
    than 1,000 bytes. The content is not judged.
    """
    wide = widen(items)
    _at_most("records", len(wide), MAX_BATCH_ITEMS)
    if encoding is None:
        encoding = int(wide.nbytes > COLUMNS_FROM_BYTES)
    if encoding not in (0, 1):
        raise errors.unknown_encoding(encoding)
    encoding = int(encoding)
    data = (
        wide.tobytes()
        if encoding == 0
        else b"".join(_encode_column(wide[field.name].astype("<u8")) for field in WIDE.fields)
    )
    return struct.pack("<HB", len(wide), encoding) + data


def _width(value: int) -> int:
    return max(1, (value.bit_length() + 7) // 8)


def _plain(values: Sequence[int], width: int) -> bytes:
    return b"".join(value.to_bytes(width, "little") for value in values)


def _encode_column(column: npt.NDArray[np.uint64]) -> bytes:
    values = column.tolist()
    if not any(values):
        return b"\x00"
    low, high = min(values), max(values)
    width, spread = _width(high), _width(high - low)
    distinct = list(dict.fromkeys(values))
    candidates = [bytes([2 << 4 | width]) + _plain(values, width)]
    if low == high:
        candidates.insert(0, bytes([1 << 4 | width]) + _plain([low], width))
    candidates.append(
        bytes([3 << 4 | spread])
        + low.to_bytes(8, "little")
        + _plain([value - low for value in values], spread)
    )
    if len(distinct) <= U8_MAX:
        index = {value: place for place, value in enumerate(distinct)}
        candidates.append(
            bytes([4 << 4 | width, len(distinct)])
            + _plain(distinct, width)
            + bytes(index[value] for value in values)
        )
    # min() keeps the first of equals: the lowest kind.
    return min(candidates, key=len)


def decode_batch(buffer: Any, offset: int = 0) -> tuple[Batch, int]:
    """The batch that begins at ``offset``: (`INVENTORY_ITEM` batch, offset behind it).

    Every width, index and value is checked before anything is expanded; `FramingError` says
    what is wrong and where. The content is not judged.
    """
    view = _bytes(buffer)
    reader = _Reader(view, _number("offset", offset, len(view)))
    items = _read_batch(reader)
    return items, reader.offset


def _read_batch(reader: _Reader) -> Batch:
    count = reader.limited("<H", "record count", MAX_BATCH_ITEMS)
    (encoding,) = reader.unpack("<B", "batch encoding")
    if encoding == 0:
        return reader.array(INVENTORY_ITEM, count, "records")
    if encoding != 1:
        raise errors.bad_encoding(reader.offset - 1, encoding)
    columns = [_read_column(reader, count, field.name, field.limit) for field in WIDE.fields]
    items = np.zeros(count, INVENTORY_ITEM)
    for field, values in zip(WIDE.fields, columns, strict=True):
        items[field.name] = values
    return items


def _read_column(reader: _Reader, count: int, name: str, limit: int) -> npt.NDArray[np.uint64]:
    start = reader.offset
    what = f"column {name}"
    (form,) = reader.unpack("<B", what)
    kind, width = form >> 4, form & 15
    if kind > 4:
        raise errors.bad_column(name, start, f"kind {kind} is not defined")
    if kind == 0:
        if width != 0:
            raise errors.bad_column(name, start, f"width {width} where kind 0 has 0")
        return np.zeros(count, np.uint64)
    if count == 0:
        raise errors.bad_column(name, start, f"kind {kind} in a batch of no records")
    if not 1 <= width <= 8:
        raise errors.bad_column(name, start, f"width {width} is outside 1..8")
    if kind == 1:
        values = [int.from_bytes(reader.take(width, what), "little")] * count
    elif kind == 2:
        values = _read_plain(reader, count, width, what)
    elif kind == 3:
        base = int.from_bytes(reader.take(8, what), "little")
        values = [base + value for value in _read_plain(reader, count, width, what)]
    else:
        (size,) = reader.unpack("<B", what)
        if size == 0:
            raise errors.bad_column(name, start, "the dictionary is empty")
        dictionary = _read_plain(reader, size, width, what)
        indices = reader.take(count, what)
        if max(indices) >= size:
            raise errors.bad_column(name, start, f"an index is outside 0..{size - 1}")
        if max(dictionary) > limit:
            raise errors.bad_column(name, start, f"a value is over {limit}")
        values = [dictionary[index] for index in indices]
    if max(values) > limit:
        raise errors.bad_column(name, start, f"a value is over {limit}")
    return np.array(values, np.uint64)


def _read_plain(reader: _Reader, count: int, width: int, what: str) -> list[int]:
    data = reader.take(count * width, what)
    return [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]


# Protocol 3


def encode_save_inventory_items(
    character_guid: int, operation_id: int, items: Batch, layout: str = "packed"
) -> bytes:
    """SaveInventoryItems 0x0E as a whole frame; guid u64, operation id u32, a valid batch."""
    guid = _number("character_guid", character_guid, U64_MAX)
    operation = _number("operation_id", operation_id, U32_MAX)
    _layout(layout)
    validate_batch(items)
    _at_most("records", len(items), MAX_BATCH_ITEMS)
    return _frame(
        SAVE, struct.pack("<QIH", guid, operation, len(items)), narrow(items, layout).tobytes()
    )


def decode_save_inventory_items(body: Any, layout: str = "packed") -> tuple[int, int, Batch]:
    """The body of SaveInventoryItems: (character guid, operation id, `INVENTORY_ITEM` batch)."""
    wire = _layout(layout)
    guid, operation_id, items = _read_save(_Reader(_bytes(body)), wire)
    fault, slot = _batch_fault(items, named=False)
    if fault:
        raise errors.bad_content("SaveInventoryItems", operation_id, [guid], fault, slot)
    return guid, operation_id, items


def _read_save(reader: _Reader, layout: Layout) -> tuple[int, int, Batch]:
    guid, operation_id = reader.unpack("<QI", "SaveInventoryItems")
    count = reader.limited("<H", "record count", MAX_BATCH_ITEMS)
    records = reader.array(_DTYPES[layout.name], count, "records")
    reader.finish("SaveInventoryItems")
    items = np.zeros(count, INVENTORY_ITEM)
    for field in layout.fields:
        items[field.name] = records[field.name]
    return guid, operation_id, items


def encode_delete_inventory_items(character_guid: int, operation_id: int, slots: Slots) -> bytes:
    """DeleteInventoryItems 0x0F as a whole frame; ``slots`` is a uint16 array, no slot twice."""
    guid = _number("character_guid", character_guid, U64_MAX)
    operation = _number("operation_id", operation_id, U32_MAX)
    _array("slots", slots, SLOT)
    _at_most("slots", len(slots), MAX_BATCH_ITEMS)
    fault, slot = _deletes_fault(slots, np.empty(0, INVENTORY_ITEM))
    if fault:
        raise errors.bad_batch(fault, slot)
    return _frame(DELETE, struct.pack("<QIH", guid, operation, len(slots)), slots.tobytes())


def decode_delete_inventory_items(body: Any) -> tuple[int, int, Slots]:
    """The body of DeleteInventoryItems: (character guid, operation id, uint16 slots)."""
    guid, operation_id, slots = _read_delete(_Reader(_bytes(body)))
    fault, slot = _deletes_fault(slots, np.empty(0, INVENTORY_ITEM))
    if fault:
        raise errors.bad_content("DeleteInventoryItems", operation_id, [guid], fault, slot)
    return guid, operation_id, slots


def _read_delete(reader: _Reader) -> tuple[int, int, Slots]:
    guid, operation_id = reader.unpack("<QI", "DeleteInventoryItems")
    count = reader.limited("<H", "slot count", MAX_BATCH_ITEMS)
    slots = reader.array(SLOT, count, "slots")
    reader.finish("DeleteInventoryItems")
    return guid, operation_id, slots


def encode_inventory_operation_result(
    character_guid: int, operation_id: int, operation_type: int, success: int, opcode: int = RESULT
) -> bytes:
    """InventoryOperationResult as a whole frame; type 0 save, 1 delete; opcode 0x0A or 0x0B."""
    guid = _number("character_guid", character_guid, U64_MAX)
    operation = _number("operation_id", operation_id, U32_MAX)
    kind = _number("operation_type", operation_type, 1)
    succeeded = _number("success", success, 1)
    return _frame(_result_opcode(opcode), struct.pack("<QIBB", guid, operation, kind, succeeded))


def decode_inventory_operation_result(body: Any) -> tuple[int, int, int, int]:
    """The body of InventoryOperationResult: (character guid, operation id, type, success)."""
    reader = _Reader(_bytes(body))
    guid, operation_id, kind, success = reader.unpack("<QIBB", "InventoryOperationResult")
    reader.finish("InventoryOperationResult")
    if kind > 1:
        raise errors.bad_value("operation type", 12, kind)
    if success > 1:
        raise errors.bad_value("success", 13, success)
    return guid, operation_id, kind, success


# Protocol 4


def encode_commit_inventory(
    operation_id: int,
    participants: Sequence[ParticipantChanges],
    reason: int = 0,
    flags: int = 0,
) -> bytes:
    """CommitInventory 0x80 as a whole frame.

    ``operation_id`` u64, ``reason`` u8, ``flags`` `CommitFlags` bits; batches valid and with
    every item named. A rule that the realm would refuse raises `BatchError` here.
    """
    operation = _number("operation_id", operation_id, U64_MAX)
    reason = _number("reason", reason, U8_MAX)
    flags = _number("flags", flags, U8_MAX)
    participants = tuple(participants)
    _at_most("characters", len(participants), MAX_PARTICIPANTS)
    parts = [struct.pack("<QBBH", operation, reason, flags, len(participants))]
    guids, batches, slots = [], [], []
    for character_guid, session_epoch, expected_version, batch, gone, currencies in participants:
        guid = _number("character_guid", character_guid, U64_MAX)
        epoch = _number("session_epoch", session_epoch, U32_MAX)
        version = _number("expected_version", expected_version, U64_MAX)
        items = widen(batch)
        deletes = _array("deletes", gone, SLOT)
        currencies = tuple(currencies)
        _at_most("records", len(items), MAX_BATCH_ITEMS)
        _at_most("slots", len(deletes), MAX_BATCH_ITEMS)
        _at_most("currencies", len(currencies), U8_MAX)
        parts.append(struct.pack("<QIQHB", guid, epoch, version, len(deletes), len(currencies)))
        parts.append(encode_batch(items))
        parts.append(deletes.tobytes())
        for currency_id, amount in currencies:
            number = _number("currency_id", currency_id, U16_MAX)
            parts.append(struct.pack("<Hq", number, _signed("amount", amount)))
        guids.append(guid)
        batches.append(items)
        slots.append(deletes)
    _at_most("records", sum(map(len, batches)), MAX_PACKET_ITEMS)
    fault, slot = _operation_fault(flags, guids, batches, slots)
    if fault:
        raise errors.bad_batch(fault, slot)
    return _frame(COMMIT, *parts)


def _operation_fault(
    flags: int, guids: Sequence[int], batches: Sequence[Batch], deletes: Sequence[Slots]
) -> tuple[int, int]:
    if flags & ~FLAG_BITS:
        return Fault.UNKNOWN_FLAGS, 0
    if not guids:
        return Fault.NO_PARTICIPANT, 0
    if flags & CommitFlags.REPLACE and any(map(len, deletes)):
        return Fault.REPLACE_WITH_DELETES, 0
    if len(set(guids)) != len(guids):
        return Fault.PARTICIPANT_TWICE, 0
    for items, slots in zip(batches, deletes, strict=True):
        fault, slot = _batch_fault(items, named=True)
        if not fault:
            fault, slot = _deletes_fault(slots, items)
        if fault:
            return fault, slot
    return Fault.NONE, 0


class _CommitsBuilder:
    """Gathers operations and makes the arrays of `Commits`."""

    def __init__(self) -> None:
        self.operations: list[tuple[int, ...]] = []
        self.participants: list[tuple[int, ...]] = []
        self.items: list[Batch] = []
        self.deletes: list[Slots] = []
        self.currencies: list[Structured] = []
        self.item_count = self.delete_count = self.currency_count = 0

    def add(
        self,
        operation_id: int,
        kind: int,
        reason: int,
        flags: int,
        fault: tuple[int, int],
        participants: Sequence[tuple[int, int, int, Batch, Slots, Structured]],
    ) -> None:
        index = len(self.operations)
        self.operations.append(
            (operation_id, len(self.participants), len(participants), kind, reason, flags, *fault)
        )
        for guid, epoch, version, items, deletes, currencies in participants:
            self.participants.append(
                (
                    *(guid, version, epoch, index),
                    *(self.item_count, len(items)),
                    *(self.delete_count, len(deletes)),
                    *(self.currency_count, len(currencies)),
                )
            )
            self.items.append(items)
            self.deletes.append(deletes)
            self.currencies.append(currencies)
            self.item_count += len(items)
            self.delete_count += len(deletes)
            self.currency_count += len(currencies)

    def commits(self) -> Commits:
        return Commits(
            np.array(self.operations, OPERATION),
            np.array(self.participants, PARTICIPANT),
            np.concatenate([np.empty(0, INVENTORY_ITEM), *self.items]),
            np.concatenate([np.empty(0, SLOT), *self.deletes]),
            np.concatenate([np.empty(0, CURRENCY), *self.currencies]),
        )


def _read_commit(reader: _Reader, builder: _CommitsBuilder) -> None:
    operation_id, reason, flags = reader.unpack("<QBB", "CommitInventory")
    count = reader.limited("<H", "participant count", MAX_PARTICIPANTS)
    participants = []
    total = 0
    for _ in range(count):
        guid, epoch, version = reader.unpack("<QIQ", "participant")
        delete_count = reader.limited("<H", "slot count", MAX_BATCH_ITEMS)
        (currency_count,) = reader.unpack("<B", "currency count")
        start = reader.offset
        items = _read_batch(reader)
        total += len(items)
        if total > MAX_PACKET_ITEMS:
            raise errors.over_limit("records of the packet", start, total, MAX_PACKET_ITEMS)
        deletes = reader.array(SLOT, delete_count, "slots")
        currencies = reader.array(CURRENCY, currency_count, "currencies")
        participants.append((guid, epoch, version, items, deletes, currencies))
    reader.finish("CommitInventory")
    fault = _operation_fault(
        flags,
        [part[0] for part in participants],
        [part[3] for part in participants],
        [part[4] for part in participants],
    )
    builder.add(operation_id, OperationKind.COMMIT, reason, flags, fault, participants)


def decode_commit_inventory(body: Any) -> Commits:
    """The body of one CommitInventory as `Commits` of one operation."""
    builder = _CommitsBuilder()
    _read_commit(_Reader(_bytes(body)), builder)
    commits = builder.commits()
    fault = int(commits.operations["fault"][0])
    if fault:
        raise errors.bad_content(
            "CommitInventory",
            int(commits.operations["operation_id"][0]),
            commits.participants["character_guid"].tolist(),
            fault,
            int(commits.operations["fault_slot"][0]),
        )
    return commits


def encode_commit_inventory_result(
    operation_id: int, status: int, participants: Sequence[tuple[int, int]], message: str = ""
) -> bytes:
    """CommitInventoryResult 0x80 as a whole frame; participants are (guid, version) pairs.

    A message of more than 65,535 bytes in UTF-8 is cut at a character's border.
    """
    operation = _number("operation_id", operation_id, U64_MAX)
    status = _number("status", status, U8_MAX)
    participants = tuple(participants)
    _at_most("characters", len(participants), MAX_PARTICIPANTS)
    text = message_bytes(message)
    pairs = b"".join(
        struct.pack(
            "<QQ",
            _number("character_guid", guid, U64_MAX),
            _number("version", version, U64_MAX),
        )
        for guid, version in participants
    )
    head = struct.pack("<QBH", operation, status, len(participants))
    return _frame(COMMIT, head, pairs, struct.pack("<H", len(text)), text)


def decode_commit_inventory_result(
    body: Any,
) -> tuple[int, int, list[tuple[int, int]], str]:
    """The body of CommitInventoryResult: (operation id, status, [(guid, version)], message)."""
    reader = _Reader(_bytes(body))
    operation_id, status = reader.unpack("<QB", "CommitInventoryResult")
    count = reader.limited("<H", "participant count", MAX_PARTICIPANTS)
    data = reader.take(16 * count, "participants")
    pairs = [struct.unpack_from("<QQ", data, 16 * i) for i in range(count)]
    (size,) = reader.unpack("<H", "message length")
    start = reader.offset
    text = reader.take(size, "message")
    reader.finish("CommitInventoryResult")
    try:
        message = text.decode()
    except UnicodeDecodeError:
        raise errors.not_utf8("message", start) from None
    return operation_id, status, pairs, message


# Many at once


def decode_commits(
    buffer: Any,
    offset: int = 0,
    layout: str | None = None,
    replace: bool = False,
    max_body_size: int = MAX_BODY_SIZE,
    max_items: int = MAX_CHUNK_ITEMS,
) -> tuple[Commits, int]:
    """The run of complete frames at ``offset`` that carry operations: (commits, offset behind).

    Without ``layout`` these are protocol 4's CommitInventory, with one protocol 3's
    SaveInventoryItems (``replace`` sets REPLACE on them) and DeleteInventoryItems, with epoch
    and version 0. The run ends before a frame that is incomplete, of another opcode or
    broken, and once ``max_items`` records are reached; if the first frame is broken,
    `FramingError` is raised. Bad content is flagged in ``operations["fault"]``.
    """
    wanted = None if layout is None else _layout(layout)
    view = _bytes(buffer)
    offset = _number("offset", offset, len(view))
    builder = _CommitsBuilder()
    while len(view) - offset >= FRAME_HEADER_SIZE and builder.item_count < max_items:
        opcode, length = struct.unpack_from("<BI", view, offset)
        if opcode not in ((COMMIT,) if wanted is None else (SAVE, DELETE)):
            break
        try:
            if length > max_body_size:
                raise errors.over_limit("body length", offset + 1, length, max_body_size)
            end = offset + FRAME_HEADER_SIZE + length
            if end > len(view):
                break
            reader = _Reader(view, offset + FRAME_HEADER_SIZE, end)
            if wanted is None:
                _read_commit(reader, builder)
            else:
                _read_protocol_3(reader, builder, wanted, opcode, replace)
        except FramingError:
            if not builder.operations:
                raise
            break
        offset = end
    return builder.commits(), offset


def _read_protocol_3(
    reader: _Reader, builder: _CommitsBuilder, layout: Layout, opcode: int, replace: bool
) -> None:
    items, deletes = np.empty(0, INVENTORY_ITEM), np.empty(0, SLOT)
    if opcode == SAVE:
        guid, operation_id, items = _read_save(reader, layout)
        fault = _batch_fault(items, named=False)
        kind, flags = OperationKind.SAVE, int(replace) * CommitFlags.REPLACE
    else:
        guid, operation_id, deletes = _read_delete(reader)
        fault = _deletes_fault(deletes, items)
        kind, flags = OperationKind.DELETE, 0
    participant = (guid, 0, 0, items, deletes, np.empty(0, CURRENCY))
    builder.add(operation_id, kind, 0, flags, fault, [participant])


def _judged_commit(
    operation_id: int,
    reason: int,
    flags: int,
    participants: Sequence[tuple[int, int, int, Batch, Slots, Structured]],
) -> bytes:
    """The frame of one of several operations, given as `_CommitsBuilder.add` takes them."""
    _at_most("characters", len(participants), MAX_PARTICIPANTS)
    parts = [struct.pack("<QBBH", operation_id, reason, flags, len(participants))]
    for guid, epoch, version, items, deletes, currencies in participants:
        _at_most("records", len(items), MAX_BATCH_ITEMS)
        _at_most("slots", len(deletes), MAX_BATCH_ITEMS)
        _at_most("currencies", len(currencies), U8_MAX)
        parts.append(struct.pack("<QIQHB", guid, epoch, version, len(deletes), len(currencies)))
        parts += [encode_batch(items), deletes.tobytes(), currencies.tobytes()]
    batches = [part[3] for part in participants]
    _at_most("records", sum(map(len, batches)), MAX_PACKET_ITEMS)
    fault, slot = _operation_fault(
        flags, [part[0] for part in participants], batches, [part[4] for part in participants]
    )
    if fault:
        raise errors.bad_commit(operation_id, fault, slot)
    return _frame(COMMIT, *parts)


def _difference(
    operation_id: int, reason: int, guid: int, epoch: int, version: int, before: Any, after: Any
) -> bytes:
    saves, deletes = diff(before, after)
    if not len(saves) and not len(deletes):
        return b""
    part = (guid, epoch, version, saves, deletes, np.empty(0, CURRENCY))
    return _judged_commit(operation_id, reason, 0, [part])


def encode_difference(
    operation_id: int,
    character_guid: int,
    session_epoch: int,
    expected_version: int,
    before: Batch,
    after: Batch,
    reason: int = 0,
    out: Any = None,
    offset: int = 0,
) -> Any:
    """Diff and encode in one: the CommitInventory frame that turns ``before`` into ``after``.

    Two batches of one character; empty bytes if they are equal. Only what differs is judged: a
    rule that the realm would refuse raises `BatchError`. With ``out``, a writable buffer of
    bytes, the frame is written there from ``offset`` on, and the offset behind it is returned;
    if it does not fit, `RecordError` is raised.
    """
    operation = _number("operation_id", operation_id, U64_MAX)
    guid = _number("character_guid", character_guid, U64_MAX)
    epoch = _number("session_epoch", session_epoch, U32_MAX)
    version = _number("expected_version", expected_version, U64_MAX)
    why = _number("reason", reason, U8_MAX)
    output = _Output(out, offset)
    output.add(_difference(operation, why, guid, epoch, version, before, after))
    return output.result()


def encode_differences(
    first_operation_id: int,
    participants: Structured,
    before: Iterable[Batch],
    after: Iterable[Batch],
    reason: int = 0,
    out: Any = None,
    offset: int = 0,
) -> tuple[Any, npt.NDArray[np.bool_]]:
    """`encode_difference` for many characters in one call: (frames, which of them changed).

    ``participants`` is a `PARTICIPANT` array of which character_guid, session_epoch and
    expected_version are read; ``before`` and ``after`` are sequences of as many batches. The
    character at index i gets the operation id ``first_operation_id`` + i; one that has not
    changed gets no frame. ``out`` and ``offset`` as there: then the first of the two is the
    offset behind the last frame. The second is a bool array.
    """
    first = _number("first_operation_id", first_operation_id, U64_MAX)
    why = _number("reason", reason, U8_MAX)
    _array("participants", participants, PARTICIPANT)
    count = len(participants)
    befores, afters = list(before), list(after)
    for name, batches in (("before", befores), ("after", afters)):
        if len(batches) != count:
            raise errors.wrong_length(name, len(batches), count)
    if count and first > U64_MAX - (count - 1):
        raise errors.number_outside("first_operation_id", first_operation_id, 2**64 - count)
    output = _Output(out, offset)
    changed = np.zeros(count, np.bool_)
    for index, one in enumerate(participants):
        guid, epoch, version = (
            int(one[name]) for name in ("character_guid", "session_epoch", "expected_version")
        )
        frame = _difference(first + index, why, guid, epoch, version, befores[index], afters[index])
        changed[index] = bool(frame)
        output.add(frame)
    return output.result(), changed


def encode_commits(commits: Commits, out: Any = None, offset: int = 0) -> Any:
    """Operations in one call, the inverse of `decode_commits`: their CommitInventory frames.

    ``commits`` is a `Commits` of which every operation is of kind COMMIT and each range
    directly follows the one before it; else `RecordError`. Its fault columns are not read: a
    rule that the realm would refuse raises `BatchError`. With ``out``, a writable buffer of
    bytes, the frames are written there from ``offset`` on, and the offset behind the last one
    is returned; what does not fit raises `RecordError`.
    """
    operations, participants, items, deletes, currencies = commits
    _array("operations", operations, OPERATION)
    _array("participants", participants, PARTICIPANT)
    _array("items", items, INVENTORY_ITEM)
    _array("deletes", deletes, SLOT)
    _array("currencies", currencies, CURRENCY)
    output = _Output(out, offset)
    if output.overlaps(operations) or output.overlaps(participants):
        raise errors.overlapping()
    _check_ranges(commits)
    for operation in operations:
        number, kind = int(operation["operation_id"]), int(operation["kind"])
        if kind != OperationKind.COMMIT:
            raise errors.not_a_commit(number, kind)
        first = int(operation["first_participant"])
        parts = []
        for one in participants[first : first + int(operation["participant_count"])]:
            spans = [
                slice(start, start + int(one[f"{name}_count"]))
                for name, start in (
                    (name, int(one[f"first_{name}"])) for name in ("item", "delete", "currency")
                )
            ]
            parts.append(
                (
                    *(int(one["character_guid"]), int(one["session_epoch"])),
                    int(one["expected_version"]),
                    *(items[spans[0]], deletes[spans[1]], currencies[spans[2]]),
                )
            )
        output.add(_judged_commit(number, int(operation["reason"]), int(operation["flags"]), parts))
    return output.result()


def _check_ranges(commits: Commits) -> None:
    """Every range follows the one before it, and the last ones end with their arrays."""
    operations, participants, items, deletes, currencies = commits
    for table, first, counted, end in (
        (operations, "first_participant", "participant_count", len(participants)),
        (participants, "first_item", "item_count", len(items)),
        (participants, "first_delete", "delete_count", len(deletes)),
        (participants, "first_currency", "currency_count", len(currencies)),
    ):
        counts = table[counted].tolist()
        starts = [0, *accumulate(counts)]
        if table[first].tolist() != starts[:-1] or starts[-1] != end:
            raise errors.ranges_apart()


def encode_commit_results(
    commits: Commits,
    statuses: npt.NDArray[np.uint8],
    versions: npt.NDArray[np.uint64],
    messages: Mapping[int, str] | None = None,
) -> bytes:
    """The CommitInventoryResult frames of all operations, in order, as one bytes object.

    ``statuses`` uint8, one an operation; ``versions`` uint64, one a participant; ``messages``
    by the operation's index.
    """
    operations, participants = _answered(commits, statuses)
    _array("versions", versions, np.dtype("<u8"))
    if len(versions) != len(participants):
        raise errors.wrong_length("versions", len(versions), len(participants))
    frames = []
    for index, operation in enumerate(operations):
        first = int(operation["first_participant"])
        last = first + int(operation["participant_count"])
        if last > len(participants):
            raise errors.wrong_length("participants", len(participants), last)
        pairs = zip(
            participants["character_guid"][first:last].tolist(),
            versions[first:last].tolist(),
            strict=True,
        )
        frames.append(
            encode_commit_inventory_result(
                int(operation["operation_id"]),
                int(statuses[index]),
                list(pairs),
                (messages or {}).get(index, ""),
            )
        )
    return b"".join(frames)


def encode_operation_results(
    commits: Commits, statuses: npt.NDArray[np.uint8], opcode: int = RESULT
) -> bytes:
    """The InventoryOperationResult frames of protocol 3's operations, as one bytes object.

    Status 0 and 1 are a success, every other one is not.
    """
    operations, participants = _answered(commits, statuses)
    opcode = _result_opcode(opcode)
    frames = []
    for operation, status in zip(operations, statuses.tolist(), strict=True):
        first = int(operation["first_participant"])
        if first >= len(participants):
            raise errors.wrong_length("participants", len(participants), first + 1)
        frames.append(
            encode_inventory_operation_result(
                int(participants["character_guid"][first]),
                int(operation["operation_id"]) & U32_MAX,
                int(operation["kind"] == OperationKind.DELETE),
                int(status <= 1),
                opcode,
            )
        )
    return b"".join(frames)


def _answered(commits: Commits, statuses: Any) -> tuple[Structured, Structured]:
    operations = _array("operations", commits.operations, OPERATION)
    participants = _array("participants", commits.participants, PARTICIPANT)
    _array("statuses", statuses, np.dtype("u1"))
    if len(statuses) != len(operations):
        raise errors.wrong_length("statuses", len(statuses), len(operations))
    return operations, participants
