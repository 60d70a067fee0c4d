"""What an outbox costs: saves through connector and realm, with it and without, in one run.

A realm of its own on SQLite, and two connectors in this process, of a world each. Every player
saves again as soon as the answer is there, and both take turns, so that what else the machine does
meets both.
"""

import asyncio
import multiprocessing
import time

import numpy as np
import pytest
from inventories import inventory
from realm_apart import WORLD, run_realm
from targets import OUTBOX_GROUP

from mmoinv.errors import MmoinvError
from mmoinv.repository import OperationHandle
from mmoinv.world import RealmConnector

PLAYERS = 500
ROUNDS = 4
ROUND_S = 1.5


class Players:
    """Everyone of a connector saves one changed record again and again."""

    def __init__(self, connector: RealmConnector, first_guid: int) -> None:
        self.connector = connector
        self.repository = connector.repository()
        self.guids = range(first_guid, first_guid + PLAYERS)
        self.inventories = {guid: inventory(25, guid) for guid in self.guids}
        self.saves = 0
        self.seconds = 0.0
        self.rtt_ms: list[float] = []
        self._plays = False

    async def join(self) -> None:
        await asyncio.gather(*(self.connector.join(guid) for guid in self.guids))
        for guid, items in self.inventories.items():
            self.repository.save_all_items(guid, items)
        assert await self.connector.flush(60)

    def _save(self, guid: int, number: int) -> None:
        items = self.inventories[guid][number % 25 : number % 25 + 1]
        items["stack_count"] = items["stack_count"] % 20 + 1
        since = time.perf_counter()

        def answered(handle: OperationHandle) -> None:
            error: MmoinvError | None = handle.exception
            if error is not None:
                raise error
            self.saves += 1
            self.rtt_ms.append((time.perf_counter() - since) * 1000)
            if self._plays:
                self._save(guid, number + 1)

        self.repository.save_items(guid, items).add_done_callback(answered)

    async def play(self, seconds: float) -> None:
        started = time.perf_counter()
        self._plays = True
        for guid in self.guids:
            self._save(guid, guid)
        await asyncio.sleep(seconds)
        self._plays = False
        assert await self.connector.flush(60)
        self.seconds += time.perf_counter() - started

    @property
    def saves_per_s(self) -> float:
        return self.saves / self.seconds


async def compared(port: int, secret: str, outbox: str) -> dict[str, float]:
    """What the summary shows."""
    settings = {"world": WORLD, "secret": secret}
    async with RealmConnector("127.0.0.1", port, **settings) as connector:
        without = Players(connector, 1)
        await without.join()
        await without.play(ROUND_S)
        without.saves, without.seconds = 0, 0.0
        without.rtt_ms.clear()
        for _ in range(ROUNDS):
            await without.play(ROUND_S)
    async with RealmConnector("127.0.0.1", port, outbox=outbox, **settings) as connector:
        assert connector.outbox is not None
        with_it = Players(connector, 1_000_001)
        await with_it.join()
        before = connector.outbox.synced_writes
        for _ in range(ROUNDS):
            await with_it.play(ROUND_S)
        syncs = connector.outbox.synced_writes - before
    return {
        "saves_per_s": round(with_it.saves_per_s),
        "saves_per_s_without": round(without.saves_per_s),
        "share_of_saves_per_s": round(with_it.saves_per_s / without.saves_per_s, 2),
        "synced_writes_per_save": round(syncs / with_it.saves, 4),
        "rtt_p50_ms": round(float(np.percentile(with_it.rtt_ms, 50)), 2),
        "rtt_p50_without_ms": round(float(np.percentile(without.rtt_ms, 50)), 2),
    }


def test_an_outbox_costs_a_synced_write_a_batch(
    benchmark: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_realm, args=(theirs, f"sqlite:///{folder / 'realm.db'}"))
    process.start()
    try:
        assert ours.poll(30), "the realm did not start"
        port, secret = ours.recv()
        benchmark.group = OUTBOX_GROUP
        figures = benchmark.pedantic(
            lambda: asyncio.run(compared(port, secret, str(folder / "outbox"))), rounds=1
        )
        benchmark.extra_info.update(figures)
        ours.send("end")
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()
