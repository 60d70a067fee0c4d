"""``mmoinv verify``: whether a database adds up, and what is done about it."""

import argparse
import asyncio
import json
import sys

from mmoinv.cli.arguments import Commands, Formatter
from mmoinv.cli.audit import NOTHING_CHANGED, add_asking, ask, store_of


def add_verify(commands: Commands) -> None:
    """The arguments of the command."""
    verify = commands.add_parser(
        "verify",
        help="whether a database adds up",
        description="Look at every character: item guids, slots and bags, balances, sessions, and\n"
        "whether what is stored is what the ledger leads to. Exit code 0 if it does, 1 if not.\n"
        + NOTHING_CHANGED
        + "\n\nWith --fix what can be mended safely is, and what is left is told. The ledger\n"
        "wins: what it does not know is set aside, what it knows and is missing is written\n"
        "again, in operations that are in the ledger too. Characters should be offline.",
        epilog=(
            "examples:\n  mmoinv verify --database postgresql://realm@db/realm\n"
            "  mmoinv verify --fix\n"
        ),
        formatter_class=Formatter,
    )
    verify.add_argument("--fix", action="store_true", help="mend what can be mended safely")
    verify.add_argument(
        "--online",
        action="store_true",
        help="with --fix: also characters that are online, which their worlds lose",
    )
    add_asking(verify)
    verify.set_defaults(run=_run_verify)


def _run_verify(options: argparse.Namespace) -> int:
    from mmoinv.audit import verify
    from mmoinv.audit.correction import fix
    from mmoinv.audit.lines import moment

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {of:,} characters", end="", file=sys.stderr, flush=True)

    findings = ask(options, lambda connection: verify(connection, progress))
    fixes: list[str] = []
    if options.fix and not findings.passed:

        def say(text: str) -> None:
            fixes.append(text)
            if not options.json:
                print(text)

        characters = findings.damaged
        asyncio.run(fix(store_of(options), characters, say, takes_online=options.online))
        findings = ask(options, lambda connection: verify(connection, progress))
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    if options.json:
        print(
            json.dumps(
                {
                    "characters": findings.characters,
                    "items": findings.items,
                    "ledger_rows": findings.ledger_rows,
                    "unnamed": findings.unnamed,
                    "set_aside": [row._asdict() for row in findings.set_aside],
                    "kinds": dict(findings.kinds),
                    "problems": [problem._asdict() for problem in findings.problems],
                    "fixes": fixes,
                    "passed": findings.passed,
                },
                indent=1,
            )
        )
        return 0 if findings.passed else 1
    for problem in findings.problems:
        whose = f"character {problem.character_guid}: " if problem.character_guid else ""
        print(f"{problem.kind}: {whose}{problem.text}")
    for row in findings.set_aside:
        when = moment(row.set_aside_at)
        print(f"set aside at {when}: character {row.character_guid}: {row.reason}")
    hidden = sum(findings.kinds.values()) - len(findings.problems)
    if hidden:
        print(f"... and {hidden:,} more")
    count = sum(findings.kinds.values())
    unnamed = f"{findings.unnamed:,} without a guid, " if findings.unnamed else ""
    verdict = "everything adds up." if findings.passed else f"{count:,} problems."
    print(
        f"{findings.characters:,} characters, {findings.items:,} items, {findings.ledger_rows:,} "
        f"rows of the ledger, {unnamed}{len(findings.set_aside):,} set aside: {verdict}"
    )
    return 0 if findings.passed else 1
