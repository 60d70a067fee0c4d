"""What protocol 3 does not carry is taken from what is stored, or minted."""

from typing import Any

import numpy as np

from mmoinv.commits import Commits
from mmoinv.conformance.operations import (
    changes,
    commit,
    entry,
    item,
    joined,
    old_delete,
    old_save,
    run,
    stored,
)
from mmoinv.stores import Store

MINTED = 99 << 32


def minter() -> Any:
    taken = [MINTED]

    def mint(count: int) -> np.ndarray[Any, Any]:
        taken[0] += count
        return np.arange(taken[0] - count, taken[0], dtype=np.uint64)

    return mint


async def save(store: Store, *commits: Commits, carries_flags: bool = False) -> list[int]:
    (outcome,) = await store.write_group(
        [entry(*commits)._replace(carries_flags=carries_flags)], minter()
    )
    return outcome.statuses.tolist()


async def start(store: Store) -> None:
    await joined(store, 7)
    assert await run(
        store,
        commit(
            1,
            changes(
                7,
                item(23, 11, entry=100, item_flags=1),
                item(24, 12, entry=200, item_flags=2),
                item(25, 13, entry=100, item_flags=4),
            ),
        ),
    ) == [(0, [1])]


async def flags(store: Store, character: int) -> dict[int, int]:
    return {int(r["slot"]): int(r["item_flags"]) for r in await store.read_items(character)}


async def test_an_item_that_stays_keeps_guid_and_flags(store: Store) -> None:
    await start(store)
    assert await save(store, old_save(2, 7, item(23, 0, entry=100, stack=5))) == [0]
    assert await stored(store, 7) == {23: (100, 5, 11), 24: (200, 1, 12), 25: (100, 1, 13)}
    assert await flags(store, 7) == {23: 1, 24: 2, 25: 4}


async def test_an_item_that_moves_within_a_packet_takes_its_guid_along(store: Store) -> None:
    await start(store)
    swap = old_save(2, 7, item(23, 0, entry=200), item(24, 0, entry=100))
    assert await save(store, swap) == [0]
    assert await stored(store, 7) == {23: (200, 1, 12), 24: (100, 1, 11), 25: (100, 1, 13)}
    assert await flags(store, 7) == {23: 2, 24: 1, 25: 4}


async def test_a_new_item_is_named_by_the_realm(store: Store) -> None:
    await start(store)
    assert await save(store, old_save(2, 7, item(26, 0, entry=100), item(27, 0, entry=5))) == [0]
    after = await stored(store, 7)
    assert (after[26], after[27]) == ((100, 1, MINTED), (5, 1, MINTED + 1))
    assert (await flags(store, 7))[26] == 0


async def test_replace_keeps_what_can_be_told_and_drops_the_rest(store: Store) -> None:
    await start(store)
    # The item of slot 23 leaves, that of 25 stays: so 30 is the one that left.
    whole = old_save(2, 7, item(25, 0, entry=100), item(30, 0, entry=100), replace=True)
    assert await save(store, whole) == [0]
    assert await stored(store, 7) == {25: (100, 1, 13), 30: (100, 1, 11)}


async def test_an_empty_replace_empties_and_an_empty_save_is_nothing(store: Store) -> None:
    await start(store)
    assert await save(store, old_save(2, 7)) == [0]
    assert len(await stored(store, 7)) == 3
    assert await save(store, old_save(3, 7, replace=True)) == [0]
    assert await stored(store, 7) == {}


async def test_carried_flags_are_taken_as_they_come(store: Store) -> None:
    await start(store)
    await save(store, old_save(2, 7, item(23, 0, entry=100)), carries_flags=True)
    assert (await flags(store, 7))[23] == 0
    assert (await stored(store, 7))[23] == (100, 1, 11)


async def test_saves_and_deletes_of_one_character_follow_each_other(store: Store) -> None:
    await start(store)
    statuses = await save(
        store,
        old_save(2, 7, item(30, 0, entry=9)),
        old_delete(3, 7, 23, 24),
        old_save(4, 7, item(23, 0, entry=9)),
        old_save(5, 7, item(23, 0, entry=9), epoch=9),
    )
    assert statuses == [0, 0, 0, 2]
    after = await stored(store, 7)
    assert after.keys() == {23, 25, 30}
    assert after[23][2] >= MINTED
    session = await store.read_session(7)
    assert session is not None
    assert session.version == 4


async def test_a_minted_guid_is_the_items_from_then_on(store: Store) -> None:
    await joined(store, 7)
    await save(store, old_save(1, 7, item(23, 0, entry=9)))
    assert await stored(store, 7) == {23: (9, 1, MINTED)}
    (outcome,) = await store.write_group([entry(old_save(2, 7, item(23, 0, entry=9, stack=2)))])
    assert outcome.statuses.tolist() == [0]
    assert await stored(store, 7) == {23: (9, 2, MINTED)}
