"""What is worn: where it goes, who may wear it, hands, binding, sets and effects."""

import itertools

import pytest
from aggregates import (
    BAG_1,
    DAGGER,
    FINGER_1,
    FINGER_2,
    GREATSWORD,
    HEAD,
    HELM,
    MAIN_HAND,
    OFF_HAND,
    OWN,
    PACK,
    POTION,
    RING,
    SHIELD,
    SWORD,
    Game,
    held,
    item,
)

from mmoinv.inventory import (
    Bonding,
    EquipmentSlot,
    Inventory,
    InventoryType,
    ItemCatalog,
    ItemTemplate,
    PlayerState,
)
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory.slots import EQUIPMENT
from mmoinv.inventory.templates import BOUND, DISABLED

S, T = EquipmentSlot, InventoryType
# As the design's facts have it, written down a second time.
PLACES = {
    T.HEAD: {S.HEAD},
    T.NECK: {S.NECK},
    T.SHOULDERS: {S.SHOULDERS},
    T.BODY: {S.BODY},
    T.CHEST: {S.CHEST},
    T.ROBE: {S.CHEST},
    T.WAIST: {S.WAIST},
    T.LEGS: {S.LEGS},
    T.FEET: {S.FEET},
    T.WRISTS: {S.WRISTS},
    T.HANDS: {S.HANDS},
    T.FINGER: {S.FINGER_1, S.FINGER_2},
    T.TRINKET: {S.TRINKET_1, S.TRINKET_2},
    T.CLOAK: {S.BACK},
    T.WEAPON: {S.MAIN_HAND, S.OFF_HAND},
    T.TWO_HANDED_WEAPON: {S.MAIN_HAND},
    T.MAIN_HAND_WEAPON: {S.MAIN_HAND},
    T.OFF_HAND_WEAPON: {S.OFF_HAND},
    T.SHIELD: {S.OFF_HAND},
    T.HOLDABLE: {S.OFF_HAND},
    T.RANGED: {S.RANGED},
    T.THROWN: {S.RANGED},
    T.RANGED_RIGHT: {S.RANGED},
    T.TABARD: {S.TABARD},
    T.NON_EQUIP: set(),
    T.AMMO: set(),
    T.RELIC: set(),
}


@pytest.fixture
def owner():
    return PlayerState(level=10)


@pytest.fixture
def inventory(owner):
    return Game().inventory(owner=owner)


def of(*templates: ItemTemplate, owner=None, effects=None) -> Inventory:
    """An empty inventory of a catalog of its own."""
    guids = itertools.count(1)
    return Inventory(
        7,
        ItemCatalog(templates),
        owner or PlayerState(level=10),
        lambda count: list(itertools.islice(guids, count)),
        effects=effects,
    )


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.name)
def test_what_goes_where(kind):
    for slot in EQUIPMENT:
        inventory = of(ItemTemplate(1, "thing", kind), owner=PlayerState(can_dual_wield=True))
        inventory.add_items(1)
        result = inventory.move(PACK, slot)
        if slot - OWN in PLACES[kind]:
            assert result
            assert slot in inventory
        else:
            expected = (
                Failure.ITEM_DOES_NOT_GO_TO_SLOT if PLACES[kind] else Failure.ITEM_CANT_BE_EQUIPPED
            )
            assert result.error is expected
            assert PACK in inventory
    inventory = of(ItemTemplate(1, "thing", kind))
    inventory.add_items(1)
    result = inventory.equip(PACK)
    if PLACES[kind] - {S.OFF_HAND} or kind in (T.SHIELD, T.HOLDABLE):
        assert result
        assert next(iter(inventory)).slot == OWN + min(PLACES[kind])
    else:
        assert not result


def test_rings_go_to_the_free_finger_then_to_the_first():
    inventory = of(ItemTemplate(1, "ring", T.FINGER))
    guids = []
    for _ in range(3):
        inventory.add_items(1)
        guids.append(item(inventory, PACK).item_guid)
        assert inventory.equip(PACK)
    assert item(inventory, FINGER_1).item_guid == guids[2]
    assert item(inventory, FINGER_2).item_guid == guids[1]
    assert item(inventory, PACK).item_guid == guids[0]


def test_a_unique_item_is_worn_once(inventory):
    inventory.add_items(RING, 2)
    assert inventory.equip(PACK)
    assert inventory.equip(PACK + 1).error is Failure.ITEM_CANT_BE_EQUIPPED
    assert inventory.equip(PACK + 1, FINGER_1)


