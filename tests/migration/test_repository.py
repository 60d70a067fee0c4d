"""`MigratingRepository` as a game uses it: real threads, real files, a real realm, an old way that
hangs, fails and is slow."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from old_way import OldWay

from mmoinv import Autosave, AutosaveSettings, Inventory, InventoryUnitOfWork, ItemCatalog
from mmoinv.errors import BookError, JoinError
from mmoinv.inventory import ItemTemplate, PlayerState
from mmoinv.migration import (
    BookEntry,
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Rules,
    Side,
    WholeInventories,
)
from mmoinv.realm import RealmServer
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch
from mmoinv.world import RealmConnector

LEGACY, SHADOW, PRIMARY, NEW = MigrationMode
ONE, OTHER = 7, 2**63 + 8
BACKPACK = 0xFF17


def potions(*places: int, count: int = 1, base: int = 0) -> Batch:
    return batch_of(
        *(
            InventoryItemData(2589, BACKPACK + place, count, item_guid=base and base + place)
            for place in places
        )
    )


class Told:
    """A witness that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def committed(self, guid: int, mode: MigrationMode, decider: Side, operation_id: int) -> None:
        self.told.append(("committed", guid, mode, decider))

    def compared(self, guid, mode, decider, at, operation_id, expected, found, *money) -> bool:
        self.told.append(("compared", guid, at, expected["slot"].tolist(), found["slot"].tolist()))
        return False

    def missed(self, guid: int, side: Side, reason: str, operation_id: int | None) -> None:
        self.told.append(("missed", guid, side, reason))

    def made_up(self, guid: int, side: Side) -> None:
        self.told.append(("made up", guid, side))

    def flipped(self, guid: int, before: MigrationMode, after: MigrationMode) -> None:
        self.told.append(("flipped", guid, before, after))

    def used(self, guid: int, side: Side) -> None:
        self.told.append(("used", guid, side))

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [one[1:] for one in self.told if one[0] == what]


class Shard:
    """An old way, a realm, and a repository over both."""

    def __init__(self, folder: Path, realm: RealmServer, connector: RealmConnector) -> None:
        self.folder = folder
        self.realm = realm
        self.connector = connector
        self.old = OldWay(folder / "old.db")
        self.rules = ModeRules(Rules(SHADOW))
        self.book = FileBook(folder / "moving.book")
        self.witness = Told()
        self.moving = self.make()

    def make(self, **settings: Any) -> MigratingRepository:
        fast = {"retry_first_s": 0.05, "tick_s": 0.02, "follower_timeout_s": 0.3} | settings
        self.moving = MigratingRepository(
            WholeInventories(self.old.load, self.old.save),
            self.connector.repository(),
            rules=self.rules,
            book=self.book,
            evidence=self.witness,
            mint=self.connector.new_item_guids,
            join_new=self.connector.join,
            leave_new=self.connector.leave,
            settings=MigrationSettings(**fast),
        )
        return self.moving

    def base(self) -> int:
        """For new items of a test: a thousand guids."""
        return int(self.connector.new_item_guids(1000)[0])

    async def change(self, mode: MigrationMode) -> None:
        """Everybody to a mode, and there they are."""
        self.rules.set(Rules(mode))
        async with asyncio.timeout(10):
            while any(one.mode is not mode for one in self.moving._move.characters.values()):
                await asyncio.sleep(0.01)


@pytest.fixture
async def shard(tmp_path: Path) -> AsyncIterator[Shard]:
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0) as realm:
        secret = await realm.add_world("w")
        connector = RealmConnector("127.0.0.1", realm.port, world="w", secret=secret)
        async with connector:
            shard = Shard(tmp_path, realm, connector)
            yield shard
            shard.old.gate.set()
            shard.old.is_failing = False
            await shard.moving.close()


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_the_old_way_has_is_there_with_names_and_comes_to_the_new_one(shard):
    shard.old.save(ONE, potions(0, 1))
    joined = await shard.moving.join(ONE)
    assert joined.mode is SHADOW
    assert all(joined.items["item_guid"].tolist())
    assert await shard.moving.flush()
    assert shard.connector.repository().load_items(ONE).tobytes() == joined.items.tobytes()
    await shard.moving.leave(ONE)
    assert shard.book.read(ONE) == BookEntry(SHADOW, False, 0)
    # The names stay, though the old way keeps none.
    again = await shard.moving.join(ONE)
    assert again.items.tobytes() == joined.items.tobytes()
    assert shard.witness.of("compared")[-1][1] == "join"
    assert shard.witness.of("made up") == [(ONE, Side.NEW)]
    assert shard.witness.of("flipped") == [(ONE, LEGACY, SHADOW)]


