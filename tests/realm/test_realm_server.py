"""The realm on real sockets: logon, joins, commits, start and stop."""

import asyncio
import logging
from pathlib import Path

import pytest
from realm_client import REPEATED, Client, commit_frame, item, until
from sqlalchemy import text

from mmoinv import codec
from mmoinv.commits import CommitFlags, CurrencyDelta, ParticipantChanges
from mmoinv.errors import ConfigurationError, SchemaVersionError, StoreError
from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.records import batch_of, slots_of
from mmoinv.stores import Verdict
from mmoinv.wire import (
    CharacterJoinFailed,
    JoinFailure,
    LeaveRequested,
    LogonRefused,
    LogonStatus,
    OperationResultReceived,
)


async def contents(realm: RealmServer, character: int) -> dict[int, tuple[int, int]]:
    """Slot to (stack_count, item_guid)."""
    items = await realm.store.read_items(character)
    return {int(i["slot"]): (int(i["stack_count"]), int(i["item_guid"])) for i in items}


# Start and stop


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(ConfigurationError, match="port"):
        RealmServer("sqlite:///realm.db", port=port)


async def test_a_port_in_use_is_said_with_the_remedy(realm: RealmServer, tmp_path: Path) -> None:
    second = RealmServer(f"sqlite:///{tmp_path / 'second.db'}", port=realm.port)
    with pytest.raises(ConfigurationError, match="choose another port"):
        await second.start()
    await second.close()


async def test_a_database_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        await RealmServer(f"sqlite:///{tmp_path / 'nowhere' / 'realm.db'}", port=0).start()


async def test_another_schema_version_is_refused(realm: RealmServer, database_url: str) -> None:
    await realm.store._write(  # type: ignore[attr-defined]
        lambda c: c.execute(text("UPDATE mmoinv_schema_version SET version_num = '0099'"))
    )
    with pytest.raises(SchemaVersionError, match="version 0099"):
        await RealmServer(database_url, port=0).start()


async def test_a_realm_can_be_started_again(database_url: str) -> None:
    realm = RealmServer(database_url, port=0)
    for _ in range(2):
        async with realm:
            await realm.add_world("world-1", "s")
            with pytest.raises(ConfigurationError, match="started already"):
                await realm.start()
    await realm.close()


async def test_serve_forever_ends_with_close(database_url: str) -> None:
    realm = RealmServer(database_url, port=0)
    async with realm:
        serving = asyncio.create_task(realm.serve_forever())
        await asyncio.sleep(0)
        await realm.close()
        await asyncio.wait_for(serving, 5)