def test_level_and_proficiency_are_wanted():
    owner = PlayerState(level=4)
    inventory = of(
        ItemTemplate(1, "helm", T.HEAD, required_level=5, proficiency=3),
        ItemTemplate(2, "scroll", required_level=5, proficiency=3, consumable=True),
        ItemTemplate(3, "sack", T.BAG, container_slots=4, required_level=5),
        owner=owner,
    )
    for entry in (1, 2, 3):
        inventory.add_items(entry)
    for act in (
        lambda: inventory.equip(PACK),
        lambda: inventory.move(PACK, HEAD),
        lambda: inventory.use(PACK + 1),
        lambda: inventory.equip(PACK + 2),
    ):
        assert act().error is Failure.CANT_EQUIP_LEVEL
    owner.level = 5
    assert inventory.equip(PACK).error is Failure.NO_REQUIRED_PROFICIENCY
    assert inventory.use(PACK + 1).error is Failure.NO_REQUIRED_PROFICIENCY
    owner.proficiencies = {3}
    assert inventory.equip(PACK)
    assert inventory.use(PACK + 1)
    assert inventory.equip(PACK + 2)


def test_what_is_worn_and_no_longer_usable_is_named():
    owner = PlayerState(level=5, proficiencies={3})
    inventory = of(
        ItemTemplate(1, "helm", T.HEAD, required_level=5, proficiency=3, max_durability=10),
        owner=owner,
    )
    inventory.add_items(1)
    inventory.equip(PACK)
    assert inventory.unusable_equipment() == []
    helm = item(inventory, HEAD)
    owner.level = 4
    assert inventory.unusable_equipment() == [(helm, Failure.CANT_EQUIP_LEVEL)]
    owner.level, owner.proficiencies = 5, set()
    assert inventory.unusable_equipment() == [(helm, Failure.NO_REQUIRED_PROFICIENCY)]
    owner.proficiencies = {3}
    inventory.change_item(HEAD, durability=0)
    assert inventory.unusable_equipment() == [
        (helm._replace(durability=0), Failure.CANT_DO_RIGHT_NOW)
    ]


def test_a_second_weapon_wants_dual_wield(inventory, owner):
    inventory.add_items(SWORD, 2)
    inventory.add_items(DAGGER)
    assert inventory.equip(PACK)
    assert inventory.move(PACK + 1, OFF_HAND).error is Failure.CANT_DUAL_WIELD
    assert inventory.equip(PACK + 2).error is Failure.CANT_DUAL_WIELD
    assert inventory.equip(PACK + 1), "it takes the main hand's place"
    assert OFF_HAND not in inventory
    owner.can_dual_wield = True
    assert inventory.equip(PACK + 1)
    assert item(inventory, OFF_HAND).entry == SWORD
    assert inventory.equip(PACK + 2)
    assert item(inventory, OFF_HAND).entry == DAGGER


@pytest.mark.parametrize("way", ["equip", "swap"])
def test_a_two_hander_puts_the_off_hand_away(inventory, way):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    inventory.add_items(SHIELD)
    inventory.equip(PACK)
    inventory.add_items(GREATSWORD)
    assert inventory.equip(PACK) if way == "equip" else inventory.swap(MAIN_HAND, PACK)
    assert held(inventory) == {MAIN_HAND: (GREATSWORD, 1), PACK: (SWORD, 1), PACK + 1: (SHIELD, 1)}


def test_a_two_hander_leaves_its_own_slot_to_the_shield(inventory):
    inventory.add_items(SHIELD)
    inventory.equip(PACK)
    inventory.add_items(GREATSWORD)
    while inventory.add_items(SWORD):
        pass
    assert inventory.equip(PACK), "its own slot becomes free"
    assert item(inventory, MAIN_HAND).entry == GREATSWORD
    assert item(inventory, PACK).entry == SHIELD


def test_a_two_hander_instead_of_a_sword_wants_a_free_slot_for_the_shield(inventory):
    for entry in (SWORD, SHIELD):
        inventory.add_items(entry)
        inventory.equip(PACK)
    inventory.add_items(GREATSWORD)
    while inventory.add_items(SWORD):
        pass
    before = inventory.items.tobytes()
    assert inventory.equip(PACK).error is Failure.INVENTORY_FULL
    assert inventory.items.tobytes() == before


def test_nothing_goes_beside_a_two_hander(inventory, owner):
    owner.can_dual_wield = True
    inventory.add_items(GREATSWORD)
    inventory.equip(PACK)
    for entry in (SHIELD, DAGGER, SWORD):
        inventory.add_items(entry)
    assert inventory.equip(PACK).error is Failure.CANT_EQUIP_WITH_TWO_HANDED
    assert inventory.equip(PACK + 1).error is Failure.CANT_EQUIP_WITH_TWO_HANDED
    assert inventory.move(PACK + 2, OFF_HAND).error is Failure.CANT_EQUIP_WITH_TWO_HANDED
    assert inventory.equip(PACK + 2), "it takes the two-hander's place"
    assert held(inventory)[MAIN_HAND] == (SWORD, 1)


def test_hands_swap_only_with_dual_wield(inventory, owner):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    assert inventory.swap(MAIN_HAND, OFF_HAND).error is Failure.CANT_DUAL_WIELD
    owner.can_dual_wield = True
    assert inventory.swap(MAIN_HAND, OFF_HAND)


