"""What every store promises, as tests that any store can be put to.

A store of your own passes them like ours; with pytest and pytest-asyncio installed:

    from mmoinv.conformance.stores import MakeStore, StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def make_store(self, tmp_path) -> MakeStore:
            return lambda: MyStore(tmp_path / "realm")

``make_store`` makes stores, not yet open, of one database, which is new for each test. The
rules are those of `mmoinv.stores.Store`.
"""

from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio

from mmoinv.commits import UNKNOWN_OPERATION, Commits, CurrencyDelta
from mmoinv.conformance.operations import (
    NONCE,
    OTHER_WORLD,
    WORLD,
    changes,
    commit,
    contents,
    entry,
    item,
    joined,
    run,
    stored,
)
from mmoinv.errors import StoreError
from mmoinv.records import Fault, InventoryItemData
from mmoinv.stores import (
    CommitOutcome,
    JoinEntry,
    JoinOutcome,
    JoinRefused,
    LeaveEntry,
    LeaveOutcome,
    Session,
    Store,
    Verdict,
)

MakeStore = Callable[[], Store]
"""Makes a store of the test's database, not yet open."""
EDGES = [0, 1, 2**63 - 1, 2**63, 2**64 - 1]
"""Of a u64, and of the signed numbers that a database may keep it as."""


