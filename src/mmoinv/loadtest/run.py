"""One load test from its first process to its exit code.

Set up, play, everyone at once, read back, judge, clear. Processes come from `processes`, what
they do is in `world_process` and `realm_process`.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mmoinv import plots
from mmoinv.errors import MmoinvError
from mmoinv.loadtest.characters import applied_operations, clear_characters, stored_characters
from mmoinv.loadtest.comparison import Comparison, read_report, show_comparison
from mmoinv.loadtest.crash import CrashFigures
from mmoinv.loadtest.deeds import Tally, together
from mmoinv.loadtest.live import LiveTable, progress
from mmoinv.loadtest.machine import UNKNOWN, database_version
from mmoinv.loadtest.measures import Measures
from mmoinv.loadtest.processes import Child, ProcessDiedError, first_cause, messages
from mmoinv.loadtest.realm_process import run_realm
from mmoinv.loadtest.report import (
    RunFigures,
    as_json,
    show,
    show_next_steps,
    write_json,
    write_text,
)
from mmoinv.loadtest.report_page import report_page
from mmoinv.loadtest.settings import LoadTestSettings, WorldSettings
from mmoinv.loadtest.verification import Findings, batch_from_bytes, compare
from mmoinv.loadtest.world_process import run_world
from mmoinv.records import Batch
from mmoinv.stores.addresses import shown_url

POLL_S = 0.1
AHEAD_S = 0.5
"""How far in the future a phase is set, so that every process hears of it in time."""
REFUSALS_SHOWN = 5
SETTLE_S = 0.6
"""How long the realm's last figures may take to arrive."""


def run_load_test(settings: LoadTestSettings, console: Console) -> int:
    """Run it; 0 if every target is met, 1 if not. Errors of mmoinv say what went wrong."""
    settings.check()
    # Before the run, not after it: what would be missing at its end.
    if settings.html_path:
        plots.require_plotly()
    earlier = read_report(settings.compare_path) if settings.compare_path else None
    with contextlib.ExitStack() as stack:
        database = settings.database
        if settings.has_own_realm and not database:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mmoinv-"))
            database = f"sqlite:///{Path(folder, 'realm.db').as_posix()}"
        run = _Run(settings, console, database)
        try:
            figures = run.all_phases()
        except ProcessDiedError as error:
            raise first_cause(run.children, error) from None
        finally:
            run.end()
    report = as_json(figures)
    show(console, figures, report)
    comparison = Comparison(earlier, report) if earlier is not None else None
    if comparison is not None:
        show_comparison(console, comparison)
    if settings.json_path:
        write_json(settings.json_path, report)
    if settings.html_path:
        write_text(settings.html_path, report_page(report, comparison))
    show_next_steps(console, settings)
    return 0 if report["passed"] else 1


