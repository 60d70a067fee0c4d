"""The realm of a torture run, as whoever started its process sees it: started, killed, limited.

Knows nothing of worlds, and of its database the URL alone.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from mmoinv.errors import MmoinvError
from mmoinv.torture.clock import set_clock

LISTENS_WITHIN_S = 30.0


class RealmProcess:
    """``mmoinv realm`` as a process of its own, started and killed again and again."""

    def __init__(self, database: str, port: int, folder: Path) -> None:
        self.port = port
        self.starts = 0
        self.clock = folder / "realm.clock"
        self.listening_s = 0.0
        """When it listened last, on the machine's monotonic clock."""
        self._command = [
            *(sys.executable, "-m", "mmoinv.torture.realm_process", str(self.clock)),
            *("--database", database, "--port", str(port), "--log-level", "warning"),
        ]
        self.problems: list[str] = []
        """It listened, and then it ended, and nobody had sent it a signal."""
        self._may_end = True
        self._log = folder / "realm.log"
        self._process: asyncio.subprocess.Process | None = None
        self._copying: asyncio.Task[None] | None = None
        set_clock(self.clock)

    @property
    def pid(self) -> int:
        """Of the present process."""
        assert self._process is not None
        return self._process.pid

    def said(self, text: str) -> int:
        """How often something stands in its log."""
        return self._log.read_text(errors="replace").count(text)

    async def start(self) -> None:
        """Start it, again if it ends, as a supervisor would, until it listens; `MmoinvError` if it
        does not. It may well end: the database may be locked."""
        until_s = time.monotonic() + LISTENS_WITHIN_S
        while time.monotonic() < until_s:
            if self._process is None or self._process.returncode is not None:
                await self._start_once()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                self.listening_s = time.monotonic()
                self._may_end = False
                return
            await asyncio.sleep(0.02)
        raise MmoinvError(
            f"the realm did not listen within {LISTENS_WITHIN_S:g} s, see {self._log}"
        )

    async def _start_once(self) -> None:
        # Through a pipe: a realm whose disk is full can still say so.
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._copying = asyncio.create_task(self._copy(self._process))
        self.starts += 1

    async def _copy(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with self._log.open("ab", buffering=0) as log:
            while data := await process.stdout.read(1 << 16):
                log.write(data)
        code = await process.wait()
        if not self._may_end:
            self.problems.append(
                f"the realm's process {self.starts} ended by itself with {code}, see {self._log}"
            )

    async def send(self, number: signal.Signals) -> None:
        """Send it a signal; of one that ends it, wait for the end."""
        assert self._process is not None
        ends = number in (signal.SIGKILL, signal.SIGTERM)
        self._may_end = self._may_end or ends
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
        if ends:
            await self._process.wait()
            if self._copying is not None:
                await self._copying

    def limit_files(self, size: int | None) -> None:
        """None of its files grows beyond ``size`` bytes; None: as large as they want."""
        import resource

        soft = resource.RLIM_INFINITY if size is None else size
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    async def end(self) -> None:
        """End it as an operator would."""
        if self._process is not None and self._process.returncode is None:
            await self.send(signal.SIGTERM)
