"""A realm on a real socket among strangers, guessers, and worlds that do not keep to the rules."""

import asyncio
import gc
import socket
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from realm_client import Client, commit_frame, item, until

from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.records import InventoryItemData
from mmoinv.stores import StoreSettings, Verdict
from mmoinv.wire import JoinFailure, LogonRefused, LogonStatus, retry_hint_s
from mmoinv.wire.packets import RequestCharacterJoin

ELSEWHERE = "127.0.0.2"

Realm = Callable[..., Any]


@pytest.fixture
def limited(database_url: str) -> Realm:
    """Makes a realm with limits of its own."""

    @asynccontextmanager
    async def make(**limits: float) -> AsyncIterator[RealmServer]:
        settings = StoreSettings(lock_timeout_s=0.05)
        async with RealmServer(
            database_url,
            port=0,
            limits=RealmLimits(**limits),  # type: ignore[arg-type]
            store_settings=settings,
        ) as realm:
            for world in ("world-1", "world-2"):
                await realm.add_world(world, f"secret of {world}")
            yield realm

    return make


async def refused(client: Client) -> LogonStatus:
    event = await client.connect()
    assert isinstance(event, LogonRefused), event
    assert await client.event() is None
    client.writer.close()
    return LogonStatus(event.status)


async def ends(reader: asyncio.StreamReader) -> None:
    """Until the realm has closed; what it never read of ours makes a reset of that."""
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_flood_under_a_worlds_name_does_not_keep_it_out(
    limited: Realm, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(max_failed_logons=4) as realm:
        flood = [Client(realm.port, f"guess {n}", source=ELSEWHERE) for n in range(12)]
        statuses = await asyncio.gather(*map(refused, flood))
        # Four were underway at once, and no more than that were ever asked.
        assert (
            sorted(statuses)
            == [LogonStatus.WRONG_CREDENTIALS] * 4 + [LogonStatus.TOO_MANY_FAILED] * 8
        )
        async with Client(realm.port, secret) as client:
            await client.join(7)
        seen = realm.statistics
        assert (seen.logons_failed, seen.logons_delayed, seen.logons_refused) == (4, 1, 8)
        assert await refused(Client(realm.port, secret, source=ELSEWHERE)) == 15
    assert "4 logons have failed" in caplog.text
    assert caplog.text.count("refused at once") == 1


async def test_a_delayed_logon_holds_up_nobody(limited: Realm, secret: str) -> None:
    async with limited() as realm, Client(realm.port, secret) as client:
        await client.join(7)
        for n in range(3):
            await refused(Client(realm.port, f"guess {n}", source=ELSEWHERE))
        late = asyncio.create_task(refused(Client(realm.port, "guess", source=ELSEWHERE)))
        await until(lambda: realm.statistics.logons_delayed)
        (answer,) = await client.answers(commit_frame(1, 7, item(23, 1)))
        assert answer.status == 0
        assert not late.done()
        assert await late == LogonStatus.WRONG_CREDENTIALS


async def test_an_unknown_world_and_a_wrong_secret_look_the_same(
    limited: Realm, caplog: pytest.LogCaptureFixture
) -> None:
    """All that a stranger can see: packets, statuses, and what they cost in delays."""
    seen = []
    async with limited() as realm:
        for world in ("world-1", "world-9"):
            caplog.clear()
            events, sizes = [], []
            for _ in range(4):
                client = Client(realm.port, "wrong", world)
                events.append(await client.connect())
                client.writer.close()
                sizes.append(client.link.state)
            said = [record.getMessage().partition(": ")[2] for record in caplog.records]
            seen.append((events, sizes, realm.statistics.logons_delayed, said))
            assert events[0].status == LogonStatus.WRONG_CREDENTIALS
    (known, unknown) = seen
    assert known[:2] == unknown[:2]
    assert (known[2], unknown[2]) == (1, 2)
    assert known[3] == unknown[3]


async def test_strangers_are_bounded_and_drive_out_each_other(
    limited: Realm, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(max_logons=5, max_links_per_address=8) as realm, AsyncExitStack() as open_:
        client = await open_.enter_async_context(Client(realm.port, secret))

        async def stranger() -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", realm.port, local_addr=(ELSEWHERE, 0)
            )
            open_.callback(writer.close)
            return reader

        readers = [await stranger() for _ in range(30)]
        assert [await reader.read() for reader in readers[:25]] == [b""] * 25
        assert realm.statistics.links_refused == 25
        await until(lambda: realm.statistics.links == 6)
        async with Client(realm.port, "secret of world-2", "world-2") as other:
            await other.join(8)
        await client.join(7)
        assert caplog.text.count("links refused") == 1


async def test_half_open_and_slow_links_are_cut(limited: Realm) -> None:
    async with limited() as realm:
        links = [await asyncio.open_connection("127.0.0.1", realm.port) for _ in range(2)]
        links[1][1].write(b"\0")
        await until(lambda: realm.statistics.bytes_received == 1)
        now_s = asyncio.get_running_loop().time()
        for link in list(realm._parts.links):
            link.tick(now_s)
            links[1][1].write(b"\x31")
            link.tick(now_s + 10.0)
        for reader, writer in links:
            await ends(reader)
            writer.close()
        assert realm.statistics.broken_links == 2


async def test_a_handshake_that_does_not_end_is_cut(
    database_url: str, realm_files: dict[str, str]
) -> None:
    async with RealmServer(database_url, port=0, **realm_files) as realm:
        reader, writer = await asyncio.open_connection("127.0.0.1", realm.port)
        # The beginning of a record of TLS, and of a greeting in it.
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: realm.statistics.links)
        (link,) = realm._parts.links
        now_s = asyncio.get_running_loop().time()
        link.tick(now_s)
        link.tick(now_s + 10.0)
        await ends(reader)
        writer.close()


