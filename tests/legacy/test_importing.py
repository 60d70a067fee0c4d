"""The import: into every database, again and again, and not over what was played since."""

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
from old_tables import KEYLESS, fill, inserted, run
from sqlalchemy import text

from mmoinv import RealmConnector, RealmServer
from mmoinv.audit import verify
from mmoinv.audit.desk import Desk
from mmoinv.commits import OwnReason
from mmoinv.conformance.operations import changes, commit, joined
from mmoinv.conformance.operations import item as record
from mmoinv.conformance.operations import run as play
from mmoinv.legacy import ImportReport, ImportWish, import_tables, verify_tables
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.stores import LeaveEntry, store_for
from mmoinv.stores.sql_store import SqlStore

OWN = 255 << 8
BACKPACK, BAG, INSIDE = OWN | 23, OWN | 19, 19 << 8
MIRA, ORIN, LAST = 7, 2**63 + 8, 2**64 - 1


def realm(tmp_path: Path, url: str = "") -> SqlStore:
    """Our database, beside the old one or in it."""
    store = store_for(url or f"sqlite:///{tmp_path / 'realm.db'}")
    assert isinstance(store, SqlStore)
    return store


async def imported(url: str, store: SqlStore, **wish: Any) -> ImportReport:
    return await import_tables(KyorilTables(url), store, ImportWish(**wish))


async def stored(store: SqlStore) -> list[tuple[Any, ...]]:
    """All of our rows, without the item guids."""
    query = (
        "SELECT character_guid, slot, entry, stack_count, creator, contained, durability, "
        "item_flags FROM character_inventory_unsigned"
    )
    found = await store.read_only(
        lambda c: [tuple(map(int, row)) for row in c.execute(text(query))]
    )
    return sorted(found)


async def set_aside(store: SqlStore) -> list[tuple[Any, ...]]:
    query = "SELECT character_guid, source, slot, reason, stored_row FROM import_set_aside"
    return await store.read_only(
        lambda c: sorted((row[0] % 2**64, *row[1:]) for row in c.execute(text(query)))
    )


async def old_shard(url: str) -> None:
    await fill(
        url,
        (MIRA, BACKPACK, 100, None, 5, 40, 1),
        (MIRA, BAG, 828, 3, 1, 0, 0),
        (MIRA, INSIDE | 3, 4_000_000_000, 2**64 - 2, 1, 0, 0),
        (MIRA, OWN | 24, 100, None, 0, 0, 0),
        (ORIN, BACKPACK, 100, ORIN, 65_535, 4_294_967_295, 0),
        (ORIN, OWN | 25, 100, None, 65_536, 0, 0),
        (ORIN, 20 << 8 | 1, 100, None, 1, 0, 0),
        (LAST, 0, 1, None, 1, 0, 0),
    )


async def test_characters_come_over_named_and_noted_in_the_ledger(
    database_url: str, tmp_path: Path
):
    await old_shard(database_url)
    store = realm(tmp_path)
    report = await imported(database_url, store, characters_at_once=2)
    assert (report.characters, report.written, report.items) == (3, 3, 6)
    assert report.passed
    # Inside of a bag that is not there: taken, and told.
    assert report.strange == 1
    assert dict(report.set_aside) == {
        "slot N: stack_count is N, an item has at least N": 1,
        "stack_count N is outside N..N": 1,
    }
    assert (await store.read_only(verify)).unnamed == 0
    async with store:
        items = await store.read_items(MIRA)
        guids = dict(zip(items["slot"].tolist(), items["item_guid"].tolist(), strict=True))
        assert len({*guids.values()} - {0}) == 3
        contained = dict(zip(items["slot"].tolist(), items["contained"].tolist(), strict=True))
        assert contained == {INSIDE | 3: guids[BAG], BAG: MIRA, BACKPACK: MIRA}
        (entry,) = await store.read_ledger(ORIN)
        assert (entry.reason, entry.version) == (OwnReason.IMPORTED, 1)
        session = await store.read_session(LAST)
        assert session is not None
        assert not session.online
    assert [row[:3] for row in await set_aside(store)] == [
        (MIRA, "kyoril", OWN | 24),
        (ORIN, "kyoril", OWN | 25),
    ]
    assert (await verify_tables(KyorilTables(database_url), store)).passed


