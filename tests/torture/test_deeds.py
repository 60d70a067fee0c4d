"""What a world writes down of its deeds: each on the version that it was made on."""

import asyncio
from pathlib import Path

from mmoinv.realm import RealmServer
from mmoinv.torture.deeds import Deeds
from mmoinv.torture.journal import Answer, Journal, Sent, read_journals
from mmoinv.world import RealmConnector

GUID, MAILBOX = 7, 8


async def test_each_is_on_the_version_after_those_underway(tmp_path: Path) -> None:
    """Also one that is made at the very moment at which the one before it is answered."""
    path = tmp_path / "world-1.jsonl"
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        secret = await realm.add_world("world-1")
        async with RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as world:
            await world.join(GUID)
            with Journal(path) as journal:
                deeds = Deeds("world-1", world, journal, {GUID}, MAILBOX, seed=1)
                over = asyncio.Event()

                def again(_: object) -> None:
                    last = [deeds.insist([GUID]) for _ in range(2)][-1]
                    last.add_done_callback(lambda _: over.set())

                deeds.insist([GUID]).add_done_callback(again)
                await over.wait()
    entries = read_journals([path])
    sent = [entry for entry in entries if isinstance(entry, Sent)]
    answers = {entry.operation: entry for entry in entries if isinstance(entry, Answer)}
    assert [entry.changes[0].version for entry in sent] == [0, 1, 2]
    assert [answers[entry.operation].versions for entry in sent] == [
        {GUID: version} for version in (1, 2, 3)
    ]
    assert deeds.acknowledged == 3
