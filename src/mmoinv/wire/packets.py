"""The control packets: logon, join, leave, ping. One NamedTuple a packet and direction.

``encode()`` returns the whole frame, ``decode(body)`` takes the body alone; a body shorter or
longer than its fields say, or text that is not UTF-8, raises `FramingError`. The packets that
carry item changes and their answers are in `mmoinv.codec`.
"""

import struct
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mmoinv import codec
from mmoinv.commits import CURRENCY, message_bytes
from mmoinv.errors import FramingError, RecordError
from mmoinv.records import Batch
from mmoinv.wire.opcodes import Opcode


def frame(opcode: int, *parts: bytes) -> bytes:
    """A frame: u8 opcode, u32 body length, body."""
    body = b"".join(parts)
    return struct.pack("<BI", opcode, len(body)) + body


def pack(packet: str, form: str, *values: int) -> bytes:
    """Numbers of a packet; `RecordError` if one is out of its range."""
    try:
        return struct.pack(form, *values)
    except struct.error as error:
        numbers = ", ".join(map(repr, values))
        raise RecordError(f"{packet}: {numbers} cannot be encoded: {error}") from None


def _text(form: str, name: str, text: str, limit: int) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise RecordError(f"{name} is no text that UTF-8 could hold") from None
    if len(data) > limit:
        raise RecordError(f"{name} has {len(data)} bytes in UTF-8, at most {limit} fit")
    return struct.pack(form, len(data)) + data


def _str8(name: str, text: str) -> bytes:
    return _text("<B", name, text, 0xFF)


def str16(name: str, text: str) -> bytes:
    """Text behind its u16 length."""
    return _text("<H", name, text, 0xFFFF)


class Body:
    """A cursor over a control packet's body that never reads beyond it."""

    def __init__(self, packet: str, body: Any) -> None:
        self.packet = packet
        self.data = bytes(body)
        self.offset = 0

    def take(self, size: int, name: str) -> bytes:
        """The next bytes."""
        left = len(self.data) - self.offset
        if size > left:
            raise FramingError(
                f"{self.packet}: {name} at byte {self.offset} needs {size} bytes, "
                f"only {left} are left",
                self.offset,
            )
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def unpack(self, form: str, name: str) -> tuple[Any, ...]:
        """The next numbers."""
        return struct.unpack(form, self.take(struct.calcsize(form), name))

    def text(self, form: str, name: str) -> str:
        """Text behind its length, a number of that form."""
        (size,) = self.unpack(form, name)
        start = self.offset
        try:
            return self.take(size, name).decode()
        except UnicodeDecodeError:
            raise FramingError(
                f"{self.packet}: {name} at byte {start} is not UTF-8", start
            ) from None

    def finish(self) -> None:
        """The body ends here."""
        if self.offset != len(self.data):
            raise FramingError(
                f"{self.packet} ends at byte {self.offset}, but "
                f"{len(self.data) - self.offset} more bytes follow",
                self.offset,
            )


class LogonChallenge(NamedTuple):
    """0x00, world to realm: who wants in, and SCRAM's client-first message."""

    protocol: int
    dialect: int
    process_nonce: int
    world_name: str
    client_first: str

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.LOGON_CHALLENGE,
            pack("LogonChallenge", "<BBQ", self.protocol, self.dialect, self.process_nonce),
            _str8("world name", self.world_name),
            str16("client-first", self.client_first),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("LogonChallenge", body)
        protocol, dialect, nonce = reader.unpack("<BBQ", "protocol, dialect and nonce")
        packet = cls(
            protocol,
            dialect,
            nonce,
            reader.text("<B", "world name"),
            reader.text("<H", "client-first"),
        )
        reader.finish()
        return packet


class LogonChallengeAnswer(NamedTuple):
    """0x00, realm to world: a `LogonStatus` and SCRAM's server-first message."""

    status: int
    server_first: str

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.LOGON_CHALLENGE,
            pack("LogonChallenge", "<B", self.status),
            str16("server-first", self.server_first),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("LogonChallenge", body)
        (status,) = reader.unpack("<B", "status")
        packet = cls(status, reader.text("<H", "server-first"))
        reader.finish()
        return packet


class LogonProof(NamedTuple):
    """0x01, world to realm: SCRAM's client-final message."""

    client_final: str

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(Opcode.LOGON_PROOF, str16("client-final", self.client_final))

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("LogonProof", body)
        packet = cls(reader.text("<H", "client-final"))
        reader.finish()
        return packet


