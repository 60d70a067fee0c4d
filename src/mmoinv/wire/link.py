"""What both ends of a link share: framing, the state, ping.

Bytes in, events out; bytes out. Does not know which end it is (`world_link`, `realm_link`),
what time it is (the shell passes it to `tick`) or what carries the bytes.
"""

from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from mmoinv.errors import FramingError, ProtocolError
from mmoinv.records import FRAME_HEADER_SIZE, MAX_BODY_SIZE
from mmoinv.wire.dialects import DIALECTS, Dialect
from mmoinv.wire.events import LinkBroken
from mmoinv.wire.packets import Ping

PING_AFTER_S = 5.0
"""Silence after which the other end is pinged."""
DEAD_AFTER_S = 15.0
"""Silence after which the other end is taken for dead."""
LOGON_WITHIN_S = 10.0
"""How long a logon may take, the handshake of TLS included."""
FRAME_WITHIN_S = 60.0
"""How long a frame may take from its first byte to its last: 1 MiB in that time is a poor line,
and a byte a second an attack."""
MAX_LOGON_BODY_SIZE = 8192
"""Bytes of a body before the logon has ended: a stranger costs no more."""

Event = TypeVar("Event")


class LinkState(Enum):
    """Where a link is. Which packets each state takes stands in the tables of the two ends."""

    IDLE = "idle"
    """World: before `begin_logon`."""
    CHALLENGE = "waiting for the logon challenge"
    LOOKUP = "looking the world up"
    """Realm: between LogonRequested and `offer_challenge`. The world must wait."""
    PROOF = "waiting for the logon proof"
    GRANT = "granting the logon"
    """Realm: between LogonProved and `accept_logon`. The world must wait."""
    OPEN = "open"
    CLOSED = "closed"
    """The logon was refused, or the other end is gone."""
    BROKEN = "broken"


