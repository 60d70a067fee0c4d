"""SQLite's errors as mmoinv's: what can be tried again, what cannot, and what to do."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from mmoinv.errors import StoreDataError, StoreError, StoreUnavailableError
from mmoinv.stores.store import DuplicateRowError

_REFUSED_DATA = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    }
)
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "Another process holds its write lock: end it, or wait.",
    sqlite3.SQLITE_READONLY: "Give this process the right to write the file and its folder.",
    sqlite3.SQLITE_FULL: "The disk is full: make room.",
    sqlite3.SQLITE_IOERR: "The disk failed to read or write: look at the system's log.",
    sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and that this process may use it.",
    sqlite3.SQLITE_CORRUPT: "The file is damaged: restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The file is not an SQLite database: check the path.",
}
_DUPLICATE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def store_error(error: Exception, path: str) -> StoreError:
    """The `StoreError` that says the same, with the remedy where one is known; for an error of
    sqlite3, or of SQLAlchemy around one."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig if isinstance(error.orig, Exception) else error
    # Errors of the Python module itself carry no code.
    extended_code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    code = extended_code & 0xFF
    remedy = _REMEDIES.get(code, "")
    message = f"database {path}: {error}; the transaction was rolled back. {remedy}".rstrip()
    if extended_code in _DUPLICATE:
        return DuplicateRowError(message)
    if code in _REFUSED_DATA:
        return StoreDataError(message)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(message)
    return StoreUnavailableError(message)
