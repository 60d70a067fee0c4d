"""Whatever happens in whatever order: what the book's side has is what the game was told.

Hypothesis plays commits, trades, answers, refusals, failing and hanging sides, changes of the
rules, logins and logouts, a failing book, and kills of the process between any two steps.
"""

import logging
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from simulation import Operation, Process, Shelf, Storage, nameless

from mmoinv.errors import LinkError, MmoinvError
from mmoinv.migration import MigrationMode, ModeRule, ModeRules, Rules, Side
from mmoinv.migration.move import is_same_money
from mmoinv.migration.names import is_level
from mmoinv.records import Batch, InventoryItemData, batch_of, empty_batch
from mmoinv.repository import CharacterChanges, OperationHandle, checked_changes

GUIDS = (7, 8, 2**63 + 9)
WHO = st.sampled_from(GUIDS)
MODES = st.sampled_from(MigrationMode)
SIDES = st.sampled_from(Side)
SLOTS = range(6)
GOLD = 1


def same_but_names(one: Batch, other: Batch) -> bool:
    """Whether two inventories hold the same, whatever the items' guids are."""
    return nameless(one).tobytes() == nameless(other).tobytes()


class MovingMachine(RuleBasedStateMachine):
    """``items`` and ``gold`` are what the game was told to be saved."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.CRITICAL)
        self.clock = [1000.0]
        self.numbers = count(1)
        self.minted = count(5 << 32)
        self.items: dict[int, Batch] = dict.fromkeys(GUIDS, empty_batch())
        self.gold = dict.fromkeys(GUIDS, 0)
        self.sent: dict[OperationHandle, Sequence[CharacterChanges]] = {}
        self.modes = dict.fromkeys(GUIDS, MigrationMode.LEGACY)
        self.rules = ModeRules()
        self.shelf = Shelf()
        self.inside: set[int] = set()
        """Joined, as the game knows."""
        self.coming: dict[int, Any] = {}
        self.going: dict[int, Any] = {}

    @initialize(keeps_names=st.booleans(), modes=st.tuples(MODES, MODES, MODES))
    def begin(self, keeps_names: bool, modes: tuple[MigrationMode, ...]) -> None:
        self.keeps_names = keeps_names
        self.fields = () if keeps_names else ("item_guid",)
        self.storages = {
            Side.LEGACY: Storage(keeps_names=keeps_names),
            Side.NEW: Storage(keeps_names=True),
        }
        self.process = self.start()
        self.modes = dict(zip(GUIDS, modes, strict=True))
        self.set_rules()
        self.go_on()

    def start(self) -> Process:
        return Process(self.storages, self.shelf, self.rules, self.clock, self.mint)

    def mint(self, number: int) -> list[int]:
        return [next(self.minted) for _ in range(number)]

    def teardown(self) -> None:
        try:
            if hasattr(self, "process"):
                self.end()
        finally:
            logging.disable(logging.NOTSET)
            if hasattr(self, "process"):
                self.sent.clear()
                self.process.kill()

    # What the game has

    def live(self, guid: int) -> tuple[Batch, int]:
        """What is saved, and what of it is on its way."""
        items, gold = self.items[guid], self.gold[guid]
        for changes in self.sent.values():
            for change in changes:
                if change.character_guid == guid:
                    items = change.applied_to(items)
                    gold += sum(amount for _, amount in change.money)
        return items, gold

    def saved(self, changes: Sequence[CharacterChanges]) -> None:
        for change in changes:
            guid = change.character_guid
            self.items[guid] = change.applied_to(self.items[guid])
            self.gold[guid] += sum(amount for _, amount in change.money)

    def commit(self, *changes: CharacterChanges, conserve: bool = False) -> None:
        before = dict(self.sent)
        try:
            handle = self.process.moving.commit_changes(changes, 1, conserve=conserve)
        except MmoinvError:
            assert self.sent == before
            return
        self.sent[handle] = changes
        handle.add_done_callback(self.answered)

    def answered(self, handle: OperationHandle) -> None:
        changes = self.sent.pop(handle, None)
        if changes is not None and handle.exception is None:
            self.saved(changes)

    def ready(self, *guids: int) -> bool:
        return all(guid in self.inside and guid not in self.going for guid in guids)

    @rule(guid=WHO, slot=st.sampled_from(SLOTS))
    def find_or_drop(self, guid: int, slot: int) -> None:
        if not self.ready(guid):
            return
        items, _ = self.live(guid)
        if slot in items["slot"]:
            self.commit(checked_changes(guid, empty_batch(), (slot,)))
        else:
            new = InventoryItemData(5 + slot % 2, slot, 1, item_guid=self.mint(1)[0])
            self.commit(checked_changes(guid, batch_of(new)))

    @rule(guid=WHO, amount=st.integers(-3, 10))
    def earn_or_pay(self, guid: int, amount: int) -> None:
        if self.ready(guid):
            self.commit(checked_changes(guid, empty_batch(), money={GOLD: amount}))

    @rule(giver=WHO, taker=WHO, data=st.data(), price=st.integers(0, 2))
    def trade(self, giver: int, taker: int, data: st.DataObject, price: int) -> None:
        if giver == taker or not self.ready(giver, taker):
            return
        (theirs, _), (others, _) = self.live(giver), self.live(taker)
        free = [slot for slot in SLOTS if slot not in others["slot"]]
        if not len(theirs) or not free:
            return
        place = data.draw(st.integers(0, len(theirs) - 1))
        moved = theirs[place : place + 1].copy()
        left = int(moved["slot"][0])
        moved["slot"] = free[0]
        self.commit(
            checked_changes(giver, empty_batch(), (left,), money={GOLD: price}),
            checked_changes(taker, moved, money={GOLD: -price}),
            conserve=True,
        )

    @rule(guid=WHO)
    def save_everything(self, guid: int) -> None:
        if self.ready(guid):
            self.commit(checked_changes(guid, self.live(guid)[0], replace=True))

    # Who comes and goes

    @rule(guid=WHO)
    def join(self, guid: int) -> None:
        if guid not in self.inside and guid not in self.coming and guid not in self.going:
            self.coming[guid] = self.process.spawn(self.process.moving.join(guid))

    @rule(guid=WHO)
    def leave(self, guid: int) -> None:
        if self.ready(guid):
            self.going[guid] = self.process.spawn(self.process.moving.leave(guid))

    def look_at_joins(self) -> None:
        for guid, task in list(self.coming.items()):
            if not task.done():
                continue
            del self.coming[guid]
            if task.exception() is not None:
                assert isinstance(task.exception(), MmoinvError), task.exception()
                continue
            joined = task.result()
            self.inside.add(guid)
            # It may have other names: nobody has seen it under the old ones.
            assert same_but_names(joined.items, self.items[guid]), guid
            assert is_same_money(joined.balances, {GOLD: self.gold[guid]})
            self.items[guid] = joined.items
        for guid, task in list(self.going.items()):
            if task.done():
                del self.going[guid]
                self.inside.discard(guid)
                assert task.exception() is None or isinstance(task.exception(), LinkError)

    # What the world does

    @rule(guid=WHO, mode=MODES)
    def change_mode(self, guid: int, mode: MigrationMode) -> None:
        self.modes[guid] = mode
        self.set_rules()

    @rule(mode=MODES)
    def change_all_modes(self, mode: MigrationMode) -> None:
        self.modes = dict.fromkeys(GUIDS, mode)
        self.set_rules()

    def set_rules(self) -> None:
        rules = tuple(
            ModeRule(mode, characters=frozenset({guid})) for guid, mode in self.modes.items()
        )
        self.rules.set(Rules(rules=rules))

    @rule(side=SIDES, data=st.data())
    def answer(self, side: Side, data: st.DataObject) -> None:
        link = self.process.links[side]
        if heads := link.heads():
            link.answer(data.draw(st.sampled_from(heads)))

    @rule()
    def answer_all(self) -> None:
        for link in self.process.links.values():
            while heads := link.heads():
                link.answer(heads[0])

    @rule(side=SIDES, data=st.data())
    def refuse(self, side: Side, data: st.DataObject) -> None:
        link = self.process.links[side]
        if heads := link.heads():
            link.refuse(data.draw(st.sampled_from(heads)))

    @rule(side=SIDES, what=st.sampled_from(["fails", "joins hang", "book", "book, after"]))
    def spoil(self, side: Side, what: str) -> None:
        link = self.process.links[side]
        link.is_failing |= what == "fails"
        link.joins_wait |= what == "joins hang"
        self.shelf.is_failing |= what == "book"
        self.shelf.is_failing_after |= what == "book, after"

    @rule()
    def heal(self) -> None:
        self.shelf.is_failing = self.shelf.is_failing_after = False
        for link in self.process.links.values():
            link.is_failing = link.joins_wait = False
            for future in link.waiting_joins:
                if not future.done():
                    future.set_result(None)
            link.waiting_joins.clear()

    @rule()
    def go_on(self) -> None:
        """For a while nothing is wrong, and everyone is there."""
        self.heal()
        for _ in range(4):
            for guid in GUIDS:
                self.join(guid)
            self.settle_once()

    @rule(mode=MODES, data=st.data())
    def flip_under_load(self, mode: MigrationMode, data: st.DataObject) -> None:
        """Modes change, and commits are everywhere on their way meanwhile."""
        self.change_all_modes(mode)
        for _ in range(data.draw(st.integers(1, 6))):
            self.clock[0] += 0.3
            data.draw(st.sampled_from([self.turn_once, self.process.rest, self.answer_all]))()
            giver, taker = data.draw(st.tuples(WHO, WHO))
            if giver == taker:
                self.find_or_drop(giver, data.draw(st.sampled_from(SLOTS)))
            else:
                self.trade(giver, taker, data, 0)

    def turn_once(self) -> None:
        self.process.loop.turn()
        for thread in self.process.threads:
            thread.step()

    @rule(turns=st.integers(1, 4))
    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.process.loop.turn()

    @rule(number=st.integers(0, 2), calls=st.integers(1, 4))
    def run_thread(self, number: int, calls: int) -> None:
        for _ in range(calls):
            self.process.threads[number].step()

    @rule()
    def rest(self) -> None:
        self.process.rest()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0]))
    def wait(self, seconds: float) -> None:
        self.clock[0] += seconds
        self.process.loop.turn()

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """What was sent and not answered may have been applied, in order, or not."""
        for side, link in self.process.links.items():
            while heads := link.heads():
                head = heads[0]
                if data.draw(st.booleans(), label="applied"):
                    self.applied_unheard(side, head)
                    link.pending.remove(head)
                else:
                    guids = set(head.handle.character_guids)
                    for one in list(link.pending):
                        if not guids.isdisjoint(one.handle.character_guids):
                            guids.update(one.handle.character_guids)
                            link.pending.remove(one)
        self.sent.clear()
        self.process.kill()
        self.inside.clear()
        self.coming.clear()
        self.going.clear()
        self.process = self.start()

    def applied_unheard(self, side: Side, operation: Operation) -> None:
        guids = operation.handle.character_guids
        deciders = {self.shelf.read(guid).decider for guid in guids}
        done = self.storages[side].apply(operation.changes, operation.conserve)
        if done.exception is None and deciders == {side}:
            # Two sides are never both written by the game.
            self.saved(operation.changes)

    # What must be so

    @invariant()
    def the_side_of_the_book_has_what_was_answered(self) -> None:
        if not hasattr(self, "process"):
            return
        self.look_at_joins()
        for guid in GUIDS:
            storage = self.storages[self.shelf.read(guid).decider]
            stored = storage.load_items(guid)
            if guid in self.inside and storage.keeps_names:
                assert is_level(stored, self.items[guid], ()), guid
            # Else names may have been given at a join that did not come to its end.
            assert same_but_names(stored, self.items[guid]), guid
            assert is_same_money(storage.load_balances(guid), {GOLD: self.gold[guid]}), guid
            if guid in self.inside and guid not in self.going:
                assert is_level(self.process.moving.load_items(guid), self.items[guid], ())

    def end(self) -> None:
        """Everything works again, and all are to be in one mode: both sides come to be equal."""
        mode = MigrationMode.SHADOW if self.keeps_names else MigrationMode.PRIMARY
        self.heal()
        self.change_all_modes(mode)
        for _ in range(60):
            for guid in GUIDS:
                self.join(guid)
            self.settle_once()
            if self.is_settled(mode):
                break
        self.the_side_of_the_book_has_what_was_answered()
        assert self.is_settled(mode), self.told()
        moving = self.process.moving
        for guid in GUIDS:
            assert self.ready(guid), guid
            assert moving.mode_of(guid) is mode, guid
            other = self.storages[mode.decider.other]
            fields = () if other.keeps_names else ("item_guid",)
            assert is_level(other.load_items(guid), self.items[guid], fields), guid
            assert is_same_money(other.load_balances(guid), {GOLD: self.gold[guid]})
            assert not self.shelf.read(guid).is_behind
        assert moving.held_count == 0
        assert all(follower.waiting_records == 0 for follower in moving.followers.values())

    def settle_once(self) -> None:
        self.process.rest()
        self.answer_all()
        self.clock[0] += 1.5
        self.process.rest()
        self.look_at_joins()

    def told(self) -> str:
        """Where everybody is, for people."""
        move, told = self.process.moving._move, [f"{len(self.sent)} unanswered"]
        for guid in GUIDS:
            character = move.characters.get(guid)
            if character is None:
                told.append(f"{guid} is not joined")
                continue
            told.append(
                f"{guid} in {character.mode.value}, {character.wanted.value} wanted, "
                f"{character.in_flight} in flight, {len(character.queue)} held, "
                f"{character.is_held=}, {character.is_moving=}, {character.pinned=}, "
                f"{character.is_doubtful=}, {character.is_lost=}, {character.is_leaving=}, "
                f"{character.retry_at_s - self.clock[0]=}"
            )
            told += [
                f"at {follower.side.value}: {one.is_joined=}, {one.is_behind=}, "
                f"{one.is_unequal=}, {one.is_duplicate=}, {one.bundle=}, "
                f"{one.job is not None=}, {len(one.asking)} asking"
                for follower in self.process.moving.followers.values()
                if (one := follower.get(guid)) is not None
            ]
        return "; ".join(told)

    def is_settled(self, mode: MigrationMode) -> bool:
        moving = self.process.moving
        return (
            not self.sent
            and all(self.ready(guid) and moving.mode_of(guid) is mode for guid in GUIDS)
            and not any(follower.behind_count for follower in moving.followers.values())
            and all(follower.is_all_idle for follower in moving.followers.values())
            and not any(thread.calls for thread in self.process.threads)
        )


MovingMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
)
TestMovingMachine = pytest.mark.timeout(120)(MovingMachine.TestCase)