async def test_in_the_mode_legacy_nothing_of_the_new_side_is_needed(shard):
    await shard.realm.close()
    shard.rules.set(Rules(LEGACY))
    shard.old.save(ONE, potions(0))
    joined = await shard.moving.join(ONE)
    named = joined.items.copy()
    named["stack_count"] = 9
    await shard.moving.save_all_items(ONE, named)
    (guid,) = shard.moving.new_item_guids()
    assert guid
    await shard.moving.leave(ONE)
    assert shard.old.load(ONE)["stack_count"].tolist() == [9]
    assert shard.witness.of("missed") == []


async def test_in_the_mode_new_the_old_side_is_not_touched(shard):
    shard.rules.set(Rules(NEW))
    await shard.moving.created(ONE)
    joined = await shard.moving.join(ONE)
    await shard.moving.save_all_items(ONE, potions(0, base=shard.base()))
    await shard.moving.leave(ONE)
    assert joined.mode is NEW
    assert (shard.old.loads, shard.old.saves) == (0, 0)
    assert {side for _, side in shard.witness.of("used")} == {Side.NEW}


@pytest.mark.parametrize("trouble", ["hangs", "fails", "is slow"])
async def test_the_side_that_does_not_decide_is_nobodys_trouble(shard, trouble):
    shard.rules.set(Rules(NEW))
    await shard.moving.created(ONE)
    shard.rules.set(Rules(PRIMARY))
    await shard.moving.join(ONE)
    await shard.moving.flush()
    base = shard.base()
    if trouble == "hangs":
        shard.old.gate.clear()
    shard.old.is_failing = trouble == "fails"
    shard.old.pause_s = 0.05 if trouble == "is slow" else 0.0
    for place in range(10):
        async with asyncio.timeout(1):
            await shard.moving.save_changes(ONE, potions(place, base=base))
    follower = shard.moving.followers[Side.LEGACY]
    if trouble != "is slow":
        await until(lambda: shard.book.read(ONE).is_behind and follower.missed_count)
        assert shard.book.behind() == [ONE]
    assert shard.moving.load_items(ONE)["slot"].tolist() == [BACKPACK + n for n in range(10)]
    shard.old.is_failing = False
    shard.old.gate.set()
    assert await shard.moving.flush(20)
    assert shard.old.load(ONE)["slot"].tolist() == [BACKPACK + n for n in range(10)]
    if trouble != "is slow":
        assert shard.witness.of("made up")[-1] == (ONE, Side.LEGACY)
        assert not shard.book.behind()
    # What came while a write was on its way was added up.
    assert shard.old.saves < 12


async def test_what_a_hanging_side_costs_is_bounded(shard):
    await shard.moving.close()
    moving = shard.make(max_waiting_records=20)
    await moving.join(ONE)
    await moving.flush()
    await shard.change(PRIMARY)
    base = shard.base()
    shard.old.gate.clear()
    for number in range(200):
        await moving.save_changes(ONE, potions(number % 16, count=number + 1, base=base))
    assert moving.followers[Side.LEGACY].waiting_records <= 23
    shard.old.gate.set()
    assert await moving.flush(20)
    assert (
        shard.old.load(ONE)["stack_count"].tolist()
        == moving.load_items(ONE)["stack_count"].tolist()
    )


async def test_a_login_waits_once_for_a_side_that_hangs(shard):
    await shard.moving.close()
    moving = shard.make(join_wait_s=0.2)
    shard.book.put({guid: BookEntry(PRIMARY, False) for guid in range(1, 40)})
    shard.rules.set(Rules(PRIMARY))
    shard.old.gate.clear()
    async with asyncio.timeout(3):
        for guid in range(1, 40):
            assert (await moving.join(guid)).mode is PRIMARY
    await moving.save_all_items(1, potions(0, base=shard.base()))
    shard.old.gate.set()
    assert await moving.flush(20)
    assert len(shard.old.load(1)) == 1


