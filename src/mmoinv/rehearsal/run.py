"""A rehearsal from beginning to end, on one kind of database after the other.

Everything that is needed to look at a failure stays in the folder of its run.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mmoinv.errors import MmoinvError
from mmoinv.migration.report import report_values
from mmoinv.rehearsal.checks import RECORD_FIELDS, in_old_tables, in_realm, shortened
from mmoinv.rehearsal.databases import databases_of
from mmoinv.rehearsal.result import RehearsalReport, Rehearsed, StepResult
from mmoinv.rehearsal.settings import KINDS, RehearsalSettings
from mmoinv.rehearsal.stage import BUGGY, Stage
from mmoinv.rehearsal.steps import STEPS, planted_lines
from mmoinv.torture.servers import ServerMissingError

SHOW_EVERY_S = 0.1


class Audience(Protocol):
    """Who is told how far it is."""

    def begins(self, title: str, steps: list[StepResult]) -> None:
        """A rehearsal begins; ``steps`` are filled as it goes."""

    def plays(self, place: int) -> None:
        """The step of that place is played, or still is."""

    def ends(self, run: Rehearsed) -> None:
        """The rehearsal is over."""


class NoAudience:
    """Looks at nothing."""

    def begins(self, title: str, steps: list[StepResult]) -> None:
        """Not looked at."""

    def plays(self, place: int) -> None:
        """Not looked at."""

    def ends(self, run: Rehearsed) -> None:
        """Not looked at."""


async def run_rehearsal(
    settings: RehearsalSettings, audience: Audience | None = None
) -> RehearsalReport:
    """Rehearse. `ConfigurationError` if the settings cannot be, `ServerMissingError` if there is
    no server of a kind that was asked for."""
    settings.check()
    audience = audience or NoAudience()
    report = RehearsalReport()
    for what in settings.databases or KINDS:
        folder = Path(tempfile.mkdtemp(prefix="mmoinv-rehearsal-"))
        try:
            run = await _on_one(settings, what, folder, audience)
        except ServerMissingError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if settings.databases:
                raise
            report.left_out.append(str(error))
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if run.passed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            run.folder = folder
            (folder / "report.json").write_text(json.dumps(run.as_json(), indent=1) + "\n")
        audience.ends(run)
        report.runs.append(run)
    return report


async def _on_one(
    settings: RehearsalSettings, what: str, folder: Path, audience: Audience
) -> Rehearsed:
    steps = [StepResult(step.title) for step in STEPS]
    with _logged(folder / "world.log"):
        async with databases_of(what, settings.format, folder) as databases:
            stage = Stage(settings, databases, folder)
            run = Rehearsed(databases.title, steps)
            audience.begins(databases.title, steps)
            try:
                await stage.open()
                await _play(stage, steps, audience)
                run.evidence = report_values(stage.findings(), stage.config, time.time())
                if (stage.folder / BUGGY).exists():
                    run.planted = planted_lines(stage)
                if not run.passed:
                    await _keep(stage)
            finally:
                await stage.close()
    return run


async def _play(stage: Stage, steps: list[StepResult], audience: Audience) -> None:
    """One step after the other; behind one that failed the others would only say so again."""
    for place, (step, result) in enumerate(zip(STEPS, steps, strict=True)):
        clock = _Clock(stage, result, place, audience)
        watching = asyncio.create_task(clock.run())
        try:
            await step.play(stage, result)
        except MmoinvError as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        finally:
            watching.cancel()
            clock.look()
        result.problems = shortened(result.problems)
        if not result.passed:
            return


class _Clock:
    """Keeps the figures of a step as they come, and shows them."""

    def __init__(self, stage: Stage, result: StepResult, place: int, audience: Audience) -> None:
        self._stage, self._result = stage, result
        self._place, self._audience = place, audience
        self._started_s = time.monotonic()
        self._before = stage.counts.take()

    def look(self) -> None:
        """Look now."""
        self._result.seconds = time.monotonic() - self._started_s
        self._result.counts = self._stage.counts.take()
        self._result.counts.subtract(self._before)
        self._audience.plays(self._place)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await asyncio.sleep(SHOW_EVERY_S)


async def _keep(stage: Stage) -> None:
    """What every player owns and what both databases have, beside the rest of the folder."""
    owned = {one.guid: one.items for one in stage.world.actors}
    old, _ = await in_old_tables(stage.databases.old, stage.settings.format)
    for name, inventories in (
        ("players", owned),
        ("realm", await in_realm(stage.databases.realm)),
        ("old", old),
    ):
        fields = RECORD_FIELDS
        with (stage.folder / f"{name}.jsonl").open("w") as file:
            for guid, items in sorted(inventories.items()):
                records = [dict(zip(fields, record, strict=True)) for record in items.tolist()]
                file.write(json.dumps({"character": guid, "items": records}) + "\n")


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is logged goes to a file: links are lost and sides fail all the time here."""
    log = logging.getLogger("mmoinv")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    was_told = log.propagate
    log.propagate = log.isEnabledFor(logging.INFO)
    try:
        yield
    finally:
        log.propagate = was_told
        log.removeHandler(handler)
        handler.close()
