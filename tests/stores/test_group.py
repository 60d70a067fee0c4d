"""The parts of the group logic that no database is needed for."""

import pytest

from mmoinv.commits import empty_commits, join_commits
from mmoinv.conformance.operations import changes, commit, entry
from mmoinv.records import WIDE
from mmoinv.stores import Verdict
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.group import Stage, cut_points
from mmoinv.stores.stored_rows import row_fault, row_text
from mmoinv.wire.opcodes import CommitStatus


@pytest.mark.parametrize(
    ("characters", "points"),
    [
        ([[1], [2], [3]], [0, 3]),
        ([[1], [2], [1]], [0, 2, 3]),
        ([[1], [1], [1]], [0, 1, 2, 3]),
        ([[1, 2], [3], [2], [1]], [0, 2, 4]),
        ([[1], [2], [1], [2]], [0, 2, 4]),
    ],
)
def test_a_stage_is_cut_where_a_character_repeats(
    characters: list[list[int]], points: list[int]
) -> None:
    commits = join_commits(
        [commit(n, *(changes(guid) for guid in guids)) for n, guids in enumerate(characters)]
    )
    assert cut_points(commits) == points


def test_a_stage_is_cut_where_an_operation_id_repeats() -> None:
    commits = join_commits([commit(id_, changes(n)) for n, id_ in enumerate([5, 6, 5, 7])])
    assert cut_points(commits) == [0, 2, 4]


def test_nothing_is_cut_from_nothing() -> None:
    assert cut_points(empty_commits()) == [0]


def test_outcomes_are_told_apart_by_entry() -> None:
    stage = Stage(
        [entry(commit(1, changes(1), changes(2))), entry(commit(2, changes(3)))],
        CommittedInventories(),
    )
    stage.statuses[:] = [2, 0]
    stage.versions[:] = [1, 2, 3]
    stage.messages[0] = "why"
    first, second = stage.outcomes()
    assert (first.statuses.tolist(), first.versions.tolist()) == ([2], [1, 2])
    assert (second.statuses.tolist(), second.versions.tolist()) == ([0], [3])
    assert (first.messages, second.messages) == ({0: "why"}, {})


def test_the_verdicts_are_the_statuses_of_the_protocol() -> None:
    assert {v.name: v.value for v in Verdict} == {s.name: s.value for s in CommitStatus}


ROW = {field.name: 0 for field in WIDE.fields} | {
    "entry": 1,
    "slot": 23,
    "stack_count": 1,
    "item_guid": None,
}


def test_what_a_row_can_hold() -> None:
    assert row_fault(ROW) == ""
    assert row_fault(ROW | {"creator": 2**64 - 1}) == ""
    assert "creator -1 is outside" in row_fault(ROW | {"creator": -1})
    assert "stack_count 65536 is outside" in row_fault(ROW | {"stack_count": 65536})
    assert "entry -1" in row_fault(ROW | {"entry": -1})
    assert "entry is 0" in row_fault(ROW | {"entry": 0})
    assert "stack_count is 0" in row_fault(ROW | {"stack_count": 0})
    assert "buyback" in row_fault(ROW | {"slot": 255 << 8 | 80})
    assert "not a whole number" in row_fault(ROW | {"durability": "much"})


def test_a_row_as_text_has_whatever_was_in_it() -> None:
    assert row_text({"a": b"\x01\xff", "b": None, "c": -1}) == '{"a": "01ff", "b": null, "c": -1}'
