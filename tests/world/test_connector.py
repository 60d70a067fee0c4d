"""A connector against a realm that answers when it is told to: order, refusals, lost links."""

import asyncio
import threading

import pytest
from inventories import SECRET, SilentRealm, potion, potions, same

from mmoinv import InventoryUnitOfWork, RealmConnector
from mmoinv.errors import (
    DuplicateItemGuidError,
    JoinError,
    LinkBusyError,
    LinkError,
    LogonError,
    OperationPendingError,
    VersionConflictError,
)
from mmoinv.records import empty_batch
from mmoinv.world import ConnectorState

NOTHING = empty_batch()


@pytest.fixture
async def silent():
    async with SilentRealm() as silent:
        yield silent


@pytest.fixture
async def connector(silent):
    connector = RealmConnector("127.0.0.1", silent.port, world="w", secret=SECRET, reconnects=False)
    await connector.connect()
    yield connector
    await connector.close(timeout_s=0.05)


async def test_disconnect_during_commit_keeps_the_operation_pending_and_says_so(silent, connector):
    await connector.join(7)
    unit = InventoryUnitOfWork(connector.repository())
    unit.register_changes(7, NOTHING, potions([1]))
    handle = unit.commit()
    await silent.operations(1)
    silent.cut()
    while connector.state is ConnectorState.CONNECTED:
        await asyncio.sleep(0.01)
    assert connector.state is ConnectorState.LOST
    assert not handle.done
    (pending,) = connector.pending_operations
    assert pending.operation_id == handle.operation_id
    assert pending.repeated
    assert unit.has_changes
    with pytest.raises(OperationPendingError, match="not answered yet"):
        _ = handle.result
    with pytest.raises(LinkError, match="of those taken before, 1 operation is unanswered"):
        connector.repository().save_item(7, potion(3, 3))
    await connector.close()
    with pytest.raises(OperationPendingError, match="may or may not be saved") as caught:
        await handle
    assert caught.value.character_guids == (7,)
    assert unit.has_changes


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 operations are"), (1, "1 operation is"), (2, "2 operations are")],
)
async def test_a_lost_link_says_how_many_operations_are_pending(
    silent, connector, caplog, count, told
):
    await connector.join(7)
    for number in range(count):
        connector.repository().save_item(7, potion(number, number + 1))
    await silent.operations(min(count, 1))
    silent.cut()
    while connector.state is ConnectorState.CONNECTED:
        await asyncio.sleep(0.01)
    assert f"{told} pending" in caplog.text


async def test_an_operation_that_was_never_sent_says_that_it_is_not_saved(silent, connector):
    await connector.join(7)
    repository = connector.repository()
    repository.save_item(7, potion(0, 1))
    behind = repository.save_item(7, potion(1, 2))
    await silent.operations(1)
    silent.cut()
    await asyncio.sleep(0.05)
    await connector.close()
    assert "never sent: it is not saved" in str(behind.exception)


async def test_one_operation_in_flight_per_character(silent, connector):
    await connector.join(7)
    await connector.join(8)
    repository = connector.repository()
    handles = [repository.save_item(7, potion(place, place + 1)) for place in range(3)]
    other = repository.save_item(8, potion(0, 10))
    received = await silent.operations(2)
    assert [guids for _, guids, _, _ in received] == [(7,), (8,)]
    silent.answer(0, version=1)
    await handles[0]
    assert (await silent.operations(3))[2][3] == 1  # made on the version that came back
    silent.answer(2, version=2)
    silent.answer(1)
    await handles[1]
    await other
    await silent.operations(4)
    silent.answer(3, version=3)
    assert (await handles[2]).versions == {7: 3}


async def test_an_operation_over_two_characters_waits_for_both(silent, connector):
    await connector.join(7)
    await connector.join(8)
    repository = connector.repository()
    first = repository.save_item(7, potion(0, 1))
    unit = InventoryUnitOfWork(repository)
    unit.register_changes(7, potions([1]), NOTHING)
    unit.register_changes(8, NOTHING, potions([1]))
    trade = unit.commit()
    after = repository.save_item(8, potion(1, 2))
    assert len(await silent.operations(1)) == 1
    silent.answer(0)
    await first
    assert (await silent.operations(2))[1][1] == (7, 8)
    silent.answer(1, version=2)
    await trade
    await silent.operations(3)
    silent.answer(2, version=3)
    await after
    assert len(connector.character(7).items) == 0
    assert len(connector.character(8).items) == 2


async def test_refused_for_good_takes_along_what_waits_behind(silent, connector):
    await connector.join(7)
    repository = connector.repository()
    handles = [repository.save_item(7, potion(place, place + 1)) for place in range(2)]
    await silent.operations(1)
    silent.answer(0, status=3, message="the stored one is 9")
    with pytest.raises(VersionConflictError, match="the stored one is 9"):
        await handles[0]
    with pytest.raises(VersionConflictError, match="never sent"):
        await handles[1]
    assert len(silent.received) == 1
    assert len(repository.load_items(7)) == 0
    assert connector.pending_count == 0


