"""The end of a move: whatever still needs the old path stands in its way, nothing is deleted."""

import pytest
from evidence_cases import (
    LEGACY,
    NEW,
    SHADOW,
    SWORD,
    USUAL,
    Clock,
    evidence_at,
    findings_of,
    look,
)

from mmoinv.migration.book import BookEntry, FileBook
from mmoinv.migration.comparison import KnownDifference
from mmoinv.migration.finish import deletable_lines, finish
from mmoinv.migration.finish import look as look_at
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.rules import ModeRule, Rules, read_rules, write_rules
from mmoinv.migration.thresholds import FinishThresholds
from mmoinv.records import batch_of

DAY = FinishThresholds(quiet_h=24)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def evidence(tmp_path, clock):
    """The old path was used once, then only the new one, for 30 hours."""
    with evidence_at(tmp_path / "e", clock) as evidence:
        look(evidence)
        evidence.used(7, LEGACY)
        for _ in range(30):
            clock.pass_h(1)
            evidence.used(7, NEW)
        yield evidence


@pytest.fixture
def book(tmp_path):
    book = FileBook(tmp_path / "book")
    book.put({7: BookEntry(MigrationMode.NEW, False), 8: BookEntry(MigrationMode.PRIMARY, False)})
    yield book
    book.close()


def obstacles(evidence, clock, book, known=(), **more):
    return look_at(findings_of(evidence, known=known), DAY, clock(), book, **more).obstacles


def test_nothing_stands_against_it(evidence, clock, book):
    assert obstacles(evidence, clock, book) == []


def test_the_old_path_was_used(evidence, clock, book):
    evidence.used(12345, LEGACY)
    (one,) = obstacles(evidence, clock, book)
    assert "the old path was used 2026-05-30 02:00:00 UTC, for character 12345" in one
    clock.pass_h(24.01)
    evidence.used(7, NEW)
    assert obstacles(evidence, clock, book) == []


def test_that_nobody_plays_shows_nothing(evidence, clock, book):
    clock.pass_h(25)
    (one,) = obstacles(evidence, clock, book)
    assert "the new path was used last 2026-05-30 02:00:00 UTC" in one


def test_evidence_that_is_too_short(tmp_path, clock, book):
    with evidence_at(tmp_path / "young", clock) as young:
        found = obstacles(young, clock, book)
        assert "the new path was used never" in found[0]
        assert "does not reach back 24 h" in found[1]
        young.used(7, NEW)
        (one,) = obstacles(young, clock, book)
        assert "it begins 2026-05-28 20:00:00" in one


def test_who_is_behind(evidence, clock, book):
    evidence.committed(9, SHADOW, LEGACY, 1)
    evidence.missed(9, NEW, "timeout", 1)
    (one,) = obstacles(evidence, clock, book)
    assert "1 character is behind, as 9" in one


def test_what_is_open(evidence, clock, book):
    for guid in range(20, 40):
        look(evidence, USUAL, batch_of(SWORD), character_guid=guid)
    (one,) = obstacles(evidence, clock, book)
    assert "20 divergences are open, of characters 39, 38, 37, " in one
    assert one.count(",") < 15
    assert "and 10 more" in one
    assert obstacles(evidence, clock, book, [KnownDifference("old bug", entry=118)]) == []


def test_who_is_not_moved(evidence, clock, book):
    book.put({2**64 - 1: BookEntry(MigrationMode.SHADOW), 11: BookEntry(MigrationMode.LEGACY)})
    (one,) = obstacles(evidence, clock, book)
    assert "the old side still decides for 2 characters: 11, 18446744073709551615" in one
    assert obstacles(evidence, clock, book, is_imported=True) == []


def test_without_the_book_nobody_knows(evidence, clock):
    (one,) = obstacles(evidence, clock, None)
    assert "--book FILE" in one
    assert obstacles(evidence, clock, None, is_imported=True) == []


def test_finishing_sets_the_rules_and_the_book(tmp_path, evidence, clock, book):
    book.put({11: BookEntry(MigrationMode.SHADOW)})
    rules = tmp_path / "modes.toml"
    write_rules(rules, Rules(rules=(ModeRule(MigrationMode.PRIMARY, share=0.5),)))
    found = look_at(findings_of(evidence), DAY, clock(), book, is_imported=True)
    finish(rules, book, found.not_moved)
    assert read_rules(rules) == Rules(default=MigrationMode.NEW)
    assert book.read(11) == BookEntry(MigrationMode.NEW, is_behind=False)
    assert book.read(8).mode is MigrationMode.PRIMARY


def test_what_may_be_deleted_is_said(tmp_path, evidence):
    said = "\n".join(
        deletable_lines(findings_of(evidence), tmp_path / "modes.toml", tmp_path / "book")
    )
    for one in ("MigratingRepository", "mmoinv migrate import", "the old tables", "modes.toml"):
        assert one in said
    assert str(evidence.path) in said
