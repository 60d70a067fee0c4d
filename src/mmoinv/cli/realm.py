"""``mmoinv realm``: the realm server as a process."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmoinv import __version__, loops
from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
    codec_name,
)

if TYPE_CHECKING:
    from mmoinv.config import RealmConfig

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
        epilog=(
            "examples:\n"
            "  mmoinv realm --database sqlite:///realm.db --port 6280\n"
            "  mmoinv realm --show-config > realm.toml\n"
            "      every setting there is, with its meaning; what is not given here is taken from\n"
            "      the environment (MMOINV_REALM_PORT and so on), then from the file\n"
            "  mmoinv realm --config realm.toml\n"
        ),
        formatter_class=Formatter,
    )
    add_database(command, f"that of --config, else {DEFAULT_DATABASE}")
    # The defaults are those of `mmoinv.config`, which help must do without.
    command.add_argument("--host", help="off loopback it wants TLS (default: 127.0.0.1)")
    command.add_argument("--port", type=int, help="0: any free one (default: 6280)")
    command.add_argument(
        "--tls-certificate", metavar="FILE", help="speak TLS 1.3 with this certificate (PEM)"
    )
    command.add_argument("--tls-key", metavar="FILE", help="the private key of the certificate")
    command.add_argument(
        "--tls-client-ca",
        metavar="FILE",
        help="let only worlds in that show a certificate of these authorities",
    )
    command.add_argument(
        "--allow-plaintext",
        action="store_const",
        const=True,
        help="listen off loopback without TLS, because nobody is in between",
    )
    command.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), help="default: info"
    )
    command.add_argument(
        "--config", metavar="FILE", type=Path, help="read settings from a TOML file"
    )
    command.add_argument(
        "--show-config",
        action="store_true",
        help="print the settings in force as such a file, each with its meaning and where it "
        "comes from, and do nothing else",
    )
    add_verbose(command)
    command.set_defaults(run=_run_realm)


def _run_realm(options: argparse.Namespace) -> int:
    from mmoinv.config import as_toml, load

    config = load(
        options.config,
        arguments={
            "realm.host": options.host,
            "realm.port": options.port,
            "realm.tls_certificate": options.tls_certificate,
            "realm.tls_key": options.tls_key,
            "realm.tls_client_ca": options.tls_client_ca,
            "realm.allow_plaintext": options.allow_plaintext,
            "realm.log_level": options.log_level,
            "database.url": options.database,
        },
    )
    if options.show_config:
        print(as_toml(config), end="")
        return 0
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)-7s %(message)s"
    )
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return loops.run(_serve(config))


async def _serve(config: "RealmConfig") -> int:
    from mmoinv.realm import RealmServer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        # Windows has neither add_signal_handler nor SIGTERM; Ctrl-C cancels the main task there.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), stop.set)
    server = RealmServer(
        config.database,
        host=config.host,
        port=config.port,
        limits=config.limits,
        store_settings=config.store,
        tls_certificate=config.tls_certificate,
        tls_key=config.tls_key,
        tls_client_ca=config.tls_client_ca,
        allow_plaintext=config.allow_plaintext,
    )
    async with server as realm:
        print(
            f"mmoinv {__version__} ({codec_name()} codec): the realm listens on "
            f"{realm.host}:{realm.port}{' with TLS' if realm.speaks_tls else ''}, its database "
            f"is {realm.store.url}. Ctrl-C stops it.",
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
