"""What came of a rehearsal, step by step, as plain values. Knows no database and no terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COUNTED = (
    *("logins", "commits", "compared", "diverged", "missed", "made up", "mode changes"),
    "noticed",
)
"""What is counted in a step, in the order in which it is shown. ``noticed``: saves that were
refused and logins that failed, of which a player may notice something."""


@dataclass
class StepResult:
    """One step: what was ``seen``, and what should not have been, both as sentences."""

    title: str
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    seen: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_played(self) -> bool:
        """Whether it was begun."""
        return self.seconds > 0

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "title": self.title,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "counts": {name: self.counts[name] for name in COUNTED},
            "seen": self.seen,
            "problems": self.problems,
        }


@dataclass
class Rehearsed:
    """One rehearsal, on one kind of database. ``evidence`` are `report_values` of the move,
    ``planted`` lines on the planted bug as the comparison found it. ``folder`` is there if
    something was wrong."""

    title: str
    steps: Sequence[StepResult]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    planted: Sequence[str] = ()
    folder: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every step was played, and nothing was wrong in any."""
        return all(step.is_played and step.passed for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "database": self.title,
            "passed": self.passed,
            "steps": [step.as_json() for step in self.steps],
            "planted_bug": list(self.planted),
            "evidence": dict(self.evidence),
            "folder": None if self.folder is None else str(self.folder),
        }


@dataclass
class RehearsalReport:
    """All rehearsals of one run. ``left_out``: a sentence for each database that was not there."""

    runs: list[Rehearsed] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there was one, and nothing was wrong in any."""
        return bool(self.runs) and all(run.passed for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "passed": self.passed,
            "runs": [run.as_json() for run in self.runs],
            "left_out": self.left_out,
        }
