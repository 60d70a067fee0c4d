"""World and realm together, on a real socket and a real database: the design's own cases."""

import asyncio

import numpy as np
import pytest
from inventories import BACKPACK, potion, potions, same

from mmoinv import InventoryTransaction, InventoryUnitOfWork
from mmoinv.errors import (
    BatchError,
    DuplicateItemGuidError,
    InvalidOperationError,
    JoinError,
    LinkError,
    NarrowingError,
    StaleSessionError,
    TransactionError,
)
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.world import ConnectorState


async def rows(realm, guid: int):
    return await realm.store.read_items(guid)


async def test_the_example_of_the_readme(realm, world):
    async with world() as connector:
        character = await connector.join(7)
        assert (character.guid, character.epoch, character.version) == (7, 1, 0)
        items_now = potions(connector.new_item_guids(2))
        unit = InventoryUnitOfWork(connector.repository())
        unit.register_changes(7, character.items, items_now)
        await unit.commit()
        assert same(character.items, items_now)
    assert same(await rows(realm, 7), items_now)


async def test_save_and_load(realm, connector):
    await connector.join(7)
    repository = connector.repository()
    items = potions(connector.new_item_guids(3), 20)
    await repository.save_all_items(7, items)
    assert same(repository.load_items(7), items)
    await connector.leave(7)
    character = await connector.join(7)
    assert same(character.items, items)
    assert (character.epoch, character.version) == (2, 1)


async def test_rollback(realm, connector):
    await connector.join(7)
    repository = connector.repository()
    before = potions(connector.new_item_guids(2))
    await repository.save_all_items(7, before)
    repository.begin_transaction()
    repository.delete_all_items(7)
    repository.save_item(7, potion(5, int(connector.new_item_guids(1)[0])))
    repository.rollback()
    assert same(repository.load_items(7), before)
    assert same(await rows(realm, 7), before)


async def test_rollback_before_send_sends_nothing(realm, connector):
    sent = []
    connector.on_packet_sent = sent.append
    await connector.join(7)
    with pytest.raises(ZeroDivisionError), InventoryTransaction(connector.repository()):
        connector.repository().save_item(7, potion(0, 1))
        raise ZeroDivisionError
    await connector.flush()
    await asyncio.sleep(0.02)
    assert sent == []
    assert realm.statistics.committed == 0
    with pytest.raises(TransactionError):
        connector.repository().rollback()


async def test_unit_of_work_with_several_changes(realm, connector):
    for guid in (7, 8):
        await connector.join(guid)
    repository = connector.repository()
    a, b, c = (int(guid) for guid in connector.new_item_guids(3))
    await repository.save_all_items(7, potions([a, b]))
    unit = InventoryUnitOfWork(repository)
    unit.register_new(7, potion(4, c))
    unit.register_dirty(7, potion(0, a, 5))
    unit.register_deleted(7, BACKPACK + 1)
    unit.register_changes(8, empty_batch(), potions([b]))
    outcome = await unit.commit()
    assert outcome.versions == {7: 2, 8: 1}
    assert same(await rows(realm, 7), batch_of(potion(0, a, 5), potion(4, c)))
    assert same(await rows(realm, 8), potions([b]))
    assert realm.statistics.committed == 2


@pytest.mark.parametrize("dialect", range(4))
async def test_round_trip_over_the_protocol(realm, world, dialect):
    async with world(dialect=dialect) as connector:
        character = await connector.join(7)
        repository = connector.repository()
        guids = connector.new_item_guids(2)
        items = batch_of(
            InventoryItemData(19, 0xFF00, 1, 5, 6, 70, 8, 9, item_guid=int(guids[0])),
            InventoryItemData(2589, BACKPACK, 20, item_guid=int(guids[1])),
        )
        await repository.save_all_items(7, items)
        await repository.save_item(
            7, InventoryItemData(19, 0xFF00, 1, 5, 6, 69, item_guid=int(guids[0]))
        )
        await repository.delete_item(7, BACKPACK)
        stored = await rows(realm, 7)
        assert stored["slot"].tolist() == [0xFF00]
        assert stored["durability"].tolist() == [69]
        assert stored["creator"].tolist() == [5]
        assert stored["item_guid"][0] != 0
        assert len(repository.load_items(7)) == 1
        assert character.version == (await realm.store.read_session(7)).version
        await repository.delete_all_items(7)
        assert len(await rows(realm, 7)) == 0


