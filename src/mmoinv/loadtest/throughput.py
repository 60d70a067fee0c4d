"""How many saves a second a realm takes, beside one transaction a save on the same database.

The sender writes, the realm commits; everything that is stored is compared; then the straight
way does the same without a realm. What either does is in `sender` and `one_by_one`.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from mmoinv.errors import ConfigurationError, MmoinvError
from mmoinv.loadtest.characters import clear_characters, stored_characters
from mmoinv.loadtest.live import number
from mmoinv.loadtest.machine import database_version, machine_facts
from mmoinv.loadtest.measures import Measures, rounded
from mmoinv.loadtest.one_by_one import KINDS, save_one_by_one
from mmoinv.loadtest.processes import Child, ProcessDiedError, first_cause, messages
from mmoinv.loadtest.realm_process import run_realm
from mmoinv.loadtest.report import write_json
from mmoinv.loadtest.sender import SenderSettings, carried_slots, run_sender
from mmoinv.loadtest.settings import check_report_path
from mmoinv.loadtest.starting_items import CARRIED
from mmoinv.loadtest.verification import Findings, batch_from_bytes, compare
from mmoinv.records import empty_batch

WORLD = "loadtest-sender"
SAVES_PER_S_TARGETS = {"sqlite": 15_000}
RATIO_TARGETS = {"sqlite": 5.0}
"""Of single records, by the database's kind."""
SERVER_SAVES_PER_S_TARGET, SERVER_RATIO_TARGET = 20_000, 10.0
WHOLE_SAVES_PER_S_TARGET = 12_000
ONE_BY_ONE_PART = 8
"""One transaction a save gets this part of the saves: it takes as much longer."""
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class ThroughputSettings:
    """``changed`` of each character's ``items`` records go with a save, or with ``whole`` all of
    them; ``window`` saves are without an answer at a time."""

    characters: int = 20_000
    items: int = 25
    changed: int = 3
    saves: int = 200_000
    window: int = 2048
    database: str = ""
    json_path: str = ""
    seed: int = 1
    whole: bool = False

    @property
    def kind(self) -> str:
        """Of database: the URL's scheme."""
        return self.database.partition("://")[0] or "sqlite"

    def check(self) -> None:
        """`ConfigurationError` if such a run cannot be."""
        slots = len(CARRIED)
        if not 1 <= self.changed <= self.items <= slots:
            raise ConfigurationError(
                f"--changed {self.changed} of --items {self.items}: from 1 up to all of them, and "
                f"there are {slots} slots"
            )
        if self.characters < 1 or self.window < 1:
            raise ConfigurationError("there must be at least one character, and a window of one")
        if self.saves < ONE_BY_ONE_PART:
            raise ConfigurationError(f"--saves {self.saves}: at least {ONE_BY_ONE_PART}")
        if self.kind not in KINDS and not self.whole:
            raise ConfigurationError(
                f"one transaction a save, beside which --sender stands, is not known on "
                f"{self.kind!r}: --whole goes without"
            )
        check_report_path(self.json_path)


@dataclass
class Outcome:
    """What the sender, the realm, the comparison and the straight way say."""

    sent: dict[str, Any]
    realm: Measures
    findings: Findings
    one_by_one_per_s: float | None
    """None: not measured."""
    database: str
    """Name and version."""

    @property
    def saves_per_s(self) -> float:
        """From the first byte to the last answer."""
        return float(self.sent["saves"] / self.sent["seconds"])


def run_throughput(settings: ThroughputSettings, console: Console) -> int:
    """Run it; 0 if every target is met, 1 if not."""
    settings.check()
    with contextlib.ExitStack() as stack:
        database = settings.database
        if not database:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mmoinv-"))
            database = f"sqlite:///{Path(folder, 'realm.db').as_posix()}"
        else:
            if leftovers := asyncio.run(clear_characters(database)):
                console.print(f"Cleared {leftovers:,} records of an earlier load test.")
            stack.callback(_clear_quietly, database)
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console
        ) as bars:
            sent, realm, holdings = _send(settings, bars, database)
            checking = bars.add_task("Reading every record back", total=1)
            findings = _verify(holdings, database)
            bars.update(checking, completed=1)
            alone = None if settings.whole else _one_by_one(settings, bars, database)
            version = asyncio.run(database_version(database))
            outcome = Outcome(sent, realm, findings, alone, version)
    report = _as_json(settings, outcome)
    _show(console, report, outcome)
    if settings.json_path:
        write_json(settings.json_path, report)
    return 0 if report["passed"] else 1


