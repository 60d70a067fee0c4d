"""``mmoinv history``, ``show`` and ``trace``: what happened; and what all that ask share."""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
    database_of,
)
from mmoinv.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mmoinv.stores.sql_store import SqlStore

T = TypeVar("T")
OLDER = "what is older is not in the ledger: it was forgotten by age, or the ledger was off."
NOTHING_CHANGED = "Changes nothing; a realm may run meanwhile."


def add_audit(commands: Commands) -> None:
    """The arguments of the three commands."""
    history = commands.add_parser(
        "history",
        help="what operations changed of a character",
        description="Show what each operation changed of a character, newest first: the slots,\n"
        f"what was there before and after, money, and who took part. {NOTHING_CHANGED}",
        epilog="example:\n  mmoinv history 7 --limit 5 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    add_guid(history, "GUID", "the character's")
    history.add_argument(
        "--limit", type=int, default=20, metavar="N", help="operations at most (default 20)"
    )
    history.set_defaults(run=_run_history)
    show = commands.add_parser(
        "show",
        help="what a character holds, or held",
        description="Show what is stored of a character now; with --at, what it held then.\n"
        + NOTHING_CHANGED,
        epilog=(
            "examples:\n  mmoinv show 7\n"
            "  mmoinv show 7 --at '2026-11-20 18:30:00'\n"
            "      in UTC; or seconds since 1970\n"
            "  mmoinv show 7 --version 12\n"
            "      after the operation that made version 12\n"
        ),
        formatter_class=Formatter,
    )
    add_guid(show, "GUID", "the character's")
    when = show.add_mutually_exclusive_group()
    when.add_argument("--at", metavar="TIME", help="what it held at a time, UTC")
    when.add_argument("--version", type=int, metavar="N", help="what it held as of a version")
    show.set_defaults(run=_run_show)
    trace = commands.add_parser(
        "trace",
        help="the whole life of one item, across owners",
        description="Show every operation that touched an item, oldest first, whoever's it was,\n"
        f"and where it is now. Reads the whole ledger. {NOTHING_CHANGED}",
        epilog="example:\n  mmoinv trace 8589934593 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    add_guid(trace, "ITEM_GUID", "the item's")
    trace.set_defaults(run=_run_trace)
    for command in (history, show, trace):
        add_asking(command)


def add_asking(command: argparse.ArgumentParser) -> None:
    """What every command that asks a database takes."""
    command.add_argument("--json", action="store_true", help="as JSON, on standard output")
    add_database(command, DEFAULT_DATABASE)
    add_verbose(command)


def add_guid(command: argparse.ArgumentParser, name: str, whose: str) -> None:
    command.add_argument(
        "guid", metavar=name, type=guid, help=f"{whose} guid, 0 to 2^64 - 1; 0x... is hexadecimal"
    )


def guid(text: str) -> int:
    number = int(text, 0)
    if not 0 <= number < 1 << 64:
        raise ValueError
    return number


guid.__name__ = "guid"  # What argparse calls it.


def store_of(options: argparse.Namespace) -> "SqlStore":
    """The database that is meant, not open."""
    from mmoinv.stores import store_for
    from mmoinv.stores.sql_store import SqlStore

    store = store_for(database_of(options) or DEFAULT_DATABASE)
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url} is another package's: use its own tools")
    return store


def ask(options: argparse.Namespace, question: "Callable[[Connection], T]") -> T:
    """Ask the database in one transaction that cannot write."""
    from mmoinv.stores.schema import require_readable

    store = store_of(options)

    def work(connection: "Connection") -> T:
        require_readable(connection, store.url)
        return question(connection)

    return asyncio.run(store.read_only(work))


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _run_history(options: argparse.Namespace) -> int:
    from mmoinv.audit import entries_of, world_names
    from mmoinv.audit.lines import entry_lines, entry_values

    def question(connection: "Connection") -> Any:
        entries = list(islice(entries_of(connection, options.guid), options.limit))
        return entries, world_names(connection)

    entries, worlds = ask(options, question)
    if options.json:
        print(json.dumps([entry_values(entry, worlds) for entry in entries], indent=1))
    elif not entries:
        print(f"character {options.guid}: the ledger has nothing of it.")
    else:
        print_lines(line for entry in entries for line in entry_lines(entry, worlds))
        if len(entries) < options.limit and entries[-1].version > 1:
            print(OLDER)
    return 0


def _run_show(options: argparse.Namespace) -> int:
    from mmoinv.audit import holdings_at
    from mmoinv.audit.history import holdings
    from mmoinv.audit.lines import holdings_lines, holdings_values

    at_s = None if options.at is None else seconds(options.at)

    def question(connection: "Connection") -> Any:
        if at_s is None and options.version is None:
            return holdings(connection, options.guid)
        return holdings_at(connection, options.guid, at_s, options.version)

    held = ask(options, question)
    if options.json:
        print(json.dumps(holdings_values(held), indent=1))
    else:
        print_lines(holdings_lines(held))
    return 0


def seconds(text: str, option: str = "--at") -> int:
    try:
        if text.isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} is no time: write '2026-11-20 18:30:00' (UTC) or seconds since 1970"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _run_trace(options: argparse.Namespace) -> int:
    from mmoinv.audit import item_entries, world_names
    from mmoinv.audit.history import place_of
    from mmoinv.audit.lines import change_text, entry_values, heading, place

    def question(connection: "Connection") -> Any:
        entries = item_entries(connection, options.guid)
        return entries, place_of(connection, options.guid), world_names(connection)

    entries, now, worlds = ask(options, question)
    if options.json:
        where = now and {"character_guid": now[0], "slot": now[1]}
        shown = [entry_values(entry, worlds) for entry in entries]
        print(json.dumps({"entries": shown, "now": where}, indent=1))
        return 0

    def lines() -> Iterator[str]:
        if (entries and options.guid in entries[0].before["item_guid"]) or (now and not entries):
            yield OLDER
        for entry in entries:
            yield heading(entry, worlds)
            for before, after in zip(entry.before, entry.after, strict=True):
                if options.guid in (before["item_guid"], after["item_guid"]):
                    yield f"    {change_text(before, after)}"
        if now is None:
            yield f"item {options.guid} is stored nowhere now."
        else:
            yield f"item {options.guid} is in slot {place(now[1])} of character {now[0]} now."

    print_lines(lines())
    return 0
