"""The file of the evidence: one SQLite file, its tables, and what is added to them.

The same statements that add what a world gathered add the files of several worlds together. Knows
how the evidence lies, not what it says. Guids are u64 and stand as SQLite's signed 64 bits.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mmoinv.errors import ConfigurationError
from mmoinv.migration.gathered import COUNTS, MOMENTS, Gathered

FORMAT = 1
APPLICATION_ID = 0x6D6D6F6D
"""What SQLite calls the kind of a file; ours reads "mmom"."""
BUSY_TIMEOUT_S = 5.0

_CHARACTER = (*COUNTS, *MOMENTS)

TABLES = f"""
CREATE TABLE IF NOT EXISTS hour (
  hour INTEGER NOT NULL, mode TEXT NOT NULL, figure TEXT NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (hour, mode, figure)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS divergence (
  character INTEGER NOT NULL, slot INTEGER NOT NULL, fields TEXT NOT NULL, class TEXT NOT NULL,
  entry INTEGER NOT NULL, mode TEXT NOT NULL, decider TEXT NOT NULL, at TEXT NOT NULL,
  known TEXT NOT NULL, expected TEXT NOT NULL, found TEXT NOT NULL,
  first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, times INTEGER NOT NULL,
  first_operations TEXT NOT NULL, last_operations TEXT NOT NULL,
  PRIMARY KEY (character, slot, fields, class)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS character (
  character INTEGER PRIMARY KEY, mode TEXT NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in _CHARACTER)});
