"""What every packet is made of, field by field, as one table, and what its numbers mean.

A description to read packets with, for `mmoinv.wire.explain`; links take nothing from here. The
codec and `mmoinv.wire.packets` are what counts: the tests hold this table to them with random
values. Fields of records are not here, they come from the record table.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from mmoinv import codec
from mmoinv.commits import CommitFlags
from mmoinv.records import EQUIPPED_BAG, MAX_BATCH_ITEMS, MAX_PARTICIPANTS, U32_MAX, is_buyback
from mmoinv.wire import packets, trades
from mmoinv.wire.dialects import DIALECTS, Dialect
from mmoinv.wire.opcodes import (
    CommitStatus,
    JoinFailure,
    LeaveReason,
    LogonStatus,
    Opcode,
    TradeEnd,
)

WORLD, REALM = "world", "realm"
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
"""Bytes of a number by its type. Little endian, always."""
COLUMN_KINDS = ("all zero", "one value for all", "a value each", "base and offsets", "dictionary")
"""What the kind of a column means."""
BATCH_ENCODINGS = ("records", "columns")
UNDEFINED = "not defined"

Meaning = Callable[[int], str]


class Number(NamedTuple):
    """A number of a type of `SIZES`; more than ``limit`` is broken framing."""

    name: str
    type: str
    meaning: Meaning | None = None
    limit: int | None = None


class Text(NamedTuple):
    """UTF-8 behind its length in bytes, a number of type ``length``."""

    name: str
    length: str


class Blob(NamedTuple):
    """Bytes behind their length, a number of type ``length``."""

    name: str
    length: str


class Items(NamedTuple):
    """A batch of protocol 4."""


class Records(NamedTuple):
    """A u16 and so many records of the link's layout (protocol 3)."""


class Each(NamedTuple):
    """``parts`` as often as the number before it that is called ``counted_by`` says."""

    counted_by: str
    name: str
    parts: tuple[Any, ...]


Part = Number | Text | Blob | Items | Records | Each


class Packet(NamedTuple):
    """One packet in one direction; ``decode`` takes its body and says whether it is one."""

    name: str
    parts: tuple[Part, ...]
    decode: Callable[[bytes], object]


# What numbers mean


def place_of(slot: int) -> str:
    """An absolute slot in words."""
    bag = f"bag {slot >> 8}" + (" (own)" if slot >> 8 == EQUIPPED_BAG else "")
    return f"{bag}, slot {slot & 0xFF}" + (", buyback" if is_buyback(slot) else "")


def minted(number: int) -> str:
    """What an operation id or item guid was made of."""
    if number <= U32_MAX:
        return ""
    return f"node epoch {number >> 32}, counter {number & U32_MAX}"


def _minted_short(number: int) -> str:
    return f"world server {number >> 16}, counter {number & 0xFFFF}"


def _flags(number: int) -> str:
    names = [flag.name for flag in CommitFlags if number & flag]
    if rest := number & ~sum(CommitFlags):
        names.append(f"{rest:#04x} is {UNDEFINED}")
    return " | ".join(names)


def _commit_status(number: int) -> str:
    known = number in CommitStatus.__members__.values()
    return _named(CommitStatus(number)) if known else UNDEFINED


def _logon_status(number: int) -> str:
    known = number in LogonStatus.__members__.values()
    return _named(LogonStatus(number)) if known else UNDEFINED


def _join_failure(number: int) -> str:
    known = number in JoinFailure.__members__.values()
    return _named(JoinFailure(number)) if known else UNDEFINED


def _named(status: CommitStatus | LogonStatus | JoinFailure) -> str:
    name = status.name.replace("_", " ").lower()
    return name if name == status.sentence else f"{name}: {status.sentence}"


def _leave_reason(number: int) -> str:
    known = number in LeaveReason.__members__.values()
    return LeaveReason(number).name.lower() if known else UNDEFINED


def _trade_end(number: int) -> str:
    known = number in TradeEnd.__members__.values()
    return TradeEnd(number).sentence if known else UNDEFINED


def _dialect(number: int) -> str:
    if number >= len(DIALECTS):
        return UNDEFINED
    dialect = DIALECTS[number]
    return f"protocol {dialect.protocol}" + (f", {dialect.layout}" if dialect.layout else "")


