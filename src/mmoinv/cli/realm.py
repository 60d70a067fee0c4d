"""``mmoinv realm``: the realm server as a process."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

from mmoinv import __version__, loops
from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
    codec_name,
)

DEFAULT_PORT = 6280
STATUS_EVERY_S = 10.0
SWITCH_INTERVAL_S = 0.0005
"""How soon the database's thread hands the interpreter back to the realm's event loop."""


def add_realm(commands: Commands) -> None:
    """The arguments of ``mmoinv realm``."""
    command = commands.add_parser(
        "realm",
        help="run the realm server",
        description="Run the realm server: it owns the database and answers world servers.\n"
        "An empty database is set up by itself. Ctrl-C finishes what has come in, answers it\n"
        "and stops.",
        epilog="example:\n  mmoinv realm --database sqlite:///realm.db --port 6280",
        formatter_class=Formatter,
    )
    add_database(command, DEFAULT_DATABASE)
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
    add_verbose(command)
    command.set_defaults(run=_run_realm)


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
            f"mmoinv {__version__} ({codec_name()} codec): the realm listens on "
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
