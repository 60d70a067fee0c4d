"""One seeded schedule of faults for a torture run, and its JSON, so that a failure can be replayed.

Pure: says what is done when to whom. Does not know how a fault is done.
"""

import json
import random
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from mmoinv.errors import ConfigurationError

FORMAT = 1
"""The version of the JSON."""
SPACING_S = 2.0
"""Seconds between two faults, on average."""
REALM = "realm"
DATABASE_KINDS = ("sqlite", "postgresql", "mariadb")
"""A database's name is the target of its faults."""

Parameter = str | int | float


class FaultKind(StrEnum):
    """What may be done."""

    KILL_REALM = "kill-realm"
    """kill -9; started again after ``duration_s``."""
    KILL_WORLD = "kill-world"
    KILL_DATABASE = "kill-database"
    RESTART_REALM_IN_GROUP = "restart-realm-in-group"
    """kill -STOP while groups are committed, kill -9 after ``stopped_s``; started again after
    ``duration_s`` from the first."""
    CUT = "cut"
    HALF_CLOSE = "half-close"
    DELAY = "delay"
    THROTTLE = "throttle"
    DUPLICATE_CONNECTIONS = "duplicate-connections"
    DROP_ANSWERS = "drop-answers"
    TRUNCATE_FRAME = "truncate-frame"
    HANG = "hang"
    CLOCK_JUMP = "clock-jump"
    """The target's wall clock is ``offset_s`` off for ``duration_s``."""
    FULL_DISK = "full-disk"
    LOCK_TIMEOUT = "lock-timeout"
    """Somebody else holds the rows of ``character``, a number of the run's characters."""
    DEADLOCK = "deadlock"
    FIGHT = "fight"
    """``rival`` wants ``character``, a number of the run's characters, that the target has."""


KILLS = frozenset(
    {
        FaultKind.KILL_REALM,
        FaultKind.KILL_WORLD,
        FaultKind.KILL_DATABASE,
        FaultKind.RESTART_REALM_IN_GROUP,
    }
)
REALM_FAULTS = frozenset({FaultKind.KILL_REALM, FaultKind.RESTART_REALM_IN_GROUP})
DATABASE_FAULTS = frozenset(
    {
        FaultKind.KILL_DATABASE,
        FaultKind.FULL_DISK,
        FaultKind.LOCK_TIMEOUT,
        FaultKind.DEADLOCK,
    }
)
SERVER_FAULTS = frozenset({FaultKind.KILL_DATABASE, FaultKind.DEADLOCK})
"""What only a database server knows: SQLite is no process, and has one writer at a time."""
RECOVERY_S = {REALM: 5.0, "world": 4.0, "sqlite": 5.0, "postgresql": 8.0, "mariadb": 10.0}
"""How long a process is left alone after it was started again. A key of its kind."""


@dataclass(frozen=True)
class Fault:
    """One fault: done ``at_s`` seconds after the start, for ``duration_s`` (0: at once).

    ``target``: "realm", a world ("world-1" and on; a fault of a link is one of that world's link)
    or a database's kind. A killed process is started again after ``duration_s``.
    """

    kind: FaultKind
    at_s: float
    duration_s: float
    target: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def available_kinds(database_kinds: Collection[str], worlds: int = 2) -> list[FaultKind]:
    """What can be done to these databases and this many worlds."""
    without: set[FaultKind] = set()
    if not set(database_kinds) - {"sqlite"}:
        without |= SERVER_FAULTS
    if not database_kinds:
        without |= DATABASE_FAULTS
    if worlds < 2:
        without.add(FaultKind.FIGHT)
    return [kind for kind in FaultKind if kind not in without]


def schedule(
    seed: int,
    faults: int,
    database_kinds: Collection[str],
    *,
    worlds: int = 2,
    spacing_s: float = SPACING_S,
    without: Collection[FaultKind] = (),
) -> list[Fault]:
    """``faults`` faults in the order of their times; the same arguments give the same list.

    Kinds come evenly: no kind is there twice more than another, so each that these databases
    (`DATABASE_KINDS`) and ``worlds`` allow is there once there are enough faults. A process that
    was killed is not the target of a kill, nor of a fault of its own, until ``duration_s`` and its
    `RECOVERY_S` have passed; no fault begins while the same one lasts for the same target. Kinds
    of ``without`` do not come.
    Raises `ConfigurationError` for what cannot be scheduled.
    """
    unknown = sorted(set(database_kinds) - set(DATABASE_KINDS))
    if unknown:
        raise ConfigurationError(
            f"databases {unknown} are unknown: nothing was scheduled. "
            f"There are {', '.join(DATABASE_KINDS)}"
        )
    if faults < 0 or worlds < 1 or not spacing_s > 0:
        raise ConfigurationError(
            f"{faults} faults, {worlds} worlds, {spacing_s} s apart: nothing was scheduled. There "
            "must be 0 faults or more, a world or more, and a time above 0 between faults"
        )
    return _Plan(seed, database_kinds, worlds, spacing_s, without).faults(faults)


