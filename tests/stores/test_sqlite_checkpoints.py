"""SQLite's log is moved into the file beside the writer, whatever happens to who does it."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmoinv.stores.sqlite import checkpoints
from mmoinv.stores.sqlite.checkpoints import Checkpoints

PAGE = 4096
ROWS_OF_A_COMMIT = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
        yield raw


def write(raw: sqlite3.Connection, moved: Checkpoints, commits: int, start: int = 0) -> None:
    """Commits over the same 200 pages, again and again."""
    for number in range(start, start + commits):
        raw.execute("BEGIN IMMEDIATE")
        for row in range(ROWS_OF_A_COMMIT):
            key = (number * ROWS_OF_A_COMMIT + row) % 200
            raw.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(4000))", (key,))
        raw.execute("COMMIT")
        moved.committed(raw.total_changes)


def log_pages(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size // PAGE


def finish(moved: Checkpoints) -> None:
    assert moved._running is not None
    moved._running.result(30)


def test_the_file_has_it_though_the_writer_never_moved_it(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "BEGIN_AT_PAGES", 300)
    before = path.stat().st_size
    moved = Checkpoints(str(path), writer, 1.0)
    write(writer, moved, 30)
    finish(moved)
    assert path.stat().st_size > before + 100 * PAGE
    moved.close()
    # All of it is in the file alone.
    assert writer.execute("SELECT COUNT(*) FROM t").fetchone() == (200,)


def test_the_log_does_not_grow_without_end(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "BEGIN_AT_PAGES", 300)
    monkeypatch.setattr(checkpoints, "LONGEST_LOG_PAGES", 500)
    moved = Checkpoints(str(path), writer, 1.0)
    write(writer, moved, 600)
    # Of the 6,000 pages that were written.
    assert log_pages(path) < 2500
    moved.close()


def test_a_long_look_at_the_database_holds_nobody_up(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "BEGIN_AT_PAGES", 100)
    monkeypatch.setattr(checkpoints, "LONGEST_LOG_PAGES", 200)
    moved = Checkpoints(str(path), writer, 1.0)
    write(writer, moved, 20)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        seen = reader.execute("SELECT MAX(v) FROM t").fetchone()
        write(writer, moved, 100, 20)
        assert reader.execute("SELECT MAX(v) FROM t").fetchone() == seen
        held = log_pages(path)
    write(writer, moved, 100, 120)
    # It began anew in the same file.
    assert log_pages(path) < held + 1000
    moved.close()


def test_where_it_cannot_be_done_it_is_said_and_the_writer_goes_on(
    path: Path,
    writer: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(checkpoints, "BEGIN_AT_PAGES", 1)
    moved = Checkpoints(str(path.parent / "gone" / "realm.db"), writer, 1.0)
    with caplog.at_level(logging.WARNING, "mmoinv.stores"):
        write(writer, moved, 2)
        moved.close()
    assert "its log was not moved into it" in caplog.text
    assert writer.execute("SELECT COUNT(*) FROM t").fetchone() == (20,)
