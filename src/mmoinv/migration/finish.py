"""The end of a move: whether the old path may be cleared away, and what that means.

Nothing is deleted here. If nothing stands against it, the rules become ``new`` for everybody, and
it is said what may go, by the team's own hand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmoinv.migration.book import BookEntry, FileBook
from mmoinv.migration.findings import HOUR_S, Findings, last_use_s
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.report import moment
from mmoinv.migration.rules import Rules, write_rules
from mmoinv.migration.thresholds import FinishThresholds

NAMED = 10
"""So many characters are named of those that stand against it."""


@dataclass(frozen=True)
class Clearance:
    """What was looked at."""

    obstacles: Sequence[str]
    """What stands against it, each with its remedy; none: it may be finished."""
    not_moved: Sequence[int]
    """Characters of the book that the old side still decides."""


def look(
    findings: Findings,
    thresholds: FinishThresholds,
    now_s: float,
    book: FileBook | None,
    is_imported: bool = False,
) -> Clearance:
    """Whether the old path may go. ``is_imported``: somebody says that whoever never moved was
    imported and verified."""
    entries = {} if book is None else book.entries()
    not_moved = [guid for guid, entry in entries.items() if entry.decider is Side.LEGACY]
    obstacles = [*_noise(findings, thresholds, now_s), *_open(findings)]
    if findings.behind_count:
        named = _named([one.character_guid for one in findings.behind])
        obstacles.append(
            f"{_are(findings.behind_count, 'character')} behind, as {named}. They are made up for "
            "while they play, or at their next join"
        )
    if book is None and not is_imported:
        obstacles.append(
            "the book was not looked at, so nobody knows whom the old side still decides: give "
            "--book FILE"
        )
    if not_moved and not is_imported:
        obstacles.append(
            f"the old side still decides for {_counted(len(not_moved), 'character')}: "
            f"{_named(not_moved)}. "
            "They move at their next join; or import them (mmoinv migrate import), verify "
            "(mmoinv migrate verify), and say --imported here"
        )
    return Clearance(obstacles, not_moved)


def finish(rules_path: Path, book: FileBook | None, not_moved: Sequence[int]) -> None:
    """The rules are ``new`` for everybody; in the book too, for those that were imported."""
    if book is not None and not_moved:
        book.put({guid: BookEntry(MigrationMode.NEW, is_behind=False) for guid in not_moved})
    write_rules(rules_path, Rules(default=MigrationMode.NEW))


def deletable_lines(findings: Findings, rules_path: Path, book_path: Path | None) -> Iterator[str]:
    """What may go now, in this order."""
    yield "What may be deleted now, by your own hand and in this order:"
    yield (
        "  1. MigratingRepository from the world's code: give the game the new repository itself.\n"
        "     Characters that never logged in while both ways ran are only in the old tables: run\n"
        "     mmoinv migrate import and mmoinv migrate verify before this goes out."
    )
    yield "  2. the load and save functions of the old way, and whatever else calls them"
    yield "  3. a last backup of the old tables, kept as long as your players may complain"
    yield "  4. the old tables"
    files = [*findings.paths, rules_path, *([book_path] if book_path else [])]
    yield f"  5. the files of the move: {', '.join(map(str, files))}"


def _noise(findings: Findings, thresholds: FinishThresholds, now_s: float) -> Iterator[str]:
    """Whether it was quiet, and whether anybody was there to hear it."""
    since_s = now_s - thresholds.quiet_h * HOUR_S
    quiet = f"{thresholds.quiet_h:g} h"
    old, new = last_use_s(findings, Side.LEGACY), last_use_s(findings, Side.NEW)
    if old is not None and old > since_s:
        use = findings.uses[Side.LEGACY]
        yield (
            f"the old path was used {moment(old)} UTC, for character {use.character_guid}; it must "
            f"be quiet for {quiet} (quiet_h). Look for what still calls it"
        )
    if new is None or new < since_s:
        when = "never" if new is None else f"last {moment(new)} UTC"
        yield (
            f"the new path was used {when}: that the old one was quiet for {quiet} shows nothing. "
            "Let the worlds run with their evidence, and name all its files"
        )
    begins = findings.first_hour_s
    if begins is None or begins > since_s:
        yield (
            f"the evidence does not reach back {quiet} (quiet_h)"
            + (f": it begins {moment(begins)} UTC" if begins else "")
        )


def _open(findings: Findings) -> Iterator[str]:
    found = findings.open_divergences()
    if found:
        guids = list(dict.fromkeys(one.character_guid for one in found))
        yield (
            f"{_are(len(found), 'divergence')} open, of characters {_named(guids)}: mmoinv migrate "
            "report shows them. Look at each, and declare what is expected in [[known]]"
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _are(count: int, what: str) -> str:
    return f"{_counted(count, what)} {'is' if count == 1 else 'are'}"


def _named(guids: Sequence[int]) -> str:
    more = f" and {len(guids) - NAMED:,} more" if len(guids) > NAMED else ""
    return ", ".join(map(str, guids[:NAMED])) + more