async def test_protocol_3_carries_one_character_and_what_fits(world):
    async with world(dialect=1) as connector:
        for guid in (7, 8):
            await connector.join(guid)
        unit = InventoryUnitOfWork(connector.repository())
        unit.register_new(7, potion(0, 1))
        unit.register_new(8, potion(0, 2))
        with pytest.raises(InvalidOperationError, match="one character"):
            unit.commit()
        with pytest.raises(NarrowingError, match="stack_count 256"):
            connector.repository().save_item(7, potion(0, 1, 256))
        assert connector.pending_count == 0


async def test_protocol_3_saves_and_deletes_of_one_commit(realm, world):
    async with world(dialect=1) as connector:
        await connector.join(7)
        repository = connector.repository()
        await repository.save_all_items(7, potions([0, 0, 0]))
        named = await rows(realm, 7)
        await repository.save_changes(7, batch_of(potion(0, 0, 9)), slots_of(BACKPACK + 1))
        stored = await rows(realm, 7)
        assert stored["slot"].tolist() == [BACKPACK, BACKPACK + 2]
        assert stored["stack_count"].tolist() == [9, 1]
        # The realm named the items, and they keep their names.
        assert stored["item_guid"].tolist() == named["item_guid"][[0, 2]].tolist()


async def test_a_single_save_leaves_the_rest_alone(realm, connector):
    await connector.join(7)
    repository = connector.repository()
    guids = [int(guid) for guid in connector.new_item_guids(3)]
    await repository.save_all_items(7, potions(guids))
    await repository.save_item(7, potion(1, guids[1], 7))
    assert (await rows(realm, 7))["stack_count"].tolist() == [1, 7, 1]


async def test_an_emptied_inventory_stays_empty(realm, connector):
    await connector.join(7)
    repository = connector.repository()
    await repository.save_all_items(7, potions(connector.new_item_guids(3)))
    unit = InventoryUnitOfWork(repository)
    unit.register_changes(7, repository.load_items(7), empty_batch())
    await unit.commit()
    await connector.leave(7)
    assert len((await connector.join(7)).items) == 0


async def test_an_item_moves_between_characters_and_is_never_doubled(realm, connector):
    for guid in (7, 8):
        await connector.join(guid)
    repository = connector.repository()
    (sword,) = connector.new_item_guids(1)
    await repository.save_all_items(7, potions([sword]))
    with pytest.raises(DuplicateItemGuidError, match=str(sword)):
        await repository.save_item(8, potion(0, int(sword)))
    assert len(await rows(realm, 8)) == 0
    unit = InventoryUnitOfWork(repository)
    unit.register_changes(7, potions([sword]), empty_batch())
    unit.register_changes(8, empty_batch(), potions([sword]))
    await unit.commit()
    assert len(await rows(realm, 7)) == 0
    assert same(await rows(realm, 8), potions([sword]))


async def test_replace_and_update_in_one_commit(realm, connector):
    for guid in (7, 8):
        await connector.join(guid)
    repository = connector.repository()
    guids = [int(guid) for guid in connector.new_item_guids(5)]
    await repository.save_all_items(7, potions(guids[:3]))
    await repository.save_all_items(8, potions(guids[3:]))
    repository.begin_transaction()
    repository.save_all_items(7, potions(guids[:1], 9))
    repository.save_item(8, potion(1, guids[4], 5))
    await repository.commit()
    assert same(await rows(realm, 7), potions(guids[:1], 9))
    assert (await rows(realm, 8))["stack_count"].tolist() == [1, 5]


async def test_another_world_wants_the_character(realm, world):
    async with world("world-1") as old, world("world-2") as new:
        asked = []
        old.on_leave_requested = asked.append
        await old.join(7)
        items = potions(old.new_item_guids(2))
        old.repository().save_all_items(7, items)
        character = await new.join(7)
        assert asked == [7]
        assert same(character.items, items)
        with pytest.raises(JoinError):
            old.repository().save_item(7, potion(0, 1))


