"""Items change places: swap, split, merge, equip, unequip; are used, locked and changed.

Each plan writes a draft and gives OKAY, or gives why not; the draft is then to be dropped.
"""

from collections.abc import Collection, Mapping

from mmoinv.errors import InventoryError
from mmoinv.inventory.amounts import checked_amount
from mmoinv.inventory.bags import contents_of, is_filled_bag, swap_bags
from mmoinv.inventory.creation import bind, part_of
from mmoinv.inventory.draft import Draft, SlotChange
from mmoinv.inventory.equipment import clear_off_hand, equip_slot, is_worn_in
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import can_merge, is_carried, ranges_for
from mmoinv.inventory.slots import BAG_PACK, MAIN_HAND, bag_holding, is_inside_bag
from mmoinv.inventory.templates import DISABLED, Bonding
from mmoinv.inventory.validation import (
    combat_failure,
    count_failure,
    lock_failure,
    place_failure,
    player_failure,
    requirement_failure,
    worn_together_failure,
)


def move(draft: Draft, source: int, target: int, amount: int | None = None) -> Failure:
    """What a client's drag and drop means: part of a stack is split off, equal stacks merge,
    anything else is swapped."""
    one, other = draft.get(source), draft.get(target)
    if amount is not None and one is not None and amount != one.stack_count:
        return split(draft, source, target, amount)
    if one is not None and other is not None and source != target and can_merge(one, other):
        template = draft.template(one.entry)
        if template is not None and other.stack_count < template.max_stack:
            return merge(draft, source, target)
    return swap(draft, source, target)


def swap(draft: Draft, source: int, target: int) -> Failure:
    """What two slots hold changes places; the target may be empty.

    A two-handed weapon that comes into the main hand puts away what the off hand holds.
    """
    owner = draft.setting.owner
    if failure := player_failure(owner):
        return failure
    one, other = draft.get(source), draft.get(target)
    if one is None:
        return Failure.SLOT_IS_EMPTY
    if source == target:
        return Failure.OKAY
    if failure := lock_failure(one) or place_failure(draft, one, target):
        return failure
    if other is not None and (
        failure := lock_failure(other) or place_failure(draft, other, source)
    ):
        return failure
    is_worn = is_worn_in(source) or is_worn_in(target)
    if is_worn and (failure := combat_failure(owner, source) or combat_failure(owner, target)):
        return failure
    if source in BAG_PACK or target in BAG_PACK:
        if failure := swap_bags(draft, source, target):
            return failure
    else:
        draft.place(one, target)
        if other is None:
            draft.remove(source)
        else:
            draft.place(other, source)
    if not is_worn:
        return Failure.OKAY
    for slot in (source, target):
        _bind_if_worn(draft, slot)
    if MAIN_HAND in (source, target) and (failure := clear_off_hand(draft)):
        return failure
    return worn_together_failure(draft, (source, target))


def _bind_if_worn(draft: Draft, slot: int) -> None:
    item = draft.get(slot) if is_worn_in(slot) else None
    template = draft.template(item.entry) if item is not None else None
    if item is not None and template is not None:
        bound = bind(item, template, Bonding.WHEN_EQUIPPED)
        if bound is not item:
            draft.change(bound)


def split(draft: Draft, source: int, target: int, amount: int) -> Failure:
    """Part of a stack goes into another slot: as a stack of its own, or onto an equal one."""
    checked_amount(amount)
    if failure := player_failure(draft.setting.owner):
        return failure
    stack, other = draft.get(source), draft.get(target)
    if stack is None:
        return Failure.SLOT_IS_EMPTY
    if failure := lock_failure(stack):
        return failure
    if other is not None and (failure := lock_failure(other)):
        return failure
    if amount > stack.stack_count:
        return Failure.TRIED_TO_SPLIT_MORE_THAN_COUNT
    if amount == stack.stack_count or source == target:
        return Failure.COULDNT_SPLIT_ITEMS
    if is_worn_in(target):
        return Failure.ITEM_DOES_NOT_GO_TO_SLOT
    if failure := place_failure(draft, stack, target):
        return failure
    if other is None:
        draft.place(part_of(stack, amount, draft.new_guid()), target)
    else:
        template = draft.template(stack.entry)
        if template is None or not can_merge(stack, other):
            return Failure.ITEM_CANT_STACK
        if other.stack_count + amount > template.max_stack:
            return Failure.COULDNT_SPLIT_ITEMS
        draft.change(other.counted(other.stack_count + amount))
    draft.change(stack.counted(stack.stack_count - amount))
    return Failure.OKAY


def merge(draft: Draft, source: int, target: int) -> Failure:
    """As many as fit go from one stack onto the other."""
    if failure := player_failure(draft.setting.owner):
        return failure
    one, other = draft.get(source), draft.get(target)
    if one is None or other is None:
        return Failure.SLOT_IS_EMPTY
    if failure := lock_failure(one) or lock_failure(other):
        return failure
    template = draft.template(one.entry)
    if source == target or template is None or not can_merge(one, other):
        return Failure.ITEM_CANT_STACK
    moved = min(one.stack_count, template.max_stack - other.stack_count)
    if moved <= 0:
        return Failure.ITEM_CANT_STACK
    draft.change(other.counted(other.stack_count + moved))
    if moved == one.stack_count:
        draft.remove(source)
    else:
        draft.change(one.counted(one.stack_count - moved))
    return Failure.OKAY


