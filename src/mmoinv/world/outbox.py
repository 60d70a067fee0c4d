"""The outbox: what must survive the world server's own crash is on the disk before it is sent.

One synced write for all that gathered, on a thread of its own; the event loop never waits for
the disk. What lies in the file is in `mmoinv.world.outbox_file`, what becomes of it after a
crash in `mmoinv.world.replay`. Knows frames, no characters and no link.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmoinv.errors import ConfigurationError, LinkBusyError
from mmoinv.wire import Dialect
from mmoinv.world.outbox_file import OutboxFile
from mmoinv.world.outbox_format import StoredOperation

log = logging.getLogger("mmoinv.world")

MAX_BYTES = 64 << 20
MARK_AFTER_S = 1.0
"""So late at most an answer is noted; with the next operations otherwise. Without the mark the
operation is sent once more, which the realm recognises."""
Written = Callable[[OSError | None], None]


class Outbox:
    """A file for `RealmConnector`'s ``outbox``; ``path`` names it, and each connector wants its
    own. ``max_bytes`` bounds what waits in it for an answer: beyond it a commit raises
    `LinkBusyError`. The file itself is seldom more than twice as long."""

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.damage = ""
        """What was wrong with the file when it was opened, empty if nothing was."""
        self._file: OutboxFile | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing: asyncio.Future[None] | None = None
        self._sizes: dict[int, int] = {}
        """Bytes of each operation that waits for its answer."""
        self._answered: list[int] = []
        """Not marked in the file yet."""
        self._timer: asyncio.TimerHandle | None = None
        self.waiting_bytes = 0
        """Of operations that wait for an answer."""
        self.has_unwritten: Callable[[], bool] = lambda: False
        """Whether operations were taken that were not given to `write` yet; for whoever does."""

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def synced_writes(self) -> int:
        """How often the file was synced since it was opened last."""
        return 0 if self._file is None else self._file.syncs

    @property
    def is_writing(self) -> bool:
        """Whether operations are being written: more have to wait for the next time."""
        return self._writing is not None

    @property
    def holds_everything(self) -> bool:
        """Whether all that was committed and is not answered is on the disk."""
        return not self.is_writing and not self.has_unwritten()

    async def open(self, world: str) -> list[StoredOperation]:
        """Lock and read the file: what the process before left unanswered, oldest first.
        `ConfigurationError` if it is in use, cannot be had, or is not that world's."""
        self._loop = asyncio.get_running_loop()
        file = OutboxFile(self.path, world)
        thread = ThreadPoolExecutor(1, thread_name_prefix="mmoinv-outbox")
        try:
            stored = await self._loop.run_in_executor(thread, file.open)
        except BaseException:
            thread.submit(file.close)
            thread.shutdown(wait=False)
            raise
        self._file, self._thread, self.damage = file, thread, file.damage
        self._sizes = {one.operation_id: len(one.frame) for one in stored}
        self.waiting_bytes = sum(self._sizes.values())
        return stored

    def check_room(self, character_guids: Sequence[int]) -> None:
        """`LinkBusyError` if no more operations can be taken."""
        if self.waiting_bytes >= self.max_bytes:
            raise LinkBusyError(
                f"the outbox {self.path} holds {self.waiting_bytes:,} bytes that wait for the "
                f"realm, its limit is {self.max_bytes:,}: nothing was taken of this operation for "
                f"character {', '.join(map(str, character_guids))}, its changes stay unsaved; "
                "commit again later"
            )

    def write(self, frames: dict[int, bytes], written: Written) -> None:
        """Write operations, frames by their ids; ``written`` is called in the loop once they are
        synced, or with the error if they are not in the file. Not while `is_writing`."""
        for operation_id, frame in frames.items():
            self._sizes[operation_id] = len(frame)
            self.waiting_bytes += len(frame)

        def ended(error: OSError | None) -> None:
            self._writing = None
            if error is not None:
                for operation_id in frames:
                    self._forget(operation_id)
            written(error)

        self._writing = self._start(list(frames.values()), ended)

    def answered(self, operation_id: int) -> None:
        """The operation has ended: the next process need not send it."""
        if self._thread is None:
            return
        self._forget(operation_id)
        self._answered.append(operation_id)
        if self._timer is None:
            assert self._loop is not None
            self._timer = self._loop.call_later(MARK_AFTER_S, self._mark)

    def _forget(self, operation_id: int) -> None:
        self.waiting_bytes -= self._sizes.pop(operation_id, 0)

    def _mark(self) -> None:
        self._timer = None
        if self._answered and self._thread is not None:
            self._start([], _note)

    def _start(self, frames: list[bytes], ended: Written) -> asyncio.Future[None]:
        """Hand frames, and the marks that have gathered, to the thread."""
        assert self._file is not None
        assert self._loop is not None
        answered, self._answered = self._answered, []
        future = self._loop.run_in_executor(self._thread, self._file.write, frames, answered)

        def done(future: asyncio.Future[None]) -> None:
            error = future.exception()
            if error is not None and not isinstance(error, OSError):
                log.error("outbox %s failed", self.path, exc_info=error)
                error = OSError(str(error))
            if error is not None:
                # Of a trade that was confirmed again meanwhile the new half must not be marked.
                self._answered[:0] = [one for one in answered if one not in self._sizes]
            ended(error)

        future.add_done_callback(done)
        return future

    async def settle(self) -> None:
        """Wait until nothing is being written."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def close(self) -> None:
        """Mark what is answered, and let go of the file. Closing twice is fine."""
        await self.settle()
        file, loop = self._file, self._loop
        thread, self._thread = self._thread, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if file is None or loop is None or thread is None:
            return
        if self._answered:
            answered, self._answered = self._answered, []
            marked = loop.run_in_executor(thread, file.write, [], answered)
            await asyncio.wait([marked])
            _note(marked.exception())
        await loop.run_in_executor(thread, file.close)
        thread.shutdown(wait=False)


def _note(error: BaseException | None) -> None:
    if error is not None:
        log.warning("answers could not be noted in the outbox, which does no harm: %s", error)


def outbox_for(wanted: str | Path | Outbox | None, dialect: Dialect) -> Outbox | None:
    """The outbox that is wanted; `ConfigurationError` if the dialect cannot have one."""
    if wanted is None:
        return None
    if dialect.protocol != 4:
        raise ConfigurationError(
            f"dialect {dialect.number} (protocol 3) has no outbox: the realm could not tell what "
            "it has committed already, and would apply it twice. Log on with dialect 0."
        )
    return wanted if isinstance(wanted, Outbox) else Outbox(wanted)
