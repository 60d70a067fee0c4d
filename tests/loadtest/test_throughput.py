"""The sender against a real realm: every answer is counted, everything sent is stored."""

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmoinv import codec
from mmoinv.errors import ConfigurationError, LinkError, LogonError, MmoinvError
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.loadtest.one_by_one import FIRST_OPERATION, save_one_by_one
from mmoinv.loadtest.sender import Sender, SenderSettings, _answers, carried_slots
from mmoinv.loadtest.throughput import ThroughputSettings
from mmoinv.realm import RealmServer
from mmoinv.stores import open_store

SAVES_PER_S = {"SQLite": 15_000, "PostgreSQL": 20_000, "MariaDB": 20_000}
TIMES = {"SQLite": 5, "PostgreSQL": 10, "MariaDB": 10}
COMMAND = [sys.executable, "-m", "mmoinv", "loadtest", "--sender"]


def throughput(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'realm.db'}"
    return request.getfixturevalue(f"{request.param}_url")


async def test_a_run_on_a_database_of_ones_own(url, tmp_path):
    figures = tmp_path / "figures.json"
    arguments = ("--characters", "30", "--saves", "200", "--window", "16", "--json", str(figures))
    for _ in range(2):
        result = throughput(*arguments, "--database", url)
        report = json.loads(figures.read_text())
        said = result.stdout + result.stderr
        assert result.returncode == (0 if report["passed"] else 1), said
        assert (report["lost"], report["doubled"], report["records_verified"]) == (0, 0, 750), said
        assert report["targets"]["refused"]["value"] == 0, said
        assert report["saves"] == 200
        assert report["saves_per_s"] > 0
        assert report["one_transaction_a_save_per_s"] > 0
        assert 0 < report["rtt_ms"]["p50"] <= report["rtt_ms"]["max"]
        assert report["group_size"]["max"] <= 16
        assert "times one transaction a save" in said
        kind, _, version = report["machine"]["database"].partition(" ")
        assert url.startswith(kind.lower())
        assert f"on {kind} {version}," in " ".join(said.split())
        assert report["targets"]["saves_per_s"]["limit"] == SAVES_PER_S[kind]
        assert report["targets"]["times_one_transaction_a_save"]["limit"] == TIMES[kind]
        async with await open_store(url) as store:
            counts = await store.counts()
        # The characters are cleared; so are the ids of what went past the realm.
        assert (counts.items, counts.sessions, counts.worlds) == (0, 0, 1)
        assert counts.applied_operations % 230 == 0


def test_a_run_that_misses_its_targets_ends_with_1(tmp_path):
    # One save at a time cannot be many times one transaction a save.
    result = throughput("--characters", "2", "--saves", "40", "--window", "1")
    assert result.returncode == 1, result.stdout + result.stderr


def test_a_store_that_has_no_straight_way():
    with pytest.raises(ConfigurationError, match="--whole goes without"):
        ThroughputSettings(database="theirs://host/db").check()
    ThroughputSettings(database="theirs://host/db", whole=True).check()


# The sender itself


class Run:
    """A sender in a thread, so that the test's loop can run the realm."""

    def __init__(self, port: int, secret: str, **settings: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), 10)
        self.link.setblocking(False)
        usual = {"characters": 8, "items": 5, "changed": 2, "window": 4, "seed": 1}
        self.settings = SenderSettings("127.0.0.1", port, "w", secret, **(usual | settings))
        self.progress: list[int] = []

    def start(self) -> Sender:
        return Sender(self.link, self.settings, self.progress.append)


async def in_thread(work):
    return await asyncio.get_running_loop().run_in_executor(None, work)


@pytest.fixture
async def realm(tmp_path: Path):
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        yield realm