@pytest.mark.asyncio
class StoreConformance:
    """The tests; `make_store` is what a subclass gives."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Stores of the test's database."""
        raise NotImplementedError("a fixture 'make_store' is what your class must have")

    @pytest_asyncio.fixture
    async def store(self, make_store: MakeStore) -> AsyncIterator[Store]:
        """A store of a new database, with two worlds."""
        async with make_store() as store:
            assert await store.add_world("world-1", "verifier 1") == 1
            assert await store.add_world("world-2", "verifier 2") == 2
            yield store

    # Worlds and numbers

    async def test_worlds_are_found_by_name(self, store: Store) -> None:
        assert await store.find_world("world-1") == (1, "verifier 1")
        assert await store.find_world("world-3") is None
        assert [world.name for world in await store.worlds()] == ["world-1", "world-2"]

    async def test_a_world_added_again_keeps_its_id_and_gets_the_new_verifier(
        self, store: Store
    ) -> None:
        assert await store.add_world("world-1", "other") == 1
        assert await store.find_world("world-1") == (1, "other")

    async def test_node_epochs_are_never_given_twice(
        self, store: Store, make_store: MakeStore
    ) -> None:
        epochs = [await store.next_node_epoch(1), await store.next_node_epoch()]
        async with make_store() as second:
            epochs.append(await second.next_node_epoch(2))
        epochs.append(await store.next_node_epoch(1))
        assert epochs == sorted(set(epochs))
        assert epochs[0] >= 1
        assert [world.node_epoch for world in await store.worlds()] == [epochs[3], epochs[2]]

    async def test_what_others_did_while_it_was_closed_is_seen(
        self, store: Store, make_store: MakeStore
    ) -> None:
        (ours,) = await joined(store, 7)
        for version in range(2):
            await run(store, commit(version + 1, changes(7, item(23, 1), version=version)))
        await store.close()
        async with make_store() as second:
            (theirs,) = await joined(second, 7)
        assert theirs.epoch == ours.epoch + 1
        await store.open()
        stale = commit(3, changes(7, item(23, 1, stack=2), version=2, epoch=ours.epoch))
        assert await run(store, stale) == [(Verdict.STALE_SESSION, [2])]
        assert contents(theirs.items) == await stored(store, 7)

    async def test_what_is_closed_says_so(self, make_store: MakeStore) -> None:
        store = make_store()
        with pytest.raises(StoreError, match="not open"):
            await store.worlds()
        await store.open()
        with pytest.raises(StoreError, match="open already"):
            await store.open()
        await store.close()
        await store.close()

    # Sessions

    async def test_each_join_raises_the_epoch(self, store: Store) -> None:
        first, second = await joined(store, 7, 7)
        assert (first.epoch, second.epoch) == (1, 2)
        assert (first.version, len(first.items)) == (0, 0)
        assert await store.read_session(7) == Session(7, WORLD, NONCE, 2, 0, True)
        assert await store.read_session(8) is None

    async def test_a_reclaim_keeps_the_epoch_only_if_it_is_still_the_rows(
        self, store: Store
    ) -> None:
        await joined(store, 7)
        claims = [
            JoinEntry(7, WORLD, NONCE, 1),
            JoinEntry(7, WORLD, NONCE - 1, 1),
            JoinEntry(7, OTHER_WORLD, NONCE, 1),
            JoinEntry(7, WORLD, NONCE, 2),
            JoinEntry(8, WORLD, NONCE, 1),
        ]
        kept, *refused = await store.write_group(claims)
        assert isinstance(kept, JoinOutcome)
        assert kept.epoch == 1
        said = [outcome.message for outcome in refused if isinstance(outcome, JoinRefused)]
        assert len(said) == len(refused)
        assert "epoch 2" in said[2]
        assert await store.read_session(8) is None

    async def test_many_are_reclaimed_at_once_and_some_are_lost(self, store: Store) -> None:
        guids = [9, 2**64 - 1, 0, 2**63, 2**63 - 1, 3]
        await joined(store, *guids)
        await run(store, commit(1, changes(3, item(23, 5), epoch=1)))
        await joined(store, 2**63, 9, world=OTHER_WORLD)
        await store.write_group([LeaveEntry(0, WORLD, 1)])
        outcomes = await store.write_group([JoinEntry(guid, WORLD, NONCE, 1) for guid in guids])
        lost = [
            guid
            for guid, outcome in zip(guids, outcomes, strict=True)
            if isinstance(outcome, JoinRefused)
        ]
        assert lost == [9, 2**63]
        kept = [outcome for outcome in outcomes if isinstance(outcome, JoinOutcome)]
        assert [outcome.epoch for outcome in kept] == [1] * 4
        assert (kept[-1].version, len(kept[-1].items)) == (1, 1)
        session = await store.read_session(0)
        assert session is not None
        assert session.online

    async def test_a_leave_counts_only_for_the_epoch_that_is_held(self, store: Store) -> None:
        await joined(store, 7, 7)
        outcomes = await store.write_group(
            [LeaveEntry(7, WORLD, 1), LeaveEntry(7, OTHER_WORLD, 2), LeaveEntry(7, WORLD, 2)]
        )
        assert outcomes == [LeaveOutcome(False), LeaveOutcome(False), LeaveOutcome(True)]
        assert await run(store, commit(1, changes(7, epoch=2))) == [(Verdict.STALE_SESSION, [0])]

    async def test_joins_leaves_and_commits_of_one_group_run_in_order(self, store: Store) -> None:
        outcomes = await store.write_group(
            [
                entry(commit(1, changes(7, item(23, 500)))),
                JoinEntry(7, WORLD, NONCE),
                entry(commit(2, changes(7, item(23, 500)))),
                JoinEntry(7, OTHER_WORLD, NONCE),
                entry(commit(3, changes(7, item(24, 501), version=1))),
                entry(commit(4, changes(7, item(24, 501), epoch=2, version=1)), world=OTHER_WORLD),
                LeaveEntry(7, OTHER_WORLD, 2),
                entry(commit(5, changes(7, epoch=2, version=2)), world=OTHER_WORLD),
            ]
        )
        statuses = [o.statuses.tolist() for o in outcomes if isinstance(o, CommitOutcome)]
        assert statuses == [[2], [0], [2], [0], [2]]
        second = outcomes[3]
        assert isinstance(second, JoinOutcome)
        assert contents(second.items) == {23: (100, 1, 500)}
        assert await stored(store, 7) == {23: (100, 1, 500), 24: (100, 1, 501)}

    # Commits

    @pytest.mark.parametrize("number", EDGES)
    async def test_a_u64_is_kept_exactly(self, store: Store, number: int) -> None:
        await joined(store, number)
        guid = number or 5
        full = InventoryItemData(
            entry=2**32 - 1,
            slot=2**16 - 1,
            stack_count=2**16 - 1,
            creator=number,
            contained=number,
            durability=2**32 - 1,
            random_property_index=2**32 - 1,
            random_suffix_index=2**32 - 1,
            item_flags=2**32 - 1,
            item_guid=guid,
        )
        assert await run(store, commit(number, changes(number, full))) == [(0, [1])]
        (record,) = await store.read_items(number)
        assert InventoryItemData.from_record(record) == full
        (again,) = await joined(store, number)
        assert again.items.tobytes() == full.as_batch().tobytes()
        assert await run(store, commit(number, changes(number, full))) == [(1, [1])]
        owners, items = await store.read_inventories(number, number)
        assert owners.tolist() == [number]
        assert items.tobytes() == full.as_batch().tobytes()

    async def test_a_save_of_one_item_leaves_the_rest(self, store: Store) -> None:
        await joined(store, 7, 8)
        await run(
            store,
            commit(1, changes(7, item(23, 1), item(24, 2))),
            commit(2, changes(8, item(23, 3))),
        )
        assert await run(store, commit(3, changes(7, item(24, 2, stack=9), version=1))) == [
            (0, [2])
        ]
        assert await stored(store, 7) == {23: (100, 1, 1), 24: (100, 9, 2)}
        assert await stored(store, 8) == {23: (100, 1, 3)}

    async def test_an_emptied_inventory_stays_empty(self, store: Store) -> None:
        await joined(store, 7)
        await run(store, commit(1, changes(7, item(23, 1), item(24, 2))))
        assert await run(store, commit(2, changes(7, version=1), replace=True)) == [(0, [2])]
        assert await stored(store, 7) == {}
        (again,) = await joined(store, 7)
        assert (len(again.items), again.version) == (0, 2)

    async def test_replace_keeps_what_it_names_and_no_more(self, store: Store) -> None:
        await joined(store, 7)
        await run(store, commit(1, changes(7, item(23, 1), item(24, 2), item(25, 3))))
        replaced = commit(
            2, changes(7, item(24, 3), item(30, 2), item(31, 4), version=1), replace=True
        )
        assert await run(store, replaced) == [(0, [2])]
        assert await stored(store, 7) == {24: (100, 1, 3), 30: (100, 1, 2), 31: (100, 1, 4)}

    async def test_items_swap_slots_within_one_operation(self, store: Store) -> None:
        await joined(store, 7)
        await run(store, commit(1, changes(7, item(23, 1), item(24, 2))))
        assert await run(store, commit(2, changes(7, item(23, 2), item(24, 1), version=1))) == [
            (0, [2])
        ]
        assert await stored(store, 7) == {23: (100, 1, 2), 24: (100, 1, 1)}

    async def test_a_trade_is_all_in(self, store: Store) -> None:
        await joined(store, 7, 8)
        await run(store, commit(1, changes(7, item(23, 1))), commit(2, changes(8, item(23, 2))))
        trade = commit(3, changes(7, item(23, 2), version=1), changes(8, item(23, 1), version=1))
        assert await run(store, trade) == [(0, [2, 2])]
        assert await stored(store, 7) == {23: (100, 1, 2)}
        assert await stored(store, 8) == {23: (100, 1, 1)}

    async def test_a_trade_is_all_out(self, store: Store) -> None:
        await joined(store, 7, 8)
        await run(store, commit(1, changes(7, item(23, 1))))
        gift = commit(2, changes(7, deletes=[23], version=1), changes(8, item(23, 1), version=9))
        assert await run(store, gift) == [(Verdict.VERSION_CONFLICT, [1, 0])]
        assert await stored(store, 7) == {23: (100, 1, 1)}
        assert await stored(store, 8) == {}

    async def test_items_and_money_change_hands_together(self, store: Store) -> None:
        await joined(store, 7, 8)
        await run(
            store,
            commit(1, changes(7, item(23, 1, stack=20))),
            commit(2, changes(8, currencies=(CurrencyDelta(1, 500),))),
        )

        def sale(operation: int, price: int, paid: int, given: int = 5) -> Commits:
            return commit(
                operation,
                changes(
                    7,
                    item(23, 1, stack=20 - given),
                    version=1,
                    currencies=(CurrencyDelta(1, price),),
                ),
                changes(
                    8,
                    item(30, 2, stack=5),
                    version=1,
                    currencies=(CurrencyDelta(1, -paid),),
                ),
                conserve=True,
            )

        refused = await run(store, sale(3, 501, 501), sale(4, 100, 99), sale(5, 100, 100, 4))
        assert refused == [(9, [1, 1]), (5, [1, 1]), (5, [1, 1])]
        assert await store.read_wallet(7) == {}
        assert await run(store, sale(6, 500, 500)) == [(0, [2, 2])]
        assert await store.read_wallet(7) == {1: 500}
        assert await store.read_wallet(8) == {1: 0}
        assert await stored(store, 7) == {23: (100, 15, 1)}
        assert await stored(store, 8) == {30: (100, 5, 2)}
        (outcome,) = await store.write_group([JoinEntry(7, WORLD, NONCE)])
        assert isinstance(outcome, JoinOutcome)
        assert outcome.balances == {1: 500}

    async def test_a_balance_has_its_limits(self, store: Store) -> None:
        await joined(store, 7)
        most = 2**63 - 1

        def pay(operation: int, *deltas: tuple[int, int], version: int = 1) -> Commits:
            money = tuple(CurrencyDelta(*delta) for delta in deltas)
            return commit(operation, changes(7, version=version, currencies=money))

        results = await run(
            store,
            pay(1, (1, most - 1), (65535, 1), version=0),
            pay(2, (1, 2)),
            pay(3, (1, most)),
            pay(4, (65535, -2)),
            pay(5, (2, -(2**63))),
            pay(6, (2, 1), (2, 1)),
            pay(7, *((n, 1) for n in range(2, 255))),
            pay(8, (300, 1), version=2),
            pay(9, (300, 1), (301, 1), version=2),
        )
        assert [status for status, _ in results] == [0, 4, 4, 9, 9, 4, 0, 4, 4]
        wallet = await store.read_wallet(7)
        assert wallet == {1: most - 1, 65535: 1} | dict.fromkeys(range(2, 255), 1)

    async def test_the_ledger_says_what_was_before_and_after(self, store: Store) -> None:
        guid = 2**64 - 2
        await joined(store, guid, 8)
        await run(store, commit(2**63 + 1, changes(guid, item(23, 1, stack=5), item(24, 2))))
        gift = commit(
            2**63 + 2,
            changes(guid, item(23, 1, stack=4), deletes=[24], version=1),
            changes(8, item(30, 2), currencies=(CurrencyDelta(3, 7),)),
        )
        await run(store, gift)
        first, second = await store.read_ledger(guid)
        assert first[:3] == (guid, 1, 2**63 + 1)
        assert first.before["entry"].tolist() == [0, 0]
        assert first.after["stack_count"].tolist() == [5, 1]
        assert second.world_id == WORLD
        assert second.before["slot"].tolist() == [23, 24]
        assert second.before["stack_count"].tolist() == [5, 1]
        assert second.after["stack_count"].tolist() == [4, 0]
        assert second.partners.tolist() == [(8, 1)]
        (given,) = await store.read_ledger(8)
        assert given.after.tolist() == item(30, 2).as_batch().tolist()
        assert given.money.tolist() == [(3, 7, 7)]
        assert given.partners.tolist() == [(guid, 2)]
        assert [one.version for one in await store.read_ledger(guid, 2)] == [2]
        assert [one.version for one in await store.read_ledger(guid, limit=1)] == [1]

    async def test_an_empty_operation_is_an_operation(self, store: Store) -> None:
        await joined(store, 7)
        assert await run(store, commit(1, changes(7))) == [(0, [1])]
        assert await run(store, commit(1, changes(7), repeated=True)) == [(1, [1])]

    async def test_an_applied_operation_is_answered_whatever_became_of_the_session(
        self,
        store: Store,
    ) -> None:
        await joined(store, 7)
        first = commit(1, changes(7, item(23, 1)), repeated=True)
        assert await run(store, first) == [(0, [1])]
        await joined(store, 7, world=OTHER_WORLD)
        other = commit(2, changes(7, epoch=1, version=1))
        assert await run(store, first, other) == [(1, [1]), (2, [1])]

    async def test_the_same_operation_twice_in_one_group_is_applied_once(
        self, store: Store
    ) -> None:
        await joined(store, 7)
        once = commit(1, changes(7, item(23, 1)))
        assert await run(store, once, once) == [(0, [1]), (1, [1])]

    async def test_stale_sessions_change_nothing(self, store: Store) -> None:
        await joined(store, 7, 7)
        results = await run(
            store,
            commit(1, changes(7, item(23, 1), epoch=1)),
            commit(2, changes(7, item(23, 1), epoch=3)),
            commit(3, changes(9, item(23, 1))),
        )
        assert results == [(2, [0]), (2, [0]), (2, [0])]
        assert await run(store, commit(4, changes(7, epoch=2)), world=OTHER_WORLD) == [(2, [0])]
        assert (await store.counts()).items == 0
        assert (await store.counts()).applied_operations == 0
        assert await store.read_session(7) == Session(7, WORLD, NONCE, 2, 0, True)

    async def test_what_is_refused_raises_no_version(self, store: Store) -> None:
        await joined(store, 7, 8)
        outcomes = await store.write_group(
            [
                entry(commit(1, changes(7, version=3)), commit(2, changes(8))),
                JoinEntry(7, WORLD, NONCE),
                entry(commit(3, changes(7, version=5, epoch=2)), commit(4, changes(8, version=1))),
                entry(commit(5, changes(8, version=1)), commit(6, changes(7, epoch=2))),
            ]
        )
        assert [o.statuses.tolist() for o in outcomes if isinstance(o, CommitOutcome)] == [
            [3, 0],
            [3, 0],
            [3, 0],
        ]
        again = outcomes[1]
        assert isinstance(again, JoinOutcome)
        assert again.version == 0
        assert await store.read_session(7) == Session(7, WORLD, NONCE, 2, 1, True)
        assert await store.read_session(8) == Session(8, WORLD, NONCE, 1, 2, True)

    async def test_refusals_say_why(self, store: Store) -> None:
        await joined(store, 7, 8)
        await run(store, commit(1, changes(8, item(30, 55))))
        (outcome,) = await store.write_group(
            [
                entry(
                    commit(2, changes(7, epoch=4)),
                    commit(3, changes(7, version=6)),
                    commit(4, changes(7, item(23, 55))),
                    commit(5, changes(7, item(24, 5)), conserve=True),
                    commit(6, changes(7, currencies=(CurrencyDelta(1, -5),))),
                    commit(7, changes(7), fault=Fault.NO_PARTICIPANT),
                    commit(8, changes(7, item(23, 1), item(24, 1))),
                )
            ]
        )
        assert isinstance(outcome, CommitOutcome)
        assert outcome.statuses.tolist() == [2, 3, 10, 5, 9, 4, 10]
        said = outcome.messages
        assert "character 7" in said[0]
        assert "epoch 4" in said[0]
        assert "version 6" in said[1]
        assert "guid 55 is in slot 30 of character 8" in said[2]
        assert "of entry 100 there would be 1 more than before" in said[3]
        assert "character 7 has 0 of currency 1, and 5 are to be taken" in said[4]
        assert Fault.NO_PARTICIPANT.sentence in said[5]
        assert "guid 1 is saved twice" in said[6]
        assert all("nothing was saved" in message for message in said.values())

    async def test_one_bad_operation_never_fails_its_neighbours(self, store: Store) -> None:
        await joined(store, 1, 2, 3, 4, 5)
        await run(store, commit(1, changes(5, item(23, 900))))
        results = await run(
            store,
            commit(2, changes(1, item(23, 1))),
            commit(3, changes(2, item(23, 900))),
            commit(4, changes(3, item(23, 3)), fault=Fault.ENTRY_ZERO),
            commit(5, changes(4, item(23, 4))),
        )
        assert [status for status, _ in results] == [0, 10, 4, 0]
        assert [len(await stored(store, guid)) for guid in (1, 2, 3, 4)] == [1, 0, 0, 1]

    @pytest.mark.parametrize("replace", [True, False])
    async def test_a_strangers_guid_in_a_whole_inventory(self, store: Store, replace: bool) -> None:
        """Wherever the stranger is: not in the group, in it, giving the item away before or
        after."""
        await joined(store, 1, 2, 3, 4, 5, 6)
        await run(store, commit(1, changes(5, item(23, 900)), changes(6, item(23, 901))))

        def whole(operation: int, character: int, guid: int = 0, version: int = 0) -> Commits:
            items = [item(23 + n, 100 * character + n) for n in range(14)]
            if guid:
                items[7] = item(30, guid)
            return commit(operation, changes(character, *items, version=version), replace=replace)

        results = await run(store, whole(2, 1), whole(3, 2, 900), whole(4, 3), whole(5, 4, 900))
        assert results == [(0, [1]), (10, [0]), (0, [1]), (10, [0])]
        (outcome,) = await store.write_group([entry(whole(6, 2, 901))])
        assert isinstance(outcome, CommitOutcome)
        assert "guid 901 is in slot 23 of character 6" in outcome.messages[0]
        results = await run(
            store,
            whole(7, 2, 901),
            commit(8, changes(6, deletes=[23], version=1)),
            whole(9, 4, 901),
        )
        assert results == [(10, [0]), (0, [2]), (0, [1])]
        assert (await stored(store, 4))[30] == (100, 1, 901)
        assert await stored(store, 6) == {}
        assert await stored(store, 5) == {23: (100, 1, 900)}
        assert [len(await stored(store, guid)) for guid in (1, 2, 3, 4)] == [14, 0, 14, 14]
        # What is remembered of them is what is stored.
        assert await run(store, whole(10, 1, version=1), whole(11, 2)) == [(0, [2]), (0, [1])]
        assert (await stored(store, 1))[30] == (100, 1, 107)

    async def test_a_guid_that_moves_between_operations_of_one_group(self, store: Store) -> None:
        await joined(store, 1, 2, 3)
        await run(store, commit(1, changes(1, item(23, 77))))
        results = await run(
            store,
            commit(2, changes(2, item(23, 77))),
            commit(3, changes(1, deletes=[23], version=1)),
            commit(4, changes(2, item(23, 77))),
            commit(5, changes(3, item(23, 77))),
        )
        assert results == [(10, [0]), (0, [2]), (0, [1]), (10, [0])]
        assert await stored(store, 2) == {23: (100, 1, 77)}

    async def test_a_guid_that_comes_twice_in_one_group_goes_to_the_first(
        self, store: Store
    ) -> None:
        await joined(store, 1, 2)
        results = await run(
            store, commit(1, changes(1, item(23, 77))), commit(2, changes(2, item(24, 77)))
        )
        assert results == [(0, [1]), (10, [0])]

    async def test_one_character_many_times_in_one_group(self, store: Store) -> None:
        await joined(store, 7)
        results = await run(
            store,
            *(commit(n, changes(7, item(23, 1, stack=n), version=n - 1)) for n in range(1, 6)),
        )
        assert results == [(0, [n]) for n in range(1, 6)]
        assert await stored(store, 7) == {23: (100, 5, 1)}

    async def test_a_large_group(self, store: Store) -> None:
        characters = range(2**63 - 150, 2**63 + 151)
        await joined(store, *characters)
        before = [item(slot, slot) for slot in (23, 24)]
        results = await run(
            store,
            *(
                commit(n, changes(guid, *(item(i.slot, n << 8 | i.slot) for i in before)))
                for n, guid in enumerate(characters, 1)
            ),
        )
        assert results == [(0, [1])] * len(characters)
        owners, items = await store.read_inventories(characters[0], characters[-1])
        assert owners.tolist() == [guid for guid in characters for _ in before]
        assert len(np.unique(items["item_guid"])) == 2 * len(characters)

    # For tools

    async def test_old_operations_are_forgotten_a_slice_at_a_time(self, store: Store) -> None:
        await joined(store, *range(1, 11))
        numbers = [*range(1, 6), *range(2**64 - 5, 2**64)]
        await run(store, *(commit(id_, changes(n)) for n, id_ in enumerate(numbers, 1)))
        assert await _forget(store, 1) >= 4
        assert (await store.counts()).applied_operations == 10
        assert await _forget(store, 2**40) >= 4
        assert (await store.counts()).applied_operations == 0
        assert await _forget(store, 2**40) == 1

    async def test_what_may_be_forgotten_and_is_repeated_is_answered_as_unknown(
        self, store: Store, make_store: MakeStore
    ) -> None:
        def message(outcome: object) -> str:
            assert isinstance(outcome, CommitOutcome)
            return outcome.messages.get(0, "")

        old, young = 2**31 << 32 | 5, 2**31 + 1 << 32 | 1
        await joined(store, 7)
        await run(store, commit(old, changes(7, item(23, 1))))
        for reader in ("the store that forgot", "one that is opened later"):
            if reader == "the store that forgot":
                again = commit(old, changes(7, item(23, 1)), repeated=True)
                assert await run(store, again) == [(Verdict.ALREADY_COMMITTED, [1])]
                await _forget(store, 2**40)
            else:
                await store.close()
                store = make_store()
                await store.open()
            # Of its version, and of its session; but only if it is old and repeated.
            other_epoch = changes(7, item(23, 1), epoch=9)
            for number, change, repeated, verdict, is_unknown in (
                (old, changes(7, item(23, 1)), True, Verdict.STALE_SESSION, True),
                (old, other_epoch, True, Verdict.STALE_SESSION, True),
                (old, other_epoch, False, Verdict.STALE_SESSION, False),
                (old, changes(7, item(23, 1)), False, Verdict.VERSION_CONFLICT, False),
                (young, changes(7, item(23, 1)), True, Verdict.VERSION_CONFLICT, False),
            ):
                sent = entry(commit(number, change, repeated=repeated))
                (outcome,) = await store.write_group([sent])
                assert isinstance(outcome, CommitOutcome)
                assert outcome.statuses.tolist() == [verdict]
                assert message(outcome).startswith(UNKNOWN_OPERATION) is is_unknown
        # What can be applied was not applied before: its version says so.
        applicable = commit(old + 1, changes(7, item(24, 2), version=1), repeated=True)
        assert await run(store, applicable) == [(Verdict.COMMITTED, [2])]
        await store.close()

    async def test_the_ledger_is_forgotten_from_its_oldest_row_on(self, store: Store) -> None:
        await joined(store, 7)
        await run(store, *(commit(n, changes(7, version=n - 1)) for n in range(1, 8)))
        assert not await store.forget_ledger(0)
        assert len(await store.read_ledger(7)) == 7
        assert await store.forget_ledger(2**40, limit=3)
        assert [one.version for one in await store.read_ledger(7)] == [4, 5, 6, 7]
        while await store.forget_ledger(2**40, limit=3):
            pass
        assert await store.read_ledger(7) == []

    async def test_ranges_of_characters_are_cleared_alone(self, store: Store) -> None:
        guids = [5, 2**63 - 1, 2**63, 2**64 - 1]
        await joined(store, *guids)
        for number, guid in enumerate(guids, 1):
            await run(store, commit(number, changes(guid, item(23, number))))
        assert await store.has_characters(2**63 - 1, 2**63)
        assert await store.clear_characters(2**63 - 1, 2**63) == 2
        assert not await store.has_characters(2**63 - 1, 2**63)
        assert [len(await stored(store, guid)) for guid in guids] == [1, 0, 0, 1]
        counts = await store.counts()
        assert (counts.items, counts.sessions, counts.applied_operations, counts.worlds) == (
            2,
            2,
            4,
            2,
        )


async def _forget(store: Store, before_s: int) -> int:
    """How many calls it takes to look at all."""
    calls, place = 1, await store.forget_operations(before_s, None, 3)
    while place is not None:
        calls, place = calls + 1, await store.forget_operations(before_s, place, 3)
    return calls
