"""The steps of a move as a rehearsal plays them, in their order.

Each is a coroutine over the stage that notes what it saw and what should not have been. Every step
ends with all players logged out, and with what they own held to both databases.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mmoinv.legacy import import_tables, tables_of
from mmoinv.migration import BookEntry, MigrationMode, ModeRule, Rules
from mmoinv.migration.comparison import DivergenceClass
from mmoinv.migration.finish import finish, look
from mmoinv.migration.report import Values, example_lines, report_values
from mmoinv.migration.verdict import Step, judge
from mmoinv.rehearsal import realm_troubles
from mmoinv.rehearsal.checks import (
    not_adding_up,
    not_equal,
    sql_store,
)
from mmoinv.rehearsal.curtain import called, curtain, exported, judged, nobody_noticed, tried_again
from mmoinv.rehearsal.old_path import BUG, Trouble
from mmoinv.rehearsal.result import StepResult
from mmoinv.rehearsal.stage import BUGGY, MAIN, Stage
from mmoinv.rehearsal.world import ENCHANTED

LEGACY, SHADOW, PRIMARY, NEW = MigrationMode
HANG_S = 1.0
"""Longer than the other side is waited for."""
QUIET_WITHIN_S = 15.0


class RehearsalStep(NamedTuple):
    """A step: what it is called, and what it does."""

    title: str
    play: Callable[["Stage", StepResult], Awaitable[None]]


async def old_way(stage: Stage, result: StepResult) -> None:
    """The old tables are filled and played on; the new side is not needed."""
    stage.cast()
    for one in stage.world.actors:
        await called(stage.old_path.save, one.guid, one.items)
    async with stage.world.played():
        await asyncio.sleep(stage.settings.part_s)
    await curtain(stage, result)
    result.seen.append(f"{stage.old_path.saves:,} whole inventories deleted and inserted")


async def imported(stage: Stage, result: StepResult) -> None:
    """Old tables in, twice, and verified."""
    old = await tables_of(stage.databases.old, stage.settings.format)
    first = await import_tables(old, sql_store(stage.databases.realm))
    again = await import_tables(old, sql_store(stage.databases.realm))
    result.seen.append(
        f"{first.written:,} characters with {first.items:,} items came over; run again, "
        f"{again.unchanged:,} were equal already"
    )
    for report in (first, again):
        result.problems += [
            f"import: character {one.character_guid} was left out: {one.reason}"
            for one in report.left
        ]
        result.problems += [
            f"import: {count} rows were set aside: {kind}"
            for kind, count in report.set_aside.items()
        ]
    if again.written:
        result.problems.append(f"the second import wrote {again.written} characters again")
    urls = stage.databases
    result.problems += await not_equal(urls.old, stage.settings.format, urls.realm)
    result.problems += await stage.stored()


async def shadow_for_some(stage: Stage, result: StepResult) -> None:
    """A tenth of the characters is written both ways."""
    stage.put(LEGACY, Rules(LEGACY, (ModeRule(SHADOW, share=0.1),)))
    async with stage.world.played():
        await asyncio.sleep(stage.settings.part_s)
    # Where the old way keeps item guids, who was given something by somebody that only it writes
    # cannot be level: the new side has that item at the giver, until the giver is written too.
    await stage.level(within_s=1.0)
    await curtain(stage, result, may_be_behind=True)
    nobody_noticed(stage, result)


async def shadow(stage: Stage, result: StepResult) -> None:
    """Everybody is; the new side is killed, starved and stopped, and no player notices."""
    part_s = stage.settings.part_s
    stage.put(SHADOW)
    async with stage.world.played():
        result.problems += await stage.everybody_in(SHADOW)
        await asyncio.sleep(part_s / 2)
        await realm_troubles.killed(stage.realm, part_s / 3)
        await asyncio.sleep(part_s / 2)
        await realm_troubles.slow(stage.realm, part_s)
        await realm_troubles.hanging(stage.realm, max(HANG_S, part_s))
        await asyncio.sleep(part_s / 2)
        await stage.enough_compared()
    await curtain(stage, result)
    nobody_noticed(stage, result)
    result.seen.append("the realm was killed, starved and stopped")


async def verdict(stage: Stage, result: StepResult) -> None:
    """Is it safe that the new side decides?"""
    judged(stage, result, Step.PRIMARY)


async def primary_for_some(stage: Stage, result: StepResult) -> None:
    """The new side decides for a third, who trade with the others."""
    stage.put(SHADOW, Rules(SHADOW, (ModeRule(PRIMARY, share=0.3),)))
    async with stage.world.played():
        await asyncio.sleep(stage.settings.part_s)
    await curtain(stage, result)
    nobody_noticed(stage, result)


async def primary(stage: Stage, result: StepResult) -> None:
    """It decides for everybody; the old side raises, is slow, hangs, and no player notices."""
    part_s = stage.settings.part_s
    stage.put(PRIMARY)
    async with stage.world.played():
        result.problems += await stage.everybody_in(PRIMARY)
        for trouble in (Trouble.RAISES, Trouble.SLOW, Trouble.HANGS):
            stage.old_path.trouble = trouble
            await asyncio.sleep(max(HANG_S, part_s) if trouble is Trouble.HANGS else part_s)
            stage.old_path.trouble = Trouble.NONE
            await asyncio.sleep(part_s / 3)
        await stage.enough_compared()
    await curtain(stage, result)
    nobody_noticed(stage, result)
    result.seen.append("the old path raised, was slow and hung")


async def realm_dies(stage: Stage, result: StepResult) -> None:
    """The realm is killed while it decides: nothing that was answered is lost."""
    part_s = stage.settings.part_s
    async with stage.world.played():
        await asyncio.sleep(part_s / 2)
        await realm_troubles.killed(stage.realm, part_s / 3)
        await asyncio.sleep(part_s / 2)
    await curtain(stage, result)
    # Nobody can log in without it.
    tried_again(stage, result)


async def world_dies(stage: Stage, result: StepResult) -> None:
    """The world ends without a word while the old side lacks something: the next one puts it
    right."""
    part_s = stage.settings.part_s
    async with stage.world.played():
        await asyncio.sleep(part_s / 2)
        stage.old_path.trouble = Trouble.RAISES
        await asyncio.sleep(part_s / 2)
    await stage.world.answered()
    await stage.kill_world()
    stage.old_path.trouble = Trouble.NONE
    behind = await stage.stored()
    await stage.begin_again(MAIN)
    async with stage.world.played():
        await asyncio.sleep(part_s / 2)
    await curtain(stage, result)
    nobody_noticed(stage, result)
    result.seen.append(f"{len(behind):,} differences were there when it was gone")


async def back_and_forth(stage: Stage, result: StepResult) -> None:
    """Modes are changed under load, in both directions."""
    orders = (SHADOW, PRIMARY, LEGACY, NEW, PRIMARY, SHADOW, PRIMARY)
    async with stage.world.played():
        for mode in orders:
            stage.put(mode)
            result.problems += await stage.everybody_in(mode)
    await curtain(stage, result)
    # Who traded in the mode legacy may have to wait for the other one to come to the new side.
    tried_again(stage, result)
    result.seen.append(f"everybody was in {', '.join(orders)}, one after the other")


async def judged_again(stage: Stage, result: StepResult) -> None:
    """Is it safe to leave the old side alone?"""
    judged(stage, result, Step.NEW)


async def planted_bug(stage: Stage, result: StepResult) -> None:
    """For a moment the old path's writer has a bug: the comparison finds and names it."""
    part_s = stage.settings.part_s
    await stage.begin_again(BUGGY)
    async with stage.world.played():
        await asyncio.sleep(part_s / 3)
        stage.old_path.trouble = Trouble.BUG
        await asyncio.sleep(part_s)
        await stage.until(lambda: bool(stage.old_path.spoiled), QUIET_WITHIN_S)
        stage.old_path.trouble = Trouble.NONE
    await stage.world.everybody_out()
    async with stage.world.played():
        await asyncio.sleep(part_s / 3)
    await curtain(stage, result)
    found = stage.findings(BUGGY)
    struck = stage.old_path.spoiled
    harmful = [one for one in found.divergences if one.kind is not DivergenceClass.NOT_KEPT]
    named = {one.character_guid for one in harmful}
    kept = stage.old_path.tables.fields
    patterns = {(one.kind, tuple(name for name in one.fields if name in kept)) for one in harmful}
    if patterns != {(DivergenceClass.FIELD, ("stack_count",))} or not named <= struck:
        shown = ", ".join(f"{kind} {' '.join(fields)}".strip() for kind, fields in patterns)
        # First: the others follow from it.
        result.problems.insert(
            0,
            f"a bug was planted ({BUG}), which struck {len(struck)} characters; the comparison "
            f"found: {shown or 'nothing'}, of {len(named)} characters",
        )
    if found.open_divergences():
        result.problems.append("the bug is gone, and its divergences are still open")
    # Nothing else was made to fail meanwhile: not a single one may pass.
    strict = replace(stage.config, to_new=replace(stage.config.to_new, max_field_share=0.0))
    refused = [one.name for one in judge(found, strict, Step.NEW, time.time()).missing]
    if "max_field_share" not in refused:
        result.problems.append("the verdict let a bug of the old path's writer pass")
    result.seen.append(
        f"{BUG}: it struck {len(struck)} characters, the comparison names {len(named)} of them, "
        "and the verdict says no"
    )


