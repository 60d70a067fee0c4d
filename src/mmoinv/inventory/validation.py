"""Whether something may be done: requirements, placement, limits, the player's state.

Each check gives an `InventoryChangeFailure`; OKAY is false. Checks change nothing.
"""

from collections.abc import Iterable, Iterator

from mmoinv.inventory.draft import Draft
from mmoinv.inventory.owner import InventoryOwner
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.slot_search import bag_slots
from mmoinv.inventory.slots import (
    BACKPACK,
    BAG_PACK,
    BANK,
    BANK_BAGS,
    EQUIPMENT,
    MAIN_HAND,
    OFF_HAND,
    OWN,
    WEAPON_SLOTS,
    EquipmentSlot,
    bag_holding,
    is_inside_bag,
)
from mmoinv.inventory.templates import DISABLED, UNIQUE_EQUIPPED, InventoryType, ItemTemplate
from mmoinv.records import InventoryItemData

_S, _T = EquipmentSlot, InventoryType

WORN_IN: dict[InventoryType, tuple[int, ...]] = {
    kind: tuple(OWN + slot for slot in slots)
    for kind, slots in {
        _T.HEAD: (_S.HEAD,),
        _T.NECK: (_S.NECK,),
        _T.SHOULDERS: (_S.SHOULDERS,),
        _T.BODY: (_S.BODY,),
        _T.CHEST: (_S.CHEST,),
        _T.ROBE: (_S.CHEST,),
        _T.WAIST: (_S.WAIST,),
        _T.LEGS: (_S.LEGS,),
        _T.FEET: (_S.FEET,),
        _T.WRISTS: (_S.WRISTS,),
        _T.HANDS: (_S.HANDS,),
        _T.FINGER: (_S.FINGER_1, _S.FINGER_2),
        _T.TRINKET: (_S.TRINKET_1, _S.TRINKET_2),
        _T.CLOAK: (_S.BACK,),
        _T.WEAPON: (_S.MAIN_HAND, _S.OFF_HAND),
        _T.TWO_HANDED_WEAPON: (_S.MAIN_HAND,),
        _T.MAIN_HAND_WEAPON: (_S.MAIN_HAND,),
        _T.OFF_HAND_WEAPON: (_S.OFF_HAND,),
        _T.SHIELD: (_S.OFF_HAND,),
        _T.HOLDABLE: (_S.OFF_HAND,),
        _T.RANGED: (_S.RANGED,),
        _T.THROWN: (_S.RANGED,),
        _T.RANGED_RIGHT: (_S.RANGED,),
        _T.TABARD: (_S.TABARD,),
    }.items()
}
"""The absolute slots that an item is worn in, the usual one first."""

WIELDED_TWICE = frozenset({InventoryType.WEAPON, InventoryType.OFF_HAND_WEAPON})
"""Weapons that only a player who can dual wield holds in the off hand."""


def player_failure(owner: InventoryOwner) -> Failure:
    """Whether the player can handle items at all."""
    if not owner.is_alive:
        return Failure.YOU_ARE_DEAD
    return Failure.YOU_ARE_STUNNED if owner.is_stunned else Failure.OKAY


def requirement_failure(template: ItemTemplate, owner: InventoryOwner) -> Failure:
    """Whether the player may wear or use such an item."""
    if owner.level < template.required_level:
        return Failure.CANT_EQUIP_LEVEL
    if template.proficiency and template.proficiency not in owner.proficiencies:
        return Failure.NO_REQUIRED_PROFICIENCY
    return Failure.OKAY


def lock_failure(item: InventoryItemData) -> Failure:
    """Whether the item is locked."""
    return Failure.ITEM_LOCKED if item.item_flags & DISABLED else Failure.OKAY


def count_failure(draft: Draft, template: ItemTemplate, more: int) -> Failure:
    """Whether the player may own so many more."""
    if template.max_count and draft.count_of(template.entry) + more > template.max_count:
        return Failure.CANT_CARRY_MORE_OF_THIS
    return Failure.OKAY


