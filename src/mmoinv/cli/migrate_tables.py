"""``mmoinv migrate import``, ``verify`` and ``export``: old tables in, compared, and out again."""

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
)
from mmoinv.cli.audit import print_lines, store_of

if TYPE_CHECKING:
    from mmoinv.legacy import ExportReport, ImportReport, OldTables, VerifyReport

FORMATS = "kyoril, azerothcore, or package.module:Class for a class of your own"


def add_table_commands(actions: Commands) -> None:
    """The arguments of the three."""
    _add_import(actions)
    _add_verify(actions)
    _add_export(actions)


def _add_import(actions: Commands) -> None:
    command = actions.add_parser(
        "import",
        help="bring characters of old tables over",
        description="Read old tables and write what they have into a realm's database, as\n"
        "operations of the ledger (reason 253): many characters in one transaction. May be\n"
        "stopped, killed and run again: what is equal already is left alone, and so is a\n"
        "character that has been played here since. Rows that cannot be taken are kept in\n"
        "the table import_set_aside, each with the reason. The old tables are only read:\n"
        "end what writes them before.",
        epilog=(
            "exit code: 0 done; 1 characters were left out\n\n"
            "examples:\n"
            "  mmoinv migrate import --from mariadb://reader@db/old --dry-run\n"
            "      only say what would be done, and what could not be taken\n"
            "  mmoinv migrate import --from mariadb://reader@db/old --format azerothcore \\\n"
            "      --database postgresql://realm@db/realm\n"
            "  mmoinv migrate import --from sqlite:///old.db --characters 1-1000\n"
            "      a part first\n"
        ),
        formatter_class=Formatter,
    )
    _add_tables(command, "--from", "where the old tables are: a URL, as for --database")
    command.add_argument("--dry-run", action="store_true", help="change nothing")
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="also characters that have been played here since: the old tables win",
    )
    command.add_argument(
        "--online",
        action="store_true",
        help="also characters that are online, which their worlds lose",
    )
    command.add_argument(
        "--source",
        metavar="NAME",
        default="",
        help="name under which rows are set aside (default: the format); give one if you\n"
        "import from several databases",
    )
    command.add_argument(
        "--at-once",
        metavar="N",
        type=int,
        default=500,
        help="characters in one transaction (default %(default)s)",
    )
    _add_rest(command)
    command.set_defaults(run=_run_import)


def _add_verify(actions: Commands) -> None:
    command = actions.add_parser(
        "verify",
        help="compare old tables with a realm's, record by record",
        description="Compare old tables with a realm's database: how many characters and items,\n"
        "sums of each entry and currency, and record by record in all fields that the old\n"
        "tables keep. Rows that no record can hold are counted apart. Changes nothing; end\n"
        "what writes either before.",
        epilog=(
            "exit code: 0 if nothing differs, 1 if something does\n\n"
            "example:\n"
            "  mmoinv migrate verify --from mariadb://reader@db/old --database sqlite:///realm.db\n"
        ),
        formatter_class=Formatter,
    )
    _add_tables(command, "--from", "where the old tables are: a URL, as for --database")
    _add_rest(command)
    command.set_defaults(run=_run_verify)


def _add_export(actions: Commands) -> None:
    command = actions.add_parser(
        "export",
        help="the way back: write old tables from a realm's",
        description="Write what a realm's database has into old tables, which must be there. "
        "Before\nanything is written, all of it is looked through for what the old tables cannot\n"
        "hold; if there is any, it is listed and nothing is written, unless --lossy is given.\n"
        "Only characters that differ are written, some hundred in one transaction: it may be\n"
        "stopped, killed and run again. End what writes either before, and back the old\n"
        "tables up.",
        epilog=(
            "exit code: 0 done; 1 something cannot be held, or characters are online\n\n"
            "examples:\n"
            "  mmoinv migrate export --to mariadb://game@db/old --dry-run\n"
            "      what cannot be held, and how many characters would be written\n"
            "  mmoinv migrate export --to mariadb://game@db/old --format kyoril\n"
        ),
        formatter_class=Formatter,
    )
    _add_tables(command, "--to", "where the old tables are: a URL, as for --database")
    command.add_argument("--dry-run", action="store_true", help="change nothing")
    command.add_argument(
        "--lossy",
        action="store_true",
        help="write all the same: values that are too large are cut to what can be held, the\n"
        "rest is left out",
    )
    command.add_argument(
        "--online",
        action="store_true",
        help="also characters that are online, as they were saved last",
    )
    _add_rest(command)
    command.set_defaults(run=_run_export)


