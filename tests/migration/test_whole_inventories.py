"""An old way's two functions behind the interface: whole inventories, in order, blocking or not."""

import asyncio
import threading

import numpy as np
import pytest
from old_way import OldWay

from mmoinv.errors import (
    BatchError,
    InsufficientFundsError,
    JoinError,
    NotConservedError,
    OperationRefusedError,
    RecordError,
)
from mmoinv.migration import WholeInventories
from mmoinv.records import ITEM_DATA, InventoryItemData, batch_of, empty_batch
from mmoinv.repository import checked_changes

ONE, OTHER = 7, 2**63 + 8


def item(slot: int, entry: int = 5, count: int = 1) -> InventoryItemData:
    return InventoryItemData(entry, slot, count)


@pytest.fixture
def old(tmp_path):
    return OldWay(tmp_path / "old.db")


@pytest.fixture
async def repository(old):
    whole = WholeInventories(old.load, old.save, save_together=old.save_together)
    for guid in (ONE, OTHER):
        await whole.join(guid)
    yield whole
    whole.close()


async def test_every_commit_saves_everything(old, repository):
    await repository.save_all_items(ONE, batch_of(item(1), item(2)))
    await repository.save_item(ONE, item(3, 9, 4))
    await repository.delete_item(ONE, 1)
    assert repository.load_items(ONE)["slot"].tolist() == [2, 3]
    assert old.load(ONE)["slot"].tolist() == [2, 3]
    assert (await repository.delete_all_items(ONE)).versions == {ONE: 4}
    assert len(old.load(ONE)) == 0


async def test_joins_and_leaves(old, repository):
    with pytest.raises(JoinError, match="already"):
        await repository.join(ONE)
    old.gate.clear()
    handle = repository.save_item(ONE, item(1))
    leaving = asyncio.create_task(repository.leave(ONE))
    await asyncio.sleep(0.05)
    assert not leaving.done()
    with pytest.raises(JoinError, match="not joined"):
        repository.save_item(ONE, item(2))
    old.gate.set()
    await leaving
    assert handle.done
    with pytest.raises(JoinError):
        repository.load_items(ONE)
    assert (await repository.join(ONE))["slot"].tolist() == [1]


async def test_what_fails_refuses_what_waits_behind_it_and_the_next_save_is_whole(old, repository):
    await repository.save_item(ONE, item(1))
    old.gate.clear()
    old.is_failing = True
    handles = [repository.save_item(ONE, item(slot)) for slot in (2, 3)]
    other = repository.save_item(OTHER, item(9))
    old.gate.set()
    for handle in handles:
        with pytest.raises(OperationRefusedError, match="the old database is away"):
            await handle
    with pytest.raises(OperationRefusedError):
        await other
    old.is_failing = False
    assert repository.load_items(ONE)["slot"].tolist() == [1]
    await repository.save_item(ONE, item(4))
    assert old.load(ONE)["slot"].tolist() == [1, 4]


async def test_a_doubtful_character_is_saved_once_more_when_it_leaves(old):
    written: dict[int, list[int]] = {}

    def save(guid, items):
        written[guid] = items["slot"].tolist()
        if old.is_failing:
            raise TimeoutError  # It was written all the same.

    whole = WholeInventories(lambda guid: empty_batch(), save, reads_back=False)
    await whole.join(ONE)
    await whole.save_item(ONE, item(1))
    old.is_failing = True
    with pytest.raises(OperationRefusedError):
        await whole.save_item(ONE, item(2))
    assert written[ONE] == [1, 2]
    with pytest.raises(OperationRefusedError):
        await whole.leave(ONE)
    old.is_failing = False
    await whole.leave(ONE)
    assert written[ONE] == [1]


async def test_half_a_trade_is_taken_back(old):
    stored = {ONE: [5], OTHER: []}
    failing = {OTHER}

    def save(guid, items):
        if guid in failing:
            raise ConnectionError
        stored[guid] = items["entry"].tolist()

    whole = WholeInventories(
        lambda guid: batch_of(*(item(1, entry) for entry in stored[guid])), save
    )
    for guid in (ONE, OTHER):
        await whole.join(guid)
    trade = [
        checked_changes(ONE, empty_batch(), (1,)),
        checked_changes(OTHER, batch_of(item(1))),
    ]
    with pytest.raises(OperationRefusedError):
        await whole.commit_changes(trade, conserve=True)
    assert stored == {ONE: [5], OTHER: []}
    failing.clear()
    await whole.commit_changes(trade, conserve=True)
    assert stored == {ONE: [], OTHER: [5]}
    with pytest.raises(NotConservedError):
        await whole.commit_changes([checked_changes(ONE, batch_of(item(2)))], conserve=True)


async def test_async_functions_and_money():
    stored = {ONE: (empty_batch(), {1: 5})}

    async def load(guid):
        await asyncio.sleep(0)
        return stored[guid]

    async def save(guid, items, balances):
        await asyncio.sleep(0)
        stored[guid] = (items, dict(balances))

    whole = WholeInventories(load, save, keeps_money=True)
    await whole.join(ONE)
    await whole.add_money(ONE, 1, 7)
    with pytest.raises(InsufficientFundsError):
        await whole.add_money(ONE, 1, -13)
    assert whole.load_balances(ONE) == {1: 12} == stored[ONE][1]


async def test_money_is_refused_where_none_is_kept(repository):
    with pytest.raises(RecordError, match="keeps no money"):
        repository.add_money(ONE, 1, 1)


async def test_what_is_really_there_is_seen(old, repository):
    def narrow(items):
        copy = items.copy()
        copy["stack_count"] %= 256
        return copy[copy["stack_count"] > 0]

    old.spoil = narrow
    await repository.save_all_items(ONE, batch_of(item(1, 5, 300), item(2, 5, 256)))
    assert repository.load_items(ONE)["stack_count"].tolist() == [44]


async def test_narrow_records_and_bad_ones():
    narrow = np.zeros(2, ITEM_DATA)
    narrow["slot"], narrow["entry"], narrow["stack_count"] = [4, 3], 5, 1
    whole = WholeInventories(lambda guid: narrow, lambda guid, items: None)
    assert (await whole.join(ONE))["slot"].tolist() == [3, 4]
    narrow["entry"][1] = 0
    with pytest.raises(BatchError):
        await whole.join(OTHER)


async def test_characters_do_not_wait_for_each_other(old, repository):
    threads = set()
    save = old.save_together
    both = threading.Barrier(2, timeout=10)

    def meet(whole):
        threads.add(threading.current_thread().name)
        both.wait()
        save(whole)

    repository._save_together = meet
    await asyncio.gather(repository.save_item(ONE, item(1)), repository.save_item(OTHER, item(1)))
    assert len(threads) == 2
