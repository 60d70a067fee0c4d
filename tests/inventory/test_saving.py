"""What is dirty, what is on its way, and who is saved together: nothing is lost, nothing doubled,
whatever is refused and in whatever order answers come."""

from itertools import pairwise

import pytest
from aggregates import (
    BANK,
    CLOTH,
    PACK,
    POTION,
    SWORD,
    TROPHY,
    Game,
    HeldBackRepository,
    held,
)

from mmoinv.errors import (
    DuplicateItemGuidError,
    InventoryError,
    LinkBusyError,
    VersionConflictError,
)
from mmoinv.inventory import Inventory, InventoryChangeFailure, save_together
from mmoinv.inventory.saving import MAX_TIED, tied_to
from mmoinv.repository import InMemoryInventoryRepository, InventoryRepository


def is_stored(inventory: Inventory, repository: InventoryRepository) -> bool:
    """Whether what is stored of it is what it holds."""
    stored = repository.load_items(inventory.character_guid)
    return stored.tobytes() == inventory.items.tobytes()


@pytest.fixture
def game() -> Game:
    return Game()


@pytest.fixture
def repository() -> HeldBackRepository:
    return HeldBackRepository()


def stocked(game: Game, repository: HeldBackRepository, *characters: int) -> list[Inventory]:
    """Inventories with a sword and three potions each, saved."""
    inventories = [game.inventory(character) for character in characters]
    for inventory in inventories:
        assert inventory.add_items(SWORD)
        assert inventory.add_items(POTION, 3)
        inventory.save(repository)
    repository.answer_all()
    return inventories


def test_dirty_until_the_answer_and_not_a_moment_longer(game, repository):
    inventory = game.inventory()
    inventory.add_items(SWORD)
    seen = []
    handle = inventory.save(repository, reason=3)
    handle.add_done_callback(lambda _: seen.append((inventory.is_dirty, inventory.is_saving)))
    assert (inventory.is_dirty, inventory.is_saving, inventory.is_submitted) == (True, True, True)
    repository.answer()
    assert seen == [(False, False)]
    assert is_stored(inventory, repository)


def test_with_nothing_new_a_save_gives_the_handle_of_the_one_underway(game, repository):
    inventory = game.inventory()
    assert inventory.save(repository).done
    inventory.add_items(SWORD)
    handle = inventory.save(repository)
    assert inventory.save(repository) is handle
    assert len(repository.waiting) == 1
    repository.answer()
    assert inventory.save(repository).done
    assert repository.waiting == []


def test_a_refused_save_is_carried_by_the_next_one(game, repository):
    inventory = game.inventory()
    inventory.add_items(SWORD)
    handle = inventory.save(repository)
    repository.refuse()
    assert isinstance(handle.exception, VersionConflictError)
    assert (inventory.is_dirty, inventory.is_saving, inventory.is_submitted) == (True, False, False)
    inventory.save(repository)
    repository.answer()
    assert not inventory.is_dirty
    assert is_stored(inventory, repository)


def test_a_guid_that_exists_elsewhere_is_refused_and_stays_dirty(game):
    repository = InMemoryInventoryRepository(names_items=True)
    one, other = game.inventory(7), Game().inventory(8)
    for inventory in (one, other):
        inventory.add_items(SWORD)
    one.save(repository)
    assert isinstance(other.save(repository).exception, DuplicateItemGuidError)
    assert other.is_dirty
    assert not one.is_dirty
    assert len(repository.load_items(8)) == 0


def test_an_item_that_moves_on_while_a_save_is_underway_is_stored_once(game, repository):
    (inventory,) = stocked(game, repository, 7)
    for target in (PACK + 5, PACK + 6, BANK):
        (slot,) = [item.slot for item in inventory if item.entry == SWORD]
        inventory.move(slot, target)
        inventory.save(repository)
    assert len(repository.waiting) == 3
    repository.answer_all()
    assert is_stored(inventory, repository)
    assert not inventory.is_dirty


def test_what_is_taken_back_while_a_save_is_underway_is_taken_back(game, repository):
    inventory = game.inventory()
    command = inventory.commands.add(inventory.catalog[SWORD])
    command.execute()
    inventory.save(repository)
    command.undo()
    assert not inventory.is_dirty
    assert not inventory.is_submitted
    inventory.save(repository)
    repository.answer_all()
    assert len(repository.load_items(7)) == 0


