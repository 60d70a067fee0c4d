"""Whether it is safe to go on: the evidence against the thresholds, and what is missing.

Knows no file and no terminal.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from mmoinv.migration.comparison import CLASSES
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.findings import HOUR_S, Figures, Findings
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.thresholds import Thresholds


class Step(StrEnum):
    """A step of the move, named by the mode that it leads to."""

    PRIMARY = "primary"
    NEW = "new"

    @property
    def mode(self) -> MigrationMode:
        """The mode whose evidence is judged."""
        return MigrationMode.SHADOW if self is Step.PRIMARY else MigrationMode.PRIMARY

    @property
    def way(self) -> str:
        """From where to where."""
        return f"{self.mode} -> {self.value}"


class Requirement(NamedTuple):
    """One threshold and the figure that was held against it."""

    name: str
    """The key of the configuration, as in ``max_missed_share``."""
    title: str
    has: str
    wants: str
    is_met: bool
    missing: str
    """What is missing, in words; empty if it is met."""


class Verdict(NamedTuple):
    """What is judged of one step."""

    step: Step
    thresholds: Thresholds
    figures: Figures
    requirements: Sequence[Requirement]

    @property
    def is_safe(self) -> bool:
        """Whether every threshold is met."""
        return all(one.is_met for one in self.requirements)

    @property
    def missing(self) -> list[Requirement]:
        """What stands against it."""
        return [one for one in self.requirements if not one.is_met]


def judge(findings: Findings, config: MigrationConfig, step: Step, now_s: float) -> Verdict:
    """Hold the evidence against the thresholds of a step."""
    limits = config.to_primary if step is Step.PRIMARY else config.to_new
    since_s = max(0.0, now_s - limits.over_last_h * HOUR_S)
    figures = findings.figures(step.mode, since_s)
    behind = findings.behind_counts.get(step.mode.decider.other, 0)
    still_open = len(findings.open_divergences(step.mode))
    at_most = [
        ("max_behind", "characters behind", behind, limits.max_behind),
        ("max_open", "open divergences", still_open, limits.max_open),
        ("max_unrecorded", "unrecorded", findings.unrecorded(since_s), limits.max_unrecorded),
    ]
    return Verdict(
        step,
        limits,
        figures,
        [
            _at_least("min_compared", "comparisons", figures.compared, limits.min_compared),
            _at_least("min_hours", "hours with comparisons", figures.hours, limits.min_hours),
            *(
                _share(
                    f"max_{kind}_share",
                    f"comparisons, {kind}",
                    figures.by_class[kind],
                    figures.share(kind),
                    limits.share_of(kind),
                )
                for kind in CLASSES
            ),
            _share(
                "max_missed_share",
                "changes missed",
                figures.missed,
                figures.missed_share,
                limits.max_missed_share,
            ),
            *(_at_most(*one) for one in at_most),
        ],
    )


def _at_least(name: str, title: str, has: int, wants: int) -> Requirement:
    return Requirement(
        name,
        title,
        f"{has:,}",
        f"at least {wants:,}",
        has >= wants,
        "" if has >= wants else f"{wants - has:,} more",
    )


def _at_most(name: str, title: str, has: int, wants: int) -> Requirement:
    return Requirement(
        name,
        title,
        f"{has:,}",
        f"at most {wants:,}",
        has <= wants,
        "" if has <= wants else f"{has - wants:,} too many",
    )


def _share(name: str, title: str, times: int, has: float | None, wants: float) -> Requirement:
    # Without a single comparison nothing is shown, whatever the share may be.
    is_met = has is not None and has <= wants
    missing = "" if is_met else "nothing was looked at" if has is None else "too many"
    shown = "n/a" if has is None else f"{times:,} ({percent(has)})"
    return Requirement(name, title, shown, f"at most {percent(wants)}", is_met, missing)


def percent(share: float) -> str:
    """A share for people; what is not 0 never looks like it."""
    shown = f"{100 * share:.3g} %"
    return "< 0.001 %" if 0 < share < 1e-5 else shown
