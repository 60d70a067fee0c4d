"""Items go from one inventory to another, or both ways: everything or nothing.

Writes two drafts. Records go as they are, with guid, creator, durability, binding and properties.
"""

from collections.abc import Iterable
from operator import index

from mmoinv.inventory.draft import Draft
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import is_carried
from mmoinv.inventory.slots import BAG_PACK
from mmoinv.inventory.storing import store
from mmoinv.inventory.templates import BOUND
from mmoinv.inventory.validation import count_failure, lock_failure, player_failure
from mmoinv.records import InventoryItemData


def exchange(one: Draft, gives: Iterable[int], other: Draft, takes: Iterable[int]) -> Failure:
    """What ``one`` has in the slots ``gives`` against what ``other`` has in ``takes``.

    Room is what there is once both have given. Stacks merge under the receiver's rules.
    """
    for draft in (one, other):
        if failure := player_failure(draft.setting.owner):
            return failure
    given: list[InventoryItemData] = []
    taken: list[InventoryItemData] = []
    for draft, slots, items in ((one, gives, given), (other, takes, taken)):
        for slot in map(index, slots):
            item = draft.get(slot)
            if item is None:
                return Failure.SLOT_IS_EMPTY
            if failure := give_failure(draft, item):
                return failure
            draft.remove(slot)
            items.append(item)
    return _receive(other, given) or _receive(one, taken)


def give_failure(draft: Draft, item: InventoryItemData) -> Failure:
    """Whether an item may be given away."""
    if item.slot in BAG_PACK:
        return Failure.CANT_TRADE_EQUIP_BAGS
    if item.item_flags & BOUND or not is_carried(draft, item.slot):
        return Failure.CANNOT_TRADE_THAT
    return lock_failure(item)


def _receive(draft: Draft, items: list[InventoryItemData]) -> Failure:
    for item in items:
        template = draft.template(item.entry)
        if template is not None and (failure := count_failure(draft, template, item.stack_count)):
            return failure
        if store(draft, item, item.stack_count, template):
            return Failure.INVENTORY_FULL
    return Failure.OKAY
