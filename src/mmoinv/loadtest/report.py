"""The end of a run: its figures as JSON, its targets, and what to say about them.

Pure but for printing; targets and keys of the JSON are defined here and nowhere else. The keys
are described in docs/loadtest.md.
"""

import json
import platform
import re
import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mmoinv import __version__, codec
from mmoinv.errors import ConfigurationError
from mmoinv.loadtest.crash import CrashFigures
from mmoinv.loadtest.deeds import Tally
from mmoinv.loadtest.live import number
from mmoinv.loadtest.machine import UNKNOWN, machine_facts
from mmoinv.loadtest.measures import Measures, Samples, rounded
from mmoinv.loadtest.series import by_second, distributions
from mmoinv.loadtest.settings import LoadTestSettings
from mmoinv.loadtest.verification import Findings

FORMAT = 2
"""Of the JSON: rises when a key is renamed or means something else. A file without it is older,
and has no settings, series and distributions; before 2, ``machine`` had ``sqlite`` instead of
``database``."""

RTT_LIMIT_MS = 100.0
DATABASE_LIMIT_MS = 50.0
SAVE_LIMIT_BYTES = 1024


@dataclass
class RunFigures:
    """Everything that a finished run knows."""

    settings: LoadTestSettings
    play: Measures
    all_at_once: Measures
    packet_bytes_of: dict[str, int]
    """By ``packet_bytes_40_items`` and ``packet_bytes_119_items``."""
    findings: Findings
    played_s: float
    """From the start to the last answer, at least the duration asked for."""
    deeds: Tally = field(default_factory=dict)
    play_started_s: float = 0.0
    """The monotonic moment."""
    database: str = UNKNOWN
    """Name and version."""
    crash: CrashFigures | None = None


def targets(run: RunFigures) -> dict[str, dict[str, Any]]:
    """Each target by name: value, limit, passed. None is not judged: what only a realm of our
    own would tell. Anything else that was not measured is a failure."""
    below = {
        "rtt_p99_ms": (run.play.rtt_ms.percentile(99), RTT_LIMIT_MS),
        "all_at_once_rtt_p99_ms": (run.all_at_once.rtt_ms.percentile(99), RTT_LIMIT_MS),
        "database_p99_ms": (run.play.database_ms.percentile(99), DATABASE_LIMIT_MS),
        "all_at_once_database_p99_ms": (
            run.all_at_once.database_ms.percentile(99),
            DATABASE_LIMIT_MS,
        ),
        "largest_save_bytes": (run.play.packet_bytes.max(), SAVE_LIMIT_BYTES),
        "save_of_40_items_bytes": (
            run.packet_bytes_of.get("packet_bytes_40_items"),
            SAVE_LIMIT_BYTES,
        ),
    }

    def unmeasured(name: str) -> bool | None:
        return None if "database" in name and not run.settings.has_own_realm else False

    result: dict[str, dict[str, Any]] = {
        name: {
            "value": rounded(value),
            "limit": limit,
            "passed": value < limit if value is not None else unmeasured(name),
        }
        for name, (value, limit) in below.items()
    }
    if run.crash is not None:
        # Who waits for a realm to come back waits longer than a target allows.
        for name in ("rtt_p99_ms", "database_p99_ms"):
            result[name]["passed"] = None
        missing = run.crash.acknowledged - run.crash.found
        result["acknowledged_and_missing"] = {"value": missing, "limit": 0, "passed": missing == 0}
    refused = run.play.refused + run.all_at_once.refused
    for name, count in (
        ("lost", run.findings.lost),
        ("doubled", run.findings.doubled),
        ("refused", refused),
    ):
        result[name] = {"value": count, "limit": 0, "passed": count == 0}
    return result


