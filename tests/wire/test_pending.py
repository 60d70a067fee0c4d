"""Pending operations: cases by name, and a state machine against a naive model."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from mmoinv.errors import LinkBusyError, OperationError
from mmoinv.wire import CommitStatus, OperationState, PendingOperations, ShortOperationIds

COMMITTED, CONFLICT, OVERLOADED = (
    CommitStatus.COMMITTED,
    CommitStatus.VERSION_CONFLICT,
    CommitStatus.OVERLOADED,
)


def ids(operations) -> list[int]:
    return [operation.operation_id for operation in operations]


def test_one_in_flight_per_character_in_order():
    pending = PendingOperations()
    for number, guids in ((1, [7]), (2, [7]), (3, [8]), (4, [7])):
        pending.add(number, guids, None)
    assert ids(pending.ready()) == [1, 3]
    assert pending.ready() == []
    pending.answered(1, COMMITTED)
    assert ids(pending.ready()) == [2]
    pending.answered(2, COMMITTED)
    assert ids(pending.ready()) == [4]


def test_an_operation_over_several_characters_waits_for_all_and_is_not_overtaken():
    pending = PendingOperations()
    pending.add(1, [7], None)
    pending.add(2, [7, 8], None)
    pending.add(3, [8], None)
    assert ids(pending.ready()) == [1]
    pending.answered(1, COMMITTED)
    assert ids(pending.ready()) == [2]
    pending.answered(2, COMMITTED)
    assert ids(pending.ready()) == [3]


def test_what_is_held_waits_until_it_is_let_go_and_in_its_place():
    pending = PendingOperations()
    one, _, three = (pending.add(number, [7, 8], None, is_held=True) for number in (1, 2, 3))
    assert (pending.ahead_of(one, 7), ids(pending.ahead_of(three, 8))) == ([], [1, 2])
    pending.let_go(2)
    pending.link_lost()
    assert pending.ready() == []
    pending.let_go(1)
    pending.let_go(1)
    assert ids(pending.ready()) == [1]
    # What was sent, or may be, is not given up; what is behind one that is goes with it.
    assert (pending.give_up(1), pending.give_up(2)) == ([], [])
    four = pending.add(4, [8, 9], None, is_held=True)
    assert ids(pending.give_up(3)) == [3, 4]
    assert four.operation_id not in ids(pending)
    pending.answered(1, COMMITTED)
    assert ids(pending.ready()) == [2]
    pending.answered(2, COMMITTED)
    pending.let_go(3)
    assert (len(pending), pending.ready()) == (0, [])


def test_refused_for_good_takes_along_what_waits_behind_it():
    pending = PendingOperations()
    for number, guids in ((1, [7]), (2, [7, 8]), (3, [8, 9]), (4, [9]), (5, [10])):
        pending.add(number, guids, None)
    assert ids(pending.ready()) == [1, 5]
    operation, behind = pending.answered(1, CONFLICT)
    assert operation.operation_id == 1
    assert ids(behind) == [2, 3, 4]
    assert ids(pending) == [5]
    assert not pending.has_pending(8)
    pending.add(6, [7, 8], None)
    assert ids(pending.ready()) == [6]


def test_refusal_spares_what_was_there_before():
    pending = PendingOperations()
    pending.add(1, [8], None)
    pending.add(2, [7], None)
    pending.add(3, [7, 8], None)
    pending.ready()
    assert ids(pending.answered(2, CONFLICT)[1]) == [3]
    pending.add(4, [8], None)
    assert pending.ready() == []
    pending.answered(1, COMMITTED)
    assert ids(pending.ready()) == [4]


def test_refusal_reaches_through_a_queue_that_is_met_twice():
    """3 and 5 wait behind 2 by way of 8; 4 is found first by way of 9, but is younger than 3."""
    pending = PendingOperations()
    for number, guids in ((1, [7]), (2, [7, 8]), (3, [8, 9]), (4, [9, 7]), (5, [8, 7])):
        pending.add(number, guids, None)
    pending.ready()
    assert ids(pending.answered(1, CONFLICT)[1]) == [2, 3, 4, 5]
    assert len(pending) == 0
    assert not any(pending.has_pending(guid) for guid in (7, 8, 9))


def test_refusal_of_thousands_looks_at_each_once():
    class CountedQueue(deque):
        looked_at = 0

        def counted(self, operations):
            for operation in operations:
                CountedQueue.looked_at += 1
                yield operation

        def __iter__(self):
            return self.counted(super().__iter__())

        def __reversed__(self):
            return self.counted(super().__reversed__())

    pending = PendingOperations()
    pending.add(0, [7, 8], None)
    for number in range(1, 5000):
        pending.add(number, [7, 8], None)
    pending._queues = {guid: CountedQueue(queue) for guid, queue in pending._queues.items()}
    pending.ready()
    assert ids(pending.answered(0, CONFLICT)[1]) == list(range(1, 5000))
    assert 0 < CountedQueue.looked_at <= 2 * 5000
    assert len(pending) == 0


def test_a_retryable_answer_keeps_id_and_place():
    pending = PendingOperations()
    pending.add(1, [7], "token")
    pending.add(2, [7], None)
    pending.ready()
    operation, behind = pending.answered(1, OVERLOADED)
    assert (operation.state, operation.repeated, behind) == (OperationState.POSTPONED, True, [])
    assert pending.ready() == []
    pending.retry(1)
    (again,) = pending.ready()
    assert (again.operation_id, again.token, again.attempts) == (1, "token", 2)


def test_a_lost_link_repeats_what_was_in_flight_in_order():
    pending = PendingOperations()
    for number, guids in ((3, [7]), (1, [8]), (2, [7])):
        pending.add(number, guids, None)
    pending.ready()
    pending.answered(1, OVERLOADED)
    pending.link_lost()
    again = pending.ready()
    assert ids(again) == [3, 1]
    assert all(operation.repeated for operation in again)
    assert [operation.repeated for operation in pending] == [True, True, False]


def test_what_waits_behind_a_cancelled_trade_goes_on():
    pending = PendingOperations()
    for number, guids in ((1, [7]), (2, [7, 8]), (3, [8])):
        pending.add(number, guids, None)
    assert ids(pending.ready()) == [1]
    assert ids(pending.of_character(7)) == [1, 2]
    assert pending.of_character(9) == []
    assert [pending.is_last(pending.get(number)) for number in (1, 2, 3)] == [False, False, True]
    operation, behind = pending.answered(1, CommitStatus.CANCELLED)
    assert (operation.operation_id, behind) == (1, [])
    assert ids(pending.ready()) == [2]


def test_the_bound_takes_nothing():
    pending = PendingOperations(limit=2)
    pending.add(1, [7], None)
    pending.add(2, [7], None)
    with pytest.raises(LinkBusyError, match="nothing was taken"):
        pending.add(3, [8], None)
    assert len(pending) == 2
    assert not pending.has_pending(8)


def test_answers_that_nobody_waits_for():
    pending = PendingOperations()
    pending.add(1, [7], None)
    assert pending.answered(1, COMMITTED) == (None, [])  # not sent yet
    assert pending.answered(9, COMMITTED) == (None, [])
    pending.ready()
    assert pending.answered(1, COMMITTED)[0] is not None
    assert pending.answered(1, COMMITTED) == (None, [])


def test_what_cannot_be_added():
    pending = PendingOperations()
    pending.add(1, [7], None)
    for operation_id, guids in ((1, [8]), (2, []), (3, [8, 8])):
        with pytest.raises(OperationError):
            pending.add(operation_id, guids, None)
    assert len(pending) == 1


def test_giving_up_gives_everything_back():
    pending = PendingOperations()
    pending.add(1, [7], None)
    pending.add(2, [7], None)
    assert ids(pending.drop_all()) == [1, 2]
    assert len(pending) == 0
    assert pending.ready() == []


def test_short_operation_ids():
    source = ShortOperationIds(0x12345)
    first = [source.take() for _ in range(0x10000)]
    assert len(set(first)) == 0x10000
    assert {number >> 16 for number in first} == {0x2345}
    with pytest.raises(LinkBusyError):
        source.take()
    source.release(first[100])
    assert source.take() == first[100]


class PendingModel(RuleBasedStateMachine):
    """Against a list of all that is pending, searched from the start each time."""

    operations = Bundle("operations")

    def __init__(self) -> None:
        super().__init__()
        self.pending = PendingOperations[None](limit=12)
        self.model: list[tuple[int, frozenset[int]]] = []
        self.in_flight: set[int] = set()
        self.postponed: set[int] = set()
        self.counter = 0

    def may_go(self) -> list[int]:
        result, blocked = [], set()
        for number, guids in self.model:
            if not guids & blocked and number not in self.in_flight | self.postponed:
                result.append(number)
            blocked |= guids
        return result

    @rule(target=operations, guids=st.sets(st.integers(1, 4), min_size=1, max_size=3))
    def add(self, guids):
        self.counter += 1
        if len(self.model) >= 12:
            with pytest.raises(LinkBusyError):
                self.pending.add(self.counter, guids, None)
        else:
            self.pending.add(self.counter, guids, None)
            self.model.append((self.counter, frozenset(guids)))
        return self.counter

    @rule()
    def send(self):
        assert ids(self.pending.ready()) == self.may_go()
        self.in_flight |= set(self.may_go())

    @rule(number=operations, status=st.sampled_from([COMMITTED, CONFLICT, OVERLOADED]))
    def answer(self, number, status):
        operation, behind = self.pending.answered(number, status)
        if number not in self.in_flight:
            assert operation is None
            return
        assert operation is not None
        self.in_flight.discard(number)
        if status is OVERLOADED:
            self.postponed.add(number)
            return
        gone = [number]
        if status is CONFLICT:
            place = [n for n, _ in self.model].index(number)
            touched = set(self.model[place][1])
            for later, guids in self.model[place + 1 :]:
                if guids & touched:
                    gone.append(later)
                    touched |= guids
        assert ids(behind) == gone[1:]
        self.model = [entry for entry in self.model if entry[0] not in gone]

    @rule(number=operations)
    def retry(self, number):
        self.pending.retry(number)
        self.postponed.discard(number)

    @rule()
    def lose_link(self):
        self.pending.link_lost()
        self.in_flight.clear()
        self.postponed.clear()

    @invariant()
    def same_operations(self):
        assert ids(self.pending) == [number for number, _ in self.model]
        for guid in range(1, 5):
            assert self.pending.has_pending(guid) == any(guid in g for _, g in self.model)


TestPendingModel = PendingModel.TestCase
TestPendingModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
