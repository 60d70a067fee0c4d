"""`verify --fix`: what can be mended safely is, in operations of the ledger; the rest is left."""

import json

import pytest
from small_shard import BAG, MIRA, ORIN, SWORD
from sqlalchemy import Connection, text

from mmoinv.audit import entries_of, verify
from mmoinv.audit.correction import fix
from mmoinv.audit.history import holdings
from mmoinv.audit.restoration import Wish, plan
from mmoinv.commits import OwnReason
from mmoinv.conformance.operations import changes, commit, contents, item, run
from mmoinv.errors import StoreDataError
from mmoinv.stores.sql_store import SqlStore

POTIONS = 2


async def spoil(store: SqlStore, *statements: str) -> None:
    """Somebody writes into the tables by hand. ``MIRA`` is 7; everyone is offline."""

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE character_session SET online = 0"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount

    await store.inspect(work)


async def fixed(store: SqlStore, online: bool = False) -> list[str]:
    """What is told of a fix of everything that is found."""
    told: list[str] = []
    found = await store.read_only(verify)
    await fix(store, found.damaged, told.append, takes_online=online)
    return told


async def held(store: SqlStore, guid: int = MIRA) -> dict[int, tuple[int, int, int]]:
    found = await store.read_only(lambda connection: holdings(connection, guid))
    return contents(found.items)


async def aside(store: SqlStore) -> list[tuple[int, int]]:
    """Item and stack of each row that was set aside."""
    rows = await store.read_only(
        lambda connection: connection.execute(
            text("SELECT stored_row FROM set_aside_item ORDER BY set_aside_id")
        ).all()
    )
    return [(row["item_guid"], row["stack_count"]) for row in (json.loads(one[0]) for one in rows)]


async def test_what_was_written_by_hand_is_set_aside_and_the_ledger_wins(store: SqlStore) -> None:
    await spoil(
        store,
        "UPDATE character_inventory SET stack_count = 90 WHERE item_guid = 2",
        "INSERT INTO character_inventory SELECT 7, 65303, 19, 1, 0, 0, 0, 0, 0, 0, 77 "
        "FROM character_session WHERE character_guid = 7",
        "UPDATE character_wallet SET balance = 9999 WHERE character_guid = 7",
    )
    told = await fixed(store)
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}
    assert await aside(store) == [(77, 1), (POTIONS, 90)]
    assert "character 7: currency 1: -9899, then 100, as of the ledger" in told
    findings = await store.read_only(verify)
    assert findings.passed, findings.problems
    assert [row.reason for row in findings.set_aside] == ["the ledger does not know it"] * 2
    last = await store.read_only(lambda connection: next(entries_of(connection, MIRA)))
    assert (last.version, last.reason) == (5, OwnReason.CORRECTED)
    assert await fixed(store) == []
    # What was corrected was not destroyed: nobody brings it back.
    for version in range(5):
        made = await store.read_only(
            lambda connection, version=version: plan(connection, MIRA, Wish(version=version))
        )
        assert (made.change.items["stack_count"] <= 5).all()
        assert 77 not in made.change.items["item_guid"]


async def test_a_corrupt_row_is_set_aside_and_what_it_was_is_written_again(
    store: SqlStore,
) -> None:
    await spoil(store, "UPDATE character_inventory SET stack_count = 0 WHERE item_guid = 2")
    told = await fixed(store)
    assert "character 7: 1 rows that cannot be read are set aside" in told
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}
    assert await aside(store) == [(POTIONS, 0)]
    assert (await store.read_only(verify)).passed


