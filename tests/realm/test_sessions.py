"""How a character changes hands: asked back, fenced out, re-claimed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from realm_client import Client, commit_frame, item, until

from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.stores import Verdict
from mmoinv.wire import CharacterJoined, CharacterJoinFailed, JoinFailure, LeaveRequested


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[RealmServer]:
    """A realm that waits only briefly for a world to give a character back."""
    limits = RealmLimits(leave_timeout_s=0.1)
    async with RealmServer(f"sqlite:///{tmp_path / 'hasty.db'}", port=0, limits=limits) as realm:
        for world in ("world-1", "world-2"):
            await realm.add_world(world, f"secret of {world}")
        yield realm


def clients(realm: RealmServer) -> tuple[Client, Client]:
    return (
        Client(realm.port, "secret of world-1", "world-1", nonce=1),
        Client(realm.port, "secret of world-2", "world-2", nonce=2),
    )


async def test_a_world_is_asked_to_give_a_character_back(realm: RealmServer) -> None:
    one, two = clients(realm)
    async with one, two:
        await one.join(7)
        two.link.request_join(7)
        two.flush()
        assert await one.event() == LeaveRequested(7, 1)
        # What it still has to save is saved before the other one reads.
        one.link.send_bytes(commit_frame(1, 7, item(23, 1)))
        one.link.send_left(7, 1, 1)
        answered = await one.event()
        assert answered.status == Verdict.COMMITTED
        joined = await two.event()
        assert isinstance(joined, CharacterJoined)
        assert (joined.character.session_epoch, joined.character.version) == (2, 1)
        assert len(joined.character.items) == 1
        (late,) = await one.answers(commit_frame(2, 7, item(23, 1), version=1))
        assert late.status == Verdict.STALE_SESSION


async def test_a_world_that_does_not_answer_is_fenced_out(hasty: RealmServer) -> None:
    one, two = clients(hasty)
    async with one, two:
        await one.join(7)
        character = await two.join(7)
        assert character.session_epoch == 2
        assert await one.event() == LeaveRequested(7, 1)
        (refused,) = await one.answers(commit_frame(1, 7, item(23, 1)))
        assert (refused.status, refused.versions) == (Verdict.STALE_SESSION, [(7, 0)])
        # A Left of the older epoch is ignored.
        one.link.send_left(7, 1, 0)
        await one.join(8)
        (saved,) = await two.answers(commit_frame(2, 7, item(23, 1), epoch=2))
        assert saved.status == Verdict.COMMITTED


async def test_the_cut_off_world_comes_back_and_cannot_overwrite(hasty: RealmServer) -> None:
    one, two = clients(hasty)
    async with one, two:
        await one.join(7)
        await two.join(7)
        await two.answers(commit_frame(1, 7, item(23, 1, stack=9), epoch=2))
        assert await one.event() == LeaveRequested(7, 1)
        failed = await one.try_join(7, 1)
        assert isinstance(failed, CharacterJoinFailed)
        assert failed.reason == JoinFailure.SESSION_TAKEN


async def test_a_lost_link_holds_nothing_but_its_session_can_be_reclaimed(
    realm: RealmServer, other_secret: str, secret: str
) -> None:
    async with Client(realm.port, secret, nonce=5) as client:
        await client.join(7)
        await client.answers(commit_frame(1, 7, item(23, 1)))
    await until(lambda: not realm.statistics.links)
    assert realm.statistics.sessions == 0
    async with Client(realm.port, secret, nonce=5) as again:
        character = await again.join(7, 1)
        assert (character.session_epoch, character.version) == (1, 1)
        (saved,) = await again.answers(commit_frame(2, 7, item(23, 1), version=1))
        assert saved.status == Verdict.COMMITTED
    async with Client(realm.port, secret, nonce=6) as restarted:
        assert isinstance(await restarted.try_join(7, 1), CharacterJoinFailed)
        assert (await restarted.join(7)).session_epoch == 2


async def test_a_lost_link_lets_the_waiting_world_in_at_once(realm: RealmServer) -> None:
    one, two = clients(realm)
    async with two:
        async with one:
            await one.join(7)
            two.link.request_join(7)
            two.flush()
            assert await one.event() == LeaveRequested(7, 1)
        async with asyncio.timeout(2):
            assert isinstance(await two.event(), CharacterJoined)


async def test_a_fast_relog_on_the_same_world(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        first = await client.join(7)
        client.link.send_left(7, first.session_epoch, 0)
        second = await client.join(7)
        third = await client.join(7)
        assert [c.session_epoch for c in (first, second, third)] == [1, 2, 3]
        answers = await client.answers(
            *(commit_frame(n, 7, item(23, 1), epoch=n) for n in (1, 2, 3))
        )
        assert [a.status for a in answers] == [2, 2, 0]


async def test_a_world_writes_only_what_it_holds(realm: RealmServer) -> None:
    one, two = clients(realm)
    async with one, two:
        await one.join(7)
        await two.join(8)
        answers = await two.answers(
            commit_frame(1, 7, item(23, 1)), commit_frame(2, 8, item(23, 2))
        )
        assert [a.status for a in answers] == [2, 0]


async def test_two_realms_on_one_database(realm: RealmServer, database_url: str) -> None:
    async with (
        RealmServer(database_url, port=0) as other_realm,
        Client(realm.port, "secret of world-1", "world-1") as one,
        Client(other_realm.port, "secret of world-2", "world-2") as two,
    ):
        await one.join(7)
        assert (await two.join(7)).session_epoch == 2
        (stale,) = await one.answers(commit_frame(1, 7, item(23, 1)))
        (good,) = await two.answers(commit_frame(2, 7, item(23, 1), epoch=2))
        assert (stale.status, good.status) == (2, 0)


async def test_many_joins_of_one_character_at_once(realm: RealmServer, secret: str) -> None:
    async with Client(realm.port, secret) as client:
        for _ in range(40):
            client.link.request_join(7)
        events = [await client.event() for _ in range(40)]
        granted = [e.character.session_epoch for e in events if isinstance(e, CharacterJoined)]
        refused = [e.reason for e in events if isinstance(e, CharacterJoinFailed)]
        assert granted == list(range(1, len(granted) + 1))
        assert len(granted) >= 16
        assert set(refused) <= {JoinFailure.OVERLOADED}


def test_held_epochs_are_looked_up_at_once() -> None:
    held = HeldEpochs()
    asked = np.array([5, 2**64 - 1, 6, 5], np.uint64)
    assert held.of(asked).tolist() == [0, 0, 0, 0]
    held.put(2**64 - 1, 9)
    held.put(5, 3)
    assert held.of(asked).tolist() == [3, 9, 0, 3]
    held.drop(5)
    held.drop(5)
    assert held.of(asked).tolist() == [0, 9, 0, 0]
    assert (len(held), list(held)) == (1, [2**64 - 1])
