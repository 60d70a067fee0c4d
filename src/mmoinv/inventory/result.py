"""What became of a change to an inventory: a value, or why the rules refused it."""

from collections.abc import Callable
from enum import IntEnum
from typing import Generic, Self, TypeVar, cast

from mmoinv.errors import InventoryError

T = TypeVar("T")


class InventoryChangeFailure(IntEnum):
    """Why a change was refused, by the numbers that game clients know.

    `OKAY` is 0 and so false: ``if failure := check(...): return failure``.
    """

    OKAY = 0
    CANT_EQUIP_LEVEL = 1
    CANT_EQUIP_SKILL = 2
    ITEM_DOES_NOT_GO_TO_SLOT = 3
    BAG_FULL = 4
    NON_EMPTY_BAG_OVER_OTHER_BAG = 5
    CANT_TRADE_EQUIP_BAGS = 6
    ONLY_AMMO_CAN_GO_HERE = 7
    NO_REQUIRED_PROFICIENCY = 8
    NO_EQUIPMENT_SLOT_AVAILABLE = 9
    YOU_CAN_NEVER_USE_THAT_ITEM = 10
    CANT_EQUIP_WITH_TWO_HANDED = 13
    CANT_DUAL_WIELD = 14
    ITEM_DOESNT_GO_INTO_BAG = 15
    CANT_CARRY_MORE_OF_THIS = 17
    ITEM_CANT_STACK = 19
    ITEM_CANT_BE_EQUIPPED = 20
    ITEMS_CANT_BE_SWAPPED = 21
    SLOT_IS_EMPTY = 22
    ITEM_NOT_FOUND = 23
    CANT_DROP_SOULBOUND = 24
    OUT_OF_RANGE = 25
    TRIED_TO_SPLIT_MORE_THAN_COUNT = 26
    COULDNT_SPLIT_ITEMS = 27
    NOT_ENOUGH_MONEY = 29
    NOT_A_BAG = 30
    CAN_ONLY_DO_WITH_EMPTY_BAGS = 31
    DONT_OWN_THAT_ITEM = 32
    CAN_EQUIP_ONLY_ONE_QUIVER = 33
    ITEM_LOCKED = 36
    YOU_ARE_STUNNED = 37
    YOU_ARE_DEAD = 38
    CANT_DO_RIGHT_NOW = 39
    INTERNAL_BAG_ERROR = 40
    BAGS_CANT_BE_WRAPPED = 48
    INVENTORY_FULL = 50
    BANK_FULL = 51
    NOT_IN_COMBAT = 60
    CANNOT_TRADE_THAT = 79

    @property
    def sentence(self) -> str:
        """In words, for the player."""
        return _SENTENCES[self]


