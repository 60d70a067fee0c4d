"""``mmoinv migrate rehearse``: all steps of a move, played on throw-away databases."""

import argparse
import asyncio
import json
from pathlib import Path

from mmoinv.cli.arguments import Commands, Formatter, add_verbose
from mmoinv.cli.audit import print_lines
from mmoinv.errors import ConfigurationError


def add_rehearse_command(actions: Commands) -> None:
    """The arguments of ``mmoinv migrate rehearse``."""
    command = actions.add_parser(
        "rehearse",
        help="play all steps of a move on throw-away databases, while either side fails",
        description="Simulated players log in, loot, move, trade, save and log out, and meanwhile "
        "a move is made\nfrom its first step to its last, on databases that are thrown away:\n"
        "  the old way       whole inventories, deleted and inserted; then import and verify\n"
        "  shadow            for a tenth, then for all, while the new side is killed, starved\n"
        "                    and stopped; then the verdict is asked\n"
        "  primary           for a third, then for all, while the old side raises, is slow and\n"
        "                    hangs; realm and world are killed; modes go back and forth\n"
        "  a planted bug     in the old side's writer, for a moment: the comparison must find it,\n"
        "                    name it, and the verdict must say no\n"
        "  new, the way back the old tables are written from ours and played on, then forward "
        "again\n"
        "  finish            refused at first, then not\n"
        "After each step all players log out, and what each of them owns is held to both\n"
        "databases. Nothing of yours is touched. Thresholds and timeouts are scaled to a\n"
        "minute; all else is what a real move uses.",
        epilog=(
            "exit code: 0 if nothing was lost, doubled or missed; 1 if something was: then the "
            "folder with\nboth databases' contents, the players', the evidence and the logs stays\n"
            "\n"
            "examples:\n"
            "  mmoinv migrate rehearse\n"
            "      on SQLite, and on MariaDB where it is installed, about a minute\n"
            "  mmoinv migrate rehearse --database mariadb --format azerothcore --html move.html\n"
            "      on a MariaDB server that is started for it, with AzerothCore's tables\n"
            "  mmoinv migrate rehearse --database mariadb://me:secret@db/scratch --seconds 10\n"
            "      on a server that runs: two databases are made there, and dropped at the end\n"
            "  mmoinv migrate rehearse --players 200 --seed 7 --json move.json\n"
        ),
        formatter_class=Formatter,
    )
    command.add_argument(
        "--database",
        metavar="WHAT",
        action="append",
        default=[],
        help="sqlite; mariadb for a server that is started for it (extra 'mariadb'); or the URL "
        "of a database on a server whose user may make others. May be given again (default: "
        "sqlite, and mariadb where it is installed)",
    )
    command.add_argument(
        "--format",
        choices=("kyoril", "azerothcore"),
        default="kyoril",
        help="of the old tables (default: %(default)s)",
    )
    command.add_argument("--players", type=int, default=30, help="how many (default: %(default)s)")
    command.add_argument(
        "--seconds",
        type=float,
        default=0.6,
        metavar="S",
        help="of play in each part of a step; there are some twenty (default: %(default)s)",
    )
    command.add_argument("--seed", type=int, default=1, help="of the game (default: %(default)s)")
    command.add_argument("--json", metavar="FILE", type=Path, help="write the result to a file")
    command.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="write a page with plots, which needs nothing else (extra 'report')",
    )
    command.add_argument(
        "--plain", action="store_true", help="a line a step instead of the live table"
    )
    add_verbose(command)
    command.set_defaults(run=_run_rehearse)


def _run_rehearse(options: argparse.Namespace) -> int:
    try:
        from rich.console import Console

        from mmoinv.rehearsal import RehearsalSettings, run_rehearsal
        from mmoinv.rehearsal.live import Screen
    except ImportError as error:
        raise ConfigurationError(
            "a rehearsal needs the extra 'realm', which is not installed: "
            "pip install 'mmoinv[realm]'"
        ) from error
    from mmoinv.loadtest.settings import shown_command
    from mmoinv.plots import require_plotly
    from mmoinv.rehearsal.report import report_lines, report_page

    settings = RehearsalSettings(
        databases=tuple(options.database),
        format=options.format,
        players=options.players,
        part_s=options.seconds,
        seed=options.seed,
    )
    settings.check()
    # Before the run, not after it: what would be missing at its end.
    if options.html is not None:
        require_plotly()
    for path in (options.html, options.json):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigurationError(f"{path}: its folder is not there")
    with Screen(Console(), options.plain) as screen:
        report = asyncio.run(run_rehearsal(settings, screen))
    print_lines(report_lines(report))
    try:
        if options.json is not None:
            options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
        if options.html is not None:
            page = report_page(report, shown_command(options.typed))
            options.html.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the result cannot be written: {error}") from error
    return 0 if report.passed else 1
