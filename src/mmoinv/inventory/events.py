"""What happened to items, told to whoever listens: created, updated, destroyed."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from mmoinv.inventory.draft import SlotChange
from mmoinv.records import InventoryItemData


class ItemEventKind(Enum):
    """What became of an item of this inventory."""

    CREATED = "created"
    """It came: new, from someone else, or bought back."""
    UPDATED = "updated"
    """It is in another slot, or its record has changed."""
    DESTROYED = "destroyed"
    """It is gone: used up, merged into another stack, given away or sold."""


class ItemEvent(NamedTuple):
    """One item, known by its guid, before and after a change; None where it was not there."""

    kind: ItemEventKind
    before: InventoryItemData | None
    after: InventoryItemData | None


def events_of(changes: Iterable[SlotChange]) -> tuple[ItemEvent, ...]:
    """What a change means item by item: first what is gone, then what changed, then what came."""
    before = {item.item_guid: item for _, item, _ in changes if item is not None}
    after = {item.item_guid: item for _, _, item in changes if item is not None}
    destroyed = [
        ItemEvent(ItemEventKind.DESTROYED, item, None)
        for guid, item in before.items()
        if guid not in after
    ]
    updated = [
        ItemEvent(ItemEventKind.UPDATED, before[guid], item)
        for guid, item in after.items()
        if guid in before and before[guid] != item
    ]
    created = [
        ItemEvent(ItemEventKind.CREATED, None, item)
        for guid, item in after.items()
        if guid not in before
    ]
    return (*destroyed, *updated, *created)
