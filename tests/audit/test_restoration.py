"""Restoring: what was destroyed comes back, what moved on does not, and nothing is doubled."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_shard import BAG, MIRA, ORIN, SWORD, gold

from mmoinv import RealmConnector, RealmServer
from mmoinv.audit import holdings_at, verify
from mmoinv.audit.history import holdings
from mmoinv.audit.restoration import Kind, Plan, Wish, plan, restore
from mmoinv.commits import OwnReason
from mmoinv.conformance.operations import changes, commit, contents, item, joined, run
from mmoinv.errors import JoinError, StaleSessionError, StoreDataError
from mmoinv.stores import LeaveEntry, store_for
from mmoinv.stores.sql_store import SqlStore

POTIONS, SHIELD = 2, 31


async def planned(store: SqlStore, wish: Wish, guid: int = MIRA) -> Plan:
    return await store.read_only(lambda connection: plan(connection, guid, wish))


async def restored(store: SqlStore, wish: Wish, guid: int = MIRA) -> Plan:
    made = await planned(store, wish, guid)
    await restore(store, made, takes_online=True)
    return made


def told(made: Plan) -> list[tuple[Kind, int, int]]:
    """What becomes of which item, and how much of it."""
    return [
        (step.kind, step.item.item_guid, step.item.stack_count)
        for step in made.steps
        if step.item is not None
    ]


async def held(store: SqlStore, guid: int = MIRA) -> dict[int, tuple[int, int, int]]:
    found = await store.read_only(lambda connection: holdings(connection, guid))
    return contents(found.items)


async def test_what_was_destroyed_comes_back_and_what_was_sold_does_not(store: SqlStore) -> None:
    made = await restored(store, Wish(version=2))
    assert told(made) == [(Kind.LEFT, SWORD, 1), (Kind.GROWS, POTIONS, 1)]
    assert made.left[0].text == f"it is in slot 255:30 of character {ORIN} now"
    assert await held(store) == {BAG | 24: (100, 5, POTIONS)}
    async with store:
        session = await store.read_session(MIRA)
        assert session is not None
        assert (session.version, session.epoch, session.online) == (5, 2, False)
        (entry,) = await store.read_ledger(MIRA, first_version=5)
        assert entry.reason == OwnReason.RESTORED
        # The world that held her is fenced out.
        assert await run(store, commit(9, changes(MIRA, version=5))) == [(2, [5])]
    assert (await planned(store, Wish(version=2))).change.is_empty
    assert (await store.read_only(verify)).passed


async def test_a_taken_slot_is_not_emptied_and_destroyed_again_comes_back_again(
    store: SqlStore,
) -> None:
    async with store:
        await run(store, commit(11, changes(MIRA, item(BAG | 24, SHIELD, entry=7), version=4)))
    made = await restored(store, Wish(version=4))
    assert told(made) == [(Kind.RETURNS, POTIONS, 4)]
    full = {BAG | 23: (100, 4, POTIONS), BAG | 24: (7, 1, SHIELD)}
    assert await held(store) == full
    async with store:
        await joined(store, MIRA)
        gone = commit(12, changes(MIRA, deletes=[BAG | 23], epoch=3, version=6))
        assert (await run(store, gone))[0][0] == 0
    await restored(store, Wish(version=4))
    assert await held(store) == full
    exact = await restored(store, Wish(version=4, exact=True))
    assert told(exact) == [(Kind.GOES, SHIELD, 1), (Kind.MOVES, POTIONS, 4)]
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}
    assert (await store.read_only(verify)).passed


# On SQLite alone: the same statements


@pytest.fixture
def shard(tmp_path: Path) -> SqlStore:
    """An empty database."""
    store = store_for(f"sqlite:///{tmp_path / 'realm.db'}")
    assert isinstance(store, SqlStore)
    return store


async def played(store: SqlStore, *operations: Any) -> None:
    async with store:
        await store.add_world("world-1", "verifier")
        await joined(store, MIRA, ORIN)
        results = await run(store, *operations)
        assert [status for status, _ in results] == [0] * len(operations)
        await store.write_group([LeaveEntry(guid, 1, 1) for guid in (MIRA, ORIN)])


async def test_a_stack_that_was_split_and_given_away_is_not_doubled(shard: SqlStore) -> None:
    await played(
        shard,
        commit(1, changes(MIRA, item(BAG | 23, 5, stack=20))),
        commit(
            2, changes(MIRA, item(BAG | 23, 5, stack=15), item(BAG | 24, 6, stack=5), version=1)
        ),
        commit(
            3,
            changes(MIRA, deletes=[BAG | 24], version=2),
            changes(ORIN, item(BAG | 23, 6, stack=5)),
        ),
        commit(4, changes(MIRA, deletes=[BAG | 23], version=3)),
    )
    made = await restored(shard, Wish(operation_id=1))
    assert told(made) == [(Kind.RETURNS, 5, 15), (Kind.LEFT, 5, 5)]
    assert await held(shard) == {BAG | 23: (100, 15, 5)}


async def test_what_was_mailed_in_two_operations_is_not_doubled(shard: SqlStore) -> None:
    """The letter's item is nowhere for a while, then with another, who destroys it."""
    await played(
        shard,
        commit(1, changes(MIRA, item(BAG | 23, 5, stack=20))),
        commit(2, changes(MIRA, deletes=[BAG | 23], version=1)),
        commit(3, changes(ORIN, item(BAG | 23, 5, stack=20))),
        commit(4, changes(ORIN, deletes=[BAG | 23], version=1)),
    )
    made = await planned(shard, Wish(version=1))
    assert made.change.is_empty
    assert f"it went to character {ORIN}, whose operation 0x4" in made.left[0].text


