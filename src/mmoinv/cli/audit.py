"""``mmoinv history``, ``show``, ``trace`` and ``verify``: what happened, and whether it adds up."""

import argparse
import asyncio
import json
import sys
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

T = TypeVar("T")
NOTHING_CHANGED = "Changes nothing; a realm may run meanwhile."


def add_audit(commands: Commands) -> None:
    """The arguments of the four commands."""
    history = commands.add_parser(
        "history",
        help="what operations changed of a character",
        description="Show what each operation changed of a character, newest first: the slots,\n"
        f"what was there before and after, money, and who took part. {NOTHING_CHANGED}",
        epilog="example:\n  mmoinv history 7 --limit 5 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    _add_guid(history, "GUID", "the character's")
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
    _add_guid(show, "GUID", "the character's")
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
    _add_guid(trace, "ITEM_GUID", "the item's")
    trace.set_defaults(run=_run_trace)
    verify = commands.add_parser(
        "verify",
        help="whether a database adds up",
        description="Look at every character: item guids, slots and bags, balances, sessions, and\n"
        "whether what is stored is what the ledger leads to. Exit code 0 if it does, 1 if not.\n"
        + NOTHING_CHANGED,
        epilog="example:\n  mmoinv verify --database postgresql://realm@db/realm",
        formatter_class=Formatter,
    )
    verify.set_defaults(run=_run_verify)
    for command in (history, show, trace, verify):
        command.add_argument("--json", action="store_true", help="as JSON, on standard output")
        add_database(command, DEFAULT_DATABASE)
        add_verbose(command)


def _add_guid(command: argparse.ArgumentParser, name: str, whose: str) -> None:
    command.add_argument(
        "guid", metavar=name, type=_guid, help=f"{whose} guid, 0 to 2^64 - 1; 0x... is hexadecimal"
    )


def _guid(text: str) -> int:
    number = int(text, 0)
    if not 0 <= number < 1 << 64:
        raise ValueError
    return number


_guid.__name__ = "guid"  # What argparse calls it.


def _ask(options: argparse.Namespace, question: "Callable[[Connection], T]") -> T:
    """Ask the database in one transaction that cannot write."""
    from mmoinv.stores import store_for
    from mmoinv.stores.schema import require_readable
    from mmoinv.stores.sql_store import SqlStore

    store = store_for(database_of(options) or DEFAULT_DATABASE)
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url} is another package's: use its own tools")

    def work(connection: "Connection") -> T:
        require_readable(connection, store.url)
        return question(connection)

    return asyncio.run(store.read_only(work))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _run_history(options: argparse.Namespace) -> int:
    from mmoinv.audit import entries_of, world_names
    from mmoinv.audit.lines import entry_lines, entry_values

    def question(connection: "Connection") -> Any:
        entries = list(islice(entries_of(connection, options.guid), options.limit))
        return entries, world_names(connection)

    entries, worlds = _ask(options, question)
    if options.json:
        print(json.dumps([entry_values(entry, worlds) for entry in entries], indent=1))
    elif not entries:
        print(f"character {options.guid}: the ledger has nothing of it.")
    else:
        _print(line for entry in entries for line in entry_lines(entry, worlds))
    return 0


def _run_show(options: argparse.Namespace) -> int:
    from mmoinv.audit import holdings_at
    from mmoinv.audit.history import holdings
    from mmoinv.audit.lines import holdings_lines, holdings_values

    at_s = None if options.at is None else _seconds(options.at)

    def question(connection: "Connection") -> Any:
        if at_s is None and options.version is None:
            return holdings(connection, options.guid)
        return holdings_at(connection, options.guid, at_s, options.version)

    held = _ask(options, question)
    if options.json:
        print(json.dumps(holdings_values(held), indent=1))
    else:
        _print(holdings_lines(held))
    return 0


def _seconds(text: str) -> int:
    try:
        if text.isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--at {text!r} is no time: write '2026-11-20 18:30:00' (UTC) or seconds since 1970"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _run_trace(options: argparse.Namespace) -> int:
    from mmoinv.audit import item_entries, world_names
    from mmoinv.audit.history import place_of
    from mmoinv.audit.lines import change_text, entry_values, heading, place

    def question(connection: "Connection") -> Any:
        entries = item_entries(connection, options.guid)
        return entries, place_of(connection, options.guid), world_names(connection)

    entries, now, worlds = _ask(options, question)
    if options.json:
        where = now and {"character_guid": now[0], "slot": now[1]}
        shown = [entry_values(entry, worlds) for entry in entries]
        print(json.dumps({"entries": shown, "now": where}, indent=1))
        return 0

    def lines() -> Iterator[str]:
        for entry in entries:
            yield heading(entry, worlds)
            for before, after in zip(entry.before, entry.after, strict=True):
                if options.guid in (before["item_guid"], after["item_guid"]):
                    yield f"    {change_text(before, after)}"
        if now is None:
            yield f"item {options.guid} is stored nowhere now."
        else:
            yield f"item {options.guid} is in slot {place(now[1])} of character {now[0]} now."

    _print(lines())
    return 0


def _run_verify(options: argparse.Namespace) -> int:
    from mmoinv.audit import verify

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {of:,} characters", end="", file=sys.stderr, flush=True)

    findings = _ask(options, lambda connection: verify(connection, progress))
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    if options.json:
        print(
            json.dumps(
                {
                    "characters": findings.characters,
                    "items": findings.items,
                    "ledger_rows": findings.ledger_rows,
                    "set_aside": findings.set_aside,
                    "kinds": dict(findings.kinds),
                    "problems": [problem._asdict() for problem in findings.problems],
                    "passed": findings.passed,
                },
                indent=1,
            )
        )
        return 0 if findings.passed else 1
    for problem in findings.problems:
        whose = f"character {problem.character_guid}: " if problem.character_guid else ""
        print(f"{problem.kind}: {whose}{problem.text}")
    hidden = sum(findings.kinds.values()) - len(findings.problems)
    if hidden:
        print(f"... and {hidden:,} more")
    count = sum(findings.kinds.values())
    verdict = "everything adds up." if findings.passed else f"{count:,} problems."
    print(
        f"{findings.characters:,} characters, {findings.items:,} items, {findings.ledger_rows:,} "
        f"rows of the ledger, {findings.set_aside:,} set aside: {verdict}"
    )
    return 0 if findings.passed else 1
