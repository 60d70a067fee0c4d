"""A server's process and its folder: started unprivileged, gone with whoever started it.

Knows processes, folders and ports, and no database. Linux only.
"""

import contextlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmoinv.errors import MmoinvError
from mmoinv.torture.servers import watchdog

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
LOG_CHARACTERS = 4000
LONGEST_PARENT = 40
"""Of a folder with sockets in it: a socket's path has about 100 bytes."""


class ServerMissingError(MmoinvError):
    """There is no such server on this machine: what was NOT TESTED, and the remedy."""


class ServerError(MmoinvError):
    """A server did not start, stop or do as it was told; its log's end stands in the message."""


def account(*names: str) -> Mapping[str, Any]:
    """How `subprocess` runs a server that refuses to run as root: as the first of these accounts
    that exists. Empty if we are not root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise ServerMissingError(
        f"Servers NOT TESTED: they do not run as root, and none of {', '.join(names)} exists. "
        f"Run the tests as another user."
    )


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, below those that clients get by chance: one
    that connects again and again to a killed server's port would some day meet itself there."""
    for _ in range(1000):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerError("no free port was found between 20000 and 32000 in 1000 attempts.")


class ServerFolder:
    """A throw-away folder with a short path, and the programs that run in it as ``run_as``."""

    def __init__(self, name: str, run_as: Mapping[str, Any]) -> None:
        parent = tempfile.gettempdir()
        self.path = Path(
            tempfile.mkdtemp(
                prefix=f"mmoinv-{name}-", dir=parent if len(parent) <= LONGEST_PARENT else "/tmp"
            )
        )
        self.run_as = run_as
        self.own(self.path)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, str(self.path)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )

    def own(self, path: Path) -> None:
        """Give a file to the account that the programs run as."""
        if self.run_as:
            os.chown(path, self.run_as["user"], self.run_as["group"])

    def popen(self, command: Sequence[str | Path], log: Path) -> "subprocess.Popen[bytes]":
        """Start a program in the folder; the watchdog knows of it until `release`."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin",
            "HOME": str(self.path),
            "TMPDIR": str(self.path),
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        with log.open("ab") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.path,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the tests; they end the server
                **self.run_as,
            )
        self._tell(f"+{process.pid}")
        return process

    def release(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for a program's end; the watchdog forgets it."""
        process.wait()
        self._tell(f"-{process.pid}")

    def run(self, *command: str | Path) -> str:
        """Run a program to its end: what it printed; `ServerError` if it failed."""
        log = self.path / f"{Path(command[0]).name}.log"
        process = self.popen(command, log)
        self.release(process)
        printed = log.read_text(errors="replace")
        if process.returncode != 0:
            raise ServerError(
                f"{shlex.join(map(str, command))} failed with {process.returncode}:\n"
                f"{printed[-LOG_CHARACTERS:]}"
            )
        return printed

    def limit(self, pid: int, limit: str) -> None:
        """Give a process that runs here a limit, as an option of the command ``prlimit``. The
        account may do that to its own processes; for another's, also root needs a right that it
        may lack. One that has ended meanwhile needs none."""
        if shutil.which("prlimit") is None:
            raise ServerMissingError(
                "Full disks NOT TESTED: there is no command prlimit. Remedy: install util-linux"
            )
        with contextlib.suppress(ServerError):
            self.run("prlimit", f"--pid={pid}", limit)

    def _tell(self, line: str) -> None:
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.write(f"{line}\n".encode())
        self._watchdog.stdin.flush()

    def remove(self) -> None:
        """Kill what still runs and remove the folder. A second time does nothing."""
        self._watchdog.communicate()


class ServerProcess:
    """One server in a folder, that can be killed, stopped and started again."""

    def __init__(self, folder: ServerFolder, name: str, stop_signal: signal.Signals) -> None:
        self.folder = folder
        self.log = folder.path / f"{name}.log"
        self._name = name
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there; it may not answer yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that was started last; 0 if it is gone."""
        return 0 if self._process is None else self._process.pid

    def start(self, command: Sequence[str | Path], ready: Callable[[], object]) -> None:
        """Start it and wait until ``ready`` raises no exception; `ServerError` if it ends before
        or is not ready within `START_TIMEOUT_S`."""
        if self.running:
            raise ServerError(f"{self._name} runs already.")
        self._reap()
        self._process = self.folder.popen(command, self.log)
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                code = self._process.returncode
                self._reap()
                raise ServerError(f"{self._name} ended with {code}. {self.log_tail()}")
            try:
                ready()
                return
            except Exception as error:
                if time.monotonic() > until:
                    self.kill()
                    raise ServerError(
                        f"{self._name} is not ready after {START_TIMEOUT_S:g} s. {self.log_tail()}"
                    ) from error
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to it and to all its children at once; returns when they are gone."""
        if self._process is not None:
            if self._process.poll() is None:
                watchdog.kill_family(self._process.pid)
            self._reap()

    def stop(self) -> None:
        """End it in its orderly way; after `STOP_TIMEOUT_S` it is killed and `ServerError`."""
        if self._process is None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(
                f"{self._name} did not stop within {STOP_TIMEOUT_S:g} s. {self.log_tail()}"
            ) from None
        self._reap()

    def log_tail(self) -> str:
        """The end of its log, to be shown."""
        return f"The end of its log:\n{self.log.read_text(errors='replace')[-LOG_CHARACTERS:]}"

    def _reap(self) -> None:
        if self._process is not None:
            self.folder.release(self._process)
            self._process = None
