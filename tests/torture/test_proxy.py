"""The proxy on real sockets: each fault hits what it should, is counted, leaves nothing behind."""

import asyncio
import socket
import struct
from typing import cast

import pytest

from mmoinv.errors import ConfigurationError
from mmoinv.torture.proxied import Direction, FramePosition
from mmoinv.torture.proxy import FaultProxy


class Peer(asyncio.Protocol):
    """One end of a connection. A StreamReader would forget what came before an RST."""

    def __init__(self, accepted: "asyncio.Queue[Peer] | None" = None) -> None:
        self._accepted = accepted
        self._received = bytearray()
        self._news = asyncio.Event()
        self._end = ""
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._accepted is not None:
            self._accepted.put_nowait(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._news.set()

    def eof_received(self) -> bool:
        self._end = "eof"
        self._news.set()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._end = self._end or ("reset" if error else "closed")
        self._news.set()
        self._lost.set()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def end(self) -> None:
        self.transport.write_eof()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    async def receive(self, count: int) -> bytes:
        while len(self._received) < count:
            assert not self._end, self._end
            await self._next()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    async def rest(self) -> tuple[bytes, str]:
        """All that still comes, and how it ended: "eof", "reset"."""
        while not self._end:
            await self._next()
        return bytes(self._received), self._end

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def close(self) -> None:
        self.transport.abort()
        await self._lost.wait()


class Bench:
    """A listener in the realm's place, a proxy before it, and worlds."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Peer] = asyncio.Queue()
        self.peers: list[Peer] = []

    async def __aenter__(self) -> "Bench":
        self.tasks_before = asyncio.all_tasks()
        self.server = await self.listen()
        self.proxy = FaultProxy("127.0.0.1", self.server.sockets[0].getsockname()[1], seed=1)
        await self.proxy.start()
        return self

    async def listen(self) -> asyncio.Server:
        def accepted() -> Peer:
            self.peers.append(Peer(self.accepted))
            return self.peers[-1]

        return await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.close()
        assert self.proxy.connections == ()
        assert asyncio.all_tasks() == self.tasks_before
        self.server.close()
        for peer in self.peers:
            await peer.close()
        await self.server.wait_closed()

    async def connect(self) -> tuple[Peer, Peer]:
        open_before = len(self.proxy.connections)
        world = await self.connect_world()
        realm = await self.accepted.get()
        # The realm may know of a connection before the proxy does.
        await until(lambda: len(self.proxy.connections) > open_before)
        return world, realm

    async def connect_world(self) -> Peer:
        address = (self.proxy.host, self.proxy.port)
        _, world = await asyncio.get_running_loop().create_connection(Peer, *address)
        self.peers.append(world)
        return world

    async def talk(self) -> tuple[Peer, Peer]:
        """A connection through which something has come both ways."""
        world, realm = await self.connect()
        world.send(b"hello")
        assert await realm.receive(5) == b"hello"
        realm.send(b"welcome")
        assert await world.receive(7) == b"welcome"
        return world, realm


def frame(opcode: int, body: bytes) -> bytes:
    return bytes([opcode]) + len(body).to_bytes(4, "little") + body


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_without_faults_everything_passes_and_ends_pass_too():
    async with Bench() as bench:
        world, realm = await bench.talk()
        data = bytes(range(256)) * 8000
        world.send(data)
        world.end()
        assert await realm.rest() == (data, "eof")
        realm.send(data)
        realm.end()
        assert await world.rest() == (data, "eof")
        await until(lambda: not bench.proxy.connections)
        assert not bench.proxy.counts


async def test_the_target_may_change():
    async with Bench() as bench:
        await bench.talk()
        other = await bench.listen()
        bench.proxy.target = ("127.0.0.1", other.sockets[0].getsockname()[1])
        bench.server.close()
        await bench.talk()
        other.close()


async def test_without_a_realm_a_world_is_cut_off():
    async with Bench() as bench:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            bench.proxy.target = unused.getsockname()
            world = await bench.connect_world()
            assert (await world.rest())[0] == b""


async def test_an_rst_of_a_side_reaches_the_other():
    async with Bench() as bench:
        world, realm = await bench.talk()
        world.reset()
        assert await realm.rest() == (b"", "reset")
        await until(lambda: not bench.proxy.connections)


async def test_cut_is_an_rst_to_both():
    async with Bench() as bench:
        world, realm = await bench.talk()
        assert bench.proxy.cut() == 1
        assert await world.rest() == (b"", "reset")
        assert await realm.rest() == (b"", "reset")
        assert bench.proxy.cut() == 0
        assert bench.proxy.counts == {"cut": 1}


async def test_a_fault_for_one_connection_leaves_the_others_alone():
    async with Bench() as bench:
        first_world, _ = await bench.talk()
        world, realm = await bench.talk()
        first, second = bench.proxy.connections
        assert first.world_address == first_world.transport.get_extra_info("sockname")
        assert bench.proxy.cut(first) == 1
        assert await first_world.rest() == (b"", "reset")
        assert bench.proxy.connections == (second,)
        assert bench.proxy.cut(first) == 0
        world.send(b"still here")
        assert await realm.receive(10) == b"still here"
        assert bench.proxy.counts == {"cut": 1}


async def test_a_cut_of_a_connection_without_traffic_does_not_count():
    async with Bench() as bench:
        world, _ = await bench.connect()
        assert bench.proxy.cut() == 1
        assert await world.rest() == (b"", "reset")
        assert not bench.proxy.counts


async def test_half_close_towards_one_that_has_just_gone():
    async with Bench() as bench:
        with socket.create_connection((bench.proxy.host, bench.proxy.port)) as world:
            realm = await bench.accepted.get()
            await until(lambda: bench.proxy.connections)
            world.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The proxy has had no turn of the loop to see that.
        assert bench.proxy.half_close(Direction.TO_WORLD) == 1
        assert await realm.rest() == (b"", "reset")


@pytest.mark.parametrize("direction", list(Direction))
async def test_half_close(direction):
    async with Bench() as bench:
        world, realm = await bench.talk()
        sender, receiver = (world, realm) if direction is Direction.TO_REALM else (realm, world)
        bench.proxy.half_close(direction)
        assert await receiver.rest() == (b"", "eof")
        sender.send(b"into the void")
        receiver.send(b"the other way")
        assert await sender.receive(13) == b"the other way"
        assert bench.proxy.counts == {"half_close": 1}
        bench.proxy.half_close(direction)
        assert bench.proxy.counts == {"half_close": 1}
        sender.end()
        receiver.end()
        assert await sender.rest() == (b"", "eof")
        await until(lambda: not bench.proxy.connections)


async def test_delay_keeps_the_order():
    async with Bench() as bench:
        bench.proxy.delay(0.001, jitter=0.01)
        world, realm = await bench.talk()
        sent = b""
        for number in range(40):
            piece = number.to_bytes(2, "big") * 100
            sent += piece
            world.send(piece)
            await asyncio.sleep(0)
        assert await realm.receive(len(sent)) == sent
        assert bench.proxy.counts == {"delay": 1}


async def test_what_is_delayed_is_not_there_yet():
    async with Bench() as bench:
        world, realm = await bench.talk()
        bench.proxy.delay(3600)
        assert not bench.proxy.counts
        world.send(b"late")
        await until(lambda: bench.proxy.counts["delay"])
        bench.proxy.cut()
        assert await realm.rest() == (b"", "reset")


async def test_throttle_passes_everything():
    async with Bench() as bench:
        world, realm = await bench.talk()
        bench.proxy.throttle(100_000)
        data = bytes(range(250)) * 100
        world.send(data)
        assert await realm.receive(len(data)) == data
        assert bench.proxy.counts == {"throttle": 1}
        bench.proxy.throttle(1)
        world.send(b"1234")
        assert await realm.receive(1) == b"1"
        bench.proxy.cut()
        assert (await realm.rest())[1] == "reset"


async def test_a_hang_stops_in_the_middle_of_what_is_throttled():
    async with Bench() as bench:
        world, realm = await bench.talk()
        bench.proxy.throttle(1000)
        world.send(b"x" * 5000)
        await realm.receive(1)
        bench.proxy.hang(3600)
        await until(lambda: bench.proxy.counts["hang"])
        bench.proxy.cut()
        assert len((await realm.rest())[0]) < 4999


async def test_calm_ends_what_lasts():
    async with Bench() as bench:
        bench.proxy.delay(3600)
        bench.proxy.throttle(0.001)
        bench.proxy.calm()
        await bench.talk()
        assert not bench.proxy.counts


async def test_duplicate_connections():
    async with Bench() as bench:
        world, realm = await bench.talk()
        world.send(b" and more")
        await realm.receive(9)
        assert bench.proxy.duplicate_connections() == 1
        twin = await bench.accepted.get()
        assert await twin.receive(14) == b"hello and more"
        twin.send(b"who are you?")
        twin.transport.close()
        await until(lambda: bench.proxy.refused_duplicates)
        assert bench.proxy.counts == {"duplicate_connections": 1}
        realm.send(b"yours")
        assert await world.receive(5) == b"yours"


async def test_a_duplicate_that_is_not_refused_ends_with_the_proxy():
    async with Bench() as bench:
        await bench.talk()
        bench.proxy.duplicate_connections()
        twin = await bench.accepted.get()
        await twin.receive(5)
    assert bench.proxy.refused_duplicates == 0


async def test_answers_are_dropped_and_then_the_link_is_cut():
    async with Bench() as bench:
        world, realm = await bench.talk()
        bench.proxy.drop_answers(3600)
        world.send(b"commit")
        assert await realm.receive(6) == b"commit"
        realm.send(b"committed")
        await until(lambda: bench.proxy.counts["drop_answers"])
        bench.proxy.drop_answers(0.01)
        assert await world.rest() == (b"", "reset")
        assert await realm.rest() == (b"", "reset")
        assert bench.proxy.counts == {"drop_answers": 1}


async def test_no_answer_no_count():
    async with Bench() as bench:
        world, _ = await bench.talk()
        bench.proxy.drop_answers(0.01)
        assert await world.rest() == (b"", "reset")
        assert not bench.proxy.counts


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("piece_size", [1, 3, 7, 1000])
async def test_a_frame_is_truncated(direction, piece_size):
    async with Bench() as bench:
        world, realm = await bench.connect()
        sender, receiver = (world, realm) if direction is Direction.TO_REALM else (realm, world)
        whole = frame(0x80, bytes(range(50)))
        begun, rest = whole[:20], whole[20:]
        sender.send(begun)
        assert await receiver.receive(20) == begun
        bench.proxy.truncate_frame(direction)
        victim = frame(0x80, b"x" * 40)
        data = rest + victim + frame(0x82, b"y")
        for offset in range(0, len(data), piece_size):
            sender.send(data[offset : offset + piece_size])
            await asyncio.sleep(0)
        received, end = await receiver.rest()
        assert end == "reset"
        assert received.startswith(rest)
        cut = received[len(rest) :]
        assert 0 < len(cut) < len(victim)
        assert victim.startswith(cut)
        assert bench.proxy.counts == {"truncate_frame": 1}


async def test_a_frame_without_body_is_cut_in_its_header():
    async with Bench() as bench:
        world, realm = await bench.connect()
        await until(lambda: bench.proxy.connections)
        bench.proxy.truncate_frame(Direction.TO_REALM)
        world.send(frame(0x82, b""))
        received, end = await realm.rest()
        assert 0 < len(received) < 5
        assert end == "reset"


async def test_hang_forwards_nothing_closes_nothing_and_goes_on():
    async with Bench() as bench:
        world, realm = await bench.talk()
        bench.proxy.hang(0.1)
        world.send(b"after a while")
        world.end()
        assert await realm.rest() == (b"after a while", "eof")
        assert bench.proxy.counts == {"hang": 1}


async def test_a_hang_holds_for_later_connections_and_ends_with_the_proxy():
    async with Bench() as bench:
        bench.proxy.hang(3600)
        world, realm = await bench.connect()
        world.send(b"never")
        await until(lambda: bench.proxy.counts["hang"])
        world.transport.abort()
        assert len(bench.proxy.connections) == 1
    assert await realm.rest() == (b"", "reset")


async def test_what_is_no_time_is_refused():
    proxy = FaultProxy("127.0.0.1", 1)
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="nothing was done"):
            proxy.delay(value)


@pytest.mark.parametrize("size", range(1, 14))
def test_where_frames_begin(size):
    stream = frame(1, b"") + frame(2, b"abc") + frame(3, b"0123456789") + frame(4, b"")
    begins = {0, 5, 13, 28, len(stream)}
    position = FramePosition()
    for offset in range(0, len(stream), size):
        piece = stream[offset : offset + size]
        assert position.is_between == (offset in begins)
        expected = min(min(each for each in begins if each >= offset) - offset, len(piece))
        assert position.until_frame(piece) == expected
        position.advance(piece)
    assert position.is_between
