"""The C++ line's table, read from each database: all of it, in pages, what is bad told apart."""

import pytest
from sqlalchemy import Connection, text

from mmoinv.errors import ConfigurationError, StoreUnavailableError
from mmoinv.stores import store_for
from mmoinv.stores.character_items import (
    SOURCE,
    SourceCounts,
    SourceInventory,
    count_character_items,
    read_character_items,
)
from mmoinv.stores.sql_store import SqlStore

HALF = 2**63
OWNERS = [1, 2, 7, HALF - 1, HALF, 2**64 - 1]


async def fill(url: str, *rows: tuple[int, ...]) -> None:
    """The table as the C++ realm has it, with an item for each owner and some rows more."""
    store = store_for(url)
    assert isinstance(store, SqlStore)
    await store.upgrade()

    def work(connection: Connection) -> None:
        SOURCE.create(connection)
        values = [(owner, 255 << 8 | 23, 100, None, 5, 40, 1) for owner in OWNERS]
        names = [column.name for column in SOURCE.columns]
        connection.execute(
            SOURCE.insert(), [dict(zip(names, row, strict=True)) for row in [*values, *rows]]
        )

    await store.inspect(work)


async def read(url: str, at_once: int = 1000) -> dict[int, SourceInventory]:
    found = [one async for one in read_character_items(url, at_once)]
    assert len({one.character_guid for one in found}) == len(found)
    return {one.character_guid: one for one in found}


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
async def test_every_character_is_read_once(database_url: str, at_once: int) -> None:
    creator = 2**64 - 2
    await fill(database_url, (7, 255 << 8 | 5, 2**32 - 1, creator, 2**16 - 1, 2**32 - 1, 3))
    assert await count_character_items(database_url) == SourceCounts(6, 7)
    found = await read(database_url, at_once)
    assert sorted(found) == OWNERS
    assert [len(found[owner].items) for owner in OWNERS] == [1, 1, 2, 1, 1, 1]
    assert not any(one.faults for one in found.values())
    first, second = found[7].items
    assert (first["slot"], first["creator"], first["stack_count"]) == (255 << 8 | 5, creator, 65535)
    assert (second["entry"], second["creator"], second["durability"]) == (100, 0, 40)
    assert (second["item_flags"], second["item_guid"], second["contained"]) == (1, 0, 0)


async def test_rows_that_no_record_can_hold_are_told(database_url: str) -> None:
    await fill(
        database_url,
        (2, 1, 0, 0, 1, 0, 0),
        (2, 2, 100, 0, 0, 0, 0),
        (2, 3, 100, 0, 70_000, 0, 0),
        (2, 99_999, 100, 0, 1, 0, 0),
        (2, 255 << 8 | 80, 100, 0, 1, 0, 0),
        (2, 4, 100, 0, 1, -1, 0),
    )
    found = (await read(database_url))[2]
    assert found.items["slot"].tolist() == [255 << 8 | 23]
    reasons = {fault.values["slot"]: fault.reason for fault in found.faults}
    assert sorted(reasons) == [1, 2, 3, 4, 255 << 8 | 80, 99_999]
    assert "70000 is outside 0..65535" in reasons[3]


async def test_what_is_no_such_table_says_so(database_url: str) -> None:
    store = store_for(database_url)
    assert isinstance(store, SqlStore)
    await store.upgrade()
    with pytest.raises(ConfigurationError, match="no table character_items"):
        await count_character_items(database_url)
    await store.inspect(
        lambda c: c.execute(text("CREATE TABLE character_items (owner BIGINT, slot INT)"))
    )
    with pytest.raises(ConfigurationError, match="no column entry, creator, count"):
        await read(database_url)


async def test_no_database_is_made_by_reading(tmp_path) -> None:
    with pytest.raises(StoreUnavailableError):
        await count_character_items(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []
