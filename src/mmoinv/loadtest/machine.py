"""What a run ran on: facts for the report that explain its figures.

Nothing that names the machine or its user.
"""

import os
import platform
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmoinv import __version__, codec
from mmoinv.stores import store_for

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNKNOWN = "unknown"


def machine_facts(database: str = UNKNOWN) -> dict[str, Any]:
    """By name; what cannot be found out is ``"unknown"``. ``database``: see `database_version`."""
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "database": database,
        "mmoinv": __version__,
        "codec": codec.CODEC,
    }


async def database_version(url: str) -> str:
    """Name and version of a database, such as ``"PostgreSQL 16.4"``; `StoreError` if it cannot be
    reached. Of another package's store its scheme is all that is known."""
    from mmoinv.stores.sql_store import SqlStore

    store = store_for(url)
    if not isinstance(store, SqlStore):
        return url.partition("://")[0]
    return await store.read_only(_version)


def _version(connection: "Connection") -> str:
    from sqlalchemy import text

    kind = connection.dialect.name
    if kind == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    if kind == "postgresql":
        # What a distribution adds in brackets says nothing.
        version = str(connection.execute(text("SHOW server_version")).scalar_one())
        return f"PostgreSQL {version.split()[0]}"
    number, _, more = str(connection.execute(text("SELECT version()")).scalar_one()).partition("-")
    return f"{'MariaDB' if 'maria' in more.lower() else 'MySQL'} {number}"


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
    return platform.processor() or platform.machine() or UNKNOWN
