"""MariaDB's and MySQL's errors as mmoinv's: what can be tried again, what cannot, what to do."""

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.stores.store import DuplicateRowError

_AT_THE_DOOR = frozenset({1040, 1044, 1045, 1049})
"""Before there could be a transaction."""
_DUPLICATE = frozenset({1062, 1586})
_REFUSED_DATA = frozenset(
    {
        1048,  # A column cannot be null: also what our own guard in an update says.
        1054,  # Unknown column.
        1064,  # Syntax.
        1146,  # No such table.
        1153,  # The statement is larger than max_allowed_packet.
        1264,  # Out of range.
        1265,  # Truncated.
        1364,  # No default.
        1366,  # Wrong value.
        1406,  # Too long.
        1452,  # A foreign key.
        1644,  # SIGNAL of a trigger.
        1690,  # Out of range in an expression.
        3819,  # A check (MySQL).
        4025,  # A check (MariaDB).
    }
)
_REMEDIES = {
    1021: "The server's disk is full: make room.",
    1040: "The server has no connection left: raise max_connections, or end some.",
    1044: "Give the realm's user the rights on the database.",
    1045: "Check user and password in the URL.",
    1047: "This node is not part of the cluster for now.",
    1049: "Create the database first: CREATE DATABASE name.",
    1114: "The server's disk is full: make room.",
    1142: "Give the realm's user the rights on the database's tables.",
    1153: "Raise the server's max_allowed_packet, or lower max_group_items.",
    1205: "Another process holds a lock: end it, or wait.",
    1213: "Another transaction was in the way.",
    1290: "This host takes no writes: the writer moved elsewhere, name all hosts in the URL.",
    1792: "This host takes no writes: the writer moved elsewhere, name all hosts in the URL.",
    1836: "This host takes no writes: the writer moved elsewhere, name all hosts in the URL.",
    1969: "It took longer than the statement timeout.",
    3024: "It took longer than the statement timeout.",
}


def store_error(error: BaseException, url: str) -> StoreError:
    """The `StoreError` that says the same, with the remedy where one is known."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    # Below are the errors of operating system and protocol; from 2000 the client's own.
    if not 1000 <= code < 2000 and not 3000 <= code < 10000:
        return StoreUnavailableError(
            f"database {url}: the connection failed ({text}). Check that the server runs and is "
            "reachable."
        )
    remedy = _REMEDIES.get(code, "")
    undone = "" if code in _AT_THE_DOOR else "; the transaction was rolled back"
    message = f"database {url}: {text} ({code}){undone}. {remedy}".rstrip()
    if code in _DUPLICATE:
        return DuplicateRowError(message)
    if code in _REFUSED_DATA:
        return StoreDataError(message)
    return StoreUnavailableError(message)