def _add_tables(command: argparse.ArgumentParser, name: str, text: str) -> None:
    command.add_argument(name, metavar="URL", dest="tables", required=True, help=text)
    command.add_argument(
        "--format", metavar="NAME", help=f"{FORMATS} (default: what the tables say)"
    )
    command.add_argument(
        "--characters",
        metavar="A-B",
        type=guids,
        default=(0, (1 << 64) - 1),
        help="only characters with these guids",
    )


def _add_rest(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON, on standard output")
    add_database(command, DEFAULT_DATABASE)
    add_verbose(command)


def guids(text: str) -> tuple[int, int]:
    """A range of guids, or one."""
    first, _, last = text.partition("-")
    numbers = int(first, 0), int(last or first, 0)
    if not 0 <= numbers[0] <= numbers[1] < 1 << 64:
        raise ValueError
    return numbers


guids.__name__ = "range of guids"  # What argparse calls it.


class Progress:
    """Says on standard error how far it is: in place on a terminal, else every half minute."""

    EVERY_S = 30.0

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._begun = self._told = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if not self._is_terminal and now - self._told < self.EVERY_S:
            return
        self._told = now
        line = f"{done:,} of {of:,} characters"
        if done and now > self._begun:
            line += f", {done / (now - self._begun):,.0f} a second"
        end = "" if self._is_terminal else "\n"
        start = "\r" if self._is_terminal else ""
        print(f"{start}{line:<60}", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Make room for what is said next."""
        if self._is_terminal:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)


# What they do


async def _tables(options: argparse.Namespace) -> "OldTables":
    from mmoinv.legacy import SqlTables, tables_of

    tables = await tables_of(options.tables, options.format)
    if isinstance(tables, SqlTables) and (advice := await tables.advice()):
        print(advice, file=sys.stderr)
    return tables


def _run_import(options: argparse.Namespace) -> int:
    from mmoinv.legacy import ImportWish, import_tables
    from mmoinv.legacy.lines import import_lines, import_values

    first, last = options.characters
    wish = ImportWish(
        first_guid=first,
        last_guid=last,
        dry_run=options.dry_run,
        overwrites=options.overwrite,
        takes_online=options.online,
        source=options.source,
        characters_at_once=options.at_once,
    )
    progress = Progress()

    async def work() -> "ImportReport":
        tables = await _tables(options)
        return await import_tables(tables, store_of(options), wish, progress)

    try:
        report = asyncio.run(work())
    finally:
        progress.end()
    if options.json:
        print(json.dumps(import_values(report), indent=1))
    else:
        print_lines(import_lines(report))
    return 0 if report.passed else 1


def _run_verify(options: argparse.Namespace) -> int:
    from mmoinv.legacy import verify_tables
    from mmoinv.legacy.lines import verify_lines, verify_values

    first, last = options.characters
    progress = Progress()

    async def work() -> "VerifyReport":
        tables = await _tables(options)
        return await verify_tables(tables, store_of(options), first, last, progress)

    try:
        report = asyncio.run(work())
    finally:
        progress.end()
    if options.json:
        print(json.dumps(verify_values(report), indent=1))
    else:
        print_lines(verify_lines(report))
    return 0 if report.passed else 1


def _run_export(options: argparse.Namespace) -> int:
    from mmoinv.legacy import ExportWish, export_tables
    from mmoinv.legacy.lines import export_lines, export_values

    first, last = options.characters
    wish = ExportWish(first, last, options.dry_run, options.lossy, options.online)
    progress = Progress()

    async def work() -> "ExportReport":
        tables = await _tables(options)
        return await export_tables(tables, store_of(options), wish, progress)

    try:
        report = asyncio.run(work())
    finally:
        progress.end()
    if options.json:
        print(json.dumps(export_values(report), indent=1))
    else:
        print_lines(export_lines(report))
    return 0 if report.passed or (options.lossy and not report.left) else 1
