"""Bags: what is in them, and what becomes of it when a bag goes elsewhere.

Writes drafts. Whether the bag may be where it goes is for `validation`.
"""

from mmoinv.inventory.draft import Draft
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import bag_slots
from mmoinv.inventory.slots import BAG_PACK, MAX_BAG_SLOTS, bag_holding, inside_of, is_inside_bag
from mmoinv.inventory.templates import InventoryType
from mmoinv.inventory.validation import lock_failure, quiver_failure
from mmoinv.records import InventoryItemData


def contents_of(draft: Draft, bag_slot: int) -> list[InventoryItemData]:
    """What is inside of the bag in a slot of `BAG_PACK`, beyond its capacity too."""
    first = inside_of(bag_slot)
    return list(draft.items_in(range(first, first + MAX_BAG_SLOTS)))


def is_filled_bag(draft: Draft, slot: int) -> bool:
    """Whether a slot holds an equipped bag that is not empty."""
    if slot not in BAG_PACK:
        return False
    first = inside_of(slot)
    return any(True for _ in draft.items_in(range(first, first + MAX_BAG_SLOTS)))


def find_empty_bag_slot(draft: Draft) -> int | None:
    """The first slot of `BAG_PACK` that is empty, inside too: what a missing bag left behind
    would be inside of the new one."""
    for slot in BAG_PACK:
        if draft.get(slot) is None and not is_filled_bag(draft, slot):
            return slot
    return None


def swap_bags(draft: Draft, source: int, target: int) -> Failure:
    """Exchange what two slots hold, of which at least one is of `BAG_PACK` and the first is not
    empty. The items inside go with their bag, or into the bag that takes its place; a locked one
    keeps its slot, and so its bag."""
    one, other = draft.get(source), draft.get(target)
    assert one is not None
    for bag_slot in (source, target):
        if bag_slot in BAG_PACK and any(map(lock_failure, contents_of(draft, bag_slot))):
            return Failure.ITEM_LOCKED
    if source in BAG_PACK and target in BAG_PACK:
        return _swap_equipped(draft, source, target)
    equipped, elsewhere = (source, target) if source in BAG_PACK else (target, source)
    old, new = (one, other) if source in BAG_PACK else (other, one)
    if is_inside_bag(elsewhere) and bag_holding(elsewhere) == equipped:
        # Into itself, or out of itself in its own place.
        return Failure.ITEM_DOESNT_GO_INTO_BAG if new is None else Failure.ITEMS_CANT_BE_SWAPPED
    if new is None:
        if is_filled_bag(draft, equipped):
            return Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
        draft.remove(equipped)
    elif failure := _refill(draft, equipped, new):
        return failure
    if old is None:
        draft.remove(elsewhere)
    else:
        draft.place(old, elsewhere)
    return Failure.OKAY


def _swap_equipped(draft: Draft, source: int, target: int) -> Failure:
    bags = draft.get(source), draft.get(target)
    inside = contents_of(draft, source), contents_of(draft, target)
    for items in inside:
        for item in items:
            draft.remove(item.slot)
    for slot in (source, target):
        draft.remove(slot)
    for bag, items, slot in zip(bags, inside, (target, source), strict=True):
        if bag is not None:
            draft.place(bag, slot)
        for item in items:
            draft.place(item, inside_of(slot) + (item.slot & 0xFF))
    return Failure.OKAY


def _refill(draft: Draft, bag_slot: int, new: InventoryItemData) -> Failure:
    """Equip a bag in a slot, with what is inside of the one that was there: where it can stay in
    its slot it does, the rest fills the gaps."""
    items = contents_of(draft, bag_slot)
    template = draft.template(new.entry)
    if template is None or not template.is_bag:
        return Failure.NOT_A_BAG
    if len(items) > template.container_slots:
        return Failure.NON_EMPTY_BAG_OVER_OTHER_BAG
    if template.inventory_type is InventoryType.QUIVER:
        for item in items:
            if failure := quiver_failure(draft.template(item.entry)):
                return failure
    draft.place(new, bag_slot)
    inside = bag_slots(draft, bag_slot)
    for item in items:
        if item.slot in inside:
            draft.place(item, item.slot)
    for item in items:
        if item.slot not in inside:
            gap = draft.first_empty(inside)
            assert gap is not None
            draft.remove(item.slot)
            draft.place(item, gap)
    return Failure.OKAY