def equip(draft: Draft, source: int, target: int | None = None) -> Failure:
    """Wear what is in a slot: in ``target``, or where such an item goes."""
    item = draft.get(source)
    if item is None:
        return Failure.SLOT_IS_EMPTY
    if is_worn_in(source):
        return Failure.ITEM_CANT_BE_EQUIPPED
    template = draft.template(item.entry)
    if template is None:
        return Failure.ITEM_CANT_BE_EQUIPPED
    if target is None:
        place = equip_slot(draft, template)
        if isinstance(place, Failure):
            return place
        target = place
    elif not is_worn_in(target):
        return Failure.ITEM_DOES_NOT_GO_TO_SLOT
    return swap(draft, source, target)


def unequip(draft: Draft, source: int, target: int | None = None) -> Failure:
    """Put what is worn in a slot into ``target``, or the first empty slot. A bag must be empty."""
    item = draft.get(source)
    if item is None or not is_worn_in(source):
        return Failure.SLOT_IS_EMPTY
    if is_filled_bag(draft, source):
        return Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    if target is None:
        for slots in ranges_for(draft, draft.template(item.entry)):
            # Not into itself.
            if slots and is_inside_bag(slots.start) and bag_holding(slots.start) == source:
                continue
            target = draft.first_empty(slots)
            if target is not None:
                break
        if target is None:
            return Failure.INVENTORY_FULL
    elif is_worn_in(target):
        return Failure.ITEM_DOES_NOT_GO_TO_SLOT
    return swap(draft, source, target)


def use(draft: Draft, slot: int) -> Failure:
    """Use what is in a slot: it may become bound, and one of a consumable is used up."""
    owner = draft.setting.owner
    if failure := player_failure(owner):
        return failure
    item = draft.get(slot)
    if item is None:
        return Failure.SLOT_IS_EMPTY
    if failure := lock_failure(item):
        return failure
    template = draft.template(item.entry)
    if template is None:
        return Failure.YOU_CAN_NEVER_USE_THAT_ITEM
    if not is_worn_in(slot) and not is_carried(draft, slot):
        return Failure.CANT_DO_RIGHT_NOW
    if failure := requirement_failure(template, owner):
        return failure
    if template.consumable and is_filled_bag(draft, slot):
        return Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    if template.consumable and item.stack_count == 1:
        draft.remove(slot)
        return Failure.OKAY
    used = bind(item, template, Bonding.WHEN_USED)
    if template.consumable:
        used = used.counted(item.stack_count - 1)
    draft.change(used)
    return Failure.OKAY


FREE_FIELDS = frozenset(
    {"durability", "random_property_index", "random_suffix_index", "creator", "item_flags"}
)
"""What `change_item` sets."""


def change_item(draft: Draft, slot: int, fields: Mapping[str, int]) -> Failure:
    """Set fields of a record that no rule is about. `InventoryError` for other fields."""
    if wrong := set(fields) - FREE_FIELDS:
        raise InventoryError(
            f"{', '.join(sorted(wrong))} cannot be set; only {', '.join(sorted(FREE_FIELDS))}. "
            "Nothing was changed"
        )
    item = draft.get(slot)
    if item is None:
        return Failure.SLOT_IS_EMPTY
    draft.change(item._replace(**fields))
    return Failure.OKAY


def lock(draft: Draft, slot: int, is_locked: bool) -> Failure:
    """Lock what is in a slot, or unlock it."""
    item = draft.get(slot)
    if item is None:
        return Failure.SLOT_IS_EMPTY
    flags = item.item_flags | DISABLED if is_locked else item.item_flags & ~DISABLED
    draft.change(item._replace(item_flags=flags))
    return Failure.OKAY


def take_back(draft: Draft, changes: Collection[SlotChange]) -> Failure:
    """What the slots of a change held before it is there again, if it goes together with what has
    come since: bags and what is in them, what is worn, how many of an item there may be."""
    counts = {change.before.entry: 0 for change in changes if change.before is not None}
    for entry in counts:
        counts[entry] = draft.count_of(entry)
    draft.take_back(changes)
    slots = {change.slot for change in changes}
    for slot, before, after in changes:
        if before is not None and is_inside_bag(slot):
            if failure := place_failure(draft, before, slot):
                return failure
            draft.place(before, slot)
        is_same = before is not None and after is not None and before.item_guid == after.item_guid
        if slot in BAG_PACK and not is_same:
            inside = contents_of(draft, slot)
            # What the change did not write itself came into the bag afterwards.
            if any(item.slot not in slots for item in inside):
                return Failure.CAN_ONLY_DO_WITH_EMPTY_BAGS
    for entry, count in counts.items():
        template = draft.template(entry)
        if template is None or draft.count_of(entry) <= count:
            continue
        if failure := count_failure(draft, template, 0):
            return failure
    return worn_together_failure(draft, [slot for slot in slots if is_worn_in(slot)])