def test_those_behind_a_refused_save_go_with_it(game, repository):
    (inventory,) = stocked(game, repository, 7)
    inventory.move(PACK, PACK + 5)
    inventory.save(repository)
    inventory.move(PACK + 5, PACK + 6)
    inventory.save(repository)
    repository.refuse()
    assert not inventory.is_saving
    inventory.save(repository)
    (_, (again,)) = repository.waiting[0]
    assert again.deletes.tolist() == [PACK]
    repository.answer()
    assert is_stored(inventory, repository)


def test_saved_again_from_the_callback_of_a_refusal(game, repository):
    (inventory,) = stocked(game, repository, 7)
    inventory.move(PACK, PACK + 5)
    first = inventory.save(repository)
    first.add_done_callback(lambda _: inventory.save(repository))
    inventory.move(PACK + 5, PACK + 6)
    inventory.save(repository)
    repository.refuse()
    assert len(repository.waiting) == 1
    repository.answer()
    assert not inventory.is_dirty
    assert is_stored(inventory, repository)


def test_an_emptied_inventory_is_empty_after_the_next_load(game, repository):
    (inventory,) = stocked(game, repository, 7)
    for slot in (PACK, PACK + 1):
        assert inventory.remove(slot)
    inventory.save(repository)
    repository.answer()
    assert len(game.loaded(7, repository.load_items(7))) == 0


@pytest.mark.parametrize("saver", [0, 1])
def test_either_one_of_an_exchange_saves_both_in_one_operation(game, repository, saver):
    pair = stocked(game, repository, 7, 8)
    assert pair[0].exchange([PACK], pair[1], [PACK + 1])
    handle = pair[saver].save(repository)
    assert handle.character_guids == (7, 8)
    assert len(repository.waiting) == 1
    repository.answer()
    for inventory in pair:
        assert not inventory.is_dirty
        assert is_stored(inventory, repository)


def test_after_a_commit_of_both_each_is_saved_alone(game, repository):
    one, other = stocked(game, repository, 7, 8)
    one.transfer([PACK], other)
    one.save(repository)
    one.add_items(CLOTH)
    assert one.save(repository).character_guids == (7,)
    repository.answer_all()
    other.add_items(CLOTH)
    assert other.save(repository).character_guids == (8,)
    repository.answer_all()
    assert is_stored(one, repository)
    assert is_stored(other, repository)


def test_an_exchange_of_nothing_ties_nobody(game, repository):
    one, other = stocked(game, repository, 7, 8)
    assert one.transfer([], other).value == ()
    assert other.exchange([], one, []).value == ()
    assert tied_to([one]) == [one]
    one.add_items(CLOTH)
    other.add_items(CLOTH)
    assert one.save(repository).character_guids == (7,)
    assert other.save(repository).character_guids == (8,)


def test_after_a_refusal_both_are_saved_together_again(game, repository):
    one, other = stocked(game, repository, 7, 8)
    one.transfer([PACK], other)
    one.save(repository)
    repository.refuse()
    assert other.save(repository).character_guids == (7, 8)
    repository.answer()
    one.add_items(CLOTH)
    assert one.save(repository).character_guids == (7,)


def test_ties_reach_from_hand_to_hand(game, repository):
    one, two, three, four = stocked(game, repository, 7, 8, 9, 10)
    one.transfer([PACK], two)
    three.transfer([PACK], two)
    four.add_items(CLOTH)
    assert one.save(repository).character_guids == (7, 8, 9)
    repository.refuse()
    assert three.save(repository).character_guids == (7, 8, 9)


def test_a_refusal_ties_those_behind_it_too(game, repository):
    one, two, three = stocked(game, repository, 7, 8, 9)
    one.transfer([PACK], two)
    one.save(repository)
    two.transfer([PACK], three)
    assert three.save(repository).character_guids == (8, 9)
    repository.refuse()
    assert one.save(repository).character_guids == (7, 8, 9)
    repository.answer()
    for inventory in (one, two, three):
        assert is_stored(inventory, repository)


def test_nothing_is_taken_if_the_link_is_busy(game, repository):
    one, other = stocked(game, repository, 7, 8)
    one.transfer([PACK], other)
    repository.is_full = True
    with pytest.raises(LinkBusyError):
        one.save(repository)
    assert (one.is_dirty, one.is_saving, one.is_submitted) == (True, False, False)
    repository.is_full = False
    assert other.save(repository).character_guids == (7, 8)
    repository.answer()
    assert is_stored(one, repository)