def planted_lines(stage: Stage, most: int = 3) -> list[str]:
    """The planted bug as a report shows it."""
    values = report_values(stage.findings(BUGGY), stage.config, time.time())
    harmful: Sequence[Values] = [
        one for one in values["examples"] if one["kind"] != DivergenceClass.NOT_KEPT
    ]
    return [line for one in harmful[:most] for line in example_lines(one)]


async def new_alone(stage: Stage, result: StepResult) -> None:
    """The new side alone; the old one is not touched."""
    await stage.begin_again(MAIN)
    stage.put(NEW)
    async with stage.world.played():
        result.problems += await stage.everybody_in(NEW)
        # A write that began before may end only now.
        await stage.until(lambda: not stage.old_path.running, QUIET_WITHIN_S)
        saves = stage.old_path.saves
        await asyncio.sleep(stage.settings.part_s)
        if more := stage.old_path.saves - saves:
            result.problems.append(f"the old path was written {more} times, and was to be left")
        if ENCHANTED not in stage.old_path.tables.fields:
            stage.world.enchant()
    await curtain(stage, result)
    nobody_noticed(stage, result)


async def way_back(stage: Stage, result: StepResult) -> None:
    """The old tables are written from ours, and the game is played on them again."""
    await exported(stage, result)
    fields = stage.old_path.tables.fields
    if ENCHANTED not in fields and not any(ENCHANTED in text for text in result.seen):
        result.problems.append(f"the export did not say that {ENCHANTED} cannot be held")
    book = stage.book()
    entry = BookEntry(LEGACY, is_behind=True)
    book.put({one.guid: entry for one in stage.world.actors})
    book.close()
    stage.put(LEGACY)
    for one in stage.world.actors:
        one.mode = LEGACY
    async with stage.world.played():
        await asyncio.sleep(stage.settings.part_s)
    await curtain(stage, result)
    nobody_noticed(stage, result)


