"""The link to the realm: an asyncio Protocol around the sans-IO link. Bytes and time, no more."""

import asyncio
from collections.abc import Callable
from typing import cast

from mmoinv.errors import LinkError, TlsError
from mmoinv.wire import LinkBroken, LinkState, WorldEvent, WorldLink

TICK_S = 1.0
REFUSED_BY_TLS = b"\x15\x03"
"""How a realm that speaks TLS begins its answer to one that does not."""


class RealmServerLink(asyncio.Protocol):
    """One connection to a realm. ``receive`` is called with each event, in order; ``lost`` once,
    with the error that says why, when the connection is gone."""

    def __init__(
        self, receive: Callable[[WorldEvent], None], lost: Callable[[LinkError], None]
    ) -> None:
        self.wire = WorldLink()
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._broken_by: TlsError | None = None
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
        if data.startswith(REFUSED_BY_TLS) and self.wire.state is LinkState.CHALLENGE:
            # It is no packet of ours: the realm has no packet of that number.
            self._broken_by = TlsError(
                "the realm speaks TLS, and this world does not: set tls_ca, or tls=True"
            )
            self.abort()
            return
        self._handle(self.wire.receive_data(data))

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.wire.receive_eof()
        self._transport = None
        self._closed.set()
        if isinstance(error, TlsError) or self._broken_by is not None:
            self._lost(self._broken_by or cast(TlsError, error))
            return
        reason = self.wire.broken_reason or str(error or "the link was closed")
        self._lost(LinkError(f"the link to the realm was lost: {reason}"))

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
