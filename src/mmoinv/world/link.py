"""The link to the realm: an asyncio Protocol around the sans-IO link. Bytes and time, no more."""

import asyncio
from collections.abc import Callable
from typing import cast

from mmoinv.wire import LinkBroken, WorldEvent, WorldLink

TICK_S = 1.0


class RealmServerLink(asyncio.Protocol):
    """One connection to a realm. ``receive`` is called with each event, in order; ``lost`` once,
    with the reason, when the connection is gone."""

    def __init__(self, receive: Callable[[WorldEvent], None], lost: Callable[[str], None]) -> None:
        self.wire = WorldLink()
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return self._transport is not None and not self._transport.is_closing()

    def flush(self) -> None:
        """Write what the link has to send."""
        data = self.wire.data_to_send()
        if data and self._transport is not None and self.is_open:
            self._transport.write(data)

    async def close(self) -> None:
        """Write what is left, close, and wait until that is done."""
        if self._transport is not None:
            self.flush()
            self._transport.close()
            await self._closed.wait()

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._tick()

    def data_received(self, data: bytes) -> None:
        self._handle(self.wire.receive_data(data))

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.wire.receive_eof()
        self._transport = None
        self._closed.set()
        self._lost(self.wire.broken_reason or str(error or "the link was closed"))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_S, self._tick)
        self._handle(self.wire.tick(loop.time()))

    def _handle(self, events: list[WorldEvent | LinkBroken]) -> None:
        for event in events:
            if isinstance(event, LinkBroken):
                if self._transport is not None:
                    self._transport.abort()
            else:
                self._receive(event)
        self.flush()
