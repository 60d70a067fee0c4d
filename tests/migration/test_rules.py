"""Which mode a character is to be in: rules in order, shares, and a file that changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import ConfigurationError
from mmoinv.migration.modes import MigrationMode, Side, followed_mode
from mmoinv.migration.rules import (
    LOOK_EVERY_S,
    ModeRule,
    ModeRules,
    Rules,
    read_rules,
    share_of,
    write_rules,
)

LEGACY, SHADOW, PRIMARY, NEW = MigrationMode
GUIDS = st.integers(0, 2**64 - 1)
MODES = st.sampled_from(MigrationMode)
RULE = st.one_of(
    st.builds(ModeRule, MODES, characters=st.frozensets(GUIDS, max_size=5)),
    st.builds(ModeRule, MODES, share=st.floats(0, 1)),
    st.builds(ModeRule, MODES, predicate=st.text(min_size=1, max_size=8)),
)


def test_modes():
    assert [mode.decider for mode in MigrationMode] == [
        Side.LEGACY,
        Side.LEGACY,
        Side.NEW,
        Side.NEW,
    ]
    assert NEW.sides == (Side.NEW,)
    assert SHADOW.sides == (Side.LEGACY, Side.NEW)
    assert PRIMARY.sides == (Side.NEW, Side.LEGACY)
    assert LEGACY.step_towards(NEW) is SHADOW
    assert NEW.step_towards(LEGACY) is PRIMARY
    assert SHADOW.step_towards(SHADOW) is SHADOW
    for side in Side:
        assert followed_mode(side).decider is side


def test_the_first_rule_that_fits_counts():
    rules = ModeRules(
        Rules(
            LEGACY,
            (
                ModeRule(PRIMARY, characters=frozenset({7, 2**64 - 1})),
                ModeRule(NEW, predicate="odd"),
                ModeRule(SHADOW, share=1.0),
            ),
        ),
        predicates={"odd": lambda guid: guid % 2 == 1},
    )
    assert [rules.mode_of(guid) for guid in (7, 2**64 - 1, 9, 8)] == [
        PRIMARY,
        PRIMARY,
        NEW,
        SHADOW,
    ]


@given(GUIDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_everyone_of_a_smaller_one(guid, one, other):
    small, large = sorted((one, other))
    assert 0 <= share_of(guid) < 1
    if share_of(guid) < small:
        assert share_of(guid) < large


def test_a_share_is_the_same_for_ever_and_even():
    assert [share_of(guid) for guid in (0, 1, 7, 2**63 + 8, 2**64 - 1)] == pytest.approx(
        [0.8833108, 0.5665616, 0.3898297, 0.2055852, 0.8939429], abs=1e-7
    )
    inside = sum(share_of(guid) < 0.1 for guid in range(10_000))
    assert 900 < inside < 1100
    # At the ends: nobody, everybody.
    assert ModeRules(Rules(LEGACY, (ModeRule(NEW, share=0.0),))).mode_of(5) is LEGACY
    assert ModeRules(Rules(LEGACY, (ModeRule(NEW, share=1.0),))).mode_of(5) is NEW


@given(st.builds(Rules, MODES, st.lists(RULE, max_size=4).map(tuple)))
def test_a_file_says_what_was_written(tmp_path_factory, rules):
    path = tmp_path_factory.mktemp("rules") / "modes.toml"
    write_rules(path, rules)
    assert read_rules(path) == rules
    assert [file.name for file in path.parent.iterdir()] == ["modes.toml"]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self) -> None:
        self.now_s += LOOK_EVERY_S


def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(tmp_path, caplog):
    path, clock = tmp_path / "modes.toml", Clock()
    write_rules(path, Rules(SHADOW))
    rules = ModeRules(path=path, now=clock)
    before = rules.generation
    write_rules(path, Rules(PRIMARY))
    assert rules.mode_of(1) is SHADOW  # Not looked at yet.
    clock.wait()
    assert rules.mode_of(1) is PRIMARY
    assert rules.generation == before + 1
    for text in ("default = ", 'default = "nothing"', '[[rule]]\nmode = "new"\npredicate = "no"'):
        path.write_text(text)
        clock.wait()
        assert rules.mode_of(1) is PRIMARY
        assert str(path) in rules.trouble or "predicate" in rules.trouble
    path.unlink()
    clock.wait()
    assert rules.mode_of(1) is PRIMARY
    assert rules.trouble
    assert "stay as they were" in caplog.text
    write_rules(path, Rules(NEW))
    clock.wait()
    assert (rules.mode_of(1), rules.trouble) == (NEW, "")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("default = 5", "5 is no mode"),
        ("rule = 3", "list of tables"),
        ("rule = [3]", "rule 1 is no table"),
        ("[[rule]]\nshare = 0.1", "rule 1 has no mode"),
        ('[[rule]]\nmode = "new"', "exactly one"),
        ('[[rule]]\nmode = "new"\nshare = 1.5', "share 1.5"),
        ('[[rule]]\nmode = "new"\nshare = true', "share is a number"),
        ('[[rule]]\nmode = "new"\nshare = 0.1\npredicate = "x"', "exactly one"),
        ('[[rule]]\nmode = "new"\ncharacters = [-1]', "character -1"),
        ('[[rule]]\nmode = "new"\ncharacters = ["a"]', "list of guids"),
        ('[[rule]]\nmode = "new"\npredicate = ""', "a name"),
        ('[[rules]]\nmode = "new"', "'rules', which means nothing"),
        ('[[rule]]\nmode = "new"\nshares = 1', "rule 1 has 'shares'"),
        ("=", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, text, what):
    path = tmp_path / "modes.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=what) as error:
        ModeRules(path=path)
    assert str(path) in str(error.value)


def test_no_file_to_begin_with(tmp_path):
    with pytest.raises(ConfigurationError, match="mmoinv migrate mode"):
        ModeRules(path=tmp_path / "modes.toml")
    with pytest.raises(ConfigurationError, match="not both"):
        ModeRules(Rules(), path=tmp_path / "modes.toml")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_rules(tmp_path / "nowhere" / "modes.toml", Rules())


def test_a_predicate_that_fails_means_nobody(caplog):
    def broken(guid: int) -> bool:
        raise ZeroDivisionError

    rules = ModeRules(
        Rules(SHADOW, (ModeRule(NEW, predicate="broken"),)), predicates={"broken": broken}
    )
    assert [rules.mode_of(guid) for guid in (1, 2)] == [SHADOW, SHADOW]
    assert caplog.text.count("predicate 'broken' failed") == 1


def test_with_rule():
    rules = Rules().with_rule(ModeRule(SHADOW, share=0.1))
    rules = rules.with_rule(ModeRule(PRIMARY, characters=frozenset({1, 2})))
    rules = rules.with_rule(ModeRule(SHADOW, share=0.2))
    rules = rules.with_rule(ModeRule(NEW, characters=frozenset({2})))
    rules = rules.with_rule(ModeRule(NEW, predicate="x")).with_rule(ModeRule(LEGACY, predicate="x"))
    assert rules.rules == (
        ModeRule(LEGACY, predicate="x"),
        ModeRule(NEW, characters=frozenset({2})),
        ModeRule(SHADOW, share=0.2),
        ModeRule(PRIMARY, characters=frozenset({1})),
    )


def test_set_in_code():
    rules = ModeRules()
    assert rules.mode_of(1) is LEGACY
    rules.set(Rules(PRIMARY))
    assert (rules.mode_of(1), rules.generation) == (PRIMARY, 1)
    with pytest.raises(ConfigurationError, match="no predicate 'p'"):
        rules.set(Rules(NEW, (ModeRule(NEW, predicate="p"),)))
    assert rules.rules == Rules(PRIMARY)
