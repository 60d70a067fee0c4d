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
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, select

from mmoinv.errors import MmoinvError
from mmoinv.repository import OperationHandle
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
FIGHT_S = 14.0
"""Longer than a realm waits for a world to let a character go, and than locks are held; shorter
than a link may be silent."""
READY_WITHIN_S = 15.0
"""How long a fault waits for what it needs; then it is left out."""
BUSY_OPERATIONS = 20
"""So many answers make a realm a busy one."""
LOOK_EVERY_S = 0.02
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
        """Faults by kind; one that found nothing to do is in none."""
        self._realm = realm
        self._worlds = worlds
        self._database = database
        self._realm_lock = asyncio.Lock()
        self._hangs = {name: asyncio.Lock() for name in worlds}
        """Who lets a world's link hang; a second one would end it too soon."""
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
            case FaultKind.KILL_REALM:
                async with self._realm_lock:
                    await self._realm.send(signal.SIGKILL)
                    await asyncio.sleep(fault.duration_s)
                    await self._realm.start()
            case FaultKind.RESTART_REALM_IN_GROUP:
                if not await self._restart_in_group(fault):
                    return
            case FaultKind.LOCK_TIMEOUT:
                await self._hold_locks(fault)
            case FaultKind.KILL_WORLD:
                assert world is not None
                await world.die()
                await asyncio.sleep(fault.duration_s)
                await world.start()
            case FaultKind.FIGHT:
                assert world is not None
                if not await self._fight(fault, world):
                    return
            case _:
                assert world is not None
                await self._spoil(fault, world)
        self.done[fault.kind] += 1

    async def _restart_in_group(self, fault: Fault) -> bool:
        """The realm stands still just when it has answered, with the next group underway."""
        async with self._realm_lock:
            enough = self._acknowledged() + BUSY_OPERATIONS
            if not await _until(lambda: self._acknowledged() >= enough, READY_WITHIN_S):
                return False
            await self._realm.send(signal.SIGSTOP)
            stopped_s = float(fault.parameters["stopped_s"])
            await asyncio.sleep(stopped_s)
            await self._realm.send(signal.SIGKILL)
            await asyncio.sleep(max(0.0, fault.duration_s - stopped_s))
            await self._realm.start()
        return True

    def _acknowledged(self) -> int:
        return sum(world.acknowledged for world in self._worlds.values())

    async def _fight(self, fault: Fault, world: TortureWorld) -> bool:
        """A rival wants a character whose world cannot hear that: its link hangs for longer than
        the realm waits, and what it has committed meanwhile comes when the character is the
        rival's, who has committed as well."""
        rival = self._worlds[str(fault.parameters["rival"])]
        async with self._hangs[fault.target]:
            mine = sorted(world.wanted)
            if not mine:
                return False
            guid = mine[int(fault.parameters["character"]) % len(mine)]
            if not await _until(
                lambda: world.is_connected and world.holds(guid) and rival.is_connected,
                READY_WITHIN_S,
            ):
                return False
            world.proxy.hang(FIGHT_S)
            try:
                stale = world.insist(guid)
                rival.wanted.add(guid)
                if not await _until(lambda: rival.holds(guid), FIGHT_S - 2):
                    return False
                await _answer(rival.insist(guid))
            except MmoinvError:
                return False
            finally:
                rival.wanted.add(guid)
                world.wanted.discard(guid)
                world.proxy.hang(0)
        return await _answer(stale)

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
                async with self._hangs[fault.target]:
                    hang_s = min(fault.duration_s, LONGEST_HANG_S)
                    proxy.hang(hang_s)
                    await asyncio.sleep(hang_s)
            case FaultKind.DELAY:
                proxy.delay(float(parameters["seconds"]), float(parameters["jitter"]))
                await asyncio.sleep(fault.duration_s)
                proxy.delay(0)
            case FaultKind.THROTTLE:
                proxy.throttle(float(parameters["bytes_per_s"]))
                await asyncio.sleep(fault.duration_s)
                proxy.throttle(0)


async def _until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for something; False if it did not come in time."""
    until_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def _answer(handle: OperationHandle) -> bool:
    """Wait for an operation's answer, yes or no; False if none came in time, or its world died."""
    return await _until(lambda: handle.done, READY_WITHIN_S)