async def test_bags_come_back_with_what_was_in_them(shard: SqlStore) -> None:
    inside = 19 << 8
    await played(
        shard,
        commit(
            1,
            changes(
                MIRA,
                item(BAG | 19, 40, entry=9),
                item(inside | 3, 41, contained=40),
                item(BAG | 30, 42),
            ),
        ),
        commit(2, changes(MIRA, deletes=[BAG | 19, inside | 3], version=1)),
        commit(3, changes(MIRA, item(BAG | 19, 50, entry=9), version=2)),
    )
    await restored(shard, Wish(version=1, slots={inside | 3}))
    assert (await held(shard))[BAG | 23] == (100, 1, 41)
    await restored(shard, Wish(version=1, exact=True))
    now = await shard.read_only(lambda connection: holdings(connection, MIRA))
    then = await shard.read_only(lambda connection: holdings_at(connection, MIRA, version=1))
    assert now.items.tobytes() == then.items.tobytes()


async def test_money_that_was_spent_comes_back_and_what_others_got_does_not(
    shard: SqlStore,
) -> None:
    await played(
        shard,
        commit(1, changes(MIRA, currencies=gold(100))),
        commit(
            2,
            changes(MIRA, version=1, currencies=gold(-30)),
            changes(ORIN, currencies=gold(30)),
            conserve=True,
        ),
        commit(3, changes(MIRA, version=2, currencies=gold(-50))),
    )
    made = await restored(shard, Wish(version=1, money=True))
    assert [step.text for step in made.steps] == [
        "currency 1: 30 went to others",
        "currency 1: +50, then 70",
    ]
    assert (await shard.read_only(verify)).passed


async def test_a_history_that_does_not_lead_to_what_is_stored_restores_nothing(
    shard: SqlStore,
) -> None:
    await played(shard, commit(1, changes(MIRA, item(BAG | 23, 5))))
    await shard.inspect(
        lambda connection: connection.exec_driver_sql("DELETE FROM character_inventory")
    )
    with pytest.raises(StoreDataError, match="verify --fix"):
        await planned(shard, Wish(version=1))


async def test_an_operation_that_is_not_hers_is_named(store: SqlStore) -> None:
    with pytest.raises(StoreDataError, match="no operation 0x63 of it; it may be older"):
        await planned(store, Wish(operation_id=99))


async def test_a_character_that_is_online_stays_with_its_world(store: SqlStore) -> None:
    made = await planned(store, Wish(version=2))
    with pytest.raises(JoinError, match=r"online in world-1.*--online"):
        await restore(store, made)
    assert await held(store) == {BAG | 24: (100, 4, POTIONS)}


