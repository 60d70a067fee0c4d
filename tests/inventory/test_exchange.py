"""Items between two inventories: everything or nothing, and as they are."""

import pytest
from aggregates import (
    BAG_1,
    BANK,
    CLOTH,
    INSIDE_1,
    MAIN_HAND,
    PACK,
    POTION,
    POUCH,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
    held,
    item,
)

from mmoinv.errors import InventoryError
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory import PlayerState
from mmoinv.inventory.templates import BOUND
from mmoinv.records import InventoryItemData, batch_of


@pytest.fixture
def game():
    return Game()


@pytest.fixture
def pair(game):
    return game.inventory(7), game.inventory(8)


def fill(inventory, entry=SWORD):
    while inventory.add_items(entry):
        pass
    return inventory


def test_items_keep_guid_creator_durability_and_properties(pair):
    one, other = pair
    one.add_items(one.catalog[SWORD], 1, creator=99)
    one.change_item(PACK, durability=3, random_property_index=4, random_suffix_index=5)
    given = item(one, PACK)
    assert one.transfer([PACK], other)
    assert item(other, PACK) == given._replace(contained=8)
    assert len(one) == 0


def test_two_full_inventories_exchange_items(pair):
    one, other = map(fill, pair)
    mine, theirs = item(one, PACK + 3), item(other, PACK + 9)
    assert one.exchange([PACK + 3], other, [PACK + 9])
    assert item(one, PACK + 3).item_guid == theirs.item_guid
    assert item(other, PACK + 9).item_guid == mine.item_guid


def test_what_does_not_all_fit_is_not_given_at_all(pair):
    one, other = pair
    one.add_items(SWORD, 3)
    fill(other)
    other.remove(PACK)
    other.remove(PACK + 1)
    before = one.items.tobytes(), other.items.tobytes()
    assert one.transfer([PACK, PACK + 1, PACK + 2], other).error is Failure.INVENTORY_FULL
    assert (one.items.tobytes(), other.items.tobytes()) == before
    assert not one.saved.tied
    assert one.transfer([PACK, PACK + 1], other)


def test_stacks_merge_under_the_receivers_rules(pair):
    one, other = pair
    one.add_items(POTION, 4)
    other.add_items(POTION, 3)
    guid = item(one, PACK).item_guid
    assert one.transfer([PACK], other)
    assert held(other) == {PACK: (POTION, 5), PACK + 1: (POTION, 2)}
    assert item(other, PACK + 1).item_guid == guid
    other.add_items(POTION, 2)
    assert other.transfer([PACK, PACK + 1], one)
    assert one.count(POTION) == 9


@pytest.mark.parametrize("amount", [1, 5])
def test_a_stack_that_is_merged_whole_leaves_its_guid_behind(pair, amount):
    one, other = pair
    one.add_items(POTION, amount)
    other.add_items(POTION, 5)
    other.remove(PACK, amount if amount < 5 else 4)
    assert one.transfer([PACK], other)
    assert other.count(POTION) == 5 if amount == 1 else 6
    guids = [entry.item_guid for entry in (*one, *other)]
    assert len(set(guids)) == len(guids)


def test_what_cannot_be_given(pair):
    one, other = pair
    one.add_items(POUCH)
    one.equip(PACK)
    one.add_items(SWORD)
    one.equip(PACK)
    one.add_items(CLOTH)
    one.move(PACK, BANK)
    one.add_items(SWORD)
    one.change_item(PACK, item_flags=BOUND)
    one.add_items(SWORD)
    one.lock(PACK + 1)
    before = one.items.tobytes(), other.items.tobytes()
    for slot, failure in (
        (BAG_1, Failure.CANT_TRADE_EQUIP_BAGS),
        (MAIN_HAND, Failure.CANNOT_TRADE_THAT),
        (BANK, Failure.CANNOT_TRADE_THAT),
        (PACK, Failure.CANNOT_TRADE_THAT),
        (PACK + 1, Failure.ITEM_LOCKED),
        (PACK + 2, Failure.SLOT_IS_EMPTY),
    ):
        assert one.transfer([slot], other).error is failure
    assert (one.items.tobytes(), other.items.tobytes()) == before


def test_one_item_is_not_given_twice(pair):
    one, other = pair
    one.add_items(SWORD)
    assert one.transfer([PACK, PACK], other).error is Failure.SLOT_IS_EMPTY
    assert len(one) == 1
    assert len(other) == 0


def test_the_receiver_keeps_to_the_max_count(pair):
    one, other = pair
    one.add_items(TROPHY, 2)
    other.add_items(TROPHY)
    assert one.transfer([PACK, PACK + 1], other).error is Failure.CANT_CARRY_MORE_OF_THIS
    assert one.transfer([PACK], other)
    assert one.exchange([PACK + 1], other, [PACK]), "what it gives makes room"


def test_items_go_into_the_receivers_bags(pair):
    one, other = pair
    other.add_items(POUCH)
    other.equip(PACK)
    fill(other)
    other.remove(INSIDE_1 + 1)
    one.add_items(SWORD)
    assert one.transfer([PACK], other)
    assert item(other, INSIDE_1 + 1).contained == item(other, BAG_1).item_guid


def test_what_no_template_knows_is_given_as_it_is(game):
    one = game.loaded(7, batch_of(InventoryItemData(UNKNOWN, PACK, 300, item_guid=5000)))
    other = game.inventory(8)
    assert one.transfer([PACK], other)
    assert item(other, PACK) == InventoryItemData(UNKNOWN, PACK, 300, contained=8, item_guid=5000)


@pytest.mark.parametrize("who", [0, 1])
def test_the_dead_do_not_trade(game, who):
    owners = PlayerState(level=10), PlayerState(level=10)
    one, other = (game.inventory(7 + n, owner=owner) for n, owner in enumerate(owners))
    one.add_items(SWORD)
    owners[who].is_alive = False
    assert one.transfer([PACK], other).error is Failure.YOU_ARE_DEAD


def test_nobody_trades_with_himself(game, pair):
    one, _ = pair
    with pytest.raises(InventoryError, match="itself"):
        one.transfer([PACK], one)
    with pytest.raises(InventoryError, match="itself"):
        one.transfer([PACK], game.inventory(7))
