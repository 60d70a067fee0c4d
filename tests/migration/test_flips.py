"""Modes change while commits are on their way: step by step, with a kill after every step."""

import itertools
from typing import Any

import pytest
from simulation import Process, Shelf, Storage

from mmoinv.errors import (
    JoinError,
    OperationPendingError,
    OperationRefusedError,
    StaleSessionError,
)
from mmoinv.migration import BookEntry, MigrationMode, ModeRule, ModeRules, Rules, Side
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch
from mmoinv.repository import OperationHandle, checked_changes

LEGACY, SHADOW, PRIMARY, NEW = MigrationMode
ONE, OTHER = 7, 2**63 + 8


def items(*slots: int) -> Batch:
    return batch_of(*(InventoryItemData(5, slot, 1, item_guid=100 + slot) for slot in slots))


class World:
    """A process whose characters are in the modes that the test wants."""

    def __init__(self, mode: MigrationMode = SHADOW) -> None:
        self.clock = [0.0]
        self.storages = {side: Storage(keeps_names=True) for side in Side}
        self.shelf = Shelf()
        self.rules = ModeRules(Rules(mode))
        self.minted = itertools.count(9 << 32)
        self.process = self.start()

    def start(self) -> Process:
        return Process(self.storages, self.shelf, self.rules, self.clock, self.mint)

    def mint(self, count: int) -> list[int]:
        return [next(self.minted) for _ in range(count)]

    def join(self, *guids: int) -> "World":
        tasks = [self.process.spawn(self.process.moving.join(guid)) for guid in guids]
        self.settle()
        for task in tasks:
            task.result()
        return self

    def settle(self, seconds: float = 3.0) -> None:
        """Everything is answered, time passes."""
        ends = self.clock[0] + seconds
        while self.clock[0] < ends:
            self.clock[0] += 0.3
            self.process.rest()
            for link in self.process.links.values():
                while heads := link.heads():
                    link.answer(heads[0])
            self.process.rest()

    def pass_time(self, seconds: float) -> None:
        """Time passes, nobody answers."""
        for _ in range(int(seconds / 0.25) + 1):
            self.clock[0] += 0.25
            self.process.rest()

    def want(self, mode: MigrationMode, *guids: int) -> None:
        rules = (ModeRule(mode, characters=frozenset(guids)),) if guids else ()
        self.rules.set(Rules(self.rules.rules.default if guids else mode, rules))

    def save(self, guid: int, *slots: int) -> OperationHandle:
        return self.process.moving.commit_changes([checked_changes(guid, items(*slots))])

    def give(self, giver: int, taker: int, slot: int) -> OperationHandle:
        return self.process.moving.commit_changes(
            [
                checked_changes(giver, empty_batch(), (slot,)),
                checked_changes(taker, items(slot)),
            ],
            conserve=True,
        )

    def stored(self, side: Side, guid: int = ONE) -> list[int]:
        return self.storages[side].load_items(guid)["slot"].tolist()

    def mode(self, guid: int = ONE) -> MigrationMode:
        return self.process.moving.mode_of(guid)


@pytest.fixture
def world():
    made: list[World] = []

    def make(mode: MigrationMode = SHADOW, *guids: int) -> World:
        made.append(World(mode).join(*(guids or (ONE,))))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(MigrationMode, 2)))
def test_every_way_from_mode_to_mode(world, before, after):
    one = world(before)
    one.save(ONE, 1, 2)
    one.settle()
    one.want(after)
    handle = one.save(ONE, 3)
    one.settle()
    assert handle.exception is None
    assert one.mode() is after
    one.save(ONE, 4)
    one.settle()
    for side in after.sides:
        assert one.stored(side) == [1, 2, 3, 4]
    assert one.shelf.read(ONE).mode is after
    # Who does not take part is not written.
    for side in set(Side) - set(after.sides):
        assert 4 not in one.stored(side)
        assert ONE not in one.process.links[side].joined


