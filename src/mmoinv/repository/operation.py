"""The handle of an operation: what `commit` gives, and what it ends with.

Knows threads and event loops, so that any of them may wait. Knows no packet, no link and no
repository: whoever carries the operation says how it ended.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

from mmoinv.errors import MmoinvError, OperationPendingError

logger = logging.getLogger(__name__)


class OperationOutcome(NamedTuple):
    """How a committed operation ended.

    ``status`` is 0 (committed) or 1 (it was committed already, by an earlier sending);
    ``versions`` has the new version of each character by its guid.
    """

    operation_id: int
    status: int
    versions: Mapping[int, int]


class OperationHandle:
    """One operation on its way. It ends committed or refused, exactly once.

    ``await handle`` gives the `OperationOutcome` or raises the error that it ended with; any
    number of tasks of any asyncio event loops may wait, and cancelling one of them leaves the
    operation alone. A thread without a loop calls `wait`. Ending it is for whoever carries
    the operation: `succeed` or `fail`, from any thread.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_error",
        "_lock",
        "_outcome",
        "character_guids",
        "operation_id",
    )

    def __init__(self, operation_id: int, character_guids: Sequence[int] = ()) -> None:
        self.operation_id = operation_id
        """u64; 0 for a commit that had nothing to write."""
        self.character_guids = tuple(character_guids)
        """The characters that the operation changes."""
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[OperationHandle], object]] = []
        self._outcome: OperationOutcome | None = None
        self._error: MmoinvError | None = None

    @classmethod
    def ended(cls, outcome: OperationOutcome) -> "OperationHandle":
        """A handle of an operation that is committed already."""
        handle = cls(outcome.operation_id, tuple(outcome.versions))
        handle._outcome = outcome
        return handle

    @property
    def done(self) -> bool:
        """Whether the operation has ended, one way or the other."""
        return self._outcome is not None or self._error is not None

    @property
    def result(self) -> OperationOutcome:
        """The outcome. Raises the error of an operation that failed, and
        `OperationPendingError` as long as there is no answer."""
        if self._outcome is not None:
            return self._outcome
        if self._error is not None:
            # Every reader raises the same object: start its traceback anew.
            raise self._error.with_traceback(None)
        raise self._unanswered("It may or may not be saved: await the handle, or wait().")

    @property
    def exception(self) -> MmoinvError | None:
        """The error that the operation ended with, None if it is committed. Raises
        `OperationPendingError` as long as there is no answer."""
        if not self.done:
            raise self._unanswered("It may or may not be saved: await the handle, or wait().")
        return self._error

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block this thread until the operation has ended; False if ``timeout_s`` passed first.

        Look at `result` afterwards. In a thread that runs an event loop this raises
        `OperationPendingError` instead of stopping the loop: await the handle there.
        """
        if self.done:
            return True
        if timeout_s is not None and timeout_s <= 0:
            return False
        if running_loop() is not None:
            raise self._unanswered("wait() would stop this thread's event loop: await the handle.")
        ended = threading.Event()

        def wake(_: OperationHandle) -> None:
            ended.set()

        self.add_done_callback(wake)
        try:
            return ended.wait(timeout_s)
        finally:
            self.remove_done_callback(wake)

    def __await__(self) -> Generator[Any, None, OperationOutcome]:
        if not self.done:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()

            def settle() -> None:
                if not future.done():
                    future.set_result(None)

            def wake(_: OperationHandle) -> None:
                if running_loop() is loop:
                    settle()
                elif not loop.is_closed():
                    loop.call_soon_threadsafe(settle)

            self.add_done_callback(wake)
            try:
                yield from future
            finally:
                self.remove_done_callback(wake)
        return self.result

    def add_done_callback(self, callback: Callable[["OperationHandle"], object]) -> None:
        """Call ``callback(handle)`` once the operation has ended; at once if it has.

        It is called in the thread that ends the operation, in the order of adding. What it
        raises is logged.
        """
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def remove_done_callback(self, callback: Callable[["OperationHandle"], object]) -> None:
        """Forget ``callback``, if it waits."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

    def succeed(self, outcome: OperationOutcome) -> bool:
        """End as committed. False, and nothing happens, if it has ended before."""
        return self._end(outcome, None)

    def fail(self, error: MmoinvError) -> bool:
        """End with an error. False, and nothing happens, if it has ended before."""
        return self._end(None, error)

    def _end(self, outcome: OperationOutcome | None, error: MmoinvError | None) -> bool:
        with self._lock:
            if self.done:
                return False
            self._outcome, self._error = outcome, error
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._call(callback)
        return True

    def _call(self, callback: Callable[["OperationHandle"], object]) -> None:
        try:
            callback(self)
        except Exception:
            logger.exception("callback %r of %r failed", callback, self)

    def _unanswered(self, remedy: str) -> OperationPendingError:
        return OperationPendingError(
            f"operation {self.operation_id:#x} of {_characters(self.character_guids)} "
            f"is not answered yet. {remedy}",
            self.operation_id,
            self.character_guids,
        )

    def __repr__(self) -> str:
        if self._error is not None:
            state = type(self._error).__name__
        else:
            state = "pending" if self._outcome is None else "committed"
        whom = _characters(self.character_guids)
        return f"<OperationHandle {self.operation_id:#x} of {whom}: {state}>"


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _characters(guids: Sequence[int]) -> str:
    """Characters in words, for messages."""
    if not guids:
        return "no character"
    named = ", ".join(str(guid) for guid in guids[:4])
    more = f" and {len(guids) - 4} more" if len(guids) > 4 else ""
    return f"character{'s' if len(guids) > 1 else ''} {named}{more}"
