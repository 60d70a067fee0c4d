"""What the tests of the links share: two ends, and a pipe that cuts and joins as it likes."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mmoinv import codec
from mmoinv.commits import CURRENCY, ParticipantChanges
from mmoinv.records import InventoryItemData, batch_of, slots_of
from mmoinv.wire import (
    LogonProved,
    LogonRequested,
    PlayerCharacterJoin,
    RealmLink,
    WorldLink,
    make_verifier,
)

SECRET = "correct horse battery staple"
VERIFIER = make_verifier(SECRET, b"salt of the tests")
NODE_EPOCH = 41
ITEMS = batch_of(InventoryItemData(2589, 0xFF17, 3, item_guid=9), InventoryItemData(5, 0xFF18))
ITEMS["item_guid"][1] = 10
COMMIT = codec.encode_commit_inventory(
    1 << 32 | 1, [ParticipantChanges(7, 1, 0, ITEMS, slots_of(0xFF19))]
)
JOIN = PlayerCharacterJoin(7, 1, 0, ITEMS, np.empty(0, CURRENCY))

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> list[bytes]:
    """A pipe that delivers everything at once."""
    return [data] if data else []


def bytewise(data: bytes) -> list[bytes]:
    """A pipe that delivers single bytes."""
    return [data[i : i + 1] for i in range(len(data))]


def pump(world: WorldLink, realm: RealmLink, cut: Cut = whole) -> tuple[list[Any], list[Any]]:
    """Carry bytes both ways until nothing moves: (events at the world, events at the realm)."""
    at_world: list[Any] = []
    at_realm: list[Any] = []
    while True:
        up, down = world.data_to_send(), realm.data_to_send()
        if not up and not down:
            return at_world, at_realm
        for piece in cut(up):
            at_realm += realm.receive_data(piece)
        for piece in cut(down):
            at_world += world.receive_data(piece)


def logged_on(dialect: int = 0, cut: Cut = whole) -> tuple[WorldLink, RealmLink]:
    """Both ends of an open link."""
    world, realm = WorldLink(), RealmLink()
    world.begin_logon("world-1", SECRET, 77, dialect)
    _, events = pump(world, realm, cut)
    assert events == [LogonRequested("world-1", 77, 3 if dialect else 4, dialect)]
    realm.offer_challenge(VERIFIER)
    _, events = pump(world, realm, cut)
    assert events == [LogonProved("world-1")]
    realm.accept_logon(NODE_EPOCH)
    pump(world, realm, cut)
    return world, realm


def changes(world: WorldLink) -> bytes:
    """Packets of item changes as this link's dialect writes them."""
    if world.dialect.layout is None:
        return COMMIT * 3
    layout = world.dialect.layout
    return codec.encode_save_inventory_items(
        7, 5, ITEMS, layout
    ) + codec.encode_delete_inventory_items(7, 5, slots_of(0xFF19))
