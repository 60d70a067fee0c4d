"""The evidence of a move: what a world saw while both ways ran, in one SQLite file of its own.

Whatever is told is counted in memory; a thread writes it once a second. The game never waits for
the disk, and a disk that is full or gone stops nothing: what happened is kept, merged and bounded,
and written as soon as that works. What of it is lost is counted too. Knows nothing of how anything
is saved, nor of what a report makes of it.
"""

import logging
import re
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mmoinv.errors import ConfigurationError, MmoinvError
from mmoinv.migration.comparison import Comparer, Divergence, DivergenceClass
from mmoinv.migration.configuration import MigrationConfig, load_config
from mmoinv.migration.evidence_file import open_for_writing, write
from mmoinv.migration.gathered import (
    DivergenceKey,
    Gathered,
    Reason,
    SeenDivergence,
    Use,
)
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.witness import At
from mmoinv.records import Batch

log = logging.getLogger("mmoinv.migration")

HOUR_US = 3_600_000_000
FLUSH_S = 1.0
KEPT_OPERATIONS = 8
"""The last operation ids of a character, for what was done around a divergence."""
REMEMBERED_CHARACTERS = 16_384
"""So many characters' last operations are remembered."""
MAX_SLOTS = 64
"""So many divergences of one comparison are recorded, the worst first."""
MAX_HARMLESS = 4
"""So many of those that are known or of fields that are not kept, for examples."""
MAX_STORED = 200_000
"""So many different divergences are kept in one file; half of it for those that are harmless."""
MAX_TEXT = 300