_F = InventoryChangeFailure
_SENTENCES = {
    _F.OKAY: "Done.",
    _F.CANT_EQUIP_LEVEL: "Your level is too low for that item.",
    _F.CANT_EQUIP_SKILL: "Your skill is too low for that item.",
    _F.ITEM_DOES_NOT_GO_TO_SLOT: "That item does not go there.",
    _F.BAG_FULL: "That bag is full.",
    _F.NON_EMPTY_BAG_OVER_OTHER_BAG: "What is in that bag does not fit into the other one.",
    _F.CANT_TRADE_EQUIP_BAGS: "Bags that you wear cannot be traded.",
    _F.ONLY_AMMO_CAN_GO_HERE: "Only ammunition goes there.",
    _F.NO_REQUIRED_PROFICIENCY: "You have not learned to use such items.",
    _F.NO_EQUIPMENT_SLOT_AVAILABLE: "There is no slot to equip that in.",
    _F.YOU_CAN_NEVER_USE_THAT_ITEM: "You can never use that item.",
    _F.CANT_EQUIP_WITH_TWO_HANDED: "That does not go together with a two-handed weapon.",
    _F.CANT_DUAL_WIELD: "You cannot wield two weapons.",
    _F.ITEM_DOESNT_GO_INTO_BAG: "That item does not go into that bag.",
    _F.CANT_CARRY_MORE_OF_THIS: "You cannot carry more of these.",
    _F.ITEM_CANT_STACK: "Those items do not stack.",
    _F.ITEM_CANT_BE_EQUIPPED: "That item cannot be equipped.",
    _F.ITEMS_CANT_BE_SWAPPED: "Those items cannot be swapped.",
    _F.SLOT_IS_EMPTY: "There is nothing in that slot.",
    _F.ITEM_NOT_FOUND: "You do not have enough of that item.",
    _F.CANT_DROP_SOULBOUND: "Bound items cannot be dropped.",
    _F.OUT_OF_RANGE: "That is too far away.",
    _F.TRIED_TO_SPLIT_MORE_THAN_COUNT: "There are not that many on the stack.",
    _F.COULDNT_SPLIT_ITEMS: "That stack cannot be split that way.",
    _F.NOT_ENOUGH_MONEY: "You do not have enough money.",
    _F.NOT_A_BAG: "That is not a bag.",
    _F.CAN_ONLY_DO_WITH_EMPTY_BAGS: "The bag must be empty.",
    _F.DONT_OWN_THAT_ITEM: "That item is not yours.",
    _F.CAN_EQUIP_ONLY_ONE_QUIVER: "You can wear only one quiver.",
    _F.ITEM_LOCKED: "That item is locked.",
    _F.YOU_ARE_STUNNED: "You are stunned.",
    _F.YOU_ARE_DEAD: "You are dead.",
    _F.CANT_DO_RIGHT_NOW: "You cannot do that right now.",
    _F.INTERNAL_BAG_ERROR: "Something is wrong with that bag.",
    _F.BAGS_CANT_BE_WRAPPED: "Bags cannot be wrapped.",
    _F.INVENTORY_FULL: "Your inventory is full.",
    _F.BANK_FULL: "Your bank is full.",
    _F.NOT_IN_COMBAT: "You cannot do that in combat.",
    _F.CANNOT_TRADE_THAT: "That item cannot be traded.",
}


class InventoryResult(Generic[T]):
    """A change that succeeded with a value, or failed with a code. True if it succeeded.

    Made by `success` and `failure`; immutable.
    """

    __slots__ = ("_failure", "_value")

    def __init__(self, value: T | None, failure: InventoryChangeFailure) -> None:
        self._value = value
        self._failure = failure

    @classmethod
    def success(cls, value: T) -> "InventoryResult[T]":
        """It was done."""
        return cls(value, InventoryChangeFailure.OKAY)

    @classmethod
    def failure(cls, code: int) -> "InventoryResult[T]":
        """It was refused, nothing was changed. ``OKAY`` is no failure: `InventoryError`."""
        failure = InventoryChangeFailure(code)
        if failure is InventoryChangeFailure.OKAY:
            raise InventoryError("OKAY is not a failure")
        return cls(None, failure)

    @property
    def value(self) -> T:
        """What was done; `InventoryError` if it was refused."""
        if self._failure:
            raise InventoryError(f"{self._failure.name}: {self._failure.sentence}")
        return cast(T, self._value)

    @property
    def error(self) -> InventoryChangeFailure:
        """Why it was refused, ``OKAY`` if it was not."""
        return self._failure

    def on_success(self, act: Callable[[T], object]) -> Self:
        """Call ``act`` with the value if it succeeded; the result itself, to go on from."""
        if not self._failure:
            act(cast(T, self._value))
        return self

    def on_failure(self, act: Callable[[InventoryChangeFailure], object]) -> Self:
        """Call ``act`` with the code if it failed; the result itself, to go on from."""
        if self._failure:
            act(self._failure)
        return self

    def __bool__(self) -> bool:
        return not self._failure

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InventoryResult):
            return NotImplemented
        return (self._value, self._failure) == (other._value, other._failure)

    def __hash__(self) -> int:
        return hash((self._value, self._failure))

    def __repr__(self) -> str:
        if self._failure:
            return f"InventoryResult.failure({self._failure.name})"
        return f"InventoryResult.success({self._value!r})"
