"""A run beside an earlier one: its JSON read and checked, each figure then and now.

Knows the keys of the JSON and nothing of how a run is made. One run against one run is weak
evidence: times on a busy machine differ by a factor of two without a change of the code.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from mmoinv.errors import ConfigurationError
from mmoinv.loadtest.live import number
from mmoinv.loadtest.report import FORMAT

Report = dict[str, Any]
Verdict = Literal["better", "worse", "about the same", ""]


@dataclass(frozen=True)
class Figure:
    """One figure of the JSON: ``path`` is its key, with dots. Beyond ``tolerance`` (a share) a
    difference is better or worse; without ``is_judged`` it is neither."""

    path: str
    label: str
    unit: str
    tolerance: float = 0.1
    more_is_better: bool = False
    is_judged: bool = True

    def of(self, report: Report) -> float | None:
        """Its value, None if the report has none."""
        value: Any = report
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return float(value) if isinstance(value, (int, float)) else None


FIGURES = (
    Figure("saves_per_s", "saves", "/s", more_is_better=True),
    Figure("rtt_ms.p50", "round trip p50, playing", "ms"),
    Figure("rtt_ms.p95", "round trip p95, playing", "ms"),
    Figure("rtt_ms.p99", "round trip p99, playing", "ms"),
    Figure("rtt_ms.max", "round trip max, playing", "ms"),
    Figure("all_at_once.rtt_ms.p50", "round trip p50, all at once", "ms"),
    Figure("all_at_once.rtt_ms.p95", "round trip p95, all at once", "ms"),
    Figure("all_at_once.rtt_ms.p99", "round trip p99, all at once", "ms"),
    Figure("all_at_once.rtt_ms.max", "round trip max, all at once", "ms"),
    Figure("database_ms.p50", "transaction p50, playing", "ms"),
    Figure("database_ms.p99", "transaction p99, playing", "ms"),
    Figure("database_ms.max", "transaction max, playing", "ms"),
    Figure("all_at_once.database_ms.p50", "transaction p50, all at once", "ms"),
    Figure("all_at_once.database_ms.p99", "transaction p99, all at once", "ms"),
    Figure("all_at_once.database_ms.max", "transaction max, all at once", "ms"),
    Figure("packet_us.p50", "packet at the realm p50", "us"),
    Figure("packet_us.p99", "packet at the realm p99", "us"),
    Figure("command_us.p50", "command of a player p50", "us"),
    Figure("command_us.p99", "command of a player p99", "us"),
    Figure("group_size.mean", "operations in a group, mean", "", is_judged=False),
    Figure("group_size.max", "operations in a group, max", "", is_judged=False),
    Figure("packet_bytes.mean", "save, mean", "bytes"),
    Figure("packet_bytes.max", "save, largest", "bytes"),
    Figure("all_at_once.packet_bytes_40_items", "inventory of 40 items", "bytes"),
    Figure("all_at_once.packet_bytes_119_items", "inventory of 119 items", "bytes"),
    Figure("bytes_per_s", "bytes on the wire", "/s", is_judged=False),
    Figure("lost", "records lost", "", tolerance=0.0),
    Figure("doubled", "records doubled", "", tolerance=0.0),
    Figure("targets.refused.value", "saves refused or not taken", "", tolerance=0.0),
)

SHAPE = ("players", "worlds", "duration_s", "saves_per_s_of_each", "has_own_realm")
"""The settings that make it the same test; where they differ nothing is judged."""


@dataclass(frozen=True)
class Row:
    """One figure then and now. ``ratio`` is now / then, None where it says nothing."""

    figure: Figure
    then: float | None
    now: float | None
    ratio: float | None
    verdict: Verdict


class Comparison:
    """A report and an earlier one: ``rows`` of figures, ``notes`` on what makes them differ that
    is not the code."""

    def __init__(self, earlier: Report, report: Report) -> None:
        self.earlier = earlier
        self.notes: list[str] = []
        self.is_same_test = self._compare_shapes(earlier, report)
        self._compare_machines(earlier, report)
        self.rows = [self._row(figure, earlier, report) for figure in FIGURES]

    def summary(self) -> str:
        """How many figures are worse, and what to think of it."""
        if not self.is_same_test:
            return ""
        verdicts = [row.verdict for row in self.rows if row.verdict]
        return (
            f"{verdicts.count('worse')} of {len(verdicts)} figures are worse, "
            f"{verdicts.count('better')} better. One run beside one run: repeat both before you "
            "believe a difference of times."
        )

    def _compare_shapes(self, earlier: Report, report: Report) -> bool:
        then, now = _settings(earlier), _settings(report)
        differing = [
            f"{name} {then[name]} then, {now[name]} now"
            for name in SHAPE
            if name in then and not _is_same(name, then[name], now[name])
        ]
        if differing:
            self.notes.append(
                f"Not the same test ({'; '.join(differing)}): the figures stand beside each "
                "other, and none is called better or worse."
            )
        if "format" not in earlier:
            self.notes.append(
                "The earlier file is of a version that kept neither settings nor series: its "
                "saves per player are unknown, and plots over time show this run only."
            )
        return not differing

    def _compare_machines(self, earlier: Report, report: Report) -> None:
        then, now = _machine(earlier), _machine(report)
        if differing := [
            f"{name} {then[name]} then, {now[name]} now"
            for name in now
            if name in then and then[name] != now[name]
        ]:
            self.notes.append(f"Not the same ground: {'; '.join(differing)}.")

    def _row(self, figure: Figure, earlier: Report, report: Report) -> Row:
        then, now = figure.of(earlier), figure.of(report)
        if then is None or now is None:
            return Row(figure, then, now, None, "")
        ratio = now / then if then else None
        if not self.is_same_test or not figure.is_judged:
            return Row(figure, then, now, ratio, "")
        gained = now - then if figure.more_is_better else then - now
        verdict: Verdict = "about the same"
        if abs(gained) > figure.tolerance * abs(then):
            verdict = "better" if gained > 0 else "worse"
        return Row(figure, then, now, ratio, verdict)


def _settings(report: Report) -> Report:
    """What was asked for. A file without a format has the duration that it took instead."""
    asked = report.get("settings")
    if isinstance(asked, dict):
        return asked
    return {name: report[name] for name in SHAPE if name in report}


def _is_same(name: str, then: Any, now: Any) -> bool:
    if name == "duration_s" and isinstance(then, (int, float)):
        return math.isclose(then, now, rel_tol=0.05)
    return bool(then == now)


def _machine(report: Report) -> Report:
    facts = report.get("machine")
    if isinstance(facts, dict):
        # Before format 2 there was no other database.
        ours = {"database": f"SQLite {facts['sqlite']}"} if "sqlite" in facts else {}
        return facts | ours
    return {
        name: report[key]
        for name, key in (("mmoinv", "version"), ("codec", "codec"), ("platform", "platform"))
        if key in report
    }


def read_report(path: str) -> Report:
    """The JSON of an earlier run; `ConfigurationError` if it is none, or of a later version."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the earlier report cannot be read from {path}: {error.strerror}. "
            "'mmoinv loadtest --json FILE' writes one"
        ) from None
    except ValueError:
        report = None
    if not isinstance(report, dict) or not {"players", "rtt_ms", "all_at_once"} <= set(report):
        raise ConfigurationError(
            f"{path} is not the report of a load test: name a file that "
            "'mmoinv loadtest --json FILE' wrote"
        )
    found = report.get("format", 0)
    if not isinstance(found, int) or found > FORMAT:
        raise ConfigurationError(
            f"{path} has format {found!r}, and this version of mmoinv knows formats up to "
            f"{FORMAT}: compare with the version that wrote it, or run that test again with this "
            "one"
        )
    return report


