"""Whether it is safe to go on: every threshold stands in the way by itself."""

from dataclasses import replace

import pytest
from evidence_cases import (
    BEGIN_S,
    LEGACY,
    NEW,
    POTIONS,
    PRIMARY,
    SHADOW,
    SWORD,
    USUAL,
    Clock,
    evidence_at,
    findings_of,
    look,
)

from mmoinv.migration.comparison import CLASSES
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.thresholds import Thresholds
from mmoinv.migration.verdict import Step, judge, percent
from mmoinv.records import batch_of

MILD = Thresholds(over_last_h=48, min_compared=100, min_hours=10)
SETTINGS = MigrationConfig(to_primary=MILD, to_new=MILD)
SIDES = {
    "missing": (USUAL, batch_of(SWORD), ({}, {})),
    "extra": (batch_of(SWORD), USUAL, ({}, {})),
    "money": (USUAL, USUAL, ({0: 1}, {})),
    "field": (USUAL, batch_of(SWORD._replace(entry=9), POTIONS), ({}, {})),
    "narrowed": (
        batch_of(SWORD._replace(durability=65_535)),
        batch_of(SWORD._replace(durability=70_000)),
        ({}, {}),
    ),
    "not_kept": (batch_of(SWORD._replace(item_guid=0)), batch_of(SWORD), ({}, {})),
}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def evidence(tmp_path, clock):
    """Enough of it, and nothing wrong: ten comparisons an hour over ten hours."""
    with evidence_at(tmp_path / "e", clock) as evidence:
        for _ in range(10):
            for guid in range(10):
                look(evidence, operation_id=guid, character_guid=guid)
            clock.pass_h(1)
        yield evidence


def missing(evidence, clock, step=Step.PRIMARY, config=SETTINGS):
    return [one.name for one in judge(findings_of(evidence), config, step, clock()).missing]


def test_it_is_safe(evidence, clock):
    verdict = judge(findings_of(evidence), SETTINGS, Step.PRIMARY, clock())
    assert verdict.is_safe
    assert verdict.step.way == "shadow -> primary"
    assert len(verdict.requirements) == 2 + len(CLASSES) + 4


def test_each_step_has_the_evidence_of_its_own_mode(evidence, clock):
    verdict = judge(findings_of(evidence), SETTINGS, Step.NEW, clock())
    assert not verdict.is_safe
    named = {one.name: one for one in verdict.requirements}
    assert named["min_compared"].missing == "100 more"
    # Without a single comparison no share is proven.
    assert named["max_missing_share"].missing == "nothing was looked at"
    assert named["max_not_kept_share"].has == "n/a"


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_that_is_seen_too_often(evidence, clock, kind):
    expected, found, money = SIDES[kind]
    assert look(evidence, expected, found, money=money) == (kind == "not_kept")
    look(evidence)  # and it is gone again
    name = f"max_{kind}_share"
    allowed = getattr(MILD, name)
    assert missing(evidence, clock) == ([name] if not allowed else [])
    strict = MigrationConfig(to_primary=replace(MILD, **{name: 1 / 103}))
    assert missing(evidence, clock, config=strict) == [name]
    enough = MigrationConfig(to_primary=replace(MILD, **{name: 1 / 102}))
    assert missing(evidence, clock, config=enough) == []


def test_too_few_comparisons(evidence, clock):
    more = MigrationConfig(to_primary=replace(MILD, min_compared=101, min_hours=11))
    verdict = judge(findings_of(evidence), more, Step.PRIMARY, clock())
    assert [(one.name, one.missing) for one in verdict.missing] == [
        ("min_compared", "1 more"),
        ("min_hours", "1 more"),
    ]


def test_only_the_last_hours_are_judged(evidence, clock):
    look(evidence, found=batch_of(SWORD))
    look(evidence)
    assert missing(evidence, clock) == ["max_missing_share"]
    clock.now_s = BEGIN_S + 49 * 3600
    for _ in range(10):
        clock.pass_h(1)
        for guid in range(10):
            look(evidence, character_guid=guid)
    assert missing(evidence, clock) == []


def test_evidence_grows_old(evidence, clock):
    clock.pass_h(45)
    assert missing(evidence, clock) == ["min_compared", "min_hours"]


def test_misses_and_who_is_behind(evidence, clock):
    evidence.missed(7, NEW, "timeout", 1)
    assert missing(evidence, clock) == ["max_missed_share", "max_behind"]
    evidence.made_up(7, NEW)
    assert missing(evidence, clock) == ["max_missed_share"]
    for _ in range(1000):
        evidence.committed(7, SHADOW, LEGACY, 1)
    assert missing(evidence, clock) == []


def test_what_is_open(evidence, clock):
    config = MigrationConfig(to_primary=replace(MILD, max_missing_share=1.0))
    look(evidence, found=batch_of(SWORD))
    assert missing(evidence, clock, config=config) == ["max_open"]


def test_each_step_has_what_is_open_and_behind_in_its_own_mode(evidence, clock):
    for _ in range(10):
        clock.pass_h(1)
        for guid in range(10):
            look(evidence, mode=PRIMARY, character_guid=guid)
            look(evidence, character_guid=guid)
    loose = replace(MILD, max_missing_share=1.0, max_missed_share=1.0)
    config = MigrationConfig(to_primary=loose, to_new=loose)
    evidence.committed(50, SHADOW, LEGACY, 1)
    evidence.missed(50, NEW, "timeout", 1)
    look(evidence, found=batch_of(SWORD), character_guid=51)
    assert missing(evidence, clock, Step.NEW, config) == []
    assert missing(evidence, clock, Step.PRIMARY, config) == ["max_behind", "max_open"]


def test_what_was_not_recorded(evidence, clock):
    look(evidence, found=batch_of(SWORD)[[0, 0]])
    assert missing(evidence, clock) == ["max_unrecorded"]


def test_from_primary_to_new(evidence, clock):
    for _ in range(10):
        clock.pass_h(1)
        for guid in range(10):
            look(evidence, mode=PRIMARY, character_guid=guid)
    assert missing(evidence, clock, Step.NEW) == []
    evidence.missed(7, LEGACY, "timeout", 1)
    assert missing(evidence, clock, Step.NEW) == ["max_missed_share", "max_behind"]


def test_a_share_that_is_not_0_never_looks_like_it():
    assert [percent(one) for one in (0, 1, 0.5, 0.00012, 1e-7)] == [
        *("0 %", "100 %", "50 %", "0.012 %"),
        "< 0.001 %",
    ]
