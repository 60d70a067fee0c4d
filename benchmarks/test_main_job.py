"""The main job from end to end: 100 players, one world, a realm of its own on SQLite.

Real sockets, a real file, full sync. The round trip is from the commit to its answer; on the
open-loop schedule it counts from the moment that was intended.
"""

import asyncio
import multiprocessing
import random
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from inventories import inventory
from realm_apart import WORLD, run_realm
from targets import DATABASES, at_once_changed_group, at_once_group, steady_group

from mmoinv.repository import InventoryUnitOfWork
from mmoinv.world import RealmConnector

PLAYERS = 100
SAVES_PER_S = 3
"""Of one player, on the open-loop schedule."""


class World:
    """A world server with 100 characters, on an event loop in a thread of its own."""

    def __init__(self, port: int, secret: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.connector = RealmConnector("127.0.0.1", port, world=WORLD, secret=secret)
        self.inventories = {guid: inventory(20 + guid % 21, guid) for guid in range(1, PLAYERS + 1)}
        self.rtt_ms: list[float] = []

    def run(self, coroutine):
        """Run in the world's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    async def join(self) -> None:
        await self.connector.connect()
        self.repository = self.connector.repository()
        self.units = {guid: InventoryUnitOfWork(self.repository) for guid in self.inventories}
        for guid in self.inventories:
            await self.connector.join(guid)
        await self.all_at_once()

    def new_items(self) -> None:
        """Every item is another one: the realm writes only what differs, and that is all."""
        for guid, before in self.inventories.items():
            items = before.copy()
            items["item_guid"] = self.connector.new_item_guids(len(items))
            items["entry"] += 1
            self.inventories[guid] = items

    def new_stacks(self) -> None:
        """Three stacks of everyone are larger or smaller now."""
        for guid, before in self.inventories.items():
            items = before.copy()
            places = random.sample(range(len(items)), 3)
            items["stack_count"][places] = items["stack_count"][places] % 20 + 1
            self.inventories[guid] = items

    async def all_at_once(self) -> None:
        """Everyone saves the whole inventory at the same instant."""
        start = time.perf_counter()
        handles = [
            self.repository.save_all_items(guid, items) for guid, items in self.inventories.items()
        ]
        for handle in handles:
            handle.add_done_callback(lambda _: self.answered(start))
        for handle in handles:
            await handle

    def save(self, guid: int, intended: float):
        """Use or loot something, then commit the change."""
        before = self.inventories[guid]
        after = before.copy()
        place = random.randrange(len(after))
        after["stack_count"][place] = after["stack_count"][place] % 20 + 1
        self.inventories[guid] = after
        unit = self.units[guid]
        unit.register_changes(guid, before, after)
        handle = unit.commit()
        handle.add_done_callback(lambda _: self.answered(intended))
        return handle

    def answered(self, since: float) -> None:
        self.rtt_ms.append((time.perf_counter() - since) * 1000)

    async def one_save(self, guid: int) -> None:
        await self.save(guid, time.perf_counter())

    async def play(self, guids: list[int]) -> None:
        """Everyone of them saves three times a second, on time, until cancelled."""
        interval = 1 / (SAVES_PER_S * len(guids))
        due = time.perf_counter()
        while True:
            due += interval
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.save(random.choice(guids), due)

    async def close(self) -> None:
        await self.connector.close()


@pytest.fixture(scope="module", params=DATABASES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def realm(kind, request, tmp_path_factory):
    """The pipe to a realm process on a database of that kind, with its port and secret."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    url = f"sqlite:///{tmp_path_factory.mktemp('realm') / 'realm.db'}"
    if kind != "SQLite":
        url = request.getfixturevalue(f"{kind.lower()}_server").new_database()
    process = context.Process(target=run_realm, args=(theirs, url))
    process.start()
    try:
        assert ours.poll(30), "the realm did not start"
        yield ours, *ours.recv()
        ours.send("end")
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()


@pytest.fixture(scope="module")
def world(realm):
    _, port, secret = realm
    world = World(port, secret)
    try:
        world.run(world.join())
        yield world
        world.run(world.close())
    finally:
        world.loop.call_soon_threadsafe(world.loop.stop)
        world.thread.join()
        world.loop.close()


def figures_of(rtt_ms: list[float], realm, before) -> dict[str, float]:
    """What the summary shows."""
    pipe, *_ = realm
    pipe.send("figures")
    database_ms, group_size = (
        new[len(old) :] for new, old in zip(pipe.recv(), before, strict=True)
    )
    p50, p99, worst = np.percentile(rtt_ms, [50, 99, 100])
    return {
        "rtt_p99_ms": round(float(p99), 2),
        "rtt_p50_ms": round(float(p50), 2),
        "rtt_max_ms": round(float(worst), 2),
        "saves": len(rtt_ms),
        "database_p99_ms": round(float(np.percentile(database_ms, 99)), 2),
        "mean_group": round(float(np.mean(group_size)), 1),
    }


def figures_before(realm):
    pipe, *_ = realm
    pipe.send("figures")
    return pipe.recv()


@pytest.mark.parametrize("wholly_new", [True, False])
def test_all_at_once(benchmark, world, realm, kind, wholly_new):
    benchmark.group = at_once_group(kind) if wholly_new else at_once_changed_group(kind)
    world.run(world.all_at_once())
    world.rtt_ms.clear()
    before = figures_before(realm)
    benchmark.pedantic(
        lambda: world.run(world.all_at_once()),
        setup=world.new_items if wholly_new else world.new_stacks,
        rounds=20,
    )
    benchmark.extra_info.update(figures_of(world.rtt_ms, realm, before))
    assert len(world.rtt_ms) == 20 * PLAYERS


def test_steady(benchmark, world, realm, kind):
    benchmark.group = steady_group(kind)
    guids = list(world.inventories)
    playing = asyncio.run_coroutine_threadsafe(world.play(guids[1:]), world.loop)
    time.sleep(1)
    world.rtt_ms.clear()
    before = figures_before(realm)
    started = time.perf_counter()
    benchmark.pedantic(lambda: world.run(world.one_save(guids[0])), rounds=400)
    time.sleep(max(0.0, 3 - (time.perf_counter() - started)))
    benchmark.extra_info.update(figures_of(list(world.rtt_ms), realm, before))
    assert not playing.done(), playing.result()
    playing.cancel()
    with pytest.raises(CancelledError):
        playing.result(5)
    assert world.run(world.connector.flush(10))
