"""A connector with games and realms that misbehave: cancelled joins, steady commits, and more."""

import asyncio

import pytest
from inventories import SECRET, SilentRealm, potion, potions, same

from mmoinv import InventoryUnitOfWork, RealmConnector
from mmoinv.codec import encode_inventory_operation_result
from mmoinv.errors import JoinError, OperationPendingError, OperationRefusedError


@pytest.fixture
async def silent():
    async with SilentRealm() as silent:
        yield silent


@pytest.fixture
def logged_on(silent):
    """Makes a connector that is connected."""

    async def make(**settings):
        connector = RealmConnector("127.0.0.1", silent.port, world="w", secret=SECRET, **settings)
        await connector.connect()
        return connector

    return make


async def test_what_is_committed_cannot_be_changed_by_accident(realm, connector):
    """A diff of an array with itself would find nothing, and nobody would notice."""
    character = await connector.join(7)
    assert not character.items.flags.writeable
    unit = InventoryUnitOfWork(connector.repository())
    unit.register_changes(7, character.items, potions(connector.new_item_guids(2)))
    await unit.commit()
    with pytest.raises(ValueError, match="read-only"):
        character.items["stack_count"][0] = 9
    items_now = character.items.copy()
    items_now["stack_count"][0] = 9
    unit.register_changes(7, character.items, items_now)
    await unit.commit()
    assert same(character.items, items_now)


async def test_a_join_that_nobody_waits_for_any_more_is_given_back(realm, world):
    async with world() as connector, world("world-2") as other:
        join = asyncio.create_task(connector.join(7))
        await asyncio.sleep(0)
        join.cancel()
        await asyncio.sleep(0.1)
        assert connector.character(7) is None
        async with asyncio.timeout(1):
            await other.join(7)
            await other.leave(7)
            await connector.join(7)


async def test_a_join_after_a_cancelled_one_takes_its_answer(realm, world):
    async with world() as connector:
        join = asyncio.create_task(connector.join(7))
        await asyncio.sleep(0)
        join.cancel()
        await asyncio.sleep(0)
        character = await connector.join(7)
        assert character is connector.character(7)
        (guid,) = connector.new_item_guids(1)
        await connector.repository().save_item(7, potion(0, int(guid)))


async def test_a_join_without_an_answer(silent, logged_on):
    connector = await logged_on(join_timeout_s=0.05)
    silent._link.send_join = lambda packet: None
    with pytest.raises(JoinError, match=r"within 0\.05 s"):
        await connector.join(7)
    await connector.close()


async def test_a_game_that_goes_on_committing_is_let_go(realm, world):
    async with world() as connector:
        await connector.join(7)
        repository = connector.repository()
        guid = int(connector.new_item_guids(1)[0])

        async def play() -> str:
            count = 0
            while True:
                count += 1
                try:
                    repository.save_item(7, potion(0, guid, 1 + count % 20))
                except JoinError as error:
                    return str(error)
                await asyncio.sleep(0.0005)

        game = asyncio.create_task(play())
        await asyncio.sleep(0.02)
        async with asyncio.timeout(3):
            await connector.leave(7)
            assert "nothing was taken" in await game
            await connector.join(7)
        assert connector.pending_count == 0


async def test_closing_that_is_cancelled_leaves_no_handle_open(silent, logged_on):
    connector = await logged_on()
    await connector.join(7)
    handle = connector.repository().save_item(7, potion(0, 1))
    await silent.operations(1)
    closing = asyncio.create_task(connector.close())
    await asyncio.sleep(0.02)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert handle.done
    assert isinstance(handle.exception, OperationPendingError)
    assert "may or may not be saved" in str(handle.exception)


async def test_a_status_that_is_not_known_may_mean_that_it_is_saved(silent, logged_on):
    connector = await logged_on()
    await connector.join(7)
    handle = connector.repository().save_item(7, potion(0, 1))
    await silent.operations(1)
    silent.answer(0, status=99)
    with pytest.raises(OperationPendingError, match="status 99"):
        await handle
    await connector.close()


async def test_protocol_3_says_which_half_is_saved(silent, logged_on):
    connector = await logged_on(dialect=1)
    await connector.join(7)
    repository = connector.repository()

    async def answer(handle, **successes: int) -> None:
        await asyncio.sleep(0.05)
        for name, success in successes.items():
            kind = {"saves": 0, "deletes": 1}[name]
            silent._link.send_bytes(
                encode_inventory_operation_result(7, handle.operation_id, kind, success)
            )
        silent._flush()

    first = repository.save_changes(7, potions([0, 0]))
    await answer(first, saves=1)
    await first
    slots = connector.character(7).items["slot"]
    both = repository.save_changes(7, potion(5, 0).as_batch(), slots[:1])
    await answer(both, saves=1, deletes=0)
    with pytest.raises(OperationRefusedError, match="Its saves are saved"):
        await both
    # What is known to be stored is what the next commit is made on.
    assert len(repository.load_items(7)) == 3
    assert connector.character(7).version == 2
    neither = repository.save_changes(7, potion(6, 0).as_batch(), slots[:1])
    await answer(neither, deletes=0, saves=0)
    with pytest.raises(OperationRefusedError, match="Nothing of it is saved"):
        await neither
    assert len(repository.load_items(7)) == 3
    await connector.close()