def test_a_rollback_takes_along_whom_it_exchanged_items_with(game, repository):
    one, two, three = stocked(game, repository, 7, 8, 9)
    before = [held(inventory) for inventory in (one, two, three)]
    one.transfer([PACK], two)
    two.transfer([PACK], three)
    assert three.rollback() == [one, two, three]
    assert [held(inventory) for inventory in (one, two, three)] == before
    assert not any(inventory.is_dirty for inventory in (one, two, three))
    one.add_items(CLOTH)
    assert one.save(repository).character_guids == (7,)


def test_save_together_carries_whomever_it_is_given(game, repository):
    one, other = stocked(game, repository, 7, 8)
    for inventory in (one, other):
        inventory.add_items(CLOTH)
    assert save_together([other, one], repository).character_guids == (7, 8)
    with pytest.raises(InventoryError, match="two inventories of one character"):
        save_together([one, game.inventory(7)], repository)


# One who gave what came back is unchanged, and no part of the save.


def passed_on(game: Game, repository: HeldBackRepository) -> tuple[Inventory, Inventory]:
    """The second one has a save underway, and nothing new: what it got it gave back."""
    one, other = stocked(game, repository, 7, 8)
    other.add_items(TROPHY)
    other.save(repository)
    one.transfer([PACK], other)
    other.transfer([PACK + 3], one)
    one.add_items(CLOTH)
    assert one.save(repository).character_guids == (7,)
    return one, other


def test_one_who_is_unchanged_is_not_taken_for_stored_by_anothers_answer(game, repository):
    _, other = passed_on(game, repository)
    repository.answer(1)
    assert other.is_dirty
    repository.refuse()
    assert other.is_dirty
    other.save(repository)
    repository.answer_all()
    assert is_stored(other, repository)


def test_one_who_is_unchanged_takes_no_other_along_when_refused(game, repository):
    one, _ = passed_on(game, repository)
    repository.refuse()
    repository.answer()
    assert not one.is_dirty
    one.remove(PACK)
    one.save(repository)
    repository.answer_all()
    assert is_stored(one, repository)


def test_a_rollback_does_not_take_back_what_is_underway(game, repository):
    one, other = stocked(game, repository, 7, 8)
    one.transfer([PACK + 1], other)
    one.save(repository)
    one.add_items(CLOTH)
    assert one.rollback() == [one]
    # The potions are with the other one, on its stack: here again they would be twice.
    assert one.count(POTION) + other.count(POTION) == 6
    repository.answer()
    assert not one.is_dirty
    assert is_stored(one, repository)


def test_after_its_refusal_a_rollback_takes_back_what_was_underway(game, repository):
    one, other = stocked(game, repository, 7, 8)
    one.transfer([PACK + 1], other)
    one.save(repository)
    one.rollback()
    repository.refuse()
    assert other.rollback() == [one, other]
    assert (one.count(POTION), other.count(POTION)) == (3, 3)
    assert not one.is_dirty


def test_a_save_of_another_thread_between_a_refusal_and_its_callback(game, repository):
    inventory = game.inventory()
    inventory.add_items(SWORD)
    inventory.save(repository)
    inventory.move(PACK, PACK + 1)
    # It builds upon what is refused already, and is committed none the less.
    repository.refuse(meanwhile=lambda: inventory.save(repository))
    inventory.remove(PACK + 1)
    inventory.add_items(CLOTH)
    inventory.save(repository)
    repository.answer_all()
    inventory.save(repository)
    repository.answer_all()
    assert is_stored(inventory, repository)
    assert not inventory.is_dirty


def test_no_more_inventories_are_tied_than_one_save_takes(game, repository):
    crowd = [game.inventory(guid) for guid in range(1, MAX_TIED + 2)]
    for giver, receiver in pairwise(crowd[:-1]):
        giver.add_items(SWORD)
        assert giver.transfer([PACK], receiver)
        receiver.move(PACK, BANK)
    assert len(tied_to(crowd[:1])) == MAX_TIED
    crowd[0].add_items(SWORD)
    assert crowd[0].transfer([PACK], crowd[-1]).error is InventoryChangeFailure.CANT_DO_RIGHT_NOW
    assert crowd[0].transfer([PACK], crowd[1]), "they are tied already"
    crowd[5].save(repository)
    repository.answer_all()
    assert not any(one.is_dirty for one in crowd)
    crowd[0].add_items(SWORD)
    assert crowd[0].transfer([PACK], crowd[-1])