def as_json(run: RunFigures) -> dict[str, Any]:
    """The figures as plain values; what was not measured is None."""
    judged = targets(run)
    seconds = max(run.played_s, 1e-9)
    total_bytes = float(run.play.packet_bytes.values().sum())
    return {
        "format": FORMAT,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": run.settings.command,
        "settings": {
            "players": run.settings.players,
            "worlds": run.settings.worlds,
            "duration_s": run.settings.duration_s,
            "saves_per_s_of_each": run.settings.saves_per_s,
            "seed": run.settings.seed,
            "has_own_realm": run.settings.has_own_realm,
        },
        "machine": machine_facts(run.database),
        "players": run.settings.players,
        "worlds": run.settings.worlds,
        "duration_s": rounded(run.played_s),
        "saves": run.play.rtt_ms.count,
        "saves_per_s": rounded(run.play.rtt_ms.count / seconds),
        "rtt_ms": run.play.rtt_ms.summary(50, 95, 99),
        "database_ms": run.play.database_ms.summary(50, 99),
        "packet_bytes": {
            "mean": rounded(run.play.packet_bytes.mean()),
            "max": rounded(run.play.packet_bytes.max()),
        },
        "packet_us": {
            "p50": rounded(run.play.packet_us.percentile(50)),
            "p99": rounded(run.play.packet_us.percentile(99)),
        },
        "bytes_per_s": rounded(total_bytes / seconds),
        "group_size": {
            "mean": rounded(run.play.group_size.mean()),
            "max": rounded(run.play.group_size.max()),
        },
        "all_at_once": {
            "rtt_ms": run.all_at_once.rtt_ms.summary(50, 95, 99),
            "database_ms": run.all_at_once.database_ms.summary(50, 99),
            "packet_bytes_40_items": run.packet_bytes_of.get("packet_bytes_40_items"),
            "packet_bytes_119_items": run.packet_bytes_of.get("packet_bytes_119_items"),
        },
        "lost": run.findings.lost,
        "doubled": run.findings.doubled,
        "targets": judged,
        "passed": all(target["passed"] is not False for target in judged.values()),
        "crash": None if run.crash is None else run.crash.as_json(),
        "characters_verified": run.findings.characters,
        "records_verified": run.findings.records,
        "deeds": {name: count.done for name, count in run.deeds.items()},
        "commands": _commands(run.deeds),
        "command_us": _command_us(run.deeds),
        "seed": run.settings.seed,
        "codec": codec.CODEC,
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "series": by_second(run.play, run.play_started_s, run.played_s),
        "distributions": {
            "playing": distributions(run.play),
            "all_at_once": distributions(run.all_at_once),
        },
    }


def _commands(deeds: Tally) -> dict[str, dict[str, Any]]:
    result = {}
    for name, count in deeds.items():
        took_us = Samples()
        took_us.extend(np.frombuffer(count.durations_us, np.float32))
        result[name] = {
            "done": count.done,
            "refused": count.refused,
            "p50_us": rounded(took_us.percentile(50)),
            "p99_us": rounded(took_us.percentile(99)),
        }
    return result


def _command_us(deeds: Tally) -> dict[str, float | None]:
    took_us = Samples()
    for count in deeds.values():
        took_us.extend(np.frombuffer(count.durations_us, np.float32))
    return {
        "p50": rounded(took_us.percentile(50)),
        "p99": rounded(took_us.percentile(99)),
    }


def write_json(path: str, report: dict[str, Any]) -> None:
    """Write the figures to a file."""
    text = json.dumps(report, indent=2)
    # A list of numbers is one line, or most of the file would be line breaks.
    text = re.sub(r"\[[^][{}\"]*\]", lambda found: " ".join(found[0].split()), text)
    write_text(path, text + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file; `ConfigurationError` if that cannot be."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the report cannot be written to {path}: {error.strerror}; the run itself is done"
        ) from error


TARGET_NAMES = {
    "rtt_p99_ms": ("round trip p99, playing", "ms"),
    "all_at_once_rtt_p99_ms": ("round trip p99, all at once", "ms"),
    "database_p99_ms": ("transaction p99, playing", "ms"),
    "all_at_once_database_p99_ms": ("transaction p99, all at once", "ms"),
    "largest_save_bytes": ("largest save, playing", "bytes"),
    "save_of_40_items_bytes": ("inventory of 40 items", "bytes"),
    "acknowledged_and_missing": ("answered saves that are not found", ""),
    "lost": ("records lost", ""),
    "doubled": ("records doubled", ""),
    "refused": ("saves refused or not taken", ""),
}


