"""Templates: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError

import pytest

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryType, ItemCatalog, ItemTemplate
from mmoinv.inventory.templates import ItemFlags
from mmoinv.inventory.validation import WORN_IN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entry", 0),
        ("entry", 2**32),
        ("max_stack", 0),
        ("max_stack", 65536),
        ("max_count", -1),
        ("required_level", 65536),
        ("container_slots", 37),
        ("proficiency", -1),
        ("item_set", 2**32),
        ("flags", -1),
        ("max_durability", 2**32),
    ],
)
def test_what_is_out_of_range_raises(name, value):
    with pytest.raises(InventoryError, match=name):
        ItemTemplate(**{"entry": 1, "name": "thing", name: value})


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
    assert [kind.value for kind in InventoryType] == list(range(29))
    assert InventoryType.TWO_HANDED_WEAPON == 17
    assert InventoryType.RELIC == 28


def test_item_flags_have_the_bits_that_clients_know():
    assert [flag.value for flag in ItemFlags] == [1, 2, 4, 8, 0x200, 0x800, 0x1000, 0x40000000]


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