async def test_an_item_that_was_moved_to_another_by_hand_goes_back(store: SqlStore) -> None:
    """The one that misses it comes first, and waits until the other's row is set aside."""
    await spoil(
        store,
        "UPDATE character_inventory SET character_guid = "
        "(SELECT character_guid FROM character_session WHERE character_guid <> 7) "
        "WHERE item_guid = 2",
    )
    await fixed(store)
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}
    assert await held(store, ORIN) == {BAG | 30: (19, 1, SWORD)}
    assert (await store.read_only(verify)).passed


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM character_inventory WHERE item_guid = 2", "(item 2) is written"),
        ("DELETE FROM character_session WHERE character_guid = 7", "it gets a session"),
        ("UPDATE character_session SET version = 1 WHERE character_guid = 7", "1 becomes 4"),
        (
            "UPDATE character_session SET world_id = 44, online = 1 WHERE character_guid = 7",
            "its session is given back",
        ),
    ],
)
async def test_what_is_missing_is_written_again(
    store_on_sqlite: SqlStore, statement: str, said: str
) -> None:
    store = store_on_sqlite
    await spoil(store, statement)
    told = await fixed(store, online=True)
    assert said in "\n".join(told)
    assert (await store.read_only(verify)).passed
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}
    assert await fixed(store) == []


async def test_items_in_a_bag_that_is_not_there_go_to_free_slots(
    store_on_sqlite: SqlStore,
) -> None:
    store = store_on_sqlite
    bag, far = 19 << 8, 20 << 8 | 40
    async with store:
        lost = [item(bag | 3, 91), item(bag | 4, 92), item(far, 93)]
        assert await run(store, commit(9, changes(MIRA, *lost, version=4))) == [(0, [5])]
    await spoil(store)
    assert (await store.read_only(verify)).kinds == {"bag": 2, "slot": 1}
    await fixed(store)
    found = await held(store)
    assert {slot: guid for slot, (_, _, guid) in found.items()} == {
        BAG | 23: 91,
        BAG | 24: POTIONS,
        BAG | 25: 92,
        BAG | 26: 93,
    }
    assert (await store.read_only(verify)).passed


async def test_what_cannot_be_mended_is_left_and_told(store_on_sqlite: SqlStore) -> None:
    store = store_on_sqlite
    await spoil(
        store,
        "UPDATE character_session SET version = 9 WHERE character_guid = 7",
        "UPDATE character_inventory SET stack_count = 3 WHERE item_guid = 2",
    )
    before = await held(store)
    told = await fixed(store)
    assert told == [
        "character 7: left, its version is 9, and the ledger ends with 4: what was done since is "
        "not known"
    ]
    assert await held(store) == before


async def test_a_character_that_is_online_is_left(store_on_sqlite: SqlStore) -> None:
    store = store_on_sqlite
    await spoil(
        store,
        "DELETE FROM character_inventory WHERE item_guid = 2",
        "UPDATE character_session SET online = 1",
    )
    assert await fixed(store) == [
        "character 7: left, it is online in world-1: let it log out, or --online."
    ]
    assert await held(store) == {}
    await fixed(store, online=True)
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}


UNCHECKED = {
    "sqlite": "PRAGMA ignore_check_constraints = 1",
    "postgresql": "ALTER TABLE character_wallet DROP CONSTRAINT character_wallet_balance",
    "mysql": "SET check_constraint_checks = 0",
}


@pytest.mark.parametrize(
    ("is_remembered", "said", "then"),
    [(True, "+107, then 100, as of the ledger", 100), (False, "+7, then 0", 0)],
)
async def test_a_balance_below_zero_is_raised(
    store: SqlStore, is_remembered: bool, said: str, then: int
) -> None:
    """The database refuses one, unless it was told not to, as for a dump that is read in."""

    def work(connection: Connection) -> None:
        connection.execute(text(UNCHECKED[connection.dialect.name]))
        connection.execute(
            text("UPDATE character_wallet SET balance = -7 WHERE character_guid = 7")
        )
        if not is_remembered:
            connection.execute(text("DELETE FROM inventory_ledger"))

    with pytest.raises(StoreDataError):
        await store.inspect(
            lambda connection: connection.execute(text("UPDATE character_wallet SET balance = -7"))
        )
    await store.inspect(work)
    found = await store.read_only(verify)
    assert (MIRA, "balance") in {(each.character_guid, each.kind) for each in found.problems}
    await spoil(store, "UPDATE character_session SET online = 0 WHERE character_guid = 7")
    assert f"character 7: currency 1: {said}" in await fixed(store)
    now = await store.read_only(lambda connection: holdings(connection, MIRA))
    assert now.balances.get(1, 0) == then
    findings = await store.read_only(verify)
    assert "balance" not in findings.kinds
    if is_remembered:
        assert findings.passed, findings.problems
