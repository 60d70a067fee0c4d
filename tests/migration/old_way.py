"""An old way of saving, as a team has it: a table without keys or guids, everything deleted and
inserted anew each time. With what can go wrong with it."""

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmoinv.records import Batch, InventoryItemData, batch_of

COLUMNS = "entry, slot, count, creator, durability, flags"


class OldWay:
    """``is_failing`` raises, ``gate`` (cleared) hangs, ``pause_s`` is slow; ``spoil`` is a bug in
    the code that writes."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.is_failing = False
        self.gate = threading.Event()
        self.gate.set()
        self.pause_s = 0.0
        self.saves = 0
        self.loads = 0
        self.spoil = lambda items: items
        with self._open() as database:
            database.execute(f"CREATE TABLE IF NOT EXISTS character_items (owner, {COLUMNS})")
        database.close()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=20)

    def _pass(self) -> None:
        assert self.gate.wait(30)
        time.sleep(self.pause_s)
        if self.is_failing:
            raise ConnectionError("the old database is away")

    def load(self, guid: int) -> Batch:
        self._pass()
        self.loads += 1
        database = self._open()
        try:
            rows = database.execute(
                f"SELECT {COLUMNS} FROM character_items WHERE owner = ?", (str(guid),)
            ).fetchall()
        finally:
            database.close()
        return batch_of(
            *(
                InventoryItemData(
                    entry, slot, count, int(creator), durability=durability, item_flags=flags
                )
                for entry, slot, count, creator, durability, flags in rows
            )
        )

    def save(self, guid: int, items: Batch) -> None:
        self.save_together([(guid, items, {})])

    def save_together(self, whole: Sequence[tuple[int, Batch, Mapping[int, int]]]) -> None:
        self._pass()
        database = self._open()
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                for guid, items, _ in whole:
                    self.saves += 1
                    database.execute("DELETE FROM character_items WHERE owner = ?", (str(guid),))
                    database.executemany(
                        "INSERT INTO character_items VALUES (?, ?, ?, ?, ?, ?, ?)",
                        [
                            (
                                str(guid),
                                int(one["entry"]),
                                int(one["slot"]),
                                int(one["stack_count"]),
                                str(one["creator"]),
                                int(one["durability"]),
                                int(one["item_flags"]),
                            )
                            for one in self.spoil(items)
                        ],
                    )
        finally:
            database.close()
