"""Slots: ranges, round trips, and what they say of themselves."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import InventoryError
from mmoinv.inventory import (
    BACKPACK,
    BAG_PACK,
    BANK,
    BANK_BAGS,
    BUYBACK,
    EQUIPMENT,
    MAIN_HAND,
    OFF_HAND,
    RANGED,
    EquipmentSlot,
    InventorySlot,
    bag_holding,
    inside_of,
    is_inside_bag,
)

u8 = st.integers(0, 255)
QUESTIONS = ("is_equipment", "is_bag", "is_bag_pack", "is_bag_bar", "is_inventory", "is_bank")


@given(u8, u8)
def test_bag_and_slot_make_the_absolute_slot_and_back(bag, slot):
    one = InventorySlot.from_relative(bag, slot)
    assert (one.bag, one.slot, one.absolute) == (bag, slot, bag << 8 | slot)
    assert InventorySlot.from_absolute(one.absolute) == one
    assert type(one.absolute) is int


@given(st.integers(0, 65535))
def test_a_slot_is_of_one_range_at_most(absolute):
    one = InventorySlot(absolute)
    assert sum(getattr(one, question) for question in QUESTIONS) <= 1
    assert str(one)


@pytest.mark.parametrize(
    ("first", "last", "question", "name"),
    [
        ((255, 0), (255, 18), "is_equipment", "head"),
        ((255, 19), (255, 22), "is_bag_pack", "equipped bag 1"),
        ((255, 23), (255, 38), "is_inventory", "backpack 1"),
        ((255, 39), (255, 66), "is_bank", "bank 1"),
        ((255, 67), (255, 73), "is_bag_bar", "bank bag 1"),
        ((255, 74), (255, 85), "is_buyback", "buyback 1"),
        ((19, 0), (19, 35), "is_bag", "bag 1, slot 1"),
        ((22, 0), (22, 35), "is_bag", "bag 4, slot 1"),
    ],
)
def test_the_edges_of_each_range(first, last, question, name):
    start, end = InventorySlot.from_relative(*first), InventorySlot.from_relative(*last)
    assert getattr(start, question)
    assert getattr(end, question)
    if first[1]:
        assert not getattr(InventorySlot(start - 1), question)
    assert not getattr(InventorySlot(end + 1), question)
    assert str(start) == name


def test_buyback_slots_are_known_by_their_small_numbers_too():
    assert InventorySlot(74).is_buyback
    assert InventorySlot(85).is_buyback
    assert not InventorySlot(86).is_buyback


@pytest.mark.parametrize("wrong", [-1, 65536, 2**64])
def test_nothing_wraps_around(wrong):
    with pytest.raises(InventoryError, match=str(wrong)):
        InventorySlot.from_absolute(wrong)
    with pytest.raises(InventoryError):
        InventorySlot.from_relative(wrong, 0)
    with pytest.raises(InventoryError):
        InventorySlot.from_relative(0, wrong)


@pytest.mark.parametrize("wrong", [1.0, "1", None])
def test_only_integers_are_slots(wrong):
    with pytest.raises(TypeError):
        InventorySlot(wrong)


def test_it_is_an_immutable_ordered_hashable_number():
    one, other = InventorySlot(5), InventorySlot(7)
    assert one < other
    assert {one: "a"}[5] == "a"
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.absolute = 7
    with pytest.raises(AttributeError):
        one.other = 7
    assert eval(repr(one)) == one


def test_equipment_slots_have_their_names():
    names = [str(InventorySlot.from_relative(255, slot)) for slot in range(19)]
    assert ",".join(names) == (
        "head,neck,shoulders,body,chest,waist,legs,feet,wrists,hands,finger 1,finger 2,"
        "trinket 1,trinket 2,back,main hand,off hand,ranged,tabard"
    )
    assert [slot.name.lower().replace("_", " ") for slot in EquipmentSlot] == names


def test_the_ranges_are_absolute_and_name_their_slots():
    ranges = (EQUIPMENT, BAG_PACK, BACKPACK, BANK, BANK_BAGS, BUYBACK)
    assert [slot for places in ranges for slot in places] == list(range(255 << 8, (255 << 8) + 86))
    assert [str(InventorySlot(places[-1])) for places in ranges] == [
        "tabard",
        "equipped bag 4",
        "backpack 16",
        "bank 28",
        "bank bag 7",
        "buyback 12",
    ]
    weapons = (EquipmentSlot.MAIN_HAND, EquipmentSlot.OFF_HAND, EquipmentSlot.RANGED)
    assert [EQUIPMENT[slot] for slot in weapons] == [MAIN_HAND, OFF_HAND, RANGED]


@given(st.lists(st.integers(0, 65535)))
def test_slots_sort_and_hash_as_their_numbers_do(numbers):
    slots = [InventorySlot(number) for number in numbers]
    assert sorted(slots) == sorted(numbers)
    assert set(slots) == set(numbers)


def test_the_inside_of_a_bag_and_its_holder_belong_together():
    assert inside_of(255 << 8 | 19) == 19 << 8
    assert bag_holding(19 << 8 | 35) == 255 << 8 | 19
    assert is_inside_bag(22 << 8 | 35)
    assert not is_inside_bag(22 << 8 | 36)
    assert not is_inside_bag(23 << 8)
