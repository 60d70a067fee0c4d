"""AzerothCore's tables: what is taken of them, what is not and why; and in again, and out again."""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from old_tables import NO_KEYS, azerothcore, character, item, place, rows, run

from mmoinv.audit import verify
from mmoinv.conformance.operations import changes, commit, joined
from mmoinv.conformance.operations import item as record
from mmoinv.conformance.operations import run as play
from mmoinv.errors import ConfigurationError
from mmoinv.legacy import ImportReport, ImportWish, OldInventory, import_tables, verify_tables
from mmoinv.legacy.azerothcore import AzerothcoreTables
from mmoinv.legacy.interface import LAST_GUID
from mmoinv.stores import LeaveEntry, store_for
from mmoinv.stores.sql_store import SqlStore

OWN = 255 << 8
MIRA, ORIN, GONE = 7, 8, 99


async def read(url: str, at_once: int = 500) -> list[OldInventory]:
    tables = AzerothcoreTables(url)
    return [one async for page in tables.read(0, LAST_GUID, at_once) for one in page]


async def imported(url: str, store: SqlStore, **wish: Any) -> ImportReport:
    return await import_tables(AzerothcoreTables(url), store, ImportWish(**wish))


def realm(tmp_path: Path) -> SqlStore:
    store = store_for(f"sqlite:///{tmp_path / 'realm.db'}")
    assert isinstance(store, SqlStore)
    return store


def reasons(found: OldInventory) -> dict[int, str]:
    """Why items are not taken, by their guid."""
    return {fault.values["item"]: fault.reason for fault in found.faults}


async def small_shard(url: str) -> None:
    """Mira has a bag and what is in it; Orin only money."""
    await run(
        url,
        *azerothcore(url),
        character(MIRA, 12_345),
        character(ORIN, 4_294_967_295),
        item(10, MIRA, 25, durability=20, creatorGuid=MIRA, flags=1),
        place(MIRA, 0, 15, 10),
        item(11, MIRA, 4500),
        place(MIRA, 0, 19, 11),
        item(4_294_967_295, MIRA, 2589, 20, randomPropertyId=-37),
        place(MIRA, 11, 3, 4_294_967_295),
        item(13, MIRA, 7000, randomPropertyId=584, creatorGuid=GONE),
        place(MIRA, 0, 39, 13),
    )


async def test_items_keep_their_guids_and_bags_become_slots(database_url: str, tmp_path: Path):
    await small_shard(database_url)
    mira, orin = await read(database_url, 1)
    assert (mira.character_guid, mira.balances, orin.balances) == (
        MIRA,
        {0: 12_345},
        {0: 4_294_967_295},
    )
    assert not mira.faults
    assert not mira.leftovers
    assert not len(orin.items)
    store = realm(tmp_path)
    report = await imported(database_url, store)
    assert (report.characters, report.written, report.items) == (2, 2, 4)
    assert report.money == {0: 12_345 + 4_294_967_295}
    async with store:
        assert (await store.read_items(MIRA)).tolist() == [
            (2589, 19 << 8 | 3, 20, 0, 11, 0, 0, 37, 0, 4_294_967_295),
            (25, OWN | 15, 1, MIRA, MIRA, 20, 0, 0, 1, 10),
            (4500, OWN | 19, 1, 0, MIRA, 0, 0, 0, 0, 11),
            (7000, OWN | 39, 1, GONE, MIRA, 0, 584, 0, 0, 13),
        ]
        assert await store.read_wallet(ORIN) == {0: 4_294_967_295}
    assert (await store.read_only(verify)).passed
    assert (await imported(database_url, store)).unchanged == 2
    verdict = await verify_tables(AzerothcoreTables(database_url), store)
    assert (verdict.passed, verdict.old_items, verdict.items) == (True, 4, 4)


