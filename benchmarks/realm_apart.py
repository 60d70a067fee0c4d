"""A realm in a process of its own, as in production, on a database file that is thrown away."""

import asyncio
import gc
import sys
from multiprocessing.connection import Connection

from mmoinv.realm import RealmServer

WORLD = "benchmark"


def run_realm(connection: Connection, database: str) -> None:
    """Send (port, the world's secret), run until anything comes, send the database's times."""
    sys.setswitchinterval(0.0005)  # the writer's thread gives the interpreter back sooner
    asyncio.run(_run(connection, database))


async def _run(connection: Connection, database: str) -> None:
    async with RealmServer(database, port=0) as realm:
        secret = await realm.add_world(WORLD)
        gc.freeze()
        connection.send((realm.port, secret))
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, connection.recv) == "figures":
            now = realm.statistics
            connection.send((now.database_ms, now.group_size))
