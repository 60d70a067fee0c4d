"""When to come back, in the message of an overloaded answer."""

import pytest

from mmoinv.wire import retry_hint_s, with_retry_hint


def test_a_hint_is_read_as_it_was_written():
    message = with_retry_hint(250, "the realm is overloaded")
    assert message == "retry in 250 ms; the realm is overloaded"
    assert retry_hint_s(message) == 0.25


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("", 0.0),
        ("the realm is overloaded", 0.0),
        ("please retry in 250 ms;", 0.0),
        ("retry in -5 ms;", 0.0),
        ("retry in 1e9 ms;", 0.0),
        ("retry in 0 ms;", 0.0),
        ("retry in 999999999 ms;", 10.0),
        ("retry in 9999999999999 ms;", 0.0),
    ],
)
def test_what_a_realm_writes_makes_nobody_wait_for_long(message: str, seconds: float):
    assert retry_hint_s(message) == seconds