async def test_a_world_that_plays_on_meanwhile_is_fenced_out_and_joins_anew(
    shard: SqlStore,
) -> None:
    async with RealmServer(shard.url, port=0) as realm:
        secret = await realm.add_world("world-1")
        async with RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as world:
            await world.join(MIRA)
            (guid,) = world.new_item_guids(1).tolist()
            sword = item(BAG | 23, guid)
            await world.repository().save_item(MIRA, sword)
            await world.repository().delete_item(MIRA, BAG | 23)
            made = await planned(shard, Wish(version=1))
            assert await restore(shard, made, takes_online=True) is not None
            with pytest.raises(StaleSessionError):
                await world.repository().save_item(MIRA, item(BAG | 23, guid + 1))
            await world.leave(MIRA)
            again = await world.join(MIRA)
            assert (again.version, contents(again.items)) == (3, {BAG | 23: (100, 1, guid)})
            await world.repository().delete_item(MIRA, BAG | 23)
    assert (await shard.read_only(verify)).passed


# Whatever happened before


class Game:
    """A shard of three characters and two kinds of items, as a game would play it.

    ``born`` counts what the game made, ``limbo`` what it destroyed: whoever restores may give
    back what is in limbo, and no more. A letter's item is in limbo until it is delivered.
    """

    def __init__(self, store: SqlStore, tool: SqlStore, first: int) -> None:
        self.store, self.tool = store, tool
        self.characters = [first, first + 1, first + 2]
        self.versions = dict.fromkeys(self.characters, 0)
        self.epochs = dict.fromkeys(self.characters, 1)
        self.held: dict[int, dict[int, list[int]]] = {guid: {} for guid in self.characters}
        """Item guid to [entry, stack]; an item's slot is that of its place in the dict."""
        self.limbo: Counter[int] = Counter()
        self.born: Counter[int] = Counter()
        self.letters: list[tuple[int, list[int]]] = []
        self.guids = first << 20
        self.operations = first << 20

    def total(self, entry: int) -> int:
        return sum(
            stack for items in self.held.values() for kind, stack in items.values() if kind == entry
        )

    def _new(self) -> int:
        self.guids += 1
        return self.guids

    async def save(self, *characters: int) -> None:
        self.operations += 1
        operation = commit(
            self.operations,
            *(
                changes(
                    guid,
                    *(
                        item(BAG | 23 + place, number, entry, stack)
                        for place, (number, (entry, stack)) in enumerate(self.held[guid].items())
                    ),
                    version=self.versions[guid],
                    epoch=self.epochs[guid],
                )
                for guid in characters
            ),
            replace=True,
        )
        assert [status for status, _ in await run(self.store, operation)] == [0]
        for guid in characters:
            self.versions[guid] += 1

    async def play(self, deed: str, whose: int, which: int, count: int) -> None:
        guid = self.characters[whose]
        items = self.held[guid]
        if deed == "loot":
            items[self._new()] = [1 + which % 2, count]
            self.born[1 + which % 2] += count
            return await self.save(guid)
        if deed == "deliver" and self.letters:
            number, (entry, stack) = self.letters.pop()
            back = min(stack, self.limbo[entry])
            self.limbo[entry] -= back
            self.born[entry] += stack - back
            if not any(number in others for others in self.held.values()):
                items[number] = [entry, stack]
            else:
                items[self._new()] = [entry, stack]
            return await self.save(guid)
        if not items:
            return None
        number = list(items)[which % len(items)]
        entry, stack = items[number]
        alike = [other for other in items if other != number and items[other][0] == entry]
        count = min(count, stack)
        if deed in ("destroy", "mail"):
            del items[number]
            self.limbo[entry] += stack
            if deed == "mail":
                self.letters.append((number, [entry, stack]))
        elif deed == "use" and count < stack:
            items[number][1] -= count
            self.limbo[entry] += count
        elif deed == "split" and count < stack:
            items[number][1] -= count
            items[self._new()] = [entry, count]
        elif deed in ("merge", "merge some") and alike:
            # Of "some", one is lost on the way, in the same operation.
            del items[number]
            lost = deed == "merge some"
            items[alike[0]][1] += stack - lost
            self.limbo[entry] += lost
        elif deed == "trade":
            other = self.characters[(whose + 1 + which % 2) % 3]
            self.held[other][number] = items.pop(number)
            return await self.save(guid, other)
        return await self.save(guid)

    async def restore(self, whose: int, version: int, exact: bool) -> None:
        guid = self.characters[whose]
        before = {number: stack for number, (_, stack) in self.held[guid].items()}
        totals = {entry: self.total(entry) for entry in (1, 2)}
        wish = Wish(version=version % (self.versions[guid] + 1), exact=exact)
        then = await self.tool.read_only(
            lambda connection: holdings_at(connection, guid, version=wish.version)
        )
        made = await planned(self.tool, wish, guid)
        done = await restore(self.tool, made, takes_online=True)
        now = (await self.tool.read_only(lambda connection: holdings(connection, guid))).items
        self.held[guid] = {
            number: [entry, stack]
            for entry, stack, number in now[["entry", "stack_count", "item_guid"]].tolist()
        }
        for entry in (1, 2):
            made_of_it = self.total(entry) - totals[entry]
            assert made_of_it <= self.limbo[entry]
            self.limbo[entry] -= made_of_it
            assert self.total(entry) + self.limbo[entry] == self.born[entry]
        was = dict(then.items[["item_guid", "stack_count"]].tolist())
        for number, (_, stack) in self.held[guid].items():
            # Never more of one than there was of it, then or now.
            assert stack <= max(was.get(number, 0), before.get(number, 0))
            if not exact:
                assert stack >= before.get(number, 0)
        if not exact:
            assert before.keys() <= self.held[guid].keys()
        if done is not None:
            self.versions[guid] += 1
            self.epochs[guid] += 2
            await joined(self.store, guid)