async def test_dirty_flags_survive_a_refusal_and_the_next_commit_carries_it_again(
    silent, connector
):
    await connector.join(7)
    unit = InventoryUnitOfWork(connector.repository())
    unit.register_new(7, potion(0, 1))
    handle = unit.commit()
    await silent.operations(1)
    silent.answer(0, status=10, message="item guid 1 is elsewhere")
    with pytest.raises(DuplicateItemGuidError):
        await handle
    assert unit.has_changes
    again = unit.commit()
    await silent.operations(2)
    silent.answer(1)
    await again
    assert not unit.has_changes
    assert same(connector.character(7).items, potions([1]))


async def test_a_retryable_answer_is_sent_again_under_the_same_id(silent, connector):
    await connector.join(7)
    handle = connector.repository().save_item(7, potion(0, 1))
    await silent.operations(1)
    silent.answer(0, status=7)
    received = await silent.operations(2)
    assert received[0][0] == received[1][0] == handle.operation_id
    assert (received[0][2], received[1][2]) == (0, 4)  # REPEATED
    silent.answer(1, status=1)
    assert (await handle).status == 1


async def test_the_bound_on_pending_work_takes_nothing(silent):
    connector = RealmConnector("127.0.0.1", silent.port, world="w", secret=SECRET, max_pending=1)
    await connector.connect()
    await connector.join(7)
    unit = InventoryUnitOfWork(connector.repository())
    unit.register_new(7, potion(0, 1))
    unit.commit()
    unit.register_new(7, potion(1, 2))
    with pytest.raises(LinkBusyError, match="nothing was taken"):
        unit.commit()
    assert connector.pending_count == 1
    assert unit.change_count == 2
    await connector.close(timeout_s=0.05)


async def test_commits_from_a_thread_that_has_no_loop(silent, connector):
    await connector.join(7)
    outcome = []

    def game() -> None:
        handle = connector.repository().save_item(7, potion(0, 1))
        assert not handle.wait(0.01)
        outcome.append(handle.wait(5) and handle.result.versions)

    thread = threading.Thread(target=game)
    thread.start()
    await silent.operations(1)
    await asyncio.sleep(0.05)
    silent.answer(0, version=4)
    await asyncio.to_thread(thread.join)
    assert outcome == [{7: 4}]


async def test_asked_to_leave_it_saves_first(silent, connector):
    await connector.join(7)
    handles = [connector.repository().save_item(7, potion(0, 1))]
    connector.on_leave_requested = lambda guid: handles.append(
        connector.repository().save_item(guid, potion(1, 2))
    )
    await silent.operations(1)
    silent.ask_to_leave(7)
    await asyncio.sleep(0.05)
    assert len(handles) == 2
    with pytest.raises(JoinError, match="is leaving"):
        connector.repository().save_item(7, potion(2, 3))
    silent.answer(0)
    await silent.operations(2)
    assert connector.character(7) is not None
    silent.answer(1, version=2)
    await asyncio.gather(*handles)
    while connector.character(7) is not None:
        await asyncio.sleep(0.01)
    with pytest.raises(JoinError, match="not joined"):
        connector.repository().save_item(7, potion(0, 1))


async def test_broken_framing_from_the_realm_closes_the_link(silent, connector):
    silent.send(b"\x7f\0\0\0\0")
    while connector.state is ConnectorState.CONNECTED:
        await asyncio.sleep(0.01)
    with pytest.raises(LinkError, match="0x7F"):
        await connector.join(7)


async def test_a_join_that_the_link_does_not_survive(silent, connector):
    join = asyncio.create_task(connector.join(7))
    silent.cut()
    with pytest.raises(LinkError):
        await join


async def test_nobody_listens():
    async with SilentRealm() as gone:
        port = gone.port
    connector = RealmConnector("127.0.0.1", port, world="w", secret=SECRET)
    with pytest.raises(LinkError, match=f"127.0.0.1:{port}"):
        await connector.connect()


async def test_a_wrong_secret(silent):
    connector = RealmConnector("127.0.0.1", silent.port, world="w", secret="wrong")
    with pytest.raises(LogonError, match="mmoinv world add") as caught:
        await connector.connect()
    assert caught.value.status == 2
    assert "wrong" not in repr(connector._uplink.address) + repr(vars(connector))


async def test_a_realm_that_says_nothing():
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connector = RealmConnector("127.0.0.1", port, world="w", secret=SECRET, connect_timeout_s=0.1)
    with pytest.raises(LinkError, match="did not answer"):
        await connector.connect()
    server.close()
    await server.wait_closed()