def _send(
    settings: ThroughputSettings, bars: Progress, database: str
) -> tuple[dict[str, Any], Measures, dict[int, bytes]]:
    """A realm and a sender from start to end; with what must be stored by then."""
    children: list[Child] = []
    gently = False
    try:
        realm = Child("the realm", run_realm, database, [WORLD])
        children.append(realm)
        _, ready = realm.receive()
        link = SenderSettings(
            "127.0.0.1",
            ready["port"],
            WORLD,
            ready["secrets"][WORLD],
            settings.characters,
            settings.items,
            settings.changed,
            settings.window,
            settings.seed,
            settings.whole,
        )
        children.insert(0, Child("the sender", run_sender, link))
        _ask(children, "ready", send=False)
        filling = bars.add_task("Joining, filling bags", total=settings.characters)
        _ask(children, "fill", progress=lambda count: bars.advance(filling, count))
        # The realm's last figures come before its answer.
        _ask(children, "settle", of=realm)
        sending = bars.add_task("Sending to the realm", total=settings.saves)
        measures = Measures()
        sent = _ask(
            children,
            "send",
            settings.saves,
            progress=lambda count: bars.update(sending, completed=count),
            measures=measures,
        )
        bars.update(sending, completed=settings.saves)
        _ask(children, "settle", measures=measures, of=realm)
        holdings = _ask(children, "holdings")
        gently = True
        return sent, measures, holdings
    except ProcessDiedError as error:
        raise first_cause(children, error) from None
    finally:
        for child in children:
            child.end(gently)


def _one_by_one(settings: ThroughputSettings, bars: Progress, database: str) -> float:
    saves = settings.saves // ONE_BY_ONE_PART
    task = bars.add_task("One transaction a save", total=saves)
    rate = asyncio.run(
        save_one_by_one(
            database,
            carried_slots(settings.items),
            settings.characters,
            settings.changed,
            saves,
            settings.seed,
            lambda count: bars.update(task, completed=count),
        )
    )
    bars.update(task, completed=saves)
    return rate


def _ask(
    children: list[Child],
    kind: str,
    payload: Any = None,
    *,
    progress: Callable[[int], object] = lambda _: None,
    measures: Measures | None = None,
    send: bool = True,
    of: Child | None = None,
) -> Any:
    """Tell the sender, or the child that is named, something, and wait for its answer."""
    asked = of or children[0]
    if send:
        asked.send(kind, payload)
    while True:
        for child, found, answer in messages(children, POLL_S):
            if found == "sample":
                if measures is not None:
                    measures.add_realm(answer)
            elif child is asked and found == "progress":
                progress(answer)
            elif child is asked and found == kind:
                return answer


def _verify(holdings: dict[int, bytes], database: str) -> Findings:
    held = {guid: batch_from_bytes(data) for guid, data in holdings.items()}
    stored = asyncio.run(stored_characters(database))
    # Record by record only where there is something to say.
    differing = {
        guid
        for guid in held.keys() | stored.keys()
        if guid not in held or guid not in stored or held[guid].tobytes() != stored[guid].tobytes()
    }
    findings = compare(
        {guid: held[guid] for guid in differing & held.keys()},
        {guid: stored[guid] for guid in differing & stored.keys()},
    )
    findings.characters = len(held)
    findings.records = sum(map(len, held.values()))
    if not findings.doubled:
        guids = np.concatenate([empty_batch(), *stored.values()])["item_guid"]
        findings.doubled = len(guids) - len(np.unique(guids))
    return findings


