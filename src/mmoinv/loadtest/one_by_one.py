"""What the realm is compared with: the same saves as one transaction each, on the same file.

The straight way, with sqlite3 and statements that it has prepared: the fence and the operation
are looked up, the records updated, the operation noted, full sync. No network, no packets, no
other process: everything that could be said for it.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np
import numpy.typing as npt

from mmoinv.loadtest.guids import GUID_BASE

PROGRESS_EVERY = 200

SESSION = "SELECT epoch, version, online FROM character_session WHERE character_guid = ?"
APPLIED = "SELECT 1 FROM applied_operation WHERE operation_id = ?"
SAVE = (
    "UPDATE character_inventory SET entry = ?, stack_count = ?, creator = ?, contained = ?, "
    "durability = ?, random_property_index = ?, random_suffix_index = ?, item_flags = ? "
    "WHERE character_guid = ? AND slot = ?"
)
GUID = "SELECT item_guid FROM character_inventory WHERE character_guid = ? AND slot = ?"
FORGET = "DELETE FROM applied_operation WHERE operation_id BETWEEN ? AND -1"
RAISE = "UPDATE character_session SET version = version + 1 WHERE character_guid = ?"
APPLY = "INSERT INTO applied_operation (operation_id, applied_at) VALUES (?, ?)"


def save_one_by_one(
    path: str,
    slots: npt.NDArray[np.uint16],
    characters: int,
    changed: int,
    saves: int,
    seed: int,
    progress: Callable[[int], object],
) -> float:
    """Do so many saves of ``changed`` records; how many that were in a second.

    The characters are those of the sender, each with items in these slots.
    """
    rng = np.random.default_rng(seed)
    who = (GUID_BASE + rng.integers(0, characters, saves)).tolist()
    places = rng.permuted(np.tile(slots, (saves, 1)), axis=1)[:, :changed].tolist()
    records = rng.integers(1, 100, (saves, changed, 8)).tolist()
    # Of the last node epoch, as u64: nobody else's. They are deleted at the end.
    first = -saves
    now_s = int(time.time())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
        began_s = time.perf_counter()
        for number in range(saves):
            guid = who[number]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(SESSION, (guid,)).fetchone()
            connection.execute(APPLIED, (first + number,)).fetchone()
            for slot, fields in zip(places[number], records[number], strict=True):
                # The guid check that a realm does, too.
                connection.execute(GUID, (guid, slot)).fetchone()
                connection.execute(SAVE, (*fields, guid, slot))
            connection.execute(RAISE, (guid,))
            connection.execute(APPLY, (first + number, now_s))
            connection.execute("COMMIT")
            if number % PROGRESS_EVERY == 0:
                progress(number)
        seconds = time.perf_counter() - began_s
        connection.execute(FORGET, (first,))
    return saves / seconds
