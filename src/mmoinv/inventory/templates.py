"""What all items of an entry have in common, and what the numbers in a template mean.

A template knows no file (`catalog` does), no slot range and no player.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any

from mmoinv.errors import InventoryError
from mmoinv.inventory.slots import MAX_BAG_SLOTS
from mmoinv.records import U16_MAX, U32_MAX


class InventoryType(IntEnum):
    """Where an item can be worn, by the numbers that game clients know."""

    NON_EQUIP = 0
    HEAD = 1
    NECK = 2
    SHOULDERS = 3
    BODY = 4
    CHEST = 5
    WAIST = 6
    LEGS = 7
    FEET = 8
    WRISTS = 9
    HANDS = 10
    FINGER = 11
    TRINKET = 12
    WEAPON = 13
    SHIELD = 14
    RANGED = 15
    CLOAK = 16
    TWO_HANDED_WEAPON = 17
    BAG = 18
    TABARD = 19
    ROBE = 20
    MAIN_HAND_WEAPON = 21
    OFF_HAND_WEAPON = 22
    HOLDABLE = 23
    AMMO = 24
    THROWN = 25
    RANGED_RIGHT = 26
    QUIVER = 27
    RELIC = 28


class Bonding(IntEnum):
    """When an item becomes its owner's for good."""

    NONE = 0
    WHEN_PICKED_UP = 1
    WHEN_EQUIPPED = 2
    WHEN_USED = 3


class ItemFlags(IntFlag):
    """Bits of a record's ``item_flags`` and of a template's ``flags``."""

    BOUND = 1
    CONJURED = 2
    OPENABLE = 4
    WRAPPED = 8
    WRAPPER = 0x200
    PARTY_LOOT = 0x800
    UNIQUE_EQUIPPED = 0x1000
    DISABLED = 0x4000_0000
    """Locked for the moment, as in a trade. Run time only: never saved, stripped on load."""


BOUND, DISABLED, UNIQUE_EQUIPPED = (
    int(flag) for flag in (ItemFlags.BOUND, ItemFlags.DISABLED, ItemFlags.UNIQUE_EQUIPPED)
)
"""As plain ints, which compare ten times faster."""

CONTAINERS = frozenset({InventoryType.BAG, InventoryType.QUIVER})
_NO_FLAGS = ItemFlags(0)


@dataclass(frozen=True, slots=True)
class ItemTemplate:
    """What every item of an entry is like. Raises `InventoryError` for a value out of range.

    ``entry`` 1..2**32-1; ``max_stack`` 1..65535; ``max_count`` is how many a character may own,
    bank included, 0 for any number; ``container_slots`` 0..36, more than 0 only for BAG and
    QUIVER; ``proficiency``, ``item_set`` are the game's own numbers, 0 for none;
    ``max_durability`` is what a new item has; ``flags`` are `ItemFlags` that every new item has,
    and UNIQUE_EQUIPPED; ``consumable`` items are used up; ``extra`` is the game's own.
    """

    entry: int
    name: str
    inventory_type: InventoryType = InventoryType.NON_EQUIP
    max_stack: int = 1
    max_count: int = 0
    bonding: Bonding = Bonding.NONE
    required_level: int = 0
    proficiency: int = 0
    container_slots: int = 0
    item_set: int = 0
    flags: ItemFlags = _NO_FLAGS
    max_durability: int = 0
    consumable: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("entry", 1, U32_MAX),
            ("max_stack", 1, U16_MAX),
            ("max_count", 0, U32_MAX),
            ("required_level", 0, U16_MAX),
            ("proficiency", 0, U32_MAX),
            ("container_slots", 0, MAX_BAG_SLOTS),
            ("item_set", 0, U32_MAX),
            ("flags", 0, U32_MAX),
            ("max_durability", 0, U32_MAX),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InventoryError(f"item {self.entry}: {name} {value} is outside {low}..{high}")
        if self.is_bag != (self.container_slots > 0):
            raise InventoryError(
                f"item {self.entry}: container_slots {self.container_slots} does not go with "
                f"inventory_type {self.inventory_type.name}"
            )
        if (
            self.is_equippable
            and self.max_stack > 1
            and self.inventory_type is not InventoryType.THROWN
        ):
            raise InventoryError(
                f"item {self.entry}: a {self.inventory_type.name} does not stack, "
                f"max_stack {self.max_stack} must be 1"
            )

    @property
    def is_bag(self) -> bool:
        """Whether items go into it: a bag or a quiver."""
        return self.inventory_type in CONTAINERS

    @property
    def is_equippable(self) -> bool:
        """Whether it can be worn, as equipment or as a bag."""
        return self.inventory_type not in (InventoryType.NON_EQUIP, InventoryType.AMMO)