class _Plan:
    """A schedule in the making."""

    def __init__(
        self,
        seed: int,
        database_kinds: Collection[str],
        worlds: int,
        spacing_s: float,
        without: Collection[FaultKind],
    ) -> None:
        self._random = random.Random(seed)
        self._kinds = [
            kind for kind in available_kinds(database_kinds, worlds) if kind not in without
        ]
        self._databases = [kind for kind in DATABASE_KINDS if kind in set(database_kinds)]
        self._worlds = [f"world-{number}" for number in range(1, worlds + 1)]
        self._spacing_s = spacing_s
        self._now_s = 0.0
        self._ready_s: dict[str, float] = {}
        self._over_s: dict[tuple[FaultKind, str], float] = {}
        self._next: dict[str, list[str]] = {}

    def faults(self, count: int) -> list[Fault]:
        planned: list[Fault] = []
        while len(planned) < count:
            kinds = self._random.sample(self._kinds, len(self._kinds))
            if planned and kinds[0] is planned[-1].kind:
                kinds.append(kinds.pop(0))
            planned += [self._fault(kind) for kind in kinds[: count - len(planned)]]
        return planned

    def _fault(self, kind: FaultKind) -> Fault:
        self._now_s += self._random.uniform(0.5, 1.5) * self._spacing_s
        target = self._target(kind)
        if kind in KILLS or kind in DATABASE_FAULTS:
            self._now_s = max(self._now_s, self._ready_s.get(target, 0.0))
        self._now_s = max(self._now_s, self._over_s.get((kind, target), 0.0))
        self._now_s = round(self._now_s, 3)
        duration_s, parameters = self._details(kind, target)
        self._over_s[kind, target] = self._now_s + duration_s
        if kind in KILLS:
            rest_s = RECOVERY_S.get(target, RECOVERY_S["world"])
            self._ready_s[target] = self._now_s + duration_s + rest_s
        return Fault(kind, self._now_s, duration_s, target, parameters)

    def _target(self, kind: FaultKind) -> str:
        if kind in REALM_FAULTS:
            return REALM
        if kind in SERVER_FAULTS:
            return self._turn(kind, [each for each in self._databases if each != "sqlite"])
        if kind in DATABASE_FAULTS:
            return self._turn(kind, self._databases)
        if kind is FaultKind.KILL_WORLD:
            ready = [each for each in self._worlds if self._ready_s.get(each, 0.0) <= self._now_s]
            if not ready:
                return min(self._worlds, key=self._ready_s.__getitem__)
            return self._random.choice(ready)
        if kind is FaultKind.CLOCK_JUMP:
            return self._turn(kind, [REALM, *self._worlds])
        return self._turn(kind, self._worlds)

    def _turn(self, kind: FaultKind, targets: list[str]) -> str:
        """Each target in turn, in an order that is drawn anew for every round."""
        left = self._next.setdefault(kind, [])
        if not left:
            left += self._random.sample(targets, len(targets))
        return left.pop()

    def _between(self, low: float, high: float) -> float:
        return round(self._random.uniform(low, high), 3)

    def _details(self, kind: FaultKind, target: str) -> tuple[float, dict[str, Parameter]]:
        """How long a fault lasts, and what else is to be known of it."""
        match kind:
            case FaultKind.KILL_REALM | FaultKind.KILL_WORLD | FaultKind.KILL_DATABASE:
                return self._between(0.2, 3.0), {}
            case FaultKind.RESTART_REALM_IN_GROUP:
                stopped_s = self._between(0.05, 1.0)
                return round(stopped_s + self._between(0.2, 2.0), 3), {"stopped_s": stopped_s}
            case FaultKind.HALF_CLOSE | FaultKind.TRUNCATE_FRAME:
                return 0.0, {"direction": self._random.choice(["to the realm", "to the world"])}
            case FaultKind.DELAY:
                seconds = self._between(0.01, 0.5)
                parameters = {"seconds": seconds, "jitter": self._between(0.0, seconds)}
                return self._between(1.0, 5.0), dict(parameters)
            case FaultKind.THROTTLE:
                return self._between(1.0, 5.0), {"bytes_per_s": self._random.randint(200, 20_000)}
            case FaultKind.DROP_ANSWERS:
                return self._between(0.1, 3.0), {}
            case FaultKind.HANG:
                # Also longer than a link may be silent.
                return self._between(0.5, 20.0), {}
            case FaultKind.CLOCK_JUMP:
                offset_s = self._random.choice([-1, 1]) * self._between(1.0, 86_400.0)
                return self._between(2.0, 10.0), {"offset_s": offset_s}
            case FaultKind.FULL_DISK:
                return self._between(0.5, 4.0), {}
            case FaultKind.LOCK_TIMEOUT:
                return self._between(0.5, 8.0), {"character": self._random.randrange(1 << 16)}
            case FaultKind.DEADLOCK:
                return 0.0, {"character": self._random.randrange(1 << 16)}
            case FaultKind.FIGHT:
                rival = self._random.choice([each for each in self._worlds if each != target])
                character = self._random.randrange(1 << 16)
                return self._between(0.5, 5.0), {"rival": rival, "character": character}
            case FaultKind.CUT | FaultKind.DUPLICATE_CONNECTIONS:
                return 0.0, {}


def schedule_to_json(faults: list[Fault]) -> str:
    """A schedule as JSON, a fault a line."""
    lines = ",\n  ".join(json.dumps(asdict(fault)) for fault in faults)
    return f'{{"format": {FORMAT}, "faults": [\n  {lines}\n]}}\n'


def schedule_from_json(text: str) -> list[Fault]:
    """A schedule from its JSON; `ConfigurationError` says what cannot be read."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}, this mmoinv reads {FORMAT}")
        return [_fault_from(each) for each in document["faults"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"this is no schedule of faults ({error!r}): nothing was scheduled. "
            "Give the file that a torture run has written"
        ) from error


def _fault_from(fields: dict[str, Any]) -> Fault:
    fault = Fault(
        FaultKind(fields["kind"]),
        float(fields["at_s"]),
        float(fields["duration_s"]),
        str(fields["target"]),
        dict(fields["parameters"]),
    )
    if fault.at_s < 0 or fault.duration_s < 0:
        raise ValueError(f"a time below 0 in {fields}")
    return fault
