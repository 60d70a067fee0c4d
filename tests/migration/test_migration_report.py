"""The report names what is wrong: the bug that was planted, whom it hit, and what was missed."""

import json
import re

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

from mmoinv.codec import apply_changes
from mmoinv.migration.comparison import KnownDifference
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.report import report_lines, report_values, status_lines
from mmoinv.migration.report_page import report_page
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def evidence(tmp_path, clock):
    with evidence_at(tmp_path / "e", clock) as evidence:
        yield evidence


def values_of(evidence, clock, since_s=0.0, config=None):
    config = config or MigrationConfig()
    findings = findings_of(evidence, known=config.known)
    values = report_values(findings, config, clock(), since_s)
    return json.loads(json.dumps(values))


def text(lines) -> str:
    return "\n".join(lines)


def play(evidence, shadow_write, rounds=20):
    """Three characters pick up a stack, use it up, and wear their swords down."""
    old = {guid: empty_batch() for guid in (1, 2, 3)}
    new = dict(old)
    operation_id = 0x200000000
    for place in range(rounds):
        for guid in old:
            operation_id += 1
            saves = batch_of(
                SWORD._replace(durability=40 - place % 5),
                POTIONS._replace(stack_count=5 + place, item_guid=6 if place % 7 else 8),
                InventoryItemData(2589, 0xFF18 + place % 4, 20, item_guid=100 + place),
            )
            deletes = slots_of(*([0xFF18 + (place + 1) % 4] if place else []))
            old[guid] = apply_changes(old[guid], saves, deletes)
            new[guid] = shadow_write(guid, new[guid], saves, deletes)
            look(evidence, old[guid], new[guid], character_guid=guid, operation_id=operation_id)


def test_a_shadow_writer_without_a_bug(evidence, clock):
    play(evidence, lambda guid, *changes: apply_changes(*changes))
    values = values_of(evidence, clock)
    assert (values["modes"]["shadow"]["compared"], values["modes"]["shadow"]["equal"]) == (60, 60)
    said = text(report_lines(values))
    assert "nothing differs" in said
    assert values["patterns"] == values["examples"] == values["worst"] == []


def forgets_deletes(guid, items, saves, deletes):
    return apply_changes(items, saves, deletes[:0])


def loses_the_last_record(guid, items, saves, deletes):
    return apply_changes(items, saves[:-1], deletes)


def keeps_the_first_durability(guid, items, saves, deletes):
    worn = saves.copy()
    worn["durability"] = 40 * (saves["durability"] > 0)
    return apply_changes(items, worn, deletes)


def casts_to_a_signed_byte(guid, items, saves, deletes):
    cast = saves.copy()
    cast["stack_count"] = saves["stack_count"] % 16 + 1
    return apply_changes(items, cast, deletes)


def breaks_for_one_character(guid, items, saves, deletes):
    return apply_changes(items, saves, deletes) if guid != 2 else items


@pytest.mark.parametrize(
    ("bug", "pattern", "whom"),
    [
        (forgets_deletes, "extra", {1, 2, 3}),
        (loses_the_last_record, "missing", {1, 2, 3}),
        (keeps_the_first_durability, "field durability", {1, 2, 3}),
        (casts_to_a_signed_byte, "field stack_count", {1, 2, 3}),
        (breaks_for_one_character, "missing", {2}),
    ],
)
def test_a_bug_in_the_shadow_writer_is_found_and_named(evidence, clock, bug, pattern, whom):
    play(evidence, bug)
    values = values_of(evidence, clock)
    first = values["patterns"][0]
    assert " ".join([first["kind"], *first["fields"]]) == pattern
    assert {one["character_guid"] for one in values["worst"]} == whom
    assert not values["verdicts"]["primary"]["is_safe"]
    said = text(report_lines(values))
    assert re.search(rf"^  {pattern} +\d", said, re.M)
    (example, *_) = [one for one in values["examples"] if one["kind"] == first["kind"]]
    assert example["character_guid"] in whom
    assert example["last_operations"]
    assert f"operations {example['last_operations'][0]:#x}, " in said
    page = report_page(values)
    assert f"<td>{pattern}</td>" in page


