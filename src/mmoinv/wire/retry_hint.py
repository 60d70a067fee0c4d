"""When to come back: how the message of an overloaded answer begins, on both ends."""

import re

LONGEST_S = 10.0
"""More than this nobody is made to wait, whatever stands there."""
_HINT = re.compile(r"retry in (\d{1,9}) ms;")


def with_retry_hint(milliseconds: int, message: str) -> str:
    """The message with the hint before it."""
    return f"retry in {milliseconds} ms; {message}"


def retry_hint_s(message: str) -> float:
    """The hint of a message in seconds; 0 if it has none."""
    found = _HINT.match(message)
    return min(int(found[1]) / 1000, LONGEST_S) if found else 0.0
