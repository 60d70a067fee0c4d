"""The operation handle: ends once, wakes everybody, loses nobody."""

import asyncio
import threading

import pytest

from mmoinv import OperationHandle
from mmoinv.errors import OperationPendingError, VersionConflictError
from mmoinv.repository import OperationOutcome

OUTCOME = OperationOutcome(5, 0, {7: 1})


def handle() -> OperationHandle:
    return OperationHandle(5, (7,))


async def test_awaited_before_and_after_the_end():
    one = handle()
    waiters = [asyncio.create_task(_wait(one)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not one.done
    assert one.succeed(OUTCOME)
    assert await asyncio.gather(*waiters) == [OUTCOME] * 3
    assert await one == OUTCOME
    assert one.result == OUTCOME
    assert one.exception is None


async def _wait(one: OperationHandle) -> OperationOutcome:
    return await one


async def test_failure_reaches_everybody():
    one = handle()
    waiters = [asyncio.create_task(_wait(one)) for _ in range(2)]
    await asyncio.sleep(0)
    error = VersionConflictError("no", 5, [7])
    assert one.fail(error)
    for waiter in waiters:
        with pytest.raises(VersionConflictError):
            await waiter
    assert one.exception is error


def test_it_ends_once():
    one = handle()
    assert one.succeed(OUTCOME)
    assert not one.fail(VersionConflictError("late"))
    assert not one.succeed(OUTCOME)
    assert one.exception is None


async def test_cancelling_a_waiter_leaves_the_operation_alone():
    one = handle()
    waiter = asyncio.create_task(_wait(one))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    one.succeed(OUTCOME)
    assert await one == OUTCOME


def test_unanswered_says_so():
    one = handle()
    for read in (lambda: one.result, lambda: one.exception):
        with pytest.raises(OperationPendingError, match="character 7"):
            read()
    assert "pending" in repr(one)


def test_threads_wait():
    one = handle()
    assert not one.wait(0)
    assert not one.wait(0.01)
    woken = []
    threads = [threading.Thread(target=lambda: woken.append(one.wait(5))) for _ in range(3)]
    for thread in threads:
        thread.start()
    one.succeed(OUTCOME)
    for thread in threads:
        thread.join()
    assert woken == [True] * 3
    assert one.wait(0)


async def test_waiting_in_an_event_loop_would_stop_it():
    with pytest.raises(OperationPendingError, match="await"):
        handle().wait(1)


async def test_ended_from_another_thread():
    one = handle()
    threading.Timer(0.01, one.succeed, [OUTCOME]).start()
    assert await one == OUTCOME


def test_callbacks(caplog):
    one = handle()
    called = []

    def bad(_):
        raise ValueError("callback")

    one.add_done_callback(called.append)
    one.add_done_callback(bad)
    one.add_done_callback(called.append)
    one.succeed(OUTCOME)
    one.add_done_callback(called.append)
    assert called == [one] * 3
    assert "callback" in caplog.text


def test_a_handle_that_has_ended_before():
    one = OperationHandle.ended(OUTCOME)
    assert one.done
    assert one.character_guids == (7,)
