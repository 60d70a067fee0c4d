"""What the machine gives: open files, and how long a disk takes to sync."""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from mmoinv.doctor.check import Check, failed, passed, warned

PLAYERS = 2000
OTHER_FILES = 100
PAGE_SIZE = 4096
SYNCS = 50
GROUP = 100
SLOW_SYNC_MS = 50.0
"""A transaction should take less than this, and it syncs once."""
UNLIKELY_SYNC_MS = 0.005
"""No disk is that quick, with or without a cache of its own."""


def open_files() -> Check:
    """Whether one process may hold the sockets of 2,000 players."""
    name = "open files"
    if sys.platform == "win32":
        return passed(name, "Windows does not limit them")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judge_open_files(*(None if n == resource.RLIM_INFINITY else n for n in (soft, hard)))


def judge_open_files(soft: int | None, hard: int | None) -> Check:
    """``soft`` and ``hard`` limit, None for none."""
    name, needed = "open files", PLAYERS + OTHER_FILES
    if soft is None:
        return passed(name, f"not limited; {PLAYERS:,} players' sockets want {needed:,}")
    text = f"at most {soft:,} in one process; {PLAYERS:,} players' sockets want {needed:,}"
    if soft >= needed:
        return passed(name, text, limit=soft)
    remedy = "Where a process holds the players' sockets too: ulimit -n 4096 before it starts"
    if hard is not None and hard < needed:
        remedy += f" (as root: its hard limit is {hard:,})"
    return warned(name, f"{text}; a realm alone needs a few", remedy, limit=soft)


def disk(folder: Path, *, is_needed: bool) -> Check:
    """How long a sync takes in a folder; ``is_needed`` if a database lies there."""
    try:
        times_ms = sync_times_ms(folder)
    except OSError as error:
        text = f"nothing can be written in {folder}: {error.strerror or error}"
        remedy = "Give this process the right to write there, or make room."
        return (failed if is_needed else warned)("disk", text, remedy)
    return judge_disk(times_ms, folder)


def sync_times_ms(folder: Path) -> list[float]:
    """How long each of 50 appended pages takes to be written and synced, in milliseconds."""
    times_ms = []
    with tempfile.TemporaryFile(prefix="mmoinv-doctor-", dir=folder) as file:
        page = os.urandom(PAGE_SIZE)
        for _ in range(SYNCS):
            begun = time.perf_counter()
            os.write(file.fileno(), page)
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - begun) * 1000)
    return times_ms


def judge_disk(times_ms: list[float], folder: Path) -> Check:
    """What the times of single syncs mean for saves per second."""
    median_ms = statistics.median(times_ms)
    p99_ms = p99_of(times_ms)
    alone = 1000 / max(median_ms, 1e-6)
    text = (
        f"a sync takes {median_ms:.2f} ms (p99 {p99_ms:.2f} ms) in {folder}: it allows for "
        f"{alone:,.0f} saves/s with a transaction each, {alone * GROUP:,.0f} with {GROUP} in one"
    )
    figures = {
        "sync_median_ms": round(median_ms, 4),
        "sync_p99_ms": round(p99_ms, 4),
        "saves_per_s_alone": round(alone),
        "saves_per_s_grouped": round(alone * GROUP),
    }
    if median_ms < UNLIKELY_SYNC_MS:
        remedy = "That is memory, no disk: keep the database where it outlives a power cut."
        return warned("disk", text, remedy, **figures)
    if p99_ms >= SLOW_SYNC_MS:
        remedy = (
            f"Answers to saves wait for it, and {SLOW_SYNC_MS:.0f} ms are too long. Put the "
            "database on a local SSD, away from other writers."
        )
        return warned("disk", text, remedy, **figures)
    return passed("disk", text, **figures)


def p99_of(times_ms: list[float]) -> float:
    """All but one in a hundred took no longer; of fewer than that, the longest."""
    return sorted(times_ms)[-1 - len(times_ms) // 100]
