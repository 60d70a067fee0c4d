"""The outbox: on the disk before it is sent, sent again by the next process, before any join.

Against a real realm, and one that answers when it is told to.
"""

import asyncio
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from inventories import SECRET, SilentRealm, potion, potions

from mmoinv import InventoryUnitOfWork, RealmConnector, codec
from mmoinv.errors import (
    ConfigurationError,
    LinkBusyError,
    LinkError,
    OperationPendingError,
    OutboxWriteError,
    StaleSessionError,
)
from mmoinv.records import empty_batch, slots_of
from mmoinv.repository import CharacterChanges
from mmoinv.world import ConnectorState, Fate, Outbox, UnsavedOperation
from mmoinv.world.outbox_format import read_outbox

NOTHING = empty_batch()
REPEATED = 4


def connector_to(port: int, outbox: Path | Outbox, **settings: object) -> RealmConnector:
    return RealmConnector(
        "127.0.0.1",
        port,
        world=str(settings.pop("world", "world-1")),
        secret=SECRET,
        reconnect_longest_s=0.1,
        outbox=outbox,
        **settings,
    )


def crash(connector: RealmConnector) -> None:
    """What the kernel does for a process that was killed: link and lock are gone, that is all."""
    outbox = connector.outbox
    assert outbox is not None
    outbox._file.close()
    outbox._thread.shutdown()
    outbox._thread = None
    connector._reconnects = False
    connector._uplink.link.abort()


def left_in(path: Path) -> list[int]:
    return list(read_outbox(path.read_bytes()).unanswered)


async def test_what_is_answered_is_cleared_and_a_batch_is_synced_once(world, realm, tmp_path):
    path = tmp_path / "outbox"
    connector = world(outbox=path)
    async with connector:
        repository = connector.repository()
        assert connector.replayed == []
        for guid in range(20):
            await connector.join(guid)
        before = connector.outbox.synced_writes
        saves = [repository.save_item(guid, potion(0, guid + 1)) for guid in range(20)]
        assert len(connector.outbox) == 0  # Nothing is on the disk before the loop's turn.
        await asyncio.gather(*saves)
        assert connector.outbox.synced_writes == before + 1
        # Several of one character, in one turn: all are written, and made on one another.
        again = [repository.save_item(3, potion(place, 100 + place)) for place in range(1, 6)]
        await asyncio.gather(*again)
        assert connector.outbox.synced_writes == before + 2
        assert connector.character(3).version == 6 == (await realm.store.read_session(3)).version
        assert (connector.outbox.waiting_bytes, len(connector.outbox)) == (0, 0)
    assert left_in(path) == []
    assert connector.outbox.synced_writes == before + 2  # Marks need no sync.


