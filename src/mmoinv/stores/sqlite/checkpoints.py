"""Moves what was committed from SQLite's log (WAL) into the file, beside the writer.

SQLite would do it inside of a COMMIT, which then takes as long again and more: every page that a
group changed is written twice, and synced twice. Here a thread with a connection of its own does
it while the writer goes on. Knows no tables.
"""

import logging
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor

log = logging.getLogger("mmoinv.stores")

BEGIN_AT_PAGES = 12_000
"""About so many pages of the log, and it is begun."""
LONGEST_LOG_PAGES = 16_384
"""64 MB: if the log is longer all the same, the writer does it, inside of its COMMIT."""
PAGES_OF_A_COMMIT = 4
"""Beside one for each changed row at most, that is more than any commit of ours writes."""
SETTINGS = "PRAGMA synchronous = FULL", "PRAGMA cache_size = -2048"


class Checkpoints:
    """The checkpoints of one file. `committed` is called by the writer's thread, `close` by it
    too, before the writer's own connection is closed."""

    def __init__(self, path: str, writer: sqlite3.Connection, busy_timeout_s: float) -> None:
        writer.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG_PAGES}").fetchone()
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mmoinv-checkpoint")
        self._running: Future[None] | None = None
        self._changes = writer.total_changes
        self._pages = 0

    def committed(self, total_changes: int) -> None:
        """A transaction is on the disk; ``total_changes`` of the writer's connection."""
        self._pages += total_changes - self._changes + PAGES_OF_A_COMMIT
        self._changes = total_changes
        if self._pages >= BEGIN_AT_PAGES and (self._running is None or self._running.done()):
            self._pages = 0
            self._running = self._thread.submit(self._move)

    def _move(self) -> None:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    self._path, timeout=self._busy_timeout_s, isolation_level=None
                )
                for setting in SETTINGS:
                    self._connection.execute(setting).fetchone()
            # It waits for nobody and nobody waits for it.
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # Nothing is lost by it: the log has it all, and the writer has its own limit.
            log.warning("database %s: its log was not moved into it: %s", self._path, error)

    def close(self) -> None:
        """Finish what runs."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
