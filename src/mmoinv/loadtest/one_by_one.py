"""What the realm is compared with: the same saves as one transaction each, on the same database.

The straight way, with the driver alone: the fence and the operation are looked up, the records
updated, the operation and what it changed noted, each commit on the disk. It keeps what a realm
keeps, with no packets and no realm, statements prepared where the driver can.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.codec import pack_changes
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.records import INVENTORY_ITEM
from mmoinv.stores import open_store
from mmoinv.stores.tables import LEDGER_COLUMNS

PROGRESS_EVERY = 200

SESSION = "SELECT epoch, version, online FROM character_session WHERE character_guid = ?"
LOCK = " FOR UPDATE"
APPLIED = "SELECT 1 FROM applied_operation WHERE operation_id = ?"
SAVE = (
    "UPDATE character_inventory SET entry = ?, stack_count = ?, creator = ?, contained = ?, "
    "durability = ?, random_property_index = ?, random_suffix_index = ?, item_flags = ? "
    "WHERE character_guid = ? AND slot = ?"
)
BEFORE = (
    f"SELECT {', '.join(INVENTORY_ITEM.names or ())} FROM character_inventory "
    "WHERE character_guid = ? AND slot = ?"
)
FORGET = "DELETE FROM applied_operation WHERE operation_id >= ? AND operation_id < ?"
RAISE = "UPDATE character_session SET version = version + 1 WHERE character_guid = ?"
APPLY = "INSERT INTO applied_operation (operation_id, applied_at) VALUES (?, ?)"
NOTE = (
    f"INSERT INTO inventory_ledger ({', '.join(LEDGER_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(LEDGER_COLUMNS))})"
)
KINDS = ("sqlite", "postgresql", "postgres", "mariadb", "mysql")
"""Of databases, by the URL's scheme."""
FIRST_OPERATION = 0x7FFFFFFF_00000000
"""Of a node epoch that nobody gets to: these operations are nobody else's."""


class _Straight(ABC):
    """A connection to a database, the plain driver's."""

    begin = "BEGIN"
    lock = LOCK

    @abstractmethod
    async def run(self, statement: str, *values: Any) -> Any:
        """Run one statement, with the rows that it gives."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""


class _Sqlite(_Straight):
    begin = "BEGIN IMMEDIATE"
    lock = ""

    def __init__(self, path: str) -> None:
        import sqlite3

        self._connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
            self._connection.execute(f"PRAGMA {setting}").fetchone()

    async def run(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(statement, values).fetchall()

    async def close(self) -> None:
        self._connection.close()


class _Postgresql(_Straight):
    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._texts: dict[str, str] = {}

    async def run(self, statement: str, *values: Any) -> Any:
        if not values:
            return await self._raw.execute(statement)
        if statement not in self._texts:
            numbers = iter(range(1, 100))
            self._texts[statement] = re.sub(r"\?", lambda _: f"${next(numbers)}", statement)
        return await self._raw.fetch(self._texts[statement], *values)

    async def close(self) -> None:
        await self._raw.close()


class _Mariadb(_Straight):
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def run(self, statement: str, *values: Any) -> Any:
        async with self._raw.cursor() as cursor:
            await cursor.execute(statement.replace("?", "%s"), values or None)
            return await cursor.fetchall() if cursor.description else ()

    async def close(self) -> None:
        self._raw.close()


async def _connect(url: str) -> _Straight:
    """As the store of that URL connects, so that both have the same server and settings."""
    async with await open_store(url) as store:
        scheme = url.partition("://")[0]
        if scheme == "sqlite":
            return _Sqlite(url.removeprefix("sqlite:///"))
        raw = await store._connect()  # type: ignore[attr-defined]
    if scheme in ("mariadb", "mysql"):
        return _Mariadb(raw)
    if await raw.fetchval("SHOW synchronous_commit") == "off":
        # As the realm does: what is answered is on the disk.
        await raw.execute("SET synchronous_commit = on")
    return _Postgresql(raw)


async def save_one_by_one(
    url: str,
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
    fields = rng.integers(1, 100, (saves, changed, 8)).tolist()
    now_s = int(time.time())
    database = await _connect(url)
    try:
        began_s = time.perf_counter()
        for number in range(saves):
            guid, operation = who[number], FIRST_OPERATION + number
            await database.run(database.begin)
            ((_, version, _),) = await database.run(SESSION + database.lock, guid)
            await database.run(APPLIED, operation)
            changes = []
            for slot, values in zip(places[number], fields[number], strict=True):
                # Whose guid it is, and what the ledger says was there before.
                (stored,) = await database.run(BEFORE, guid, slot)
                await database.run(SAVE, *values, guid, slot)
                entry, *others = values
                changes.append((tuple(stored), (entry, slot, *others, stored[-1])))
            await database.run(RAISE, guid)
            await database.run(APPLY, operation, now_s)
            before, after = (
                np.array(list(records), INVENTORY_ITEM) for records in zip(*changes, strict=True)
            )
            (packed,) = pack_changes(before, after, np.array([changed], np.uint64))
            await database.run(NOTE, guid, version + 1, operation, now_s, 1, 0, packed, None, None)
            await database.run("COMMIT")
            if number % PROGRESS_EVERY == 0:
                progress(number)
        seconds = time.perf_counter() - began_s
        await database.run(FORGET, FIRST_OPERATION, FIRST_OPERATION + saves)
        if database.begin == "BEGIN":
            await database.run("COMMIT")
    finally:
        await database.close()
    return saves / seconds