async def test_a_graceful_stop_answers_what_has_come_in(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        await client.join(7)
        frames = [commit_frame(n, 7, item(23, 1, stack=n), version=n - 1) for n in range(1, 51)]
        before = realm.statistics.bytes_received
        client.send(b"".join(frames))
        sent = sum(map(len, frames))
        await until(lambda: realm.statistics.bytes_received - before == sent)
        await realm.close()
        statuses = []
        while (event := await client.event()) is not None:
            statuses.append(event.status)
        assert statuses == [0] * 50


async def test_a_stop_refuses_joins_that_wait(
    realm: RealmServer, secret: str, other_secret: str
) -> None:
    async with (
        Client(realm.port, secret) as first,
        Client(realm.port, other_secret, "world-2") as second,
    ):
        await first.join(7)
        second.link.request_join(7)
        second.flush()
        assert isinstance(await first.event(), LeaveRequested)
        await realm.close()
        event = await second.event()
        assert isinstance(event, CharacterJoinFailed)
        assert event.reason == JoinFailure.REALM_STOPPING


# Logon


async def test_each_logon_has_another_node_epoch(
    realm: RealmServer, secret: str, other_secret: str
) -> None:
    epochs = []
    for world, its_secret in (("world-1", secret), ("world-2", other_secret), ("world-1", secret)):
        async with Client(realm.port, its_secret, world) as client:
            epochs.append(client.node_epoch)
    assert len(set(epochs)) == 3


@pytest.mark.parametrize(
    ("world", "wrong"), [("world-1", "another secret"), ("world-9", "secret of world-1")]
)
async def test_wrong_credentials(realm: RealmServer, world: str, wrong: str) -> None:
    client = Client(realm.port, wrong, world)
    event = await client.connect()
    assert isinstance(event, LogonRefused)
    assert event.status == LogonStatus.WRONG_CREDENTIALS
    assert await client.event() is None
    client.writer.close()


async def test_secrets_are_random_and_not_stored(realm: RealmServer) -> None:
    one, other = await realm.add_world("a"), await realm.add_world("b")
    assert one != other
    assert len(one) >= 32
    assert all(
        one not in world.verifier and other not in world.verifier
        for world in await realm.store.worlds()
    )


async def test_a_new_secret_replaces_the_old_one(realm: RealmServer, secret: str) -> None:
    new = await realm.add_world("world-1")
    client = Client(realm.port, secret)
    assert isinstance(await client.connect(), LogonRefused)
    client.writer.close()
    async with Client(realm.port, new):
        pass


@pytest.mark.parametrize("name", ["", " x", "x" * 65, "a\nb"])
async def test_world_names_that_are_none(realm: RealmServer, name: str) -> None:
    with pytest.raises(ConfigurationError):
        await realm.add_world(name)


async def test_a_second_logon_closes_the_older_link(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as older:
        character = await older.join(7)
        async with Client(realm.port, secret) as newer:
            assert await older.event() is None
            assert realm.statistics.sessions == 0
            again = await newer.join(7, character.session_epoch)
            assert again.session_epoch == character.session_epoch
            (answer,) = await newer.answers(commit_frame(1, 7, item(23, 1)))
            assert answer.status == Verdict.COMMITTED


# Commits


async def test_save_and_load(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        character = await client.join(2**64 - 1)
        assert (character.session_epoch, character.version, len(character.items)) == (1, 0, 0)
        (answer,) = await client.answers(commit_frame(1, 2**64 - 1, item(23, 5, stack=3)))
        assert (answer.status, answer.versions) == (0, [(2**64 - 1, 1)])
        again = await client.join(2**64 - 1)
        assert (again.session_epoch, again.version) == (2, 1)
        assert again.items.tobytes() == batch_of(item(23, 5, stack=3)).tobytes()
    assert await contents(realm, 2**64 - 1) == {23: (3, 5)}


async def test_every_status_that_there_is(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        await client.join(7)
        await client.join(8)
        money = codec.encode_commit_inventory(
            9,
            [ParticipantChanges(7, 1, 1, batch_of(), slots_of(), (CurrencyDelta(1, -5),))],
        )
        answers = await client.answers(
            commit_frame(1, 7, item(23, 1)),
            commit_frame(1, 7, item(23, 1), flags=REPEATED),
            commit_frame(2, 7, item(23, 1), epoch=5, version=1),
            commit_frame(3, 99, item(23, 1)),
            commit_frame(4, 7, item(24, 2)),
            commit_frame(5, 8, item(23, 1)),
            commit_frame(6, 8, item(24, 11), flags=CommitFlags.CONSERVE),
            money,
            commit_frame(10, 8, item(23, 10)),
        )
        assert [a.status for a in answers] == [0, 1, 2, 2, 3, 10, 5, 9, 0]
        assert [a.versions[0] for a in answers] == [
            (7, 1), (7, 1), (7, 1), (99, 0), (7, 1), (8, 0), (8, 0), (7, 1), (8, 1)
        ]  # fmt: skip
        assert [bool(a.message) for a in answers] == [False, False, *[True] * 6, False]
        counted = realm.statistics.operations
        assert counted[Verdict.COMMITTED] == 2
        assert counted[Verdict.STALE_SESSION] == 2
        assert realm.statistics.committed == 3


async def test_bad_content_is_answered_and_the_link_stays(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        await client.join(7)
        bad = bytearray(commit_frame(1, 7, item(23, 1)))
        stack_at = len(bad) - 48 + 6
        bad[stack_at : stack_at + 2] = b"\0\0"
        answers = await client.answers(bytes(bad), commit_frame(2, 7, item(23, 1)))
        assert [a.status for a in answers] == [4, 0]
        assert "slot 23: stack_count is 0" in answers[0].message


async def test_broken_framing_closes_the_link_and_applies_nothing_of_it(
    realm: RealmServer, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(realm.port, secret) as client:
        await client.join(7)
        client.send(commit_frame(1, 7, item(23, 1)) + b"\x77\x00\x00\x00\x00")
        with caplog.at_level(logging.WARNING, "mmoinv.realm"):
            while await client.event() is not None:
                pass
    assert realm.statistics.broken_links == 1
    assert "0x77" in caplog.text
    assert await contents(realm, 7) == {23: (1, 1)}


async def test_a_silent_stranger_costs_nothing_but_its_link(realm: RealmServer) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", realm.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await asyncio.wait_for(_reader.read(), 5) == b""
    writer.close()


# Protocol 3


@pytest.mark.parametrize(("dialect", "layout"), [(1, "packed"), (2, "native32"), (3, "native40")])
async def test_protocol_3_saves_deletes_and_is_answered(
    realm: RealmServer, secret: str, dialect: int, layout: str
) -> None:
    async with Client(realm.port, secret, dialect=dialect) as client:
        await client.join(7)
        both = batch_of(item(23, 0), item(24, 0, entry=200))
        client.send(codec.encode_save_inventory_items(7, 1, both, layout))
        assert await client.event() == OperationResultReceived(7, 1, 0, True)
        before = await contents(realm, 7)
        assert before.keys() == {23, 24}
        assert all(guid for _, guid in before.values())
        client.send(codec.encode_delete_inventory_items(7, 2, slots_of(24)))
        assert await client.event() == OperationResultReceived(7, 2, 1, True)
        one = batch_of(item(25, 0, entry=300))
        client.send(
            codec.encode_save_inventory_items(7, 3, one, layout)
            + codec.encode_save_inventory_items(99, 4, one, layout)
        )
        assert await client.event() == OperationResultReceived(7, 3, 0, True)
        assert await client.event() == OperationResultReceived(99, 4, 0, False)
        after = await contents(realm, 7)
        assert after.keys() == ({23, 25} if dialect == 1 else {25})
        assert dialect != 1 or after[23] == before[23]


async def test_an_unknown_packet_of_protocol_3_is_skipped(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret, dialect=1) as client:
        await client.join(7)
        client.send(b"\x33\x02\x00\x00\x00ab" + codec.encode_save_inventory_items(7, 1, batch_of()))
        assert await client.event() == OperationResultReceived(7, 1, 0, True)


# Statistics


async def test_statistics(realm: RealmServer, secret: str) -> None:
    assert realm.statistics.database_ms_at(99) == 0.0
    async with Client(realm.port, secret) as client:
        await client.join(7)
        await client.answers(*(commit_frame(n, 7, version=n - 1) for n in range(1, 4)))
        seen = realm.statistics
        assert (seen.links, seen.sessions, seen.queue, seen.joins) == (1, 1, 0, 1)
        assert seen.group_size.sum() == 4
        assert seen.database_ms_at(50) > 0
        assert seen.packet_us_at(50) > 0
        assert seen.bytes_received > 0 < seen.bytes_sent
        assert seen.abandoned == 0


def test_limits_are_plain_values() -> None:
    assert RealmLimits() == RealmLimits()


def test_the_realm_runs_on_uvloop(database_url: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with RealmServer(database_url, port=0) as realm:
            secret = await realm.add_world("world-1")
            async with Client(realm.port, secret) as client:
                await client.join(7)
                (answer,) = await client.answers(commit_frame(1, 7, item(23, 1)))
                assert answer.status == 0

    uvloop.run(main())
