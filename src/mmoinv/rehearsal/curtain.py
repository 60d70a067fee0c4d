"""How the steps of a rehearsal end: everybody out, and what is held to what.

Also what several steps do with the tools of a move. Knows nothing of what was played.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from mmoinv.legacy import ExportWish, export_tables, tables_of
from mmoinv.migration.verdict import Step, judge
from mmoinv.rehearsal.checks import differences, in_old_tables, not_equal, sql_store
from mmoinv.rehearsal.result import StepResult
from mmoinv.rehearsal.stage import Stage


async def curtain(stage: Stage, result: StepResult, *, may_be_behind: bool = False) -> None:
    """All log out, and what they own is looked for in both databases; with ``may_be_behind`` not
    what the book says is owed to the side that follows."""
    if not may_be_behind:
        result.problems += await stage.level()
    await stage.world.everybody_out()
    result.problems += stage.world.problems
    stage.world.problems.clear()
    behind: Collection[int] = ()
    if may_be_behind:
        book = stage.book()
        behind = book.behind()
        book.close()
        if behind:
            result.seen.append(f"{len(behind)} characters stay behind until all are written")
    result.problems += await stage.stored(behind)


def nobody_noticed(stage: Stage, result: StepResult) -> None:
    """No save was refused and no login failed."""
    result.problems += [f"a player noticed: {text}" for text in stage.world.noticed]
    stage.world.noticed.clear()


def tried_again(stage: Stage, result: StepResult) -> None:
    """Saves that were refused went with the next one, and logins were tried again."""
    noticed = stage.world.noticed
    if noticed:
        result.seen.append(f"saves or logins had to be tried again, like this: {noticed[0]}")
    noticed.clear()


def judged(stage: Stage, result: StepResult, step: Step) -> None:
    found = judge(stage.findings(), stage.config, step, time.time())
    figures = found.figures
    result.seen.append(
        f"{step.way}: {'safe' if found.is_safe else 'NOT safe'}; {figures.compared:,} compared, "
        f"{figures.diverged:,} diverged, {figures.missed:,} missed and made up for"
    )
    result.problems += [
        f"{step.way}: {one.title}: {one.has}, wanted {one.wants}" for one in found.missing
    ]


async def exported(stage: Stage, result: StepResult) -> None:
    """The old tables are written from ours; what they cannot hold is said before."""
    urls, old_format = stage.databases, stage.settings.format
    tables, store = await tables_of(urls.old, old_format), sql_store(urls.realm)
    before, _ = await in_old_tables(urls.old, old_format)
    report = await export_tables(tables, store)
    if report.kinds:
        lost = ", ".join(f"{kind} ({count:,})" for kind, count in report.kinds.most_common())
        result.seen.append(f"the old tables cannot hold: {lost}")
        after, _ = await in_old_tables(urls.old, old_format)
        fields = stage.old_path.tables.fields
        if not report.stopped or differences("", before, after, fields):
            result.problems.append("something was written, though not all of it can be held")
        report = await export_tables(tables, store, ExportWish(lossy=True))
    result.problems += [
        f"export: character {guid} was left out, it is online" for guid in report.left
    ]
    result.seen.append(f"{report.written:,} characters written into the old tables")
    result.problems += await not_equal(urls.old, old_format, urls.realm)
    owned = {one.guid: one.items for one in stage.world.actors}
    there, faults = await in_old_tables(urls.old, old_format)
    fields = stage.old_path.tables.fields
    result.problems += [*faults, *differences("old tables", owned, there, fields)]


async def called(function: Callable[..., object], *arguments: object) -> None:
    """Call a function of the old path, which blocks or is a coroutine's."""
    called = await asyncio.to_thread(function, *arguments)
    if isinstance(called, Awaitable):
        await called
