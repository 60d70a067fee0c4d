"""A proxy that knows frames and cuts a link at one of them, before or after it has passed."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

HEADER = 5
TRADE_OPCODES = frozenset({0x80, 0x85, 0x86, 0x87})
"""Commits and their answers, and the packets of trades."""
UP, DOWN = "world to realm", "realm to world"
Cut = Callable[[str, int, int], str]
"""Asked for each frame: its direction, its opcode and which of `TRADE_OPCODES` it is, counted per
direction over all links; gives "before", "after", "swallow" or ""."""


class CuttingProxy:
    """``async with`` it; ``cut`` decides. ``seen`` are the opcodes that came, by direction."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.seen: dict[str, list[int]] = {UP: [], DOWN: []}
        self.cut: Cut = lambda direction, opcode, number: ""
        self.cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        """Every link, at once."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open += [writer, up_writer]
        for direction, source, target, back in (
            (UP, reader, up_writer, writer),
            (DOWN, up_reader, writer, up_writer),
        ):
            task = asyncio.create_task(self._pass(direction, source, target, back))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self,
        direction: str,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        try:
            while True:
                head = await source.readexactly(HEADER)
                body = await source.readexactly(int.from_bytes(head[1:], "little"))
                what = ""
                if head[0] in TRADE_OPCODES:
                    self.seen[direction].append(head[0])
                    what = self.cut(direction, head[0], len(self.seen[direction]) - 1)
                if what == "swallow":
                    continue
                if what:
                    self.cuts += 1
                if what == "before":
                    break
                target.write(head + body)
                if what == "after":
                    await target.drain()
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        # What was passed on arrives; whatever else was on its way does not.
        target.close()
        back.transport.abort()
