"""``mmoinv restore``: a character as it was once."""

import argparse
import asyncio
import json

from mmoinv.cli.arguments import Commands, Formatter
from mmoinv.cli.audit import add_asking, add_guid, ask, guid, print_lines, seconds, store_of


def add_restore(commands: Commands) -> None:
    """The arguments of the command."""
    restore = commands.add_parser(
        "restore",
        help="bring a character back to what it was once",
        description="Bring back what a character has lost since an operation, in one operation of "
        "its own.\nWhat was destroyed comes back under its guid; what others have now, or what was "
        "merged\nor split, is told and left. What came since stays, unless --exact is given.\n"
        "A realm may run meanwhile; the character should be offline.",
        epilog=(
            "exit code: 0 done, or nothing to do; 1 something could not be restored\n\n"
            "examples:\n  mmoinv restore 7 --to 0x20000001a --dry-run\n"
            "      what would come back; mmoinv history 7 lists the operations\n"
            "  mmoinv restore 7 --at '2026-11-20 18:30:00' --slots 255:15 255:23\n"
            "      only what was in these slots then\n"
        ),
        formatter_class=Formatter,
    )
    add_guid(restore, "GUID", "the character's")
    when = restore.add_mutually_exclusive_group(required=True)
    when.add_argument("--to", metavar="OPERATION", type=guid, help="right after an operation")
    when.add_argument("--version", type=int, metavar="N", help="as of a version")
    when.add_argument("--at", metavar="TIME", help="as of a time, UTC")
    restore.add_argument(
        "--slots",
        nargs="+",
        type=slot,
        metavar="BAG:SLOT",
        help="only what was in these slots then; also as absolute numbers",
    )
    restore.add_argument("--money", action="store_true", help="balances too")
    restore.add_argument(
        "--exact",
        action="store_true",
        help="take away what came since, and put everything where it was",
    )
    restore.add_argument("--dry-run", action="store_true", help="only say what would be done")
    restore.add_argument(
        "--online",
        action="store_true",
        help="even if it is online: its world loses it, and what it has not saved yet",
    )
    add_asking(restore)
    restore.set_defaults(run=_run)


def slot(text: str) -> int:
    """An absolute slot, also written as bag and slot in it."""
    bag, colon, inside = text.rpartition(":")
    number = int(bag or 0) << 8 | int(inside, 0)
    if not (0 <= number < 1 << 16 and (not colon or 0 <= int(inside) < 256)):
        raise ValueError
    return number


def _run(options: argparse.Namespace) -> int:
    from mmoinv.audit.lines import plan_lines, plan_values
    from mmoinv.audit.restoration import Wish, plan, restore

    wish = Wish(
        operation_id=options.to,
        version=options.version,
        at_s=None if options.at is None else seconds(options.at),
        slots=options.slots,
        exact=options.exact,
        money=options.money,
    )
    planned = ask(options, lambda connection: plan(connection, options.guid, wish))
    if not options.json:
        print_lines(plan_lines(planned))
    operation_id = None
    if not options.dry_run:
        operation_id = asyncio.run(restore(store_of(options), planned, takes_online=options.online))
    if options.json:
        print(json.dumps(plan_values(planned, operation_id), indent=1))
    elif operation_id is not None:
        print(f"done in operation {operation_id:#x}: version {planned.now.version + 1}.")
    elif planned.change.is_empty:
        print("nothing to do.")
    else:
        print("a dry run: nothing was changed.")
    return 1 if planned.left else 0