def test_equipping_binds_what_is_bound_when_equipped(inventory):
    inventory.add_items(HELM)
    assert not item(inventory, PACK).item_flags
    guid = item(inventory, PACK).item_guid
    assert inventory.move(PACK, HEAD)
    assert item(inventory, HEAD).item_flags == BOUND
    assert inventory.unequip(HEAD)
    assert item(inventory, PACK).item_flags == BOUND
    assert item(inventory, PACK).item_guid == guid


def test_picking_up_binds_what_is_bound_when_picked_up():
    inventory = of(ItemTemplate(1, "relic", bonding=Bonding.WHEN_PICKED_UP))
    inventory.add_items(1)
    assert item(inventory, PACK).item_flags == BOUND


def test_in_combat_only_weapons_change(inventory, owner):
    for entry in (SWORD, HELM):
        inventory.add_items(entry)
    owner.is_in_combat = True
    assert inventory.equip(PACK)
    assert inventory.equip(PACK + 1).error is Failure.NOT_IN_COMBAT
    assert inventory.unequip(MAIN_HAND)
    owner.is_in_combat = False
    assert inventory.equip(PACK + 1)
    owner.is_in_combat = True
    assert inventory.unequip(HEAD).error is Failure.NOT_IN_COMBAT


def test_what_is_unequipped_goes_to_the_first_free_slot(inventory):
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    inventory.add_items(POTION)
    assert inventory.unequip(MAIN_HAND)
    assert item(inventory, PACK + 1).entry == SWORD
    assert inventory.unequip(MAIN_HAND).error is Failure.SLOT_IS_EMPTY
    assert inventory.unequip(PACK).error is Failure.SLOT_IS_EMPTY
    inventory.equip(PACK + 1)
    assert inventory.unequip(MAIN_HAND, OFF_HAND).error is Failure.ITEM_DOES_NOT_GO_TO_SLOT
    while inventory.add_items(SWORD):
        pass
    assert inventory.unequip(MAIN_HAND).error is Failure.INVENTORY_FULL


def test_equip_is_for_what_is_not_worn_and_to_where_it_is(inventory):
    inventory.add_items(SWORD)
    assert inventory.equip(PACK, PACK + 1).error is Failure.ITEM_DOES_NOT_GO_TO_SLOT
    assert inventory.equip(PACK, HEAD).error is Failure.ITEM_DOES_NOT_GO_TO_SLOT
    assert inventory.equip(PACK, BAG_1).error is Failure.NOT_A_BAG
    assert inventory.equip(PACK + 1).error is Failure.SLOT_IS_EMPTY
    inventory.equip(PACK)
    assert inventory.equip(MAIN_HAND).error is Failure.ITEM_CANT_BE_EQUIPPED


def test_a_locked_off_hand_is_not_put_away(inventory):
    inventory.add_items(SHIELD)
    inventory.equip(PACK)
    inventory.lock(OFF_HAND)
    inventory.add_items(GREATSWORD)
    assert inventory.equip(PACK).error is Failure.ITEM_LOCKED
    assert item(inventory, OFF_HAND).item_flags == DISABLED


class Effects:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def equipped(self, item, template) -> None:
        self.told.append(("on", template.entry, item.slot))

    def unequipped(self, item, template) -> None:
        self.told.append(("off", template.entry, item.slot))

    def item_set_changed(self, item_set, pieces) -> None:
        self.told.append(("set", item_set, pieces))

    def take(self) -> list[tuple]:
        told, self.told = self.told, []
        return told


def test_effects_come_off_before_others_come_on():
    effects = Effects()
    inventory = of(
        ItemTemplate(1, "old crown", T.HEAD, item_set=1),
        ItemTemplate(2, "new crown", T.HEAD, item_set=2),
        ItemTemplate(3, "belt", T.WAIST, item_set=1),
        effects=effects,
    )
    for entry in (1, 3, 2):
        inventory.add_items(entry)
    assert effects.take() == []
    inventory.equip(PACK)
    inventory.equip(PACK + 1)
    assert effects.take() == [
        ("on", 1, HEAD),
        ("set", 1, 1),
        ("on", 3, OWN + S.WAIST),
        ("set", 1, 2),
    ]
    swap = inventory.commands.swap(PACK + 2, HEAD)
    assert swap.execute()
    there = [("set", 1, 1), ("off", 1, HEAD), ("on", 2, HEAD), ("set", 2, 1)]
    assert effects.take() == there
    swap.undo()
    assert effects.take() == [("set", 2, 0), ("off", 2, HEAD), ("on", 1, HEAD), ("set", 1, 2)]
    inventory.change_item(HEAD, durability=5)
    assert effects.take() == []


def test_two_equal_pieces_count_once_in_a_set():
    effects = Effects()
    inventory = of(ItemTemplate(1, "ring", T.FINGER, item_set=4), effects=effects)
    inventory.add_items(1, 2)
    inventory.equip(PACK)
    inventory.equip(PACK + 1)
    assert effects.take() == [("on", 1, FINGER_1), ("set", 4, 1), ("on", 1, FINGER_2)]
    inventory.tell_worn()
    assert effects.take() == [("on", 1, FINGER_1), ("on", 1, FINGER_2), ("set", 4, 1)]
