"""A trade with a character of another world, as one of the two inventories sees it: what may be
given, where it goes that comes, and what is there once the realm has committed it.

The other inventory is somewhere else: what both do at once is in `exchange`. Knows no link and no
packet.
"""

from collections.abc import Iterable

import numpy as np

from mmoinv.codec import sort_by_slot
from mmoinv.inventory import saving
from mmoinv.inventory.aggregate import Inventory
from mmoinv.inventory.contents import records_of
from mmoinv.inventory.draft import SlotChange
from mmoinv.inventory.exchange import give_failure
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.result import InventoryResult
from mmoinv.inventory.slot_search import find_first_empty_slot
from mmoinv.inventory.slots import bag_holding, is_inside_bag
from mmoinv.inventory.validation import count_failure, player_failure
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.repository.changes import Slots


def offer_failure(inventory: Inventory, slots: Iterable[int]) -> Failure:
    """Whether what is in some slots may be given away: carried, neither bound nor locked."""
    draft = inventory.draft(is_dry=True)
    if failure := player_failure(inventory.owner):
        return failure
    for slot in slots:
        item = draft.get(slot)
        if item is None:
            return Failure.SLOT_IS_EMPTY
        if failure := give_failure(draft, item):
            return failure
    return Failure.OKAY


def room_for(inventory: Inventory, gives: Iterable[int], items: Batch) -> InventoryResult[Batch]:
    """Where the items of another inventory would be once ``gives`` are gone: each in an empty slot
    of its own, all of them or none, as a slot-sorted batch. Nothing is changed.

    Records stay as they are but for slot and container: stacks are merged by the player, later.
    """
    if failure := player_failure(inventory.owner):
        return InventoryResult.failure(failure)
    draft = inventory.draft(is_dry=True)
    given = list(gives)
    # What it holds for this very trade is what becomes free.
    draft.held = ()
    for slot in given:
        draft.remove(slot)
    placed = []
    for item in records_of(items):
        template = draft.template(item.entry)
        if template is not None and (failure := count_failure(draft, template, item.stack_count)):
            return InventoryResult.failure(failure)
        free = find_first_empty_slot(draft, template)
        if free is None:
            return InventoryResult.failure(Failure.INVENTORY_FULL)
        placed.append(draft.place(item, free))
    return InventoryResult.success(sort_by_slot(np.array(placed, INVENTORY_ITEM)))


def held_by(slots: Iterable[int]) -> frozenset[int]:
    """The slots that must stay as they are for a trade: these, and the bags that they are in."""
    held = set(slots)
    return frozenset(held | {bag_holding(slot) for slot in held if is_inside_bag(slot)})


def take_over(inventory: Inventory, saves: Batch, deletes: Slots) -> None:
    """A trade is committed: what came is there and what was given is not, and neither is dirty.

    Nothing else of the inventory is touched, dirty or on its way to the realm; for the slots of
    the trade were held.
    """
    after = {item.slot: item for item in records_of(saves)}
    changes = tuple(
        SlotChange(slot, inventory.get(slot), after.get(slot))
        for slot in sorted({*after, *deletes.tolist()})
    )
    # First: whoever is told of the change may save.
    saving.learn(inventory, saves, deletes)
    inventory.apply(changes, inventory.buyback)
