"""``mmoinv loadtest``: the main job, measured. What it does stands in `mmoinv.loadtest`."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from mmoinv.cli.arguments import (
    Commands,
    Formatter,
    add_verbose,
    address_of,
    secret_in,
)
from mmoinv.errors import ConfigurationError


def add_loadtest(commands: Commands) -> None:
    """The arguments of ``mmoinv loadtest``."""
    command = commands.add_parser(
        "loadtest",
        help="the main job, measured: players, world servers, a realm, a verdict",
        description="Simulated players on world servers of their own processes loot, stack, use,\n"
        "move, destroy and save, on a schedule fixed in advance. Then everyone saves the whole\n"
        "inventory at the same instant. At the end every record is read back and compared, and\n"
        "the targets are judged: exit code 1 if one is missed.",
        epilog=(
            "examples:\n"
            "  mmoinv loadtest\n"
            "      100 players for 30 s, on a temporary database\n"
            "  mmoinv loadtest --players 1000 --saves-per-s 1 --json report.json\n"
            "  mmoinv loadtest --html report.html --compare report.json\n"
            "      with plots, beside that earlier run\n"
            "  mmoinv loadtest --database sqlite:///realm.db\n"
            "      on a database of yours: uses characters from guid 0x4C54000000000000 on, and\n"
            "      clears them at the end; the worlds 'loadtest-N' stay in it\n"
            "  mmoinv loadtest --database postgresql://mmoinv@localhost/realm\n"
            "      the same on a database server; mariadb:// works too\n"
            "  mmoinv loadtest --realm 127.0.0.1:6280 --world world-1 --secret-file secret.txt\n"
            "      against a realm that runs; its own figures are not available then\n"
            "  mmoinv loadtest --duration 20 --crash-at 10\n"
            "      kill the realm in the middle, and count what was acknowledged\n"
            "  mmoinv loadtest --sender\n"
            "      how many saves a second the realm takes, beside one transaction a save\n"
            "  mmoinv loadtest --sender --whole --database mariadb://mmoinv@localhost/realm\n"
            "      the same where every save is a whole inventory\n"
        ),
        formatter_class=Formatter,
    )
    command.add_argument("--players", type=int, default=100, help="how many (default: %(default)s)")
    command.add_argument(
        "--duration", type=float, default=30.0, metavar="S", help="seconds (default: %(default)s)"
    )
    command.add_argument(
        "--worlds", type=int, help="world server processes (default: 2; with --realm 1)"
    )
    command.add_argument(
        "--saves-per-s",
        type=float,
        default=0.5,
        metavar="N",
        help="saves of one player in a second (default: %(default)s)",
    )
    command.add_argument(
        "--crash-at",
        type=float,
        metavar="S",
        help="kill the realm (-9) after S seconds of play, start it again, and look every save "
        "that was answered up in the database",
    )
    where = command.add_mutually_exclusive_group()
    _add_database_to(where)
    where.add_argument("--realm", metavar="HOST:PORT", help="a realm that runs already")
    command.add_argument("--world", metavar="NAME", help="with --realm: the world to log on as")
    secret = command.add_mutually_exclusive_group()
    secret.add_argument("--secret", help="with --realm: its secret (others can see it in 'ps')")
    secret.add_argument("--secret-file", metavar="FILE", type=Path, help="the same, from a file")
    command.add_argument("--json", metavar="FILE", default="", help="write the figures to a file")
    command.add_argument(
        "--html",
        metavar="FILE",
        default="",
        help="write a report with plots: one page that needs nothing else (extra 'report')",
    )
    command.add_argument(
        "--compare",
        metavar="FILE",
        default="",
        help="each figure beside an earlier run's, from the file that --json wrote then",
    )
    command.add_argument("--seed", type=int, default=1, help="of the game (default: %(default)s)")
    command.add_argument(
        "--plain", action="store_true", help="a line a second instead of the live table"
    )
    sender = command.add_argument_group(
        "the sender",
        "Instead of players, one process writes saves that it encoded beforehand, many at a time,\n"
        "so that the realm is what is measured; then the same database takes one transaction a\n"
        "save. It has targets of its own on each kind of database.",
    )
    sender.add_argument("--sender", action="store_true", help="measure that instead")
    sender.add_argument(
        "--characters", type=int, default=20_000, help="that are saved (default: %(default)s)"
    )
    sender.add_argument(
        "--saves", type=int, default=200_000, help="how many, in all (default: %(default)s)"
    )
    sender.add_argument(
        "--window",
        type=int,
        default=2048,
        help="saves without an answer at a time (default: %(default)s)",
    )
    sender.add_argument(
        "--whole",
        action="store_true",
        help="each save is the whole inventory of 25 records, 3 of which changed; nothing is "
        "compared with it",
    )
    add_verbose(command)
    command.set_defaults(run=_run_loadtest)


def _add_database_to(group: argparse._MutuallyExclusiveGroup) -> None:
    group.add_argument(
        "--database",
        metavar="URL",
        default="",
        help="start a realm on this database, of any kind (default: a temporary SQLite file)",
    )


def _run_loadtest(options: argparse.Namespace) -> int:
    try:
        from rich.console import Console
    except ImportError as error:
        raise ConfigurationError(
            "the load test needs the extra 'realm', which is not installed: "
            "pip install 'mmoinv[realm]'"
        ) from error

    if options.sender:
        return _run_sender(options, Console())
    from mmoinv.loadtest import LoadTestSettings, run_load_test
    from mmoinv.loadtest.settings import shown_command

    host, port, secret = "", 0, ""
    if options.realm:
        host, port = address_of(options.realm)
        secret = secret_in(options.secret_file) if options.secret_file else options.secret or ""
        if not options.world or not secret:
            raise ConfigurationError(
                "--realm goes with --world and --secret or --secret-file: "
                "'mmoinv world add NAME' on the realm's database gives them"
            )
    elif options.world or options.secret or options.secret_file:
        raise ConfigurationError("--world and --secret go with --realm")
    settings = LoadTestSettings(
        players=options.players,
        worlds=(1 if options.realm else 2) if options.worlds is None else options.worlds,
        duration_s=options.duration,
        saves_per_s=options.saves_per_s,
        database=options.database,
        realm_host=host,
        realm_port=port,
        world_name=options.world or "",
        secret=secret,
        json_path=options.json,
        html_path=options.html,
        compare_path=options.compare,
        command=shown_command(options.typed),
        seed=options.seed,
        plain=options.plain,
        crash_at_s=options.crash_at,
    )
    with _ended_by_signals():
        return run_load_test(settings, Console())


def _run_sender(options: argparse.Namespace, console: Any) -> int:
    from mmoinv.loadtest import ThroughputSettings, run_throughput

    if options.realm or options.world:
        raise ConfigurationError("--sender starts a realm of its own: leave --realm out")
    if options.html or options.compare:
        raise ConfigurationError("--html and --compare are for players: leave them or --sender out")
    settings = ThroughputSettings(
        characters=options.characters,
        saves=options.saves,
        window=options.window,
        whole=options.whole,
        database=options.database,
        json_path=options.json,
        seed=options.seed,
    )
    with _ended_by_signals():
        return run_throughput(settings, console)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal unwind as Ctrl-C does, so that everything is cleared."""

    def unwind(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        number: signal.signal(number, unwind)
        for number in numbers
        # nohup's choice stands.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
