"""Simulated players: whatever they do, their inventory stays one that may be saved."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.loadtest.players import CARRIED, FULL, GUID_BASE, MAX_STACK, Player, item_count_of


def player(count: int, seed: int = 1) -> Player:
    numbers = iter(range(1, 1 << 30))

    def mint(wanted: int) -> np.ndarray:
        return np.array([next(numbers) for _ in range(wanted)], np.uint64)

    return Player(GUID_BASE, count, random.Random(seed), mint)


def check(player: Player) -> None:
    items = player.items
    codec.validate_batch(items, named=True)
    assert (np.diff(items["slot"].astype(int)) > 0).all()
    assert len(np.unique(items["item_guid"])) == len(items)
    assert items["stack_count"].max(initial=1) <= MAX_STACK


@given(st.integers(5, FULL), st.integers(0, 2**32), st.lists(st.integers(0, 20), max_size=20))
def test_an_inventory_stays_valid_whatever_is_done(count, seed, deeds):
    one = player(count, seed)
    assert len(one.items) == count
    check(one)
    for number in deeds:
        one.submitted = one.items
        before = one.submitted.tobytes()
        one.play(number)
        check(one)
        # What was handed to a commit is never changed behind its back.
        assert one.submitted.tobytes() == before
        saves, deletes = codec.diff(one.submitted, one.items)
        after = codec.apply_changes(one.submitted, saves, deletes)
        assert after.tobytes() == one.items.tobytes()
    assert sum(one.deeds) == sum(deeds)


def test_there_is_always_something_to_do():
    one = player(FULL)
    assert not set(CARRIED) - set(one.items["slot"].tolist())
    one.play(2000)
    assert all(one.deeds)
    check(one)


def test_the_same_seed_plays_the_same_game():
    one, other = player(30, 7), player(30, 7)
    for each in (one, other):
        each.play(100)
    assert one.items.tobytes() == other.items.tobytes()


def test_how_many_items_players_start_with():
    rng = random.Random(1)
    counts = [item_count_of(index, rng) for index in range(100)]
    assert counts[:2] == [40, FULL]
    assert counts.count(FULL) == 5
    assert all(20 <= count <= 40 for count in counts if count != FULL)


def test_more_than_fits():
    with pytest.raises(ValueError, match="120"):
        player(FULL + 1)
