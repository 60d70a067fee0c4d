"""PostgreSQL's errors as mmoinv's: what can be tried again, what cannot, and what to do."""

import asyncpg

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.stores.store import DuplicateRowError

_REFUSED_DATA = ("22", "23", "42", "54", "P0")
"""Classes of errors that come again with the same data."""
_AT_THE_DOOR = ("28", "3D")
"""Before there could be a transaction."""
_NO_RIGHT = "42501"
_REMEDIES = {
    "25006": "This host takes no writes: the writer moved elsewhere, name all hosts in the URL.",
    "28": "Check user and password in the URL, and the server's pg_hba.conf.",
    "3D000": "Create the database first: createdb NAME.",
    "42501": "Give the realm's user the rights on the database's tables.",
    "53100": "The server's disk is full: make room.",
    "53300": "The server has no connection left: raise max_connections, or end some.",
    "55P03": "Another process holds a lock: end it, or wait.",
    "57014": "It took longer than the statement timeout.",
    "58": "The server's disk failed to read or write: look at its log.",
    "XX": "Look at the server's log: its data may be damaged.",
}


def store_error(error: BaseException, url: str) -> StoreError:
    """The `StoreError` that says the same, with the remedy where one is known."""
    text = str(error) or type(error).__name__
    # Class 08: the connection. Whether a commit on its way was done nobody knows yet.
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] != "08":
        code = error.sqlstate or ""
        remedy = _REMEDIES.get(code, _REMEDIES.get(code[:2], ""))
        detail = f" ({error.detail})" if error.detail else ""
        undone = "" if code[:2] in _AT_THE_DOOR else "; the transaction was rolled back"
        message = f"database {url}: {text}{detail}{undone}. {remedy}"
        if code == "23505":
            return DuplicateRowError(message.rstrip())
        if code[:2] in _REFUSED_DATA and code != _NO_RIGHT:
            return StoreDataError(message.rstrip())
        return StoreUnavailableError(message.rstrip())
    if isinstance(error, asyncpg.DataError):
        return StoreDataError(f"database {url}: {text}; nothing was sent.")
    return StoreUnavailableError(
        f"database {url}: the connection failed ({text}). Check that the server runs and is "
        "reachable."
    )
