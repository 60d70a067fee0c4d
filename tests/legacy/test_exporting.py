"""The way back: what was played is in the old tables again, and what they cannot hold is told."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from old_tables import KEYLESS, UNSIGNED, azerothcore, character, fill, item, place, rows, run
from old_tables import inserted as lines

from mmoinv.commits import CurrencyDelta
from mmoinv.conformance.operations import changes, commit, joined
from mmoinv.conformance.operations import item as record
from mmoinv.conformance.operations import run as play
from mmoinv.errors import StoreDataError
from mmoinv.legacy import (
    ExportReport,
    ExportWish,
    OldTables,
    export_tables,
    import_tables,
    verify_tables,
)
from mmoinv.legacy.azerothcore import AzerothcoreTables
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.stores import LeaveEntry, store_for
from mmoinv.stores.sql_store import SqlStore

OWN = 255 << 8
BACKPACK, BAG, INSIDE = OWN | 23, OWN | 19, 19 << 8
MIRA, ORIN, NEW = 7, 2**63 + 8, 12
MINTED = 5 << 32


def realm(tmp_path: Path) -> SqlStore:
    store = store_for(f"sqlite:///{tmp_path / 'realm.db'}")
    assert isinstance(store, SqlStore)
    return store


async def exported(tables: OldTables, store: SqlStore, **wish: Any) -> ExportReport:
    return await export_tables(tables, store, ExportWish(**wish))


async def played(store: SqlStore, *participants: Any) -> None:
    """One operation of a world's, under a session that is given back."""
    async with store:
        world = await store.add_world("world-1", "verifier")
        guids = [one.character_guid for one in participants]
        sessions = await joined(store, *guids, world=world)
        of_now = [
            one._replace(session_epoch=session.epoch, expected_version=session.version)
            for one, session in zip(participants, sessions, strict=True)
        ]
        assert [
            status for status, _ in await play(store, commit(1 << 40, *of_now), world=world)
        ] == [0]
        await store.write_group(
            [
                LeaveEntry(guid, world, session.epoch)
                for guid, session in zip(guids, sessions, strict=True)
            ]
        )


OLD_ROWS = "SELECT owner, slot, entry, creator, count, durability, flags FROM character_items"


async def old_shard(url: str, create: str = "") -> None:
    await fill(
        url,
        (MIRA, BACKPACK, 100, None, 5, 40, 1),
        (MIRA, OWN | 24, 101, 3, 1, 0, 0),
        (MIRA, OWN | 30, 0, None, 1, 0, 0),
        (ORIN, BACKPACK, 100, ORIN, 20, 7, 0),
        (99, BACKPACK, 5, None, 1, 0, 0),
        create=create,
    )


async def test_days_of_play_come_back_into_the_old_table(database_url: str, tmp_path: Path):
    await old_shard(database_url)
    store, tables = realm(tmp_path), KyorilTables(database_url)
    await import_tables(tables, store)
    before = await rows(database_url, OLD_ROWS)
    untouched = await exported(tables, store)
    assert (untouched.written, untouched.unchanged, untouched.passed) == (0, 3, True)
    assert await rows(database_url, OLD_ROWS) == before
    await played(
        store,
        changes(MIRA, record(OWN | 25, MINTED, 7, 3, creator=ORIN), deletes=[OWN | 24]),
        changes(ORIN, record(OWN | 24, MINTED + 1, 101, creator=3)),
        changes(NEW, record(BACKPACK, MINTED + 2, 9, durability=12)),
    )
    dry = await exported(tables, store, dry_run=True)
    assert (dry.written, await rows(database_url, OLD_ROWS)) == (3, before)
    report = await exported(tables, store)
    assert (report.written, report.unchanged, report.passed) == (3, 1, True)
    assert (await verify_tables(tables, store)).passed
    # The row that could not be read is still there, and so is who was not imported since.
    assert (0,) in await rows(database_url, "SELECT entry FROM character_items")
    assert (await exported(tables, store)).written == 0