async def test_writes_to_characters_of_others_are_refused_counted_and_logged(
    limited: Realm, secret: str, other_secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        limited() as realm,
        Client(realm.port, secret) as owner,
        Client(realm.port, other_secret, "world-2") as thief,
    ):
        await owner.join(7)
        await owner.answers(commit_frame(1, 7, item(23, 1)))
        theft = [commit_frame(100 + n, 7, deletes=[23], version=1) for n in range(50)]
        answers = await thief.answers(*theft, commit_frame(99, 8, item(23, 2)))
        assert {one.status for one in answers} == {Verdict.STALE_SESSION}
        assert realm.statistics.foreign_writes == 51
        assert len(await realm.store.read_items(7)) == 1
        assert len(await realm.store.read_items(8)) == 0
    told = [one.getMessage() for one in caplog.records if "does not hold" in one.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("world 'world-2' at 127.0.0.1:")
    assert "character 7" in told[0]


async def test_one_link_holds_so_many_characters_and_no_more(limited: Realm, secret: str) -> None:
    async with limited(max_link_sessions=3) as realm, Client(realm.port, secret) as client:
        for character in (1, 2, 3):
            await client.join(character)
        event = await client.try_join(4)
        assert event.reason == JoinFailure.OVERLOADED
        client.link.send_left(1, 1, 0)
        await client.join(4)
        for character in (5, 6, 7, 8):
            client.link.request_join(character)
        assert [(await client.event()).reason for _ in range(4)] == [JoinFailure.OVERLOADED] * 4
        client.link.send_left(2, 1, 0)
        await client.join(5)


async def test_a_flood_of_commits_is_answered_6_with_a_hint_and_takes_no_memory(
    limited: Realm, database_url: str, secret: str, other_secret: str
) -> None:
    """The database takes nothing meanwhile: another process has its lock."""
    many = 40
    frames = b"".join(
        commit_frame(n, 7, *(item(23 + s, 100 * n + s) for s in range(16)), version=n - 1)
        for n in range(1, 501)
    )
    async with (
        limited(max_link_operations=600, retry_s=30.0) as realm,
        Client(realm.port, secret) as flood,
        Client(realm.port, other_secret, "world-2") as other,
    ):
        await flood.join(7)
        await other.join(8)
        with closing(sqlite3.connect(Path(database_url.removeprefix("sqlite:///")))) as locked:
            locked.execute("BEGIN IMMEDIATE")
            gc.collect()
            tracemalloc.start()
            sent_before = realm.statistics.bytes_received
            overloaded = []
            for n in range(1, many + 1):
                flood.send(frames)
                sent = n * len(frames)
                await until(lambda sent=sent: realm.statistics.bytes_received - sent_before == sent)
                assert realm.statistics.queue <= 600
            while len(overloaded) < many * 500 - 1000:
                overloaded.append(await flood.event())
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert {one.status for one in overloaded} == {Verdict.OVERLOADED}
            assert all(0.05 <= retry_hint_s(one.message) <= 10.0 for one in overloaded)
            # 16 MB have come in; what is kept is what 600 operations weigh, and the answers.
            assert many * len(frames) > 16_000_000
            assert peak < 12_000_000
            # Others are queued, not refused.
            other.send(commit_frame(9001, 8, item(23, 1)))
            locked.execute("ROLLBACK")
        answer = await other.event()
        assert answer.status == Verdict.COMMITTED


async def test_a_peer_that_never_reads_costs_its_bound_and_is_cut(
    limited: Realm, secret: str
) -> None:
    """Whole inventories are asked for again and again, and never taken."""
    numbers = np.random.default_rng(7).integers(1, 2**63, (1000, 2)).tolist()
    items = [
        InventoryItemData(100, 256 + slot, creator=creator, item_guid=guid)
        for slot, (creator, guid) in enumerate(numbers)
    ]
    async with limited(max_write_buffer=200_000) as realm, Client(realm.port, secret) as client:
        await client.join(7)
        await client.answers(commit_frame(1, 7, *items))
        client.writer.transport.pause_reading()
        # Or the kernel takes several MB before anything waits in the realm.
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (link,) = realm._parts.links
        realm_socket = link._transport.get_extra_info("socket")
        realm_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        joins = b"".join(RequestCharacterJoin(7, 0).encode() for _ in range(8))
        gc.collect()
        tracemalloc.start()
        async with asyncio.timeout(60):
            while realm.statistics.links:
                answered = realm.statistics.joins
                client.writer.write(joins)
                await until(
                    lambda answered=answered: (
                        realm.statistics.joins >= answered + 8 or not realm.statistics.links
                    )
                )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert realm.statistics.broken_links == 1
        # The kernel's buffers are full, and ours has what it may and what one group adds.
        assert realm.statistics.bytes_sent > 200_000
        assert peak < 3_000_000