@pytest.mark.parametrize("after", [PRIMARY, SHADOW])
@pytest.mark.parametrize("steps", range(40))
def test_killed_after_every_step_of_a_change_of_sides(after, steps):
    """One save is answered before, one is on its way, one comes meanwhile."""
    before = SHADOW if after is PRIMARY else PRIMARY
    one = World(before).join(ONE)
    one.save(ONE, 1)
    one.settle()
    one.want(after)
    saved = {1}
    kinds: list[Any] = [
        lambda: one.process.loop.turn(),
        *(lambda thread=thread: thread.step() for thread in one.process.threads),
        lambda: [
            link.answer(link.heads()[0]) for link in one.process.links.values() if link.pending
        ],
    ]
    for number in range(steps):
        if number in (3, 9, 15, 21):
            slot = number + 1
            handle = one.save(ONE, slot)
            handle.add_done_callback(
                lambda done, slot=slot: saved.add(slot) if done.exception is None else None
            )
        one.clock[0] += 0.1
        kinds[number % len(kinds)]()
    one.process.kill()
    one.process = one.start()
    one.join(ONE)
    found = set(one.stored(one.shelf.read(ONE).decider))
    assert found == saved
    one.settle()
    assert one.mode() is after
    assert one.stored(Side.LEGACY) == one.stored(Side.NEW) == sorted(saved)
    one.process.kill()


def test_a_book_that_was_written_though_it_said_no(world):
    one = world(SHADOW)
    one.save(ONE, 1)
    one.settle()
    one.shelf.is_failing_after = True
    one.want(PRIMARY)
    one.clock[0] += 0.3
    while one.shelf.is_failing_after:
        one.process.rest(1)
    handle = one.save(ONE, 2)
    one.process.rest()
    assert one.shelf.read(ONE).mode is PRIMARY
    assert [len(one.process.links[side].pending) for side in Side] == [0, 1]
    one.settle()
    assert handle.exception is None


def test_while_nobody_knows_who_decides_operations_wait(world, caplog):
    one = world(SHADOW)
    one.shelf.is_failing = True
    one.want(PRIMARY)
    one.pass_time(1)
    handle = one.save(ONE, 1)
    assert not any(link.pending for link in one.process.links.values())
    assert one.process.moving.held_count == 1
    one.pass_time(2)
    assert not handle.done
    one.shelf.is_failing = False
    for _ in range(80):
        # The pause between two tries is the loop's.
        one.settle(0.6)
    assert handle.exception is None
    assert one.mode() is PRIMARY


def test_an_operation_on_its_way_is_never_split(world):
    one = world(SHADOW)
    handle = one.save(ONE, 1)
    one.want(PRIMARY)
    one.pass_time(1)
    assert one.mode() is SHADOW
    held = one.save(ONE, 2)
    one.pass_time(1)
    assert not held.done
    # All of it went to the old side, in order.
    one.settle()
    assert (handle.exception, held.exception) == (None, None)
    assert one.mode() is PRIMARY
    assert one.stored(Side.LEGACY) == one.stored(Side.NEW) == [1, 2]


def test_a_side_that_hangs_does_not_hold_the_players_saves(world):
    one = world(SHADOW)
    one.save(ONE, 1)
    one.process.links[Side.LEGACY].answer(one.process.links[Side.LEGACY].heads()[0])
    one.process.rest()
    assert one.process.links[Side.NEW].pending  # It never answers.
    one.want(PRIMARY)
    for slot in range(2, 6):
        handle = one.save(ONE, slot)
        one.process.links[Side.LEGACY].answer(one.process.links[Side.LEGACY].heads()[0])
        assert handle.done
        one.pass_time(7)
    assert one.mode() is SHADOW
    assert len(one.process.links[Side.NEW].pending) == 1
    assert one.process.moving.followers[Side.NEW].missed_count == 1
    one.settle(8)
    assert one.mode() is PRIMARY
    assert one.stored(Side.NEW) == [1, 2, 3, 4, 5]