async def test_into_every_database_and_again(database_url: str, tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path, database_url)
    dry = await imported(old, store, dry_run=True)
    assert (dry.written, dry.items, dry.newly_kept) == (3, 6, 0)
    if database_url.startswith("sqlite"):
        assert not (tmp_path / "old.db").exists()
    first = await imported(old, store, characters_at_once=1)
    before = await stored(store), await set_aside(store)
    assert (first.written, first.newly_kept) == (3, 2)
    again = await imported(old, store)
    assert (again.written, again.unchanged, again.newly_kept) == (0, 3, 0)
    assert (await stored(store), await set_aside(store)) == before
    async with store:
        # Nothing was even joined.
        assert [(await store.read_session(guid)).epoch for guid in (MIRA, ORIN)] == [1, 1]
    found = await store.read_only(verify)
    # The bag that is missing is missing in the old tables too.
    assert found.kinds == {"bag": 1}
    assert (await verify_tables(KyorilTables(old), store)).passed


async def test_what_changed_in_the_old_tables_comes_again_under_the_same_guids(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path)
    await imported(old, store)
    async with store:
        before = await store.read_items(MIRA)
    await run(
        old,
        f"UPDATE character_items SET count = 4, slot = {OWN | 30} WHERE slot = {BACKPACK} "
        f"AND owner = {MIRA}",
        f"DELETE FROM character_items WHERE slot = {INSIDE | 3}",
    )
    assert (await imported(old, store)).written == 1
    async with store:
        after = await store.read_items(MIRA)
        assert len(await store.read_ledger(MIRA)) == 2
    assert after["slot"].tolist() == [BAG, OWN | 30]
    guids = dict(zip(before["entry"].tolist(), before["item_guid"].tolist(), strict=True))
    assert after["item_guid"].tolist() == [guids[828], guids[100]]


async def test_who_has_played_here_is_left_alone_unless_it_is_asked_for(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path)
    await imported(old, store)
    async with store:
        world = await store.add_world("world-1", "verifier")
        (mira,) = await joined(store, MIRA, world=world)
        moved = commit(1 << 40, changes(MIRA, record(OWN | 30, 5), epoch=mira.epoch, version=1))
        assert await play(store, moved, world=world) == [(0, [2])]
    played = await stored(store)
    online = await imported(old, store)
    assert [one.character_guid for one in online.left] == [MIRA]
    assert "it is online" in online.left[0].reason
    async with store:
        await store.write_group([LeaveEntry(MIRA, world, mira.epoch)])
    report = await imported(old, store)
    assert not report.passed
    assert [one.character_guid for one in report.left] == [MIRA]
    assert "played here" in report.left[0].reason
    assert await stored(store) == played
    differing = await verify_tables(KyorilTables(old), store)
    assert [str(one) for one in differing.differences] == [
        f"character {MIRA}, slot 255:30: nothing in the old tables, entry 100 here"
    ]
    assert differing.entries == {100: (65_541, 65_542)}
    assert (await imported(old, store, overwrites=True)).written == 1
    assert (await verify_tables(KyorilTables(old), store)).passed


async def test_what_was_written_without_us_is_not_overwritten(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path)
    await store.upgrade()
    await store.inspect(
        lambda c: c.execute(
            text(
                f"INSERT INTO character_inventory VALUES ({MIRA}, 5, 1, 1, 0, 0, 0, 0, 0, 0, NULL)"
            )
        )
    )
    report = await imported(old, store)
    assert ([one.character_guid for one in report.left], report.written) == ([MIRA], 2)


async def test_who_plays_between_the_look_and_the_write_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path)
    join_all = Desk.join_all

    async def someone_is_quicker(desk: Desk, guids: Any) -> Any:
        if MIRA not in guids:
            return await join_all(desk, guids)
        world = await desk.store.add_world("world-1", "verifier")
        (mira,) = await joined(desk.store, MIRA, world=world)
        quick = commit(1 << 40, changes(MIRA, record(OWN | 30, 5), epoch=mira.epoch))
        assert await play(desk.store, quick, world=world) == [(0, [1])]
        await desk.store.write_group([LeaveEntry(MIRA, world, mira.epoch)])
        return await join_all(desk, guids)

    with monkeypatch.context() as patched:
        patched.setattr(Desk, "join_all", someone_is_quicker)
        report = await imported(old, store)
    assert [one.reason for one in report.left] == ["it was changed meanwhile; run it again"]
    assert report.written == 2
    async with store:
        assert (await store.read_items(MIRA))["slot"].tolist() == [OWN | 30]
        session = await store.read_session(MIRA)
        assert session is not None
        assert not session.online


