"""Threads for calls that may block: a side that hangs, hangs there and nowhere else.

Daemons, so that a call that never comes back does not keep the process from ending. Knows nothing
of what it calls.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class OwnThreads:
    """So many threads that do what they are given, in its order; started with the first call."""

    def __init__(self, name: str, count: int = 1) -> None:
        self._name = name
        self._count = count
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def call(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Call a function there; the future ends with what it gives or raises."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*arguments)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.post(run)
        return future

    def post(self, function: Callable[[], None]) -> None:
        """Call a function there that raises nothing; nobody waits for it."""
        if len(self._threads) < self._count:
            self._start()
        self._calls.put(function)

    def close(self) -> None:
        """What was given is still done, then the threads end; nobody waits for that."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(None)

    def _start(self) -> None:
        with self._lock:
            if len(self._threads) < self._count:
                number = len(self._threads) + 1
                thread = threading.Thread(
                    target=self._run, name=f"mmoinv {self._name} {number}", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            # Not kept until the next one comes.
            del call
