"""`FaultProxy`: a TCP proxy between world servers and their realm that spoils links on command.

Does not know what a packet means (it cuts frames by their header), nor when a fault is due.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace
from types import TracebackType
from typing import Self

from mmoinv.errors import ConfigurationError
from mmoinv.torture.proxied import READ_SIZE, Conditions, Direction, ProxiedConnection

LISTEN_HOST = "127.0.0.1"
DUPLICATE_TIMEOUT_S = 15.0
"""How long a duplicated connection is left open for the realm to refuse it."""


class FaultProxy:
    """Listens on a free loopback port and forwards to ``target``, a host and a port.

    ``async with`` it, or `start` and `close`. Belongs to one event loop. Faults are commands, for
    one of `connections` or, without one, for all. What lasts (`delay`, `throttle`, `hang`) then
    holds for later connections too; all else is done to those that are open. Each command gives
    the number of connections that it was given to; `counts` says how many it has hit. Times are
    in seconds of the event loop. ``seed`` decides jitter and where a frame is cut.
    """

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self.target: tuple[str, int] = (host, port)
        """Where new connections go; may be set while the proxy runs."""
        self.counts: Counter[str] = Counter()
        """By the name of the command: the connections whose traffic it has hit, counted once a
        command and connection."""
        self.refused_duplicates = 0
        """Duplicated connections that the realm has closed."""
        self.port = 0
        """Where worlds connect to; 0 before `start`."""
        self._seed = seed
        self._conditions = Conditions()
        self._lasting: set[str] = set()
        self._opened = 0
        self._connections: dict[int, ProxiedConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._server: asyncio.Server | None = None

    @property
    def host(self) -> str:
        """Where worlds connect to."""
        return LISTEN_HOST

    @property
    def connections(self) -> tuple[ProxiedConnection, ...]:
        """The open connections, oldest first."""
        return tuple(each for each in self._connections.values() if not each.is_over)

    async def start(self) -> None:
        """Listen. Raises `OSError` if no port is to be had."""
        self._server = await asyncio.start_server(self._accept, LISTEN_HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut what is open and end; no task is left. Raises what a connection failed with, if it
        was neither side's doing."""
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            connection.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A transport closes its socket in the next turn of the loop.
        await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        if self._failures:
            raise self._failures[0]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Faults that are done at once

    def cut(self, connection: ProxiedConnection | None = None) -> int:
        """RST to both sides, at once; what waits in the proxy is lost."""
        chosen = self._chosen(connection, "cut")
        for each in chosen:
            if each.carried:
                each.hit("cut")
            each.reset()
        return len(chosen)

    def half_close(self, direction: Direction, connection: ProxiedConnection | None = None) -> int:
        """End one direction as if its sender had; what comes later in it vanishes, the other
        direction goes on."""
        chosen = self._chosen(connection, "half_close")
        for each in chosen:
            if each.carried and not each.flows[direction].ended:
                each.hit("half_close")
            each.flows[direction].end()
        return len(chosen)

    def truncate_frame(
        self, direction: Direction, connection: ProxiedConnection | None = None
    ) -> int:
        """Forward a part of the next frame that begins in a direction, at least one byte and
        never all of it, then cut."""
        chosen = self._chosen(connection, "truncate_frame")
        for each in chosen:
            each.flows[direction].truncates = True
        return len(chosen)

    def drop_answers(self, for_s: float, connection: ProxiedConnection | None = None) -> int:
        """Let what the realm says vanish for ``for_s`` seconds, then cut: commits are done, their
        answers are lost."""
        chosen = self._chosen(connection, "drop_answers")
        for each in chosen:
            each.drop_answers(for_s)
        return len(chosen)

    def duplicate_connections(self, connection: ProxiedConnection | None = None) -> int:
        """Send what each world has sent so far to the realm once more, over a connection of its
        own. Its answers vanish; `refused_duplicates` counts those that the realm then closes."""
        chosen = self._chosen(connection, "duplicate_connections")
        for each in chosen:
            self._start(self._duplicate(each, bytes(each.record)))
        return len(chosen)

    # Faults that last

    def delay(
        self, seconds: float, jitter: float = 0.0, connection: ProxiedConnection | None = None
    ) -> int:
        """Let bytes come ``seconds`` later, and up to ``jitter`` seconds more, each way, in
        order. 0 ends it for bytes that come from then on."""
        return self._last("delay", connection, delay_s=_checked(seconds), jitter_s=_checked(jitter))

    def throttle(self, bytes_per_s: float, connection: ProxiedConnection | None = None) -> int:
        """Forward at most ``bytes_per_s`` in each direction of a connection. 0 ends it."""
        return self._last("throttle", connection, bytes_per_s=_checked(bytes_per_s))

    def hang(self, for_s: float, connection: ProxiedConnection | None = None) -> int:
        """Forward nothing and close nothing for ``for_s`` seconds, then go on where it was."""
        until_s = asyncio.get_running_loop().time() + _checked(for_s)
        return self._last("hang", connection, hang_until_s=until_s)

    def calm(self) -> None:
        """End delay and throttle for all connections; a hang that has begun ends by itself."""
        self.delay(0)
        self.throttle(0)

    # Inside

    def _chosen(
        self, connection: ProxiedConnection | None, kind: str
    ) -> tuple[ProxiedConnection, ...]:
        chosen = self.connections if connection is None else (connection,)
        chosen = tuple(each for each in chosen if not each.is_over)
        for each in chosen:
            each.arm(kind)
        return chosen

    def _last(self, kind: str, connection: ProxiedConnection | None, **changes: float) -> int:
        chosen = self._chosen(connection, kind)
        for each in chosen:
            each.conditions = replace(each.conditions, **changes)
        if connection is None:
            self._conditions = replace(self._conditions, **changes)
            self._lasting.add(kind)
        return len(chosen)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._carry(reader, writer))

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            realm = await asyncio.open_connection(*self.target)
        except BaseException as error:
            # No realm there: the world sees its connection end.
            writer.transport.abort()
            if not isinstance(error, OSError):
                raise
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return
        self._opened += 1
        number = self._opened
        connection = ProxiedConnection(
            number, (reader, writer), realm, self._conditions, self.counts, self._seed + number
        )
        for kind in self._lasting:
            connection.arm(kind)
        self._connections[number] = connection
        try:
            await connection.run()
        finally:
            del self._connections[number]

    async def _duplicate(self, connection: ProxiedConnection, data: bytes) -> None:
        try:
            reader, writer = await asyncio.open_connection(*self.target)
        except OSError:
            return
        try:
            if data:
                connection.hit("duplicate_connections")
            async with asyncio.timeout(DUPLICATE_TIMEOUT_S):
                writer.write(data)
                await writer.drain()
                while await reader.read(READ_SIZE):
                    pass
            self.refused_duplicates += 1
        except TimeoutError:
            pass
        except OSError:
            self.refused_duplicates += 1
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _checked(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"{value!r} is neither 0 nor a positive number: nothing was done")
    return value
