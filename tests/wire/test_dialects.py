"""The dialects and the numbers of the protocol."""

import pytest

from mmoinv.errors import ConfigurationError
from mmoinv.records import WIRE_LAYOUTS
from mmoinv.stores import Verdict
from mmoinv.wire import (
    DIALECTS,
    CommitStatus,
    JoinFailure,
    LogonStatus,
    dialect_by_number,
)


def test_the_dialects():
    rows = [(d.number, d.protocol, d.layout, d.result_opcode, d.replace) for d in DIALECTS]
    assert rows == [
        (0, 4, None, 0x80, False),
        (1, 3, "packed", 0x0A, False),
        (2, 3, "native32", 0x0B, True),
        (3, 3, "native40", 0x0B, True),
    ]
    assert [d.carries_flags for d in DIALECTS] == [True, False, False, True]
    assert {d.layout for d in DIALECTS[1:]} == set(WIRE_LAYOUTS)


@pytest.mark.parametrize("number", [-1, 4, 255])
def test_a_dialect_that_is_not_there(number):
    with pytest.raises(ConfigurationError, match="dialect"):
        dialect_by_number(number)


def test_every_number_has_a_sentence():
    for kind in (CommitStatus, LogonStatus, JoinFailure):
        for number in kind:
            assert number.sentence


def test_which_answers_are_a_success_and_which_may_be_tried_again():
    assert [status for status in CommitStatus if status.is_success] == [0, 1]
    assert [status for status in CommitStatus if status.is_retryable] == [6, 7]


def test_stores_and_wire_mean_the_same_by_a_number():
    assert {verdict.name: verdict.value for verdict in Verdict} == {
        status.name: status.value for status in CommitStatus
    }
