"""What an outbox costs: saves through connector and realm, with it and without, in one run.

A realm of its own on SQLite, the connector in this process. Every player saves again as soon as the
answer is there. The two take turns, so that what else the machine does meets both.
"""

import asyncio
import multiprocessing
import time

import numpy as np
import pytest
from inventories import inventory
from realm_apart import WORLD, run_realm
from targets import OUTBOX_GROUP

from mmoinv.repository import OperationHandle
from mmoinv.world import RealmConnector, WorldServerInventoryRepository

PLAYERS = 500
ROUNDS = 4
ROUND_S = 1.5


class Players:
    """Everyone saves one changed record again and again; a connector of its own each round."""

    def __init__(self, first_guid: int) -> None:
        self.inventories = {
            guid: inventory(25, guid) for guid in range(first_guid, first_guid + PLAYERS)
        }
        self.rtt_ms: list[float] = []
        self.seconds = 0.0
        self.synced_writes = 0

    async def play(self, connector: RealmConnector) -> None:
        async with connector:
            await asyncio.gather(*(connector.join(guid) for guid in self.inventories))
            repository = connector.repository()
            for guid, items in self.inventories.items():
                repository.save_all_items(guid, items)
            assert await connector.flush(60)
            outbox = connector.outbox
            self.synced_writes -= outbox.synced_writes if outbox is not None else 0
            started = time.perf_counter()
            ends = started + ROUND_S
            for guid in self.inventories:
                self._save(repository, guid, guid, ends)
            await asyncio.sleep(ROUND_S)
            assert await connector.flush(60)
            self.seconds += time.perf_counter() - started
            self.synced_writes += outbox.synced_writes if outbox is not None else 0

    def _save(
        self, repository: WorldServerInventoryRepository, guid: int, number: int, ends: float
    ) -> None:
        item = self.inventories[guid][number % 25 : number % 25 + 1]
        item["stack_count"] = item["stack_count"] % 20 + 1
        since = time.perf_counter()

        def answered(handle: OperationHandle) -> None:
            if handle.exception is not None:
                raise handle.exception
            now = time.perf_counter()
            self.rtt_ms.append((now - since) * 1000)
            if now < ends:
                self._save(repository, guid, number + 1, ends)

        repository.save_item(guid, item).add_done_callback(answered)

    @property
    def saves_per_s(self) -> float:
        return len(self.rtt_ms) / self.seconds


async def compared(port: int, secret: str, outbox: str) -> dict[str, float]:
    """What the summary shows."""

    def connector(outbox: str | None) -> RealmConnector:
        return RealmConnector("127.0.0.1", port, world=WORLD, secret=secret, outbox=outbox)

    await Players(1).play(connector(None))  # Warms everything up.
    without, with_it = Players(1), Players(1_000_001)
    for _ in range(ROUNDS):
        await without.play(connector(None))
        await with_it.play(connector(outbox))
    return {
        "saves_per_s": round(with_it.saves_per_s),
        "saves_without_per_s": round(without.saves_per_s),
        "share_of_saves": round(with_it.saves_per_s / without.saves_per_s, 2),
        "synced_writes_per_save": round(with_it.synced_writes / len(with_it.rtt_ms), 4),
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
