"""How long an import, a verification and an export take: ``python benchmarks/import_speed.py``.

Makes a table of the C++ line in an SQLite file, and prints the median of three runs, each into a
new SQLite file. The export goes into an empty table. Knows nothing but the functions that the
command calls.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from mmoinv.legacy import export_tables, import_tables, verify_tables
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.stores import store_for

TABLE = (
    "CREATE TABLE character_items (owner INTEGER, slot INTEGER, entry INTEGER, creator INTEGER, "
    "count INTEGER, durability INTEGER, flags INTEGER, PRIMARY KEY (owner, slot))"
)
OWN = 255 << 8
RUNS = 3


def make(path: Path, characters: int, items: int) -> None:
    """An old table; 0 characters: an empty one."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany(
            "INSERT INTO character_items VALUES (?, ?, ?, NULL, ?, 40, 1)",
            (
                (guid, OWN | 23 + number, 100 + number, 1 + number % 5)
                for guid in range(1, characters + 1)
                for number in range(items)
            ),
        )


async def measure(folder: Path, characters: int, items: int) -> None:
    """Print the figures."""
    make(folder / "old.db", characters, items)
    old = KyorilTables(f"sqlite:///{folder / 'old.db'}")
    times_s: dict[str, list[float]] = {}

    async def timed(name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        begun = time.perf_counter()
        report = await work()
        times_s.setdefault(name, []).append(time.perf_counter() - begun)
        return report

    for run in range(RUNS):
        url = f"sqlite:///{folder / f'realm{run}.db'}"
        make(folder / f"empty{run}.db", 0, 0)
        empty = KyorilTables(f"sqlite:///{folder / f'empty{run}.db'}")
        first = await timed("import", lambda url=url: import_tables(old, store_for(url)))
        assert first.written == characters
        again = await timed("import again", lambda url=url: import_tables(old, store_for(url)))
        assert again.unchanged == characters
        assert (await timed("verify", lambda url=url: verify_tables(old, store_for(url)))).passed
        back = await timed(
            "export", lambda url=url, empty=empty: export_tables(empty, store_for(url))
        )
        assert back.written == characters
    print(f"{characters:,} characters of {items} items, SQLite, median of {RUNS}:")
    for name, seconds in times_s.items():
        print(f"  {name:<13} {median(seconds):6.1f} s")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--characters", type=int, default=10_000)
    arguments.add_argument("--items", type=int, default=25)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(measure(Path(temporary), options.characters, options.items))