def test_an_example_says_both_values(evidence, clock):
    look(evidence, USUAL, batch_of(SWORD._replace(durability=39)), operation_id=0xABC)
    look(evidence, character_guid=9, money=({3: 100}, {3: 40}), mode=PRIMARY, at="join")
    said = text(report_lines(values_of(evidence, clock)))
    assert (
        "  missing: character 7, slot 255:23, entry 118 (open)\n"
        "      seen once, 2026-05-28 20:00:00 to 2026-05-28 20:00:00, in mode shadow, "
        "last at a commit\n"
        "      legacy has  entry 118, stack_count 5, item_guid 38654705670\n"
        "      new has     nothing\n"
        "      first seen after operations 0xabc\n"
        "      last after operations 0xabc\n"
    ) in said
    assert "  field durability: character 7, slot 255:15, entry 25 (open)\n" in said
    assert "      legacy has  durability 40\n      new has     durability 39\n" in said
    assert "  money: character 9, currency 3 (open)\n" in said
    assert "      new has     money 100\n      legacy has  money 40\n" in said


def test_of_each_kind_there_is_an_example(evidence, clock):
    for guid in range(200):
        look(evidence, USUAL, batch_of(SWORD), character_guid=guid)
    look(evidence, USUAL, batch_of(SWORD._replace(creator=1), POTIONS), character_guid=500)
    examples = values_of(evidence, clock)["examples"]
    assert len(examples) == 20
    assert {one["kind"] for one in examples} == {"missing", "field"}


def test_the_short_table(evidence, clock):
    look(evidence, operation_id=1)
    look(evidence, USUAL, batch_of(SWORD), character_guid=8, operation_id=2)
    evidence.missed(8, NEW, "timeout", 3)
    evidence.used(7, LEGACY)
    clock.pass_h(2.5)
    said = text(status_lines(values_of(evidence, clock)))
    assert said.splitlines()[:7] == [
        "1 file of evidence, 2026-05-28 20:00:00 to 2026-05-28 20:59:59 UTC",
        "characters: 0 legacy, 2 shadow, 0 primary, 0 new",
        "",
        "mode     commits  compared  equal  known  not kept  diverged      missed  made up",
        "shadow         2         2      1      0         0  1 (50 %)  1 (33.3 %)  0",
        "primary        0         0      0      0         0         0           0  0",
        "",
    ]
    assert "divergences: 1 open, 0 gone, 0 known, 0 never kept; characters behind: 1\n" in said
    assert "\nof the comparisons in shadow: missing 50 %\n" in said
    assert "\nworst characters: 8 (1 of 1 diverged, 1 missed)\n" in said
    assert "the legacy side was last used 2026-05-28 20:00:00 (2.5 h ago)" in said
    assert "shadow -> primary: NOT YET, by the last 168 hours" in said
    assert re.search(r"^  comparisons +2 +at least 10,000 +9,998 more$", said, re.M)
    assert re.search(r"^  comparisons, missing +1 \(50 %\) +at most 0 % +too many$", said, re.M)
    assert re.search(r"^  characters behind +1 +at most 0 +1 too many$", said, re.M)
    assert "NOT RECORDED" not in said


def test_a_disk_that_was_full_is_reported(evidence, clock):
    look(evidence, USUAL, batch_of(SWORD)[[0, 0]])
    pages = evidence._connection.execute("PRAGMA page_count").fetchone()[0]
    evidence._connection.execute(f"PRAGMA max_page_count = {pages}")
    for guid in range(3000):
        look(evidence, USUAL, batch_of(SWORD), character_guid=guid)
    assert not evidence.flush()
    evidence._connection.execute("PRAGMA max_page_count = 1000000")
    said = text(status_lines(values_of(evidence, clock)))
    assert "the evidence could not be written 1 times (a full disk?)" in said
    assert "NOT RECORDED: 1 comparisons or divergences" in said


def test_without_anything(evidence, clock):
    values = values_of(evidence, clock)
    assert text(status_lines(values)).startswith("1 file of evidence, nothing in it yet\n")
    said = text(report_lines(values))
    assert (
        "shadow -> primary: NOT YET, nothing was compared in shadow in the last 168 hours" in said
    )
    assert "Nothing is in the evidence yet." in report_page(values)


def test_what_was_before_is_left_out(evidence, clock):
    look(evidence, USUAL, batch_of(SWORD))
    look(evidence)
    clock.pass_h(5)
    look(evidence, USUAL, batch_of(SWORD._replace(creator=1), POTIONS))
    values = values_of(evidence, clock, since_s=BEGIN_S + 3600)
    assert values["modes"]["shadow"]["compared"] == 1
    assert [one["kind"] for one in values["examples"]] == ["field"]
    assert [one["hour_s"] for one in values["by_hour"]] == [BEGIN_S + 5 * 3600]
    # Not what is judged: that goes by the thresholds.
    (missed,) = [
        one
        for one in values["verdicts"]["primary"]["requirements"]
        if one["name"] == "max_missing_share"
    ]
    assert not missed["is_met"]


