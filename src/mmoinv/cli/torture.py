"""``mmoinv torture``: attack a realm of one's own, and count what was acknowledged."""

import argparse
import asyncio
import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmoinv.cli.arguments import Commands, Formatter, add_verbose
from mmoinv.errors import ConfigurationError

if TYPE_CHECKING:
    from mmoinv.torture.run import TortureSettings
    from mmoinv.torture.schedule import Fault

SHOWN = 20
"""Problems that are printed; the file has all."""


def add_torture(commands: Commands) -> None:
    """The arguments of ``mmoinv torture``."""
    command = commands.add_parser(
        "torture",
        help="attack a realm, and prove that nothing acknowledged is lost or doubled",
        description="Start a realm and worlds that loot, use, destroy, sort and trade, and do one\n"
        "seeded schedule of faults to them: kill -9 of realm, worlds and database; links that are\n"
        "cut, half-closed, delayed, throttled, hung, duplicated, that swallow answers after the\n"
        "commit or end inside a frame; locks of others and deadlocks; a full disk; clocks that\n"
        "jump; two worlds that fight for a character. Then a checker that knows only what was\n"
        "acknowledged proves that all of it is there, nothing is half there, nothing twice, that\n"
        "every sum is right, and that the audit of the database agrees.",
        epilog=(
            "examples:\n"
            "  mmoinv torture\n"
            "      50 faults on an SQLite file of its own, about two minutes\n"
            "  mmoinv torture --faults 500 --seed 7 --json torture.json\n"
            "  mmoinv torture --database mariadb\n"
            "      on a server of the run's own, which is killed as well; or postgresql\n"
            "  mmoinv torture --database postgresql://mmoinv@localhost/scratch\n"
            "      on a database server: one for tests, worlds world-1 and on get new secrets\n"
            "exit code 0 if it passed, 1 if not: then the folder with schedule, journals and log\n"
            "stays\n"
        ),
        formatter_class=Formatter,
    )
    command.add_argument(
        "--database",
        metavar="URL",
        default="",
        help="a URL; or postgresql or mariadb for a server of its own (default: an SQLite file)",
    )
    command.add_argument(
        "--faults",
        type=int,
        default=50,
        metavar="N",
        help="how many that have effect (default: %(default)s)",
    )
    command.add_argument(
        "--seed", type=int, default=1, metavar="S", help="of the schedule (default: %(default)s)"
    )
    command.add_argument(
        "--worlds", type=int, default=2, metavar="N", help="two or more (default: %(default)s)"
    )
    command.add_argument(
        "--spacing",
        type=float,
        default=0.5,
        metavar="S",
        help="seconds between two faults, on average; more if worlds have not been answered since"
        " the last one (default: %(default)s)",
    )
    command.add_argument(
        "--replay",
        metavar="FILE",
        type=Path,
        help="the faults of an earlier run, from the schedule.json that a failure leaves",
    )
    command.add_argument("--json", metavar="FILE", default="", help="write the result to a file")
    add_verbose(command)
    command.set_defaults(run=_run_torture)


def _replayed(path: Path) -> "tuple[Fault, ...]":
    from mmoinv.torture.schedule import schedule_from_json

    try:
        return tuple(schedule_from_json(path.read_text()))
    except OSError as error:
        raise ConfigurationError(
            f"the schedule cannot be read from {path}: {error.strerror}"
        ) from None


def _again(settings: "TortureSettings", folder: Path | None) -> str:
    """The command that does the same faults to the same worlds."""
    command = ["mmoinv", "torture", "--replay", f"{folder}/schedule.json"]
    command += ["--seed", str(settings.seed), "--worlds", str(settings.worlds)]
    return shlex.join([*command, *(["--database", settings.database] if settings.database else [])])


def _run_torture(options: argparse.Namespace) -> int:
    from mmoinv.torture.run import TortureSettings, run_torture

    replay = _replayed(options.replay) if options.replay else ()
    settings = TortureSettings(
        database=options.database,
        faults=len(replay) or options.faults,
        seed=options.seed,
        worlds=options.worlds,
        spacing_s=options.spacing,
        replay=replay,
    )
    settings.check()
    if options.json and not Path(options.json).parent.is_dir():
        raise ConfigurationError(f"{options.json}: its folder is not there")
    if not options.verbose:
        # Links are lost all the time here, and that is what they say.
        logging.getLogger("mmoinv").setLevel(logging.CRITICAL)
    started_s = time.monotonic()

    def tell(number: int, fault: Any) -> None:
        elapsed_s = time.monotonic() - started_s
        of = max(number, settings.faults)  # One without effect is made up for.
        print(f"{elapsed_s:6.1f} s  {number:>4} of {of}  {fault.kind} {fault.target}", flush=True)

    report = asyncio.run(run_torture(settings, tell))
    if options.json:
        Path(options.json).write_text(json.dumps(report.as_json(), indent=1) + "\n")
    findings = report.findings
    for problem in report.problems[:SHOWN]:
        print(problem, file=sys.stderr)
    counts = (
        f"{findings.operations:,} operations, {findings.acknowledged:,} acknowledged, "
        f"{findings.lost} lost, {findings.doubled} doubled, {findings.half_applied} half applied; "
        f"seed {settings.seed}"
    )
    left_out = ", ".join(sorted(settings.left_out)) or "none"
    print(
        f"\nkinds of faults left out: {left_out}; {report.without_effect} of {report.begun} faults "
        f"had no effect, {report.at_standstill} came at a standstill"
    )
    if report.recovery_ms:
        print(
            f"from the realm's start to the first answered commit: {report.median_recovery_ms:,.0f}"
            f" ms, at most {max(report.recovery_ms):,.0f} ms"
        )
    if report.passed:
        print(f"survived {report.faults} faults: {counts}")
    else:
        print(
            f"FAILED, {len(report.problems):,} problems after {report.faults} faults: {counts}. "
            f"See {report.folder}"
        )
        print(f"again: {_again(settings, report.folder)}")
    return 0 if report.passed else 1
