"""Simulated players: whatever they do, their inventory stays one that may be saved."""

import random
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.loadtest.deeds import DEED_WEIGHTS, Deed, DeedLog, together
from mmoinv.loadtest.game_items import TOP_LEVEL, game_items
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.loadtest.players import SORTED_AT_MOST, Player
from mmoinv.loadtest.starting_items import CARRIED, FULL, item_count_of, starting_items
from mmoinv.records import empty_batch
from mmoinv.repository import InMemoryInventoryRepository


class Game:
    """Players of one world, and a repository that has what they begin with."""

    def __init__(self, *counts: int, seed: int = 1) -> None:
        numbers = count(1)
        self.log = DeedLog()
        self.repository = InMemoryInventoryRepository()
        self.players = []
        rng = random.Random(seed)
        for index, items in enumerate(counts):
            player = Player(
                GUID_BASE + index,
                empty_batch(),
                rng,
                lambda wanted: np.array([next(numbers) for _ in range(wanted)], np.uint64),
                self.log,
            )
            self.repository.save_all_items(player.guid, player.new_items(items))
            player.load(self.repository.load_items(player.guid))
            assert len(player.items) == items
            self.players.append(player)

    def play(self, player: Player, deeds: int) -> None:
        player.play(deeds, self.players)
        for each in self.players:
            check(each)
        guids = np.concatenate([each.items["item_guid"] for each in self.players])
        assert len(np.unique(guids)) == len(guids)


def check(player: Player) -> None:
    items = player.items
    codec.validate_batch(items, named=True)
    assert (np.diff(items["slot"].astype(int)) > 0).all()
    catalog = player.inventory.catalog
    assert all(item.stack_count <= catalog[item.entry].max_stack for item in player.inventory)


@given(
    st.lists(st.integers(8, FULL), min_size=1, max_size=3),
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=10),
)
def test_an_inventory_stays_valid_and_what_is_stored_is_what_is_held(counts, seed, turns):
    game = Game(*counts, seed=seed)
    for index, deeds in turns:
        player = game.players[index % len(counts)]
        before = player.items
        kept = before.tobytes()
        game.play(player, deeds)
        # What was handed to a commit is never changed behind its back.
        assert before.tobytes() == kept
        player.inventory.save(game.repository)
        for each in game.players:
            stored = game.repository.load_items(each.guid)
            assert stored.tobytes() == each.items.tobytes()
    assert game.log.done >= sum(deeds for _, deeds in turns)


def test_every_deed_is_done_and_some_are_refused():
    game = Game(FULL, 40, *[20] * 20)
    for player in game.players * 50:
        player.play(4, game.players)
        player.inventory.save(game.repository)
    tally = game.log.tally
    assert list(tally) == [deed.value for deed in Deed]
    assert all(found.done for found in tally.values())
    assert all(found.done + found.refused == len(found.durations_us) for found in tally.values())
    assert sum(found.done for found in tally.values()) == game.log.done
    assert sum(found.refused for found in tally.values()) == game.log.not_allowed > 0
    assert tally["loot"].refused
    assert set(DEED_WEIGHTS) == set(Deed)


def test_full_bags_are_not_sorted():
    for items, is_sorted in ((SORTED_AT_MOST, True), (SORTED_AT_MOST + 1, False)):
        game = Game(items)
        assert game.players[0]._do(Deed.SORT, ()) is is_sorted
        assert ("sort" in game.log.tally) is is_sorted


@pytest.mark.parametrize("items", [0, 8, FULL])
def test_there_is_always_something_to_save(items):
    game = Game(items, items)
    for player in game.players * 50:
        assert player.inventory.is_submitted
        game.play(player, 1)
        assert not player.inventory.is_submitted
        player.inventory.save(game.repository)


def test_traders_are_saved_together_once():
    game = Game(40, 40, 40)
    trader = game.players[0]
    while not trader.inventory.saved.tied:
        trader.play(1, game.players)
    (other,) = (each for each in game.players[1:] if each.inventory in trader.inventory.saved.tied)
    # Nobody of them trades again before that.
    for each in (trader, other):
        each.play(200, game.players)
        assert len(each.inventory.saved.tied) == 1
    trader.inventory.save(game.repository)
    assert other.inventory.is_submitted
    assert not trader.inventory.saved.tied
    assert not other.inventory.saved.tied


def test_the_same_seed_plays_the_same_game():
    one, other = Game(30, 119, seed=7), Game(30, 119, seed=7)
    for game in (one, other):
        for player in game.players:
            player.play(100, game.players)
    for mine, theirs in zip(one.players, other.players, strict=True):
        assert mine.items.tobytes() == theirs.items.tobytes()


@given(st.integers(0, FULL), st.integers(20, TOP_LEVEL), st.integers(0, 2**32))
def test_the_rules_agree_with_what_players_begin_with(items, level, seed):
    game = Game(0, seed=seed)
    (player,) = game.players
    player._state.level = level
    player.load(player.new_items(items))
    assert player.inventory.findings == ()
    assert player.inventory.unusable_equipment() == []
    for item in player.inventory:
        assert player.inventory.can_store([(item.entry, 1)]) or not player.inventory.free_slots


def test_full_bags_are_full():
    game = Game(FULL)
    (player,) = game.players
    assert player.inventory.free_slots == 0
    assert not set(CARRIED) - set(player.items["slot"].tolist())


def test_how_many_items_players_start_with():
    rng = random.Random(1)
    counts = [item_count_of(index, rng) for index in range(100)]
    assert counts[:2] == [40, FULL]
    assert counts.count(FULL) == 5
    assert all(20 <= count <= 40 for count in counts if count != FULL)


def test_more_than_fits():
    with pytest.raises(ValueError, match="120"):
        starting_items(1, FULL + 1, 1, random.Random(1), game_items(), np.arange)


def test_deeds_of_several_worlds():
    games = Game(30), Game(30, seed=2)
    for game in games:
        game.players[0].play(10)
    one, other = (game.log.tally for game in games)
    both = together([one, other, {}])
    assert set(both) == {*one, *other}
    for name, found in both.items():
        counts = [tally[name] for tally in (one, other) if name in tally]
        assert found.done == sum(each.done for each in counts)
        assert found.refused == sum(each.refused for each in counts)
        assert len(found.durations_us) == found.done + found.refused