def _show_deeds(console: Console, report: dict[str, Any]) -> None:
    table = Table(title="What the players did", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for heading in ("deed", "done", "refused by the rules", "us, p50", "us, p99"):
        table.add_column(heading, justify="left" if heading == "deed" else "right", min_width=9)
    rows = report["commands"] | {
        "all": {
            "done": sum(count["done"] for count in report["commands"].values()),
            "refused": sum(count["refused"] for count in report["commands"].values()),
            "p50_us": report["command_us"]["p50"],
            "p99_us": report["command_us"]["p99"],
        }
    }
    for name, count in rows.items():
        if name == "all":
            table.add_section()
        table.add_row(
            name,
            f"{count['done']:,}",
            f"{count['refused']:,}",
            number(count["p50_us"]),
            number(count["p99_us"]),
        )
    console.print(table)


def show(console: Console, run: RunFigures, report: dict[str, Any]) -> None:
    """The final screen: targets, what was shown, what to try next."""
    # Fits a terminal of 80 columns.
    table = Table(title="Targets", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for heading in ("target", "measured", "limit", "verdict"):
        table.add_column(heading, justify="right" if heading in ("measured", "limit") else "left")
    for name, target in report["targets"].items():
        label, unit = TARGET_NAMES[name]
        value, limit, passed = target["value"], target["limit"], target["passed"]
        places = 1 if unit == "ms" else 0
        verdict = {True: "[green]passed[/]", False: "[bold red]FAILED[/]", None: "n/a"}[passed]
        if passed and limit and value and limit / value >= 2:
            verdict += f", {limit / value:,.0f} times below"
        table.add_row(
            label,
            f"{number(value, places)} {unit}".strip(),
            f"{'<' if limit else ''} {number(limit, 0)} {unit}".strip(),
            verdict,
        )
    console.print()
    console.print(table)
    for example in run.findings.examples:
        console.print(f"  [red]{example}[/]")
    if report["commands"]:
        _show_deeds(console, report)
    play = run.play
    where = f"the database ({run.database})" if run.database != UNKNOWN else "the database"
    console.print(
        f"\n[bold]{run.settings.players} players[/] on {run.settings.worlds} world "
        f"server{'s' if run.settings.worlds > 1 else ''} saved "
        f"[bold]{play.rtt_ms.count:,} times[/] in {run.played_s:,.0f} s; each save reached "
        f"{where} and was answered in {number(play.rtt_ms.percentile(50))} ms (median), "
        f"{number(play.rtt_ms.max())} ms at worst, and took "
        f"{number(play.packet_bytes.mean(), 0)} bytes on the wire.",
        highlight=False,
    )
    console.print(
        f"Then everyone saved everything at the same instant: "
        f"{number(run.all_at_once.rtt_ms.max())} ms until the last one was safe.",
        highlight=False,
    )
    if run.findings.is_clean:
        console.print(
            f"All [bold]{run.findings.records:,} records[/] of {run.findings.characters} "
            "characters were read back and are what the worlds hold: none lost, none doubled.",
            highlight=False,
        )
    verdict = "[bold green]passed[/]" if report["passed"] else "[bold red]FAILED[/]"
    console.print(f"\nThe run {verdict}.", highlight=False)
    if run.crash is not None:
        _show_crash(console, run.crash)


def _show_crash(console: Console, crash: CrashFigures) -> None:
    figures = crash.as_json()
    console.print(
        f"The realm was killed (-9) and started again; it listened {figures['realm_ready_s']} s "
        f"after the kill, and the first save was answered after {figures['first_answer_s']} s.",
        highlight=False,
    )
    console.print(
        f"[bold]{crash.acknowledged:,} acknowledged, {crash.found:,} found, "
        f"{crash.doubled:,} doubled[/]",
        highlight=False,
    )


def show_next_steps(console: Console, settings: LoadTestSettings) -> None:
    """What to try next, as this user would have to type it."""
    called = sys.argv[0]
    name = called if Path(called).name == "mmoinv" and not shutil.which("mmoinv") else "mmoinv"
    steps = (
        (
            "loadtest --players 1000 --duration 30",
            "ten times the players; the targets are made for 100",
        ),
        ("loadtest --saves-per-s 5", "ten times the saves"),
        ("world add world-1 --database sqlite:///realm.db", "let a world in, then"),
        ("realm --database sqlite:///realm.db", "run a realm for it"),
    )
    if settings.crash_at_s is None:  # Else the count of what was acknowledged has the last word.
        console.print("\n[dim]What to try next:[/]")
        for arguments, what in steps:
            console.print(
                f"  [bold]{name} {arguments}[/]  [dim]{what}[/]", highlight=False, soft_wrap=True
            )
    if settings.json_path:
        console.print(
            f"[dim]The figures are in {settings.json_path}.[/]", highlight=False, soft_wrap=True
        )
    if settings.html_path:
        console.print(
            f"[dim]The report is in {settings.html_path}: open it in a browser.[/]",
            highlight=False,
            soft_wrap=True,
        )
