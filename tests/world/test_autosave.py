"""Autosave: when inventories are saved, what happens to refused saves, and the end."""

import asyncio
import itertools

import numpy as np
import pytest

from mmoinv import InMemoryInventoryRepository
from mmoinv.errors import ConfigurationError, DuplicateItemGuidError, LinkBusyError
from mmoinv.inventory import Inventory, ItemCatalog, ItemTemplate, PlayerState
from mmoinv.repository import OperationHandle
from mmoinv.world import Autosave, AutosaveSettings

POTION = ItemTemplate(2001, "potion", max_stack=20)
CATALOG = ItemCatalog([POTION])
_guids = itertools.count(1)


def new_guids(count: int) -> list[int]:
    return [next(_guids) for _ in range(count)]


def inventory_of(guid: int) -> Inventory:
    return Inventory(guid, CATALOG, PlayerState(), new_guids)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, autosave: Autosave, seconds: float, step_s: float = 0.1) -> int:
        """Tick all the while; how many saves were sent."""
        sent = 0
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            sent += autosave.tick()
        return sent


class SlowRepository(InMemoryInventoryRepository):
    """Commits are done when it is told to, in order; a refusal takes along those behind it."""

    def __init__(self) -> None:
        super().__init__(names_items=True)
        self.waiting: list[tuple[OperationHandle, object, int]] = []

    def _submit(self, changes, reason, conserve=False):
        handle = OperationHandle(1, [change.character_guid for change in changes])
        self.waiting.append((handle, changes, reason))
        return handle

    def answer(self) -> None:
        handle, changes, reason = self.waiting.pop(0)
        handle.succeed(super()._submit(changes, reason, False).result)

    def refuse(self) -> None:
        for handle, _, _ in self.waiting:
            handle.fail(DuplicateItemGuidError("refused by the test", 1, handle.character_guids))
        self.waiting.clear()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository() -> InMemoryInventoryRepository:
    return InMemoryInventoryRepository(names_items=True)


def autosave_of(repository, clock, **settings) -> Autosave:
    settings.setdefault("on_interval", False)
    return Autosave(repository, AutosaveSettings(**settings), now=clock)


def test_a_change_is_saved_once_nothing_has_changed_for_a_while(repository, clock):
    autosave = autosave_of(repository, clock, debounce_s=2.0, max_delay_s=60.0)
    inventory = inventory_of(7)
    autosave.add(inventory)
    for _ in range(5):
        inventory.add_items(POTION)
        assert clock.passes(autosave, 1.5) == 0
    assert repository.version(7) == 0
    assert clock.passes(autosave, 1.0) == 1
    assert not inventory.is_dirty
    assert repository.load_items(7)["stack_count"].tolist() == [5]
    assert clock.passes(autosave, 100.0) == 0


def test_changes_without_an_end_are_saved_after_the_longest_delay(repository, clock):
    autosave = autosave_of(repository, clock, debounce_s=2.0, max_delay_s=10.0)
    inventory = inventory_of(7)
    autosave.add(inventory)
    for _ in range(25):
        inventory.add_items(POTION)
        clock.passes(autosave, 1.0)
    assert repository.version(7) == 2


def test_what_is_taken_back_is_not_saved(repository, clock):
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    autosave.add(inventory)
    command = inventory.commands.add(POTION)
    command.execute()
    command.undo()
    assert clock.passes(autosave, 20.0) == 0
    assert repository.version(7) == 0


def test_what_was_dirty_when_it_was_added_is_saved(repository, clock):
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    inventory.add_items(POTION)
    autosave.add(inventory)
    assert clock.passes(autosave, 3.0) == 1


def test_intervals_are_spread_over_the_characters(repository, clock):
    autosave = autosave_of(repository, clock, on_change=False, on_interval=True, interval_s=60.0)
    inventories = [inventory_of(guid) for guid in range(1, 601)]
    for inventory in inventories:
        autosave.add(inventory)
        inventory.add_items(POTION)
    per_second = [clock.passes(autosave, 1.0) for _ in range(60)]
    assert sum(per_second) == 600
    assert max(per_second) < 20
    assert clock.passes(autosave, 60.0) == 0
    for inventory in inventories:
        inventory.add_items(POTION)
    assert clock.passes(autosave, 60.0) == 600


def test_each_occasion_can_be_switched_off(repository, clock):
    autosave = autosave_of(
        repository, clock, on_change=False, on_interval=False, on_leave=False, on_close=False
    )
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    assert clock.passes(autosave, 600.0) == 0
    assert asyncio.run(autosave.close()) == [inventory]
    assert autosave.remove(inventory) is None
    assert repository.version(7) == 0


def test_log_out_saves_what_is_dirty(repository, clock):
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    handle = autosave.remove(inventory)
    assert handle is not None
    assert handle.result.versions == {7: 1}
    assert inventory not in autosave
    inventory.add_items(POTION)
    assert clock.passes(autosave, 20.0) == 0


def test_log_out_with_nothing_to_save_has_no_handle(repository, clock):
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    autosave.add(inventory)
    assert autosave.remove(inventory) is None


def test_one_save_at_a_time_and_the_rest_after_its_answer(clock):
    repository = SlowRepository()
    autosave = autosave_of(repository, clock, debounce_s=1.0)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    assert clock.passes(autosave, 2.0) == 1
    inventory.add_items(POTION)
    assert clock.passes(autosave, 30.0) == 0
    repository.answer()
    assert autosave.tick() == 1
    repository.answer()
    assert not inventory.is_dirty
    assert clock.passes(autosave, 30.0) == 0


