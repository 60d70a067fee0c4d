"""One connection through the `FaultProxy`: its two directions, and the faults as they hit bytes.

Knows frames by their header alone. Does not know the proxy, what a packet means, or when a fault
is due.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mmoinv.records import FRAME_HEADER_SIZE
from mmoinv.torture.waiting import LOOK_EVERY_S

READ_SIZE = 1 << 16
"""Bytes that are read at once."""
QUEUED_READS = 64
"""Reads that wait in a direction before its sender is no longer read from."""
RECORDED_BYTES = 1 << 23
"""Bytes of a world that are kept for a duplicated connection: the first ones."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a socket an RST."""


class Direction(Enum):
    """Which way bytes go."""

    TO_REALM = "to the realm"
    TO_WORLD = "to the world"


@dataclass(frozen=True)
class Conditions:
    """The faults that last: how slow a link is. Zero is none."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    hang_until_s: float = 0.0
    """On the event loop's clock."""


class FramePosition:
    """Where in the frames of a stream its last byte was: in a header, a body, or between frames."""

    def __init__(self) -> None:
        self._header = b""
        self._body_left = 0

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._header and not self._body_left

    def until_frame(self, data: bytes) -> int:
        """How many bytes of ``data`` belong to the frame that has begun; 0 if none has."""
        if self.is_between:
            return 0
        if self._header:
            header = self._header + data[: FRAME_HEADER_SIZE - len(self._header)]
            if len(header) < FRAME_HEADER_SIZE:
                return len(data)
            size = len(header) - len(self._header) + int.from_bytes(header[1:5], "little")
            return min(size, len(data))
        return min(self._body_left, len(data))

    def advance(self, data: bytes) -> None:
        """Take bytes that were forwarded."""
        offset = 0
        while offset < len(data):
            if self._body_left:
                step = min(self._body_left, len(data) - offset)
                self._body_left -= step
                offset += step
                continue
            step = min(FRAME_HEADER_SIZE - len(self._header), len(data) - offset)
            self._header += data[offset : offset + step]
            offset += step
            if len(self._header) == FRAME_HEADER_SIZE:
                self._body_left = int.from_bytes(self._header[1:5], "little")
                self._header = b""


class Flow:
    """One direction of a connection: what is read at once is forwarded as the faults allow."""

    def __init__(
        self,
        connection: "ProxiedConnection",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        record: bytearray | None,
    ) -> None:
        self.ended = False
        """Whether its end was passed on: nothing is forwarded any more."""
        self.drops = False
        self.truncates = False
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self._record = record
        self._position = FramePosition()
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_READS)
        # drain() then waits until everything is with the kernel, which a cut cannot take back.
        writer.transport.set_write_buffer_limits(high=0)

    async def read(self) -> None:
        """Take what comes until the sender's end; an empty read is queued as that end."""
        loop = asyncio.get_running_loop()
        due_s = 0.0
        while True:
            data = await self._reader.read(READ_SIZE)
            if self._record is not None and len(self._record) < RECORDED_BYTES:
                self._record += data[: RECORDED_BYTES - len(self._record)]
            if data:
                self._connection.carried = True
            if data and self.drops:
                self._connection.hit("drop_answers")
                continue
            conditions = self._connection.conditions
            late_s = conditions.delay_s + conditions.jitter_s * self._connection.random.random()
            if late_s and data:
                self._connection.hit("delay")
            # Jitter never changes the order: this is TCP.
            due_s = max(due_s, loop.time() + late_s)
            await self._queue.put((due_s, data))
            if not data:
                return

    async def forward(self) -> None:
        """Write what was read, when it is due, until the sender's end was passed on."""
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await self._queue.get()
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            if not data:
                await self._hang()
                self.end()
                return
            await self._write(data)

    def end(self) -> None:
        """Say to the receiver that nothing more comes."""
        if not self.ended:
            self.ended = True
            if self._writer.can_write_eof() and not self._writer.transport.is_closing():
                # It may have gone with an RST that was not read yet.
                with contextlib.suppress(OSError):
                    self._writer.write_eof()

    async def _write(self, data: bytes) -> None:
        while data:
            await self._hang(hits=True)
            rate = self._connection.conditions.bytes_per_s
            piece = data[: max(1, int(rate / 20))] if rate else data
            data = data[len(piece) :]
            if self.drops:
                self._connection.hit("drop_answers")
                continue
            if self.ended:
                continue
            if rate:
                self._connection.hit("throttle")
            cut = self.truncates and self._cut_in(piece)
            if cut:
                piece = piece[:cut]
            self._position.advance(piece)
            if self._writer.transport.is_closing():
                raise ConnectionResetError("the receiver is gone")
            self._writer.write(piece)
            await self._writer.drain()
            if cut:
                self._connection.hit("truncate_frame")
                self._connection.reset()
                return
            if rate:
                await asyncio.sleep(len(piece) / rate)

    async def _hang(self, hits: bool = False) -> None:
        loop = asyncio.get_running_loop()
        while (left_s := self._connection.conditions.hang_until_s - loop.time()) > 0:
            if hits:
                self._connection.hit("hang")
            # A hang may be made shorter while it lasts.
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))

    def _cut_in(self, data: bytes) -> int:
        """Behind how many bytes of ``data`` the next frame is cut; 0 if none begins in it."""
        begin = self._position.until_frame(data)
        seen = len(data) - begin
        if not seen:
            return 0
        if seen >= FRAME_HEADER_SIZE:
            length = int.from_bytes(data[begin + 1 : begin + FRAME_HEADER_SIZE], "little")
            seen = min(seen, FRAME_HEADER_SIZE + length - 1)
        return begin + self._connection.random.randint(1, seen)


