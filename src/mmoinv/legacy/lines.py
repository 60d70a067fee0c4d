"""Reports of imports, verifications and exports as lines for people, and as plain values for JSON.

Knows no database.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmoinv.legacy.exporting import ExportReport
from mmoinv.legacy.importing import ImportReport
from mmoinv.legacy.verification import VerifyReport

SHOWN = 20
"""Lines of a list; all that is kept of it is among the values."""


def import_values(report: ImportReport) -> dict[str, Any]:
    """An import's report for JSON."""
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


def import_lines(report: ImportReport) -> Iterator[str]:
    """An import's report for people."""
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


def _kinds(title: str, counts: Mapping[str, int], report: ImportReport) -> Iterator[str]:
    if not counts:
        return
    yield f"{title}: {sum(counts.values()):,} rows"
    for kind, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        example = report.examples[kind]
        yield f"  {count:,}  like character {example.character_guid}: {example.reason}"


def verify_values(report: VerifyReport) -> dict[str, Any]:
    """A verification's report for JSON."""
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


def verify_lines(report: VerifyReport) -> Iterator[str]:
    """A verification's report for people."""
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


def export_values(report: ExportReport) -> dict[str, Any]:
    """An export's report for JSON."""
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


def export_lines(report: ExportReport) -> Iterator[str]:
    """An export's report for people."""
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
