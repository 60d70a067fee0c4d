"""The way to the realm: connects, logs on, and does so again after a while.

Knows addresses, secrets and time; no characters and no operations.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mmoinv.errors import ConfigurationError, LinkError, LogonError, TlsError
from mmoinv.tls import TlsTransport
from mmoinv.wire import Dialect, LogonAccepted, LogonRefused, WorldEvent
from mmoinv.world.link import RealmServerLink
from mmoinv.world.trust import Trust

FIRST_PAUSE_S = 0.1


@dataclass(frozen=True)
class RealmAddress:
    """Where the realm is and who logs on. ``process_nonce`` (u64) tells this process from others
    of the same world: with it sessions are claimed again."""

    host: str
    port: int
    world: str
    secret: str = field(repr=False)
    dialect: Dialect
    trust: Trust | None = None
    """None: plain text."""
    process_nonce: int = field(default_factory=lambda: secrets.randbits(64))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Uplink:
    """One link at a time to one realm. ``receive`` is called with the events after the logon,
    ``lost`` with the reason when a link that had logged on is gone."""

    def __init__(
        self,
        address: RealmAddress,
        connect_timeout_s: float,
        receive: Callable[[WorldEvent], None],
        lost: Callable[[str], None],
    ) -> None:
        self.address = address
        self.link: RealmServerLink | None = None
        """The link that has logged on, None if there is none."""
        self.lost_reason = ""
        """Why the last one was lost."""
        self._connect_timeout_s = connect_timeout_s
        self._receive = receive
        self._lost = lost

    async def connect(self) -> LogonAccepted:
        """Connect and log on. `LinkError` if nobody listens or answers, `TlsError` if the two do
        not come to speak TLS, `LogonError` if the realm refuses."""
        loop = asyncio.get_running_loop()
        address = self.address
        logon: asyncio.Future[LogonAccepted] = loop.create_future()

        def receive(event: WorldEvent) -> None:
            if not isinstance(event, LogonAccepted | LogonRefused):
                self._receive(event)
            elif logon.done():
                return
            elif isinstance(event, LogonAccepted):
                # From here on its loss is told: the caller may not have run yet.
                self.link = link
                logon.set_result(event)
            else:
                refusal = f"world {address.world!r} was refused at {address}: {event.reason}"
                logon.set_exception(LogonError(refusal, event.status))

        def lost(error: LinkError) -> None:
            if isinstance(error, TlsError):
                error = TlsError(f"no TLS with the realm at {address}: {error}")
            if self.link is not None and self.link is link:
                self.link, self.lost_reason = None, str(error)
                self._lost(self.lost_reason)
            elif not logon.done():
                logon.set_exception(error)

        link = RealmServerLink(receive, lost)
        try:
            protocol = _protocol(link, address)
            async with asyncio.timeout(self._connect_timeout_s):
                await loop.create_connection(lambda: protocol, address.host, address.port)
                link.wire.begin_logon(
                    address.world, address.secret, address.process_nonce, address.dialect.number
                )
                link.flush()
                return await logon
        except TimeoutError:
            await _close(link)
            raise LinkError(
                f"the realm at {address} did not answer within {self._connect_timeout_s:g} s"
            ) from None
        except OSError as error:
            raise LinkError(
                f"no realm can be reached at {address}: {error.strerror or error}. Is it running?"
            ) from None
        except BaseException:
            self.link = None
            await _close(link)
            raise

    async def close(self) -> None:
        """Write what is left, and close; its loss is not told."""
        link, self.link = self.link, None
        await _close(link)


def _protocol(link: RealmServerLink, address: RealmAddress) -> asyncio.Protocol:
    """What the socket talks to."""
    if address.trust is None:
        return link
    try:
        return TlsTransport(link, address.trust.context(), address.host)
    except ConfigurationError as error:
        # They could be read when the connector was made.
        raise TlsError(str(error)) from None


async def _close(link: RealmServerLink | None) -> None:
    if link is not None:
        await link.close()


def pauses_s(longest_s: float) -> Iterator[float]:
    """Between the attempts to connect, for ever: twice as long each time, up to ``longest_s``.
    Jitter keeps many worlds from coming back at the same instant."""
    pause_s = FIRST_PAUSE_S
    while True:
        pause_s = min(pause_s, longest_s)
        yield random.uniform(pause_s / 2, pause_s)
        pause_s *= 2
