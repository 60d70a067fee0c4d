"""An inventory from stored records: nothing is dropped, whatever is strange is reported.

Gives `Contents` and findings; never raises for what the records are.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import numpy as np

from mmoinv.codec import sort_by_slot, widen
from mmoinv.inventory.catalog import ItemCatalog
from mmoinv.inventory.contents import Contents, records_of
from mmoinv.inventory.slots import (
    BAG_PACK,
    OWN_SLOTS,
    InventorySlot,
    bag_holding,
    inside_of,
    is_inside_bag,
)
from mmoinv.inventory.templates import DISABLED
from mmoinv.records import INVENTORY_ITEM, ITEM_DATA, Batch, InventoryItemData, is_buyback

ENTRY, SLOT, STACK_COUNT, GUID = (
    InventoryItemData._fields.index(name) for name in ("entry", "slot", "stack_count", "item_guid")
)
"""Places in a record: by number they are read faster than by name."""


class Oddity(Enum):
    """What is strange about a stored record, and what became of it."""

    SLOT_TWICE = "another item is in that slot already; it goes to an empty one, or is set aside"
    GUID_TWICE = "another item has that guid"
    UNNAMED = "it has no guid; it gets one"
    UNKNOWN_TEMPLATE = "no template knows that entry"
    BAG_MISSING = "the bag that it is in is not there"
    OUTSIDE_OF_BAG = "the bag that it is in has no such slot"
    UNKNOWN_PLACE = "nothing can be in that slot"
    STACK_TOO_LARGE = "there are more on the stack than the template allows"
    NO_ITEM = "entry or stack_count is 0, or it is in a buyback slot; it is set aside"
    NO_ROOM = "there is no empty slot for it; it is set aside"


class Finding(NamedTuple):
    """One strange record. It is kept, in its slot where that is possible."""

    oddity: Oddity
    item: InventoryItemData

    def __str__(self) -> str:
        item = self.item
        return (
            f"{InventorySlot(item.slot)} (slot {item.slot}): {item.stack_count} of entry "
            f"{item.entry}, guid {item.item_guid:#x}: {self.oddity.value}"
        )


class Loaded(NamedTuple):
    """``homeless`` records share their slot with an earlier one and want another; ``aside``
    cannot be in an inventory. ``stored`` are the records in their slots as they came."""

    contents: Contents
    stored: Batch
    findings: list[Finding]
    homeless: list[InventoryItemData]
    aside: list[InventoryItemData]


def load(items: Batch, catalog: ItemCatalog) -> Loaded:
    """From a batch of either record dtype, in any order."""
    wide = widen(items) if items.dtype == ITEM_DATA else items
    unlocked = wide
    if (wide["item_flags"] & DISABLED).any():
        unlocked = wide.copy()
        unlocked["item_flags"] &= ~np.uint32(DISABLED)
    records = records_of(unlocked)
    findings: list[Finding] = []
    homeless: list[InventoryItemData] = []
    aside: list[InventoryItemData] = []
    later: list[InventoryItemData] = []
    by_slot: dict[int, InventoryItemData] = {}
    guids: set[int] = set()
    for record in records:
        slot, guid = record[SLOT], record[GUID]
        if not record[ENTRY] or not record[STACK_COUNT] or is_buyback(slot):
            aside.append(record)
            findings.append(Finding(Oddity.NO_ITEM, record))
            continue
        if guid:
            if guid in guids:
                findings.append(Finding(Oddity.GUID_TWICE, record))
            guids.add(guid)
        if slot in by_slot:
            findings.append(Finding(Oddity.SLOT_TWICE, record))
            later.append(record)
        else:
            by_slot[slot] = record
    named = {item.item_guid for item in by_slot.values()} - {0} if later else set()
    for record in later:
        # An item that is there is not made two: no realm would store that.
        (aside if record.item_guid in named else homeless).append(record)
        named.update({record.item_guid} - {0})
    if len(by_slot) == len(records):
        stored = sort_by_slot(wide)
    else:
        kept = sorted(by_slot.values(), key=lambda item: item.slot)
        stored = np.array(kept, INVENTORY_ITEM)
    reach = _reach(by_slot, catalog)
    for slot, record in by_slot.items():
        template = catalog.get(record[ENTRY])
        if (
            template is None
            or record[STACK_COUNT] > template.max_stack
            or not record[GUID]
            or not (slot in OWN_SLOTS or slot < reach.get(slot >> 8, 0))
        ):
            findings += [Finding(oddity, record) for oddity in _oddities(record, by_slot, catalog)]
    return Loaded(Contents.of(stored, by_slot), stored, findings, homeless, aside)


def _reach(by_slot: dict[int, InventoryItemData], catalog: ItemCatalog) -> dict[int, int]:
    """By bag number, the slot behind the last one inside of the bag: bags first, wherever their
    records come among the others."""
    reach = {}
    for slot in BAG_PACK:
        bag = by_slot.get(slot)
        template = catalog.get(bag.entry) if bag is not None else None
        if template is not None:
            reach[slot & 0xFF] = inside_of(slot) + template.container_slots
    return reach


def _oddities(
    item: InventoryItemData, by_slot: dict[int, InventoryItemData], catalog: ItemCatalog
) -> Iterable[Oddity]:
    slot = item.slot
    template = catalog.get(item.entry)
    if template is None:
        yield Oddity.UNKNOWN_TEMPLATE
    elif item.stack_count > template.max_stack:
        yield Oddity.STACK_TOO_LARGE
    if not item.item_guid:
        yield Oddity.UNNAMED
    if is_inside_bag(slot):
        bag = by_slot.get(bag_holding(slot))
        kind = catalog.get(bag.entry) if bag is not None else None
        if bag is None or (kind is not None and not kind.is_bag):
            yield Oddity.BAG_MISSING
        elif kind is not None and slot - inside_of(bag.slot) >= kind.container_slots:
            yield Oddity.OUTSIDE_OF_BAG
    elif slot not in OWN_SLOTS:
        yield Oddity.UNKNOWN_PLACE
