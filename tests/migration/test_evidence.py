"""The evidence of a move: counted and merged, kept whatever the disk does, and never in the way."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
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
from hypothesis import given, settings
from hypothesis import strategies as st

from mmoinv.errors import ConfigurationError
from mmoinv.migration import evidence as module
from mmoinv.migration.comparison import DivergenceClass, KnownDifference
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.evidence import KEPT_OPERATIONS, MAX_SLOTS, Evidence
from mmoinv.migration.findings import read_findings
from mmoinv.migration.gathered import MAX_DIVERGENCES
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.witness import NoEvidence, Witness
from mmoinv.records import InventoryItemData, batch_of

CHANGED = batch_of(SWORD._replace(durability=39), POTIONS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def evidence(tmp_path, clock):
    with evidence_at(tmp_path / "world.evidence", clock) as evidence:
        yield evidence


def test_it_is_a_witness(evidence):
    witnesses: list[Witness] = [evidence, NoEvidence()]
    for witness in witnesses:
        assert look(witness, operation_id=1)
        assert not look(witness, found=CHANGED)
        assert not look(witness, money=({0: 1}, {}))
        assert look(witness, money=({0: 0}, {}))
        witness.missed(7, NEW, "why", 1)
        witness.made_up(7, NEW)
        witness.flipped(7, SHADOW, PRIMARY)
        witness.used(7, NEW)


def test_what_is_counted(evidence, clock):
    assert look(evidence, operation_id=1)
    assert look(evidence, at="join")
    assert not look(evidence, found=CHANGED, operation_id=2)
    clock.pass_h(2)
    assert not look(evidence, found=batch_of(SWORD), operation_id=3)
    evidence.missed(7, NEW, "timeout", 4)
    evidence.made_up(7, NEW)
    evidence.committed(7, PRIMARY, NEW, 5)
    evidence.flipped(7, SHADOW, PRIMARY)
    found = findings_of(evidence)
    shadow = found.figures(SHADOW)
    assert (shadow.commits, shadow.at_commits, shadow.at_joins, shadow.compared) == (3, 3, 1, 4)
    assert (shadow.equal, shadow.known, shadow.diverged, shadow.hours) == (2, 0, 2, 2)
    assert shadow.by_class == {
        **dict.fromkeys(DivergenceClass, 0),
        DivergenceClass.FIELD: 1,
        DivergenceClass.MISSING: 1,
    }
    assert (shadow.missed, shadow.made_up, shadow.followed) == (1, 1, 4)
    assert (found.figures(PRIMARY).commits, found.figures(PRIMARY).flips) == (1, 1)
    assert found.characters == {"primary": 1}
    late = found.figures(SHADOW, since_s=BEGIN_S + 3600)
    assert (late.commits, late.compared, late.diverged, late.hours) == (1, 1, 1, 1)
    assert (found.first_hour_s, found.last_hour_s) == (BEGIN_S, BEGIN_S + 7200)


def test_a_divergence_is_one_record_however_often_it_is_seen(evidence, clock):
    for operation_id in range(1, 13):
        look(evidence, found=CHANGED, operation_id=operation_id)
        clock.pass_h(0.1)
    (one,) = findings_of(evidence).divergences
    assert (one.character_guid, one.slot, one.fields, one.kind) == (
        *(7, SWORD.slot, ("durability",)),
        DivergenceClass.FIELD,
    )
    assert (one.entry, one.times, one.mode, one.decider, one.at) == (
        *(25, 12, "shadow", "legacy"),
        "commit",
    )
    assert one.expected == SWORD._asdict()
    assert one.found == SWORD._replace(durability=39)._asdict()
    assert one.first_us == pytest.approx(BEGIN_S * 1e6, abs=100)
    assert one.last_us == pytest.approx((BEGIN_S + 11 * 360) * 1e6, abs=100)
    assert one.first_operations == [1]
    assert one.last_operations == list(range(13 - KEPT_OPERATIONS, 13))
    assert one.is_open


def test_across_writes_it_is_the_same_record(evidence, clock):
    look(evidence, found=CHANGED, operation_id=1)
    evidence.flush()
    clock.pass_h(1)
    later = batch_of(SWORD._replace(durability=12), POTIONS)
    look(evidence, found=later, operation_id=2, mode=PRIMARY, at="join")
    (one,) = findings_of(evidence).divergences
    assert (one.times, one.mode, one.decider, one.at) == (2, "primary", "new", "join")
    assert (one.found["durability"], one.first_operations, one.last_operations) == (12, [1], [1, 2])


def test_every_slot_is_a_record_of_its_own(evidence):
    empty = USUAL[:0]
    look(evidence, found=empty, money=({0: 5}, {}))
    look(evidence, USUAL, CHANGED, character_guid=2**64 - 1)
    found = findings_of(evidence).divergences
    assert [(one.character_guid, one.slot, one.kind) for one in found] == [
        (7, SWORD.slot, "missing"),
        (7, POTIONS.slot, "missing"),
        (7, 0, "money"),
        (2**64 - 1, SWORD.slot, "field"),
    ]
    assert found[2].expected == {"money": 5}


def test_equal_again_means_gone(evidence):
    look(evidence, found=CHANGED)
    look(evidence, found=CHANGED, character_guid=8)
    evidence.flush()
    look(evidence, at="join")
    found = findings_of(evidence)
    assert {one.character_guid: one.is_open for one in found.divergences} == {7: False, 8: True}
    look(evidence, found=CHANGED)
    assert len(findings_of(evidence).open_divergences()) == 2


def test_behind_until_it_is_made_up_or_found_equal(evidence):
    def behind():
        found = findings_of(evidence)
        assert found.behind_count == len(found.behind)
        return [(one.character_guid, one.side) for one in found.behind]

    evidence.committed(7, SHADOW, LEGACY, 1)
    evidence.missed(7, NEW, "timeout", 1)
    evidence.committed(8, PRIMARY, NEW, 2)
    evidence.missed(8, LEGACY, "timeout", 2)
    assert behind() == [(7, "new"), (8, "legacy")]
    evidence.made_up(7, NEW)
    assert behind() == [(8, "legacy")]
    look(evidence, character_guid=8, mode=PRIMARY)
    assert behind() == []
    evidence.missed(7, NEW, "again", 3)
    assert behind() == [(7, "new")]
    # Where nobody follows, nobody is behind.
    evidence.flipped(7, SHADOW, MigrationMode.LEGACY)
    assert behind() == []


def test_reasons_are_counted_by_kind(evidence):
    for number in range(1000):
        evidence.missed(number, NEW, f"operation {number:#x} of {number}: no answer\nin 2.5 s", 1)
    evidence.missed(3, LEGACY, "", None)
    found = findings_of(evidence).reasons
    assert [(one.mode, one.times) for one in found] == [("shadow", 1000), ("primary", 1)]
    assert found[0].reason == "operation N of N: no answer in N s"
    assert found[0].example == "operation 0x3e7 of 999: no answer in 2.5 s"
    assert found[1].reason == "no reason was given"


def test_however_many_reasons_there_are(evidence):
    for number in range(1000):
        letters = "".join("abcdefghij"[int(digit)] for digit in str(number))
        evidence.missed(7, NEW, f"{letters} {'x' * 1000}", None)
    found = findings_of(evidence).reasons
    assert sum(one.times for one in found) == 1000
    assert len(found) <= 201
    assert max(len(one.example) for one in found) <= 300


def test_the_last_use_of_a_side(evidence, clock):
    evidence.used(7, LEGACY)
    evidence.flush()
    clock.pass_h(5)
    for guid in range(100):
        evidence.used(guid, NEW)
    uses = findings_of(evidence).uses
    assert (uses["legacy"].character_guid, uses["legacy"].times) == (7, 1)
    assert uses["legacy"].last_us == BEGIN_S * 1e6
    assert (uses["new"].character_guid, uses["new"].times) == (99, 100)
    assert uses["new"].last_us >= (BEGIN_S + 5 * 3600) * 1e6


def test_several_worlds_files_are_read_together(tmp_path):
    clocks = Clock(), Clock(BEGIN_S + 60)
    with (
        evidence_at(tmp_path / "a", clocks[0]) as one,
        evidence_at(tmp_path / "b ?#%", clocks[1]) as other,
    ):
        for evidence in (one, other):
            look(evidence, found=CHANGED, operation_id=id(evidence))
            evidence.missed(9, NEW, "timeout", 1)
            evidence.used(7, LEGACY)
        both = findings_of(one, other)
        assert both.figures(SHADOW).compared == 2
        (divergence,) = both.divergences
        assert (divergence.times, divergence.last_operations) == (2, [id(other)])
        assert divergence.first_operations == [id(one)]
        assert (both.reasons[0].times, both.uses["legacy"].times) == (2, 2)
        assert both.characters == {"shadow": 2}
        # A character that went on to another world is equal there.
        clocks[1].pass_h(1)
        look(other)
        other.made_up(9, NEW)
        # The order in which they are named changes nothing.
        assert replace(findings_of(other, one), paths=both.paths) == findings_of(one, other)
        assert findings_of(one, other).behind_count == 0


# Known differences


def test_known_differences_are_counted_apart(tmp_path, clock):
    known = [KnownDifference("repairs", field="durability")]
    with evidence_at(tmp_path / "e", clock, config=MigrationConfig(known=known)) as evidence:
        assert look(evidence, found=CHANGED)
        both = batch_of(SWORD._replace(durability=39))
        assert not look(evidence, found=both, character_guid=8)
        found = findings_of(evidence)
    shadow = found.figures(SHADOW)
    assert (shadow.equal, shadow.known, shadow.diverged) == (0, 1, 1)
    assert shadow.by_class[DivergenceClass.MISSING] == 1
    assert [(one.kind, one.known, one.is_open) for one in found.divergences] == [
        ("missing", "", True),
        ("field", "repairs", False),
        ("field", "repairs", False),
    ]


def test_what_is_declared_later_counts_when_it_is_read(evidence):
    look(evidence, found=CHANGED)
    known = [KnownDifference("repairs", field="durability", entry=25)]
    (one,) = findings_of(evidence, known=known).divergences
    assert (one.known, one.is_open) == ("repairs", False)
    known = [KnownDifference("repairs", field="durability", entry=26)]
    assert findings_of(evidence, known=known).divergences[0].is_open


def test_the_configuration_is_read_again_when_it_changes(tmp_path, caplog):
    file = tmp_path / "migration.toml"
    file.write_text("")
    caplog.set_level(logging.INFO, "mmoinv.migration")
    with evidence_at(tmp_path / "e", config=file) as evidence:
        assert not look(evidence, found=CHANGED)
        file.write_text("[[known]]\nfield = 'durability'\nreason = 'repairs'")
        evidence.flush()
        assert look(evidence, found=CHANGED)
        file.write_text("[[known]]\nfield = 'durability'")
        for _ in range(3):
            evidence.flush()
        assert look(evidence, found=CHANGED)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2
        assert "reason = " in said[1]
        file.unlink()
        evidence.flush()
        assert look(evidence, found=CHANGED)


def test_a_configuration_that_is_wrong_at_the_start_is_refused(tmp_path):
    file = tmp_path / "migration.toml"
    file.write_text("[nothing]")
    with pytest.raises(ConfigurationError, match="nothing"):
        Evidence(tmp_path / "e", file)
    assert threading.active_count() == 1


# The file


def test_it_is_written_by_itself(tmp_path):
    with Evidence(tmp_path / "e", flush_s=0.01) as evidence:
        look(evidence)
        end_s = time.monotonic() + 20
        while not read_findings([evidence.path]).hours and time.monotonic() < end_s:
            time.sleep(0.01)
        assert read_findings([evidence.path]).figures(SHADOW).compared == 1


def test_closing_writes_what_is_left_and_lets_go(tmp_path):
    evidence = evidence_at(tmp_path / "e")
    look(evidence)
    evidence.close()
    evidence.close()
    assert read_findings([evidence.path]).figures(SHADOW).compared == 1
    assert "mmoinv-evidence" not in [thread.name for thread in threading.enumerate()]
    # Nothing breaks that still tells it something.
    assert look(evidence)
    assert not evidence.flush()
    with evidence_at(tmp_path / "e") as again:
        look(again)
    assert read_findings([again.path]).figures(SHADOW).compared == 2


@pytest.mark.parametrize("place", ["no/such/folder/e", "."])
def test_a_file_that_cannot_be_had(tmp_path, place):
    with pytest.raises(ConfigurationError, match="the evidence cannot be written to"):
        Evidence(tmp_path / place)


def test_a_file_that_is_something_else(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one" * 99)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    for name in ("text", "other.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigurationError):
            Evidence(tmp_path / name)
        with pytest.raises(ConfigurationError):
            read_findings([tmp_path / name])
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(ConfigurationError, match="there is no evidence at"):
        read_findings([tmp_path / "nothing"])
    assert not (tmp_path / "nothing").exists()


def test_a_file_of_a_newer_format(tmp_path):
    evidence_at(tmp_path / "e").close()
    with sqlite3.connect(tmp_path / "e") as one:
        one.execute("PRAGMA user_version = 99")
    one.close()
    for take in (Evidence, lambda path: read_findings([path])):
        with pytest.raises(ConfigurationError, match="is of format 99"):
            take(tmp_path / "e")


def test_what_could_not_be_written_is_kept_and_written_later(evidence, clock, caplog):
    """As with a disk that is full: SQLite itself refuses to make the file longer."""
    pages = evidence._connection.execute("PRAGMA page_count").fetchone()[0]
    evidence._connection.execute(f"PRAGMA max_page_count = {pages}")
    for guid in range(2000):
        look(evidence, found=CHANGED, character_guid=guid, operation_id=guid)
    assert not evidence.flush()
    assert evidence.is_failing
    clock.pass_h(1)
    for guid in range(2000):
        look(evidence, found=CHANGED, character_guid=guid)
        evidence.missed(guid, NEW, "timeout", guid)
        evidence.used(guid, LEGACY)
    for _ in range(3):
        assert not evidence.flush()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    assert "the game goes on" in caplog.text
    evidence._connection.execute("PRAGMA max_page_count = 1000000")
    found = findings_of(evidence)
    assert not evidence.is_failing
    shadow = found.figures(SHADOW)
    assert (shadow.compared, shadow.commits, shadow.missed) == (4000, 2000, 2000)
    assert Counter(one.times for one in found.divergences) == {2: 2000}
    assert found.behind_count == 2000
    assert found.unrecorded() == 0
    assert found.failed_writes() == 4
    assert (found.reasons[0].times, found.uses["legacy"].times) == (2000, 2000)


def test_a_file_that_is_locked_stops_nothing(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("mmoinv.migration.evidence_file.BUSY_TIMEOUT_S", 0.05)
    with evidence_at(tmp_path / "e", clock) as evidence:
        other = sqlite3.connect(evidence.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        look(evidence, found=CHANGED)
        assert not evidence.flush()
        other.execute("ROLLBACK")
        other.close()
        assert len(findings_of(evidence).divergences) == 1


def test_memory_is_bounded_and_what_is_left_out_is_counted(evidence, monkeypatch):
    pages = evidence._connection.execute("PRAGMA page_count").fetchone()[0]
    evidence._connection.execute(f"PRAGMA max_page_count = {pages}")
    monkeypatch.setattr("mmoinv.migration.gathered.MAX_DIVERGENCES", 50)
    monkeypatch.setattr("mmoinv.migration.gathered.MAX_CHARACTERS", 80)
    for guid in range(60):
        look(evidence, found=CHANGED, character_guid=guid)
    assert not evidence.flush()
    for guid in range(100, 140):
        look(evidence, found=CHANGED, character_guid=guid)
    assert not evidence.flush()
    evidence._connection.execute("PRAGMA max_page_count = 1000000")
    found = findings_of(evidence)
    assert len(found.divergences) == 50
    assert sum(found.characters.values()) == 80
    assert found.figures(SHADOW).diverged == 100
    # Ten found no room at once, then 40 divergences and 20 characters on top of what was kept.
    assert found.unrecorded() == 10 + 40 + 20
    assert MAX_DIVERGENCES > 50


def test_a_file_does_not_grow_for_ever(evidence, monkeypatch):
    monkeypatch.setattr(module, "MAX_STORED", 30)
    for guid in range(20):
        look(evidence, found=CHANGED, character_guid=guid)
    for _ in range(3):  # the same ones again
        evidence.flush()
        for guid in range(10):
            look(evidence, found=CHANGED, character_guid=guid)
    for guid in range(100, 120):
        look(evidence, found=CHANGED, character_guid=guid)
    found = findings_of(evidence)
    assert len(found.divergences) == 20
    assert found.unrecorded() == 30
    assert found.figures(SHADOW).diverged == 70


def test_a_whole_inventory_that_is_gone_is_not_a_thousand_records(evidence):
    items = [InventoryItemData(25, slot) for slot in range(1000, 1000 + MAX_SLOTS + 36)]
    look(evidence, batch_of(*items), USUAL[:0])
    found = findings_of(evidence)
    assert len(found.divergences) == MAX_SLOTS
    assert (found.unrecorded(), found.figures(SHADOW).by_class["missing"]) == (36, 1)


def test_what_cannot_be_compared_is_not_equal(evidence, caplog):
    twice = batch_of(SWORD)[[0, 0]]
    assert not look(evidence, found=twice)
    assert findings_of(evidence).unrecorded() == 1
    assert "character 7 cannot be compared" in caplog.text


def test_time_never_goes_back(evidence, clock):
    look(evidence, found=CHANGED)
    clock.pass_h(-3)
    look(evidence)
    assert not findings_of(evidence).open_divergences()


def test_threads_may_all_tell_it_something(tmp_path):
    with Evidence(tmp_path / "e", flush_s=0.001) as evidence:

        def play(guid: int) -> None:
            for operation_id in range(200):
                look(evidence, found=CHANGED if operation_id % 2 else USUAL, character_guid=guid)
                evidence.committed(guid, SHADOW, LEGACY, operation_id)
                evidence.used(guid, NEW)

        threads = [threading.Thread(target=play, args=(guid,)) for guid in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = findings_of(evidence)
    shadow = found.figures(SHADOW)
    assert (shadow.commits, shadow.equal, shadow.diverged) == (1200, 600, 600)
    assert [one.times for one in found.divergences] == [100] * 6
    assert found.uses["new"].times == 1200


def test_two_processes_may_share_a_file(tmp_path):
    with evidence_at(tmp_path / "e") as one, evidence_at(tmp_path / "e") as other:
        look(one, found=CHANGED)
        look(other, found=CHANGED)
        assert one.flush()
        assert other.flush()
        assert read_findings([one.path]).divergences[0].times == 2


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from evidence_cases import *
evidence = Evidence({path!r}, flush_s=0.01)
for guid in range(10**9):
    look(evidence, found=batch_of(SWORD), character_guid=guid % 50, operation_id=guid)
    if guid == 500:
        print("on the way", flush=True)
"""