class _Run:
    def __init__(self, settings: LoadTestSettings, console: Console, database: str) -> None:
        self._settings = settings
        self._console = console
        self._database = database
        self._database_version = UNKNOWN
        self._realm: Child | None = None
        self._worlds: list[Child] = []
        self._measures = Measures()
        self._pending: dict[Child, int] = {}
        self._refusals_shown = 0
        self._has_saved = False
        self._finished = False
        self._port = 0
        self._crash: CrashFigures | None = None

    @property
    def children(self) -> list[Child]:
        """All processes that run, worlds first."""
        return [*self._worlds, *([self._realm] if self._realm else [])]

    def all_phases(self) -> RunFigures:
        self._start()
        self._set_up()
        play_started_s, played_s, deeds = self._play()
        play, self._measures = self._measures, Measures()
        sizes = self._all_at_once()
        findings = self._verify()
        if self._crash is not None:
            self._count_acknowledged(self._crash, findings)
        if not self._settings.has_own_realm:
            self._ask("clear")
        self._finished = True
        return RunFigures(
            self._settings,
            play,
            self._measures,
            sizes,
            findings,
            played_s,
            deeds,
            play_started_s,
            self._database_version,
            self._crash,
        )

    def end(self) -> None:
        """End every process, worlds first, and clear the database, also after Ctrl-C."""
        for child in self.children:
            child.end(gently=self._finished)
        if self._settings.database and self._has_saved:
            # An error that is on its way already is the one to see.
            with contextlib.nullcontext() if self._finished else contextlib.suppress(MmoinvError):
                asyncio.run(clear_characters(self._database))
        elif not self._settings.has_own_realm and self._has_saved and not self._finished:
            self._console.print(
                "The load test's characters may still be stored at the realm: the next run with "
                "as many players replaces them, and clears them at its end."
            )

    # Phases

    def _start(self) -> None:
        settings = self._settings
        names = [f"loadtest-{number}" for number in range(1, settings.worlds + 1)]
        secrets: dict[str, str] = {}
        host, port = settings.realm_host, settings.realm_port
        if settings.has_own_realm:
            if leftovers := asyncio.run(clear_characters(self._database)):
                self._console.print(f"Cleared {leftovers:,} records of an earlier load test.")
            self._console.print(f"Starting a realm on {_shown(settings, self._database)} ...")
            self._realm = Child("the realm", run_realm, self._database, names)
            while True:
                kind, payload = self._realm.receive()
                if kind == "ready":
                    break
            self._database_version = asyncio.run(database_version(self._database))
            host, port, secrets = "127.0.0.1", payload["port"], payload["secrets"]
            self._port = port
        else:
            names, secrets = [settings.world_name], {settings.world_name: settings.secret}
        self._console.print(
            f"Starting {len(names)} world server{'s' if len(names) > 1 else ''} with "
            f"{settings.players} players ..."
        )
        first = 0
        for number, name in enumerate(names):
            share = (settings.players * (number + 1)) // len(names) - first
            world = WorldSettings(
                host,
                port,
                name,
                secrets[name],
                first,
                share,
                settings.saves_per_s,
                settings.seed,
                settings.crash_at_s is not None,
            )
            self._worlds.append(Child(f"world server {name}", run_world, world))
            first += share
        self._wait_for("ready", None)

    def _set_up(self) -> None:
        self._has_saved = True
        with progress(self._console) as bars:
            task = bars.add_task("Joining and filling bags", total=self._settings.players)
            self._ask("set_up", lambda: None, lambda count: bars.advance(task, count))
        # What was measured up to here is set-up, not play.
        self._settle()
        self._measures = Measures()

    def _play(self) -> tuple[float, float, Tally]:
        duration_s = self._settings.duration_s
        start_s = time.monotonic() + AHEAD_S
        title = f"{self._settings.players} players loot, use, equip, sell, trade and save"
        with LiveTable(self._console, title, duration_s, self._settings.plain) as table:

            def show() -> None:
                table.show(self._measures)
                crash_at_s = self._settings.crash_at_s
                if crash_at_s is not None and time.monotonic() > start_s + crash_at_s:
                    self._crash_once()

            results = self._ask("play", show, None, (start_s, start_s + duration_s))
            # Behind its schedule a run takes longer than it was to; the rate must not hide that.
            played_s = max(duration_s, time.monotonic() - start_s)
            self._settle()
            table.show(self._measures, last=True)
        return start_s, played_s, together(results)

    def _crash_once(self) -> None:
        """Kill the realm as a power cut would, and start another one on its port."""
        if self._crash is not None:
            return
        assert self._realm is not None
        realm, self._realm = self._realm, None
        self._crash = CrashFigures(time.monotonic())
        realm.end(gently=False)
        self._realm = Child("the realm", run_realm, self._database, [], None, self._port)

    def _count_acknowledged(self, crash: CrashFigures, findings: Findings) -> None:
        """Look every save that was answered up in the database."""
        acknowledged = np.array(
            [number for world in self._ask("acknowledged") for number in world], np.uint64
        )
        applied = asyncio.run(applied_operations(self._database))
        crash.acknowledged = len(acknowledged)
        crash.found = int(np.isin(acknowledged, applied).sum())
        crash.doubled = findings.doubled

    def _all_at_once(self) -> dict[str, int]:
        self._console.print("\nNow everyone saves the whole inventory at the same instant ...")
        # New in every place: the realm writes only what differs, and this spares it nothing.
        self._ask("new_items")
        results = self._ask("all_at_once", argument=time.monotonic() + AHEAD_S)
        self._settle()
        return {name: size for result in results for name, size in result.items()}

    def _verify(self) -> Findings:
        self._console.print("Reading every record back and comparing ...")
        held = _merged(self._ask("holdings"))
        if self._settings.has_own_realm:
            stored = asyncio.run(stored_characters(self._database))
        else:
            stored = _merged(self._ask("read_back"))
        return compare(held, stored)

    # Talking to the processes

    def _ask(
        self,
        kind: str,
        show: Callable[[], None] = lambda: None,
        advance: Callable[[int], Any] | None = None,
        argument: Any = None,
    ) -> list[Any]:
        for world in self._worlds:
            world.send(kind, argument)
        return self._wait_for(kind, advance, show)

    def _wait_for(
        self,
        kind: str,
        advance: Callable[[int], Any] | None,
        show: Callable[[], None] = lambda: None,
    ) -> list[Any]:
        """Until every world has answered with that kind; the results in the worlds' order."""
        results: dict[Child, Any] = {}
        while len(results) < len(self._worlds):
            for child, found, payload in self._messages(POLL_S):
                if found == kind and child is not self._realm:
                    results[child] = payload
                elif found == "progress" and advance is not None:
                    advance(payload)
            show()
        return [results[world] for world in self._worlds]

    def _settle(self) -> None:
        """Take what the realm still has to report of a phase."""
        until_s = time.monotonic() + SETTLE_S
        while (left_s := until_s - time.monotonic()) > 0:
            self._messages(left_s)

    def _messages(self, timeout_s: float) -> list[tuple[Child, str, Any]]:
        result = messages(self.children, timeout_s)
        for child, kind, payload in result:
            if kind == "ready" and child is self._realm and self._crash is not None:
                self._crash.ready_s = time.monotonic()
            if kind != "sample":
                continue
            if child is self._realm:
                self._measures.add_realm(payload)
            else:
                self._measures.add_world(payload)
                if self._crash is not None:
                    self._crash.take(payload["answered_s"])
                self._pending[child] = payload["pending"]
                self._measures.set_pending(sum(self._pending.values()), payload["at_s"])
                for refusal in payload["refusals"]:
                    self._show_refusal(f"{child.name}: {refusal}")
        return result

    def _show_refusal(self, refusal: str) -> None:
        self._refusals_shown += 1
        if self._refusals_shown <= REFUSALS_SHOWN:
            self._console.print(refusal, style="red", highlight=False, markup=False)
        elif self._refusals_shown == REFUSALS_SHOWN + 1:
            self._console.print("Further refusals are only counted.", style="red")


def _merged(results: list[dict[int, bytes]]) -> dict[int, Batch]:
    return {guid: batch_from_bytes(data) for result in results for guid, data in result.items()}


def _shown(settings: LoadTestSettings, database: str) -> str:
    return shown_url(database) if settings.database else "a temporary SQLite file"
