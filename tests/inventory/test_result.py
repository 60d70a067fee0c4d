"""Results: a value or a failure, and what game clients know failures by."""

import pytest

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryChangeFailure, InventoryResult

NUMBERS = [
    *range(11), 13, 14, 15, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 32, 33,
    36, 37, 38, 39, 40, 48, 50, 51, 60, 79,
]  # fmt: skip


def test_failures_have_the_numbers_that_clients_know():
    assert sorted(InventoryChangeFailure) == NUMBERS
    assert InventoryChangeFailure.INVENTORY_FULL == 50
    assert InventoryChangeFailure.BAG_FULL == 4
    assert InventoryChangeFailure.CANNOT_TRADE_THAT == 79


@pytest.mark.parametrize("failure", InventoryChangeFailure)
def test_every_failure_has_a_sentence_for_people(failure):
    assert failure.sentence.endswith(".")
    assert len({one.sentence for one in InventoryChangeFailure}) == len(NUMBERS)


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