DEEDS = ("loot", "use", "split", "merge", "merge some", "trade", "destroy", "mail", "deliver")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(DEEDS), st.integers(0, 2), st.integers(0, 9), st.integers(1, 9)),
        st.tuples(st.just("restore"), st.integers(0, 2), st.integers(0, 30), st.booleans()),
    ),
    min_size=4,
    max_size=24,
)


def test_nothing_is_ever_made_that_was_not_destroyed(tmp_path: Path) -> None:
    realm, tool = (store_for(f"sqlite:///{tmp_path / 'realm.db'}") for _ in range(2))
    assert isinstance(realm, SqlStore)
    assert isinstance(tool, SqlStore)
    firsts = iter(range(1000, 10**6, 10))

    async def one(events: list[tuple[Any, ...]]) -> None:
        game = Game(realm, tool, next(firsts))
        await joined(realm, *game.characters)
        for deed, *details in [("loot", 0, 0, 9), ("loot", 0, 1, 5), *events]:
            if deed == "restore":
                await game.restore(*details)
            else:
                await game.play(deed, *details)

    with asyncio.Runner() as runner:
        runner.run(realm.open())

        @settings(max_examples=12)
        @given(EVENTS)
        # Destroyed, restored, merged: what was restored is in the stack, and not destroyed.
        @example(
            [
                ("loot", 0, 0, 3),
                ("destroy", 0, 0, 1),
                ("restore", 0, 3, False),
                ("merge", 0, 2, 1),
                ("restore", 0, 3, False),
            ]
        )
        # One of nine is lost while they are merged.
        @example([("loot", 0, 0, 3), ("merge some", 0, 0, 1), ("restore", 0, 3, False)])
        # A letter that is on its way when its item is restored, and is delivered.
        @example([("mail", 0, 0, 1), ("restore", 0, 2, False), ("deliver", 1, 0, 1)])
        # Destroyed by who has it now.
        @example([("trade", 0, 0, 1), ("destroy", 1, 0, 1), ("restore", 0, 2, False)])
        def whatever(events: list[tuple[Any, ...]]) -> None:
            runner.run(one(events))

        try:
            whatever()
            findings = runner.run(tool.read_only(verify))
        finally:
            runner.run(realm.close())
    assert findings.kinds.keys() <= {"session"}, findings.problems
