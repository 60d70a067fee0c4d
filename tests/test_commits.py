"""Operations as arrays: cut out, joined, and always with their ranges counted anew."""

import numpy as np
import pytest

from mmoinv.commits import (
    CURRENCY,
    FRAME,
    OPERATION,
    PARTICIPANT,
    CommitFlags,
    Commits,
    CurrencyDelta,
    ParticipantChanges,
    empty_commits,
    join_commits,
    message_bytes,
)
from mmoinv.records import InventoryItemData, batch_of, slots_of

# (operation id, [(guid, items, deletes, currencies)])
Content = list[tuple[int, list[tuple[int, list[int], list[int], list[int]]]]]
CONTENT: Content = [
    (10, [(1, [23, 24], [30], [])]),
    (11, [(2, [], [31, 32], [5, 6]), (3, [25], [], [7])]),
    (12, []),
    (13, [(4, [], [], [])]),
    (14, [(5, [26, 27, 28], [33], [8])]),
]


def commits_of(content: Content) -> Commits:
    """The arrays of a content, made the slow way."""
    operations, participants = [], []
    items, deletes, currencies = [], [], []
    for place, (operation_id, characters) in enumerate(content):
        operations.append((operation_id, len(participants), len(characters), 0, 0, 0, 0, 0))
        for guid, saved, gone, deltas in characters:
            ranges = (len(items), len(saved), len(deletes), len(gone), len(currencies), len(deltas))
            participants.append((guid, 100 + guid, 200 + guid, place, *ranges))
            items += saved
            deletes += gone
            currencies += [(currency, -currency) for currency in deltas]
    return Commits(
        np.array(operations, OPERATION),
        np.array(participants, PARTICIPANT),
        batch_of(*(InventoryItemData(entry=1, slot=slot) for slot in items)),
        slots_of(*deletes),
        np.array(currencies, CURRENCY),
    )


def same(one: Commits, other: Commits) -> bool:
    return all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )


def test_sizes_on_the_wire_and_in_memory():
    assert CURRENCY.itemsize == 10
    assert FRAME.itemsize == 9
    assert OPERATION.itemsize == 22
    assert PARTICIPANT.itemsize == 48


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("stop", range(6))
def test_between_is_those_operations_alone(start, stop):
    whole = commits_of(CONTENT)
    kept = [array.tobytes() for array in whole]
    part = whole.between(start, stop)
    assert same(part, commits_of(CONTENT[start:stop]))
    assert [array.tobytes() for array in whole] == kept


@pytest.mark.parametrize("cuts", [(), (2,), (0, 1, 2, 3, 4), (3, 3), (1, 4)])
def test_joining_is_the_inverse(cuts):
    whole = commits_of(CONTENT)
    borders = [0, *cuts, len(CONTENT)]
    chunks = [whole.between(borders[n], borders[n + 1]) for n in range(len(borders) - 1)]
    kept = [array.tobytes() for chunk in chunks for array in chunk]
    assert same(join_commits(chunks), whole)
    assert [array.tobytes() for chunk in chunks for array in chunk] == kept


def test_joining_nothing():
    assert same(join_commits([]), empty_commits())
    assert same(join_commits([empty_commits(), empty_commits()]), empty_commits())
    assert [len(array) for array in empty_commits()] == [0] * 5


def test_joining_one_is_that_one():
    whole = commits_of(CONTENT)
    assert join_commits([whole]) is whole


def test_changes_without_currencies():
    changes = ParticipantChanges(7, 3, 11, batch_of(), slots_of())
    assert changes.currencies == ()
    assert CurrencyDelta(1, -5) == (1, -5)
    assert sum(CommitFlags) == 7


def test_a_message_is_cut_at_a_characters_border():
    assert message_bytes("") == b""
    assert message_bytes("Überfall") == "Überfall".encode()
    assert len(message_bytes("x" * 70000)) == 65535
    assert message_bytes("ü" * 40000) == "ü".encode() * 32767
    assert message_bytes("a\ud800b") == b"a?b"
