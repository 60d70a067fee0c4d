"""A bug is planted in the writer of the side that follows: the comparison finds it, the report
names it, and it is not safe to go on. On the real `MigratingRepository`, in both directions."""

import itertools
import json
import time

import numpy as np
import pytest

from mmoinv.migration import (
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Rules,
)
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.findings import read_findings
from mmoinv.migration.report import report_lines, report_values
from mmoinv.migration.report_page import report_page
from mmoinv.migration.thresholds import Thresholds
from mmoinv.records import InventoryItemData, batch_of
from mmoinv.repository import InMemoryInventoryRepository

MILD = MigrationConfig(
    to_primary=Thresholds(min_compared=5, min_hours=1),
    to_new=Thresholds(min_compared=5, min_hours=1),
)
SHADOW, PRIMARY = MigrationMode.SHADOW, MigrationMode.PRIMARY
PLAYERS = (7, 8, 2**63 + 9)


class Spoiled(InMemoryInventoryRepository):
    """Writes something else than it was given, as long as ``bug`` says so."""

    def __init__(self, bug=None) -> None:
        super().__init__()
        self.bug = bug

    def _submit(self, changes, reason, conserve):
        if self.bug is not None:
            changes = [self.bug(change) for change in changes]
        return super()._submit(changes, reason, conserve)


def forgets_deletes(change):
    return change._replace(deletes=change.deletes[:0])


def drops_creators(change):
    saves = change.saves.copy()
    saves["creator"] = 0
    return change._replace(saves=saves)


def loses_every_stack_of_7(change):
    return change._replace(saves=change.saves[change.saves["stack_count"] != 7])


def forgets_money(change):
    return change._replace(money=())


def writes_durability_into_flags(change):
    saves = change.saves.copy()
    saves["item_flags"] = saves["durability"]
    return change._replace(saves=saves)


async def play(repository: MigratingRepository, rounds: int) -> None:
    """Each loots, wears the sword down, uses stacks up, throws things away, and earns."""
    for guid in PLAYERS:
        await repository.join(guid)
    for turn in range(rounds):
        for guid in PLAYERS:
            names = iter(repository.new_item_guids(3).tolist())
            with_name = lambda item, names=names: item._replace(item_guid=next(names))  # noqa: E731
            sword = InventoryItemData(25, 0xFF0F, 1, creator=5, durability=40 - turn % 20)
            loot = InventoryItemData(118, 0xFF17 + turn % 3, 5 + turn % 4)
            deletes = [0xFF17 + (turn + 1) % 3] if turn else []
            repository.begin_transaction()
            repository.save_changes(guid, batch_of(with_name(sword), with_name(loot)), deletes)
            repository.add_money(guid, 0, 10 + turn)
            await repository.commit()
        if turn % 8 == 7:
            await repository.flush(0.2)
    await repository.flush(0.5)
    for guid in PLAYERS:
        await repository.leave(guid)


async def moved(folder, mode, bug, mend_at_end=False) -> dict:
    """What the report says of a move in which the follower has a bug."""
    follower, decider = Spoiled(bug), Spoiled()
    legacy, new = (decider, follower) if mode is SHADOW else (follower, decider)
    counter = itertools.count(9 << 32)
    with Evidence(folder / "evidence", MILD) as evidence:
        book = FileBook(folder / "book")
        repository = MigratingRepository(
            legacy,
            new,
            rules=ModeRules(Rules(default=mode)),
            book=book,
            evidence=evidence,
            mint=lambda count: np.array([next(counter) for _ in range(count)], np.uint64),
            settings=MigrationSettings(retry_first_s=0.01, tick_s=0.01, leave_wait_s=0.2),
        )
        async with repository:
            await play(repository, 24)
            if mend_at_end:
                follower.bug = None
                for guid in PLAYERS:
                    await repository.join(guid)
                assert await repository.flush(5)
                for guid in PLAYERS:
                    await repository.leave(guid)
                    await repository.join(guid)
        book.close()
    findings = read_findings([folder / "evidence"])
    return json.loads(json.dumps(report_values(findings, MILD, time.time())))


@pytest.mark.parametrize("mode", [SHADOW, PRIMARY])
@pytest.mark.parametrize(
    ("bug", "what"),
    [
        (forgets_deletes, ("extra", [])),
        (drops_creators, ("field", ["creator"])),
        (loses_every_stack_of_7, ("missing", [])),
        (forgets_money, ("money", ["money"])),
        (writes_durability_into_flags, ("field", ["item_flags"])),
    ],
)
async def test_a_planted_bug_is_found_and_named(tmp_path, mode, bug, what):
    values = await moved(tmp_path, mode, bug)
    step = "primary" if mode is SHADOW else "new"
    figures = values["modes"][mode]
    assert figures["commits"] == 24 * len(PLAYERS)
    assert figures["diverged"] > 0
    first = values["patterns"][0]
    assert (first["kind"], first["fields"]) == what
    assert {one["character_guid"] for one in values["worst"]} == set(PLAYERS)
    assert not values["verdicts"][step]["is_safe"]
    missing = [one for one in values["verdicts"][step]["requirements"] if not one["is_met"]]
    assert f"max_{what[0]}_share" in [one["name"] for one in missing]
    said = "\n".join(report_lines(values))
    fields = "" if what[0] == "money" else " ".join(what[1])
    assert f"{what[0]} {fields}".strip() + ": character " in said
    assert f"character {PLAYERS[2]}" in said
    assert "last after operations 0x" in said
    assert what[0] in report_page(values)


@pytest.mark.parametrize("mode", [SHADOW, PRIMARY])
async def test_without_a_bug_it_is_safe(tmp_path, mode):
    values = await moved(tmp_path, mode, None)
    step = "primary" if mode is SHADOW else "new"
    assert values["patterns"] == []
    assert values["modes"][mode]["missed"] == 0
    requirements = values["verdicts"][step]["requirements"]
    assert [one for one in requirements if not one["is_met"]] == []


async def test_a_bug_that_was_mended_leaves_nothing_open(tmp_path):
    values = await moved(tmp_path, SHADOW, drops_creators, mend_at_end=True)
    assert values["divergences"]["gone"] > 0
    assert values["divergences"]["open"] == 0
    assert values["behind"]["count"] == 0
    # It was there, so the week is lost.
    assert not values["verdicts"]["primary"]["is_safe"]
