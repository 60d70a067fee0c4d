"""The book: of each character what must survive a crash. Who decides, who holds it, who is behind.

The mode that stands here is the one that counts, whatever the rules say: the side that decides in
it has everything that was ever answered. So a mode with another decider is written here, synced,
*after* the other side was made equal and *before* the first operation that the other side decides.
Wherever the process is killed, the next join finds the side that decides.

A character that is not in the book is decided by the old way, and the new one knows nothing of it.

`FileBook` is one SQLite file; all worlds of one host may share it. Worlds on several hosts between
which characters move need one book for them all: write the few methods of `Book` over storage that
they share. Knows no repository.
"""

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mmoinv.errors import BookError
from mmoinv.migration.modes import MigrationMode, Side

BUSY_S = 5.0
"""How long it waits for another process that writes."""


class BookEntry(NamedTuple):
    """What the book says of a character.

    ``is_behind``: the side that does not decide is known to lack something, or was never written.
    ``holder``: which repository has it joined, or had when it died; 0 nobody.
    """

    mode: MigrationMode = MigrationMode.LEGACY
    is_behind: bool = True
    holder: int = 0

    @property
    def decider(self) -> Side:
        """The side that has everything."""
        return self.mode.decider


NOT_THERE = BookEntry()


class Book(Protocol):
    """What a `MigratingRepository` needs of a book. The methods may block and are called from
    several threads; each may raise `BookError`, and then nothing was written, or it is not
    known. ``holder`` is a number (u63, not 0) that the repository draws for itself."""

    def claim(self, character_guid: int, holder: int) -> BookEntry:
        """From now on ``holder`` has the character; the entry as it was before, in one step."""
        ...

    def read(self, character_guid: int) -> BookEntry:
        """The entry; `NOT_THERE` if there is none."""
        ...

    def change(self, character_guid: int, holder: int, mode: MigrationMode) -> None:
        """Another mode, durable when it returns if it changes who decides. `BookError` if the
        character is no longer the holder's: nothing was written."""
        ...

    def mark(self, character_guid: int, holder: int, is_behind: bool) -> None:
        """The other side is behind, or no longer. Nothing if it is not the holder's."""
        ...

    def release(self, character_guid: int, holder: int, is_behind: bool) -> None:
        """The holder has let it go. Nothing if it was not the holder's."""
        ...


