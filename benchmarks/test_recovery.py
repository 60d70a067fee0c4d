"""A realm of 1,000 characters is killed and started again: how long until a save is answered.

From the moment when it listens again. The world's connector finds it by itself, claims its sessions
and sends what was pending; players go on saving meanwhile.
"""

import asyncio
import contextlib
import random
import socket
import time

import numpy as np
import pytest
from targets import recovery_group

from mmoinv.loadtest.processes import Child
from mmoinv.loadtest.realm_process import run_realm
from mmoinv.records import empty_batch
from mmoinv.world import RealmConnector

SESSIONS = 1000
RESTARTS = 5
PORT_WITHIN_S = 30.0
WORLD = "benchmark"


@pytest.fixture
def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(params=["SQLite", "PostgreSQL", "MariaDB"])
def kind(request):
    return request.param


@pytest.fixture
def database(kind, request, tmp_path):
    if kind == "SQLite":
        return f"sqlite:///{tmp_path / 'realm.db'}"
    return request.getfixturevalue(f"{kind.lower()}_server").new_database()


async def listens(port):
    """When it does, on the clock of `time.perf_counter`."""
    async with asyncio.timeout(PORT_WITHIN_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return time.perf_counter()
            await asyncio.sleep(0.005)


async def answered(handle):
    """When it was."""
    await handle
    return time.perf_counter()


async def recoveries(database, port):
    """Seconds from each restart to the first answer, and until all that was pending is answered."""
    first_s, all_s = [], []
    realm = Child("the realm", run_realm, database, [WORLD], None, port)
    _, ready = realm.receive()
    secret = ready["secrets"][WORLD]
    connector = RealmConnector("127.0.0.1", port, world=WORLD, secret=secret, join_timeout_s=60.0)
    await connector.connect()
    await asyncio.gather(*(connector.join(guid) for guid in range(1, SESSIONS + 1)))
    repository = connector.repository()

    def save():
        guid = random.randint(1, SESSIONS)
        items = empty_batch(1)
        items["entry"], items["slot"], items["stack_count"] = 2001, random.randint(23, 38), 1
        items["item_guid"] = connector.new_item_guids()
        return repository.save_all_items(guid, items)

    for _ in range(RESTARTS):
        await asyncio.gather(*(save() for _ in range(100)))
        realm.end(gently=False)
        handles = [save() for _ in range(100)]
        # No world is made anew: it keeps its secret.
        realm = Child("the realm", run_realm, database, [], None, port)
        listening_s = await listens(port)
        answered_s = await asyncio.gather(*map(answered, handles))
        first_s.append(min(answered_s) - listening_s)
        all_s.append(max(answered_s) - listening_s)
    await connector.close()
    realm.end()
    return first_s, all_s


@pytest.mark.timeout(300)
def test_recovery(benchmark, kind, database, port):
    benchmark.group = recovery_group(kind)
    first_s, all_s = benchmark.pedantic(lambda: asyncio.run(recoveries(database, port)), rounds=1)
    benchmark.extra_info.update(
        sessions=SESSIONS,
        first_answer_max_ms=round(max(first_s) * 1e3),
        first_answer_ms=round(float(np.median(first_s)) * 1e3),
        all_answered_ms=round(float(np.median(all_s)) * 1e3),
    )