async def test_characters_that_we_know_nothing_of_are_left_alone(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'old.db'}"
    await old_shard(old)
    store, tables = realm(tmp_path), KyorilTables(old)
    async with store:
        await store.add_world("world-1", "verifier")
        # Joined, and nothing saved.
        await joined(store, MIRA)
        await store.write_group([LeaveEntry(MIRA, 1, 1)])
    before = await rows(old, OLD_ROWS)
    assert (await exported(tables, store)).characters == 0
    assert await rows(old, OLD_ROWS) == before


async def test_an_emptied_inventory_is_emptied_there_too(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'old.db'}"
    await old_shard(old)
    store, tables = realm(tmp_path), KyorilTables(old)
    await import_tables(tables, store)
    await played(store, changes(ORIN, deletes=[BACKPACK]))
    assert (await exported(tables, store)).written == 1
    assert not await rows(old, f"{OLD_ROWS} WHERE owner = {ORIN - 2**64}")


async def test_rows_of_a_slot_that_came_often_are_replaced_together(
    mariadb_url: str, tmp_path: Path
):
    await run(
        mariadb_url,
        KEYLESS,
        *lines(
            (MIRA, BACKPACK, 1, None, 1, 0, 0),
            (MIRA, BACKPACK, 2, None, 1, 0, 0),
            (MIRA, OWN | 24, 3, None, 1, 0, 0),
            (MIRA, OWN | 24, 4, None, 1, 0, 0),
        ),
    )
    store, tables = realm(tmp_path), KyorilTables(mariadb_url)
    await import_tables(tables, store)
    await played(store, changes(MIRA, deletes=[BACKPACK]))
    await exported(tables, store)
    # What was thrown away does not come back as what was below it.
    assert await rows(mariadb_url, "SELECT slot, entry FROM character_items") == [
        (OWN | 24, 3),
        (OWN | 24, 4),
    ]
    assert (await verify_tables(tables, store)).passed


async def test_what_the_table_cannot_hold_stops_it_before_anything_is_written(
    mariadb_url: str, tmp_path: Path
):
    small = UNSIGNED.replace("count INT", "count TINYINT UNSIGNED").replace(
        "slot INT UNSIGNED", "slot SMALLINT UNSIGNED"
    )
    await run(mariadb_url, small)
    store, tables = realm(tmp_path), KyorilTables(mariadb_url)
    await played(
        store,
        changes(
            MIRA,
            record(BACKPACK, MINTED, 100, 256),
            record(OWN | 24, MINTED + 1, random_suffix_index=5),
            currencies=(CurrencyDelta(1, 50),),
        ),
        changes(NEW, record(BACKPACK, MINTED + 2, 9)),
    )
    for dry_run in (True, False):
        report = await exported(tables, store, dry_run=dry_run)
        assert (report.stopped, report.written) == (True, 0)
        assert [loss.text for loss in report.losses] == [
            "slot 255:23: stack_count 256 is more than 255",
            "slot 255:24: random_suffix_index 5 is not kept",
            "currency 1 is not kept: 50",
        ]
        assert sorted(report.kinds) == [
            "currency 1 is not kept",
            "random_suffix_index is not kept",
            "stack_count is more than 255",
        ]
    assert not await rows(mariadb_url, "SELECT owner FROM character_items")
    assert (await exported(tables, store, lossy=True)).written == 2
    assert await rows(mariadb_url, "SELECT owner, slot, count FROM character_items") == [
        (MIRA, BACKPACK, 255),
        (MIRA, OWN | 24, 1),
        (NEW, BACKPACK, 1),
    ]
    assert (await exported(tables, store, lossy=True)).written == 0


