"""A unit of work against a plain dict, whatever fails and in whatever order answers come."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmoinv import InMemoryInventoryRepository, InventoryUnitOfWork
from mmoinv.errors import LinkBusyError, VersionConflictError
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch
from mmoinv.repository import CharacterChanges, OperationHandle

GUIDS = st.sampled_from([7, 2**63 + 8])
SLOTS = st.integers(0, 5)
COUNTS = st.integers(1, 3)


class LateRepository(InMemoryInventoryRepository):
    """Takes operations and ends them when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.waiting: list[tuple[OperationHandle, list[CharacterChanges]]] = []

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool = False
    ) -> OperationHandle:
        if self.is_full:
            raise LinkBusyError("full: nothing was taken")
        handle = OperationHandle(len(self.waiting) + 1, [c.character_guid for c in changes])
        self.waiting.append((handle, list(changes)))
        return handle

    def commit_oldest(self) -> None:
        handle, changes = self.waiting.pop(0)
        handle.succeed(super()._submit(changes, 0, False).result)

    def refuse_oldest(self) -> None:
        """Refused for good: what waits behind it for one of its characters goes with it."""
        refused: set[int] = set()
        kept = []
        for handle, changes in self.waiting:
            guids = set(handle.character_guids)
            if not refused or guids & refused:
                refused |= guids
                handle.fail(VersionConflictError("no"))
            else:
                kept.append((handle, changes))
        self.waiting = kept


def record(slot: int, count: int) -> InventoryItemData:
    return InventoryItemData(5, slot, count)


def batch(state: dict[int, int]) -> Batch:
    return batch_of(*(record(slot, count) for slot, count in state.items()))


class UnitOfWorkMachine(RuleBasedStateMachine):
    """The game's state is a dict; whatever happened, one last commit makes the stored one equal."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = LateRepository()
        self.unit = InventoryUnitOfWork(self.repository)
        self.game: dict[int, dict[int, int]] = {}

    def of(self, guid: int) -> dict[int, int]:
        return self.game.setdefault(guid, {})

    @rule(guid=GUIDS, slot=SLOTS, count=COUNTS)
    def dirty(self, guid: int, slot: int, count: int) -> None:
        self.unit.register_dirty(guid, record(slot, count))
        self.of(guid)[slot] = count

    @rule(guid=GUIDS, slot=SLOTS, count=COUNTS)
    def new(self, guid: int, slot: int, count: int) -> None:
        if slot not in self.of(guid):
            self.unit.register_new(guid, record(slot, count))
            self.of(guid)[slot] = count

    @rule(guid=GUIDS, slot=SLOTS)
    def deleted(self, guid: int, slot: int) -> None:
        self.unit.register_deleted(guid, slot)
        self.of(guid).pop(slot, None)

    @rule(guid=GUIDS, after=st.dictionaries(SLOTS, COUNTS, max_size=5), committed=st.booleans())
    def changes(self, guid: int, after: dict[int, int], committed: bool) -> None:
        before = self.repository.load_items(guid) if committed else batch(self.of(guid))
        self.unit.register_changes(guid, before, batch(after))
        self.game[guid] = dict(after)

    @rule()
    def commit(self) -> None:
        self.unit.commit()

    @rule()
    def commit_at_the_bound(self) -> None:
        dirty = self.unit.change_count
        self.repository.is_full = True
        if self.unit.change_count > self.unit.pending_count:
            with pytest.raises(LinkBusyError):
                self.unit.commit()
        self.repository.is_full = False
        assert self.unit.change_count == dirty

    @precondition(lambda self: self.repository.waiting)
    @rule()
    def answer(self) -> None:
        self.repository.commit_oldest()

    @precondition(lambda self: self.repository.waiting)
    @rule()
    def refuse(self) -> None:
        self.repository.refuse_oldest()

    @invariant()
    def clean_only_when_everything_is_stored(self) -> None:
        if not self.unit.has_changes:
            for guid, state in self.game.items():
                assert self.repository.load_items(guid).tobytes() == batch(state).tobytes()

    def teardown(self) -> None:
        while self.repository.waiting:
            self.repository.commit_oldest()
        self.unit.commit()
        while self.repository.waiting:
            self.repository.commit_oldest()
        assert not self.unit.has_changes
        self.clean_only_when_everything_is_stored()


TestUnitOfWork = UnitOfWorkMachine.TestCase
TestUnitOfWork.settings = settings(stateful_step_count=30)


def one_slot() -> tuple[LateRepository, InventoryUnitOfWork]:
    repository = LateRepository()
    return repository, InventoryUnitOfWork(repository)


def test_dirty_until_the_answer_and_not_a_moment_longer():
    repository, unit = one_slot()
    unit.register_dirty(7, record(1, 1))
    seen: list[Any] = []
    unit.commit().add_done_callback(lambda _: seen.append(unit.has_changes))
    assert (unit.has_changes, unit.change_count, unit.pending_count) == (True, 1, 1)
    assert unit.commit().done  # nothing that is not underway
    repository.commit_oldest()
    assert seen == [False]


def test_a_change_that_is_taken_back_before_its_answer_is_taken_back():
    repository, unit = one_slot()
    unit.register_changes(7, empty_batch(), batch({1: 1}))
    unit.commit()
    # Of what is committed there is no difference; of what is underway there is.
    assert unit.register_changes(7, repository.load_items(7), empty_batch()) == 1
    unit.commit()
    repository.commit_oldest()
    repository.commit_oldest()
    assert len(repository.load_items(7)) == 0


def test_a_failed_commit_does_not_overwrite_a_newer_one_underway():
    repository, unit = one_slot()
    unit.register_dirty(7, record(1, 1))
    unit.register_dirty(7, record(2, 1))
    older = unit.commit()
    unit.register_dirty(7, record(1, 2))
    unit.commit()
    repository.waiting.pop(0)
    older.fail(VersionConflictError("no"))
    unit.commit()
    repository.commit_oldest()
    (_, (again,)) = repository.waiting[0]
    assert again.saves["slot"].tolist() == [2]
    repository.commit_oldest()
    assert repository.load_items(7).tobytes() == batch({1: 2, 2: 1}).tobytes()
    assert not unit.has_changes


def test_threads_share_a_unit():
    repository = InMemoryInventoryRepository()
    unit = InventoryUnitOfWork(repository)

    def play(guid: int) -> None:
        for count in range(1, 51):
            unit.register_dirty(guid, record(count % 5, count))
            unit.commit()

    threads = [threading.Thread(target=play, args=(guid,)) for guid in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    unit.commit()
    assert not unit.has_changes
    for guid in range(4):
        counts = repository.load_items(guid)["stack_count"].tolist()
        assert counts == [50, 46, 47, 48, 49]
