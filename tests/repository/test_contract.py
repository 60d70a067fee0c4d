"""What every repository promises, run on each that there is: in memory, and through a realm."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import (
    InMemoryInventoryRepository,
    InventoryRepository,
    InventoryTransaction,
    InventoryUnitOfWork,
    RealmConnector,
    RealmServer,
)
from mmoinv.errors import (
    BatchError,
    DuplicateItemGuidError,
    InsufficientFundsError,
    InvalidOperationError,
    NotConservedError,
    RecordError,
    TransactionError,
)
from mmoinv.migration import FileBook, MigratingRepository, MigrationMode, ModeRules, Rules, Side
from mmoinv.migration.move import is_same_money
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch, slots_of

ONE, OTHER = 7, 2**63 + 8


def item(slot: int, guid: int, stack_count: int = 1) -> InventoryItemData:
    return InventoryItemData(2589, slot, stack_count, item_guid=guid)


def items(*slots: int, base: int = 100) -> Batch:
    return batch_of(*(item(slot, base + slot) for slot in slots))


def same(one: Batch, other: Batch) -> bool:
    return one.tobytes() == other.tobytes()


@pytest.fixture(params=["memory", "realm", *MigrationMode])
async def repository(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[InventoryRepository]:
    if request.param == "memory":
        yield InMemoryInventoryRepository(names_items=True)
        return
    if request.param in tuple(MigrationMode):
        legacy, new = (InMemoryInventoryRepository(names_items=True) for _ in range(2))
        rules, book = ModeRules(Rules(request.param)), FileBook(tmp_path / "moving.book")
        async with MigratingRepository(legacy, new, rules=rules, book=book) as moving:
            for guid in (ONE, OTHER):
                await moving.join(guid)
            yield moving
            assert await moving.flush()
            for side in moving.mode_of(ONE).sides:
                for guid in (ONE, OTHER):
                    stored = {Side.LEGACY: legacy, Side.NEW: new}[side]
                    assert same(stored.load_items(guid), moving.load_items(guid))
                    assert is_same_money(stored.load_balances(guid), moving.load_balances(guid))
        return
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        secret = await realm.add_world("w")
        async with RealmConnector("127.0.0.1", realm.port, world="w", secret=secret) as connector:
            for guid in (ONE, OTHER):
                await connector.join(guid)
            yield connector.repository()


async def test_save_and_load(repository):
    await repository.save_all_items(ONE, items(3, 1, 2))
    assert same(repository.load_items(ONE), items(1, 2, 3))
    assert len(repository.load_items(OTHER)) == 0


async def test_save_item_touches_no_other_slot(repository):
    await repository.save_all_items(ONE, items(1, 2))
    await repository.save_item(ONE, item(2, 102, 9))
    await repository.save_item(ONE, item(3, 103).as_batch())
    assert repository.load_items(ONE)["stack_count"].tolist() == [1, 9, 1]


async def test_save_all_items_replaces_an_empty_batch_included(repository):
    await repository.save_all_items(ONE, items(1, 2))
    await repository.save_all_items(ONE, items(2, 5))
    assert same(repository.load_items(ONE), items(2, 5))
    await repository.save_all_items(ONE, empty_batch())
    assert len(repository.load_items(ONE)) == 0


async def test_delete(repository):
    await repository.save_all_items(ONE, items(1, 2, 3))
    await repository.delete_item(ONE, 2)
    await repository.delete_item(ONE, 9)  # nothing there
    assert same(repository.load_items(ONE), items(1, 3))
    await repository.delete_all_items(ONE)
    assert len(repository.load_items(ONE)) == 0


async def test_each_save_outside_a_transaction_is_a_commit_of_its_own(repository):
    first = await repository.save_item(ONE, item(1, 1))
    second = await repository.save_item(ONE, item(2, 2))
    assert (first.versions, second.versions) == ({ONE: 1}, {ONE: 2})
    assert first.operation_id != second.operation_id


async def test_a_transaction_is_one_commit(repository):
    repository.begin_transaction()
    assert repository.in_transaction
    assert repository.save_item(ONE, item(1, 1)) is None
    assert repository.save_item(ONE, item(1, 1, 5)) is None
    assert repository.delete_item(ONE, 2) is None
    assert repository.save_all_items(OTHER, items(4)) is None
    assert len(repository.load_items(ONE)) == 0
    outcome = await repository.commit()
    assert not repository.in_transaction
    assert outcome.versions == {ONE: 1, OTHER: 1}
    assert repository.load_items(ONE)["stack_count"].tolist() == [5]
    assert same(repository.load_items(OTHER), items(4))


async def test_rollback(repository):
    await repository.save_all_items(ONE, items(1))
    repository.begin_transaction()
    repository.delete_all_items(ONE)
    repository.rollback()
    assert same(repository.load_items(ONE), items(1))


async def test_nested_and_missing_transactions_raise(repository):
    for call in (repository.commit, repository.rollback):
        with pytest.raises(TransactionError):
            call()
    repository.begin_transaction()
    with pytest.raises(TransactionError, match="nested"):
        repository.begin_transaction()
    repository.rollback()


async def test_transactions_of_two_tasks_do_not_mix(repository):
    async def one(guid: int, slot: int) -> None:
        repository.begin_transaction()
        repository.save_item(guid, item(slot, slot))
        await asyncio.sleep(0.01)
        repository.save_item(guid, item(slot + 1, slot + 1))
        await repository.commit()

    await asyncio.gather(one(ONE, 1), one(OTHER, 11))
    assert repository.load_items(ONE)["slot"].tolist() == [1, 2]
    assert repository.load_items(OTHER)["slot"].tolist() == [11, 12]


async def test_inventory_transaction(repository):
    with InventoryTransaction(repository) as transaction:
        repository.save_item(ONE, item(1, 1))
        handle = transaction.commit()
    await handle
    with InventoryTransaction(repository):
        repository.save_item(ONE, item(2, 2))
    with pytest.raises(ZeroDivisionError), InventoryTransaction(repository):
        repository.save_item(ONE, item(3, 3))
        raise ZeroDivisionError
    assert repository.load_items(ONE)["slot"].tolist() == [1]
    assert not repository.in_transaction


async def test_an_empty_commit_is_done_at_once(repository):
    repository.begin_transaction()
    handle = repository.commit()
    assert handle.done
    assert (await handle).versions == {}


@pytest.mark.parametrize(
    "batch",
    [
        batch_of(InventoryItemData(5, 1, 0, item_guid=1)),
        batch_of(InventoryItemData(0, 1, 1, item_guid=1)),
        batch_of(InventoryItemData(5, 80, 1, item_guid=1)),
        batch_of(InventoryItemData(5, 1, 1)),
    ],
)
async def test_bad_batches_are_refused_at_once_and_nothing_is_taken(repository, batch):
    repository.begin_transaction()
    for call in (repository.save_item, repository.save_all_items, repository.save_changes):
        with pytest.raises(BatchError, match=f"character {ONE}"):
            call(ONE, batch)
    handle = repository.commit()
    assert handle.done


async def test_other_things_that_are_refused(repository):
    with pytest.raises(BatchError):
        repository.save_changes(ONE, items(1), slots_of(1))
    with pytest.raises(RecordError):
        repository.save_all_items(-1, items(1))
    with pytest.raises(RecordError):
        repository.save_all_items(ONE, [1, 2])


async def test_an_item_exists_once(repository):
    await repository.save_all_items(ONE, items(1))
    with pytest.raises(DuplicateItemGuidError):
        await repository.save_all_items(OTHER, batch_of(item(9, 101)))
    assert len(repository.load_items(OTHER)) == 0
    unit = InventoryUnitOfWork(repository)
    unit.register_deleted(ONE, 1)
    unit.register_new(OTHER, item(9, 101))
    await unit.commit()
    assert len(repository.load_items(ONE)) == 0
    assert repository.load_items(OTHER)["item_guid"].tolist() == [101]


GOLD, HONOR = 1, 65535


async def test_money(repository):
    await repository.add_money(ONE, GOLD, 500)
    await repository.add_money(ONE, HONOR, 2**63 - 1)
    assert repository.load_balances(ONE) == {GOLD: 500, HONOR: 2**63 - 1}
    with pytest.raises(InsufficientFundsError, match="has 500 of currency 1"):
        await repository.add_money(ONE, GOLD, -501)
    with pytest.raises(InvalidOperationError, match="currency 65535"):
        await repository.add_money(ONE, HONOR, 1)
    with pytest.raises(InsufficientFundsError):
        await repository.add_money(OTHER, GOLD, -(2**63))
    await repository.add_money(ONE, GOLD, -500)
    assert repository.load_balances(ONE) == {GOLD: 0, HONOR: 2**63 - 1}
    assert repository.load_balances(OTHER) == {}
    repository.begin_transaction()
    repository.add_money(ONE, GOLD, 7)
    repository.save_item(ONE, item(1, 1))
    repository.add_money(ONE, GOLD, -2)
    repository.save_all_items(ONE, items(4))
    assert (await repository.commit()).versions == {ONE: 4}
    assert repository.load_balances(ONE)[GOLD] == 5
    assert same(repository.load_items(ONE), items(4))


@pytest.mark.parametrize(
    ("currency", "amount"), [(-1, 1), (65536, 1), (1, 2**63), (1, -(2**63) - 1)]
)
async def test_money_that_cannot_be(repository, currency, amount):
    with pytest.raises(RecordError, match="nothing was taken"):
        repository.add_money(ONE, currency, amount)
    unit = InventoryUnitOfWork(repository)
    with pytest.raises(RecordError):
        unit.register_money(ONE, currency, amount)
    assert not unit.has_changes


async def test_a_sale_conserves_or_is_refused(repository):
    await repository.save_item(ONE, item(1, 1, 20))
    await repository.add_money(OTHER, GOLD, 500)

    def sale(given: int, taken: int, paid: int) -> InventoryUnitOfWork:
        unit = InventoryUnitOfWork(repository)
        unit.register_dirty(ONE, item(1, 1, 20 - given))
        unit.register_new(OTHER, item(30, 2, taken))
        unit.register_money(ONE, GOLD, paid)
        unit.register_money(OTHER, GOLD, -500)
        return unit

    with pytest.raises(NotConservedError, match="of entry 2589 there would be 1 more"):
        await sale(4, 5, 500).commit(conserve=True)
    failed = sale(5, 5, 501)
    with pytest.raises(NotConservedError, match="currency 1"):
        await failed.commit(conserve=True)
    assert failed.has_changes
    failed.register_money(ONE, GOLD, -1)
    await failed.commit(conserve=True)
    assert not failed.has_changes
    assert repository.load_balances(ONE) == {GOLD: 500}
    assert repository.load_balances(OTHER) == {GOLD: 0}
    assert repository.load_items(ONE)["stack_count"].tolist() == [15]
    assert repository.load_items(OTHER)["stack_count"].tolist() == [5]


async def test_unit_of_work_with_several_changes(repository):
    await repository.save_all_items(ONE, items(1, 2, 3))
    unit = InventoryUnitOfWork(repository)
    unit.register_new(ONE, item(4, 104))
    unit.register_dirty(ONE, item(1, 101, 7))
    unit.register_deleted(ONE, 2)
    assert unit.register_changes(OTHER, empty_batch(), items(5, base=200)) == 1
    assert (unit.has_changes, unit.change_count) == (True, 4)
    outcome = await unit.commit()
    assert set(outcome.versions) == {ONE, OTHER}
    assert not unit.has_changes
    assert repository.load_items(ONE)["slot"].tolist() == [1, 3, 4]
    assert repository.load_items(ONE)["stack_count"].tolist() == [7, 1, 1]
    assert same(repository.load_items(OTHER), items(5, base=200))


async def test_a_failed_unit_stays_dirty_under_what_came_since(repository):
    await repository.save_all_items(OTHER, items(1))
    unit = InventoryUnitOfWork(repository)
    unit.register_new(ONE, item(1, 101))  # exists at OTHER
    unit.register_new(ONE, item(2, 202))
    with pytest.raises(DuplicateItemGuidError):
        await unit.commit()
    assert unit.change_count == 2
    unit.register_dirty(ONE, item(1, 999))
    await unit.commit()
    assert repository.load_items(ONE)["item_guid"].tolist() == [999, 202]
    assert not unit.has_changes


async def test_rollback_of_a_unit(repository):
    unit = InventoryUnitOfWork(repository)
    unit.register_new(ONE, item(1, 1))
    unit.rollback()
    assert not unit.has_changes
    assert unit.commit().done
    assert len(repository.load_items(ONE)) == 0


async def test_register_new_wants_an_empty_slot(repository):
    unit = InventoryUnitOfWork(repository)
    unit.register_new(ONE, item(1, 1))
    with pytest.raises(BatchError, match="register_dirty"):
        unit.register_new(ONE, item(1, 2))
    unit.register_deleted(ONE, 1)
    unit.register_new(ONE, item(1, 3))
    await unit.commit()
    assert repository.load_items(ONE)["item_guid"].tolist() == [3]


SLOTS = st.integers(0, 7)
STATES = st.lists(st.dictionaries(SLOTS, st.integers(1, 3), max_size=6), min_size=1, max_size=8)


@given(STATES, st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_chain_of_diffs_arrives_whenever_it_is_committed(states, commits):
    """The game's inventory goes through states; now and then it is committed."""
    repository = InMemoryInventoryRepository(names_items=True)
    unit = InventoryUnitOfWork(repository)
    before = empty_batch()
    for state, commit in zip(states, commits, strict=False):
        after = batch_of(*(item(slot, 100 + slot, count) for slot, count in state.items()))
        unit.register_changes(ONE, before, after)
        before = after
        if commit:
            assert unit.commit().done
            assert same(repository.load_items(ONE), after)
    unit.commit()
    assert same(repository.load_items(ONE), before)
    assert not unit.has_changes


def test_in_memory_extras():
    repository = InMemoryInventoryRepository()
    repository.save_all_items(ONE, items(1, 2))
    repository.save_all_items(OTHER, items(3))
    assert repository.item_count == 3
    assert (repository.version(ONE), repository.version(99)) == (1, 0)
    repository.clear()
    assert repository.item_count == 0
    assert len(repository.load_items(ONE)) == 0
    # Without names_items, items need no guid.
    repository.save_item(ONE, InventoryItemData(5, 1))
    assert repository.item_count == 1
