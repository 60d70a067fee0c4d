"""``mmoinv doctor``: whether the installation is well. What it looks at: `mmoinv.doctor`."""

import argparse
from pathlib import Path

from mmoinv.cli.arguments import (
    Commands,
    Formatter,
    add_database,
    add_verbose,
    address_of,
    database_of,
)


def add_doctor(commands: Commands) -> None:
    """The arguments of ``mmoinv doctor``."""
    command = commands.add_parser(
        "doctor",
        help="say what is installed, what is reachable and how quick the disk is",
        description="Look at this installation and say, line by line, what is well and what is\n"
        "not, with the remedy: versions, the codec in use and why, the event loop, the limit of\n"
        "open files, how long the disk (on PostgreSQL, the server) takes to sync and what that\n"
        "means for saves a second, which settings of a database server endanger what it has\n"
        "committed. Changes nothing. Exit code 1 if something that is needed failed; a warning\n"
        "(!) is no failure.",
        epilog=(
            "examples:\n"
            "  mmoinv doctor\n"
            "      the installation, and the disk of this folder\n"
            "  mmoinv doctor --database postgresql://mmoinv@localhost/realm\n"
            "      whether the server can be reached, keeps what it commits, and how quickly\n"
            "  mmoinv doctor --database sqlite:///realm.db\n"
            "      whether a realm could use the database, and the disk that it is on\n"
            "  mmoinv doctor --config realm.toml\n"
            "      the same with what a realm's settings say; and for how long its certificate is "
            "good\n"
            "  mmoinv doctor --realm 127.0.0.1:6280 --json\n"
            "      whether a realm listens there; everything as JSON, for programs\n"
        ),
        formatter_class=Formatter,
    )
    add_database(command, "none")
    command.add_argument("--realm", metavar="HOST:PORT", help="a realm that should be running")
    command.add_argument(
        "--tls-ca",
        metavar="FILE",
        default="",
        help="speak TLS with that realm, and trust these authorities (off loopback without it: the "
        "system's)",
    )
    command.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the settings of a realm: its database, and its certificate, are looked at too",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")
    add_verbose(command)
    command.set_defaults(run=_run_doctor)


def _run_doctor(options: argparse.Namespace) -> int:
    from mmoinv import doctor

    realm = address_of(options.realm) if options.realm else None
    database, tls_files = database_of(options), None
    if options.config:
        from mmoinv.config import load

        config = load(options.config)
        database = options.database or config.database
        if config.tls_certificate or config.tls_key:
            tls_files = (config.tls_certificate, config.tls_key, config.tls_client_ca)
    return doctor.run(
        database, realm, tls_ca=options.tls_ca, tls_files=tls_files, as_json=options.json
    )
