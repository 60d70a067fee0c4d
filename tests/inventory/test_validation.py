"""Each check alone: it names the failure and changes nothing."""

import pytest
from aggregates import (
    ARROW,
    BAG_1,
    BANK,
    CATALOG,
    GREATSWORD,
    HEAD,
    HELM,
    INSIDE_1,
    MAIN_HAND,
    OFF_HAND,
    PACK,
    POTION,
    POUCH,
    QUIVER,
    SHIELD,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
)

from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.inventory import ItemTemplate, PlayerState
from mmoinv.inventory.templates import DISABLED
from mmoinv.inventory.validation import (
    combat_failure,
    count_failure,
    lock_failure,
    place_failure,
    player_failure,
    quiver_failure,
    requirement_failure,
    worn_together_failure,
)
from mmoinv.records import InventoryItemData, batch_of


def of(entry: int, slot: int = PACK, guid: int = 1) -> InventoryItemData:
    return InventoryItemData(entry, slot, item_guid=guid)


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        ({}, Failure.OKAY),
        ({"is_alive": False}, Failure.YOU_ARE_DEAD),
        ({"is_stunned": True}, Failure.YOU_ARE_STUNNED),
        ({"is_alive": False, "is_stunned": True}, Failure.YOU_ARE_DEAD),
        ({"is_in_combat": True}, Failure.OKAY),
    ],
)
def test_the_state_of_the_player(state, failure):
    assert player_failure(PlayerState(**state)) is failure


@pytest.mark.parametrize(
    ("level", "proficiencies", "failure"),
    [
        (4, {3}, Failure.CANT_EQUIP_LEVEL),
        (5, set(), Failure.NO_REQUIRED_PROFICIENCY),
        (5, {2}, Failure.NO_REQUIRED_PROFICIENCY),
        (5, {3}, Failure.OKAY),
        (60, {2, 3}, Failure.OKAY),
    ],
)
def test_what_a_template_requires(level, proficiencies, failure):
    template = ItemTemplate(1, "thing", required_level=5, proficiency=3)
    owner = PlayerState(level=level, proficiencies=proficiencies)
    assert requirement_failure(template, owner) is failure


def test_only_locked_items_are_locked():
    assert lock_failure(of(SWORD)) is Failure.OKAY
    assert lock_failure(of(SWORD)._replace(item_flags=DISABLED | 1)) is Failure.ITEM_LOCKED


def test_how_many_there_may_be():
    inventory = Game().loaded(7, batch_of(of(TROPHY, BANK)))
    draft = inventory.draft()
    assert count_failure(draft, CATALOG[TROPHY], 1) is Failure.OKAY
    assert count_failure(draft, CATALOG[TROPHY], 2) is Failure.CANT_CARRY_MORE_OF_THIS
    assert count_failure(draft, CATALOG[POTION], 10**6) is Failure.OKAY


@pytest.mark.parametrize(
    ("entry", "slot", "failure"),
    [
        (SWORD, PACK, Failure.OKAY),
        (UNKNOWN, BANK, Failure.OKAY),
        (SWORD, MAIN_HAND, Failure.OKAY),
        (SWORD, OFF_HAND, Failure.CANT_DUAL_WIELD),
        (SWORD, HEAD, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (UNKNOWN, HEAD, Failure.ITEM_CANT_BE_EQUIPPED),
        (HELM, HEAD, Failure.CANT_EQUIP_LEVEL),
        (POUCH, BAG_1 + 1, Failure.OKAY),
        (UNKNOWN, BAG_1 + 1, Failure.NOT_A_BAG),
        (ARROW, INSIDE_1 + 1, Failure.OKAY),
        (SWORD, INSIDE_1 + 1, Failure.ONLY_AMMO_CAN_GO_HERE),
        (ARROW, INSIDE_1 + 2, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (SWORD, (20 << 8), Failure.ITEM_DOES_NOT_GO_TO_SLOT),
        (SWORD, 0, Failure.ITEM_DOES_NOT_GO_TO_SLOT),
    ],
)
def test_where_an_item_may_be(entry, slot, failure):
    inventory = Game().loaded(7, batch_of(of(QUIVER, BAG_1)), owner=PlayerState(level=1))
    assert place_failure(inventory.draft(), of(entry), slot) is failure


def test_what_goes_into_a_quiver():
    assert quiver_failure(CATALOG[ARROW]) is Failure.OKAY
    assert quiver_failure(CATALOG[POTION]) is Failure.ONLY_AMMO_CAN_GO_HERE
    assert quiver_failure(None) is Failure.ONLY_AMMO_CAN_GO_HERE


@pytest.mark.parametrize("slot", [HEAD, MAIN_HAND, OFF_HAND, BAG_1, PACK, BANK, INSIDE_1])
def test_what_changes_in_combat(slot):
    expected = Failure.NOT_IN_COMBAT if slot in (HEAD, BAG_1) else Failure.OKAY
    assert combat_failure(PlayerState(is_in_combat=True), slot) is expected
    assert combat_failure(PlayerState(), slot) is Failure.OKAY


@pytest.mark.parametrize(
    ("worn", "failure"),
    [
        ([(SWORD, MAIN_HAND), (SHIELD, OFF_HAND)], Failure.OKAY),
        ([(GREATSWORD, MAIN_HAND), (SHIELD, OFF_HAND)], Failure.CANT_EQUIP_WITH_TWO_HANDED),
        ([(GREATSWORD, MAIN_HAND)], Failure.OKAY),
        ([(QUIVER, BAG_1), (POUCH, BAG_1 + 1)], Failure.OKAY),
        ([(QUIVER, BAG_1), (QUIVER, BAG_1 + 3)], Failure.CAN_EQUIP_ONLY_ONE_QUIVER),
        ([(UNKNOWN, MAIN_HAND), (UNKNOWN, OFF_HAND)], Failure.OKAY),
    ],
)
def test_what_is_worn_together(worn, failure):
    items = batch_of(*(of(entry, slot, place + 1) for place, (entry, slot) in enumerate(worn)))
    draft = Game().loaded(7, items).draft()
    assert worn_together_failure(draft, [slot for _, slot in worn]) is failure
    assert worn_together_failure(draft, [HEAD, PACK]) is Failure.OKAY, "only what is put on"
