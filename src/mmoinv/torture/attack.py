"""How each fault of the schedule is done, to real processes, sockets and a real database.

Knows realm, worlds and database server as processes; judges nothing.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path

from mmoinv.torture.clock import set_clock
from mmoinv.torture.database_faults import DatabaseFaults
from mmoinv.torture.proxied import Direction
from mmoinv.torture.realm import RealmProcess
from mmoinv.torture.schedule import DATABASE_FAULTS, KILLS, REALM, Fault, FaultKind
from mmoinv.torture.waiting import LOOK_EVERY_S, until
from mmoinv.torture.worlds import TortureWorld

LONGEST_HANG_S = 6.0
FIGHT_S = 14.0
"""Longer than a realm waits for a world to let a character go, and than locks are held; shorter
than a link may be silent."""
STANDSTILL_S = 8.0
"""How long a fault waits for the worlds to be at work again once the one before it is over; then it
is done all the same."""
READY_WITHIN_S = 15.0
"""How long a fault waits for what it needs; then it is left out."""
HIT_WITHIN_S = 5.0
"""How long a fault of a link waits for traffic that it hits."""
ALL_OVER_WITHIN_S = 120.0
BUSY_OPERATIONS = 20
"""So many answers make a realm a busy one."""
OF_LINKS = frozenset(FaultKind) - KILLS - DATABASE_FAULTS - {FaultKind.CLOCK_JUMP}
OUTAGES = KILLS | DATABASE_FAULTS | {FaultKind.FIGHT}
"""They may wait for something before they take hold, say when they do, and nothing need be answered
until they are over."""
WANT_WORK = frozenset({FaultKind.FULL_DISK, FaultKind.RESTART_REALM_IN_GROUP})
"""Without operations on their way they would change nothing."""
DIRECTIONS = {"to the realm": Direction.TO_REALM, "to the world": Direction.TO_WORLD}


class Attack:
    """Does the faults of a schedule, each at its time."""

    def __init__(
        self, realm: RealmProcess, worlds: dict[str, TortureWorld], database: DatabaseFaults
    ) -> None:
        self.begun: list[Fault] = []
        """Those of the schedule that were done, with or without effect."""
        self.done: Counter[str] = Counter()
        """Faults that had effect, by kind: they came upon worlds that were at work, and found
        something to do."""
        self.at_standstill = 0
        """Faults that came though the worlds had not been answered since the one before."""
        self.recovery_ms: list[float] = []
        """For each start of the realm: from when it listened to the first answered commit."""
        self._realm = realm
        self._worlds = worlds
        self._database = database
        self._realm_lock = asyncio.Lock()
        self._database_lock = asyncio.Lock()
        self._hangs = {name: asyncio.Lock() for name in worlds}
        """Who lets a world's link hang; a second one would end it too soon."""
        self._running: set[asyncio.Task[None]] = set()
        self._has_failed = False
        self._underway = 0
        self._outages = 0
        """How many are underway."""
        self._aiming: Fault | None = None
        """The last one, as long as it has not taken hold."""
        self._struck_s = 0.0
        """When a fault took hold last, or was over: who is answered later has recovered."""

    async def run(
        self, faults: Iterable[Fault], wanted: int, tell: Callable[[Fault], object]
    ) -> None:
        """Do them, one after the other, until ``wanted`` have had effect or all were done or a
        process has died by itself; and wait for the last to be over. ``tell`` is called as each
        begins."""
        self._struck_s = start_s = time.monotonic()
        for fault in faults:
            if not await self._are_wanted(wanted):
                break
            await asyncio.sleep(max(0.0, start_s + fault.at_s - time.monotonic()))
            waiting_s = time.monotonic()
            is_at_work = await self._await_work(fault)
            start_s += time.monotonic() - waiting_s
            if self._is_dead:
                break
            self._underway += 1
            self._aiming = fault
            self.begun.append(fault)
            self._begin(self._do(fault, is_at_work), fault.kind)
            tell(fault)
        while self._running:
            await asyncio.gather(*self._running)
        for world in self._worlds.values():
            world.proxy.calm()

    async def _are_wanted(self, wanted: int) -> bool:
        """Whether more faults are; for those underway it can be waited."""
        await until(
            lambda: not self._underway or self.done.total() + self._underway < wanted,
            ALL_OVER_WITHIN_S,
        )
        return self.done.total() < wanted

    @property
    def _is_dead(self) -> bool:
        """Whether somebody has died whom nobody has killed, or does not come again: there is
        nothing more to be learnt."""
        died = bool(self._realm.problems) or any(each.problems for each in self._everybody)
        return died or self._has_failed

    async def _await_work(self, fault: Fault) -> bool:
        """False if it is a standstill."""
        waiting_s = time.monotonic()
        while not self._is_ready(fault):
            standing_s = time.monotonic() - max(waiting_s, self._struck_s)
            if not self._outages and standing_s > STANDSTILL_S:
                return False
            await asyncio.sleep(LOOK_EVERY_S)
        return True

    def _is_ready(self, fault: Fault) -> bool:
        """Whether those that a fault is for have been answered since the last one took hold."""
        if self._is_dead or self._aiming is not None:
            return self._is_dead
        if fault.kind in WANT_WORK and not any(each.state.pending for each in self._everybody):
            return False
        # What it has sent is the worse the longer it is without an answer.
        if fault.kind is FaultKind.KILL_WORLD and not self._worlds[fault.target].state.pending:
            return False
        if fault.kind not in OF_LINKS:
            return any(map(self._is_answered, self._everybody))
        names = {fault.target, str(fault.parameters.get("rival", fault.target))}
        return all(self._is_answered(self._worlds[name]) for name in names)

    def _is_answered(self, world: TortureWorld) -> bool:
        return world.state.last_answered_s > self._struck_s

    def _struck(self, fault: Fault) -> None:
        """It has taken hold, or is over."""
        if self._aiming is fault:
            self._aiming = None
        self._struck_s = time.monotonic()

    @property
    def _everybody(self) -> Collection[TortureWorld]:
        return self._worlds.values()

    def _begin(self, work: "asyncio._CoroutineLike[None]", name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        # One that failed stays, and is raised in the end.
        if task.cancelled() or task.exception() is not None:
            self._has_failed = True
        else:
            self._running.discard(task)

    async def _do(self, fault: Fault, is_at_work: bool) -> None:
        is_outage = fault.kind in OUTAGES
        if not is_outage:
            self._struck(fault)
        self._outages += is_outage
        self.at_standstill += not is_at_work
        try:
            if await self._is_done(fault) and is_at_work:
                self.done[fault.kind] += 1
        finally:
            self._underway -= 1
            self._outages -= is_outage
            if is_outage:
                self._struck(fault)

    async def _is_done(self, fault: Fault) -> bool:
        """Do it; False if there was nothing to be done."""
        struck = partial(self._struck, fault)
        match fault.kind:
            case FaultKind.KILL_REALM:
                async with self._realm_lock:
                    await self._restart(fault, fault.duration_s)
                return True
            case FaultKind.RESTART_REALM_IN_GROUP:
                return await self._restart_in_group(fault)
            case FaultKind.CLOCK_JUMP:
                clock = self._clock(fault.target)
                set_clock(clock, float(fault.parameters["offset_s"]))
                await asyncio.sleep(fault.duration_s)
                set_clock(clock)
                return True
            case FaultKind.KILL_DATABASE:
                async with self._database_lock:
                    return await self._database.kill(fault.duration_s, struck)
            case FaultKind.FULL_DISK:
                async with self._realm_lock, self._database_lock:
                    return await self._database.fill_disk(fault.duration_s, struck)
            case FaultKind.LOCK_TIMEOUT:
                async with self._database_lock:
                    guid = self._somebody(fault)
                    return await self._database.hold_locks(guid, fault.duration_s, struck)
            case FaultKind.DEADLOCK:
                async with self._realm_lock, self._database_lock:
                    return await self._deadlock(fault)
            case FaultKind.KILL_WORLD:
                world = self._worlds[fault.target]
                await world.die()
                struck()
                await asyncio.sleep(fault.duration_s)
                await world.start()
                return True
            case FaultKind.FIGHT:
                return await self._fight(fault, self._worlds[fault.target])
            case _:
                return await self._spoil(fault, self._worlds[fault.target])

    def _clock(self, target: str) -> Path:
        return self._realm.clock if target == REALM else self._worlds[target].clock

    def _somebody(self, fault: Fault) -> int:
        everyone = sorted({guid for world in self._worlds.values() for guid in world.wanted})
        return everyone[int(fault.parameters["character"]) % len(everyone)]

    # The realm

    async def _restart(self, fault: Fault, after_s: float) -> None:
        killed_s = time.monotonic()
        await self._realm.send(signal.SIGKILL)
        self._struck(fault)
        await asyncio.sleep(after_s)
        await self._realm.start()
        self._begin(self._measure_recovery(killed_s), "recovery")

    async def _measure_recovery(self, killed_s: float) -> None:
        """The first commit that is answered over a link which is younger than the kill."""
        listening_s, starts = self._realm.listening_s, self._realm.starts

        def answers() -> list[float]:
            states = [world.state for world in self._worlds.values()]
            return [each.answered_s for each in states if each.linked_s > killed_s]

        if await until(lambda: any(answers()), READY_WITHIN_S) and starts == self._realm.starts:
            first_s = min(filter(None, answers()))
            self.recovery_ms.append(max(0.0, first_s - listening_s) * 1e3)

    async def _restart_in_group(self, fault: Fault) -> bool:
        """The realm stands still just when it has answered, with the next group underway."""
        async with self._realm_lock:
            enough = self._acknowledged() + BUSY_OPERATIONS
            if not await until(lambda: self._acknowledged() >= enough, READY_WITHIN_S):
                return False
            await self._realm.send(signal.SIGSTOP)
            self._struck(fault)
            stopped_s = float(fault.parameters["stopped_s"])
            await asyncio.sleep(stopped_s)
            await self._restart(fault, max(0.0, fault.duration_s - stopped_s))
        return True

    def _acknowledged(self) -> int:
        return sum(world.acknowledged for world in self._worlds.values())

    # The database

    async def _deadlock(self, fault: Fault) -> bool:
        """A world whose game stands still for a moment commits something of two characters that
        an attacker has locked the other way round."""
        ready = [world for world in self._worlds.values() if world.is_connected]
        ready = [world for world in ready if len(world.state.holds) > 1]
        if not ready:
            return False
        world = ready[int(fault.parameters["character"]) % len(ready)]
        low, high = sorted(world.state.holds)[:2]
        world.pause()
        try:
            if not await until(lambda: not world.state.pending, READY_WITHIN_S):
                return False
            return await self._database.deadlock((low, high), lambda: world.insist([low, high]))
        finally:
            world.play()

    # Worlds and their links

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
            if not await until(
                lambda: world.is_connected and world.holds(guid) and rival.is_connected,
                READY_WITHIN_S,
            ):
                return False
            world.proxy.hang(FIGHT_S)
            self._struck(fault)
            stale = world.insist([guid])
            rival.want(guid)
            try:
                if not await until(lambda: rival.holds(guid), FIGHT_S - 2):
                    return False
                newer = rival.insist([guid])
                if not await until(lambda: newer.is_answered, READY_WITHIN_S):
                    return False
            finally:
                world.let_go(guid)
                world.proxy.hang(0)
        return await until(lambda: stale.is_answered, READY_WITHIN_S)

    async def _spoil(self, fault: Fault, world: TortureWorld) -> bool:
        """Do something to a world's link; False if no traffic was hit."""
        proxy, parameters = world.proxy, fault.parameters
        counted = fault.kind.replace("-", "_")
        before = proxy.counts[counted]
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
        return await until(lambda: proxy.counts[counted] > before, HIT_WITHIN_S)
