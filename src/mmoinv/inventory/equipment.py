"""What is worn: where an item goes, what must make way for it, sets and effects."""

from collections.abc import Iterable

from mmoinv.inventory.bags import find_empty_bag_slot
from mmoinv.inventory.draft import Draft, SlotChange
from mmoinv.inventory.owner import EquipmentEffects
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import find_first_empty_slot
from mmoinv.inventory.slots import BAG_PACK, EQUIPMENT, MAIN_HAND, OFF_HAND
from mmoinv.inventory.templates import DISABLED, InventoryType, ItemTemplate
from mmoinv.inventory.validation import WIELDED_TWICE, WORN_IN
from mmoinv.records import InventoryItemData


def equip_slot(draft: Draft, template: ItemTemplate) -> int | Failure:
    """Where such an item is worn if nobody says where: the first of its slots that is empty, else
    the first. Or why nowhere."""
    if template.is_bag:
        free = find_empty_bag_slot(draft)
        return Failure.NO_EQUIPMENT_SLOT_AVAILABLE if free is None else free
    slots = WORN_IN.get(template.inventory_type)
    if slots is None:
        return Failure.ITEM_CANT_BE_EQUIPPED
    if template.inventory_type in WIELDED_TWICE and not draft.setting.owner.can_dual_wield:
        slots = tuple(slot for slot in slots if slot != OFF_HAND)
        if not slots:
            return Failure.CANT_DUAL_WIELD
    elif is_two_handed(draft, draft.get(MAIN_HAND)):
        # Beside a two-handed weapon there is no off hand.
        slots = tuple(slot for slot in slots if slot != OFF_HAND) or slots
    free = draft.first_empty(slots)
    return slots[0] if free is None else free


def is_two_handed(draft: Draft, item: InventoryItemData | None) -> bool:
    """Whether it takes both hands."""
    template = draft.template(item.entry) if item is not None else None
    return template is not None and template.inventory_type is InventoryType.TWO_HANDED_WEAPON


def clear_off_hand(draft: Draft) -> Failure:
    """Put away what the off hand holds, since the main hand's weapon takes both."""
    item = draft.get(OFF_HAND)
    if item is None or not is_two_handed(draft, draft.get(MAIN_HAND)):
        return Failure.OKAY
    if item.item_flags & DISABLED:
        return Failure.ITEM_LOCKED
    slot = find_first_empty_slot(draft, draft.template(item.entry))
    if slot is None:
        return Failure.INVENTORY_FULL
    draft.remove(OFF_HAND)
    draft.place(item, slot)
    return Failure.OKAY


def pieces_worn(draft: Draft, item_set: int) -> int:
    """Different items of a set that are worn."""
    entries = set()
    for item in draft.items_in(EQUIPMENT):
        template = draft.template(item.entry)
        if template is not None and template.item_set == item_set:
            entries.add(item.entry)
    return len(entries)


def is_worn_in(slot: int) -> bool:
    """Whether a slot is one of equipment or of an equipped bag."""
    return slot in EQUIPMENT or slot in BAG_PACK


def tell_effects(
    effects: EquipmentEffects, before: Draft, after: Draft, changes: Iterable[SlotChange]
) -> None:
    """Tell what a change took off and put on, in the order that `EquipmentEffects` promises."""
    off: list[tuple[InventoryItemData, ItemTemplate]] = []
    on: list[tuple[InventoryItemData, ItemTemplate]] = []
    for change in changes:
        if change.slot not in EQUIPMENT:
            continue
        one, other = change.before, change.after
        if one is not None and other is not None and one.item_guid == other.item_guid:
            continue
        for item, worn in ((one, off), (other, on)):
            template = after.template(item.entry) if item is not None else None
            if item is not None and template is not None:
                worn.append((item, template))
    sets = sorted({template.item_set for _, template in (*off, *on)} - {0})
    pieces = {one: (pieces_worn(before, one), pieces_worn(after, one)) for one in sets}
    for item_set, (had, has) in pieces.items():
        if has < had:
            effects.item_set_changed(item_set, has)
    for item, template in off:
        effects.unequipped(item, template)
    for item, template in on:
        effects.equipped(item, template)
    for item_set, (had, has) in pieces.items():
        if has > had:
            effects.item_set_changed(item_set, has)
