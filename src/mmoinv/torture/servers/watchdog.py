"""Ends servers and removes their folder, also when whoever started them was killed.

A program of its own, so that nothing that happens to the tests happens to it. It reads lines from
its standard input, ``+PID`` and ``-PID``; at the end of it, which comes when the other end dies
too, it kills the families of the pids that are left and removes the folder it was given. It must
not import anything but the standard library. Linux only: it reads /proc.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

GONE_TIMEOUT_S = 20.0


def _state_and_parent(pid: int) -> tuple[str, int]:
    """``("Z", 0)`` for a process that is not there any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "Z", 0
    return fields[0], int(fields[1])


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be reaped does not."""
    return _state_and_parent(pid)[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Children, their children and so on; sessions and process groups do not matter."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_state_and_parent(int(entry))[1], []).append(int(entry))
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found


def kill_family(pid: int) -> None:
    """SIGKILL to a process and all its descendants, as a power cut would; returns when all are
    gone (or wait to be reaped). No parent sees its child die: it is stopped before."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    family = [pid]
    # A child that was about to fork is found in the next round.
    while found := [member for member in descendants(pid) if member not in family]:
        for member in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGSTOP)
        family += found
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    until = time.monotonic() + GONE_TIMEOUT_S
    while any(map(alive, family)):
        if time.monotonic() > until:
            raise TimeoutError(f"processes {family} are still there {GONE_TIMEOUT_S:g} s after it")
        time.sleep(0.005)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = sys.argv[1]
    pids: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        (pids.add if line[0] == "+" else pids.discard)(pid)
    for pid in pids:
        kill_family(pid)
    for _ in range(5):  # what the killed wrote last may come while the folder is being emptied
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.1)


if __name__ == "__main__":
    main()
