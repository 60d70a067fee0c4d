"""One outbox file: locked, appended to, synced, started anew when most of it is answered.

Plain blocking calls for one thread. What the bytes mean is in `mmoinv.world.outbox_format`; who
sends what they hold, and when, it does not know.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mmoinv.errors import ConfigurationError
from mmoinv.world.outbox_format import (
    FORMAT,
    OutboxContents,
    StoredOperation,
    answered_record,
    header,
    operation_record,
    read_outbox,
)

log = logging.getLogger("mmoinv.world")

ANEW_FROM_BYTES = 4 << 20
"""Of answered operations: then the file is started anew, if they are the larger part of it."""
READ_AT_ONCE = 1 << 20
_sync = getattr(os, "fdatasync", os.fsync)
_BINARY = getattr(os, "O_BINARY", 0)


class OutboxFile:
    """The file at ``path``, of the world of that name. The lock lies beside it, as does what
    cannot be read of a damaged one. All methods may raise `OSError`."""

    def __init__(self, path: Path, world: str) -> None:
        self.path = path
        self.damage = ""
        """What was wrong with the file when it was opened, empty if nothing was."""
        self.syncs = 0
        """Synced writes so far."""
        self._world = world
        self._lock = -1
        self._file = -1
        self._size = 0
        self._records: dict[int, tuple[int, int]] = {}
        """Offset and size of each record that is not answered."""
        self._has_rest = False
        """Something is behind the last whole record: to be cut off before the next is written."""

    def open(self) -> list[StoredOperation]:
        """Lock the file, create it if it is not there: the unanswered operations, oldest first.
        `ConfigurationError` if it cannot be had or is not this world's."""
        try:
            self._lock = _locked(self.path)
            try:
                return self._open()
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise ConfigurationError(
                f"the outbox {self.path} cannot be used: {error.strerror or error}. Nothing was "
                "sent. Check that the folder is there and may be written to."
            ) from error

    def _open(self) -> list[StoredOperation]:
        contents = None
        if self.path.exists():
            data = self.path.read_bytes()
            contents = read_outbox(data)
            self._check(contents)
            self.damage = contents.damage
            if contents.damage:
                self._report(contents, data)
        if contents is None or contents.world is None:
            self._start_anew()
            return []
        self._file = os.open(self.path, os.O_RDWR | _BINARY)
        self._size = contents.size
        self._has_rest = bool(contents.damage)
        stored = list(contents.unanswered.values())
        self._records = {one.operation_id: (one.offset, one.size) for one in stored}
        return stored

    def _check(self, contents: OutboxContents) -> None:
        reason = ""
        if contents.is_foreign:
            reason = "is not an outbox. Name another file, or move this one away"
        elif contents.format > FORMAT:
            reason = (
                f"is of format {contents.format}, which a newer mmoinv has written; this one "
                f"knows {FORMAT}. Let the newer one send what is in it"
            )
        elif contents.world not in (None, self._world):
            reason = f"is that of world {contents.world!r}, not of {self._world!r}"
        if reason:
            raise ConfigurationError(f"the file {self.path} {reason}. Nothing in it was changed.")

    def _report(self, contents: OutboxContents, data: bytes) -> None:
        beside = self.path.with_name(self.path.name + ".damaged")
        beside.write_bytes(data)
        log.warning(
            "outbox %s: %s; %d unanswered operations before that are sent again. The file as it "
            "was is kept as %s.",
            self.path,
            contents.damage,
            len(contents.unanswered),
            beside,
        )

    def write(self, frames: Sequence[bytes], answered: Sequence[int]) -> None:
        """Append operations, by (id, frame), and marks; synced if there is an operation.

        If it raises, none of the operations is in the file; of the marks nothing need be.
        """
        for operation_id in answered:
            self._records.pop(operation_id, None)
        data = bytearray(answered_record(answered) if answered else b"")
        now_ms = int(time.time() * 1000)
        records = {}
        for frame in frames:
            record = operation_record(frame, now_ms)
            operation_id = int.from_bytes(frame[5:13], "little")
            records[operation_id] = (self._size + len(data), len(record))
            data += record
        self._append(data, synced=bool(frames))
        self._records |= records
        self._start_anew_if_worth_it()

    def _append(self, data: bytes | bytearray, synced: bool) -> None:
        if self._has_rest:
            os.ftruncate(self._file, self._size)
            self._has_rest = False
        try:
            os.lseek(self._file, self._size, os.SEEK_SET)
            _write_all(self._file, data)
            if synced:
                self.syncs += 1
                _sync(self._file)
        except OSError:
            self._has_rest = True
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                self._has_rest = False
            raise
        self._size += len(data)

    def _start_anew_if_worth_it(self) -> None:
        living = sum(size for _, size in self._records.values())
        if self._size - living < max(ANEW_FROM_BYTES, living):
            return
        try:
            self._start_anew()
        except OSError as error:
            log.warning("outbox %s could not be started anew, it goes on: %s", self.path, error)
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDWR | _BINARY)

    def _start_anew(self) -> None:
        """A new file with the unanswered operations alone takes the place of the old one."""
        beside = self.path.with_name(self.path.name + ".new")
        new = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
        try:
            first = header(self._world)
            _write_all(new, first)
            size, records = len(first), {}
            for operation_id, (offset, length) in self._records.items():
                os.lseek(self._file, offset, os.SEEK_SET)
                _write_all(new, _read(self._file, length))
                records[operation_id] = (size, length)
                size += length
            self.syncs += 1
            os.fsync(new)
        except BaseException:
            os.close(new)
            beside.unlink()
            raise
        os.close(new)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.replace(beside, self.path)
        self._file = os.open(self.path, os.O_RDWR | _BINARY)
        self._size, self._records, self._has_rest = size, records, False
        _sync_folder(self.path.parent)

    def close(self) -> None:
        """Let go of the file. Closing twice is fine."""
        for name in ("_file", "_lock"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


def _write_all(file: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _read(file: int, length: int) -> bytes:
    parts = []
    while length > 0:
        part = os.read(file, min(length, READ_AT_ONCE))
        if not part:
            raise OSError("the file is shorter than it was")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _locked(path: Path) -> int:
    """A lock that ends with this process, whatever ends it. Not on the file itself, in whose
    place a new one comes now and then."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigurationError(
            f"the outbox {path} is in use by another connector, of this process or of another one "
            "that is still alive. Each wants a file of its own."
        ) from None
    return lock
