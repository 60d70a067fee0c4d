"""A world of a torture run, as whoever started its process sees it: started, killed, ordered about.

What it does is in `mmoinv.torture.world_process`. Does not know which fault is done when.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmoinv.torture.clock import set_clock
from mmoinv.torture.proxy import FaultProxy
from mmoinv.torture.world_process import WorldSettings, WorldState

FINISH_MORE_S = 20.0
"""How long a process that finishes may take beyond what it was given."""


class Insisted:
    """A commit that a world was ordered to make."""

    def __init__(self) -> None:
        self.operation: int | None = None
        """Its id, once it is in the journal; 0: it could not be."""
        self.is_answered = False


class TortureWorld:
    """One world: `start`, `die` as often as wanted, `finish`. Each start is a new process with a
    journal of its own, ``NAME-1.jsonl`` and on in ``folder``."""

    def __init__(
        self,
        name: str,
        secret: str,
        proxy: FaultProxy,
        guids: Iterable[int],
        mailbox: int,
        folder: Path,
        seed: int,
        has_outbox: bool,
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.wanted = {*guids, mailbox}
        """Characters that it plays; a fight moves them from world to world."""
        self.clock = folder / f"{name}.clock"
        self.starts = 0
        self.state = WorldState()
        self.problems: list[str] = []
        """Its process ended, and nobody had killed it nor told it to finish."""
        self._may_end = False
        self._secret = secret
        self._mailbox = mailbox
        self._folder = folder
        self._seed = seed
        self._outbox = str(folder / f"{name}.outbox") if has_outbox else ""
        self._acknowledged_before = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._insisted: dict[int, Insisted] = {}
        self._finished: bool | None = None
        set_clock(self.clock)

    @property
    def is_connected(self) -> bool:
        """Whether it has a link to the realm, as far as it has said."""
        return self.state.is_connected

    @property
    def acknowledged(self) -> int:
        """Operations that were answered as committed, by all its processes."""
        return self._acknowledged_before + self.state.acknowledged

    def holds(self, *guids: int) -> bool:
        """Whether these characters' sessions are its own, as far as it knows."""
        return set(guids) <= set(self.state.holds)

    async def start(self) -> None:
        """Start its process, which logs on and plays by itself."""
        self.starts += 1
        self._may_end = False
        with (self._folder / "worlds.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mmoinv.torture.world_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the run, which ends it.
                start_new_session=True,
            )
        settings = WorldSettings(
            self.name,
            self._secret,
            self.proxy.host,
            self.proxy.port,
            sorted(self.wanted),
            self._mailbox,
            str(self._folder / f"{self.name}-{self.starts}.jsonl"),
            self._outbox,
            str(self.clock),
            self._seed + self.starts,
        )
        self._write(asdict(settings))
        self._reading = asyncio.create_task(self._read(self._process))

    async def die(self) -> None:
        """kill -9."""
        if self._process is None:
            return
        self._may_end = True
        # Not `Process.kill`: it may take the exit code away from whoever waits for it.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        await self._ended()

    async def _ended(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        if self._reading is not None:
            await self._reading
        self._process = None
        self._acknowledged_before += self.state.acknowledged
        self.state = WorldState()

    async def finish(self, timeout_s: float) -> bool:
        """Stop playing, wait for every answer, leave; False if some did not come in time."""
        self._order("finish", timeout_s=timeout_s)
        try:
            async with asyncio.timeout(timeout_s + FINISH_MORE_S):
                if self._reading is not None:
                    await asyncio.shield(self._reading)
        except TimeoutError:
            pass
        await self.die()
        return bool(self._finished)

    # Orders

    def want(self, guid: int) -> None:
        """It plays a character from now on."""
        self.wanted.add(guid)
        self._order("want", guid=guid)

    def let_go(self, guid: int) -> None:
        """It asks for a character no more."""
        self.wanted.discard(guid)
        self._order("let go", guid=guid)

    def pause(self) -> None:
        """It does nothing by itself until `play`."""
        self._order("pause")

    def play(self) -> None:
        """It plays again."""
        self._order("play")

    def insist(self, guids: Collection[int]) -> Insisted:
        """Let it commit something of all these characters there and then."""
        number = next(self._numbers)
        insisted = self._insisted[number] = Insisted()
        self._order("insist", number=number, guids=list(guids))
        return insisted

    def _order(self, order: str, **fields: Any) -> None:
        self._write({"order": order, **fields})

    def _write(self, line: dict[str, Any]) -> None:
        # A world that is dead learns what is wanted when it is started again.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(ValueError):  # The end of one that was killed.
                self._take(json.loads(line))
        code = await process.wait()
        if not self._may_end:
            log = self._folder / "worlds.log"
            self.problems.append(
                f"{self.name}'s process {self.starts} ended by itself with {code}, see {log}"
            )

    def _take(self, report: dict[str, Any]) -> None:
        match report:
            case {"state": fields}:
                self.state = WorldState(**fields)
            case {"insisted": number, "operation": operation}:
                self._insisted[number].operation = operation
            case {"answered": number}:
                self._insisted[number].is_answered = True
            case {"finished": answered}:
                self._finished, self._may_end = answered, True
