"""The inventory as a whole: what it shows, what it tells, and what it says of itself."""

import logging

import numpy as np
import pytest
from aggregates import (
    BANK,
    CATALOG,
    CLOTH,
    FINGER_1,
    HELM,
    MAIN_HAND,
    PACK,
    POTION,
    RING,
    SWORD,
    TROPHY,
    UNKNOWN,
    Game,
    HeldBackRepository,
    held,
    item,
)

from mmoinv import codec
from mmoinv.errors import InventoryError, RecordError
from mmoinv.inventory import (
    Inventory,
    ItemEventKind,
    NotStored,
    PlayerState,
    save_together,
)
from mmoinv.inventory import InventoryChangeFailure as Failure
from mmoinv.records import InventoryItemData, batch_of, empty_batch


class Diary:
    """`EquipmentEffects` that are written down."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def equipped(self, item, template) -> None:
        self.lines.append(("on", template.entry, item.slot))

    def unequipped(self, item, template) -> None:
        self.lines.append(("off", template.entry, item.slot))

    def item_set_changed(self, item_set, pieces) -> None:
        self.lines.append(("set", item_set, pieces))


@pytest.fixture
def game() -> Game:
    return Game()


@pytest.fixture
def inventory(game: Game) -> Inventory:
    return game.inventory()


def test_items_are_read_only_and_stay_as_they_are(inventory):
    inventory.add_items(SWORD)
    items = inventory.items
    before = items.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        items["stack_count"] = 9
    inventory.remove(PACK)
    assert items.tobytes() == before
    assert len(inventory.items) == 0


def test_what_is_committed_is_read_only(game):
    batch = batch_of(InventoryItemData(SWORD, PACK, item_guid=1))
    for inventory in (game.inventory(), game.loaded(7, batch)):
        with pytest.raises(ValueError, match="read-only"):
            inventory.committed["entry"] = 9
    batch["entry"] = 9
    assert inventory.committed["entry"].tolist() == [SWORD]


def test_changes_are_what_turns_the_committed_into_the_present(game):
    first = batch_of(
        InventoryItemData(SWORD, PACK, contained=7, item_guid=1),
        InventoryItemData(CLOTH, PACK + 1, contained=7, item_guid=2),
    )
    inventory = game.loaded(7, first)
    assert not inventory.is_dirty
    inventory.move(PACK, PACK + 4)
    saves, deletes = inventory.changes()
    assert (saves["slot"].tolist(), deletes.tolist()) == ([PACK + 4], [PACK])
    assert inventory.is_dirty
    present = codec.apply_changes(first, saves, deletes)
    assert present.tobytes() == inventory.items.tobytes()
    inventory.move(PACK + 4, PACK)
    assert not inventory.is_dirty


def test_what_it_holds_is_asked_like_a_collection(inventory):
    inventory.add_items(POTION, 7)
    assert len(inventory) == 2
    assert [item.stack_count for item in inventory] == [5, 2]
    assert PACK in inventory
    assert PACK + 2 not in inventory
    assert inventory.get(PACK + 2) is None
    assert (inventory.count(POTION), inventory.count(SWORD)) == (7, 0)
    assert inventory.free_slots == 14


def test_a_character_guid_is_a_u64(game):
    assert game.inventory(2**64 - 1).character_guid == 2**64 - 1
    with pytest.raises(RecordError):
        game.inventory(2**64)


def test_an_entry_that_no_template_knows_cannot_be_made(inventory):
    with pytest.raises(InventoryError, match="no template"):
        inventory.add_items(UNKNOWN)


def test_its_repr_says_whether_it_is_dirty(inventory):
    assert repr(inventory) == "<Inventory of character 7: 0 items, committed>"
    inventory.add_items(SWORD)
    assert repr(inventory) == "<Inventory of character 7: 1 items, dirty>"


# Beside the rules


def test_a_locked_item_stays_and_is_saved_unlocked(inventory):
    inventory.add_items(SWORD)
    saved = inventory.items.tobytes()
    (change,) = inventory.lock(PACK).value
    assert change.after.item_flags == 0x4000_0000
    assert inventory.lock(PACK).value == ()
    for result in (inventory.move(PACK, PACK + 1), inventory.sell(PACK), inventory.remove(PACK)):
        assert result.error is Failure.ITEM_LOCKED
    assert inventory.items.tobytes() == saved
    inventory.lock(PACK, is_locked=False)
    assert inventory.move(PACK, PACK + 1)
    assert inventory.lock(PACK).error is Failure.SLOT_IS_EMPTY


def test_fields_that_no_rule_is_about_can_be_set(inventory):
    inventory.add_items(SWORD)
    assert inventory.change_item(PACK, durability=3, random_property_index=4, creator=5)
    assert item(inventory, PACK)[3:7] == (5, 7, 3, 4)
    assert inventory.items["durability"].tolist() == [3]
    assert inventory.change_item(PACK + 1, durability=3).error is Failure.SLOT_IS_EMPTY
    before = inventory.items.tobytes()
    with pytest.raises(InventoryError, match="entry, item_guid cannot be set"):
        inventory.change_item(PACK, item_guid=5, entry=6)
    with pytest.raises(InventoryError, match="nothing was changed"):
        inventory.change_item(PACK, durability=2**32)
    assert inventory.items.tobytes() == before


def test_what_would_fit_is_told_item_by_item(inventory):
    assert inventory.can_store([(POTION, 80)])
    outlook = inventory.can_store([(TROPHY, 3), (POTION, 71), (UNKNOWN, 2)])
    assert outlook.not_stored == (
        NotStored(0, TROPHY, 1, Failure.CANT_CARRY_MORE_OF_THIS),
        NotStored(1, POTION, 1, Failure.INVENTORY_FULL),
        NotStored(2, UNKNOWN, 2, Failure.ITEM_NOT_FOUND),
    )
    other = Game().inventory()
    other.add_items(SWORD, 16)
    assert inventory.can_store(other.items)
    assert len(inventory) == 0
    inventory.add_items(SWORD)
    assert not inventory.can_store(other.items)


def test_what_may_not_be_worn_any_more_is_found(game):
    owner = PlayerState(level=10)
    inventory = game.inventory(owner=owner)
    for entry in (HELM, SWORD):
        inventory.add_items(entry)
        assert inventory.equip(PACK)
    assert inventory.unusable_equipment() == []
    owner.level = 1
    inventory.change_item(MAIN_HAND, durability=0)
    unusable = [(item.entry, why) for item, why in inventory.unusable_equipment()]
    assert unusable == [(HELM, Failure.CANT_EQUIP_LEVEL), (SWORD, Failure.CANT_DO_RIGHT_NOW)]


# Who is told


def test_what_is_worn_is_told_at_login_and_when_it_changes(game):
    diary = Diary()
    worn = batch_of(
        InventoryItemData(SWORD, MAIN_HAND, contained=7, durability=20, item_guid=100),
        InventoryItemData(RING, FINGER_1, contained=7, item_guid=101),
        InventoryItemData(UNKNOWN, FINGER_1 + 1, contained=7, item_guid=102),
        InventoryItemData(SWORD, PACK, contained=7, durability=20, item_guid=103),
    )
    inventory = game.loaded(7, worn, effects=diary)
    assert diary.lines == []
    inventory.tell_worn()
    assert diary.lines == [("on", RING, FINGER_1), ("on", SWORD, MAIN_HAND)]
    diary.lines.clear()
    inventory.swap(PACK, MAIN_HAND)
    assert diary.lines == [("off", SWORD, MAIN_HAND), ("on", SWORD, MAIN_HAND)]


def test_a_rollback_is_told_to_effects(game):
    diary = Diary()
    inventory = game.inventory(effects=diary)
    inventory.add_items(SWORD)
    inventory.equip(PACK)
    inventory.rollback()
    assert diary.lines == [("on", SWORD, MAIN_HAND), ("off", SWORD, MAIN_HAND)]


def test_a_listener_that_raises_is_logged_and_disturbs_nobody(inventory, caplog):
    seen = []

    def broken(*_) -> None:
        raise ValueError("broken listener")

    inventory.subscribe(broken)
    end = inventory.subscribe(lambda _, events: seen.extend(events))
    with caplog.at_level(logging.ERROR):
        assert inventory.add_items(SWORD)
    assert "broken listener" in caplog.text
    assert [event.kind for event in seen] == [ItemEventKind.CREATED]
    end()
    inventory.remove(PACK)
    assert len(seen) == 1


def test_effects_that_raise_are_logged(game, caplog):
    class Broken(Diary):
        def equipped(self, item, template) -> None:
            raise ValueError("broken effects")

    inventory = game.inventory(effects=Broken())
    inventory.add_items(SWORD)
    with caplog.at_level(logging.ERROR):
        assert inventory.equip(PACK)
    assert "broken effects" in caplog.text
    assert MAIN_HAND in inventory


def test_nobody_is_told_of_what_was_refused_or_changes_nothing(inventory):
    seen = []
    inventory.subscribe(lambda _, events: seen.append(events))
    assert not inventory.remove(PACK)
    assert inventory.sort()
    inventory.rollback()
    assert seen == []


def test_who_saves_when_told_of_an_exchange_saves_all_of_it(game):
    repository = HeldBackRepository()
    one, other = game.inventory(7), game.inventory(8)
    one.add_items(SWORD)
    save_together([one, other], repository)
    repository.answer_all()
    one.subscribe(lambda inventory, _: inventory.save(repository))
    one.transfer([PACK], other)
    (_, changes) = repository.waiting[0]
    assert [change.character_guid for change in changes] == [7, 8]
    repository.answer_all()
    assert repository.item_count == 1


def test_who_saves_when_told_of_a_rollback_saves_all_of_it(game):
    repository = HeldBackRepository()
    one, other = game.inventory(7), game.inventory(8)
    one.add_items(SWORD)
    one.save(repository)
    repository.answer()
    one.transfer([PACK], other)
    one.subscribe(lambda inventory, _: save_together([inventory, other], repository))
    one.rollback()
    repository.answer_all()
    assert repository.item_count == 1
    assert not other.is_dirty


def test_nobody_exchanges_items_with_oneself(game, inventory):
    for other in (inventory, game.inventory(7)):
        with pytest.raises(InventoryError, match="with itself"):
            inventory.transfer([PACK], other)


def test_what_is_refused_of_an_exchange_changes_neither(game):
    one, other = game.inventory(7), game.inventory(8)
    one.add_items(CATALOG[SWORD], 16)
    other.add_items(CLOTH)
    before = held(one), held(other)
    assert other.transfer([PACK], one).error is Failure.INVENTORY_FULL
    assert one.exchange([PACK, PACK], other, []).error is Failure.SLOT_IS_EMPTY
    assert one.transfer([BANK], other).error is Failure.SLOT_IS_EMPTY
    assert (held(one), held(other)) == before
    # Room is what there is once both have given.
    assert one.exchange([PACK], other, [PACK])


def test_traded_items_keep_what_they_are(game):
    given = InventoryItemData(SWORD, PACK, 1, 5, 7, 6, 4, 3, 2, 99)
    one, other = game.loaded(7, batch_of(given)), game.loaded(8, empty_batch())
    assert one.transfer([PACK], other)
    assert item(other, PACK) == given._replace(contained=8)


def test_what_was_loaded_may_be_changed_afterwards(game):
    records = np.zeros(2, batch_of(InventoryItemData(SWORD, PACK)).dtype)
    records["entry"], records["stack_count"] = SWORD, 1
    records["slot"], records["item_guid"] = (PACK + 1, PACK), (1, 2)
    inventory = game.loaded(7, records)
    records["entry"] = CLOTH
    assert inventory.count(SWORD) == 2


def test_strange_records_are_in_the_log_once_and_not_all_of_them(game, caplog):
    def load(count: int) -> str:
        caplog.clear()
        game.loaded(
            7,
            batch_of(
                *(InventoryItemData(UNKNOWN, PACK + n, item_guid=n + 1) for n in range(count))
            ),
        )
        return caplog.text

    assert load(0) == ""
    assert "character 7: its stored records are strange in 2 ways" in load(2)
    text = load(9)
    assert len(caplog.records) == 1
    assert text.count("no template knows that entry") == 5
    assert text.rstrip().endswith("; ...")
