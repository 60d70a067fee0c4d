"""Inventories of the tests, and a realm that answers only when it is told to."""

import asyncio
from typing import Any, Self

import numpy as np

from mmoinv import codec
from mmoinv.commits import CURRENCY
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch
from mmoinv.wire import (
    CommitsReceived,
    JoinRequested,
    LogonProved,
    LogonRequested,
    PlayerCharacterJoin,
    RealmLink,
    make_verifier,
)

SECRET = "secret of the tests"
BACKPACK = 0xFF17


def potion(place: int, guid: int, stack_count: int = 1) -> InventoryItemData:
    """A potion in that place of the backpack."""
    return InventoryItemData(2589, BACKPACK + place, stack_count, item_guid=guid)


def potions(guids: Any, stack_count: int = 1) -> Batch:
    """A potion of each guid, in the backpack from its first place on."""
    return batch_of(*(potion(place, int(guid), stack_count) for place, guid in enumerate(guids)))


def same(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same records in the same order."""
    return one.tobytes() == other.tobytes()


class SilentRealm:
    """A realm of one link on a real socket: logs worlds on, joins, keeps commits unanswered."""

    def __init__(self) -> None:
        self.received: list[tuple[int, tuple[int, ...], int, int]] = []
        """(operation id, characters, flags, expected version) of each operation."""
        self.frames = asyncio.Event()
        self.cut_at_joins = 0
        """So many requests to join are answered by cutting the link."""
        self._link = RealmLink()
        self._transport: Any = None

    async def __aenter__(self) -> Self:
        realm = self

        class Shell(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                realm._transport, realm._link = transport, RealmLink()

            def data_received(self, data: bytes) -> None:
                for event in realm._link.receive_data(data):
                    realm._handle(event)
                realm._flush()

        self._server = await asyncio.get_running_loop().create_server(Shell, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def _flush(self) -> None:
        if data := self._link.data_to_send():
            self._transport.write(data)

    def _handle(self, event: Any) -> None:
        match event:
            case LogonRequested():
                self._link.offer_challenge(make_verifier(SECRET))
            case LogonProved():
                self._link.accept_logon(5)
            case JoinRequested() if self.cut_at_joins:
                self.cut_at_joins -= 1
                self.cut()
            case JoinRequested(guid, _):
                self._link.send_join(
                    PlayerCharacterJoin(guid, 1, 0, empty_batch(), np.empty(0, CURRENCY))
                )
            case CommitsReceived(commits):
                for operation in commits.operations:
                    first = int(operation["first_participant"])
                    span = commits.participants[first : first + int(operation["participant_count"])]
                    self.received.append(
                        (
                            int(operation["operation_id"]),
                            tuple(span["character_guid"].tolist()),
                            int(operation["flags"]),
                            int(span["expected_version"][0]),
                        )
                    )
                self.frames.set()

    async def operations(self, count: int) -> list[tuple[int, tuple[int, ...], int, int]]:
        """Waits until so many operations have come."""
        while len(self.received) < count:
            self.frames.clear()
            await asyncio.wait_for(self.frames.wait(), 5)
        return self.received

    def answer(self, index: int, status: int = 0, version: int = 1, message: str = "") -> None:
        """Answer the operation of that index."""
        operation_id, guids, _, _ = self.received[index]
        self._link.send_bytes(
            codec.encode_commit_inventory_result(
                operation_id, status, [(guid, version) for guid in guids], message
            )
        )
        self._flush()

    def ask_to_leave(self, guid: int) -> None:
        """Another world wants in."""
        self._link.send_leave(guid, 1)
        self._flush()

    def send(self, data: bytes) -> None:
        """Any bytes."""
        self._transport.write(data)

    def cut(self) -> None:
        """Cut the link without a word."""
        if self._transport is not None:
            self._transport.abort()
