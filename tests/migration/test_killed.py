"""A world that is killed while its characters trade and change sides: nothing lost or doubled."""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from moving_world import GUIDS
from old_way import OldWay

from mmoinv.migration import FileBook, MigrationMode, ModeRule, Rules, write_rules
from mmoinv.realm import RealmServer
from mmoinv.records import InventoryItemData, batch_of

HERE = Path(__file__).parent
ROUNDS = 5


async def started(folder: Path, realm: RealmServer, what: str, seed: int):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)])}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "moving_world.py"),
        *(str(folder), str(realm.port), "secret of the tests", what, str(seed)),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )


def change_modes(folder: Path, chance: random.Random) -> None:
    """Everybody in a mode of their own."""
    rules = tuple(
        ModeRule(chance.choice(list(MigrationMode)), characters=frozenset({guid})) for guid in GUIDS
    )
    write_rules(folder / "modes.toml", Rules(rules=rules))


@pytest.mark.timeout(120)
async def test_nothing_is_lost_or_doubled(tmp_path):
    chance = random.Random(7)
    old = OldWay(tmp_path / "old.db")
    entries = iter(range(1, 100))
    for guid in GUIDS:
        old.save(guid, batch_of(*(InventoryItemData(next(entries), slot) for slot in range(5))))
    write_rules(tmp_path / "modes.toml", Rules(MigrationMode.SHADOW))
    traded = 0
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        await realm.add_world("w", "secret of the tests")
        for seed in range(ROUNDS):
            world = await started(tmp_path, realm, "play", seed)
            assert world.stdout is not None
            assert await world.stdout.readline() == b"joined\n"
            for _ in range(3):
                change_modes(tmp_path, chance)
                await asyncio.sleep(chance.uniform(0.2, 0.6))
            os.kill(world.pid, signal.SIGKILL)
            traded += (await world.stdout.read()).count(b"traded")
            await world.wait()
        for mode in (MigrationMode.PRIMARY, MigrationMode.SHADOW):
            write_rules(tmp_path / "modes.toml", Rules(mode))
            world = await started(tmp_path, realm, "look", 0)
            out, _ = await world.communicate()
            assert world.returncode == 0
            found = json.loads(out.splitlines()[-1])
            assert sorted(entry for each in found.values() for entry in each) == list(
                range(1, 5 * len(GUIDS) + 1)
            )
    assert traded > 20
    book = FileBook(tmp_path / "moving.book")
    assert book.counts()[MigrationMode.SHADOW] == len(GUIDS)
    assert book.behind() == []