CREATE TABLE IF NOT EXISTS reason (
  mode TEXT NOT NULL, reason TEXT NOT NULL, example TEXT NOT NULL, character INTEGER NOT NULL,
  first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (mode, reason)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS side (
  side TEXT PRIMARY KEY, character INTEGER NOT NULL, last_us INTEGER NOT NULL,
  times INTEGER NOT NULL) WITHOUT ROWID;
"""

# In an upsert a bare name is the row that is there, `excluded` the one that comes.
_LATER = "excluded.last_us >= last_us"
_NEWEST = "{0} = CASE WHEN " + _LATER + " THEN excluded.{0} ELSE {0} END"
_SEEN = (
    "times = times + excluded.times, last_us = max(last_us, excluded.last_us)",
    "first_us = min(first_us, excluded.first_us)",
)
UPSERTS = {
    "hour": "ON CONFLICT DO UPDATE SET times = times + excluded.times",
    "divergence": "ON CONFLICT DO UPDATE SET "
    + ", ".join(
        [
            _NEWEST.format(name)
            for name in (
                *("entry", "mode", "decider", "at", "known", "expected", "found"),
                "last_operations",
            )
        ]
        + [
            "first_operations = CASE WHEN excluded.first_us < first_us"
            " THEN excluded.first_operations ELSE first_operations END",
            *_SEEN,
        ]
    ),
    "character": "ON CONFLICT DO UPDATE SET "
    + ", ".join(
        [
            "mode = CASE WHEN excluded.mode <> '' AND excluded.seen_us >= seen_us"
            " THEN excluded.mode ELSE mode END",
            *(f"{name} = {name} + excluded.{name}" for name in COUNTS),
            *(f"{name} = max({name}, excluded.{name})" for name in MOMENTS),
        ]
    ),
    "reason": "ON CONFLICT DO UPDATE SET "
    + ", ".join([_NEWEST.format("example"), _NEWEST.format("character"), *_SEEN]),
    "side": "ON CONFLICT DO UPDATE SET " + ", ".join([_NEWEST.format("character"), _SEEN[0]]),
}
_COLUMNS = {"hour": 4, "divergence": 16, "character": 2 + len(_CHARACTER), "reason": 7, "side": 4}


def signed(number: int) -> int:
    """A u64 as SQLite keeps it."""
    return number - (1 << 64) if number >> 63 else number


def unsigned(number: int) -> int:
    """The u64 again."""
    return number & ((1 << 64) - 1)


def open_for_writing(path: str | Path) -> sqlite3.Connection:
    """The file, made if it is not there; `ConfigurationError` if it cannot be had."""
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _check_kind(connection, path, is_new_fine=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.executescript(TABLES)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"the evidence cannot be written to {path}: {error}; nothing was compared yet. Give a "
            "file in a folder that is there and may be written to"
        ) from error
    return connection


def read_together(paths: Sequence[str | Path]) -> sqlite3.Connection:
    """A temporary database that holds the evidence of all files; they are only read."""
    together = sqlite3.connect("", isolation_level=None, uri=True)
    try:
        together.executescript(TABLES)
        for path in paths:
            _add_file(together, Path(path))
    except BaseException:
        together.close()
        raise
    return together


def _add_file(together: sqlite3.Connection, path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"there is no evidence at {path}: it is the file of a world")
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", BUSY_TIMEOUT_S, uri=True)
        ) as one:
            _check_kind(one, path, is_new_fine=False)
        together.execute("ATTACH ? AS one", [f"{path.absolute().as_uri()}?mode=ro"])
        try:
            together.execute("BEGIN")
            for table, upsert in UPSERTS.items():
                # Without WHERE, the parser would take ON for that of a join.
                together.execute(
                    f"INSERT INTO main.{table} SELECT * FROM one.{table} WHERE true {upsert}"
                )
            together.execute("COMMIT")
        finally:
            if together.in_transaction:
                together.execute("ROLLBACK")
            together.execute("DETACH one")
    except sqlite3.Error as error:
        raise ConfigurationError(f"the evidence in {path} cannot be read: {error}") from error


def _check_kind(connection: sqlite3.Connection, path: str | Path, is_new_fine: bool) -> None:
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if is_new_fine and not tables:
        return
    if kind != APPLICATION_ID:
        raise ConfigurationError(f"{path} is a database, but no evidence of a move")
    if form != FORMAT:
        raise ConfigurationError(
            f"the evidence in {path} is of format {form}, this mmoinv knows {FORMAT}: use the "
            "mmoinv that wrote it, or begin a new file"
        )


def write(connection: sqlite3.Connection, gathered: Gathered) -> None:
    """Add what was gathered, all of it or nothing; ``sqlite3.Error`` if it cannot be."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, rows in _rows(gathered):
            marks = ", ".join("?" * _COLUMNS[table])
            connection.executemany(f"INSERT INTO {table} VALUES ({marks}) {UPSERTS[table]}", rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _rows(gathered: Gathered) -> Iterator[tuple[str, list[tuple[int | str, ...]]]]:
    yield "hour", [(*key, times) for key, times in gathered.hours.items()]
    yield (
        "divergence",
        [
            (
                *(signed(key.character_guid), key.slot, " ".join(key.fields), key.kind),
                *(seen.divergence.entry, seen.mode, seen.decider, seen.at, seen.divergence.known),
                *(json.dumps(seen.divergence.expected), json.dumps(seen.divergence.found)),
                *(seen.first_us, seen.last_us, seen.times),
                *(json.dumps(list(seen.first_operations)), json.dumps(list(seen.last_operations))),
            )
            for key, seen in gathered.divergences.items()
        ],
    )
    yield (
        "character",
        [
            (
                *(signed(guid), figures.mode),
                *(figures.counts[name] for name in COUNTS),
                *(figures.moments.get(name, 0) for name in MOMENTS),
            )
            for guid, figures in gathered.characters.items()
        ],
    )
    yield (
        "reason",
        [
            (
                *(mode, kind, reason.example, signed(reason.character_guid)),
                *(reason.first_us, reason.last_us, reason.times),
            )
            for (mode, kind), reason in gathered.reasons.items()
        ],
    )
    yield (
        "side",
        [
            (str(side), signed(use.character_guid), use.last_us, use.times)
            for side, use in gathered.uses.items()
        ],
    )