def place_failure(draft: Draft, item: InventoryItemData, slot: int) -> Failure:
    """Whether an item may be in a slot, by what it is and whose it is; not whether the slot is
    empty, nor what else is worn."""
    if slot in BACKPACK or slot in BANK:
        return Failure.OKAY
    template = draft.template(item.entry)
    if is_inside_bag(slot):
        return _inside_failure(draft, template, slot)
    if slot in EQUIPMENT:
        return _worn_failure(draft, template, slot)
    if slot in BAG_PACK or slot in BANK_BAGS:
        if template is None or not template.is_bag:
            return Failure.NOT_A_BAG
        return requirement_failure(template, draft.setting.owner)
    return Failure.ITEM_DOES_NOT_GO_TO_SLOT


def _inside_failure(draft: Draft, template: ItemTemplate | None, slot: int) -> Failure:
    bag_slot = bag_holding(slot)
    if slot not in bag_slots(draft, bag_slot):
        return Failure.ITEM_DOES_NOT_GO_TO_SLOT
    bag = draft.get(bag_slot)
    kind = draft.template(bag.entry) if bag is not None else None
    if kind is not None and kind.inventory_type is InventoryType.QUIVER:
        return quiver_failure(template)
    return Failure.OKAY


def quiver_failure(template: ItemTemplate | None) -> Failure:
    """Whether such an item goes into a quiver."""
    is_ammo = template is not None and template.inventory_type is InventoryType.AMMO
    return Failure.OKAY if is_ammo else Failure.ONLY_AMMO_CAN_GO_HERE


def _worn_failure(draft: Draft, template: ItemTemplate | None, slot: int) -> Failure:
    slots = WORN_IN.get(template.inventory_type) if template is not None else None
    if template is None or slots is None:
        return Failure.ITEM_CANT_BE_EQUIPPED
    if slot not in slots:
        return Failure.ITEM_DOES_NOT_GO_TO_SLOT
    owner = draft.setting.owner
    if failure := requirement_failure(template, owner):
        return failure
    if slot == OFF_HAND and template.inventory_type in WIELDED_TWICE and not owner.can_dual_wield:
        return Failure.CANT_DUAL_WIELD
    return Failure.OKAY


def combat_failure(owner: InventoryOwner, slot: int) -> Failure:
    """Whether what is worn in a slot may change now: in combat only weapons do."""
    is_armor = slot in EQUIPMENT and slot not in WEAPON_SLOTS
    if owner.is_in_combat and (is_armor or slot in BAG_PACK):
        return Failure.NOT_IN_COMBAT
    return Failure.OKAY


def worn_together_failure(draft: Draft, slots: Iterable[int]) -> Failure:
    """Whether what would be worn in some slots goes together with all else that is worn: hands,
    quivers, items worn once only. What else is worn is not judged: it may be so since it was
    loaded."""
    for item in draft.items_in(slots):
        template = draft.template(item.entry)
        if template is None:
            continue
        if item.slot in (MAIN_HAND, OFF_HAND) and _hands_too_full(draft):
            return Failure.CANT_EQUIP_WITH_TWO_HANDED
        if item.slot in BAG_PACK and template.inventory_type is InventoryType.QUIVER:
            templates = [draft.template(bag.entry) for bag in draft.items_in(BAG_PACK)]
            if sum(one is not None and one.inventory_type is _T.QUIVER for one in templates) > 1:
                return Failure.CAN_EQUIP_ONLY_ONE_QUIVER
        if (
            item.slot in EQUIPMENT
            and template.flags & UNIQUE_EQUIPPED
            and sum(worn.entry == item.entry for worn in draft.items_in(EQUIPMENT)) > 1
        ):
            return Failure.ITEM_CANT_BE_EQUIPPED
    return Failure.OKAY


def _hands_too_full(draft: Draft) -> bool:
    main = draft.get(MAIN_HAND)
    template = draft.template(main.entry) if main is not None else None
    is_two_handed = template is not None and template.inventory_type is _T.TWO_HANDED_WEAPON
    return is_two_handed and draft.get(OFF_HAND) is not None


def unusable_equipment(draft: Draft) -> Iterator[tuple[InventoryItemData, Failure]]:
    """What is worn and may not be any more, since the player or the catalog has changed: the game
    decides what becomes of it. What is broken (durability 0) is CANT_DO_RIGHT_NOW."""
    for item in draft.items_in(EQUIPMENT):
        template = draft.template(item.entry)
        if failure := _worn_failure(draft, template, item.slot):
            yield item, failure
        elif template is not None and template.max_durability and not item.durability:
            yield item, Failure.CANT_DO_RIGHT_NOW