async def test_who_is_online_is_left_out_unless_asked_for(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'old.db'}"
    await old_shard(old)
    store, tables = realm(tmp_path), KyorilTables(old)
    await import_tables(tables, store)
    await played(store, changes(ORIN, deletes=[BACKPACK]))
    async with store:
        await joined(store, ORIN)
    report = await exported(tables, store)
    assert (report.left, report.written, report.passed) == ([ORIN], 0, False)
    assert (await exported(tables, store, takes_online=True)).written == 1


KILLED = """
import asyncio, sys
from mmoinv.legacy import ExportWish, exporting
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.stores import store_for
exporting.CHARACTERS_AT_ONCE = 5
tell = lambda done, of: print(done, flush=True)
old, new = KyorilTables(sys.argv[1]), store_for(sys.argv[2])
asyncio.run(exporting.export_tables(old, new, ExportWish(), tell))
"""


async def test_killed_and_run_again_it_comes_to_the_same(database_url: str, tmp_path: Path):
    await fill(
        database_url,
        *((owner, OWN | slot, 1, None, 1, 0, 0) for owner in range(1, 100) for slot in (23, 24)),
    )
    store, tables = realm(tmp_path), KyorilTables(database_url)
    await import_tables(tables, store)
    await played(
        store,
        *(
            changes(owner, record(OWN | 25, MINTED + owner, 7), deletes=[OWN | 23])
            for owner in range(1, 100)
        ),
    )
    deaths = 0
    for stop in (0, 10, 30, 50):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, database_url, store.url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if int(line) >= stop:
                await asyncio.sleep(random.random() * 0.02)
                break
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
        deaths += await process.wait() == -signal.SIGKILL
    assert deaths
    assert (await exported(tables, store)).passed
    verdict = await verify_tables(tables, store)
    assert (verdict.passed, verdict.old_items) == (True, 198)


# AzerothCore

PLACED = "SELECT guid, bag, slot, item FROM character_inventory"
INSTANCES = (
    "SELECT guid, itemEntry, owner_guid, creatorGuid, count, flags, randomPropertyId, durability "
    "FROM item_instance"
)


async def small_shard(url: str) -> None:
    await run(
        url,
        *azerothcore(url),
        character(MIRA, 500),
        character(NEW, 20),
        item(10, MIRA, 25, enchantments="3854 0 0 ", durability=20),
        place(MIRA, 0, 15, 10),
        item(11, MIRA, 4500),
        place(MIRA, 0, 19, 11),
        item(12, MIRA, 2589, 20, randomPropertyId=-37),
        place(MIRA, 11, 3, 12),
        item(13, MIRA),
        place(MIRA, 0, 90, 13),
        item(14, MIRA, 77),
        place(MIRA, 0, 23, 14),
        item(15, MIRA, 78),  # In a letter.
    )


async def test_azerothcores_tables_come_back(database_url: str, tmp_path: Path):
    await small_shard(database_url)
    store, tables = realm(tmp_path), AzerothcoreTables(database_url)
    await import_tables(tables, store)
    before = await rows(database_url, PLACED), await rows(database_url, INSTANCES)
    assert (await exported(tables, store)).written == 0
    assert (await rows(database_url, PLACED), await rows(database_url, INSTANCES)) == before
    await played(
        store,
        changes(
            MIRA,
            record(BAG, MINTED, 4501, contained=MIRA),
            record(INSIDE | 3, 12, 2589, 5, random_property_index=2, contained=MINTED),
            record(INSIDE | 4, MINTED + 1, 2589, 15, contained=MINTED),
            deletes=[OWN | 15, BACKPACK],
            currencies=(CurrencyDelta(0, -70),),
        ),
        changes(NEW, record(OWN | 16, 10, 25, durability=3), currencies=(CurrencyDelta(0, 70),)),
    )
    report = await exported(tables, store)
    assert (report.written, report.passed, report.renamed) == (2, True, 2)
    # 11 and 14 are destroyed; 10 is with someone else, and keeps what we have no room for.
    assert await rows(database_url, PLACED) == [
        (MIRA, 0, 19, 17),
        (MIRA, 0, 90, 13),
        (MIRA, 17, 3, 12),
        (MIRA, 17, 4, 16),
        (NEW, 0, 16, 10),
    ]
    assert await rows(database_url, INSTANCES) == [
        (10, 25, NEW, 0, 1, 0, 0, 3),
        (12, 2589, MIRA, 0, 5, 0, 2, 0),
        (13, 100, MIRA, 0, 1, 0, 0, 0),
        (15, 78, MIRA, 0, 1, 0, 0, 0),
        (16, 2589, MIRA, 0, 15, 0, 0, 0),
        (17, 4501, MIRA, 0, 1, 0, 0, 0),
    ]
    ((kept,),) = await rows(database_url, "SELECT enchantments FROM item_instance WHERE guid = 10")
    assert kept == "3854 0 0 "
    assert await rows(database_url, "SELECT guid, money FROM characters") == [
        (MIRA, 430),
        (NEW, 90),
    ]
    again = await exported(tables, store)
    assert (again.written, again.renamed) == (0, 2)
    verdict = await verify_tables(tables, store)
    assert (verdict.passed, verdict.set_aside) == (True, 1)


