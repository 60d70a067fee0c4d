"""``mmoinv migrate import``, ``verify`` and ``export``: old tables in, compared, and out again."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

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
SHOWN = 20
"""Lines of a list; all of it with --json."""


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
        print(json.dumps(_import_values(report), indent=1))
    else:
        print_lines(_import_lines(report))
    return 0 if report.passed else 1


def _import_values(report: "ImportReport") -> dict[str, Any]:
    return {
        "source": report.source,
        "from": report.url,
        "dry_run": report.dry_run,
        "characters": report.characters,
        "written": report.written,
        "unchanged": report.unchanged,
        "items": report.items,
        "money": dict(report.money),
        "strange": report.strange,
        "set_aside": dict(report.set_aside),
        "leftovers": dict(report.leftovers),
        "newly_kept": report.newly_kept,
        "examples": {kind: one._asdict() for kind, one in report.examples.items()},
        "left_out": report.left_count,
        "left": [one._asdict() for one in report.left],
        "passed": report.passed,
    }


def _import_lines(report: "ImportReport") -> Iterator[str]:
    verb = "would be written" if report.dry_run else "written"
    money = "".join(
        f", {amount:+,} of currency {currency}" for currency, amount in report.money.items()
    )
    yield f"{report.source}, {report.url}: {report.characters:,} characters with what they have"
    yield (
        f"{report.written:,} {verb} ({report.items:,} items{money}), {report.unchanged:,} equal "
        f"already, {report.left_count:,} left out"
    )
    if report.strange:
        yield f"{report.strange:,} items are in a bag that is not there, or in no known place"
    yield from _kinds("not taken, set aside", report.set_aside, report)
    yield from _kinds("not taken whole, the rest set aside", report.leftovers, report)
    if report.newly_kept:
        yield f"{report.newly_kept:,} rows are new in the table import_set_aside"
    if report.left:
        yield "left out:"
        for one in report.left[:SHOWN]:
            yield f"  character {one.character_guid}: {one.reason}"
        if report.left_count > SHOWN:
            yield f"  ... and {report.left_count - SHOWN:,} more"
    if report.dry_run:
        yield "a dry run: nothing was changed."


def _kinds(title: str, counts: Mapping[str, int], report: "ImportReport") -> Iterator[str]:
    if not counts:
        return
    yield f"{title}: {sum(counts.values()):,} rows"
    for kind, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        example = report.examples[kind]
        yield f"  {count:,}  like character {example.character_guid}: {example.reason}"


def _run_verify(options: argparse.Namespace) -> int:
    from mmoinv.legacy import verify_tables

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
        print(json.dumps(_verify_values(report), indent=1))
    else:
        print_lines(_verify_lines(report))
    return 0 if report.passed else 1


def _verify_values(report: "VerifyReport") -> dict[str, Any]:
    return {
        "from": report.url,
        "characters": {"old": report.old_characters, "here": report.characters},
        "items": {"old": report.old_items, "here": report.items},
        "entries": {entry: both._asdict() for entry, both in report.entries.items()},
        "currencies": {number: both._asdict() for number, both in report.currencies.items()},
        "set_aside": report.set_aside,
        "leftovers": report.leftovers,
        "kinds": dict(report.kinds),
        "differing": report.differing,
        "differences": [one._asdict() for one in report.differences],
        "passed": report.passed,
    }


def _verify_lines(report: "VerifyReport") -> Iterator[str]:
    for one in report.differences[:SHOWN]:
        yield str(one)
    count = sum(report.kinds.values())
    if count > SHOWN:
        yield f"... and {count - SHOWN:,} more"
    for what, sums in (("entry", report.entries), ("currency", report.currencies)):
        for number, both in list(sums.items())[:SHOWN]:
            yield f"{what} {number}: {both.old:,} in the old tables, {both.here:,} here"
        if len(sums) > SHOWN:
            yield f"... and {len(sums) - SHOWN:,} more sums of {what}"
    yield (
        f"old tables, {report.url}: {report.old_characters:,} characters, "
        f"{report.old_items:,} items"
    )
    yield f"here: {report.characters:,} characters, {report.items:,} items"
    if report.set_aside:
        yield f"{report.set_aside:,} rows of the old tables are no items that a record can hold"
    if report.leftovers:
        yield f"{report.leftovers:,} rows say more than a record can hold"
    if report.passed:
        yield "nothing differs."
    else:
        yield f"{count:,} differences in {report.differing:,} characters."


def _run_export(options: argparse.Namespace) -> int:
    from mmoinv.legacy import ExportWish, export_tables

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
        print(json.dumps(_export_values(report), indent=1))
    else:
        print_lines(_export_lines(report))
    return 0 if report.passed or (options.lossy and not report.left) else 1


def _export_values(report: "ExportReport") -> dict[str, Any]:
    return {
        "to": report.url,
        "dry_run": report.dry_run,
        "stopped": report.stopped,
        "characters": report.characters,
        "written": report.written,
        "unchanged": report.unchanged,
        "items": report.items,
        "renamed": report.renamed,
        "kinds": dict(report.kinds),
        "losses": [loss._asdict() for loss in report.losses],
        "online": report.left,
        "passed": report.passed,
    }


def _export_lines(report: "ExportReport") -> Iterator[str]:
    count = sum(report.kinds.values())
    if count:
        yield f"the old tables cannot hold {count:,} things:"
        for kind, number in report.kinds.most_common():
            yield f"  {number:,}  {kind}"
        yield "such as"
        for loss in report.losses[:SHOWN]:
            yield f"  character {loss.character_guid}: {loss.text}"
        if count > SHOWN:
            yield f"  ... and {count - SHOWN:,} more"
    if report.left:
        shown = ", ".join(map(str, report.left[:SHOWN]))
        more = f" and {len(report.left) - SHOWN:,} more" if len(report.left) > SHOWN else ""
        yield f"left out, since they are online: {shown}{more}; --online exports what is saved"
    if report.stopped:
        yield (
            "nothing was written. --lossy writes all the same: too large values are cut, the rest "
            "is left out."
        )
        return
    verb = "would be written" if report.dry_run else "written"
    yield (
        f"{report.url}: {report.characters:,} characters: {report.written:,} {verb} "
        f"({report.items:,} items), {report.unchanged:,} equal already"
    )
    if report.renamed:
        yield (
            f"{report.renamed:,} items have a guid that the old tables cannot hold, and one of "
            "their own there"
        )
    if report.dry_run:
        yield "a dry run: nothing was changed."
