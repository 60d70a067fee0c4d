"""What `shadow` and `primary` cost the game beside `legacy` and `new`, in one run.

Two ways of asking. How long commit() keeps the game's thread: two repositories in memory, so that
what is measured is the move's own work, one commit after the other; the side that follows is
written in its own thread meanwhile. And how many saves a second come back: through a realm of its
own on SQLite, with an old way that stores whole inventories in a file of its own. The modes take
turns, so that what else the machine does meets all of them.
"""

import asyncio
import multiprocessing
import sqlite3
import time
from pathlib import Path
from statistics import median

import numpy as np
from inventories import inventory
from realm_apart import WORLD, run_realm
from targets import MIGRATION_GROUP, MIGRATION_SAVES_GROUP

from mmoinv.migration import (
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Rules,
    WholeInventories,
)
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.repository import InMemoryInventoryRepository, OperationHandle
from mmoinv.world import RealmConnector

CHARACTERS = 200
COMMITS = 2000
ROUNDS = 5
PLAYERS = 200
ROUND_S = 1.0
SETTINGS = MigrationSettings(compare_share=1.0)


def changed(items: Batch, number: int) -> Batch:
    """Three records of an inventory with other stack counts."""
    some = items[number % 20 : number % 20 + 3].copy()
    some["stack_count"] = some["stack_count"] % 20 + 1
    return some


async def commit_us(mode: MigrationMode, folder: Path) -> float:
    """The median time of a commit in the game's thread, which pauses as a game does."""
    legacy, new = (InMemoryInventoryRepository(names_items=True) for _ in range(2))
    book = FileBook(folder / f"{mode.value}.book")
    took = []
    async with MigratingRepository(
        legacy, new, rules=ModeRules(Rules(mode)), book=book, settings=SETTINGS
    ) as moving:
        inventories = {guid: inventory(25, guid) for guid in range(1, CHARACTERS + 1)}
        for guid, items in inventories.items():
            await moving.join(guid)
            await moving.save_all_items(guid, items)
        await moving.flush()
        for number in range(COMMITS):
            guid = number % CHARACTERS + 1
            saves = changed(inventories[guid], number)
            began = time.perf_counter_ns()
            moving.save_changes(guid, saves)
            took.append(time.perf_counter_ns() - began)
            if number % 20 == 0:
                await asyncio.sleep(0.001)
        assert await moving.flush()
    book.close()
    return median(took) / 1000


def test_what_a_commit_costs_the_games_thread(benchmark, tmp_path):
    benchmark.group = MIGRATION_GROUP
    took: dict[MigrationMode, list[float]] = {mode: [] for mode in MigrationMode}

    def each_in_turn() -> None:
        for number in range(ROUNDS):
            folder = tmp_path / str(number)
            folder.mkdir()
            for mode in MigrationMode:
                took[mode].append(asyncio.run(commit_us(mode, folder)))

    benchmark.pedantic(each_in_turn, rounds=1)
    us = {mode: median(took[mode]) for mode in MigrationMode}
    benchmark.extra_info.update(
        {f"commit_{mode.value}_us": round(us[mode], 1) for mode in MigrationMode}
        | {
            "shadow_times_legacy": round(us[MigrationMode.SHADOW] / us[MigrationMode.LEGACY], 2),
            "primary_times_new": round(us[MigrationMode.PRIMARY] / us[MigrationMode.NEW], 2),
        }
    )


class OldFile:
    """An old way: whole inventories in a file, a record of bytes a character."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS inventory (owner INTEGER PRIMARY KEY, items BLOB)"
        )

    def load(self, guid: int) -> Batch:
        row = self._database.execute(
            "SELECT items FROM inventory WHERE owner = ?", (guid,)
        ).fetchone()
        return np.frombuffer(row[0] if row else b"", INVENTORY_ITEM).copy()

    def save(self, guid: int, items: Batch) -> None:
        self._database.execute("REPLACE INTO inventory VALUES (?, ?)", (guid, items.tobytes()))

    def close(self) -> None:
        self._database.close()


async def saves_per_s(mode: MigrationMode, port: int, secret: str, folder: Path) -> float:
    """Every player saves again as soon as the answer is there."""
    old, book = OldFile(folder / "old.db"), FileBook(folder / "moving.book")
    legacy = WholeInventories(old.load, old.save, threads=1)
    saves = 0
    first = 1 + 100_000 * list(MigrationMode).index(mode)
    inventories = {guid: inventory(25, guid) for guid in range(first, first + PLAYERS)}
    async with RealmConnector("127.0.0.1", port, world=WORLD, secret=secret) as connector:
        moving = MigratingRepository(
            legacy,
            connector.repository(),
            rules=ModeRules(Rules(mode)),
            book=book,
            mint=connector.new_item_guids,
            join_new=connector.join,
            leave_new=connector.leave,
            settings=SETTINGS,
        )
        for guid, items in inventories.items():
            await moving.join(guid)
            moving.save_all_items(guid, items)
        assert await moving.flush(60)
        loop = asyncio.get_running_loop()
        ends = time.perf_counter() + ROUND_S

        def save(guid: int, number: int) -> None:
            handle = moving.save_changes(guid, changed(inventories[guid], number))
            assert handle is not None
            handle.add_done_callback(lambda done: answered(done, guid, number))

        def answered(handle: OperationHandle, guid: int, number: int) -> None:
            nonlocal saves
            if handle.exception is not None:
                raise handle.exception
            saves += 1
            if time.perf_counter() < ends:
                loop.call_soon_threadsafe(save, guid, number + 1)

        began = time.perf_counter()
        for guid in inventories:
            save(guid, 0)
        await asyncio.sleep(ROUND_S)
        rate = saves / (time.perf_counter() - began)
        assert await moving.flush(60)
        await moving.close()
    legacy.close()
    old.close()
    book.close()
    return rate


def test_saves_a_second_in_each_mode(benchmark, tmp_path):
    benchmark.group = MIGRATION_SAVES_GROUP
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_realm, args=(theirs, f"sqlite:///{tmp_path / 'realm.db'}"))
    process.start()
    rates: dict[MigrationMode, list[float]] = {mode: [] for mode in MigrationMode}
    try:
        assert ours.poll(30), "the realm did not start"
        port, secret = ours.recv()

        def each_in_turn() -> None:
            for number in range(3):
                for mode in MigrationMode:
                    folder = tmp_path / f"{mode.value}-{number}"
                    folder.mkdir()
                    rates[mode].append(asyncio.run(saves_per_s(mode, port, secret, folder)))

        benchmark.pedantic(each_in_turn, rounds=1)
        ours.send("end")
        process.join(30)
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()
    rate = {mode: median(rates[mode]) for mode in MigrationMode}
    benchmark.extra_info.update(
        {f"{mode.value}_saves_per_s": round(rate[mode]) for mode in MigrationMode}
        | {
            "shadow_share_of_legacy": round(
                rate[MigrationMode.SHADOW] / rate[MigrationMode.LEGACY], 2
            ),
            "primary_share_of_new": round(rate[MigrationMode.PRIMARY] / rate[MigrationMode.NEW], 2),
        }
    )