async def forward_again(stage: Stage, result: StepResult) -> None:
    """Up again, step by step, without another import."""
    async with stage.world.played():
        for mode in (SHADOW, PRIMARY, NEW):
            stage.put(mode)
            result.problems += await stage.everybody_in(mode)
    await curtain(stage, result)
    nobody_noticed(stage, result)


async def finished(stage: Stage, result: StepResult) -> None:
    """What `mmoinv migrate finish` says: not yet, and after a quiet time that it may be done."""
    book = stage.book()
    try:
        early = look(stage.findings(), stage.config.finish, time.time(), book)
        ends_s = time.monotonic() + QUIET_WITHIN_S
        async with stage.world.played():
            while True:
                await asyncio.sleep(stage.settings.part_s)
                late = look(stage.findings(), stage.config.finish, time.time(), book)
                if not late.obstacles or time.monotonic() > ends_s:
                    break
        result.seen += [f"at first: {one}" for one in early.obstacles]
        result.problems += [f"it cannot be finished: {one}" for one in late.obstacles]
        if not late.obstacles:
            finish(stage.rules_path, book, late.not_moved)
            result.seen.append("then the old path may be cleared away")
    finally:
        book.close()
    await curtain(stage, result)


async def proof(stage: Stage, result: StepResult) -> None:
    """Everything is ended, and what every player owns is looked for."""
    await stage.end_world()
    await stage.realm.end()
    urls = stage.databases
    result.problems += await stage.stored()
    result.problems += await not_adding_up(urls.realm)
    await exported(stage, result)
    items = sum(len(one.items) for one in stage.world.actors)
    if not result.problems:
        result.seen.append(
            f"{items:,} items of {len(stage.world.actors):,} players: each is in the realm's "
            "database as its player has it, once; the old tables are equal wherever they can be"
        )


STEPS: Sequence[RehearsalStep] = (
    RehearsalStep("the old way", old_way),
    RehearsalStep("import and verify", imported),
    RehearsalStep("shadow for a tenth", shadow_for_some),
    RehearsalStep("shadow, the new side fails", shadow),
    RehearsalStep("safe to go on?", verdict),
    RehearsalStep("primary for a third", primary_for_some),
    RehearsalStep("primary, the old side fails", primary),
    RehearsalStep("primary, the realm is killed", realm_dies),
    RehearsalStep("primary, the world is killed", world_dies),
    RehearsalStep("modes back and forth", back_and_forth),
    RehearsalStep("safe to go on?", judged_again),
    RehearsalStep("a bug in the old writer", planted_bug),
    RehearsalStep("new", new_alone),
    RehearsalStep("the way back", way_back),
    RehearsalStep("forward again", forward_again),
    RehearsalStep("finish", finished),
    RehearsalStep("proof", proof),
)
