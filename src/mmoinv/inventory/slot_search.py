"""Where there is room: empty slots and stacks that are not full, in the order they are filled.

First the backpack, then the equipped bags in order. "No slot" is None, never a number.
"""

from collections.abc import Iterator

from mmoinv.inventory.amounts import SlotAvailability, checked_amount
from mmoinv.inventory.creation import new_item
from mmoinv.inventory.draft import Draft
from mmoinv.inventory.slots import BACKPACK, BAG_PACK, BANK, bag_holding, inside_of, is_inside_bag
from mmoinv.inventory.templates import DISABLED, InventoryType, ItemTemplate
from mmoinv.records import InventoryItemData


def bag_slots(draft: Draft, bag_slot: int) -> range:
    """The slots inside of the bag in a slot of `BAG_PACK`: none if there is no bag, or one that
    the catalog does not know."""
    bag = draft.get(bag_slot)
    template = draft.template(bag.entry) if bag is not None else None
    first = inside_of(bag_slot)
    return range(first, first + (template.container_slots if template is not None else 0))


def carried_ranges(draft: Draft, quivers: bool = False) -> Iterator[range]:
    """The ranges of slots that items are carried in, in order; with or without quivers."""
    yield BACKPACK
    for bag in draft.items_in(BAG_PACK):
        kind = draft.template(bag.entry)
        if kind is not None and (quivers or kind.inventory_type is not InventoryType.QUIVER):
            yield bag_slots(draft, bag.slot)


def ranges_for(draft: Draft, template: ItemTemplate | None) -> Iterator[range]:
    """The carried ranges that an item of a template may go to: quivers take ammunition only."""
    is_ammo = template is not None and template.inventory_type is InventoryType.AMMO
    return carried_ranges(draft, quivers=is_ammo)


def find_first_empty_slot(draft: Draft, template: ItemTemplate | None = None) -> int | None:
    """The first empty carried slot that an item of ``template`` may go to."""
    for slots in ranges_for(draft, template):
        slot = draft.first_empty(slots)
        if slot is not None:
            return slot
    return None


def find_available_slots(draft: Draft, template: ItemTemplate, amount: int) -> SlotAvailability:
    """The stacks and empty slots that ``amount`` new items would go to, in this order, and no
    more of them than it takes."""
    partial: list[int] = []
    empty: list[int] = []
    room = 0
    wanted = checked_amount(amount)
    for stack in find_stacks(draft, new_item(template, 1, 0), template):
        if room >= wanted:
            break
        partial.append(stack.slot)
        room += template.max_stack - stack.stack_count
    needed = max(0, -(-(wanted - room) // template.max_stack))
    for slots in ranges_for(draft, template):
        for slot in slots:
            if len(empty) >= needed:
                break
            if draft.get(slot) is None and slot not in draft.held:
                empty.append(slot)
    return SlotAvailability(tuple(partial), room, tuple(empty), template.max_stack)


def find_stacks(
    draft: Draft, item: InventoryItemData, template: ItemTemplate
) -> Iterator[InventoryItemData]:
    """Carried stacks that are not full and that ``item`` may be merged with, in order."""
    if template.max_stack > 1 and draft.count_of(item.entry):
        for slots in ranges_for(draft, template):
            for stack in draft.items_in(slots):
                is_free = stack.slot not in draft.held
                if is_free and stack.stack_count < template.max_stack and can_merge(stack, item):
                    yield stack


def can_merge(one: InventoryItemData, other: InventoryItemData) -> bool:
    """Whether two stacks are of the same item, so that one loses nothing in the other: creator,
    durability, properties and flags are equal, and neither is locked."""
    return (
        one.entry == other.entry
        and one.item_flags == other.item_flags
        and not one.item_flags & DISABLED
        and one.creator == other.creator
        and one.durability == other.durability
        and one.random_property_index == other.random_property_index
        and one.random_suffix_index == other.random_suffix_index
    )


def count_free_slots(draft: Draft, template: ItemTemplate | None = None) -> int:
    """Empty carried slots that an item of ``template`` may go to. Equipment is not among them."""
    return sum(
        draft.get(slot) is None and slot not in draft.held
        for slots in ranges_for(draft, template)
        for slot in slots
    )


def find_empty_bank_slot(draft: Draft) -> int | None:
    """The first empty slot of the bank."""
    return draft.first_empty(BANK)


def is_carried(draft: Draft, slot: int) -> bool:
    """Whether a slot is one of the backpack or inside of an equipped bag that reaches so far."""
    if slot in BACKPACK:
        return True
    return is_inside_bag(slot) and slot in bag_slots(draft, bag_holding(slot))