def _as_json(settings: ThroughputSettings, outcome: Outcome) -> dict[str, Any]:
    sent, realm = outcome.sent, outcome.realm
    machine = machine_facts(outcome.database)
    rtt_ms = np.round(np.percentile(sent["rtt_ms"], [50, 99, 100]), 3).tolist()
    wanted: float = SAVES_PER_S_TARGETS.get(settings.kind, SERVER_SAVES_PER_S_TARGET)
    if settings.whole:
        wanted = WHOLE_SAVES_PER_S_TARGET
    targets: dict[str, dict[str, Any]] = {
        "saves_per_s": {
            "value": rounded(outcome.saves_per_s, 0),
            "limit": wanted,
            "passed": outcome.saves_per_s >= wanted,
        }
    }
    if outcome.one_by_one_per_s is not None:
        ratio = outcome.saves_per_s / outcome.one_by_one_per_s
        limit = RATIO_TARGETS.get(settings.kind, SERVER_RATIO_TARGET)
        targets["times_one_transaction_a_save"] = {
            "value": rounded(ratio, 2),
            "limit": limit,
            "passed": ratio >= limit,
        }
    for name, count in (
        ("lost", outcome.findings.lost),
        ("doubled", outcome.findings.doubled),
        ("refused", sent["refused"]),
    ):
        targets[name] = {"value": count, "limit": 0, "passed": count == 0}
    return {
        "mode": "sender",
        "database": settings.kind,
        "whole": settings.whole,
        "characters": settings.characters,
        "items": settings.items,
        "changed": settings.changed,
        "window": settings.window,
        "saves": sent["saves"],
        "seconds": rounded(sent["seconds"]),
        "saves_per_s": rounded(outcome.saves_per_s, 0),
        "one_transaction_a_save_per_s": rounded(outcome.one_by_one_per_s, 0),
        "rtt_ms": dict(zip(("p50", "p99", "max"), rtt_ms, strict=True)),
        "database_ms": realm.database_ms.summary(50, 99),
        "group_size": {
            "mean": rounded(realm.group_size.mean()),
            "max": rounded(realm.group_size.max()),
        },
        "packet_bytes": sent["packet_bytes"],
        "characters_verified": outcome.findings.characters,
        "records_verified": outcome.findings.records,
        "lost": outcome.findings.lost,
        "doubled": outcome.findings.doubled,
        "targets": targets,
        "passed": all(target["passed"] for target in targets.values()),
        "machine": machine,
        "version": machine["mmoinv"],
        "codec": machine["codec"],
        "python": machine["python"].split()[-1],
    }


def _show(console: Console, report: dict[str, Any], outcome: Outcome) -> None:
    table = Table(box=box.SIMPLE, title="The realm, measured by a sender of encoded saves")
    for name in ("", "measured", "target"):
        table.add_column(name, justify="right" if name else "left")
    for name, title, target in (
        ("saves_per_s", "saves/s through the realm", "at least {:,}"),
        ("times_one_transaction_a_save", "times one transaction a save", "at least {:g}"),
        ("lost", "records lost", "{}"),
        ("doubled", "records doubled", "{}"),
        ("refused", "saves refused", "{}"),
    ):
        judged = report["targets"].get(name)
        if judged is None:
            continue
        colour = "green" if judged["passed"] else "red"
        places = 1 if name.startswith("times") else 0
        table.add_row(
            title,
            f"[{colour}]{number(judged['value'], places)}[/]",
            target.format(judged["limit"]),
        )
    for title, shown in (
        ("saves/s, one transaction a save", number(report["one_transaction_a_save_per_s"], 0)),
        ("round trip of a full window, p50 / p99, ms", _pair(report["rtt_ms"])),
        ("transaction, p50 / p99, ms", _pair(report["database_ms"])),
        ("saves in a transaction, mean", number(report["group_size"]["mean"], 0)),
        ("bytes of a save", number(report["packet_bytes"], 0)),
    ):
        table.add_row(title, shown, "")
    console.print(table)
    console.print(
        f"{report['saves']:,} saves of "
        + (
            f"all {report['items']} records, {report['changed']} of them changed"
            if report["whole"]
            else f"{report['changed']} changed records each"
        )
        + f", on {outcome.database}, "
        f"{report['characters']:,} characters with {report['items']} records, at most "
        f"{report['window']:,} saves without an answer. {report['records_verified']:,} records "
        "were read back and compared."
    )
    for example in [*outcome.sent["refusals"][:3], *outcome.findings.examples]:
        console.print(example, style="red", highlight=False, markup=False)


def _pair(figures: dict[str, float | None]) -> str:
    return f"{number(figures['p50'])} / {number(figures['p99'])}"


def _clear_quietly(database: str) -> None:
    with contextlib.suppress(MmoinvError):
        asyncio.run(clear_characters(database))
