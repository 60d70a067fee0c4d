"""The old path of the rehearsed game: whole inventories in the tables that mmoinv knows."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from mmoinv.legacy import tables_of
from mmoinv.records import INVENTORY_ITEM, Batch, InventoryItemData
from mmoinv.rehearsal.checks import difference
from mmoinv.rehearsal.databases import databases_of
from mmoinv.rehearsal.old_path import OldPath, OldPathError, Trouble

ONE, OTHER = 1001, 1002
BAG = 0xFF13
FORMATS = ("kyoril", "azerothcore")


def items(*records: InventoryItemData) -> Batch:
    return np.array(sorted(records, key=lambda record: record.slot), INVENTORY_ITEM)


def some(owner: int = ONE) -> Batch:
    first = owner * 10
    return items(
        InventoryItemData(25, 0xFF0F, 1, 99, owner, 20, item_flags=1, item_guid=first),
        InventoryItemData(828, BAG, 1, 0, owner, item_guid=first + 1),
        InventoryItemData(118, 0x1302, 5, 0, first + 1, item_guid=first + 2),
        InventoryItemData(159, 0xFF17, 200, 0, owner, item_guid=first + 3),
    )


async def called(function, *arguments):
    result = await asyncio.to_thread(function, *arguments)
    return await result if asyncio.iscoroutine(result) else result


@pytest.fixture(params=["sqlite", "mariadb"])
def where(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite"
    url: str = request.getfixturevalue("mariadb_url")
    return url


@pytest.mark.parametrize("old_format", FORMATS)
async def test_what_is_saved_is_loaded_and_is_what_mmoinv_reads(
    old_format: str, where: str, tmp_path: Path
) -> None:
    async with databases_of(where, old_format, tmp_path) as databases:
        path = OldPath(databases.old, old_format)
        await called(path.save, ONE, some())
        await called(path.save, OTHER, some(OTHER))
        # An item changes hands, and the one who gets it is saved first.
        rest, given = some()[:-1], some()[-1:]
        given["slot"] = 0xFF18
        more = np.concatenate([some(OTHER), given])
        await called(path.save, OTHER, more)
        await called(path.save, ONE, rest)
        read = {}
        async for page in (await tables_of(databases.old, old_format)).read(0, 2**64 - 1):
            read |= {old.character_guid: old for old in page}
        for guid, expected in ((ONE, rest), (OTHER, more)):
            for found in (await called(path.load, guid), read[guid].items):
                assert difference(expected, found, path.tables.fields) == ""
            assert not read[guid].faults
        await called(path.save, ONE, rest[:0])
        assert len(await called(path.load, ONE)) == 0
        assert path.saves == 5
        await path.close()


@pytest.mark.parametrize("where", ["sqlite"])
async def test_guids_above_2_to_the_63(where: str, tmp_path: Path) -> None:
    guid = 2**64 - 5
    mine = some()
    mine["creator"] = guid
    async with databases_of(where, "kyoril", tmp_path) as databases:
        path = OldPath(databases.old, "kyoril")
        await called(path.save, guid, mine)
        assert difference(mine, await called(path.load, guid), path.tables.fields) == ""
        await path.close()


async def test_troubles(where: str, tmp_path: Path) -> None:
    async with databases_of(where, "kyoril", tmp_path) as databases:
        path = OldPath(databases.old, "kyoril")
        path.trouble = Trouble.RAISES
        with pytest.raises(OldPathError):
            await called(path.save, ONE, some())
        path.trouble = Trouble.BUG
        await called(path.save, ONE, some())
        assert path.spoiled == {ONE}
        path.trouble = Trouble.HANGS
        hanging = asyncio.create_task(called(path.load, ONE))
        await asyncio.sleep(0.1)
        assert not hanging.done()
        path.trouble = Trouble.SLOW
        found = await hanging
        told = difference(some(), found, path.tables.fields)
        assert told == "slot 255:23, stack_count: 199 instead of 200"
        await path.close()


def test_what_differs_is_said() -> None:
    fields = INVENTORY_ITEM.names
    assert difference(some(), some(), fields) == ""
    assert difference(some(), some()[1:], fields) == "slot 19:2 is empty, and had 5 of entry 118"
    assert difference(some()[1:], some(), fields) == "slot 19:2 has 5 of entry 118, and was empty"
    assert difference(some(), some()[[0, 0]], fields) == "a slot comes twice"
