"""The realm of a load test, in a process of its own; reports its figures through a pipe."""

import asyncio
import gc
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from mmoinv import loops
from mmoinv.realm import RealmLimits, RealmServer

SAMPLE_EVERY_S = 0.25
SWITCH_INTERVAL_S = 0.0005
"""How soon the writer's thread hands the interpreter back to the event loop."""


def run_realm(
    connection: Connection,
    database: str,
    world_names: list[str],
    limits: RealmLimits | None = None,
    port: int = 0,
) -> None:
    """Run until told to end: sends ("ready", ...), then ("sample", ...) again and again.

    Worlds of ``world_names`` get new secrets; those that are there keep theirs.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    loops.run(_run(connection, database, world_names, limits, port))


async def _run(
    connection: Connection,
    database: str,
    world_names: list[str],
    limits: RealmLimits | None,
    port: int,
) -> None:
    loop = asyncio.get_running_loop()
    async with RealmServer(database, port=port, limits=limits) as realm:
        secrets = {name: await realm.add_world(name) for name in world_names}
        gc.freeze()
        connection.send(("ready", {"port": realm.port, "secrets": secrets}))
        sampler = _Sampler(realm)
        told = loop.run_in_executor(None, connection.recv)
        while True:
            await asyncio.wait([told], timeout=SAMPLE_EVERY_S)
            connection.send(("sample", sampler.sample()))
            if told.done():
                kind, _ = told.result()
                if kind == "end":
                    return
                connection.send((kind, None))
                told = loop.run_in_executor(None, connection.recv)


class _Sampler:
    """What is new in the realm's statistics since the last look."""

    def __init__(self, realm: RealmServer) -> None:
        self._realm = realm
        self._before = realm.statistics

    def sample(self) -> dict[str, Any]:
        now = self._realm.statistics
        before, self._before = self._before, now
        groups = now.groups - before.groups
        chunks = now.chunks - before.chunks
        return {
            "database_ms": now.database_ms[-groups:] if groups else now.database_ms[:0],
            "group_size": now.group_size[-groups:] if groups else now.group_size[:0],
            "queue_depth": now.queue_depth[-groups:] if groups else now.queue_depth[:0],
            "packet_us": now.packet_us[-chunks:] if chunks else now.packet_us[:0],
            "queue": now.queue,
            "at_s": time.monotonic(),
        }
