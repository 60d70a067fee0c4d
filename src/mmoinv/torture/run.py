"""A torture run from beginning to end: worlds play, faults are done, the checker counts.

Everything that is needed to look at a failure stays in the run's folder.
"""

import asyncio
import json
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from mmoinv.audit import verify
from mmoinv.audit.history import holdings
from mmoinv.errors import ConfigurationError, MmoinvError
from mmoinv.realm import add_world
from mmoinv.stores import open_store, store_for
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.tables import APPLIED
from mmoinv.torture.attack import Attack
from mmoinv.torture.checker import Findings, check
from mmoinv.torture.database_faults import DatabaseFaults
from mmoinv.torture.journal import Stored, read_journals
from mmoinv.torture.proxy import FaultProxy
from mmoinv.torture.realm import RealmProcess
from mmoinv.torture.schedule import (
    DATABASE_KINDS,
    SERVER_FAULTS,
    Fault,
    FaultKind,
    schedule,
    schedule_to_json,
)
from mmoinv.torture.servers import OWN_SERVERS, OwnServer
from mmoinv.torture.servers.process import free_port
from mmoinv.torture.waiting import until
from mmoinv.torture.worlds import TortureWorld

log = logging.getLogger("mmoinv.torture")

FIRST_GUID = 0x7042000000000000
SPARE_FAULTS = 10
ANSWERED_WITHIN_S = 90.0
LOGGED_ON_WITHIN_S = 30.0


@dataclass(frozen=True)
class TortureSettings:
    """``database``: a URL, whose server is not killed, and what other worlds have in it is left
    alone; ``postgresql`` or ``mariadb`` for a server of the run's own; empty for an SQLite file.
    ``spacing_s``: seconds between two faults, on average."""

    database: str = ""
    faults: int = 50
    seed: int = 1
    worlds: int = 2
    characters: int = 12
    spacing_s: float = 0.5
    replay: tuple[Fault, ...] = ()
    """Faults of an earlier run, instead of a new schedule."""

    def check(self) -> None:
        """`ConfigurationError` if such a run cannot be."""
        if self.faults < 0 or self.worlds < 2 or self.characters < self.worlds:
            raise ConfigurationError(
                "a torture run has 0 faults or more, two worlds or more, and a character for each"
            )
        if not 0 < self.spacing_s < 3600:
            raise ConfigurationError("--spacing must be above 0 s, and finite")

    @property
    def kind(self) -> str:
        """The database's kind, as the schedule names it."""
        scheme = self.database.partition("://")[0] or "sqlite"
        kind = {"mysql": "mariadb", "postgres": "postgresql"}.get(scheme, scheme)
        if kind not in DATABASE_KINDS:
            raise ConfigurationError(f"a torture run knows no database of kind {kind!r}")
        return kind

    @property
    def own_server(self) -> bool:
        """Whether the run starts a database server."""
        return self.kind in OWN_SERVERS and "://" not in self.database

    @property
    def left_out(self) -> frozenset[FaultKind]:
        """Kinds of faults that cannot be done to this database."""
        if self.kind == "sqlite":
            return SERVER_FAULTS
        if self.own_server:
            return frozenset()
        return frozenset({FaultKind.KILL_DATABASE, FaultKind.FULL_DISK})


