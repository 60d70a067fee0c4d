"""Items that come into being: new ones, and parts of a stack."""

import pytest
from aggregates import CATALOG, HELM, IDOL, POTION, RING, SWORD

from mmoinv.errors import InventoryError
from mmoinv.inventory import Bonding, GuidCounter, ItemFlags, ItemTemplate
from mmoinv.inventory.creation import bind, new_item, part_of
from mmoinv.inventory.templates import BOUND, UNIQUE_EQUIPPED


def test_a_new_item_has_no_place_yet_and_all_its_template_says():
    item = new_item(CATALOG[SWORD], 1, 5, creator=9)
    assert (item.entry, item.slot, item.stack_count, item.contained) == (SWORD, 0, 1, 0)
    assert (item.item_guid, item.creator, item.durability, item.item_flags) == (5, 9, 20, 0)
    assert new_item(CATALOG[RING], 1, 5).item_flags == UNIQUE_EQUIPPED


@pytest.mark.parametrize(("amount", "count"), [(1, 1), (5, 5), (6, 5), (10**6, 5)])
def test_a_new_item_is_one_stack_at_most(amount, count):
    assert new_item(CATALOG[POTION], amount, 1).stack_count == count


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_no_item(amount):
    with pytest.raises(InventoryError):
        new_item(CATALOG[POTION], amount, 1)
    with pytest.raises(InventoryError):
        part_of(new_item(CATALOG[POTION], 2, 1), amount, 2)


def test_an_item_is_bound_when_its_bonding_says_so():
    template = ItemTemplate(1, "relic", bonding=Bonding.WHEN_PICKED_UP, flags=ItemFlags.OPENABLE)
    assert new_item(template, 1, 1).item_flags == ItemFlags.BOUND | ItemFlags.OPENABLE
    helm, idol = new_item(CATALOG[HELM], 1, 1), new_item(CATALOG[IDOL], 1, 1)
    assert helm.item_flags == idol.item_flags == 0
    assert bind(helm, CATALOG[HELM], Bonding.WHEN_USED) is helm
    assert bind(helm, CATALOG[HELM], Bonding.WHEN_EQUIPPED).item_flags == BOUND
    bound = bind(idol, CATALOG[IDOL], Bonding.WHEN_USED)
    assert bound.item_flags == BOUND
    assert bind(bound, CATALOG[IDOL], Bonding.WHEN_USED) is bound
    sword = new_item(CATALOG[SWORD], 1, 1)
    assert all(bind(sword, CATALOG[SWORD], act) is sword for act in list(Bonding)[1:])


def test_part_of_a_stack_is_like_the_stack():
    stack = new_item(CATALOG[POTION], 5, 1, creator=9)._replace(
        item_flags=BOUND, durability=3, random_property_index=4, random_suffix_index=5
    )
    part = part_of(stack, 2, 77)
    assert part == stack._replace(stack_count=2, item_guid=77)


def test_a_counter_never_gives_a_guid_twice():
    guids = GuidCounter(10)
    assert guids(3) == [10, 11, 12]
    assert guids(0) == []
    assert guids(2) == [13, 14]