def test_log_out_while_a_save_is_on_its_way_gives_its_handle(clock):
    repository = SlowRepository()
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    clock.passes(autosave, 3.0)
    handle = autosave.remove(inventory)
    assert handle is repository.waiting[0][0]
    repository.answer()
    assert handle.done
    autosave.tick()


def test_a_refused_save_is_tried_again_less_and_less_often(clock):
    repository = SlowRepository()
    autosave = autosave_of(repository, clock, debounce_s=1.0, retry_s=1.0, max_retry_s=8.0)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    told = []
    autosave.on_failure = lambda inventory, error: told.append((inventory, type(error)))
    times_s = []
    for _ in range(600):
        if clock.passes(autosave, 0.1):
            times_s.append(clock.now_s)
            repository.refuse()
    between_s = np.diff(times_s).round()
    assert between_s.tolist()[:6] == [1, 2, 4, 8, 8, 8]
    assert told == [(inventory, DuplicateItemGuidError)] * len(times_s)
    assert inventory.is_dirty
    assert type(autosave.failures[7]) is DuplicateItemGuidError
    while not clock.passes(autosave, 0.1):
        pass
    repository.answer()
    autosave.tick()
    assert autosave.failures == {}
    assert not inventory.is_dirty


def test_a_save_that_raises_is_tried_again(clock, repository, monkeypatch):
    autosave = autosave_of(repository, clock, debounce_s=1.0)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)

    def busy(changes, reason=0, *, conserve=False):
        raise LinkBusyError("full")

    with monkeypatch.context() as patch:
        patch.setattr(repository, "commit_changes", busy)
        assert clock.passes(autosave, 1.5) == 0
        assert type(autosave.failures[7]) is LinkBusyError
        with pytest.raises(LinkBusyError):
            autosave.remove(inventory)
        assert inventory in autosave
    assert clock.passes(autosave, 5.0) == 1
    assert not inventory.is_dirty


def test_what_exchanged_items_is_saved_once_together(clock):
    repository = SlowRepository()
    autosave = autosave_of(repository, clock)
    one, other = inventory_of(7), inventory_of(8)
    for inventory in (one, other):
        autosave.add(inventory)
    one.add_items(POTION, 5)
    assert one.transfer([next(iter(one)).slot], other)
    assert clock.passes(autosave, 5.0) == 1
    assert [handle.character_guids for handle, _, _ in repository.waiting] == [(8,)]
    repository.answer()
    assert not one.is_dirty
    assert not other.is_dirty
    assert clock.passes(autosave, 30.0) == 0


def test_a_character_is_watched_once(repository, clock):
    autosave = autosave_of(repository, clock)
    autosave.add(inventory_of(7))
    with pytest.raises(ConfigurationError, match="character 7"):
        autosave.add(inventory_of(7))
    with pytest.raises(ConfigurationError, match="character 7"):
        autosave.remove(inventory_of(7))
    assert len(autosave) == 1


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["debounce_s", "interval_s", "retry_s", "tick_s"])
def test_times_are_more_than_nothing(name, value):
    with pytest.raises(ConfigurationError, match=name):
        AutosaveSettings(**{name: value})


async def test_it_ticks_by_itself_and_saves_all_at_the_end(realm, connector):
    character = await connector.join(7)
    inventory = Inventory.from_items(
        7, character.items, CATALOG, PlayerState(), connector.new_item_guids
    )
    settings = AutosaveSettings(debounce_s=0.05, tick_s=0.01)
    async with Autosave(connector.repository(), settings) as autosave:
        autosave.add(inventory)
        inventory.add_items(POTION, 3)
        async with asyncio.timeout(20):
            while inventory.is_dirty:
                await asyncio.sleep(0.01)
        assert (await realm.store.read_items(7))["stack_count"].tolist() == [3]
        inventory.add_items(POTION, 4)
    assert (await realm.store.read_items(7))["stack_count"].tolist() == [7]
    assert not inventory.is_dirty


async def test_the_end_says_what_is_not_saved(realm, connector, caplog):
    await connector.join(7)
    inventory = inventory_of(7)
    autosave = Autosave(connector.repository())
    autosave.add(inventory)
    inventory.add_items(POTION)
    await connector.leave(7)
    assert await autosave.close() == [inventory]
    assert "character 7 is not saved" in caplog.text
    assert inventory.is_dirty


async def test_the_end_of_the_block_keeps_what_is_not_saved(realm, connector, caplog):
    await connector.join(7)
    await connector.join(8)
    refused, saved = inventory_of(7), inventory_of(8)
    async with Autosave(connector.repository()) as autosave:
        for inventory in (refused, saved):
            autosave.add(inventory)
            inventory.add_items(POTION)
        assert autosave.unsaved == []
        await connector.leave(7)
    assert autosave.unsaved == [refused]
    assert "character 7 is not saved" in caplog.text
    assert "character 8" not in caplog.text
    await connector.join(7)
    assert await autosave.close() == []
    assert autosave.unsaved == []


async def test_the_end_does_not_wait_for_ever(clock):
    repository = SlowRepository()
    autosave = autosave_of(repository, clock)
    inventory = inventory_of(7)
    autosave.add(inventory)
    inventory.add_items(POTION)
    assert await autosave.close(timeout_s=0.05) == [inventory]
    repository.answer()
    assert await autosave.close() == []