class Link(Generic[Event]):
    """One end of a link; `WorldLink` and `RealmLink` say what the packets mean."""

    TABLE: ClassVar[dict[LinkState, dict[int, str]]] = {}
    """For each state the opcodes that may arrive in it, and the method that takes the body."""

    def __init__(self, max_body_size: int = MAX_BODY_SIZE) -> None:
        self.state = LinkState.CHALLENGE
        self.dialect: Dialect = DIALECTS[0]
        self.skipped_packets = 0
        """Packets of opcodes that are unknown to protocol 3, and were skipped."""
        self.broken_reason = ""
        self._max_body_size = max_body_size
        self._rest = bytearray()
        self._needed = FRAME_HEADER_SIZE
        self._outgoing: list[bytes] = []
        self._events: list[Event | LinkBroken] = []
        self._heard = False
        self._has_taken = False
        """Whether a frame was whole since the last tick."""
        self._frame_begun_s: float | None = None
        self._last_heard_s: float | None = None
        self._last_ping_s = 0.0
        self._begun_s = 0.0
        self._token = 0

    @property
    def is_over(self) -> bool:
        """Whether the link takes and gives nothing more."""
        return self.state in (LinkState.CLOSED, LinkState.BROKEN)

    # Bytes in

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event | LinkBroken]:
        """Take received bytes; the events that they complete, in order.

        Never raises for what a peer has sent: broken framing ends the list with `LinkBroken`.
        ``data`` may be changed or resized afterwards.
        """
        if self.is_over or not len(data):
            return []
        self._heard = True
        if self._rest:
            self._rest += data
            # A long frame in many pieces is looked at once, when it is whole.
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        consumed = self._receive_frames(data)
        self._has_taken |= consumed > 0
        if not self.is_over:
            self._rest += memoryview(data)[consumed:]
        return self._take_events()

    def receive_eof(self) -> list[Event | LinkBroken]:
        """The other end has closed: a frame that was not whole is lost and said so."""
        if not self.is_over:
            if self._rest:
                self._break(
                    f"the link was closed in the middle of a frame ({len(self._rest)} "
                    "bytes of it had come)"
                )
            else:
                self._break("the other end closed the link")
        return self._take_events()

    def _receive_frames(self, data: bytes | bytearray | memoryview) -> int:
        """Every complete frame of the buffer; returns the offset behind the last one."""
        offset, size = 0, len(data)
        self._needed = FRAME_HEADER_SIZE
        try:
            while size - offset >= FRAME_HEADER_SIZE and not self.is_over:
                behind = self._receive_run(data, offset)
                if behind > offset:
                    offset = behind
                    continue
                length = int.from_bytes(data[offset + 1 : offset + 5], "little")
                limit = self._max_body_size
                if self.state is not LinkState.OPEN:
                    limit = min(limit, MAX_LOGON_BODY_SIZE)
                if length > limit:
                    raise FramingError(f"body length {length} is over the limit of {limit}")
                self._needed = FRAME_HEADER_SIZE + length
                if size - offset < self._needed:
                    break
                begin = offset + FRAME_HEADER_SIZE
                offset = begin + length
                self._receive_frame(data[begin - FRAME_HEADER_SIZE], data[begin:offset])
                self._needed = FRAME_HEADER_SIZE
        except ProtocolError as error:
            self._break(str(error))
        return offset

    def _receive_run(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        """Take a run of frames at once, where an end has something to gain from it."""
        return offset

    def _receive_frame(self, opcode: int, body: bytes | bytearray | memoryview) -> None:
        method = self.TABLE.get(self.state, {}).get(opcode)
        if method is None:
            if self.state is LinkState.OPEN and self.dialect.protocol == 3:
                self.skipped_packets += 1
                return
            raise FramingError(f"opcode 0x{opcode:02X} is out of place while {self.state.value}")
        getattr(self, method)(body)

    def _speaks_trades(self) -> bool:
        """Whether trades are packets of the dialect; elsewhere they are skipped and counted."""
        speaks = self.dialect.protocol == 4
        self.skipped_packets += not speaks
        return speaks

    # Bytes out

    def data_to_send(self) -> bytes:
        """What is to be written, once; empty if nothing is."""
        if not self._outgoing:
            return b""
        data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def send_bytes(self, frames: bytes) -> None:
        """Whole frames that are encoded already."""
        if self.state is LinkState.OPEN and frames:
            self._outgoing.append(frames)

    # Time

    def tick(self, now_s: float) -> list[Event | LinkBroken]:
        """Say what time it is, in seconds of any monotonic clock, about once a second."""
        if self.is_over:
            return []
        if self._last_heard_s is None:
            self._begun_s = self._last_ping_s = now_s
        if self._last_heard_s is None or self._heard:
            self._heard = False
            self._last_heard_s = now_s
        silence_s = now_s - self._last_heard_s
        if not self._rest:
            self._frame_begun_s = None
        elif self._has_taken or self._frame_begun_s is None:
            self._frame_begun_s = now_s
        self._has_taken = False
        if self.state is not LinkState.OPEN:
            if now_s - self._begun_s >= LOGON_WITHIN_S:
                self._break(f"the logon did not end within {LOGON_WITHIN_S:.0f} s")
        elif self._frame_begun_s is not None and now_s - self._frame_begun_s >= FRAME_WITHIN_S:
            self._break(f"a frame was not whole within {FRAME_WITHIN_S:.0f} s")
        elif silence_s >= DEAD_AFTER_S:
            self._break(f"the other end was silent for {silence_s:.0f} s")
        elif silence_s >= PING_AFTER_S and now_s - self._last_ping_s >= PING_AFTER_S:
            self._last_ping_s = now_s
            self._token += 1
            self._outgoing.append(Ping(0, self._token).encode())
        return self._take_events()

    def _receive_ping(self, body: Any) -> None:
        ping = Ping.decode(body)
        if ping.kind == 0:
            self._outgoing.append(Ping(1, ping.token).encode())

    # Ends

    def _break(self, reason: str) -> None:
        self.state = LinkState.BROKEN
        self.broken_reason = reason
        self._rest.clear()
        self._events.append(LinkBroken(reason))

    def _take_events(self) -> list[Event | LinkBroken]:
        events, self._events = self._events, []
        return events