async def test_awkward_rows_are_told_and_set_aside(database_url: str, tmp_path: Path):
    await small_shard(database_url)
    await run(
        database_url,
        item(20, MIRA),
        place(MIRA, 999, 0, 20),  # The bag is nobody's.
        place(MIRA, 0, 24, 21),  # No such item.
        item(22, MIRA),
        place(MIRA, 0, 90, 22),  # The keyring.
        item(23, MIRA, 4500),
        place(MIRA, 0, 67, 23),
        item(24, MIRA),
        place(MIRA, 23, 0, 24),  # In a bag of the bank.
        item(25, MIRA, 4500),
        place(MIRA, 0, 30, 25),
        item(26, MIRA),
        place(MIRA, 25, 0, 26),  # In a bag in the backpack.
        item(27, MIRA, count=70_000),
        place(MIRA, 0, 25, 27),
        item(28, MIRA, 0),
        place(MIRA, 0, 26, 28),
        item(29, MIRA),
        place(MIRA, 11, 36, 29),
        item(30, GONE),
        place(GONE, 0, 23, 30),  # The character is gone.
        item(31, MIRA),
        place(MIRA, 0, 74, 31),  # To be bought back.
    )
    mira, _, gone = await read(database_url)
    assert reasons(mira) == {
        20: "the bag 999 that it is in is not the character's, or is not taken",
        21: "there is no item 21 in item_instance",
        22: "slot 90 of the character itself is no place that mmoinv has",
        24: "the bag that it is in is in the bank (slot 67): mmoinv has no place in it",
        26: "the bag that it is in is not worn (slot 30): mmoinv has no place in it",
        27: "stack_count 70000 is outside 0..65535",
        28: "slot 65306: entry is 0, which names no item",
        29: "a bag has no slot 36",
        31: "slot 74 of the character itself is no place that mmoinv has",
    }
    assert reasons(gone) == {30: "there is no character 99 in characters"}
    assert mira.items["item_guid"].tolist() == [4_294_967_295, 10, 11, 25, 13, 23]
    store = realm(tmp_path)
    report = await imported(database_url, store)
    assert (report.items, sum(report.set_aside.values()), report.newly_kept) == (6, 10, 10)
    again = await imported(database_url, store)
    assert (again.newly_kept, again.written) == (0, 0)
    verdict = await verify_tables(AzerothcoreTables(database_url), store)
    assert (verdict.passed, verdict.set_aside) == (True, 10)
    kept = await rows(
        store.url, "SELECT stored_row FROM import_set_aside WHERE character_guid = 99"
    )
    assert json.loads(kept[0][0])["item"] == 30


async def test_what_no_record_has_room_for_is_kept_aside(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    await run(
        mariadb_url,
        "UPDATE item_instance SET enchantments = '3854 0 0 0 0 ', text = 'Für Rémy', "
        "charges = '-1 0 0 0 0' WHERE guid = 10",
        "UPDATE item_instance SET giftCreatorGuid = 8, duration = 60 WHERE guid = 11",
    )
    (mira, _) = await read(mariadb_url)
    assert [(row.values["item"], row.reason) for row in mira.leftovers] == [
        (10, "taken, but for what no record has room for: charges, enchantments, text"),
        (11, "taken, but for what no record has room for: giftCreatorGuid, duration"),
    ]
    store = realm(tmp_path)
    report = await imported(mariadb_url, store)
    assert (report.items, sum(report.leftovers.values()), report.newly_kept) == (4, 2, 2)
    ((first,), _) = await rows(store.url, "SELECT stored_row FROM import_set_aside")
    assert json.loads(first)["text"] == "Für Rémy"
    assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).leftovers == 2


async def test_without_keys_the_last_row_wins_and_no_item_is_doubled(
    mariadb_url: str, tmp_path: Path
):
    await small_shard(mariadb_url)
    await run(
        mariadb_url,
        NO_KEYS,
        item(40, MIRA),
        place(MIRA, 0, 15, 40),  # Where item 10 is.
        place(MIRA, 0, 40, 11),  # The bag once more.
        place(ORIN, 0, 23, 13),  # Mira's, and hers as item_instance says.
        item(41, GONE),
        place(MIRA, 0, 23, 41),
        place(ORIN, 0, 24, 41),  # Nobody's who has it: the first one's.
    )
    mira, orin = await read(mariadb_url)
    assert dict(
        zip(mira.items["slot"].tolist(), mira.items["item_guid"].tolist(), strict=True)
    ) == {OWN | 15: 40, OWN | 40: 11, OWN | 39: 13, OWN | 23: 41}
    assert reasons(mira) == {
        10: "slot 65295: the slot occurs twice, and a later row is taken",
        11: "item 11 is there twice, and a later row is taken",
        4_294_967_295: "the bag that it is in is in the bank (slot 40): mmoinv has no place in it",
    }
    assert reasons(orin) == {
        13: f"item 13 is also with character {MIRA}",
        41: f"item 41 is also with character {MIRA}",
    }
    store = realm(tmp_path)
    assert (await imported(mariadb_url, store)).passed
    assert (await imported(mariadb_url, store)).written == 0
    assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).passed


async def test_an_item_that_changed_hands_comes_over_again(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    store = realm(tmp_path)
    await imported(mariadb_url, store)
    await run(
        mariadb_url,
        f"UPDATE character_inventory SET guid = {ORIN}, bag = 0, slot = 23 WHERE item = 10",
        f"UPDATE item_instance SET owner_guid = {ORIN} WHERE guid = 10",
    )
    for at_once in (500, 1):
        report = await imported(mariadb_url, store, characters_at_once=at_once)
        assert report.passed
        assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).passed
        # And back, to one who comes before.
        await run(
            mariadb_url,
            f"UPDATE character_inventory SET guid = {MIRA}, slot = 23 WHERE item = 10",
        )
    assert (await imported(mariadb_url, store, characters_at_once=1)).passed
    assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).passed
    assert (await store.read_only(verify)).passed