def test_what_waits_behind_a_refused_operation_is_refused_unsent(world):
    one = world(SHADOW)
    first = one.save(ONE, 1)
    one.want(PRIMARY)
    one.process.moving._move.characters[ONE].is_held = True
    held = [one.save(ONE, 2), one.save(ONE, 3)]
    one.process.links[Side.LEGACY].refuse(one.process.links[Side.LEGACY].heads()[0])
    for handle in (first, *held):
        with pytest.raises(OperationRefusedError):
            _ = handle.result
    one.process.moving._move.characters[ONE].is_held = False
    one.settle()
    assert one.stored(Side.LEGACY) == one.stored(Side.NEW) == []
    again = one.save(ONE, 4)
    one.settle()
    assert again.exception is None


def test_after_an_answer_that_leaves_it_open_nobody_changes_sides(world):
    one = world(SHADOW)
    handle = one.save(ONE, 1)
    link = one.process.links[Side.LEGACY]
    link.refuse(link.heads()[0], OperationPendingError("who knows"))
    assert isinstance(handle.exception, OperationPendingError)
    one.want(PRIMARY)
    one.settle(10)
    assert one.mode() is SHADOW
    leaving = one.process.spawn(one.process.moving.leave(ONE))
    one.settle()
    leaving.result()
    one.join(ONE)
    assert one.mode() is PRIMARY


def test_who_is_in_doubt_is_brought_to_no_other_side(world):
    one = world(SHADOW, ONE, OTHER)
    one.save(ONE, 1)
    one.settle()
    one.want(PRIMARY, OTHER)
    one.settle()
    one.save(ONE, 2)
    link = one.process.links[Side.LEGACY]
    link.refuse(link.heads()[0], OperationPendingError("who knows"))
    trade = one.give(ONE, OTHER, 1)
    one.settle()
    with pytest.raises(OperationRefusedError, match="not known"):
        _ = trade.result


def test_two_writes_of_a_character_are_never_on_their_way_to_the_side_that_follows(world):
    one = world(SHADOW, ONE, OTHER)
    old, new = (one.process.links[side] for side in Side)
    one.save(OTHER, 2)
    old.answer(old.heads()[0])
    one.process.rest()
    assert len(new.of(OTHER)) == 1
    # One waits already for its thread when it becomes a part of the other's trade.
    one.save(ONE, 1)
    old.answer(old.heads()[0])
    one.give(OTHER, ONE, 2)
    old.answer(old.heads()[0])
    one.process.rest()
    assert len(new.of(OTHER)) == 1
    assert not new.of(ONE)
    one.settle()
    for side in Side:
        assert (one.stored(side, ONE), one.stored(side, OTHER)) == ([1, 2], [])


def test_a_trade_of_both_sides_is_decided_by_the_new_one(world):
    one = world(SHADOW, ONE, OTHER)
    one.save(ONE, 1, 2)
    one.settle()
    one.want(PRIMARY, OTHER)
    one.settle()
    assert (one.mode(ONE), one.mode(OTHER)) == (SHADOW, PRIMARY)
    trade = one.give(ONE, OTHER, 1)
    behind = one.save(ONE, 5)
    assert not trade.done
    one.process.rest()
    links = one.process.links
    assert not links[Side.LEGACY].pending
    assert [len(operation.changes) for operation in links[Side.NEW].pending] == [2, 1]
    assert one.shelf.read(ONE).mode is PRIMARY
    one.settle()
    assert (trade.exception, behind.exception) == (None, None)
    # Back by its rule, and both sides have everything.
    assert (one.mode(ONE), one.mode(OTHER)) == (SHADOW, PRIMARY)
    for side in Side:
        assert (one.stored(side, ONE), one.stored(side, OTHER)) == ([2, 5], [1])


def test_a_trade_that_cannot_come_to_one_side_is_refused_and_nothing_is_lost(world):
    one = world(LEGACY, ONE, OTHER)
    one.save(ONE, 1)
    one.want(NEW, OTHER)
    one.settle()
    one.process.links[Side.NEW].joins_wait = True
    trade, behind = one.give(ONE, OTHER, 1), one.save(ONE, 2)
    elsewhere = one.save(OTHER, 3)
    one.pass_time(7)
    for handle in (trade, behind, elsewhere):
        with pytest.raises(OperationRefusedError, match="could not be"):
            _ = handle.result
    assert one.stored(Side.LEGACY, ONE) == [1]
    assert one.process.moving.held_count == 0
    again = one.save(ONE, 4)
    one.settle()
    assert again.exception is None
    assert one.stored(Side.LEGACY, ONE) == [1, 4]


