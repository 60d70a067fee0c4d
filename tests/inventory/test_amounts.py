"""Counts, stacks and room: they clamp, and never wrap around."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import InventoryError
from mmoinv.inventory import ItemCount, ItemStack, SlotAvailability
from mmoinv.inventory.amounts import checked_amount

stacks = st.integers(1, 65535).flatmap(
    lambda most: st.builds(ItemStack, st.integers(0, most), st.just(most))
)
amounts = st.integers(1, 2**32 - 1)


@given(stacks, amounts)
def test_what_is_added_and_what_is_left_over_is_all_there_was(stack, amount):
    after, moved = stack.add(amount)
    assert after.count == stack.count + moved <= after.max_stack
    assert moved == min(amount, stack.available_space)
    assert stack.can_add_stacks(amount) == (moved == amount)
    assert after.is_full or moved == amount


@given(stacks, amounts)
def test_no_more_is_removed_than_there_is(stack, amount):
    after, moved = stack.remove(amount)
    assert after.count == stack.count - moved >= 0
    assert moved == min(amount, stack.count)
    assert after.is_empty or moved == amount


@given(stacks, amounts)
def test_removing_what_was_added_gives_the_stack_back(stack, amount):
    after, moved = stack.add(amount)
    assert not moved or after.remove(moved).stack == stack


@pytest.mark.parametrize(("count", "most"), [(0, 0), (-1, 5), (6, 5), (1, -1), (1, 65536)])
def test_stacks_out_of_range_raise(count, most):
    with pytest.raises(InventoryError, match="outside"):
        ItemStack(count, most)


@pytest.mark.parametrize("amount", [0, -1, 2**32])
def test_amounts_out_of_range_raise(amount):
    stack = ItemStack(1, 5)
    room = SlotAvailability((), 0, (), 1)
    for act in (stack.add, stack.remove, stack.can_add_stacks, room.can_accommodate):
        with pytest.raises(InventoryError, match=str(amount)):
            act(amount)
    with pytest.raises(InventoryError, match="nothing was changed"):
        checked_amount(amount)


def test_stacks_are_immutable_ordered_and_hashable():
    assert ItemStack(1, 5) < ItemStack(2, 5)
    assert len({ItemStack(1, 5), ItemStack(1, 5)}) == 1
    with pytest.raises(FrozenInstanceError):
        ItemStack(1, 5).count = 2


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_counts_stop_at_nothing_and_never_wrap(one, other):
    count = ItemCount(one)
    assert count.subtract(other) == max(0, one - other)
    assert type(count.subtract(other)) is ItemCount
    if one + other < 2**32:
        assert count.add(other) == one + other
    else:
        with pytest.raises(InventoryError):
            count.add(other)


@pytest.mark.parametrize("wrong", [-1, 2**32])
def test_counts_out_of_range_raise(wrong):
    with pytest.raises(InventoryError):
        ItemCount(wrong)
    with pytest.raises(InventoryError):
        ItemCount(1).subtract(wrong)


def test_room_is_that_of_stacks_and_of_empty_slots():
    room = SlotAvailability((5,), 3, (6, 7), 20)
    assert room.room == 43
    assert room.has_space
    assert room.can_accommodate(43)
    assert not room.can_accommodate(44)
    assert not SlotAvailability((), 0, (), 20).has_space
