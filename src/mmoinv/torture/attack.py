"""How each fault of the schedule is done, to real processes, sockets and a real database.

Knows the realm as a process and the worlds as objects; judges nothing.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, select

from mmoinv.errors import MmoinvError
from mmoinv.stores import store_for
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.tables import SESSION
from mmoinv.torture.proxied import Direction
from mmoinv.torture.schedule import Fault, FaultKind
from mmoinv.torture.worlds import TortureWorld

NOT_DONE = frozenset(
    {
        FaultKind.KILL_DATABASE,
        FaultKind.CLOCK_JUMP,
        FaultKind.FULL_DISK,
        FaultKind.DEADLOCK,
    }
)
"""Kinds that no run does yet."""
LISTENS_WITHIN_S = 30.0
LONGEST_HANG_S = 6.0
FIGHT_S = 10.0
"""Longer than a realm waits for a world to let a character go, and than locks are held; shorter
than a link may be silent."""
DIRECTIONS = {"to the realm": Direction.TO_REALM, "to the world": Direction.TO_WORLD}


class RealmProcess:
    """``mmoinv realm`` as a process of its own, started and killed again and again."""

    def __init__(self, database: str, port: int, log: Path) -> None:
        self.port = port
        self.starts = 0
        self._command = [
            *(sys.executable, "-m", "mmoinv", "realm", "--database", database),
            *("--port", str(port), "--log-level", "warning"),
        ]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

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
                return
            await asyncio.sleep(0.02)
        raise MmoinvError(
            f"the realm did not listen within {LISTENS_WITHIN_S:g} s, see {self._log}"
        )

    async def _start_once(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
            )
        self.starts += 1

    async def send(self, number: signal.Signals) -> None:
        """Send it a signal; of one that ends it, wait for the end."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            await self._process.wait()

    async def end(self) -> None:
        """End it as an operator would."""
        if self._process is not None and self._process.returncode is None:
            await self.send(signal.SIGTERM)


class Attack:
    """Does the faults of a schedule, each at its time."""

    def __init__(self, realm: RealmProcess, worlds: dict[str, TortureWorld], database: str) -> None:
        self.done: Counter[str] = Counter()
        """Faults by kind."""
        self._realm = realm
        self._worlds = worlds
        self._database = database
        self._realm_lock = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, faults: list[Fault], tell: "asyncio.Queue[Fault] | None" = None) -> None:
        """Do all of them, and wait for the last to be over."""
        start_s = time.monotonic()
        for fault in faults:
            await asyncio.sleep(max(0.0, start_s + fault.at_s - time.monotonic()))
            task = asyncio.create_task(self._do(fault), name=fault.kind)
            self._running.add(task)
            if tell is not None:
                tell.put_nowait(fault)
        results = await asyncio.gather(*self._running, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for world in self._worlds.values():
            world.proxy.calm()

    async def _do(self, fault: Fault) -> None:
        world = self._worlds.get(fault.target)
        match fault.kind:
            case FaultKind.KILL_REALM | FaultKind.RESTART_REALM_IN_GROUP:
                await self._kill_realm(fault)
            case FaultKind.LOCK_TIMEOUT:
                await self._hold_locks(fault)
            case FaultKind.KILL_WORLD:
                assert world is not None
                await world.die()
                await asyncio.sleep(fault.duration_s)
                await world.start()
            case FaultKind.FIGHT:
                assert world is not None
                await self._fight(fault, world)
            case _:
                assert world is not None
                await self._spoil(fault, world)
        self.done[fault.kind] += 1

    async def _kill_realm(self, fault: Fault) -> None:
        async with self._realm_lock:
            left_s = fault.duration_s
            if fault.kind is FaultKind.RESTART_REALM_IN_GROUP:
                await self._realm.send(signal.SIGSTOP)
                stopped_s = float(fault.parameters["stopped_s"])
                await asyncio.sleep(stopped_s)
                left_s -= stopped_s
            await self._realm.send(signal.SIGKILL)
            await asyncio.sleep(max(0.0, left_s))
            await self._realm.start()

    async def _fight(self, fault: Fault, world: TortureWorld) -> None:
        """A rival wants a character whose world cannot hear that: its link hangs for longer than
        the realm waits, and what it has sent meanwhile comes when the character is the rival's."""
        rival = self._worlds[str(fault.parameters["rival"])]
        mine = sorted(world.wanted)
        if not mine:
            return
        guid = mine[int(fault.parameters["character"]) % len(mine)]
        world.proxy.hang(FIGHT_S)
        rival.wanted.add(guid)
        await asyncio.sleep(FIGHT_S + 1)
        world.wanted.discard(guid)

    async def _hold_locks(self, fault: Fault) -> None:
        """Somebody else's transaction holds the rows of a character (on SQLite the file)."""
        everyone = sorted({guid for world in self._worlds.values() for guid in world.wanted})
        guid = everyone[int(fault.parameters["character"]) % len(everyone)]

        def hold(connection: Connection) -> None:
            connection.execute(
                select(SESSION.c.version).where(SESSION.c.character_guid == guid).with_for_update()
            )
            time.sleep(fault.duration_s)

        def work() -> None:
            store = store_for(self._database)
            assert isinstance(store, SqlStore)
            # Busy itself, it has held nothing: the realm was quicker.
            with contextlib.suppress(MmoinvError):
                asyncio.run(store.inspect(hold))

        await asyncio.to_thread(work)

    async def _spoil(self, fault: Fault, world: TortureWorld) -> None:
        proxy, parameters = world.proxy, fault.parameters
        match fault.kind:
            case FaultKind.CUT:
                proxy.cut()
            case FaultKind.HALF_CLOSE:
                proxy.half_close(DIRECTIONS[str(parameters["direction"])])
            case FaultKind.TRUNCATE_FRAME:
                proxy.truncate_frame(DIRECTIONS[str(parameters["direction"])])
            case FaultKind.DUPLICATE_CONNECTIONS:
                proxy.duplicate_connections()
            case FaultKind.DROP_ANSWERS:
                proxy.drop_answers(fault.duration_s)
            case FaultKind.HANG:
                proxy.hang(min(fault.duration_s, LONGEST_HANG_S))
            case FaultKind.DELAY:
                proxy.delay(float(parameters["seconds"]), float(parameters["jitter"]))
                await asyncio.sleep(fault.duration_s)
                proxy.delay(0)
            case FaultKind.THROTTLE:
                proxy.throttle(float(parameters["bytes_per_s"]))
                await asyncio.sleep(fault.duration_s)
                proxy.throttle(0)
