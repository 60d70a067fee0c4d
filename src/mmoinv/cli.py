"""The ``mmoinv`` command: arguments in, exit codes out. What is done stands elsewhere.

Exit codes: 0 done, 1 failed (a target, a verification, an error), 2 wrong usage, 130 Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mmoinv import __version__, loops
from mmoinv.errors import ConfigurationError, MmoinvError

EXAMPLE_HEX = "81 0c 00 00 00 2a 00 00 00 00 00 00 00 00 00 00 00"
"""A world server asks for character 42."""
DEFAULT_DATABASE = "sqlite:///realm.db"
DEFAULT_PORT = 6280
STATUS_EVERY_S = 10.0
SWITCH_INTERVAL_S = 0.0005
"""How soon the database's thread hands the interpreter back to the realm's event loop."""

Formatter = argparse.RawDescriptionHelpFormatter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    verbose = "--verbose" in (sys.argv if arguments is None else arguments)
    try:
        options = parser().parse_args(arguments)
        options.typed = list(sys.argv[1:] if arguments is None else arguments)
        return int(options.run(options))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except MmoinvError as error:
        if verbose:
            raise
        print(f"mmoinv: {error}", file=sys.stderr)
        # What the machine refused, though it was rightly asked for, is no wrong usage.
        is_usage = isinstance(error, ConfigurationError)
        return 2 if is_usage and not isinstance(error.__cause__, (OSError, ImportError)) else 1
    except BrokenPipeError:
        # Whoever read our output has had enough.
        sys.stderr.close()
        return 1


class _ShowVersion(argparse.Action):
    """Loads the codec only when it is asked for: help must work without one."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(f"mmoinv {__version__} ({_codec_name()} codec)")
        parser.exit()


def _codec_name() -> str:
    from mmoinv.codec import CODEC

    return CODEC


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    root = argparse.ArgumentParser(
        prog="mmoinv",
        description="Carries the items of an online game from its world servers to its database.",
        epilog=(
            "examples:\n"
            "  mmoinv loadtest --players 100 --duration 30\n"
            "      the main job: players save through world servers and a realm into SQLite\n"
            "  mmoinv world add world-1 --database sqlite:///realm.db\n"
            "      let a world server in; prints its secret\n"
            "  mmoinv realm --database sqlite:///realm.db --port 6280\n"
            "      run the realm server\n"
            "  mmoinv doctor\n"
            "      what is installed, and what is wrong with it\n"
            "  mmoinv explain 82 09 00 00 00 00 07 00 00 00 00 00 00 00\n"
            "      what the bytes of a packet mean\n"
        ),
        formatter_class=Formatter,
    )
    root.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="show the version and the codec in use"
    )
    _add_verbose(root)
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_realm(commands)
    _add_world(commands)
    _add_loadtest(commands)
    _add_doctor(commands)
    _add_explain(commands)
    return root


Commands = argparse._SubParsersAction  # The type has no public name.


def _add_verbose(command: argparse.ArgumentParser) -> None:
    command.add_argument("--verbose", action="store_true", help="show where an error comes from")


def _add_database(command: argparse.ArgumentParser, default: str | None) -> None:
    shown = f" (default: {default})" if default else ""
    command.add_argument(
        "--database",
        metavar="URL",
        default=default,
        help=f"sqlite:///file.db, or sqlite:////absolute/file.db{shown}",
    )


def _add_realm(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "realm",
        help="run the realm server",
        description="Run the realm server: it owns the database and answers world servers.\n"
        "An empty database is set up by itself. Ctrl-C finishes what has come in, answers it\n"
        "and stops.",
        epilog="example:\n  mmoinv realm --database sqlite:///realm.db --port 6280",
        formatter_class=Formatter,
    )
    _add_database(command, DEFAULT_DATABASE)
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback only, until there is TLS (default: %(default)s)",
    )
    command.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0: any free one (default: %(default)s)"
    )
    command.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="default: %(default)s",
    )
    _add_verbose(command)
    command.set_defaults(run=_run_realm)