def _claim(epoch: int) -> str:
    return "a re-claim" if epoch else "a new join"


def one_of(*words: str) -> Meaning:
    """The meaning of a number that counts them."""
    return lambda number: words[number] if number < len(words) else UNDEFINED


RECORD_MEANINGS: dict[str, Meaning] = {"slot": place_of, "item_guid": minted}
"""By the record table's names."""


# The table

_GUID = Number("character guid", "u64", hex)
_EPOCH = Number("session epoch", "u32")
_ID = Number("operation id", "u64", minted)
_SHORT_ID = Number("operation id", "u32", _minted_short)
_PARTICIPANTS = Number("participants", "u16", limit=MAX_PARTICIPANTS)
_CURRENCIES = Number("currencies", "u8")


def _money(amount: str) -> Each:
    return Each("currencies", "currency", (Number("id", "u16"), Number(amount, "i64")))


_OPERATION: tuple[Part, ...] = (
    _ID,
    Number("reason", "u8"),
    Number("flags", "u8", _flags),
    _PARTICIPANTS,
    Each(
        "participants",
        "participant",
        (
            _GUID,
            _EPOCH,
            Number("expected version", "u64"),
            Number("deletes", "u16", limit=MAX_BATCH_ITEMS),
            _CURRENCIES,
            Items(),
            Each("deletes", "deleted slot", (Number("slot", "u16", place_of),)),
            _money("change"),
        ),
    ),
)
_TRADE = Number("trade id", "u64", minted)
_OFFER = Packet(
    "TradeOffer",
    (
        _TRADE,
        Number("from guid", "u64", hex),
        Number("from epoch", "u32"),
        Number("to guid", "u64", hex),
        Number("to epoch", "u32"),
        Number("revision", "u16"),
        Number("confirmed", "u8", one_of("no", "yes", "no longer")),
        Items(),
        _CURRENCIES,
        _money("amount"),
    ),
    trades.TradeOffer.decode,
)
_CANCEL = Packet(
    "TradeCancel",
    (_TRADE, _GUID, Number("reason", "u8", _trade_end), Text("message", "u16")),
    trades.TradeCancel.decode,
)


def _confirmed(body: bytes) -> object:
    return codec.decode_commit_inventory(trades.TradeConfirm.decode(body).half)


_RESULT = Packet(
    "InventoryOperationResult",
    (
        _GUID,
        _SHORT_ID,
        Number("type", "u8", one_of("save", "delete")),
        Number("success", "u8", one_of("no", "yes")),
    ),
    codec.decode_inventory_operation_result,
)
_PING = Packet(
    "Ping",
    (Number("kind", "u8", one_of("ping", "pong")), Number("token", "u64")),
    packets.Ping.decode,
)