def test_known_differences_are_named_with_their_reason(evidence, clock):
    look(evidence, USUAL, batch_of(SWORD._replace(durability=39), POTIONS))
    known = MigrationConfig(known=[KnownDifference("repairs, issue 812", field="durability")])
    values = values_of(evidence, clock, config=known)
    assert values["divergences"] == {
        "open": 0,
        "gone": 0,
        "known": 1,
        "never_kept": 0,
    }
    said = text(report_lines(values))
    assert "(known: repairs, issue 812)" in said
    assert re.search(r"^  field durability +1 +0 .* repairs, issue 812$", said, re.M)


def test_what_was_never_kept_is_shown_and_stands_in_nobodys_way(evidence, clock):
    for guid in range(30):
        without = batch_of(SWORD._replace(item_guid=0), POTIONS._replace(item_guid=0))
        assert look(evidence, USUAL, without, mode=PRIMARY, character_guid=guid)
    look(evidence, USUAL, batch_of(SWORD), mode=PRIMARY)
    values = values_of(evidence, clock)
    primary = values["modes"]["primary"]
    assert (primary["compared"], primary["equal"], primary["diverged"]) == (31, 0, 1)
    assert primary["by_class"]["not_kept"] == 30
    assert values["divergences"] == {
        "open": 1,
        "gone": 0,
        "known": 0,
        "never_kept": 60,
    }
    assert [one["kind"] for one in values["patterns"]] == ["missing", "not_kept"]
    assert [one["character_guid"] for one in values["worst"]] == [7]
    said = text(report_lines(values))
    assert "  not_kept item_guid: character 29, slot 255:15, entry 25 (never kept)\n" in said


def test_the_page_draws_every_hour(evidence, clock):
    for hour in range(30):
        look(evidence, operation_id=hour)
        if hour % 3 == 0:
            look(evidence, USUAL, batch_of(SWORD), character_guid=8)
            evidence.missed(9, NEW, "a <script> timed out", hour)
        evidence.used(7, LEGACY)
        clock.pass_h(1)
    clock.pass_h(-1)
    values = values_of(evidence, clock)
    page = report_page(values)
    from plotly.offline import get_plotlyjs

    rest = page.replace(get_plotlyjs(), "")
    assert len(rest) < len(page) - 1_000_000
    assert "http://" not in rest
    assert "https://" not in rest
    (drawn,) = re.findall(r"^\[(\{.*\})\]\.forEach", rest, re.M | re.S)
    plots = json.loads(f"[{drawn}]")
    titles = re.findall(r"<h3>(.*?)</h3>", rest)
    assert [title for title in titles if ":" in title or "Uses" in title] == [
        "Shadow: shares",
        "Shadow: by class",
        "Shadow: by class, over time",
        "Shadow: what was done",
        "Uses of the two sides",
    ]
    (shares, _, classes, _, uses) = plots
    diverged = next(one for one in shares["data"] if one["name"] == "diverged")
    assert diverged["x"][0] == -29
    assert diverged["y"][:4] == [50, 0, 0, 50]
    assert classes["data"][0]["y"][:4] == [1, 0, 0, 1]
    assert [one["name"] for one in uses["data"]] == ["legacy side", "new side"]
    assert "a &lt;script&gt; timed out" in rest
    assert "<span class='badge bad'>not yet</span>" in rest


def test_a_long_time_is_drawn_in_days(evidence, clock):
    look(evidence)
    clock.pass_h(24 * 30)
    look(evidence)
    page = report_page(values_of(evidence, clock))
    assert "days, the last one is 0" in page
    assert '"x":[-30.0,' in page


def test_when_it_is_safe_the_page_says_so(evidence, clock):
    look(evidence)
    from mmoinv.migration.thresholds import Thresholds

    mild = Thresholds(min_compared=1, min_hours=1)
    values = values_of(evidence, clock, config=MigrationConfig(to_primary=mild))
    assert "<span class='badge good'>safe: shadow -&gt; primary</span>" in report_page(values)
    assert "shadow -> primary: safe to go on, by the last 168 hours" in text(status_lines(values))


def test_a_mode_in_which_nobody_follows_is_shown_if_anybody_is_in_it(evidence, clock):
    look(evidence)
    evidence.committed(7, MigrationMode.NEW, NEW, 1)
    said = text(status_lines(values_of(evidence, clock)))
    assert re.search(r"^new +1 +0", said, re.M)
    assert not re.search(r"^legacy +\d", said, re.M)
    assert SHADOW in said
