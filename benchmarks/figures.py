"""The figures of a benchmark run, from pytest-benchmark's JSON, and what they are beside targets
and beside an earlier run.

A micro benchmark counts in ratios to the other ways of its group: both were measured in the same
run, so what the machine was doing cancels out. Knows nothing of how figures are shown.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from targets import ANY_GROUP, RATIO, TARGETS, Target

OURS = "ours"
TOLERANCE = 0.1
"""By so much a ratio differs between runs without a change of the code."""
UNITS = {
    "_percent": "%",
    "_ms": "ms",
    "_us": "us",
    "_ns": "ns",
    "_mb": "MB",
    "_bytes": "bytes",
    "_per_s": "/s",
    "ours": "ns",
}


@dataclass
class Group:
    """One group: ``ways`` in ns a call, ``figures`` as the benchmark put them in extra_info."""

    name: str
    ways: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def ratios(self) -> dict[str, float]:
        """How many times as long as ours each other way takes."""
        ours = self.ways.get(OURS)
        if not ours:
            return {}
        return {way: took / ours for way, took in self.ways.items() if way != OURS}

    def value(self, target: Target) -> float | None:
        """What the target is about, None if it is not here."""
        if target.group not in (self.name, ANY_GROUP):
            return None
        if target.kind == RATIO:
            return self.ratios().get(target.figure)
        return self.figures.get(target.figure, self.ways.get(target.figure))


@dataclass
class Run:
    """One run of the benchmarks."""

    groups: dict[str, Group]
    ended: str = ""
    cpu: str = ""
    cores: int = 0
    python: str = ""
    platform: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Judged:
    """One target, where it applies and what came out."""

    target: Target
    group: str
    value: float

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.target.is_met(self.value)


def groups_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, Group]:
    """The groups of pytest-benchmark's ``benchmarks``, in their order."""
    groups: dict[str, Group] = {}
    for entry in entries:
        name = entry["group"] or entry["name"]
        group = groups.setdefault(name, Group(name))
        extra = dict(entry["extra_info"])
        way, calls = extra.pop("way", None), extra.pop("calls", 1)
        if way is not None:
            # The quickest round: the noise only ever adds.
            group.ways[way] = entry["stats"]["min"] * 1e9 / calls
        group.figures.update(
            {
                key: value
                for key, value in extra.items()
                if isinstance(value, (int, float)) and not isinstance(value, bool)
            }
        )
    return groups


def run_of(document: Mapping[str, Any]) -> Run:
    """A run from pytest-benchmark's JSON."""
    machine = document.get("machine_info", {})
    cpu = machine.get("cpu", {})
    return Run(
        groups_of(document["benchmarks"]),
        document.get("datetime", "")[:19].replace("T", " "),
        cpu.get("brand_raw", machine.get("processor", "")),
        cpu.get("count", 0),
        f"{machine.get('python_implementation', 'Python')} {machine.get('python_version', '')}",
        f"{machine.get('system', '')} {machine.get('machine', '')}".strip(),
        document.get("commit_info", {}).get("id", "") or "",
    )


def read_run(path: Path) -> Run | None:
    """The run in a file, None if there is none or it was cut off."""
    try:
        return run_of(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def judged(run: Run, targets: Iterable[Target] = TARGETS) -> list[Judged]:
    """Every target in every group that it is about."""
    return [
        Judged(target, group.name, value)
        for target in targets
        for group in run.groups.values()
        if (value := group.value(target)) is not None
    ]


def unmeasured(run: Run, targets: Iterable[Target] = TARGETS) -> list[Target]:
    """Targets that no group of the run is about: not run, or misspelt."""
    return [
        target
        for target in targets
        if all(group.value(target) is None for group in run.groups.values())
    ]


def regressions(run: Run, before: Run) -> list[str]:
    """Groups whose ratios fell by more than `TOLERANCE`, as sentences: the median of them, since
    one alone may have fallen because that other way was lucky. Figures without a reference in
    the same run are not here: of them the machine has its share."""
    found = []
    for name, group in run.groups.items():
        then = before.groups[name].ratios() if name in before.groups else {}
        now = {way: ratio for way, ratio in group.ratios().items() if way in then}
        if now and median(now[way] / then[way] for way in now) < 1 - TOLERANCE:
            ways = (f"ours/{way} then {then[way]:.1f}x, now {now[way]:.1f}x" for way in now)
            found.append(f"{name}: {'; '.join(ways)}")
    return found


def unit_of(figure: str) -> str:
    """The unit that a figure's name ends with, "" if it is a plain number."""
    return next((unit for end, unit in UNITS.items() if figure.endswith(end)), "")