class Evidence:
    """A `mmoinv.migration.Witness` that keeps everything in the file ``path``.

    Each world server has its own file (several processes of one machine may share one); the tools
    read several together. ``config`` is a `MigrationConfig`, or the path of a
    ``migration.toml``, which is read again when it has changed. `close` it, or use it as a context
    manager: what was told in the last second is written then. A `kill -9` loses that second of
    figures, and nothing else. `ConfigurationError` if the file cannot be had at the start.
    """

    def __init__(
        self,
        path: str | Path,
        config: MigrationConfig | str | Path | None = None,
        *,
        flush_s: float = FLUSH_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.is_failing = False
        """Whether the last write failed; it is tried again."""
        self._config_path = None if isinstance(config, MigrationConfig) else config
        self._config_seen = self._config_state()
        if not isinstance(config, MigrationConfig):
            config = load_config(config)
        self._comparer: Comparer = config.comparer
        self._now_s = now_s
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._gathered = Gathered()
        self._operations: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._last_us = 0
        self._writing = threading.Lock()
        self._unwritten = Gathered()
        self._connection: sqlite3.Connection | None = open_for_writing(self.path)
        self._stored = self._count_stored()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mmoinv-evidence", daemon=True)
        self._thread.start()

    # What is told

    def committed(
        self, character_guid: int, mode: MigrationMode, decider: Side, operation_id: int
    ) -> None:
        """The deciding side has answered a commit."""
        with self._lock:
            self._count(mode, "commits")
            self._of(character_guid, "commits", mode)
            self._remember(character_guid, operation_id)

    def compared(
        self,
        character_guid: int,
        mode: MigrationMode,
        decider: Side,
        at: At,
        operation_id: int | None,
        expected: Batch,
        found: Batch,
        expected_money: Mapping[int, int],
        found_money: Mapping[int, int],
    ) -> bool:
        """Compare both sides now; whether they are equal, but for what is known or never kept."""
        try:
            divergences = self._comparer.compare(
                character_guid, decider, expected, found, expected_money, found_money
            )
        except MmoinvError as error:
            # A slot twice on one side: that is no inventory to compare with.
            log.warning("character %d cannot be compared: %s", character_guid, error)
            with self._lock:
                self._count(mode, "unrecorded")
            return False
        # The first is the worst. A field that one side never kept cannot be mended there.
        worst = next((one.kind for one in divergences if not one.known), None)
        is_equal = worst in (None, DivergenceClass.NOT_KEPT)
        with self._lock:
            now_us = self._moment()
            self._count(mode, f"compared:{at}")
            self._of(character_guid, "compared", mode, "equal_us" if is_equal else "")
            operations = self._remember(character_guid, operation_id)
            if not divergences:
                self._count(mode, "equal")
            elif worst is None:
                self._count(mode, "known")
                self._of(character_guid, "known", mode)
            else:
                self._count(mode, worst)
                if not is_equal:
                    self._of(character_guid, "diverged", mode)
            self._add(character_guid, mode, decider, at, divergences, operations, now_us)
        return is_equal

    def missed(
        self, character_guid: int, side: Side, reason: str, operation_id: int | None
    ) -> None:
        """The following side did not take a change."""
        mode = _mode_following(side)
        text = " ".join(str(reason).split())[:MAX_TEXT] or "no reason was given"
        # Numbers make each one different.
        kind = re.sub(r"0x[0-9a-fA-F]+|\d[\d.,]*", "N", text)
        with self._lock:
            now_us = self._moment()
            self._count(mode, "missed")
            self._of(character_guid, "missed", mode, f"missed_{side}_us")
            self._remember(character_guid, operation_id)
            self._gathered.add_reason(mode, kind, Reason(text, character_guid, now_us, now_us))

    def made_up(self, character_guid: int, side: Side) -> None:
        """The side was given everything again."""
        mode = _mode_following(side)
        with self._lock:
            self._count(mode, "made_up")
            self._of(character_guid, "", mode, f"made_up_{side}_us")

    def flipped(self, character_guid: int, before: MigrationMode, after: MigrationMode) -> None:
        """A character went from one mode to another."""
        with self._lock:
            self._count(after, "flips")
            self._of(character_guid, "", after)

    def used(self, character_guid: int, side: Side) -> None:
        """A side was asked to read or write."""
        with self._lock:
            now_us = self._moment()
            self._count("", f"used:{side}")
            self._gathered.add_use(side, Use(character_guid, now_us))

    # What becomes of it

    def flush(self) -> bool:
        """Write now what was told, in this thread; False if it cannot be written."""
        with self._writing:
            self._read_config_again()
            with self._lock:
                later, self._gathered = self._gathered, Gathered()
            lost = self._unwritten.then(later)
            if lost:
                self._unwritten.hours[int(self._now_s() // 3600), "", "unrecorded"] += lost
            if not self._unwritten:
                return True
            return self._write()

    def close(self) -> None:
        """Write what was told and let go of the file; what is told later is forgotten."""
        self._is_over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        self.flush()
        with self._writing:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._is_over.wait(self._flush_s):
            try:
                self.flush()
            except Exception:
                log.exception("the evidence of the move could not be written to %s", self.path)

    def _write(self) -> bool:
        if self._connection is None:
            return False
        self._drop_what_is_too_much()
        try:
            write(self._connection, self._unwritten)
        except sqlite3.Error as error:
            if not self.is_failing:
                log.error(
                    "the evidence of the move cannot be written to %s: %s; the game goes on, the "
                    "figures are kept in memory and written as soon as that works",
                    self.path,
                    error,
                )
            self.is_failing = True
            self._unwritten.hours[int(self._now_s() // 3600), "", "write_failed"] += 1
            return False
        if self.is_failing:
            log.warning("the evidence of the move is written to %s again", self.path)
        self.is_failing = False
        self._stored += len(self._unwritten.divergences)
        self._unwritten = Gathered()
        return True

    def _drop_what_is_too_much(self) -> None:
        """The file must not grow for ever: beyond its bound, divergences are only counted."""
        divergences = self._unwritten.divergences
        if not divergences or self._stored + len(divergences) <= MAX_STORED // 2:
            return
        # Those that were there already were counted again.
        self._stored = self._count_stored()
        if self._stored + len(divergences) > MAX_STORED // 2:
            for key in [key for key, seen in divergences.items() if seen.divergence.is_harmless]:
                del divergences[key]
        if self._stored + (coming := len(divergences)) > MAX_STORED:
            divergences.clear()
            self._unwritten.hours[int(self._now_s() // 3600), "", "unrecorded"] += coming

    def _count_stored(self) -> int:
        assert self._connection is not None
        try:
            found = self._connection.execute("SELECT count(*) FROM divergence").fetchone()
        except sqlite3.Error:
            return 0
        return int(found[0])

    # The configuration

    def _config_state(self) -> tuple[int, int] | None:
        """What changes if the file does."""
        if self._config_path is None:
            return None
        try:
            found = Path(self._config_path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _read_config_again(self) -> None:
        state = self._config_state()
        if state is None or state == self._config_seen:
            return
        self._config_seen = state
        try:
            self._comparer = load_config(self._config_path).comparer
        except ConfigurationError as error:
            log.error("%s; the configuration of the move stays as it was", error)
        else:
            log.info("the configuration of the move was read again from %s", self._config_path)

    # Under the lock

    def _moment(self) -> int:
        """Microseconds since 1970, each later than the one before."""
        self._last_us = max(self._last_us + 1, int(self._now_s() * 1e6))
        return self._last_us

    def _count(self, mode: str, figure: str) -> None:
        self._gathered.hours[int(self._now_s() // 3600), str(mode), figure] += 1

    def _of(self, character_guid: int, count: str, mode: str, moment: str = "") -> None:
        figures = self._gathered.character(character_guid)
        if figures is None:
            self._count(mode, "unrecorded")
            return
        figures.mode = str(mode)
        figures.moments["seen_us"] = now_us = self._moment()
        if count:
            figures.counts[count] += 1
        if moment:
            figures.moments[moment] = now_us

    def _remember(self, character_guid: int, operation_id: int | None) -> tuple[int, ...]:
        """The last operations of the character, this one at the end."""
        operations = self._operations.get(character_guid, ())
        if operation_id is not None and operation_id not in operations:
            operations = (*operations, operation_id)[-KEPT_OPERATIONS:]
            self._operations[character_guid] = operations
            self._operations.move_to_end(character_guid)
            if len(self._operations) > REMEMBERED_CHARACTERS:
                self._operations.popitem(last=False)
        return operations

    def _add(
        self,
        character_guid: int,
        mode: MigrationMode,
        decider: Side,
        at: At,
        divergences: Sequence[Divergence],
        operations: tuple[int, ...],
        now_us: int,
    ) -> None:
        harmful = [one for one in divergences if not one.is_harmless]
        # Of a whole inventory whose fields the old side never kept, a few will do.
        harmless = [one for one in divergences if one.is_harmless][:MAX_HARMLESS]
        for place, one in enumerate((*harmful, *harmless)):
            key = DivergenceKey(character_guid, one.slot, one.fields, one.kind)
            seen = SeenDivergence(
                one, str(mode), str(decider), at, now_us, now_us, operations, operations
            )
            is_kept = place < MAX_SLOTS and self._gathered.add_divergence(key, seen)
            if not is_kept and not one.is_harmless:
                self._count(mode, "unrecorded")


def _mode_following(side: Side) -> MigrationMode:
    """The mode in which a side follows."""
    return MigrationMode.SHADOW if side == Side.NEW else MigrationMode.PRIMARY
