"""Items come and go: onto partial stacks first, then into empty slots; sold and bought back.

Each plan writes a draft and gives OKAY, or gives why not; the draft is then to be dropped. What the
player does asks whether the player can; what the game gives and takes does not.
"""

from collections.abc import Iterable
from typing import NamedTuple

from mmoinv.inventory.amounts import checked_amount
from mmoinv.inventory.bags import is_filled_bag
from mmoinv.inventory.creation import checked_creator, new_item, part_of
from mmoinv.inventory.draft import Draft
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import carried_ranges, find_stacks, is_carried, ranges_for
from mmoinv.inventory.slots import BUYBACK, BUYBACK_SLOTS
from mmoinv.inventory.templates import ItemTemplate
from mmoinv.inventory.validation import count_failure, lock_failure, player_failure
from mmoinv.records import InventoryItemData


class NotStored(NamedTuple):
    """What would not fit: ``amount`` of the ``position``-th item that was asked for, and why."""

    position: int
    entry: int
    amount: int
    failure: Failure


class StoreOutlook(NamedTuple):
    """Whether items would all fit, together. True if they would."""

    not_stored: tuple[NotStored, ...]

    def __bool__(self) -> bool:
        return not self.not_stored


def add(draft: Draft, template: ItemTemplate, amount: int, creator: int = 0) -> Failure:
    """``amount`` new items; all of them or none."""
    checked_creator(creator)
    if failure := count_failure(draft, template, checked_amount(amount)):
        return failure
    left = store(draft, new_item(template, 1, 0, creator), amount, template)
    return Failure.INVENTORY_FULL if left else Failure.OKAY


def store(draft: Draft, item: InventoryItemData, amount: int, template: ItemTemplate | None) -> int:
    """``amount`` items like ``item``: onto stacks that are not full, then into empty slots, the
    first of which keeps the guid (0: a new one); how many found no room.

    Items without a template stay as they are, in a slot of their own.
    """
    left = amount
    if template is not None:
        for stack in list(find_stacks(draft, item, template)):
            moved = min(left, template.max_stack - stack.stack_count)
            draft.change(stack.counted(stack.stack_count + moved))
            left -= moved
            if not left:
                return 0
    most = template.max_stack if template is not None else amount
    guid = item.item_guid
    for slots in ranges_for(draft, template):
        slot = draft.first_empty(slots)
        while slot is not None:
            piece = min(left, most)
            draft.place(item._replace(stack_count=piece, item_guid=guid or draft.new_guid()), slot)
            guid = 0
            left -= piece
            if not left:
                return 0
            slot = draft.first_empty(range(slot + 1, slots.stop))
    return left


def outlook(draft: Draft, wanted: Iterable[tuple[int, int]]) -> StoreOutlook:
    """What would become of items that come together, (entry, amount) each. For a dry draft."""
    not_stored = []
    for position, (entry, amount) in enumerate(wanted):
        template = draft.template(entry)
        if template is None:
            left, failure = checked_amount(amount), Failure.ITEM_NOT_FOUND
        elif failure := count_failure(draft, template, checked_amount(amount)):
            left = amount - max(0, template.max_count - draft.count_of(entry))
            if left < amount:
                left += store(draft, new_item(template, 1, 0), amount - left, template)
        else:
            left = store(draft, new_item(template, 1, 0), amount, template)
            failure = Failure.INVENTORY_FULL
        if left:
            not_stored.append(NotStored(position, entry, left, failure))
    return StoreOutlook(tuple(not_stored))


def remove(draft: Draft, slot: int, amount: int | None = None) -> Failure:
    """``amount`` of what is in a slot, or all of it. A bag that is worn must be empty."""
    item = draft.get(slot)
    if item is None:
        return Failure.SLOT_IS_EMPTY
    if failure := lock_failure(item):
        return failure
    amount = item.stack_count if amount is None else checked_amount(amount)
    if amount > item.stack_count:
        return Failure.TRIED_TO_SPLIT_MORE_THAN_COUNT
    if is_filled_bag(draft, slot):
        return Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    if amount == item.stack_count:
        draft.remove(slot)
    else:
        draft.change(item.counted(item.stack_count - amount))
    return Failure.OKAY


