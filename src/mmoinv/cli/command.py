"""The whole ``mmoinv`` command: its parser, and what becomes of errors. Knows no command's work.

Exit codes: 0 done, 1 failed (a target, a verification, an error), 2 wrong usage, 130 Ctrl-C.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mmoinv import __version__
from mmoinv.cli.arguments import Formatter, add_verbose, codec_name
from mmoinv.cli.audit import add_audit
from mmoinv.cli.db import add_db
from mmoinv.cli.doctor import add_doctor
from mmoinv.cli.explain import add_explain
from mmoinv.cli.loadtest import add_loadtest
from mmoinv.cli.migrate import add_migrate
from mmoinv.cli.realm import add_realm
from mmoinv.cli.restore import add_restore
from mmoinv.cli.torture import add_torture
from mmoinv.cli.verify import add_verify
from mmoinv.cli.world import add_world
from mmoinv.errors import ConfigurationError, MmoinvError


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
        print(f"mmoinv {__version__} ({codec_name()} codec)")
        parser.exit()


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
            "  mmoinv history 7 --database sqlite:///realm.db\n"
            "      what happened to a character's items; show, trace and verify ask further,\n"
            "      restore brings back\n"
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
    add_verbose(root)
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_realm(commands)
    add_world(commands)
    add_db(commands)
    add_audit(commands)
    add_verify(commands)
    add_restore(commands)
    add_migrate(commands)
    add_loadtest(commands)
    add_torture(commands)
    add_doctor(commands)
    add_explain(commands)
    return root
