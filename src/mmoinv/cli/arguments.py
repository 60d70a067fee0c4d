"""What several commands share: arguments, and how their texts are read.

Imports nothing of mmoinv but its errors: ``--help`` must work without codec and extras.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmoinv.errors import ConfigurationError

if TYPE_CHECKING:
    # The type has no public name, and takes parameters only where it is checked.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction

DEFAULT_DATABASE = "sqlite:///realm.db"
DATABASE_VARIABLE = "MMOINV_DATABASE_URL"
Formatter = argparse.RawDescriptionHelpFormatter


def add_verbose(command: argparse.ArgumentParser) -> None:
    """``--verbose``, which each command has besides the root: it is typed at the end."""
    command.add_argument("--verbose", action="store_true", help="show where an error comes from")


def add_database(command: argparse.ArgumentParser, otherwise: str) -> None:
    """``--database``; ``otherwise``, for the help, is what holds without it and the variable."""
    command.add_argument(
        "--database",
        metavar="URL",
        help="sqlite:///file.db (four slashes: absolute), postgresql://user@host/database or "
        "mariadb://user@host/database "
        f"(default: {DATABASE_VARIABLE}, else {otherwise})",
    )


def database_of(options: argparse.Namespace) -> str | None:
    """What ``--database`` or the environment says; None if neither does."""
    return options.database or os.environ.get(DATABASE_VARIABLE) or None


def codec_name() -> str:
    """``compiled`` or ``python``; loads the codec."""
    from mmoinv.codec import CODEC

    return CODEC


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; `ConfigurationError` if it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= 65535:
        raise ConfigurationError(f"{text!r} is no address: write HOST:PORT, like 127.0.0.1:6280")
    return host.strip("[]"), int(port)


def secret_in(path: Path) -> str:
    """The secret that a file holds; `ConfigurationError` if there is none."""
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"the secret cannot be read from {path}: {error.strerror}"
        ) from None
    if not secret:
        raise ConfigurationError(f"{path} is empty: it should hold the world's secret")
    return secret
