"""Old applied operations are forgotten, young ones never."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from realm_client import commit_frame, until

from mmoinv import codec
from mmoinv.realm.retention import forget_old_ledger, forget_old_operations
from mmoinv.stores import CommitEntry, JoinEntry, open_store


async def test_operations_are_kept_for_their_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with await open_store(f"sqlite:///{tmp_path / 'realm.db'}") as store:
        commits, _ = codec.decode_commits(commit_frame(1, 7))
        await store.write_group([JoinEntry(7, 1, 5), CommitEntry(1, commits)])
        young = asyncio.create_task(forget_old_operations(store, 3600, 0.001, 0.001))
        await asyncio.sleep(0.05)
        assert (await store.counts()).applied_operations == 1
        old = asyncio.create_task(forget_old_operations(store, -3600, 0.001, 0.001))
        async with asyncio.timeout(20):
            while (await store.counts()).applied_operations:
                pass
        old.cancel()
    with caplog.at_level(logging.WARNING):
        await until(lambda: "kept for now" in caplog.text)
    young.cancel()
    for task in (young, old):
        with suppress(asyncio.CancelledError):
            await task


async def test_the_ledger_is_kept_for_its_time(tmp_path: Path) -> None:
    async with await open_store(f"sqlite:///{tmp_path / 'realm.db'}") as store:
        commits, _ = codec.decode_commits(commit_frame(1, 7))
        await store.write_group([JoinEntry(7, 1, 5), CommitEntry(1, commits)])
        young = asyncio.create_task(forget_old_ledger(store, 3600, 0.001, 0.001))
        await asyncio.sleep(0.05)
        assert len(await store.read_ledger(7)) == 1
        old = asyncio.create_task(forget_old_ledger(store, -3600, 0.001, 0.001))
        async with asyncio.timeout(20):
            while await store.read_ledger(7):
                pass
        for task in (young, old):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
