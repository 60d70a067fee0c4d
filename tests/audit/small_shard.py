"""A realm's database with a small history: two characters, a sword and some potions."""

from mmoinv.commits import CurrencyDelta
from mmoinv.conformance.operations import changes, commit, item, joined, run
from mmoinv.stores.sql_store import SqlStore

MIRA, ORIN = 7, 2**64 - 2
BAG = 255 << 8
SWORD = 2**63 + 5


def gold(amount: int) -> tuple[CurrencyDelta, ...]:
    return (CurrencyDelta(1, amount),)


async def play(store: SqlStore) -> None:
    """A sword is found, sharpened, sold, and sold on."""
    await store.add_world("world-1", "verifier")
    await joined(store, MIRA, ORIN)
    results = await run(
        store,
        commit(1, changes(MIRA, item(BAG | 23, SWORD, entry=19), item(BAG | 24, 2, stack=5))),
        commit(2, changes(ORIN, currencies=gold(500))),
    )
    results += await run(
        store,
        commit(
            3,
            changes(
                MIRA, item(BAG | 15, SWORD, entry=19, durability=9), version=1, deletes=[BAG | 23]
            ),
        ),
    )
    results += await run(
        store,
        commit(
            4,
            changes(MIRA, deletes=[BAG | 15], version=2, currencies=gold(100)),
            changes(
                ORIN,
                item(BAG | 30, SWORD, entry=19, durability=9),
                version=1,
                currencies=gold(-100),
            ),
            conserve=True,
        ),
    )
    results += await run(store, commit(5, changes(MIRA, item(BAG | 24, 2, stack=4), version=3)))
    assert [status for status, _ in results] == [0] * 5
