"""The realm's memory of what is committed: bounded, current or silent, right after any outcome."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmoinv.conformance.operations import NONCE, WORLD, changes, commit, item, joined, run, stored
from mmoinv.records import SLOT, Batch, batch_of
from mmoinv.stores import JoinEntry, LeaveEntry, committed, open_store
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.steps import NO_GUIDS, NO_ITEMS, OwnedItems, Sessions, Slots, U64Array, Write

Model = dict[int, tuple[int, int, dict[int, int]]]
"""Character to epoch, version and slot to item guid."""


def owned(pairs: list[tuple[int, int, int]]) -> OwnedItems:
    """(character, slot, item guid) as records."""
    batches = [batch_of(item(slot, guid)) for _, slot, guid in pairs]
    items: Batch = np.concatenate([batch_of(), *batches])
    return OwnedItems(np.array([guid for guid, *_ in pairs], np.uint64), items)


def remembered(cache: CommittedInventories, character: int, epoch: int, version: int):
    """Slot to item guid, None where the cache does not serve."""
    rows = cache.rows_of(np.array([character], np.uint64))
    current = cache.is_current(rows, np.array([epoch], np.uint32), np.array([version], np.uint64))
    if not current.all():
        return None
    found = cache.items_of(rows)
    assert (found.character_guid == character).all()
    slots = found.items["slot"].tolist()
    assert len(set(slots)) == len(slots)
    content = dict(zip(slots, found.items["item_guid"].tolist(), strict=True))
    nobody = np.array([-1])
    for slot in range(1, 9):
        which, one = cache.items_at(np.concatenate([nobody, rows]), np.array([slot, slot], SLOT))
        assert which.tolist() == [1] * (slot in content)
        assert one.items["item_guid"].tolist() == ([content[slot]] if slot in content else [])
        assert (one.character_guid == character).all()
    return content


def session(guids: U64Array, epoch: int, version: int) -> Sessions:
    """Rows of characters that are online in world 1."""
    numbers = np.ones(len(guids), np.int64)
    return Sessions(
        guids,
        numbers,
        (epoch * numbers).astype(np.uint32),
        (version * numbers).astype(np.uint64),
        numbers > 0,
    )


def keep(cache: CommittedInventories, character: int, epoch: int, version: int, content) -> None:
    guid = np.array([character], np.uint64)
    records = owned([(character, slot, number) for slot, number in content.items()])
    cache.keep(session(guid, epoch, version), records)


def keep_all(cache: CommittedInventories, model: Model) -> None:
    guids = sorted(model)
    epochs, versions = (np.array([model[guid][place] for guid in guids]) for place in (0, 1))
    sessions = session(np.array(guids, np.uint64), 1, 1)
    cache.keep(
        sessions._replace(epoch=epochs.astype(np.uint32), version=versions.astype(np.uint64)),
        owned([(guid, *pair) for guid in guids for pair in model[guid][2].items()]),
    )


def follow(cache: CommittedInventories, model: Model, changed: dict[int, dict[int, int]]) -> None:
    """Commit what each of some characters has now; ``model`` says what it had."""
    deleted, updated, inserted = [], [], []
    for character, new in changed.items():
        *_, old = model[character]
        deleted += [(character, slot) for slot in old if new.get(slot) != old[slot]]
        updated += [(character, slot, new[slot]) for slot in new if new[slot] == old.get(slot)]
        inserted += [(character, slot, new[slot]) for slot in new if new[slot] != old.get(slot)]
    write = Write(
        NO_GUIDS,
        Slots(
            np.array([guid for guid, _ in deleted], np.uint64),
            np.array([slot for _, slot in deleted], SLOT),
        ),
        owned(updated),
        owned(inserted),
        np.array(list(changed), np.uint64),
        NO_GUIDS,
    )
    versions = np.array([model[character][1] + 1 for character in changed], np.uint64)
    cache.touch(write.committed_characters)
    cache.follow(write, cache.rows_of(write.committed_characters), versions)
    for character, new in changed.items():
        model[character] = (model[character][0], model[character][1] + 1, new)


characters = st.integers(1, 6)
contents = st.dictionaries(st.integers(1, 8), st.integers(1, 99), max_size=6)
actions = st.one_of(
    st.tuples(st.just("keep"), st.dictionaries(characters, contents, min_size=1)),
    st.tuples(st.just("follow"), st.dictionaries(characters, contents, min_size=1)),
    st.tuples(st.just("elsewhere"), characters, contents),
    st.tuples(st.just("drop"), characters),
    st.tuples(st.just("end"), st.booleans()),
)


@settings(max_examples=300)
@given(capacity=st.integers(0, 4), script=st.lists(actions, max_size=30))
def test_it_serves_what_is_committed_or_nothing(capacity, script) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(committed, "PLACES", 4)
    cache = CommittedInventories(capacity)
    patch.undo()
    stored_now: Model = {character: (1, 5, {}) for character in range(1, 7)}
    before = dict(stored_now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committed, "PLACES", 4)
        for what, *arguments in script:
            match what:
                case "keep":
                    # Joins: the epoch rises, what is stored is read.
                    for character, content in arguments[0].items():
                        epoch, version, _ = stored_now[character]
                        stored_now[character] = (epoch + 1, version, content)
                    keep_all(cache, {one: stored_now[one] for one in arguments[0]})
                case "follow":
                    follow(cache, stored_now, arguments[0])
                case "elsewhere":
                    # Another realm process, or a join that this one has not seen.
                    character, content = arguments
                    epoch, version, _ = stored_now[character]
                    stored_now[character] = (epoch + 1, version + 1, content)
                case "drop":
                    cache.drop(np.array(arguments, np.uint64))
                case "end":
                    (is_committed,) = arguments
                    cache.end(is_committed)
                    if not is_committed:
                        stored_now = dict(before)
                    before = dict(stored_now)
                    cache.begin()
            assert len(cache) <= capacity
            for character, (epoch, version, content) in stored_now.items():
                found = remembered(cache, character, epoch, version)
                assert found is None or found == content


def test_no_room_is_given_twice() -> None:
    cache = CommittedInventories(2)
    for character in (4, 5, 6):
        keep(cache, character, 1, 0, {1: character})
    cache.drop(np.array([5], np.uint64))
    # One row is free, and the next one to be made free; all are of the same epoch and version.
    keep_all(cache, {7: (1, 0, {1: 7}), 8: (1, 0, {1: 8})})
    there = {one: remembered(cache, one, 1, 0) for one in range(4, 9)}
    assert there == {4: None, 5: None, 6: None, 7: {1: 7}, 8: {1: 8}}


def test_a_character_that_has_too_many_items_is_not_held() -> None:
    cache = CommittedInventories(4)
    keep(cache, 1, 1, 0, {slot: slot for slot in range(1, committed.PLACES + 1)})
    assert len(cache) == 1
    model: Model = {1: (1, 0, {})}
    follow(cache, model, {1: {committed.PLACES + 1: 999}})
    assert len(cache) == 0
    keep(cache, 2, 1, 0, {slot: slot for slot in range(1, committed.PLACES + 2)})
    assert len(cache) == 0


def test_the_longest_held_makes_room() -> None:
    cache = CommittedInventories(3)
    for character in range(1, 6):
        keep(cache, character, 1, 0, {1: character})
    assert [remembered(cache, character, 1, 0) for character in range(1, 6)] == [
        None,
        None,
        {1: 3},
        {1: 4},
        {1: 5},
    ]
    cache.drop_all()
    assert len(cache) == 0
    keep(cache, 9, 1, 0, {})
    assert remembered(cache, 9, 1, 0) == {}


def test_more_characters_than_there_is_room_for() -> None:
    cache = CommittedInventories(3)
    guids = np.arange(1, 9, dtype=np.uint64)
    cache.keep(session(guids, 1, 0), owned([(guid, 1, guid) for guid in range(1, 9)]))
    assert len(cache) == 3
    assert CommittedInventories(0).items_of(np.empty(0, np.int64)) is NO_ITEMS


# Inside a store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


@pytest.fixture
async def store(path: Path):
    async with SqliteStore(path) as store:
        await store.add_world("world-1", "verifier")
        yield store


def held(store: SqliteStore) -> list[int]:
    return store._committed._held.tolist()


async def test_a_transaction_that_fails_leaves_no_trace(store: SqliteStore, path: Path) -> None:
    await joined(store, 1, 2)
    assert (await run(store, commit(1, changes(1, item(23, 11)))))[0][0] == 0
    # The disk refuses what the group logic thinks is fine.
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON applied_operation BEGIN "
                      "SELECT RAISE(ABORT, 'refused'); END")  # fmt: skip
    with pytest.raises(Exception, match="refused"):
        await run(store, commit(2, changes(1, item(23, 12), version=1)))
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TRIGGER no")
    # Character 1 was touched and is forgotten, at the latest when the next group begins.
    whole = commit(3, changes(1, item(23, 11, stack=7), version=1), replace=True)
    assert await run(store, whole) == [(0, [2])]
    assert await stored(store, 1) == {23: (100, 7, 11)}


async def test_what_another_process_committed_is_read(store: SqliteStore, path: Path) -> None:
    await joined(store, 1)
    await run(store, commit(1, changes(1, item(23, 11), item(24, 12))))
    assert held(store) == [1]
    async with await open_store(f"sqlite:///{path}") as other:
        changed = commit(2, changes(1, item(30, 11), deletes=[23], version=1))
        assert await run(other, changed) == [(0, [2])]
    whole = commit(3, changes(1, item(24, 12), item(30, 11, stack=3), version=2), replace=True)
    assert await run(store, whole) == [(0, [3])]
    assert await stored(store, 1) == {24: (100, 1, 12), 30: (100, 3, 11)}


async def test_a_guid_that_another_process_moved_is_sought_anew(
    store: SqliteStore, path: Path
) -> None:
    await joined(store, 1, 2)
    await run(store, commit(1, changes(1, item(23, 11))))
    async with await open_store(f"sqlite:///{path}") as other:
        traded = commit(2, changes(1, deletes=[23], version=1), changes(2, item(23, 11)))
        assert await run(other, traded) == [(0, [2, 1])]
    assert (await run(store, commit(3, changes(1, item(23, 11), version=2))))[0][0] == 10
    assert await stored(store, 1) == {}


async def test_a_leave_makes_room_and_a_join_reads_anew(store: SqliteStore, path: Path) -> None:
    await joined(store, 1, 2)
    assert held(store) == [1, 2]
    await run(store, commit(1, changes(1, item(23, 11))))
    await store.write_group([LeaveEntry(1, WORLD, 1)])
    assert held(store) == [2]
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("UPDATE character_inventory SET stack_count = 9")
        tool.commit()
    (outcome,) = await joined(store, 1)
    assert outcome.items["stack_count"].tolist() == [9]
    assert await run(store, commit(2, changes(1, item(23, 11, stack=9), epoch=2, version=1))) == [
        (0, [2])
    ]


async def test_clearing_forgets(store: SqliteStore) -> None:
    await store.write_group([JoinEntry(1, WORLD, NONCE)])
    await store.clear_characters(0, 2**64 - 1)
    assert held(store) == []


async def test_an_update_never_takes_a_strangers_row(store: SqliteStore, path: Path) -> None:
    """Not even where a tool moved a guid of an online character behind the realm's back."""
    await joined(store, 1, 2)
    await run(store, commit(1, changes(1, item(23, 11)), changes(2, item(23, 21))))
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("UPDATE character_inventory SET item_guid = 99 WHERE item_guid = 11")
        tool.execute("UPDATE character_inventory SET item_guid = 11 WHERE item_guid = 21")
        tool.commit()
    await run(store, commit(2, changes(1, item(23, 11, stack=2), version=1)))
    assert await stored(store, 1) == {23: (100, 2, 99)}
    assert await stored(store, 2) == {23: (100, 1, 11)}
