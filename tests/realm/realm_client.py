"""A world server for the tests of the realm: the sans-IO link on a plain socket."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from mmoinv import codec
from mmoinv.commits import CommitFlags, ParticipantChanges
from mmoinv.records import InventoryItemData, batch_of, slots_of
from mmoinv.wire import (
    CharacterJoined,
    CharacterJoinFailed,
    LogonAccepted,
    OperationAnswered,
    PlayerCharacterJoin,
    WorldLink,
)

ANSWER_TIMEOUT_S = 20.0


def item(slot: int, guid: int, entry: int = 100, stack: int = 1) -> InventoryItemData:
    return InventoryItemData(entry=entry, slot=slot, stack_count=stack, item_guid=guid)


def commit_frame(
    operation_id: int,
    character: int,
    *items: InventoryItemData,
    deletes: Sequence[int] = (),
    epoch: int = 1,
    version: int = 0,
    flags: int = 0,
) -> bytes:
    changes = ParticipantChanges(character, epoch, version, batch_of(*items), slots_of(*deletes))
    return codec.encode_commit_inventory(operation_id, [changes], 0, flags)


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` is true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


REPEATED = CommitFlags.REPEATED


class Client:
    """``async with Client(port, secret) as client``: logged on as ``world``, from the address
    ``source``."""

    def __init__(
        self,
        port: int,
        secret: str,
        world: str = "world-1",
        dialect: int = 0,
        nonce: int = 77,
        source: str = "127.0.0.1",
    ) -> None:
        self.source = source
        self.port, self.secret, self.world = port, secret, world
        self.dialect, self.nonce = dialect, nonce
        self.link = WorldLink()
        self.events: list[Any] = []
        self.node_epoch = 0

    async def connect(self) -> Any:
        """The event that ends the logon."""
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(self.source, 0)
        )
        self.link.begin_logon(self.world, self.secret, self.nonce, self.dialect)
        event = await self.event()
        if isinstance(event, LogonAccepted):
            self.node_epoch = event.node_epoch
        return event

    async def __aenter__(self) -> Self:
        event = await self.connect()
        assert isinstance(event, LogonAccepted), event
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writer.close()

    def flush(self) -> None:
        self.writer.write(self.link.data_to_send())

    def send(self, frames: bytes) -> None:
        self.link.send_bytes(frames)
        self.flush()

    async def event(self) -> Any:
        """The next event; None once the realm has closed the link."""
        while not self.events:
            self.flush()
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                try:
                    data = await self.reader.read(1 << 16)
                except ConnectionError:
                    data = b""
            if not data:
                return None
            self.events += self.link.receive_data(data)
        self.flush()
        return self.events.pop(0)

    async def join(self, character: int, epoch: int = 0) -> PlayerCharacterJoin:
        event = await self.try_join(character, epoch)
        assert isinstance(event, CharacterJoined), event
        return event.character

    async def try_join(
        self, character: int, epoch: int = 0
    ) -> CharacterJoined | CharacterJoinFailed:
        self.link.request_join(character, epoch)
        event = await self.event()
        assert isinstance(event, CharacterJoined | CharacterJoinFailed), event
        return event

    async def answers(self, *frames: bytes) -> list[OperationAnswered]:
        """Send commits at once; their answers, by the order in which they were sent."""
        self.send(b"".join(frames))
        got = []
        for _ in frames:
            event = await self.event()
            assert isinstance(event, OperationAnswered), event
            got.append(event)
        return got
