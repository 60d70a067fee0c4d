"""The bytes of an outbox file: a header, then operations and the marks of those that are answered.

Sans-IO: bytes to records and back. What a crash or a disk left of a file is read up to where it
makes sense, and never raises. Knows no file, no thread and no link.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from mmoinv import codec
from mmoinv.commits import CommitFlags, Commits
from mmoinv.errors import FramingError, MmoinvError
from mmoinv.records import FRAME_HEADER_SIZE, MAX_BODY_SIZE
from mmoinv.wire import Opcode, TradeConfirm

MAGIC = b"mmoinvOB"
FORMAT = 1
_FIRST = struct.Struct("<8sHB")
"""Magic, format, and how many bytes of the world's name follow; then the checksum of all that."""
_RECORD = struct.Struct("<IIB")
"""Bytes of the body, checksum of length, kind and body, kind."""
_NUMBER, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_OPERATION, _ANSWERED = 1, 2
_FLAGS_AT = FRAME_HEADER_SIZE + 9
"""In a CommitInventory frame: behind the operation id and the reason."""
_HALF_AT = 24
"""In the body of a TradeConfirm: so many bytes before what would be that of a CommitInventory."""
MAX_RECORD_BODY = _NUMBER.size + FRAME_HEADER_SIZE + MAX_BODY_SIZE


class StoredOperation(NamedTuple):
    """An operation as it lies in the file: ``frame`` is the CommitInventory that was to be sent, or
    the TradeConfirm; ``taken_ms`` when, in ms since 1970; ``offset`` and ``size`` are where its
    record is. The operation of a trade has the trade's id."""

    operation_id: int
    character_guids: tuple[int, ...]
    taken_ms: int
    frame: bytes
    offset: int
    size: int


class OutboxContents(NamedTuple):
    """What could be read of a file.

    ``unanswered`` by operation id, in the order in which they were written. ``size`` is how many
    bytes make sense; what is behind is told by ``damage``. ``world`` is None if not even the
    header can be read, ``is_foreign`` if it is no outbox at all. ``format`` is above `FORMAT` if a
    newer mmoinv has written it; nothing of it is read then.
    """

    world: str | None
    unanswered: dict[int, StoredOperation]
    size: int
    damage: str = ""
    is_foreign: bool = False
    format: int = FORMAT


def header(world: str) -> bytes:
    """The beginning of a file."""
    name = world.encode()
    first = _FIRST.pack(MAGIC, FORMAT, len(name)) + name
    return first + _CHECKSUM.pack(crc32(first))


def operation_record(frame: bytes, taken_ms: int) -> bytes:
    """The record of an operation that is going to be sent as ``frame``."""
    return _record(_OPERATION, _NUMBER.pack(taken_ms) + frame)


def answered_record(operation_ids: Iterable[int]) -> bytes:
    """The mark that operations are answered."""
    return _record(_ANSWERED, b"".join(map(_NUMBER.pack, operation_ids)))


def as_repeated(frame: bytes) -> bytes:
    """The same CommitInventory or TradeConfirm, marked as sent before."""
    at = _FLAGS_AT + (_HALF_AT if frame[0] == Opcode.TRADE_CONFIRM else 0)
    return frame[:at] + bytes([frame[at] | CommitFlags.REPEATED]) + frame[at + 1 :]


def _record(kind: int, body: bytes) -> bytes:
    return _RECORD.pack(len(body), _checksum(kind, body), kind) + body


def _checksum(kind: int, body: bytes) -> int:
    return crc32(body, crc32(struct.pack("<IB", len(body), kind)))


def read_outbox(data: bytes) -> OutboxContents:
    """What there is in a file's bytes."""
    found = _read_header(data)
    if found.world is None or found.format > FORMAT:
        return found
    unanswered: dict[int, StoredOperation] = {}
    offset, damage = found.size, ""
    while offset < len(data):
        if len(data) - offset < _RECORD.size:
            damage = "the last record is torn"
            break
        length, checksum, kind = _RECORD.unpack_from(data, offset)
        begin = offset + _RECORD.size
        if length > MAX_RECORD_BODY:
            damage = f"a record says that it is {length} bytes long"
            break
        if begin + length > len(data):
            damage = "the last record is torn"
            break
        body = data[begin : begin + length]
        if _checksum(kind, body) != checksum:
            damage = "a record's checksum is wrong"
            break
        if not _take(kind, body, offset, unanswered):
            damage = f"a record of kind {kind} cannot be understood"
            break
        offset = begin + length
    if damage:
        damage += f", {len(data) - offset} bytes from byte {offset} on cannot be read"
    return OutboxContents(found.world, unanswered, offset, damage)


def _read_header(data: bytes) -> OutboxContents:
    def unreadable(damage: str, is_foreign: bool = False) -> OutboxContents:
        return OutboxContents(None, {}, 0, damage, is_foreign=is_foreign)

    if not data:
        return unreadable("the file is empty")
    if not data.startswith(MAGIC[: len(data)]):
        return unreadable("the file is no outbox", is_foreign=True)
    if len(data) < _FIRST.size:
        return unreadable("the header is torn")
    _, number, length = _FIRST.unpack_from(data)
    end = _FIRST.size + length
    if len(data) < end + _CHECKSUM.size:
        return unreadable("the header is torn")
    (checksum,) = _CHECKSUM.unpack_from(data, end)
    if crc32(data[:end]) != checksum:
        return unreadable("the header's checksum is wrong")
    name = data[_FIRST.size : end].decode(errors="replace")
    return OutboxContents(name, {}, end + _CHECKSUM.size, format=number)


def _take(kind: int, body: bytes, offset: int, unanswered: dict[int, StoredOperation]) -> bool:
    """Add what a whole record says; False if it says nothing that makes sense."""
    if kind == _ANSWERED and len(body) % _NUMBER.size == 0:
        for (operation_id,) in _NUMBER.iter_unpack(body):
            unanswered.pop(operation_id, None)
        return True
    if kind != _OPERATION or len(body) <= _NUMBER.size:
        return False
    (taken_ms,) = _NUMBER.unpack_from(body)
    frame = body[_NUMBER.size :]
    try:
        commits, operation_id = _operation_in(frame)
    except MmoinvError:
        return False
    if len(commits.operations) != 1 or commits.operations["fault"][0]:
        return False
    unanswered[operation_id] = StoredOperation(
        operation_id,
        tuple(commits.participants["character_guid"].tolist()),
        taken_ms,
        frame,
        offset,
        _RECORD.size + len(body),
    )
    return True


def _operation_in(frame: bytes) -> tuple[Commits, int]:
    """What a frame is to write, and under which id it is answered; raises if it is none."""
    if frame[0] == Opcode.TRADE_CONFIRM:
        confirm = TradeConfirm.decode(frame[FRAME_HEADER_SIZE:])
        return confirm.commits(), confirm.trade_id
    commits, behind = codec.decode_commits(frame)
    if behind != len(frame) or not len(commits.operations):
        raise FramingError("the frame is no operation", behind)
    return commits, int(commits.operations["operation_id"][0])
