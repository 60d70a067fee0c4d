"""What a run ran on: facts for the report that explain its figures.

Nothing that names the machine or its user.
"""

import os
import platform
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from mmoinv import __version__, codec


def machine_facts() -> dict[str, Any]:
    """By name; what cannot be found out is ``"unknown"``."""
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "sqlite": sqlite3.sqlite_version,
        "mmoinv": __version__,
        "codec": codec.CODEC,
    }


def _cores() -> int:
    """Those that this process may use, not all that are there."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # Not Linux.
    return platform.processor() or platform.machine() or "unknown"