def remove_entry(draft: Draft, entry: int, amount: int) -> Failure:
    """``amount`` carried items of an entry, from the smallest stacks first. What is worn, locked,
    in a trade or in the bank stays."""
    checked_amount(amount)
    carried = [
        item
        for slots in carried_ranges(draft, quivers=True)
        for item in draft.items_in(slots)
        if item.entry == entry and item.slot not in draft.held and not lock_failure(item)
    ]
    if sum(item.stack_count for item in carried) < amount:
        return Failure.ITEM_NOT_FOUND
    for item in sorted(carried, key=lambda one: one.stack_count):
        taken = min(amount, item.stack_count)
        remove(draft, item.slot, taken)
        amount -= taken
        if not amount:
            break
    return Failure.OKAY


def sell(draft: Draft, slot: int, amount: int | None = None) -> Failure:
    """Carried items go to the buyback slots; the oldest of 12 falls out.

    Part of a stack becomes a stack of its own, with a new guid.
    """
    if failure := player_failure(draft.setting.owner):
        return failure
    item = draft.get(slot)
    if item is not None and not is_carried(draft, slot):
        return Failure.CANT_DO_RIGHT_NOW
    if failure := remove(draft, slot, amount):
        return failure
    assert item is not None
    sold = item
    if amount is not None and amount < item.stack_count:
        sold = part_of(item, amount, draft.new_guid())
    draft.buyback = _numbered((*draft.buyback, sold)[-BUYBACK_SLOTS:])
    return Failure.OKAY


def buy_back(draft: Draft, slot: int) -> Failure:
    """What was sold comes back from a buyback slot, as it was."""
    if failure := player_failure(draft.setting.owner):
        return failure
    index = slot - BUYBACK.start
    if not 0 <= index < len(draft.buyback):
        return Failure.SLOT_IS_EMPTY
    item = draft.buyback[index]
    template = draft.template(item.entry)
    if template is not None and (failure := count_failure(draft, template, item.stack_count)):
        return failure
    if store(draft, item, item.stack_count, template):
        return Failure.INVENTORY_FULL
    draft.buyback = _numbered(draft.buyback[:index] + draft.buyback[index + 1 :])
    return Failure.OKAY


def _numbered(items: Iterable[InventoryItemData]) -> tuple[InventoryItemData, ...]:
    return tuple(item._replace(slot=BUYBACK.start + index) for index, item in enumerate(items))


def sort(draft: Draft) -> Failure:
    """Merge what stacks and put what is carried in order: by kind, entry and size, from the
    backpack's first slot on. Locked items and quivers stay as they are."""
    if failure := player_failure(draft.setting.owner):
        return failure
    slots = [slot for places in carried_ranges(draft) for slot in places]
    locked = {item.slot for item in draft.items_in(slots) if lock_failure(item)}
    locked |= {slot for slot in slots if slot in draft.held}
    loose = [item for item in draft.items_in(slots) if item.slot not in locked]
    for item in loose:
        draft.remove(item.slot)
    places = (slot for slot in slots if slot not in locked)
    for item in sorted(_merged(draft, loose), key=lambda one: _order(draft, one)):
        draft.place(item, next(places))
    return Failure.OKAY


def _merged(draft: Draft, items: list[InventoryItemData]) -> list[InventoryItemData]:
    """Full stacks first: of each kind of item at most one that is not."""
    merged: list[InventoryItemData] = []
    open_stacks: dict[tuple[int, ...], int] = {}
    for item in items:
        template = draft.template(item.entry)
        most = template.max_stack if template is not None else 0
        # Everything but slot, stack_count, contained and item_guid.
        kind = (item[0], item[3], *item[5:9])
        place = open_stacks.get(kind)
        if item.stack_count >= most:
            merged.append(item)
            continue
        if place is None:
            open_stacks[kind] = len(merged)
            merged.append(item)
            continue
        stack = merged[place]
        moved = min(item.stack_count, most - stack.stack_count)
        merged[place] = stack.counted(stack.stack_count + moved)
        if moved < item.stack_count:
            open_stacks[kind] = len(merged)
            merged.append(item.counted(item.stack_count - moved))
        elif merged[place].stack_count == most:
            del open_stacks[kind]
    return merged


def _order(draft: Draft, item: InventoryItemData) -> tuple[int, ...]:
    template = draft.template(item.entry)
    kind = template.inventory_type if template is not None else 0
    # Bags first, then what is worn, then the rest; full stacks before the one that is not.
    rank = 0 if template is not None and template.is_bag else 1 if kind else 2
    return rank, kind, item.entry, -item.stack_count, item.item_guid