async def test_what_someone_has_played_with_is_not_taken_away(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    store = realm(tmp_path)
    await imported(mariadb_url, store)
    async with store:
        world = await store.add_world("world-1", "verifier")
        (mira,) = await joined(store, MIRA, world=world)
        moved = commit(
            1 << 40, changes(MIRA, record(OWN | 30, 1 << 33), epoch=mira.epoch, version=1)
        )
        assert await play(store, moved, world=world) == [(0, [2])]
        await store.write_group([LeaveEntry(MIRA, world, mira.epoch)])
    await run(
        mariadb_url,
        f"UPDATE character_inventory SET guid = {ORIN}, bag = 0, slot = 23 WHERE item = 10",
    )
    report = await imported(mariadb_url, store)
    assert [one.character_guid for one in report.left] == [MIRA]
    assert report.set_aside == {"item N is with character N here": 1}
    async with store:
        assert 10 in (await store.read_items(MIRA))["item_guid"]
        assert not len(await store.read_items(ORIN))


async def test_what_the_tables_hold_is_what_their_columns_hold(mariadb_url: str):
    await small_shard(mariadb_url)
    capacity = await AzerothcoreTables(mariadb_url).capacity()
    assert capacity.fields == {
        "entry": 2**24 - 1,
        "stack_count": 2**16 - 1,
        "creator": 2**32 - 1,
        "durability": 2**16 - 1,
        "random_property_index": 2**15 - 1,
        "random_suffix_index": 2**15 - 1,
        "item_flags": 2**24 - 1,
        "item_guid": 2**32 - 1,
    }
    assert capacity.balances == {0: 2**32 - 1}
    assert capacity.slots is not None
    assert capacity.slots.nonzero()[0].tolist() == [
        *(bag << 8 | slot for bag in range(19, 23) for slot in range(36)),
        *(OWN | slot for slot in range(74)),
    ]


async def test_who_was_not_asked_for_loses_nothing(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    store = realm(tmp_path)
    await imported(mariadb_url, store)
    await run(
        mariadb_url,
        f"UPDATE character_inventory SET guid = {ORIN}, bag = 0, slot = 23 WHERE item = 10",
    )
    report = await imported(mariadb_url, store, first_guid=ORIN)
    assert report.set_aside == {"item N is with character N here": 1}
    async with store:
        assert 10 in (await store.read_items(MIRA))["item_guid"]
    assert (await imported(mariadb_url, store)).written == 2
    assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).passed


KILLED = """
import asyncio, sys
from mmoinv.legacy import ImportWish, import_tables
from mmoinv.legacy.azerothcore import AzerothcoreTables
from mmoinv.stores import store_for
wish = ImportWish(characters_at_once=5)
tell = lambda done, of: print(done, flush=True)
asyncio.run(import_tables(AzerothcoreTables(sys.argv[1]), store_for(sys.argv[2]), wish, tell))
"""


async def test_killed_at_any_point_and_run_again_it_comes_to_the_same(
    mariadb_url: str, tmp_path: Path
):
    chance = random.Random(7)
    statements = [*azerothcore(mariadb_url), NO_KEYS]
    for guid in range(1, 60):
        statements.append(character(guid, guid))
        for slot in chance.choices(range(15, 45), k=5):
            number = chance.randrange(1, 250)
            statements.append(place(guid, chance.choice([0, 0, 0, number + 1]), slot, number))
    statements += [item(number, chance.randrange(70), number) for number in range(1, 240)]
    await run(mariadb_url, *statements)
    whole, store = realm(tmp_path), store_for(f"sqlite:///{tmp_path / 'killed.db'}")
    assert isinstance(store, SqlStore)
    assert (await imported(mariadb_url, whole)).passed
    for stop in (0, 5, 20, 20, 40):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, mariadb_url, store.url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if int(line) >= stop:
                await asyncio.sleep(chance.random() * 0.03)
                break
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    assert (await imported(mariadb_url, store)).passed
    for query in (
        "SELECT * FROM character_inventory",
        "SELECT * FROM character_wallet",
        "SELECT character_guid, source, slot, stored_row, reason, digest FROM import_set_aside",
        "SELECT character_guid, version, changes, money FROM inventory_ledger",
        "SELECT character_guid, version, online FROM character_session",
    ):
        assert await rows(store.url, query) == await rows(whole.url, query)
    assert (await verify_tables(AzerothcoreTables(mariadb_url), store)).passed
    assert (await store.read_only(verify)).passed


async def test_what_is_missing_is_named(database_url: str):
    await run(database_url, "CREATE TABLE characters (guid BIGINT, name VARCHAR(9))")
    with pytest.raises(ConfigurationError, match=r"characters has no column money \(it has: guid"):
        await read(database_url)
    await run(database_url, "ALTER TABLE characters ADD COLUMN money BIGINT")
    with pytest.raises(ConfigurationError, match=r"no table character_inventory .*AzerothCore's"):
        await read(database_url)