@pytest.mark.parametrize("at_once", [1, 500])
async def test_items_that_changed_hands_lose_nothing_whoever_is_written_first(
    mariadb_url: str, tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mmoinv.legacy.exporting.CHARACTERS_AT_ONCE", at_once)
    await small_shard(mariadb_url)
    await run(mariadb_url, item(20, NEW, 5, text="von Rémy"), place(NEW, 0, 23, 20))
    store, tables = realm(tmp_path), AzerothcoreTables(mariadb_url)
    await import_tables(tables, store)
    await played(
        store,
        changes(MIRA, record(OWN | 15, 20, 5)),
        changes(NEW, record(BACKPACK, 10, 25, durability=20)),
    )
    assert (await exported(tables, store)).passed
    assert (MIRA, 0, 15, 20) in await rows(mariadb_url, PLACED)
    assert (NEW, 0, 23, 10) in await rows(mariadb_url, PLACED)
    assert await rows(
        mariadb_url,
        "SELECT guid, owner_guid, enchantments, text FROM item_instance WHERE text <> ''",
    ) == [(20, MIRA, "0 " * 36, "von Rémy")]
    assert await rows(mariadb_url, "SELECT enchantments FROM item_instance WHERE guid = 10") == [
        ("3854 0 0 ",)
    ]
    assert (await exported(tables, store)).written == 0
    assert (await verify_tables(tables, store)).passed


async def test_what_azerothcore_has_no_place_for_is_listed(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    store, tables = realm(tmp_path), AzerothcoreTables(mariadb_url)
    await played(
        store,
        changes(
            MIRA,
            record(5, MINTED),
            record(20 << 8 | 1, MINTED + 1),
            record(BACKPACK, MINTED + 2, durability=70_000),
            record(
                OWN | 24, MINTED + 3, random_property_index=1, random_suffix_index=2, creator=2**40
            ),
            currencies=(CurrencyDelta(0, 2**33), CurrencyDelta(3, 1)),
        ),
        changes(ORIN, record(BACKPACK, MINTED + 4)),
    )
    report = await exported(tables, store)
    assert report.stopped
    assert [loss.text for loss in report.losses] == [
        "slot 0:5: there is no such place",
        "slot 20:1: its bag is not there",
        "slot 255:23: durability 70000 is more than 65535",
        f"slot 255:24: creator {2**40} is more than {2**32 - 1}",
        "slot 255:24: random_suffix_index 2 is not kept",
        f"currency 0 is more than {2**32 - 1}: {2**33}",
        "currency 3 is not kept: 1",
        "it cannot be there",
    ]
    assert (await exported(tables, store, lossy=True)).written == 1
    assert await rows(mariadb_url, "SELECT money FROM characters WHERE guid = 7") == [(2**32 - 1,)]
    assert (await exported(tables, store, lossy=True)).written == 0


async def test_when_numbers_of_32_bits_run_out_nothing_is_written(mariadb_url: str, tmp_path: Path):
    await small_shard(mariadb_url)
    await run(mariadb_url, item(4_294_967_295, MIRA))
    store, tables = realm(tmp_path), AzerothcoreTables(mariadb_url)
    await played(store, changes(NEW, record(BACKPACK, MINTED)))
    before = await rows(mariadb_url, PLACED)
    with pytest.raises(StoreDataError, match="no number of 32 bits left"):
        await exported(tables, store)
    assert await rows(mariadb_url, PLACED) == before


places = st.sampled_from([OWN | 0, BAG, OWN | 20, OWN | 23, OWN | 40, INSIDE, INSIDE | 1, 20 << 8])
belongings = st.dictionaries(
    places, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(-2, 2)), max_size=6
)


@settings(max_examples=25)
@given(belongings, belongings, st.lists(belongings, min_size=2, max_size=2), st.randoms())
def test_whatever_was_played_the_old_tables_are_equal_afterwards(
    tmp_path_factory: pytest.TempPathFactory,
    mira: dict[int, Any],
    new: dict[int, Any],
    after: list[dict[int, Any]],
    chance: random.Random,
):
    """Whatever was there, and whatever is there then: items may have changed hands, or be new."""

    async def work() -> None:
        folder = tmp_path_factory.mktemp("any")
        old = f"sqlite:///{folder / 'old.db'}"
        statements = [*azerothcore(old), character(MIRA, 5), character(NEW, 6)]
        numbers = iter(range(10, 99))
        for guid, held in ((MIRA, mira), (NEW, new)):
            bags = {slot & 0xFF: next(numbers) for slot in held if slot in (BAG, OWN | 20)}
            for slot, (entry, count, random_property) in held.items():
                inside = slot >> 8 != 255
                number = next(numbers) if slot not in (BAG, OWN | 20) else bags[slot & 0xFF]
                bag = bags.get(slot >> 8, 98) if inside else 0
                statements += [
                    item(number, guid, entry, count, randomPropertyId=random_property),
                    place(guid, bag, slot & 0xFF, number),
                ]
        await run(old, *statements)
        store, tables = realm(folder), AzerothcoreTables(old)
        report = await import_tables(tables, store)
        assert report.items + sum(report.set_aside.values()) == len(mira) + len(new)
        async with store:
            known = [
                (number, entry)
                for guid in (MIRA, NEW)
                for number, entry in (await store.read_items(guid))[["item_guid", "entry"]].tolist()
            ]
        chance.shuffle(known)
        minted = iter(range(MINTED, MINTED + 99))
        hands = []
        for guid, held in zip((MIRA, NEW), after, strict=True):
            items = []
            for slot, (entry, count, prop) in held.items():
                if slot >> 8 != 255 and (OWN | slot >> 8) not in held:
                    continue
                number = next(minted)
                if known and prop:
                    number, entry = known.pop()
                items.append(record(slot, number, entry, count, random_property_index=max(0, prop)))
            now = {one.slot for one in items}
            deletes = [slot for slot in everywhere if slot not in now]
            hands.append(changes(guid, *items, deletes=deletes))
        await played(store, *hands)
        assert (await exported(tables, store)).passed
        verdict = await verify_tables(tables, store)
        assert verdict.passed, verdict.differences
        assert (await exported(tables, store)).written == 0
        # Each item that is somewhere is something, and what is nowhere is gone.
        placed = await rows(old, "SELECT item FROM character_inventory")
        assert len(placed) == len(set(placed)) == verdict.old_items + verdict.set_aside
        assert await rows(old, "SELECT guid FROM item_instance") == placed

    everywhere = [OWN | 0, BAG, OWN | 20, OWN | 23, OWN | 40, INSIDE, INSIDE | 1, 20 << 8]
    asyncio.run(work())