@dataclass
class TortureReport:
    """What came of it. ``faults``: how many had effect, ``done`` says of which kinds; ``begun``:
    how many were done at all, ``at_standstill`` of them while the worlds still had not been
    answered since the one before. ``folder`` is kept after a failure."""

    settings: TortureSettings
    findings: Findings
    faults: int
    done: dict[str, int]
    problems: list[str] = field(default_factory=list)
    folder: Path | None = None
    begun: int = 0
    at_standstill: int = 0
    duration_s: float = 0.0
    recovery_ms: list[float] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything that was acknowledged is there, once, and adds up."""
        return not self.problems

    @property
    def without_effect(self) -> int:
        """Faults that found nothing to do, or came at a standstill; not among ``faults``."""
        return self.begun - self.faults

    @property
    def median_recovery_ms(self) -> float:
        """From when a realm listened again to the first answered commit."""
        return statistics.median(self.recovery_ms)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "faults": self.faults,
            "operations": self.findings.operations,
            "acknowledged": self.findings.acknowledged,
            "lost": self.findings.lost,
            "doubled": self.findings.doubled,
            "half_applied": self.findings.half_applied,
            "seed": self.settings.seed,
            "database": self.settings.kind,
            "duration_s": round(self.duration_s, 1),
            "passed": self.passed,
            "kinds": self.done,
            "begun": self.begun,
            "without_effect": self.without_effect,
            "at_standstill": self.at_standstill,
            "left_out": sorted(self.settings.left_out),
            "recovery_ms": {
                "median": round(self.median_recovery_ms, 1),
                "max": round(max(self.recovery_ms), 1),
            }
            if self.recovery_ms
            else None,
            "problems": self.problems,
            "folder": None if self.folder is None else str(self.folder),
        }


async def run_torture(
    settings: TortureSettings, tell: Callable[[int, Fault], object] = lambda number, fault: None
) -> TortureReport:
    """Run it; ``tell`` is called with the number of each fault as it is done."""
    settings.check()
    # Some have no effect: others are done in their stead.
    spare = settings.faults // 2 + SPARE_FAULTS if settings.faults else 0
    faults = list(settings.replay) or schedule(
        settings.seed,
        settings.faults + spare,
        {settings.kind},
        worlds=settings.worlds,
        spacing_s=settings.spacing_s,
        without=settings.left_out,
    )
    server = await asyncio.to_thread(OWN_SERVERS[settings.kind]) if settings.own_server else None
    folder = Path(tempfile.mkdtemp(prefix="mmoinv-torture-"))
    (folder / "schedule.json").write_text(schedule_to_json(faults))
    try:
        database = server.new_database(tcp=True) if server else settings.database
        return await _run(settings, faults, folder, database, server, tell)
    except asyncio.CancelledError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:
        error.add_note(f"What there is of the torture run is in {folder}")
        raise
    finally:
        if server is not None:
            await asyncio.to_thread(server.close)


async def _run(
    settings: TortureSettings,
    faults: list[Fault],
    folder: Path,
    database: str,
    server: OwnServer | None,
    tell: Callable[[int, Fault], object],
) -> TortureReport:
    database = database if "://" in database else f"sqlite:///{folder / 'realm.db'}"
    guids = range(FIRST_GUID, FIRST_GUID + settings.characters + settings.worlds)
    async with await open_store(database) as store:
        await store.clear_characters(guids[0], guids[-1])
        before = await _applied(database)
        secrets = {
            f"world-{number}": await add_world(store, f"world-{number}")
            for number in range(1, settings.worlds + 1)
        }
    start_s = time.monotonic()
    realm = RealmProcess(database, free_port(), folder)
    worlds = _worlds(settings, realm, folder, secrets)
    attack = Attack(realm, worlds, DatabaseFaults(database, realm, server))
    findings = Findings()
    problems: list[str] = []
    try:
        problems += await _attacked(settings, faults, realm, worlds, attack, tell)
        findings = check(
            read_journals(_journals(folder)), await _stored(database, guids), Stored(applied=before)
        )
        problems += findings.problems + await _audited(database)
    except MmoinvError as error:
        # A realm or a server that does not come again, for one.
        problems.append(str(error))
    # Without those that were not needed.
    (folder / "schedule.json").write_text(schedule_to_json(attack.begun))
    report = TortureReport(
        settings,
        findings,
        attack.done.total(),
        dict(attack.done),
        problems,
        begun=len(attack.begun),
        at_standstill=attack.at_standstill,
        duration_s=time.monotonic() - start_s,
        recovery_ms=attack.recovery_ms,
    )
    if report.passed:
        shutil.rmtree(folder)
        if "://" in settings.database:
            async with await open_store(database) as store:
                await store.clear_characters(guids[0], guids[-1])
    else:
        report.folder = folder
        if server is not None:
            shutil.copy(server.log, folder / "server.log")
        (folder / "report.json").write_text(json.dumps(report.as_json(), indent=1))
    return report


def _worlds(
    settings: TortureSettings, realm: RealmProcess, folder: Path, secrets: dict[str, str]
) -> dict[str, TortureWorld]:
    """All of them, each behind a proxy of its own; nothing is started."""
    players = range(FIRST_GUID, FIRST_GUID + settings.characters)
    return {
        name: TortureWorld(
            name,
            secret,
            FaultProxy("127.0.0.1", realm.port, seed=settings.seed + number),
            players[number :: settings.worlds],
            players[-1] + 1 + number,
            folder,
            settings.seed * 1_000_000 + number * 10_000,
            # The last one goes without.
            has_outbox=number < settings.worlds - 1,
        )
        for number, (name, secret) in enumerate(secrets.items())
    }


async def _attacked(
    settings: TortureSettings,
    faults: list[Fault],
    realm: RealmProcess,
    worlds: dict[str, TortureWorld],
    attack: Attack,
    tell: Callable[[int, Fault], object],
) -> list[str]:
    """Play and attack; who died by himself, and what was not answered in the end."""
    wanted = len(settings.replay) or settings.faults
    try:
        await realm.start()
        for world in worlds.values():
            await world.proxy.start()
            await world.start()
        await until(lambda: all(each.is_connected for each in worlds.values()), LOGGED_ON_WITHIN_S)
        await attack.run(faults, wanted, lambda fault: tell(len(attack.begun), fault))
        await asyncio.sleep(1)
        # One that has died is needed once more: worlds wait for its answers.
        await realm.start()
        late = [
            f"{name}: some operations were not answered within {ANSWERED_WITHIN_S:g} s"
            for name, world in worlds.items()
            if not await world.finish(ANSWERED_WITHIN_S) and not world.problems
        ]
    finally:
        for world in worlds.values():
            await world.die()
            await world.proxy.close()
        await realm.end()
    died = [problem for world in worlds.values() for problem in world.problems]
    return realm.problems + died + late


def _journals(folder: Path) -> list[Path]:
    """Those of all processes of all worlds."""
    return sorted(folder.glob("world-*.jsonl"))


async def _applied(database: str) -> list[int]:
    store = store_for(database)
    assert isinstance(store, SqlStore)
    return list(
        await store.read_only(
            lambda connection: connection.execute(select(APPLIED.c.operation_id)).scalars().all()
        )
    )


async def _audited(database: str) -> list[str]:
    store = store_for(database)
    assert isinstance(store, SqlStore)
    audit = await store.read_only(verify)
    return [f"{problem.kind}: {problem.text}" for problem in audit.problems]


async def _stored(database: str, guids: range) -> Stored:
    """What the database holds of the run's characters."""
    store = store_for(database)
    assert isinstance(store, SqlStore)

    def question(connection: Connection) -> Stored:
        held = [holdings(connection, guid) for guid in guids]
        return Stored(
            {one.character_guid: one.items for one in held},
            {one.character_guid: one.version for one in held},
            {one.character_guid: one.balances for one in held},
        )

    stored = await store.read_only(question)
    stored.applied = await _applied(database)
    return stored
