"""Runs every check and shows each as it ends: a line with its mark, a line with its remedy."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from mmoinv.doctor import certificates, installed, machine, reachable
from mmoinv.doctor.check import Check, Verdict, failed

MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.FAILED: "✗"}
PLAIN_MARKS = {Verdict.OK: "+", Verdict.WARNING: "!", Verdict.FAILED: "x"}
NAME_WIDTH = 10


def run(
    database: str | None,
    realm: tuple[str, int] | None,
    *,
    tls_ca: str = "",
    tls_files: tuple[str, str, str] | None = None,
    as_json: bool,
) -> int:
    """Run the checks and print them; the exit code, 1 if something that is needed failed.

    ``tls_files`` are a realm's certificate, key and authorities of worlds; ``tls_ca`` are those
    that a world would trust."""
    found = []
    for check in examine(database, realm, tls_ca, tls_files):
        found.append(check)
        if not as_json:
            print("\n".join(lines(check, marks_for(sys.stdout))), flush=True)
    is_well = not any(check.verdict is Verdict.FAILED for check in found)
    if as_json:
        print(json.dumps({"ok": is_well, "checks": [asdict(check) for check in found]}, indent=2))
    else:
        print(summary(found))
    return 0 if is_well else 1


def examine(
    database: str | None,
    realm: tuple[str, int] | None,
    tls_ca: str = "",
    tls_files: tuple[str, str, str] | None = None,
) -> Iterator[Check]:
    """Every check in turn; without a database, the disk is that of the working folder."""
    yield installed.package()
    yield from looked_at("codec", lambda: [installed.codec()])
    yield from installed.dependencies()
    yield from looked_at("SQLite", lambda: [installed.sqlite()])
    yield installed.event_loop()
    yield machine.open_files()
    if database is None:
        yield machine.disk(Path.cwd(), is_needed=False)
    else:
        yield from looked_at("database", lambda: of_database(database))
    if tls_files is not None:
        yield from certificates.own(*tls_files)
    if realm is not None:
        yield reachable.realm(*realm, tls_ca)


def of_database(url: str) -> Iterator[Check]:
    """The database, and the disk that it is on."""
    yield from reachable.database(url)
    folder = reachable.database_folder(url)
    if folder is not None:
        yield machine.disk(folder, is_needed=True)


def looked_at(name: str, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks; one that needs a part of mmoinv that cannot be imported has failed."""
    try:
        yield from checks()
    except ImportError as error:
        yield failed(name, f"not looked at: {error}", "Install what is crossed above.")


def marks_for(stream: TextIO) -> dict[Verdict, str]:
    """Ticks and crosses, or plain characters where the stream cannot carry them."""
    try:
        "".join(MARKS.values()).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_MARKS
    return MARKS


def lines(check: Check, marks: dict[Verdict, str]) -> list[str]:
    """A check as it is shown."""
    shown = [f"{marks[check.verdict]} {check.name:{NAME_WIDTH}}  {check.text}"]
    if check.remedy:
        shown.append(f"  {'':{NAME_WIDTH}}  {check.remedy}")
    return shown


def summary(found: list[Check]) -> str:
    """How it went, in a line."""
    bad = sum(check.verdict is Verdict.FAILED for check in found)
    doubtful = sum(check.verdict is Verdict.WARNING for check in found)
    if bad:
        return f"{bad} of {len(found)} checks failed."
    if doubtful:
        return f"Everything needed is there; {doubtful} of {len(found)} checks could be better."
    return "All is well."