def shown_time(report: Report) -> str:
    """When a run ended, for people."""
    ended = report.get("ended")
    if not isinstance(ended, str):
        return "an unknown day"
    return ended.replace("T", " ").replace("+00:00", " UTC")


VERDICT_STYLES = {"better": "[green]better[/]", "worse": "[bold red]worse[/]"}


def show_comparison(console: Console, comparison: Comparison) -> None:
    """The figures then and now, as a table of 80 columns."""
    title = "Beside the run before"
    if "ended" in comparison.earlier:
        title += f" ({shown_time(comparison.earlier)})"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for heading in ("figure", "then", "now", "now/then", ""):
        table.add_column(heading, justify="left" if heading in ("figure", "") else "right")
    for row in comparison.rows:
        if row.then is None and row.now is None:
            continue
        places = 0 if row.figure.unit == "bytes" or not row.figure.tolerance else 1
        unit = row.figure.unit
        table.add_row(
            row.figure.label,
            f"{number(row.then, places)} ->",
            f"{number(row.now, places)} {unit}".strip(),
            "" if row.ratio is None else f"{row.ratio:.2f}",
            VERDICT_STYLES.get(row.verdict, f"[dim]{row.verdict}[/]"),
        )
    console.print()
    console.print(table)
    for note in comparison.notes:
        console.print(f"[yellow]{note}[/]", highlight=False)
    console.print(comparison.summary(), highlight=False)
