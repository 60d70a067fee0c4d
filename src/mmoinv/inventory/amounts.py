"""Numbers of items: counts, stacks, and how much room there is. All immutable.

Knows nothing of slots, items or templates.
"""

import operator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, SupportsIndex

from mmoinv.errors import InventoryError
from mmoinv.records import U16_MAX, U32_MAX


class ItemCount(int):
    """A number of items, 0..2**32-1: an int that is never negative and never wraps around."""

    __slots__ = ()

    def __new__(cls, count: SupportsIndex = 0) -> Self:
        number = operator.index(count)
        if not 0 <= number <= U32_MAX:
            raise InventoryError(f"item count {number} is outside 0..{U32_MAX}")
        return super().__new__(cls, number)

    def add(self, count: SupportsIndex) -> Self:
        """The sum; `InventoryError` beyond the range."""
        return type(self)(self + type(self)(count))

    def subtract(self, count: SupportsIndex) -> Self:
        """The difference, 0 if it would be less."""
        return type(self)(max(0, self - type(self)(count)))


class StackChange(NamedTuple):
    """A stack after an `ItemStack.add` or ``remove``, and how many items moved."""

    stack: "ItemStack"
    moved: int


@dataclass(frozen=True, order=True, slots=True)
class ItemStack:
    """``count`` items on a stack that holds ``max_stack``, 1..65535 at most."""

    count: int
    max_stack: int

    def __post_init__(self) -> None:
        if not 1 <= self.max_stack <= U16_MAX:
            raise InventoryError(f"max stack {self.max_stack} is outside 1..{U16_MAX}")
        if not 0 <= self.count <= self.max_stack:
            raise InventoryError(f"a stack of {self.count} is outside 0..{self.max_stack}")

    @property
    def available_space(self) -> int:
        """Items that can still be added."""
        return self.max_stack - self.count

    @property
    def is_full(self) -> bool:
        """Whether nothing can be added."""
        return self.count == self.max_stack

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return self.count == 0

    def can_add_stacks(self, count: int) -> bool:
        """Whether so many more items all fit."""
        return checked_amount(count) <= self.available_space

    def add(self, count: int) -> StackChange:
        """With as many of ``count`` more as fit."""
        moved = min(checked_amount(count), self.available_space)
        return StackChange(replace(self, count=self.count + moved), moved)

    def remove(self, count: int) -> StackChange:
        """With as many of ``count`` fewer as are there."""
        moved = min(checked_amount(count), self.count)
        return StackChange(replace(self, count=self.count - moved), moved)


class SlotAvailability(NamedTuple):
    """Where more of an item could go: slots of stacks that are not full, and empty slots.

    ``stack_room`` is how many fit onto the stacks, ``max_stack`` how many into an empty slot.
    """

    partial_slots: tuple[int, ...]
    stack_room: int
    empty_slots: tuple[int, ...]
    max_stack: int

    @property
    def room(self) -> int:
        """Items that fit altogether."""
        return self.stack_room + len(self.empty_slots) * self.max_stack

    @property
    def has_space(self) -> bool:
        """Whether at least one fits."""
        return self.room > 0

    def can_accommodate(self, amount: int) -> bool:
        """Whether so many fit."""
        return checked_amount(amount) <= self.room


def checked_amount(amount: int) -> int:
    """An amount of items to do something with: `InventoryError` below 1 or over 2**32-1."""
    if not 1 <= amount <= U32_MAX:
        raise InventoryError(f"amount {amount} is outside 1..{U32_MAX}; nothing was changed")
    return amount