async def test_nothing_is_sent_before_it_is_synced(tmp_path, monkeypatch):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent, connector_to(silent.port, path) as connector:
        await connector.join(7)
        repository = connector.repository()
        gate, reached = os.pipe(), asyncio.Event()
        loop, sync = asyncio.get_running_loop(), os.fdatasync

        def wait_and_sync(file: int) -> None:
            loop.call_soon_threadsafe(reached.set)
            os.read(gate[0], 1)
            sync(file)

        monkeypatch.setattr("mmoinv.world.outbox_file._sync", wait_and_sync)
        handles = [repository.save_item(7, potion(0, 1))]
        await reached.wait()
        # The loop goes on; what is committed meanwhile waits for the next sync.
        handles.append(repository.save_item(7, potion(1, 2)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert silent.received == []
        os.write(gate[1], b"..")
        await silent.operations(1)
        assert left_in(path)[0] == silent.received[0][0]
        silent.answer(0)
        await silent.operations(2)
        silent.answer(1, version=2)
        await asyncio.gather(*handles)
        for end in gate:
            os.close(end)


async def test_the_next_process_sends_what_was_left_before_it_joins(tmp_path, caplog):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent:
        first = connector_to(silent.port, path)
        await first.connect()
        for guid in (7, 8):
            await first.join(guid)
        unit = InventoryUnitOfWork(first.repository())
        unit.register_changes(7, NOTHING, potions([1]))
        unit.register_changes(8, NOTHING, potions([2]))
        unit.commit()
        behind = [first.repository().save_item(7, potion(1, 3)) for _ in range(2)]
        # Only the first is sent, all three are on the disk.
        await silent.operations(1)
        taken = left_in(path)
        assert len(taken) == 3
        crash(first)
        second = connector_to(silent.port, path)
        connecting = asyncio.create_task(second.connect())
        await silent.operations(2)
        assert second.state is ConnectorState.NEW
        with pytest.raises(LinkError):
            await second.join(7)
        silent.answer(1, 6)  # Overloaded: it is sent once more.
        await silent.operations(3)
        silent.cut()  # And the link is lost in between.
        await silent.operations(4)
        silent.answer(3, 1, 1)
        await silent.operations(5)
        silent.answer(4, 0, 2)
        await silent.operations(6)
        silent.answer(5, 2, 2, "unknown: it is old")
        await connecting
        sent = [(id_, flags, version) for id_, _, flags, version in silent.received]
        one, two, three = taken
        assert sent == [
            (one, 0, 0),
            *[(one, REPEATED, 0)] * 3,
            (two, REPEATED, 1),
            (three, REPEATED, 2),
        ]
        assert [(a.operation_id, a.status, a.fate) for a in second.replayed] == [
            (one, 1, Fate.SAVED),
            (two, 0, Fate.SAVED),
            (three, 2, Fate.UNKNOWN),
        ]
        assert [a.character_guids for a in second.replayed] == [(7, 8), (7,), (7,)]
        assert "may or may not be saved: it is older than what the realm keeps" in caplog.text
        await second.join(7)
        await second.close()
        assert left_in(path) == []
        assert not any(handle.done for handle in behind)
        await first.close()


async def test_a_connector_that_is_closed_or_cut_off_while_it_replays_leaves_the_rest(tmp_path):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent:
        first = connector_to(silent.port, path)
        await first.connect()
        await first.join(7)
        first.repository().save_item(7, potion(0, 1))
        await silent.operations(1)
        crash(first)
        left = left_in(path)
        second = connector_to(silent.port, path)
        connecting = asyncio.create_task(second.connect())
        await silent.operations(2)
        await second.close()
        with pytest.raises(LinkError, match="stays in its outbox"):
            await connecting
        assert (second.state, left_in(path)) == (ConnectorState.CLOSED, left)
        third = connector_to(silent.port, path, reconnects=False)
        connecting = asyncio.create_task(third.connect())
        await silent.operations(3)
        silent.cut()
        with pytest.raises(LinkError, match="lost"):
            await connecting
        assert (third.replayed, left_in(path)) == ([], left)
        await first.close()


async def test_who_was_joined_by_another_world_meanwhile_is_refused_and_told(
    world, realm, tmp_path, caplog
):
    path = tmp_path / "outbox"
    first = world(outbox=path)
    await first.connect()
    for guid in (7, 8):
        await first.join(guid)
    # The realm takes nothing in any more; what the world commits stays with it.
    first._uplink.link.wire.send_bytes = lambda frames: None
    for guid in (7, 8):
        first.repository().save_item(guid, potion(0, guid))
    while len(first.outbox) < 2 or first.outbox.is_writing:
        await asyncio.sleep(0.01)
    crash(first)
    async with world("world-2") as other:
        await other.join(7)
        async with world(outbox=path) as second:
            refused, saved = second.replayed
            assert (refused.character_guids, refused.fate, refused.status) == (
                (7,),
                Fate.NOT_SAVED,
                2,
            )
            assert "joined by someone else" in str(refused)
            assert (saved.character_guids, saved.fate, saved.status) == ((8,), Fate.SAVED, 0)
            joined = await second.join(8)
            assert joined.items["item_guid"].tolist() == [8]
            assert len(await realm.store.read_items(7)) == 0
    assert "1 not saved, 1 saved" in caplog.text
    await first.close()


async def test_close_leaves_what_is_unanswered_and_says_so(tmp_path, caplog):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent:
        connector = connector_to(silent.port, path)
        await connector.connect()
        await connector.join(7)
        sent, waiting = (connector.repository().save_item(7, potion(n, n + 1)) for n in range(2))
        await silent.operations(1)
        await connector.close(timeout_s=0.01)
        assert connector.unsaved == [
            UnsavedOperation(sent.operation_id, (7,), True, True),
            UnsavedOperation(waiting.operation_id, (7,), False, True),
        ]
        assert "not saved yet, and lies in the outbox" in caplog.text
        with pytest.raises(OperationPendingError, match="in the outbox for the next process"):
            await waiting
        assert left_in(path) == [sent.operation_id, waiting.operation_id]


async def test_what_is_refused_ends_with_those_behind_it_here_and_in_the_file(
    world, realm, tmp_path
):
    path = tmp_path / "outbox"
    async with world(outbox=path) as connector:
        await connector.join(7)
        async with world("world-2") as other:
            connector.on_leave_requested = None
            await realm.store.clear_characters(7, 7)  # Its session is gone.
            handles = [connector.repository().save_item(7, potion(n, n + 1)) for n in range(3)]
            for handle in handles:
                with pytest.raises(StaleSessionError):
                    await handle
            await other.join(7)
    assert left_in(path) == []


async def test_what_is_committed_without_a_link_is_on_the_disk_and_sent_as_it_lies_there(tmp_path):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent, connector_to(silent.port, path) as connector:
        await connector.join(7)
        await connector.join(8)
        silent.cut()
        while connector.state is ConnectorState.CONNECTED:
            await asyncio.sleep(0.01)
        handles = [connector.repository().save_all_items(7, potions([1, 2]))]
        # Beside an update a replacement is spelled out, by what will be committed by then.
        both = [
            CharacterChanges(7, potions([3]), slots_of(), replace=True),
            CharacterChanges(8, potions([4]), slots_of()),
        ]
        handles.append(connector.repository().commit_changes(both))
        while not connector.outbox.holds_everything:
            await asyncio.sleep(0.01)
        stored = list(read_outbox(path.read_bytes()).unanswered.values())
        commits, _ = codec.decode_commits(stored[1].frame)
        assert commits.participants["expected_version"].tolist() == [1, 0]
        assert commits.deletes.tolist() == [potion(1, 2).slot]
        await silent.operations(1)
        silent.answer(0)
        await silent.operations(2)
        silent.answer(1)
        await asyncio.gather(*handles)
        assert connector.character(7).items["item_guid"].tolist() == [3]
    assert left_in(path) == []


async def test_an_outbox_that_is_full_takes_no_more(tmp_path):
    async with SilentRealm() as silent:
        outbox = Outbox(tmp_path / "outbox", max_bytes=100)
        async with connector_to(silent.port, outbox) as connector:
            for guid in (7, 8):
                await connector.join(guid)
            handle = connector.repository().save_item(7, potion(0, 1))
            await silent.operations(1)
            with pytest.raises(LinkBusyError, match=r"limit is 100: nothing was taken"):
                for place in range(3):
                    connector.repository().save_item(8, potion(place, place + 2))
                    await asyncio.sleep(0.05)
            silent.answer(0)
            await handle
            for index in range(1, len(silent.received)):
                silent.answer(index)


async def test_the_file_is_started_anew_when_it_is_mostly_answered(world, tmp_path, monkeypatch):
    monkeypatch.setattr("mmoinv.world.outbox_file.ANEW_FROM_BYTES", 4000)
    path = tmp_path / "outbox"
    async with world(outbox=path) as connector:
        await connector.join(7)
        sizes = []
        for number in range(1, 120):
            await connector.repository().save_item(7, potion(0, number))
            sizes.append(path.stat().st_size)
    assert max(sizes) < 6000
    assert sizes != sorted(sizes)
    assert left_in(path) == []
    assert sorted(one.name for one in tmp_path.glob("outbox*")) == ["outbox", "outbox.lock"]


async def test_a_file_is_refused_that_another_one_uses_or_that_is_none(world, tmp_path):
    path = tmp_path / "outbox"
    async with world(outbox=path) as first:
        with pytest.raises(ConfigurationError, match="in use by another connector"):
            await world(outbox=path).connect()
        # It has not logged on, which would have closed the first one's link.
        await first.join(7)
        await first.repository().save_item(7, potion(0, 1))
    with pytest.raises(ConfigurationError, match="'world-1', not of 'world-2'"):
        await world("world-2", outbox=path).connect()
    (tmp_path / "notes").write_text("nothing to do with it")
    with pytest.raises(ConfigurationError, match="is not an outbox"):
        await world(outbox=tmp_path / "notes").connect()
    assert (tmp_path / "notes").read_text() == "nothing to do with it"
    first = struct.pack("<8sHB", b"mmoinvOB", 2, 7) + b"world-1"
    newer = first + struct.pack("<I", zlib.crc32(first)) + b"in a way of its own"
    path.write_bytes(newer)
    with pytest.raises(ConfigurationError, match="a newer mmoinv has written"):
        await world(outbox=path).connect()
    assert path.read_bytes() == newer
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await world(outbox=tmp_path / "no folder" / "outbox").connect()
    with pytest.raises(ConfigurationError, match=r"protocol 3.*has no outbox"):
        world(outbox=path, dialect=1)


@pytest.mark.parametrize("what", ["torn", "flipped", "empty"])
async def test_a_damaged_file_is_told_and_read_as_far_as_it_goes(what, tmp_path, caplog):
    path = tmp_path / "outbox"
    async with SilentRealm() as silent:
        first = connector_to(silent.port, path)
        await first.connect()
        for guid in (7, 8):
            await first.join(guid)
            first.repository().save_item(guid, potion(0, guid))
            await silent.operations(guid - 6)
        crash(first)
        data = path.read_bytes()
        one, two = left_in(path)
        spoiled = {"torn": data[:-3], "flipped": data[:-9] + b"\xff" + data[-8:], "empty": b""}
        path.write_bytes(spoiled[what])
        second = connector_to(silent.port, path)
        connecting = asyncio.create_task(second.connect())
        if what != "empty":
            await silent.operations(3)
            assert silent.received[2][0] == one
            silent.answer(2)
        await connecting
        assert {"torn": "torn", "flipped": "checksum", "empty": "empty"}[what] in (
            second.outbox.damage
        )
        assert "is kept as" in caplog.text
        assert (tmp_path / "outbox.damaged").read_bytes() == spoiled[what]
        # It goes on: what is behind is cut off before the next is written.
        count = len(silent.received)
        await second.join(9)
        handle = second.repository().save_item(9, potion(0, 9))
        await silent.operations(count + 1)
        assert left_in(path) == [handle.operation_id]
        assert read_outbox(path.read_bytes()).damage == ""
        silent.answer(count)
        await handle
        await second.close()
        await first.close()
        assert two != one


async def test_a_full_disk_is_told_to_the_handle_and_the_connector_goes_on(world, tmp_path, caplog):
    path = tmp_path / "outbox"
    async with world(outbox=path) as connector:
        await connector.join(7)
        repository = connector.repository()
        await repository.save_item(7, potion(0, 1))
        unit = InventoryUnitOfWork(repository)
        unit.register_changes(7, potions([1]), potions([1, 2]))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python ignores SIGXFSZ: a write fails half-way, as on a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, before[1]))
        try:
            handle = unit.commit()
            behind = repository.save_item(7, potion(5, 50))
            with pytest.raises(OutboxWriteError, match="nothing of it is saved: the outbox could"):
                await handle
            with pytest.raises(OutboxWriteError):
                await behind
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert unit.has_changes
        assert (connector.outbox.waiting_bytes, connector.pending_count) == (0, 0)
        await unit.commit()
        assert connector.character(7).items["item_guid"].tolist() == [1, 2]
    assert left_in(path) == []
    assert "operations are not sent" in caplog.text


