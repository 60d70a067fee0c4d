"""Results: a value or a failure, and what game clients know failures by."""

import pytest

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryChangeFailure, InventoryResult

NUMBERS = """
OKAY 0 CANT_EQUIP_LEVEL 1 CANT_EQUIP_SKILL 2 ITEM_DOES_NOT_GO_TO_SLOT 3 BAG_FULL 4
NON_EMPTY_BAG_OVER_OTHER_BAG 5 CANT_TRADE_EQUIP_BAGS 6 ONLY_AMMO_CAN_GO_HERE 7
NO_REQUIRED_PROFICIENCY 8 NO_EQUIPMENT_SLOT_AVAILABLE 9 YOU_CAN_NEVER_USE_THAT_ITEM 10
CANT_EQUIP_WITH_TWO_HANDED 13 CANT_DUAL_WIELD 14 ITEM_DOESNT_GO_INTO_BAG 15
CANT_CARRY_MORE_OF_THIS 17 ITEM_CANT_STACK 19 ITEM_CANT_BE_EQUIPPED 20 ITEMS_CANT_BE_SWAPPED 21
SLOT_IS_EMPTY 22 ITEM_NOT_FOUND 23 CANT_DROP_SOULBOUND 24 OUT_OF_RANGE 25
TRIED_TO_SPLIT_MORE_THAN_COUNT 26 COULDNT_SPLIT_ITEMS 27 NOT_ENOUGH_MONEY 29 NOT_A_BAG 30
CAN_ONLY_DO_WITH_EMPTY_BAGS 31 DONT_OWN_THAT_ITEM 32 CAN_EQUIP_ONLY_ONE_QUIVER 33 ITEM_LOCKED 36
YOU_ARE_STUNNED 37 YOU_ARE_DEAD 38 CANT_DO_RIGHT_NOW 39 INTERNAL_BAG_ERROR 40
BAGS_CANT_BE_WRAPPED 48 INVENTORY_FULL 50 BANK_FULL 51 NOT_IN_COMBAT 60 CANNOT_TRADE_THAT 79
"""
"""Each name and, behind it, the number that game clients know."""


def test_failures_have_the_numbers_that_clients_know():
    words = NUMBERS.split()
    numbers = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert {one.name: one.value for one in InventoryChangeFailure} == numbers


@pytest.mark.parametrize("failure", InventoryChangeFailure)
def test_every_failure_has_a_sentence_for_people(failure):
    assert failure.sentence.endswith(".")
    assert len({one.sentence for one in InventoryChangeFailure}) == len(InventoryChangeFailure)


def test_success_is_true_and_has_its_value():
    result = InventoryResult.success((1, 2))
    assert result
    assert result.value == (1, 2)
    assert result.error is InventoryChangeFailure.OKAY


def test_failure_is_false_and_its_value_says_why():
    result = InventoryResult.failure(50)
    assert not result
    assert result.error is InventoryChangeFailure.INVENTORY_FULL
    with pytest.raises(InventoryError, match="Your inventory is full"):
        _ = result.value


def test_okay_is_no_failure():
    with pytest.raises(InventoryError):
        InventoryResult.failure(0)
    with pytest.raises(ValueError, match="11"):
        InventoryResult.failure(11)


def test_nothing_can_be_a_value():
    told = []
    result = InventoryResult.success(None).on_success(told.append)
    assert result
    assert result.value is None
    assert told == [None]


def test_only_the_fitting_callback_is_called():
    told = []
    for result in (InventoryResult.success(7), InventoryResult.failure(22)):
        assert result.on_success(told.append).on_failure(told.append) is result
    assert told == [7, InventoryChangeFailure.SLOT_IS_EMPTY]


def test_results_compare_by_what_they_hold():
    assert InventoryResult.success(7) == InventoryResult.success(7)
    assert InventoryResult.success(7) != InventoryResult.failure(22)
    assert len({InventoryResult.failure(22), InventoryResult.failure(22)}) == 1
    assert repr(InventoryResult.failure(22)) == "InventoryResult.failure(SLOT_IS_EMPTY)"
    assert repr(InventoryResult.success(7)) == "InventoryResult.success(7)"
