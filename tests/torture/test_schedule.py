"""A schedule: decided by its seed, even, never kills what is still recovering, to JSON and back."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import ConfigurationError
from mmoinv.torture.schedule import (
    DATABASE_KINDS,
    KILLS,
    RECOVERY_S,
    Fault,
    FaultKind,
    available_kinds,
    schedule,
    schedule_from_json,
    schedule_to_json,
)

SEEDS = st.integers(0, 2**32)
DATABASES = st.sets(st.sampled_from(DATABASE_KINDS)).map(sorted)
WORLDS = st.integers(1, 4)


def test_a_seed_decides_everything():
    assert schedule(7, 60, ["sqlite"]) == schedule(7, 60, ["sqlite"])
    assert schedule(7, 60, ["sqlite"]) != schedule(8, 60, ["sqlite"])
    both = ["mariadb", "postgresql"]
    assert schedule(7, 60, both) == schedule(7, 60, both[::-1])


@given(SEEDS, DATABASES, WORLDS, st.integers(0, 100))
def test_kinds_come_evenly(seed, databases, worlds, faults):
    kinds = available_kinds(databases, worlds)
    planned = schedule(seed, faults, databases, worlds=worlds)
    counted = Counter(fault.kind for fault in planned)
    assert len(planned) == faults
    assert set(counted) <= set(kinds)
    assert max(counted.values(), default=0) - min(counted[kind] for kind in kinds) <= 1


@given(SEEDS, DATABASES, WORLDS, st.floats(0.01, 5))
def test_nothing_is_killed_while_it_recovers(seed, databases, worlds, spacing_s):
    ready_s: dict[str, float] = {}
    over_s: dict[tuple[FaultKind, str], float] = {}
    last_s = 0.0
    for fault in schedule(seed, 80, databases, worlds=worlds, spacing_s=spacing_s):
        assert fault.at_s >= last_s
        last_s = fault.at_s
        assert fault.at_s >= over_s.get((fault.kind, fault.target), 0) - 0.001
        over_s[fault.kind, fault.target] = fault.at_s + fault.duration_s
        if fault.kind in KILLS:
            assert fault.at_s >= ready_s.get(fault.target, 0) - 0.001
            rest_s = RECOVERY_S.get(fault.target, RECOVERY_S["world"])
            ready_s[fault.target] = fault.at_s + fault.duration_s + rest_s


def test_targets_are_there():
    names = {"realm", "world-1", "world-2", "world-3", "postgresql", "sqlite"}
    planned = schedule(3, 200, ["sqlite", "postgresql"], worlds=3)
    assert {fault.target for fault in planned} == names
    for fault in planned:
        if fault.kind is FaultKind.FIGHT:
            assert fault.parameters["rival"] in names - {fault.target, "realm"}
        if fault.kind in (FaultKind.DEADLOCK, FaultKind.KILL_DATABASE):
            assert fault.target == "postgresql"


def test_what_a_run_does_not_have_is_not_attacked():
    assert FaultKind.KILL_DATABASE not in available_kinds(["sqlite"])
    assert FaultKind.LOCK_TIMEOUT in available_kinds(["sqlite"])
    assert FaultKind.FULL_DISK not in available_kinds([])
    assert FaultKind.FIGHT not in available_kinds(["mariadb"], worlds=1)
    assert set(available_kinds(["mariadb"])) == set(FaultKind)


@given(SEEDS, DATABASES, st.integers(0, 40))
def test_json_and_back(seed, databases, faults):
    planned = schedule(seed, faults, databases)
    assert schedule_from_json(schedule_to_json(planned)) == planned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "faults": []}',
        '{"format": 1, "faults": [{"kind": "cut"}]}',
        schedule_to_json([Fault(FaultKind.CUT, 1.0, 0.0, "world-1")]).replace("cut", "cat"),
        schedule_to_json([Fault(FaultKind.CUT, -1.0, 0.0, "world-1")]),
    ],
)
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(ConfigurationError, match="nothing was scheduled"):
        schedule_from_json(text)


def test_what_cannot_be_scheduled_is_refused():
    with pytest.raises(ConfigurationError, match="oracle"):
        schedule(1, 5, ["oracle"])
    for arguments in ({"faults": -1}, {"worlds": 0}, {"spacing_s": 0}):
        with pytest.raises(ConfigurationError, match="nothing was scheduled"):
            schedule(1, **{"faults": 5, "database_kinds": ["sqlite"], **arguments})