def test_another_world_took_the_character(world):
    one = world(SHADOW)
    one.save(ONE, 1)
    one.settle()
    one.shelf.entries[ONE] = BookEntry(SHADOW, False, 4711)
    one.want(PRIMARY)
    one.settle()
    assert one.shelf.read(ONE) == BookEntry(SHADOW, False, 4711)
    assert one.mode() is SHADOW
    with pytest.raises(JoinError, match="another world's"):
        one.save(ONE, 2)


def test_what_waited_is_not_written_over_what_another_world_wrote(world):
    one = world(PRIMARY)
    old = one.process.links[Side.LEGACY]
    one.save(ONE, 1)
    old.is_failing = True
    one.process.links[Side.NEW].answer(one.process.links[Side.NEW].heads()[0])
    one.process.rest()
    assert one.process.moving.followers[Side.LEGACY].behind_count == 1
    # The old side comes back, but the character has gone on to another world.
    one.shelf.entries[ONE] = one.shelf.read(ONE)._replace(holder=4711)
    old.is_failing = False
    one.pass_time(3)
    assert not old.pending
    with pytest.raises(JoinError, match="another world's"):
        one.save(ONE, 2)


def test_of_several_characters_it_is_not_said_whose_session_is_gone(world):
    one = world(PRIMARY, ONE, OTHER)
    one.save(ONE, 1)
    one.settle()
    trade = one.give(ONE, OTHER, 1)
    new = one.process.links[Side.NEW]
    new.refuse(new.heads()[0], StaleSessionError("somebody's"))
    assert trade.exception is not None
    assert one.save(OTHER, 2) is not None


def test_a_session_that_is_gone_ends_it_at_both_sides(world):
    one = world(PRIMARY)
    handle = one.save(ONE, 1)
    new = one.process.links[Side.NEW]
    new.refuse(new.heads()[0], StaleSessionError("another world has it"))
    assert isinstance(handle.exception, StaleSessionError)
    with pytest.raises(JoinError, match="another world's"):
        one.save(ONE, 2)
    one.pass_time(3)
    assert not one.process.links[Side.LEGACY].pending


def test_items_that_are_at_somebody_else_there(world):
    """In the mode `legacy` an item changed hands, and the new side still has it at the giver."""
    one = world(SHADOW, ONE, OTHER)
    one.save(ONE, 1)
    one.settle()
    one.want(LEGACY)
    one.settle()
    one.give(ONE, OTHER, 1)
    one.settle()
    assert one.stored(Side.NEW, ONE) == [1]
    # The taker wants to go on first, and cannot: the side that decides knows the item by its name.
    one.want(PRIMARY, OTHER)
    one.settle(10)
    assert one.mode(OTHER) is SHADOW
    leaving = one.process.spawn(one.process.moving.leave(OTHER))
    one.settle()
    leaving.result()
    one.join(OTHER)
    assert one.mode(OTHER) is SHADOW
    assert one.stored(Side.LEGACY, OTHER) == [1]
    one.want(PRIMARY)
    one.settle(20)
    assert (one.mode(ONE), one.mode(OTHER)) == (PRIMARY, PRIMARY)
    for side in Side:
        assert (one.stored(side, ONE), one.stored(side, OTHER)) == ([], [1])


def test_a_swap_that_only_one_of_two_sides_saw_is_put_right(world):
    one = world(SHADOW, ONE, OTHER)
    one.save(ONE, 1)
    one.save(OTHER, 2)
    one.settle()
    one.want(LEGACY)
    one.settle()
    one.give(ONE, OTHER, 1)
    one.give(OTHER, ONE, 2)
    one.settle()
    one.want(SHADOW)
    one.settle(20)
    for side in Side:
        assert (one.stored(side, ONE), one.stored(side, OTHER)) == ([2], [1])
    assert not one.shelf.read(ONE).is_behind