def test_a_kill_leaves_a_file_that_adds_up(tmp_path):
    """What was told in the last moments may be lost, but nothing is half there."""
    path = tmp_path / "e"
    code = KILLED.format(tests=os.path.dirname(__file__), path=str(path))
    for killed in range(1, 4):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as world:
            world.stdout.readline()
            time.sleep(0.2)
            world.send_signal(signal.SIGKILL)
        found = read_findings([path])
        shadow = found.figures(SHADOW)
        assert shadow.compared == shadow.diverged == shadow.by_class["missing"] > 0
        assert shadow.compared == sum(one.times for one in found.divergences)
        assert shadow.compared <= shadow.commits <= shadow.compared + killed
    with sqlite3.connect(path) as one:
        assert one.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    one.close()


def test_it_can_be_asked_with_sqlite_alone(evidence):
    look(evidence, found=CHANGED, operation_id=5)
    evidence.flush()
    with sqlite3.connect(evidence.path) as one:
        row = one.execute("SELECT character, fields, class, found FROM divergence").fetchone()
    one.close()
    assert row[:3] == (7, "durability", "field")
    assert json.loads(row[3])["durability"] == 39


# Any order of things


told = st.lists(
    st.tuples(
        st.sampled_from(["equal", "field", "missing", "missed", "made_up", "flush", "other"]),
        st.integers(1, 3),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(events=told)
def test_open_and_behind_follow_from_what_came_last(tmp_path_factory, events):
    """Written in whatever pieces, by two worlds: the same as a plain account of it."""
    folder = tmp_path_factory.mktemp("evidence")
    clock = Clock()
    is_open: dict[int, set[str]] = {}
    is_behind: set[int] = set()
    compared = 0
    with evidence_at(folder / "a", clock) as one, evidence_at(folder / "b", clock) as other:
        evidence = one
        for what, guid in events:
            clock.now_s += 1
            if what == "flush":
                evidence.flush()
            elif what == "other":
                evidence = other if evidence is one else one
            elif what == "missed":
                evidence.missed(guid, NEW, "timeout", None)
                is_behind.add(guid)
            elif what == "made_up":
                evidence.made_up(guid, NEW)
                is_behind.discard(guid)
                is_open[guid] = set()
            else:
                compared += 1
                sides = {"equal": USUAL, "field": CHANGED, "missing": batch_of(POTIONS)}
                look(evidence, found=sides[what], character_guid=guid)
                if what == "equal":
                    is_open[guid] = set()
                    is_behind.discard(guid)
                else:
                    is_open.setdefault(guid, set()).add(what)
        found = findings_of(one, other)
    assert found.figures(SHADOW).compared == compared
    assert {one.character_guid for one in found.behind} == is_behind
    assert {(one.character_guid, str(one.kind)) for one in found.open_divergences()} == {
        (guid, kind) for guid, kinds in is_open.items() for kind in kinds
    }


def test_what_is_harmless_is_never_unrecorded_and_takes_no_room(evidence, monkeypatch):
    """The C++ line's table keeps no guids: there every item differs, at every comparison."""
    many = batch_of(*(InventoryItemData(25, slot, item_guid=slot) for slot in range(1000, 1100)))
    nameless = many.copy()
    nameless["item_guid"] = 0
    monkeypatch.setattr("mmoinv.migration.gathered.MAX_DIVERGENCES", 60)
    monkeypatch.setattr(module, "MAX_STORED", 60)
    for guid in range(20):
        assert look(evidence, many, nameless, character_guid=guid, mode=PRIMARY)
        evidence.flush()
    assert not look(evidence, many, nameless[1:], mode=PRIMARY)
    found = findings_of(evidence)
    assert found.unrecorded() == 0
    assert [one.kind for one in found.divergences][:2] == ["missing", "not_kept"]
    assert 4 < len(found.divergences) <= 35
    assert not any(one.is_open for one in found.divergences[1:])