PACKETS: dict[tuple[int, str], Packet] = {
    (Opcode.LOGON_CHALLENGE, WORLD): Packet(
        "LogonChallenge",
        (
            Number("protocol", "u8"),
            Number("dialect", "u8", _dialect),
            Number("process nonce", "u64", hex),
            Text("world name", "u8"),
            Text("client-first", "u16"),
        ),
        packets.LogonChallenge.decode,
    ),
    (Opcode.LOGON_CHALLENGE, REALM): Packet(
        "LogonChallenge",
        (Number("status", "u8", _logon_status), Text("server-first", "u16")),
        packets.LogonChallengeAnswer.decode,
    ),
    (Opcode.LOGON_PROOF, WORLD): Packet(
        "LogonProof", (Text("client-final", "u16"),), packets.LogonProof.decode
    ),
    (Opcode.LOGON_PROOF, REALM): Packet(
        "LogonProof",
        (
            Number("status", "u8", _logon_status),
            Text("server-final", "u16"),
            Number("node epoch", "u32"),
            Number("protocol", "u8"),
            Number("dialect", "u8", _dialect),
        ),
        packets.LogonProofAnswer.decode,
    ),
    (Opcode.REQUEST_CHARACTER_JOIN, WORLD): Packet(
        "RequestCharacterJoin",
        (_GUID, Number("session epoch", "u32", _claim)),
        packets.RequestCharacterJoin.decode,
    ),
    (Opcode.PLAYER_CHARACTER_JOIN, REALM): Packet(
        "PlayerCharacterJoin",
        (
            _GUID,
            _EPOCH,
            Number("version", "u64"),
            Items(),
            _CURRENCIES,
            _money("balance"),
            Blob("game's own", "u32"),
        ),
        packets.PlayerCharacterJoin.decode,
    ),
    (Opcode.PLAYER_CHARACTER_JOIN_FAILED, REALM): Packet(
        "PlayerCharacterJoinFailed",
        (_GUID, Number("reason", "u8", _join_failure), Text("message", "u16")),
        packets.PlayerCharacterJoinFailed.decode,
    ),
    (Opcode.PLAYER_CHARACTER_LEAVE, REALM): Packet(
        "PlayerCharacterLeave", (_GUID, _EPOCH), packets.PlayerCharacterLeave.decode
    ),
    (Opcode.PLAYER_CHARACTER_LEFT, WORLD): Packet(
        "PlayerCharacterLeft",
        (_GUID, _EPOCH, Number("reason", "u8", _leave_reason)),
        packets.PlayerCharacterLeft.decode,
    ),
    (Opcode.COMMIT_INVENTORY, WORLD): Packet(
        "CommitInventory",
        _OPERATION,
        codec.decode_commit_inventory,
    ),
    (Opcode.COMMIT_INVENTORY, REALM): Packet(
        "CommitInventoryResult",
        (
            _ID,
            Number("status", "u8", _commit_status),
            _PARTICIPANTS,
            Each("participants", "participant", (_GUID, Number("version", "u64"))),
            Text("message", "u16"),
        ),
        codec.decode_commit_inventory_result,
    ),
    (Opcode.TRADE_OFFER, WORLD): _OFFER,
    (Opcode.TRADE_OFFER, REALM): _OFFER,
    (Opcode.TRADE_CONFIRM, WORLD): Packet(
        "TradeConfirm",
        (
            _TRADE,
            Number("to guid", "u64", hex),
            Number("to epoch", "u32"),
            Number("revision", "u16"),
            Number("to revision", "u16"),
            *_OPERATION,
        ),
        _confirmed,
    ),
    (Opcode.TRADE_CANCEL, WORLD): _CANCEL,
    (Opcode.TRADE_CANCEL, REALM): _CANCEL,
    (Opcode.SAVE_INVENTORY_ITEMS, WORLD): Packet(
        "SaveInventoryItems", (_GUID, _SHORT_ID, Records()), codec.decode_save_inventory_items
    ),
    (Opcode.DELETE_INVENTORY_ITEMS, WORLD): Packet(
        "DeleteInventoryItems",
        (
            _GUID,
            _SHORT_ID,
            Number("slots", "u16", limit=MAX_BATCH_ITEMS),
            Each("slots", "slot", (Number("slot", "u16", place_of),)),
        ),
        codec.decode_delete_inventory_items,
    ),
    (Opcode.INVENTORY_OPERATION_RESULT, REALM): _RESULT,
    (Opcode.INVENTORY_OPERATION_RESULT_2026, REALM): _RESULT,
    (Opcode.PING, WORLD): _PING,
    (Opcode.PING, REALM): _PING,
}
"""By opcode and sender."""


def is_spoken(dialect: Dialect, opcode: int, sender: str) -> bool:
    """Whether a packet of the table is one of a dialect."""
    if opcode in (Opcode.SAVE_INVENTORY_ITEMS, Opcode.DELETE_INVENTORY_ITEMS):
        return dialect.layout is not None
    results = {one.result_opcode for one in DIALECTS}
    if opcode in results and sender == REALM:
        return opcode == dialect.result_opcode
    ours = (
        Opcode.COMMIT_INVENTORY,
        Opcode.TRADE_OFFER,
        Opcode.TRADE_CONFIRM,
        Opcode.TRADE_CANCEL,
    )
    return opcode not in ours or dialect.layout is None


def is_anyones(opcode: int) -> bool:
    """Whether it is the same packet in both directions."""
    packet = PACKETS.get((opcode, WORLD))
    return packet is not None and packet is PACKETS.get((opcode, REALM))
