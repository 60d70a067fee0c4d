"""The book: what is written survives a kill, one holder at a time, several processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from mmoinv.errors import BookError
from mmoinv.migration.book import NOT_THERE, BookEntry, FileBook
from mmoinv.migration.modes import MigrationMode, Side

LEGACY, SHADOW, PRIMARY, NEW = MigrationMode
FAR = 2**64 - 3


def test_who_is_not_in_it_is_decided_by_the_old_way(tmp_path):
    book = FileBook(tmp_path / "moving.book")
    assert book.read(7) == NOT_THERE == BookEntry(LEGACY, True, 0)
    assert NOT_THERE.decider is Side.LEGACY
    assert book.entries() == {}


def test_claim_change_mark_release(tmp_path):
    book = FileBook(tmp_path / "moving.book")
    assert book.claim(FAR, 11) == NOT_THERE
    book.change(FAR, 11, PRIMARY)
    book.mark(FAR, 11, False)
    assert book.read(FAR) == BookEntry(PRIMARY, False, 11)
    assert (book.held(), book.behind()) == ([FAR], [])
    book.mark(FAR, 11, True)
    assert book.behind() == [FAR]
    book.release(FAR, 11, False)
    assert book.read(FAR) == BookEntry(PRIMARY, False, 0)
    assert book.counts() == {LEGACY: 0, SHADOW: 0, PRIMARY: 1, NEW: 0}
    book.close()
    book.close()
    again = FileBook(tmp_path / "moving.book")
    assert again.entries() == {FAR: BookEntry(PRIMARY, False, 0)}


def test_whoever_lost_a_character_changes_nothing(tmp_path):
    one, other = FileBook(tmp_path / "moving.book"), FileBook(tmp_path / "moving.book")
    one.claim(7, 11)
    assert other.claim(7, 22) == BookEntry(LEGACY, True, 11)
    with pytest.raises(BookError, match="held by another world"):
        one.change(7, 11, PRIMARY)
    one.mark(7, 11, False)
    one.release(7, 11, False)
    assert one.read(7) == BookEntry(LEGACY, True, 22)
    other.change(7, 22, PRIMARY)
    assert one.read(7).decider is Side.NEW


def test_behind_counts_only_where_the_other_side_is_written(tmp_path):
    book = FileBook(tmp_path / "moving.book")
    book.put({guid: BookEntry(mode, True) for guid, mode in enumerate(MigrationMode)})
    assert book.behind() == [1, 2]


def test_put_is_all_or_nothing(tmp_path):
    book = FileBook(tmp_path / "moving.book")
    with pytest.raises(BookError, match="cannot be written"):
        book.put({1: BookEntry(NEW), 2: BookEntry(NEW, holder=2**70)})
    assert book.entries() == {}
    book.put({2: BookEntry(NEW, False)})
    assert book.read(2) == BookEntry(NEW, False)


def test_a_book_that_cannot_be_had(tmp_path):
    with pytest.raises(BookError, match="cannot be opened"):
        FileBook(tmp_path / "nowhere" / "moving.book")
    (tmp_path / "no.book").write_bytes(b"this is no database, and long enough to be none" * 99)
    with pytest.raises(BookError, match="cannot be opened"):
        FileBook(tmp_path / "no.book")
    book = FileBook(tmp_path / "moving.book")
    book.close()
    for call in (lambda: book.read(1), lambda: book.claim(1, 2), lambda: book.mark(1, 2, True)):
        with pytest.raises((BookError, sqlite3.Error)):
            call()


WRITER = """
import sys
from mmoinv.migration.book import FileBook
from mmoinv.migration.modes import MigrationMode
book = FileBook(sys.argv[1])
for guid in range(1_000_000):
    book.claim(guid, 5)
    book.change(guid, 5, MigrationMode.PRIMARY)
    print(guid, flush=True)
"""


def test_what_was_changed_survives_a_kill(tmp_path):
    path = tmp_path / "moving.book"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(50):
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    said = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    last = int(said[-1]) if said else last
    entries = FileBook(path).entries()
    assert all(entries[guid] == BookEntry(PRIMARY, True, 5) for guid in range(last + 1))


def test_threads_and_two_connections(tmp_path):
    books = [FileBook(tmp_path / "moving.book") for _ in range(2)]
    errors = []

    def work(first: int) -> None:
        try:
            for guid in range(first, first + 25):
                book = books[guid % 2]
                book.claim(guid, 9)
                book.change(guid, 9, SHADOW)
                book.release(guid, 9, False)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(books[0].entries().values()) == {BookEntry(SHADOW, False, 0)}
    assert len(books[1].entries()) == 100