class FileBook:
    """A book in one SQLite file, made if it is not there. Threads and processes may share it.

    What changes who decides is synced to the disk, the rest is written without waiting for it:
    after a power cut some characters may count as behind or as held that are not, which costs a
    comparison at their next join.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS moving_character (character_guid INTEGER PRIMARY KEY, "
                "mode TEXT NOT NULL, is_behind INTEGER NOT NULL, holder INTEGER NOT NULL)"
            )
        except sqlite3.Error as error:
            raise BookError(f"{path}: the book cannot be opened: {error}") from error

    def claim(self, character_guid: int, holder: int) -> BookEntry:
        with self._lock:
            self._write("PRAGMA synchronous = NORMAL")
            self._write("BEGIN IMMEDIATE")
            try:
                entry = self._entry(character_guid)
                self._put(character_guid, entry._replace(holder=holder))
                self._write("COMMIT")
            except BookError:
                self._roll_back()
                raise
        return entry

    def read(self, character_guid: int) -> BookEntry:
        with self._lock:
            return self._entry(character_guid)

    def change(self, character_guid: int, holder: int, mode: MigrationMode) -> None:
        with self._lock:
            self._write("PRAGMA synchronous = FULL")
            self._write("BEGIN IMMEDIATE")
            try:
                entry = self._entry(character_guid)
                if entry.holder != holder:
                    raise BookError(
                        f"{self.path}: character {character_guid} is held by another world now; "
                        f"its mode is {entry.mode.value!r} as it was"
                    )
                self._put(character_guid, entry._replace(mode=mode))
                self._write("COMMIT")
            except BookError:
                self._roll_back()
                raise

    def mark(self, character_guid: int, holder: int, is_behind: bool) -> None:
        self._update("is_behind = ?", (is_behind, _signed(character_guid), holder))

    def release(self, character_guid: int, holder: int, is_behind: bool) -> None:
        self._update("holder = 0, is_behind = ?", (is_behind, _signed(character_guid), holder))

    # For tools

    def put(self, entries: Mapping[int, BookEntry]) -> None:
        """Entries of characters by guid, all or none of them, synced: for a move in one go, or
        for characters that never were on the other side. Not while a world has them joined."""
        with self._lock:
            self._write("PRAGMA synchronous = FULL")
            self._write("BEGIN IMMEDIATE")
            try:
                for character_guid, entry in entries.items():
                    self._put(character_guid, entry)
                self._write("COMMIT")
            except BookError:
                self._roll_back()
                raise

    def entries(self) -> dict[int, BookEntry]:
        """Everything that is in it, by character guid, ascending."""
        with self._lock:
            rows = self._rows(
                "SELECT mode, is_behind, holder, character_guid FROM moving_character"
            )
        return dict(sorted((_unsigned(row[3]), _entry(row)) for row in rows))

    def counts(self) -> dict[MigrationMode, int]:
        """How many characters of the book are in each mode."""
        with self._lock:
            rows = self._rows("SELECT mode, count(*) FROM moving_character GROUP BY mode")
        counted = dict(rows)
        return {mode: counted.get(mode.value, 0) for mode in MigrationMode}

    def behind(self) -> list[int]:
        """The characters whose other side is to be written and is known to be behind."""
        followed = [mode.value for mode in MigrationMode if mode.is_followed]
        with self._lock:
            rows = self._rows(
                "SELECT character_guid FROM moving_character WHERE is_behind AND mode IN (?, ?)",
                followed,
            )
        return sorted(_unsigned(row[0]) for row in rows)

    def held(self) -> list[int]:
        """The characters that some world has joined, or had when it died."""
        with self._lock:
            rows = self._rows("SELECT character_guid FROM moving_character WHERE holder <> 0")
        return sorted(_unsigned(row[0]) for row in rows)

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            self._connection.close()

    # The file

    def _update(self, what: str, values: Iterable[object]) -> None:
        with self._lock:
            self._write("PRAGMA synchronous = NORMAL")
            self._write(
                f"UPDATE moving_character SET {what} WHERE character_guid = ? AND holder = ?",
                values,
            )

    def _put(self, character_guid: int, entry: BookEntry) -> None:
        self._write(
            "INSERT INTO moving_character VALUES (?, ?, ?, ?) ON CONFLICT (character_guid) DO "
            "UPDATE SET mode = excluded.mode, is_behind = excluded.is_behind, "
            "holder = excluded.holder",
            (_signed(character_guid), entry.mode.value, entry.is_behind, entry.holder),
        )

    def _entry(self, character_guid: int) -> BookEntry:
        rows = self._rows(
            "SELECT mode, is_behind, holder FROM moving_character WHERE character_guid = ?",
            (_signed(character_guid),),
        )
        return _entry(rows[0]) if rows else NOT_THERE

    def _write(self, statement: str, values: Iterable[object] = ()) -> None:
        try:
            self._connection.execute(statement, tuple(values))
        except (sqlite3.Error, OverflowError) as error:
            raise BookError(f"{self.path}: the book cannot be written: {error}") from error

    def _rows(self, statement: str, values: Iterable[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise BookError(f"{self.path}: the book cannot be read: {error}") from error

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # The error that led here is the one to tell.


def _entry(row: Sequence[Any]) -> BookEntry:
    return BookEntry(MigrationMode(row[0]), bool(row[1]), row[2])


def _signed(character_guid: int) -> int:
    """SQLite's integers have a sign; the bits are the same."""
    return character_guid - 2**64 if character_guid >= 2**63 else character_guid


def _unsigned(stored: int) -> int:
    return stored % 2**64
