"""A wall clock that another process can put forward and back: a file of eight bytes.

For processes that a torture run starts itself. Nothing here happens by being imported.
"""

import mmap
import struct
import time
from pathlib import Path

OFFSET_S = struct.Struct("d")


def set_clock(path: Path, offset_s: float = 0.0) -> None:
    """Say how far off the clock is, from now on."""
    # In place: whoever follows it has mapped this very file.
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(OFFSET_S.pack(offset_s))


def follow_clock(path: Path) -> None:
    """Let this process's `time.time` be off by what the file says, at each moment."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), OFFSET_S.size, prot=mmap.PROT_READ)
    true_time = time.time

    def time_off() -> float:
        return true_time() + float(OFFSET_S.unpack(offset[: OFFSET_S.size])[0])

    time.time = time_off