WORLD = """
import asyncio, sys
from mmoinv import RealmConnector
sys.path.insert(0, sys.argv[3])
from inventories import SECRET, potion

async def main():
    async with RealmConnector("127.0.0.1", int(sys.argv[1]), world="world-1", secret=SECRET,
                              outbox=sys.argv[2]) as connector:
        await asyncio.gather(*(connector.join(guid) for guid in range(1, 21)))
        repository = connector.repository()
        number = 0
        while True:
            number += 1
            for guid in range(1, 21):
                repository.save_item(guid, potion(number % 16, guid << 20 | number))
            print(number, flush=True)
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


async def test_a_world_that_is_killed_loses_nothing_that_was_synced(
    world, realm, tmp_path, monkeypatch
):
    """Killed while its operations are anywhere: in the file, on the wire, committed, answered."""
    path = tmp_path / "outbox"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", WORLD, str(realm.port), str(path), str(Path(__file__).parent)),
        stdout=subprocess.PIPE,
    )
    while int(await child.stdout.readline()) < 40:
        pass
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    contents = read_outbox(path.read_bytes())
    assert contents.unanswered
    async with world(outbox=path) as connector:
        assert {one.fate for one in connector.replayed} == {Fate.SAVED}
        assert [one.operation_id for one in connector.replayed] == list(contents.unanswered)
        for guid in range(1, 21):
            character = await connector.join(guid)
            mine = [one for one in contents.unanswered.values() if guid in one.character_guids]
            # One version an operation, and the last one written is what is stored last.
            ledger = await realm.store.read_ledger(guid)
            assert len({one.operation_id for one in ledger}) == len(ledger) == character.version
            assert {one.operation_id for one in mine} <= {one.operation_id for one in ledger}
    assert left_in(path) == []