async def test_the_side_that_decides_must_let_a_character_in(shard):
    shard.old.is_failing = True
    with pytest.raises(ConnectionError):
        await shard.moving.join(ONE)
    with pytest.raises(JoinError):
        shard.moving.load_items(ONE)
    shard.old.is_failing = False
    await shard.moving.join(ONE)
    with pytest.raises(JoinError, match="already"):
        await shard.moving.join(ONE)
    await shard.connector.leave(ONE)  # The new side lost it: that is not the player's trouble.
    await shard.moving.save_item(ONE, potions(0, base=shard.base()))
    await shard.moving.leave(ONE)
    with pytest.raises(JoinError):
        await shard.moving.leave(ONE)


async def test_without_the_book_nobody_joins(shard):
    shard.book.close()
    with pytest.raises(BookError):
        await shard.moving.join(ONE)
    assert ONE not in [one.guid for one in shard.connector.characters]
    shard.book = FileBook(shard.folder / "moving.book")
    await shard.moving.close()
    await shard.make().join(ONE)


async def test_a_bug_in_the_writer_of_the_side_that_follows_is_seen_at_once(shard):
    await shard.moving.join(ONE)
    await shard.moving.flush()
    await shard.change(PRIMARY)
    base = shard.base()
    await shard.moving.save_all_items(ONE, potions(0, 1, base=base))
    await shard.moving.flush()
    shard.old.spoil = lambda items: items[:-1]
    await shard.moving.save_changes(ONE, potions(2, base=base))
    slots = [BACKPACK, BACKPACK + 1, BACKPACK + 2]
    await until(lambda: (ONE, "commit", slots, slots[:-1]) in shard.witness.of("compared"))
    # Nobody goes back to a side that does not have everything.
    shard.rules.set(Rules(SHADOW))
    await asyncio.sleep(0.3)
    assert shard.moving.mode_of(ONE) is PRIMARY
    shard.old.spoil = lambda items: items
    await shard.change(SHADOW)
    assert shard.old.load(ONE)["slot"].tolist() == slots


async def test_a_session_that_is_lost(shard):
    await shard.moving.join(ONE)
    shard.moving.session_lost(ONE)
    with pytest.raises(JoinError, match="another world"):
        shard.moving.save_item(ONE, potions(0, base=shard.base()))


async def test_a_predicate_is_asked_again(shard):
    rules = ModeRules(predicates={"in a raid": lambda guid: is_raiding})
    shard.moving.rules = shard.rules = rules
    is_raiding = False
    await shard.moving.join(ONE)
    assert shard.moving.mode_of(ONE) is SHADOW
    shard.moving.reconsider(ONE)
    await until(lambda: shard.moving.mode_of(ONE) is LEGACY)
    with pytest.raises(JoinError):
        shard.moving.reconsider(OTHER)


async def test_close(shard):
    await shard.moving.join(ONE)
    await shard.moving.close()
    await shard.moving.close()
    assert shard.book.read(ONE) == BookEntry(SHADOW, False, 0)
    with pytest.raises(JoinError):
        shard.moving.save_item(ONE, potions(0, base=shard.base()))
    with pytest.raises(JoinError, match="closed"):
        await shard.moving.join(OTHER)


CATALOG = ItemCatalog([ItemTemplate(2589, "Potion", max_stack=20)])


@pytest.mark.parametrize("mode", list(MigrationMode))
async def test_inventories_units_of_work_and_autosave_work_on_top(shard, mode):
    shard.rules.set(Rules(mode))
    moving = shard.moving
    inventories = []
    for guid in (ONE, OTHER):
        joined = await moving.join(guid)
        inventories.append(
            Inventory.from_items(guid, joined.items, CATALOG, PlayerState(), moving.new_item_guids)
        )
    one, other = inventories
    settings = AutosaveSettings(debounce_s=0.01, max_delay_s=0.05, tick_s=0.01)
    async with Autosave(moving, settings) as autosave:
        for inventory in inventories:
            autosave.add(inventory)
        assert one.add_items(2589, 30)
        await until(lambda: not one.is_dirty)
        assert len(moving.load_items(ONE)) == 2
        assert one.transfer([int(one.items["slot"][0])], other)
        await until(lambda: not (one.is_dirty or other.is_dirty))
        assert autosave.remove(one) is None
    unit = InventoryUnitOfWork(moving)
    unit.register_changes(OTHER, moving.load_items(OTHER), empty_batch())
    await unit.commit()
    assert len(moving.load_items(OTHER)) == 0
    assert await moving.flush()
    if Side.LEGACY in mode.sides:
        assert (len(shard.old.load(ONE)), len(shard.old.load(OTHER))) == (1, 0)
    if Side.NEW in mode.sides:
        assert len(shard.connector.repository().load_items(ONE)) == 1
