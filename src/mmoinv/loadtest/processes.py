"""Child processes and the pipes to them: started, asked, and ended without leftovers.

A message is a tuple (kind, payload). A child that dies is noticed at once; children end with
their parent, whatever ends it. Knows nothing of what the messages mean.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from mmoinv.errors import MmoinvError

END_WITHIN_S = 5.0
CAUSE_WITHIN_S = 0.5
"""How long to look for the child whose death made another one fail."""

_context = multiprocessing.get_context("spawn")


class ProcessDiedError(MmoinvError):
    """A child process of the load test ended before its time."""


class Child:
    """One child process. ``target(connection, *arguments)`` runs in it."""

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        self.name = name
        self._connection, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_run, args=(theirs, target, *arguments), name=name, daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def connection(self) -> Connection:
        """This end of the pipe."""
        return self._connection

    def send(self, kind: str, payload: Any = None) -> None:
        """Tell the child something."""
        try:
            self._connection.send((kind, payload))
        except OSError:
            # It may have said why before it went.
            while self._connection.poll():
                self.receive()
            raise self.died() from None

    def receive(self) -> tuple[str, Any]:
        """The next message; waits for it."""
        try:
            kind, payload = self._connection.recv()
        except (EOFError, OSError):
            raise self.died() from None
        if kind == "failed":
            raise ProcessDiedError(f"{self.name}: {payload}")
        return kind, payload

    def end(self, gently: bool = True) -> None:
        """Ask the child to end and wait; by force if it does not, or if not ``gently``."""
        if gently:
            with contextlib.suppress(OSError):
                self._connection.send(("end", None))
            self._process.join(END_WITHIN_S)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()

    @property
    def was_killed(self) -> bool:
        """Whether it has ended, and not by itself."""
        return bool(self._process.exitcode)

    def died(self) -> ProcessDiedError:
        """The error that says how it ended."""
        self._process.join(1.0)
        code = self._process.exitcode
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        return ProcessDiedError(
            f"{self.name} (process {self.pid}) {how} in the middle of the run; what it had not "
            "been answered may or may not be saved"
        )


def _run(connection: Connection, target: Callable[..., None], *arguments: Any) -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="mmoinv parent watch", daemon=True).start()
    try:
        target(connection, *arguments)
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass  # The parent is gone.
    except Exception as error:
        with contextlib.suppress(OSError):
            # What mmoinv raises is written for people; anything else needs its name.
            name = "" if isinstance(error, MmoinvError) else f"{type(error).__name__}: "
            connection.send(("failed", f"{name}{error}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def first_cause(children: list[Child], error: ProcessDiedError) -> ProcessDiedError:
    """The error to show: of the child that was killed, if there is one, since the others only
    felt it."""
    until_s = time.monotonic() + CAUSE_WITHIN_S
    while True:
        for child in children:
            if child.was_killed:
                return child.died()
        if time.monotonic() > until_s:
            return error
        time.sleep(0.02)


def messages(children: list[Child], timeout_s: float) -> list[tuple[Child, str, Any]]:
    """What has come from any child; waits ``timeout_s`` at most."""
    by_connection = {child.connection: child for child in children}
    ready = wait(list(by_connection), timeout_s)
    result = []
    for connection in ready:
        child = by_connection[connection]  # type: ignore[index]
        result.append((child, *child.receive()))
    return result