async def test_a_world_that_was_fenced_out_cannot_overwrite(realm, world):
    async with world("world-1") as old, world("world-2") as new:
        character = await old.join(7)
        await new.join(7)  # the old one leaves as asked ...
        old._sessions.characters[7] = character  # ... but this one does not know.
        with pytest.raises(StaleSessionError):
            await old.repository().save_item(7, potion(0, int(old.new_item_guids(1)[0])))
        assert len(await rows(realm, 7)) == 0


async def test_a_second_logon_closes_the_older_link(realm, world):
    async with world() as old, world() as new:
        while old.state is ConnectorState.CONNECTED:
            await asyncio.sleep(0.01)
        await new.join(7)
        with pytest.raises(LinkError):
            await old.join(8)


async def test_item_guids_are_never_given_twice(realm, world):
    guids = []
    for _ in range(2):
        async with world() as connector:
            assert connector.new_item_guids(0).tolist() == []
            guids += connector.new_item_guids(3).tolist() + connector.new_item_guids(2).tolist()
            epoch = connector.node_epoch
            assert {guid >> 32 for guid in guids[-5:]} == {epoch}
    assert len(set(guids)) == 10
    with pytest.raises(LinkError):
        world().new_item_guids(1)


async def test_items_need_names_on_protocol_4(connector):
    await connector.join(7)
    with pytest.raises(BatchError, match="new_item_guids"):
        connector.repository().save_item(7, potion(0, 0))


async def test_characters_that_are_not_joined(connector):
    for call in (
        lambda: connector.repository().load_items(9),
        lambda: connector.repository().save_item(9, potion(0, 1)),
    ):
        with pytest.raises(JoinError, match="character 9 is not joined"):
            call()
    with pytest.raises(JoinError):
        await connector.leave(9)
    await connector.join(9)
    with pytest.raises(JoinError, match="already"):
        await connector.join(9)


async def test_a_guid_above_2_to_63(realm, connector):
    guid = 2**64 - 1
    await connector.join(guid)
    items = potions(connector.new_item_guids(1))
    await connector.repository().save_all_items(guid, items)
    assert same(await rows(realm, guid), items)


async def test_loaded_items_are_the_callers_own(connector):
    character = await connector.join(7)
    repository = connector.repository()
    await repository.save_all_items(7, potions(connector.new_item_guids(2)))
    loaded = repository.load_items(7)
    loaded["stack_count"] = 99
    assert character.items["stack_count"].tolist() == [1, 1]
    assert repository.load_items(7)["stack_count"].tolist() == [1, 1]


async def test_what_is_registered_may_be_changed_afterwards(realm, connector):
    await connector.join(7)
    items = potions(connector.new_item_guids(2))
    expected = items.copy()
    handle = connector.repository().save_all_items(7, items)
    items["stack_count"] = 77
    await handle
    assert same(await rows(realm, 7), expected)


async def test_many_characters_at_once_share_transactions(realm, connector):
    characters = await asyncio.gather(*(connector.join(guid) for guid in range(1, 101)))
    repository = connector.repository()
    guids = connector.new_item_guids(300).reshape(100, 3)
    before = realm.statistics.groups
    handles = [
        repository.save_all_items(character.guid, potions(guids[index]))
        for index, character in enumerate(characters)
    ]
    await asyncio.gather(*handles)
    assert realm.statistics.groups - before < 50
    for index, character in enumerate(characters):
        assert np.array_equal((await rows(realm, character.guid))["item_guid"], guids[index])


async def test_closing_waits_for_the_answers(realm, world):
    connector = world()
    await connector.connect()
    await connector.join(7)
    items = potions(connector.new_item_guids(1))
    handle = connector.repository().save_all_items(7, items)
    await connector.close()
    assert handle.done
    assert same(await rows(realm, 7), items)
    await connector.close()
    with pytest.raises(LinkError):
        await connector.connect()