async def test_a_range_of_characters(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    store = realm(tmp_path)
    report = await imported(old, store, first_guid=8, last_guid=ORIN)
    assert (report.characters, report.written) == (1, 1)
    assert {row[0] for row in await stored(store)} == {ORIN}
    assert (await verify_tables(KyorilTables(old), store, 8, ORIN)).passed
    whole = await verify_tables(KyorilTables(old), store)
    assert (whole.kinds, whole.differing) == ({"missing": 4}, 2)


async def test_imported_characters_are_played(tmp_path: Path):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await old_shard(old)
    await imported(old, realm(tmp_path))
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as server:
        secret = await server.add_world("world-1")
        async with RealmConnector(
            "127.0.0.1", server.port, world="world-1", secret=secret
        ) as connector:
            character = await connector.join(MIRA)
            assert len(character.items) == 3
            _ = await connector.repository().save_all_items(MIRA, character.items[:2])


KILLED = """
import asyncio, sys
from mmoinv.legacy import ImportWish, import_tables
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.stores import store_for
wish = ImportWish(characters_at_once=7)
tell = lambda done, of: print(done, flush=True)
asyncio.run(import_tables(KyorilTables(sys.argv[1]), store_for(sys.argv[2]), wish, tell))
"""


async def test_killed_at_any_point_and_run_again_it_comes_to_the_same(
    database_url: str, tmp_path: Path
):
    old = f"sqlite:///{tmp_path / 'source.db'}"
    await run(old, KEYLESS)
    chance = random.Random(5)
    many = [
        (owner, slot, chance.randrange(1, 9), None, chance.randrange(5), 0, 0)
        for owner in range(1, 120)
        for slot in chance.choices(range(OWN | 23, OWN | 39), k=12)
    ]
    await run(old, *inserted(*many))
    expected = realm(tmp_path, f"sqlite:///{tmp_path / 'whole.db'}")
    whole = await imported(old, expected)
    deaths = 0
    for stop in (0, 7, 21, 42, 42, 63, 91):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, old, database_url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if int(line) >= stop:
                await asyncio.sleep(chance.random() * 0.03)
                break
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
        deaths += await process.wait() == -signal.SIGKILL
    assert deaths > 3
    store = realm(tmp_path, database_url)
    report = await imported(old, store)
    assert report.passed
    assert report.set_aside == whole.set_aside
    assert await stored(store) == await stored(expected)
    without_ids = [row[1:] for row in await set_aside(expected)]
    assert [row[1:] for row in await set_aside(store)] == without_ids
    assert (await verify_tables(KyorilTables(old), store)).passed
    found = await store.read_only(verify)
    assert found.passed
    # Each was written once.
    assert found.ledger_rows == whole.written
    async with store:
        sessions = [await store.read_session(owner) for owner in range(1, 120)]
    assert not any(one is None or one.online for one in sessions)


number = st.one_of(st.integers(0, 5), st.just(2**16), st.none(), st.just(-1))


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 2**63 + 1]),
            st.sampled_from([1, 74, OWN | 23, 19 << 8 | 1, 2**16]),
            number,
            st.sampled_from([None, 1, 2**63]),
            number,
            number,
            number,
        ),
        max_size=12,
    )
)
def test_every_row_is_taken_or_set_aside(tmp_path_factory: pytest.TempPathFactory, rows: Any):
    async def work() -> None:
        folder = tmp_path_factory.mktemp("any")
        old = f"sqlite:///{folder / 'source.db'}"
        await fill(old, *rows, create=KEYLESS)
        store = realm(folder)
        report = await imported(old, store)
        assert report.items + sum(report.set_aside.values()) == len(rows)
        assert len(await stored(store)) == report.items
        assert len(await set_aside(store)) == sum(report.set_aside.values())
        verdict = await verify_tables(KyorilTables(old), store)
        assert verdict.passed
        assert verdict.set_aside == len(rows) - report.items
        assert (await imported(old, store)).written == 0

    asyncio.run(work())