def _add_world(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "world",
        help="let world servers in, and list them",
        description="Say which world servers may log on to the realms of a database.",
        formatter_class=Formatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add",
        help="let a world server in",
        description="Let a world server in, or give it a new secret. The secret is shown once:\n"
        "the database keeps only what is needed to check it.",
        epilog="example:\n  mmoinv world add world-1 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    add.add_argument("name", metavar="NAME", help="1 to 64 printable characters")
    _add_database(add, DEFAULT_DATABASE)
    add.add_argument(
        "--secret-file",
        metavar="FILE",
        type=Path,
        help="read the secret from a file instead of making one up",
    )
    _add_verbose(add)
    add.set_defaults(run=_run_world_add)
    listing = actions.add_parser("list", help="list the world servers", formatter_class=Formatter)
    _add_database(listing, DEFAULT_DATABASE)
    _add_verbose(listing)
    listing.set_defaults(run=_run_world_list)


def _add_loadtest(commands: "Commands[argparse.ArgumentParser]") -> None:
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
            "  mmoinv loadtest --realm 127.0.0.1:6280 --world world-1 --secret-file secret.txt\n"
            "      against a realm that runs; its own figures are not available then\n"
            "  mmoinv loadtest --sender\n"
            "      how many saves a second the realm takes, beside one transaction a save\n"
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
        "so that the realm is what is measured; then the same file takes one transaction a save.",
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
    _add_verbose(command)
    command.set_defaults(run=_run_loadtest)


def _add_database_to(group: argparse._MutuallyExclusiveGroup) -> None:
    group.add_argument(
        "--database",
        metavar="URL",
        default="",
        help="start a realm on this database (default: a temporary SQLite file)",
    )


def _add_doctor(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "doctor",
        help="say what is installed, what is reachable and how quick the disk is",
        description="Look at this installation and say, line by line, what is well and what is\n"
        "not, with the remedy: versions, the codec in use and why, the event loop, the limit of\n"
        "open files, how long the disk takes to sync and what that means for saves a second.\n"
        "Changes nothing. Exit code 1 if something that is needed failed; a warning (!) is\n"
        "no failure.",
        epilog=(
            "examples:\n"
            "  mmoinv doctor\n"
            "      the installation, and the disk of this folder\n"
            "  mmoinv doctor --database sqlite:///realm.db\n"
            "      whether a realm could use the database, and the disk that it is on\n"
            "  mmoinv doctor --realm 127.0.0.1:6280 --json\n"
            "      whether a realm listens there; everything as JSON, for programs\n"
        ),
        formatter_class=Formatter,
    )
    _add_database(command, None)
    command.add_argument("--realm", metavar="HOST:PORT", help="a realm that should be running")
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")
    _add_verbose(command)
    command.set_defaults(run=_run_doctor)


def _add_explain(commands: "Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "explain",
        help="say what the bytes of packets mean",
        description="Take frames apart, byte by byte: from the hex of a log or from a capture's\n"
        "file. What is broken is shown as far as it goes, and then what is wrong, and where:\n"
        "exit code 1.",
        epilog=(
            "examples:\n"
            f"  mmoinv explain {EXAMPLE_HEX}\n"
            "      a world server asks for character 42\n"
            "  mmoinv explain capture.bin --dialect 2\n"
            "      a file, records as a C++ peer writes them\n"
        ),
        formatter_class=Formatter,
    )
    command.add_argument(
        "what",
        metavar="HEX|FILE",
        nargs="+",
        help="hex as it stands in a log (spaces, colons and 0x do no harm), or a file of bytes, "
        "hex or a hex dump; - reads standard input",
    )
    command.add_argument(
        "--dialect", type=int, choices=range(4), help="of the link (default: by the length)"
    )
    command.add_argument(
        "--from",
        dest="sender",
        choices=("world", "realm"),
        default="",
        help="who sent it, where an opcode has two meanings (default: what fits)",
    )
    command.add_argument("--all", action="store_true", help="every record, not only the first 8")
    command.add_argument("--json", action="store_true", help="JSON instead of lines")
    _add_verbose(command)
    command.set_defaults(run=_run_explain)


# Commands


def _run_realm(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)-7s %(message)s"
    )
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return loops.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from mmoinv.realm import RealmServer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        # Windows has neither add_signal_handler nor SIGTERM; Ctrl-C cancels the main task there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), stop.set)
    async with RealmServer(options.database, host=options.host, port=options.port) as realm:
        print(
            f"mmoinv {__version__} ({_codec_name()} codec): the realm listens on "
            f"{options.host}:{realm.port}, its database is {options.database}. Ctrl-C stops it.",
            flush=True,
        )
        before = 0
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), STATUS_EVERY_S)
            now = realm.statistics
            if now.groups != before:
                logging.getLogger("mmoinv.realm").info(
                    "%d links, %d sessions, %d operations saved, queue %d, "
                    "database p50 %.1f p99 %.1f ms",
                    now.links,
                    now.sessions,
                    now.committed,
                    now.queue,
                    now.database_ms_at(50),
                    now.database_ms_at(99),
                )
                before = now.groups
        print("Stopping: what has come in is saved and answered first.", flush=True)
    print("Stopped.", flush=True)
    return 0


def _run_world_add(options: argparse.Namespace) -> int:
    secret = _read_secret(options.secret_file) if options.secret_file else None
    shown, is_new = asyncio.run(_add_world_to(options.database, options.name, secret))
    if not is_new:
        print(f"World {options.name!r} was there already: its earlier secret is void.")
    if secret is not None:
        print(f"World {options.name!r} may log on with the secret in {options.secret_file}.")
        return 0
    print(f"World {options.name!r} may log on with this secret. It is not shown again:")
    print(shown)
    return 0


async def _add_world_to(database: str, name: str, secret: str | None) -> tuple[str, bool]:
    from mmoinv.realm import add_world
    from mmoinv.stores import open_store

    async with await open_store(database) as store:
        is_new = await store.find_world(name) is None
        return await add_world(store, name, secret), is_new


def _run_world_list(options: argparse.Namespace) -> int:
    names = asyncio.run(_world_names(options.database))
    if not names:
        print("No world may log on yet. Add one: mmoinv world add NAME --database URL")
    for name in names:
        print(name)
    return 0


async def _world_names(database: str) -> list[str]:
    from mmoinv.stores import open_store

    async with await open_store(database) as store:
        return [world.name for world in await store.worlds()]


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
        host, port = _address(options.realm)
        secret = _read_secret(options.secret_file) if options.secret_file else options.secret or ""
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
        database=options.database,
        json_path=options.json,
        seed=options.seed,
    )
    with _ended_by_signals():
        return run_throughput(settings, console)


def _run_explain(options: argparse.Namespace) -> int:
    from mmoinv import explain

    return explain.run(options)


def _run_doctor(options: argparse.Namespace) -> int:
    from mmoinv import doctor

    realm = _address(options.realm) if options.realm else None
    return doctor.run(options.database, realm, as_json=options.json)


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


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= 65535:
        raise ConfigurationError(f"{text!r} is no address: write HOST:PORT, like 127.0.0.1:6280")
    return host.strip("[]"), int(port)


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"the secret cannot be read from {path}: {error.strerror}"
        ) from None
    if not secret:
        raise ConfigurationError(f"{path} is empty: it should hold the world's secret")
    return secret