async def test_what_is_sent_is_stored(realm):
    run = Run(realm.port, await realm.add_world("w"))
    sender = await in_thread(run.start)
    assert await in_thread(lambda: sender.do_fill(None)) == 8
    first = sender.do_holdings(None)
    sent = await in_thread(lambda: sender.do_send(50))
    assert (sent["saves"], sent["refused"], sent["refusals"]) == (50, 0, [])
    assert (sent["rtt_ms"] > 0).all()
    held = sender.do_holdings(None)
    assert held != first
    for guid, data in held.items():
        assert (await realm.store.read_items(guid)).tobytes() == data
    # Who comes back finds it: nothing is to be filled again.
    run.link.close()
    again = Run(realm.port, await realm.add_world("w"))
    sender = await in_thread(again.start)
    assert await in_thread(lambda: sender.do_fill(None)) == 0
    assert sender.do_holdings(None) == held
    again.link.close()


async def test_refusals_are_counted_and_told(realm):
    run = Run(realm.port, await realm.add_world("w"))
    sender = await in_thread(run.start)
    await in_thread(lambda: sender.do_fill(None))
    sender._versions[3] += np.uint64(5)
    sent = await in_thread(lambda: sender.do_send(8))
    assert sent["refused"] == 1
    assert "made on version" in sent["refusals"][0]
    run.link.close()


async def test_a_wrong_secret_is_told(realm):
    await realm.add_world("w")
    run = Run(realm.port, "not it")
    with pytest.raises(LogonError, match="logon failed"):
        await in_thread(run.start)
    run.link.close()


def test_a_realm_that_goes_away_is_told():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        run = Run(server.getsockname()[1], "any")
        with pytest.raises((LinkError, ConnectionError)):
            run.start()
        run.link.close()


def test_answers_of_every_kind():
    plain = [codec.encode_commit_inventory_result(number, 0, [(7, 1)]) for number in (1, 2)]
    told = codec.encode_commit_inventory_result(3, 4, [(7, 1)], "a reason")
    ping = b"\x82" + (9).to_bytes(4, "little") + bytes(9)
    data = plain[0] + told + ping + plain[1]
    good, others = _answers(data, codec.split_frames(data)[0])
    assert good["operation_id"].tolist() == [1, 2]
    assert good["version"].tolist() == [1, 1]
    assert others == ["a reason"]
    stray = b"\x02" + bytes(4)
    with pytest.raises(MmoinvError, match="opcode 0x02"):
        _answers(stray, codec.split_frames(stray)[0])


async def test_whole_inventories(url, tmp_path):
    figures = tmp_path / "figures.json"
    arguments = ("--characters", "600", "--saves", "1500", "--window", "300", "--whole")
    result = throughput(*arguments, "--database", url, "--json", str(figures))
    report = json.loads(figures.read_text())
    said = result.stdout + result.stderr
    assert (report["lost"], report["doubled"], report["records_verified"]) == (0, 0, 15_000), said
    assert report["targets"]["refused"]["value"] == 0, said
    assert report["one_transaction_a_save_per_s"] is None
    assert report["packet_bytes"] > 200
    assert "1,500 saves of all 25 records, 3 of them changed, on" in " ".join(said.split())


# The straight way


async def test_one_by_one_does_what_it_says(realm):
    run = Run(realm.port, await realm.add_world("w"))
    sender = await in_thread(run.start)
    await in_thread(lambda: sender.do_fill(None))
    path = realm.store.url.removeprefix("sqlite:///")
    seen: list[int] = []
    rate = await save_one_by_one(realm.store.url, carried_slots(5), 8, 2, 40, 1, seen.append)
    assert rate > 0
    assert seen == [0]
    with closing(sqlite3.connect(path)) as connection:
        ((versions,),) = connection.execute("SELECT sum(version) FROM character_session")
        ((ours,),) = connection.execute(
            "SELECT count(*) FROM applied_operation WHERE operation_id >= ?", (FIRST_OPERATION,)
        )
    assert (versions, ours) == (48, 0)
    before = sender.do_holdings(None)
    changed = [
        guid for guid in before if (await realm.store.read_items(guid)).tobytes() != before[guid]
    ]
    assert len(changed) == 8
    assert min(changed) == GUID_BASE
    run.link.close()
