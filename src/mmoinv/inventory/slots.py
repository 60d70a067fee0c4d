"""Where an item can be: slots, their ranges and what lies in them.

Knows numbers only: nothing of items, templates or players.
"""

import operator
from enum import IntEnum
from typing import Self, SupportsIndex

from mmoinv.errors import InventoryError
from mmoinv.records import BUYBACK_FIRST, BUYBACK_LAST, EQUIPPED_BAG, U16_MAX, is_buyback

OWN = EQUIPPED_BAG << 8
"""The first absolute slot of the character itself, bag 255."""
MAX_BAG_SLOTS = 36
"""Slots that a bag has at most."""
BUYBACK_SLOTS = BUYBACK_LAST - BUYBACK_FIRST + 1

EQUIPMENT = range(OWN, OWN + 19)
BAG_PACK = range(OWN + 19, OWN + 23)
BACKPACK = range(OWN + 23, OWN + 39)
BANK = range(OWN + 39, OWN + 67)
BANK_BAGS = range(OWN + 67, OWN + 74)
BUYBACK = range(OWN + BUYBACK_FIRST, OWN + BUYBACK_LAST + 1)
OWN_SLOTS = range(EQUIPMENT.start, BANK_BAGS.stop)
"""All slots of bag 255 that are saved."""
EQUIPPED_BAGS = range(19, 23)
"""Bag numbers whose slots are inside of an equipped bag: the slots of `BAG_PACK` in bag 255."""


class EquipmentSlot(IntEnum):
    """The slots of bag 255 that a character wears items in."""

    HEAD = 0
    NECK = 1
    SHOULDERS = 2
    BODY = 3
    CHEST = 4
    WAIST = 5
    LEGS = 6
    FEET = 7
    WRISTS = 8
    HANDS = 9
    FINGER_1 = 10
    FINGER_2 = 11
    TRINKET_1 = 12
    TRINKET_2 = 13
    BACK = 14
    MAIN_HAND = 15
    OFF_HAND = 16
    RANGED = 17
    TABARD = 18


MAIN_HAND = OWN + EquipmentSlot.MAIN_HAND
OFF_HAND = OWN + EquipmentSlot.OFF_HAND
RANGED = OWN + EquipmentSlot.RANGED
WEAPON_SLOTS = (MAIN_HAND, OFF_HAND, RANGED)


class InventorySlot(int):
    """An absolute slot, ``bag << 8 | slot in bag``, 0..65535: a plain int with questions to ask.

    Bag 255 is the character itself. Every function takes an int as well.
    """

    # Python searches a range for an int step by step if it is of a subclass: hence int(self).

    __slots__ = ()

    def __new__(cls, absolute: SupportsIndex) -> Self:
        number = operator.index(absolute)
        if not 0 <= number <= U16_MAX:
            raise InventoryError(f"slot {number} is outside 0..{U16_MAX}")
        return super().__new__(cls, number)

    @classmethod
    def from_absolute(cls, absolute: SupportsIndex) -> Self:
        """From an absolute slot; `InventoryError` if it is no u16."""
        return cls(absolute)

    @classmethod
    def from_relative(cls, bag: SupportsIndex, slot: SupportsIndex) -> Self:
        """From a bag and the slot in it, 0..255 each."""
        for name, number in (("bag", operator.index(bag)), ("slot", operator.index(slot))):
            if not 0 <= number <= 255:
                raise InventoryError(f"{name} {number} is outside 0..255")
        return cls(operator.index(bag) << 8 | operator.index(slot))

    @property
    def absolute(self) -> int:
        """The number on the wire and in the database."""
        return int(self)

    @property
    def bag(self) -> int:
        """The bag, 0..255."""
        return self >> 8

    @property
    def slot(self) -> int:
        """The slot in the bag, 0..255."""
        return self & 0xFF

    @property
    def is_equipment(self) -> bool:
        """Whether what is here is worn."""
        return int(self) in EQUIPMENT

    @property
    def is_bag(self) -> bool:
        """Whether it is inside of an equipped bag."""
        return is_inside_bag(self)

    @property
    def is_bag_pack(self) -> bool:
        """Whether an equipped bag has its place here."""
        return int(self) in BAG_PACK

    @property
    def is_bag_bar(self) -> bool:
        """Whether a bag of the bank has its place here."""
        return int(self) in BANK_BAGS

    @property
    def is_inventory(self) -> bool:
        """Whether it is in the backpack."""
        return int(self) in BACKPACK

    @property
    def is_bank(self) -> bool:
        """Whether it is in the bank."""
        return int(self) in BANK

    @property
    def is_buyback(self) -> bool:
        """Whether what was sold is here: never persisted."""
        return is_buyback(self)

    def __repr__(self) -> str:
        return f"InventorySlot.from_relative({self.bag}, {self.slot})"

    def __str__(self) -> str:
        for name, places in _NAMED.items():
            if int(self) in places:
                return f"{name} {self - places.start + 1}"
        if int(self) in EQUIPMENT:
            return EquipmentSlot(self.slot).name.lower().replace("_", " ")
        if self.is_bag:
            return f"bag {self.bag - EQUIPPED_BAGS.start + 1}, slot {self.slot + 1}"
        return f"slot {self.slot} of bag {self.bag}"


_NAMED = {
    "equipped bag": BAG_PACK,
    "backpack": BACKPACK,
    "bank": BANK,
    "bank bag": BANK_BAGS,
    "buyback": BUYBACK,
}


def is_inside_bag(slot: int) -> bool:
    """Whether an absolute slot is inside of an equipped bag."""
    return EQUIPPED_BAGS.start <= slot >> 8 < EQUIPPED_BAGS.stop and slot & 0xFF < MAX_BAG_SLOTS


def bag_holding(slot: int) -> int:
    """The slot of `BAG_PACK` in which the bag is that an inside slot is in."""
    return OWN + (slot >> 8)


def inside_of(bag_slot: int) -> int:
    """The first absolute slot inside of the bag that is equipped in a slot of `BAG_PACK`."""
    return (bag_slot & 0xFF) << 8