class LogonProofAnswer(NamedTuple):
    """0x01, realm to world: the end of the logon."""

    status: int
    server_final: str
    node_epoch: int
    protocol: int
    dialect: int

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.LOGON_PROOF,
            pack("LogonProof", "<B", self.status),
            str16("server-final", self.server_final),
            pack("LogonProof", "<IBB", self.node_epoch, self.protocol, self.dialect),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("LogonProof", body)
        (status,) = reader.unpack("<B", "status")
        server_final = reader.text("<H", "server-final")
        packet = cls(
            status, server_final, *reader.unpack("<IBB", "node epoch, protocol and dialect")
        )
        reader.finish()
        return packet


class RequestCharacterJoin(NamedTuple):
    """0x81, world to realm. ``session_epoch`` 0: a new join; else a re-claim."""

    character_guid: int
    session_epoch: int = 0

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(Opcode.REQUEST_CHARACTER_JOIN, pack("RequestCharacterJoin", "<QI", *self))

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("RequestCharacterJoin", body)
        packet = cls(*reader.unpack("<QI", "guid and epoch"))
        reader.finish()
        return packet


class PlayerCharacterJoin(NamedTuple):
    """0x02, realm to world: the session, the inventory as an `INVENTORY_ITEM` batch, balances
    as a `CURRENCY` array, and bytes of the game's own."""

    character_guid: int
    session_epoch: int
    version: int
    items: Batch
    currencies: npt.NDArray[np.void]
    opaque: bytes = b""

    def encode(self) -> bytes:
        """The whole frame."""
        if self.currencies.dtype != CURRENCY:
            raise RecordError(f"balances must have dtype CURRENCY, not {self.currencies.dtype}")
        return frame(
            Opcode.PLAYER_CHARACTER_JOIN,
            pack(
                "PlayerCharacterJoin", "<QIQ", self.character_guid, self.session_epoch, self.version
            ),
            codec.encode_batch(self.items),
            pack("PlayerCharacterJoin", "<B", len(self.currencies)),
            self.currencies.tobytes(),
            pack("PlayerCharacterJoin", "<I", len(self.opaque)),
            self.opaque,
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("PlayerCharacterJoin", body)
        guid, epoch, version = reader.unpack("<QIQ", "guid, epoch and version")
        items, reader.offset = codec.decode_batch(reader.data, reader.offset)
        (count,) = reader.unpack("<B", "currency count")
        data = reader.take(count * CURRENCY.itemsize, "currencies")
        (size,) = reader.unpack("<I", "length of the game's bytes")
        opaque = reader.take(size, "the game's bytes")
        reader.finish()
        return cls(guid, epoch, version, items, np.frombuffer(data, CURRENCY).copy(), opaque)


class PlayerCharacterJoinFailed(NamedTuple):
    """0x84, realm to world: a `JoinFailure` and a message."""

    character_guid: int
    reason: int
    message: str

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.PLAYER_CHARACTER_JOIN_FAILED,
            pack("PlayerCharacterJoinFailed", "<QB", self.character_guid, self.reason),
            # Cut rather than refused: an answer must get through.
            str16("message", message_bytes(self.message).decode()),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("PlayerCharacterJoinFailed", body)
        guid, reason = reader.unpack("<QB", "guid and reason")
        packet = cls(guid, reason, reader.text("<H", "message"))
        reader.finish()
        return packet


class PlayerCharacterLeave(NamedTuple):
    """0x03, realm to world: please leave, another world wants in."""

    character_guid: int
    session_epoch: int

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(Opcode.PLAYER_CHARACTER_LEAVE, pack("PlayerCharacterLeave", "<QI", *self))

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("PlayerCharacterLeave", body)
        packet = cls(*reader.unpack("<QI", "guid and epoch"))
        reader.finish()
        return packet


class PlayerCharacterLeft(NamedTuple):
    """0x07, world to realm: the session is given back, with a `LeaveReason`."""

    character_guid: int
    session_epoch: int
    reason: int

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(Opcode.PLAYER_CHARACTER_LEFT, pack("PlayerCharacterLeft", "<QIB", *self))

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("PlayerCharacterLeft", body)
        packet = cls(*reader.unpack("<QIB", "guid, epoch and reason"))
        reader.finish()
        return packet


class Ping(NamedTuple):
    """0x82, both directions: ``kind`` 0 asks, 1 answers with the same token."""

    kind: int
    token: int

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(Opcode.PING, pack("Ping", "<BQ", *self))

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("Ping", body)
        packet = cls(*reader.unpack("<BQ", "kind and token"))
        reader.finish()
        if packet.kind > 1:
            raise FramingError(f"Ping: kind {packet.kind} is not defined", 0)
        return packet