class ProxiedConnection:
    """A world's connection and its continuation to the realm."""

    def __init__(
        self,
        number: int,
        world: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        realm: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        conditions: Conditions,
        counts: Counter[str],
        seed: int,
    ) -> None:
        self.number = number
        """Counted from 1 in the order of opening."""
        self.world_address: tuple[str, int] = world[1].get_extra_info("peername")[:2]
        self.conditions = conditions
        self.carried = False
        """Whether any bytes have come, from either side."""
        self.record = bytearray()
        """What the world has sent so far, at most `RECORDED_BYTES`."""
        self.random = random.Random(seed)
        self._counts = counts
        self._armed: set[str] = set()
        self._over = asyncio.Event()
        self._forwarding = len(Direction)
        self._writers = (world[1], realm[1])
        self._drop_timer: asyncio.TimerHandle | None = None
        self.flows = {
            Direction.TO_REALM: Flow(self, world[0], realm[1], self.record),
            Direction.TO_WORLD: Flow(self, realm[0], world[1], None),
        }

    @property
    def is_over(self) -> bool:
        """Whether the connection carries nothing any more."""
        return self._over.is_set()

    def arm(self, kind: str) -> None:
        """A fault was commanded: the first traffic that it hits counts it, once."""
        self._armed.add(kind)

    def hit(self, kind: str) -> None:
        """A fault has hit traffic."""
        if kind in self._armed:
            self._armed.remove(kind)
            self._counts[kind] += 1

    def drop_answers(self, for_s: float) -> None:
        """Let what the realm says vanish, and cut the link after ``for_s`` seconds."""
        self.flows[Direction.TO_WORLD].drops = True
        if self._drop_timer is not None:
            self._drop_timer.cancel()
        self._drop_timer = asyncio.get_running_loop().call_later(for_s, self.reset)

    def reset(self) -> None:
        """End the connection with an RST to both sides; nothing that waits is sent."""
        for writer in self._writers:
            connection = writer.get_extra_info("socket")
            if connection is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
        self._over.set()

    async def run(self) -> None:
        """Forward until both directions have ended or the connection was reset."""
        flows = self.flows.values()
        tasks = [
            asyncio.create_task(self._guarded(work))
            for flow in flows
            for work in (flow.read(), self._forward(flow))
        ]
        try:
            await self._over.wait()
        finally:
            self._over.set()
            if self._drop_timer is not None:
                self._drop_timer.cancel()
            for task in tasks:
                task.cancel()
            # At once: whoever cancels this may do so while it waits below.
            for writer in self._writers:
                writer.close()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self._writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _forward(self, flow: Flow) -> None:
        await flow.forward()
        self._forwarding -= 1
        if not self._forwarding:
            self._over.set()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """A side that is gone, by an RST of its own, is gone for the other side as well."""
        try:
            await work
        except OSError:
            self.reset()
        except Exception:
            self.reset()
            raise
