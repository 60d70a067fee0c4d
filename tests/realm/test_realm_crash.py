"""What was answered is there after any crash; links that misuse the realm are cut off."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from realm_client import Client, commit_frame, item

from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.stores import open_store
from mmoinv.wire import OperationAnswered

PROGRAM = """
import asyncio, sys
from mmoinv.realm import RealmServer

async def main():
    async with RealmServer(sys.argv[1], port=0) as realm:
        await realm.add_world("world-1", "secret")
        print(realm.port, flush=True)
        await realm.serve_forever()

asyncio.run(main())
"""
CHARACTERS = 20


async def test_every_answered_operation_survives_a_kill(database_url: str) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", PROGRAM, database_url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    answered: dict[int, int] = {}
    try:
        port = int(process.stdout.readline())
        async with Client(port, "secret") as client:
            for guid in range(1, CHARACTERS + 1):
                await client.join(guid)
            for version in range(400):
                client.link.send_bytes(
                    b"".join(
                        commit_frame(
                            version << 8 | guid, guid, item(23, guid, stack=version + 1),
                            version=version,
                        )
                        for guid in range(1, CHARACTERS + 1)
                    )
                )  # fmt: skip
            client.flush()
            while (event := await client.event()) is not None:
                assert isinstance(event, OperationAnswered)
                assert event.status == 0
                ((guid, version),) = event.versions
                answered[guid] = version
                if version == 40 and guid == 1:
                    process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert 40 <= answered[1] < 400
    async with await open_store(database_url) as store:
        for guid in range(1, CHARACTERS + 1):
            session = await store.read_session(guid)
            assert session is not None
            assert session.version >= answered[guid]
            (record,) = await store.read_items(guid)
            assert record["stack_count"] == session.version
            assert record["item_guid"] == guid
        assert (await store.counts()).applied_operations == sum(
            [session.version for guid in range(1, CHARACTERS + 1)
             if (session := await store.read_session(guid))]
        )  # fmt: skip


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[RealmServer]:
    """A realm that keeps few bytes for a slow link, and waits briefly at its end."""
    limits = RealmLimits(max_write_buffer=20_000, max_queued_operations=500, close_timeout_s=0.3)
    async with RealmServer(f"sqlite:///{tmp_path / 'narrow.db'}", port=0, limits=limits) as realm:
        await realm.add_world("world-1", "secret of world-1")
        yield realm


async def test_a_link_that_does_not_read_is_cut_off(narrow: RealmServer, secret: str) -> None:
    async with Client(narrow.port, secret) as client:
        await client.join(7)
        client.writer.transport.pause_reading()
        frame = commit_frame(1, 7, flags=4)
        async with asyncio.timeout(20):
            while narrow.statistics.links:
                client.writer.write(frame * 2000)
                await asyncio.sleep(0.01)
    assert narrow.statistics.broken_links == 1


async def test_a_link_that_does_not_read_does_not_hold_up_the_stop(
    narrow: RealmServer, secret: str
) -> None:
    async with Client(narrow.port, secret) as client:
        await client.join(7)
        client.writer.transport.pause_reading()
        async with asyncio.timeout(5):
            await narrow.close()
