"""Templates: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError

import pytest

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryType, ItemCatalog, ItemTemplate
from mmoinv.inventory.templates import ItemFlags
from mmoinv.inventory.validation import WORN_IN

RANGES = {
    "entry": (1, 2**32 - 1),
    "max_stack": (1, 65535),
    "max_count": (0, 2**32 - 1),
    "required_level": (0, 65535),
    "proficiency": (0, 2**32 - 1),
    "container_slots": (0, 36),
    "item_set": (0, 2**32 - 1),
    "flags": (0, 2**32 - 1),
    "max_durability": (0, 2**32 - 1),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, (low, high) in RANGES.items()
        for value in (low - 1, high + 1, -(2**64), 2**64)
    ],
)
def test_what_is_out_of_range_raises(name, value):
    with pytest.raises(InventoryError, match=f"{name} {value} is outside"):
        ItemTemplate(**{"entry": 1, "name": "thing", name: value})


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_each_range_are_in_it(name):
    for value in RANGES[name]:
        bag = name == "container_slots" and value
        kind = InventoryType.BAG if bag else InventoryType.NON_EQUIP
        values = {"entry": 1, "name": "thing", "inventory_type": kind, name: value}
        assert getattr(ItemTemplate(**values), name) == value


def test_only_bags_have_slots_inside():
    with pytest.raises(InventoryError, match="container_slots"):
        ItemTemplate(1, "sack", InventoryType.BAG)
    with pytest.raises(InventoryError, match="container_slots"):
        ItemTemplate(1, "hat", InventoryType.HEAD, container_slots=6)
    assert ItemTemplate(1, "quiver", InventoryType.QUIVER, container_slots=36).is_bag


def test_what_is_worn_does_not_stack_unless_it_is_thrown():
    with pytest.raises(InventoryError, match="does not stack"):
        ItemTemplate(1, "hat", InventoryType.HEAD, max_stack=2)
    assert ItemTemplate(1, "knife", InventoryType.THROWN, max_stack=200).is_equippable


def test_inventory_types_have_the_numbers_that_clients_know():
    names = [InventoryType(number).name for number in range(len(InventoryType))]
    assert " ".join(names) == (
        "NON_EQUIP HEAD NECK SHOULDERS BODY CHEST WAIST LEGS FEET WRISTS HANDS FINGER TRINKET "
        "WEAPON SHIELD RANGED CLOAK TWO_HANDED_WEAPON BAG TABARD ROBE MAIN_HAND_WEAPON "
        "OFF_HAND_WEAPON HOLDABLE AMMO THROWN RANGED_RIGHT QUIVER RELIC"
    )


def test_item_flags_have_the_bits_that_clients_know():
    assert {flag.name: flag.value for flag in ItemFlags} == {
        "BOUND": 1,
        "CONJURED": 2,
        "OPENABLE": 4,
        "WRAPPED": 8,
        "WRAPPER": 0x200,
        "PARTY_LOOT": 0x800,
        "UNIQUE_EQUIPPED": 0x1000,
        "DISABLED": 0x40000000,
    }


def test_what_has_a_place_to_be_worn_is_equippable():
    for kind in WORN_IN:
        assert ItemTemplate(1, "thing", kind).is_equippable
    assert not ItemTemplate(1, "thing").is_equippable
    assert not ItemTemplate(1, "arrow", InventoryType.AMMO).is_equippable


def test_templates_are_values():
    one = ItemTemplate(1, "thing", extra={"price": 5})
    assert one == ItemTemplate(1, "thing")
    assert hash(one) == hash(ItemTemplate(1, "thing"))
    with pytest.raises(FrozenInstanceError):
        one.entry = 2


def test_a_catalog_is_a_mapping_without_doubles():
    catalog = ItemCatalog([ItemTemplate(1, "thing"), ItemTemplate(2, "other")])
    assert len(catalog) == 2
    assert list(catalog) == [1, 2]
    assert catalog[2].name == "other"
    assert catalog.get(3) is None
    assert 3 not in catalog
    with pytest.raises(InventoryError, match="1 is twice"):
        ItemCatalog([ItemTemplate(1, "thing"), ItemTemplate(1, "other")])
