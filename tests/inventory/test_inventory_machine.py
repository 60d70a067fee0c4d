"""Two inventories against plain counts, whatever is done to them: nothing is lost, nothing comes
from nowhere, and every rule holds after every step."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from aggregates import (
    ARROW,
    BAG_1,
    BAG_2,
    BANK,
    BUYBACK,
    CATALOG,
    FINGER_1,
    FINGER_2,
    GREATSWORD,
    HEAD,
    INSIDE_1,
    INSIDE_2,
    MAIN_HAND,
    OFF_HAND,
    OWN,
    PACK,
    QUIVER,
    RING,
    TROPHY,
    Game,
    HeldBackRepository,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmoinv import codec
from mmoinv.inventory import Inventory, InventoryCommand, InventoryType, PlayerState
from mmoinv.inventory.validation import WORN_IN
from mmoinv.records import INVENTORY_ITEM, Batch, InventoryItemData

WHOSE = st.integers(0, 1)
CARRIED = [*range(PACK, PACK + 6), *range(INSIDE_1, INSIDE_1 + 3), *range(INSIDE_2, INSIDE_2 + 2)]
WORN = [MAIN_HAND, OFF_HAND, HEAD, FINGER_1, FINGER_2, BAG_1, BAG_2]
NOWHERE = [INSIDE_1 + 3, OWN + 67, BUYBACK, 5, 0x1640, 65535]
SLOTS = st.sampled_from([*CARRIED, *CARRIED, *WORN, BANK, BANK + 1, *NOWHERE])
CARRIED_SLOTS = st.sampled_from(CARRIED)
ENTRIES = st.sampled_from(sorted(CATALOG))
AMOUNTS = st.sampled_from([1, 1, 2, 3, 4, 7, 30])
MAYBE = st.none() | AMOUNTS
LOCKED = 0x4000_0000

Counts = Counter[int]


class State(NamedTuple):
    """All that a command may change."""

    items: tuple[InventoryItemData, ...]
    stored: bytes
    buyback: tuple[InventoryItemData, ...]


@dataclass
class Done:
    """A command that can be undone, what there was before it, and what it did to the counts."""

    whose: int
    command: InventoryCommand
    before: State
    after: State
    change: Counts
    is_rolled_back: bool = False


def state_of(inventory: Inventory) -> State:
    return State(tuple(inventory), inventory.items.tobytes(), inventory.buyback)


def recount(items: Any) -> Counts:
    counts: Counts = Counter()
    for item in items:
        counts[item.entry] += item.stack_count
    return counts


class InventoryMachine(RuleBasedStateMachine):
    """What a rule expects to change is written down in ``counts``; all else stays."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = HeldBackRepository()
        self.owners = [PlayerState(level=10), PlayerState(level=10)]
        game = Game()
        self.inventories = [
            game.inventory(guid, owner=owner)
            for guid, owner in zip((7, 2**63 + 8), self.owners, strict=True)
        ]
        self.counts: list[Counts] = [Counter(), Counter()]
        self.done: list[Done] = []

    def run(
        self,
        whose: int,
        command: InventoryCommand,
        effect: Callable[[State], Counts] = lambda _: Counter(),
    ) -> None:
        """Execute: exactly what `validate` says, and nothing at all if it is refused."""
        inventory = self.inventories[whose]
        before = state_of(inventory)
        verdict = command.validate()
        assert state_of(inventory) == before
        result = command.execute()
        assert result.error is verdict
        if not result:
            assert state_of(inventory) == before
            return
        change = effect(before)
        self.counts[whose].update(change)
        self.done.append(Done(whose, command, before, state_of(inventory), change))

    # Items come and go

    @rule(whose=WHOSE, entry=ENTRIES, amount=AMOUNTS, creator=st.sampled_from([0, 0, 9]))
    def add(self, whose: int, entry: int, amount: int, creator: int) -> None:
        command = self.inventories[whose].commands.add(CATALOG[entry], amount, creator)
        self.run(whose, command, lambda _: Counter({entry: amount}))

    def taken(self, slot: int, amount: int | None) -> Callable[[State], Counts]:
        def effect(before: State) -> Counts:
            (item,) = [item for item in before.items if item.slot == slot]
            return Counter({item.entry: -(amount or item.stack_count)})

        return effect

    @rule(whose=WHOSE, slot=SLOTS, amount=MAYBE)
    def remove(self, whose: int, slot: int, amount: int | None) -> None:
        command = self.inventories[whose].commands.remove(slot, amount)
        self.run(whose, command, self.taken(slot, amount))

    @rule(whose=WHOSE, entry=ENTRIES, amount=AMOUNTS)
    def remove_entry(self, whose: int, entry: int, amount: int) -> None:
        command = self.inventories[whose].commands.remove_entry(entry, amount)
        self.run(whose, command, lambda _: Counter({entry: -amount}))

    @rule(whose=WHOSE, slot=SLOTS)
    def use(self, whose: int, slot: int) -> None:
        def effect(before: State) -> Counts:
            (item,) = [item for item in before.items if item.slot == slot]
            return Counter({item.entry: -int(CATALOG[item.entry].consumable)})

        self.run(whose, self.inventories[whose].commands.use(slot), effect)

    @rule(whose=WHOSE, slot=CARRIED_SLOTS, amount=MAYBE)
    def sell(self, whose: int, slot: int, amount: int | None) -> None:
        command = self.inventories[whose].commands.sell(slot, amount)
        self.run(whose, command, self.taken(slot, amount))

    @rule(whose=WHOSE, index=st.integers(-1, 12))
    def buy_back(self, whose: int, index: int) -> None:
        def effect(before: State) -> Counts:
            return recount([before.buyback[index]])

        self.run(whose, self.inventories[whose].commands.buy_back(BUYBACK + index), effect)

    # Items change places

    @rule(whose=WHOSE, source=SLOTS, to=SLOTS, amount=MAYBE)
    def move(self, whose: int, source: int, to: int, amount: int | None) -> None:
        self.run(whose, self.inventories[whose].commands.move(source, to, amount))

    @rule(whose=WHOSE, source=SLOTS, to=SLOTS)
    def swap(self, whose: int, source: int, to: int) -> None:
        self.run(whose, self.inventories[whose].commands.swap(source, to))

    @rule(whose=WHOSE, source=CARRIED_SLOTS, to=SLOTS, amount=AMOUNTS)
    def split(self, whose: int, source: int, to: int, amount: int) -> None:
        self.run(whose, self.inventories[whose].commands.split(source, to, amount))

    @rule(whose=WHOSE, source=CARRIED_SLOTS, to=CARRIED_SLOTS)
    def merge(self, whose: int, source: int, to: int) -> None:
        self.run(whose, self.inventories[whose].commands.merge(source, to))

    @rule(whose=WHOSE, source=CARRIED_SLOTS, to=st.none() | st.sampled_from(WORN))
    def equip(self, whose: int, source: int, to: int | None) -> None:
        self.run(whose, self.inventories[whose].commands.equip(source, to))

    @rule(whose=WHOSE, entry=ENTRIES)
    def add_and_equip(self, whose: int, entry: int) -> None:
        self.add(whose, entry, 1, 0)
        slots = [item.slot for item in self.inventories[whose] if item.entry == entry]
        for slot in slots[-1:]:
            self.equip(whose, slot, None)

    @rule(whose=WHOSE, source=st.sampled_from(WORN), to=st.none() | SLOTS)
    def unequip(self, whose: int, source: int, to: int | None) -> None:
        self.run(whose, self.inventories[whose].commands.unequip(source, to))

    @rule(whose=WHOSE)
    def sort(self, whose: int) -> None:
        self.run(whose, self.inventories[whose].commands.sort())

    # From hand to hand

    @rule(
        whose=WHOSE,
        gives=st.lists(CARRIED_SLOTS, max_size=3),
        takes=st.lists(CARRIED_SLOTS, max_size=3),
    )
    def exchange(self, whose: int, gives: list[int], takes: list[int]) -> None:
        one, other = self.inventories[whose], self.inventories[1 - whose]
        before = state_of(one), state_of(other)
        if not one.exchange(gives, other, takes):
            assert (state_of(one), state_of(other)) == before
            return
        given = recount(item for item in before[0].items if item.slot in gives)
        taken = recount(item for item in before[1].items if item.slot in takes)
        for index, gone, come in ((whose, given, taken), (1 - whose, taken, given)):
            self.counts[index].subtract(gone)
            self.counts[index].update(come)

    # Beside the rules

    @rule(whose=WHOSE, slot=SLOTS, is_locked=st.booleans())
    def lock(self, whose: int, slot: int, is_locked: bool) -> None:
        inventory = self.inventories[whose]
        saved = inventory.items.tobytes()
        assert bool(inventory.lock(slot, is_locked=is_locked)) == (slot in inventory)
        assert inventory.items.tobytes() == saved

    @rule(whose=WHOSE, slot=SLOTS, durability=st.integers(0, 2))
    def change_item(self, whose: int, slot: int, durability: int) -> None:
        inventory = self.inventories[whose]
        assert bool(inventory.change_item(slot, durability=durability)) == (slot in inventory)

    @rule(
        whose=WHOSE,
        level=st.sampled_from([1, 10]),
        is_alive=st.sampled_from([True, True, True, False]),
        is_in_combat=st.sampled_from([False, False, True]),
        can_dual_wield=st.booleans(),
    )
    def become(self, whose: int, **state: Any) -> None:
        for name, value in state.items():
            setattr(self.owners[whose], name, value)

    # Undo

    @precondition(lambda self: self.done)
    @rule(back=st.sampled_from([1, 1, 1, 2, 3]))
    def undo(self, back: int) -> None:
        """One of the last commands: always, if nothing has happened since."""
        done = self.done.pop(-min(back, len(self.done)))
        inventory = self.inventories[done.whose]
        now = state_of(inventory)
        result = done.command.undo()
        if done.is_rolled_back:
            assert not result
        elif now == done.after:
            assert result
            assert state_of(inventory) == done.before
        if result:
            assert inventory.buyback == done.before.buyback
            self.counts[done.whose].subtract(done.change)
        else:
            assert state_of(inventory) == now

    # Saved, refused, rolled back

    @rule(whose=WHOSE)
    def save(self, whose: int) -> None:
        inventory = self.inventories[whose]
        inventory.save(self.repository)
        assert inventory.is_submitted

    @precondition(lambda self: self.repository.waiting)
    @rule()
    def answer(self) -> None:
        self.repository.answer()

    @precondition(lambda self: self.repository.waiting)
    @rule()
    def refuse(self) -> None:
        self.repository.refuse()

    @rule(whose=WHOSE)
    def rollback(self, whose: int) -> None:
        for inventory in self.inventories[whose].rollback():
            assert inventory.items.tobytes() == self.submitted(inventory).tobytes()
            assert inventory.buyback == ()
            index = self.inventories.index(inventory)
            self.counts[index] = recount(inventory)
            for done in self.done:
                done.is_rolled_back |= done.whose == index

    def submitted(self, inventory: Inventory) -> Batch:
        """What is stored once everything is answered."""
        items = self.repository.load_items(inventory.character_guid)
        for _, changes in self.repository.waiting:
            for change in changes:
                if change.character_guid == inventory.character_guid:
                    items = change.applied_to(items)
        return items

    # What always holds

    @invariant()
    def nothing_is_lost_and_nothing_comes_from_nowhere(self) -> None:
        for inventory, counts in zip(self.inventories, self.counts, strict=True):
            assert recount(inventory) == +counts
            assert all(inventory.count(entry) == counts[entry] for entry in CATALOG)

    @invariant()
    def no_item_is_twice(self) -> None:
        guids = [
            item.item_guid
            for inventory in self.inventories
            for item in (*inventory, *inventory.buyback)
        ]
        assert all(guids)
        assert len(set(guids)) == len(guids)

    @invariant()
    def the_batch_is_the_records(self) -> None:
        for inventory in self.inventories:
            records = [
                item._replace(item_flags=item.item_flags & ~LOCKED)
                for item in sorted(inventory, key=lambda item: item.slot)
            ]
            assert inventory.items.tobytes() == np.array(records, INVENTORY_ITEM).tobytes()
            assert len({item.slot for item in records}) == len(inventory) == len(records)
            assert [item.slot for item in inventory] == [item.slot for item in records]

    @invariant()
    def every_item_is_where_it_may_be(self) -> None:
        for inventory in self.inventories:
            for item in inventory:
                template = CATALOG[item.entry]
                assert 1 <= item.stack_count <= template.max_stack
                bag = inventory.get(OWN + (item.slot >> 8)) if item.slot < OWN else None
                if item.slot < OWN:
                    assert bag is not None
                    assert item.slot & 0xFF < CATALOG[bag.entry].container_slots
                    if CATALOG[bag.entry].inventory_type is InventoryType.QUIVER:
                        assert item.entry == ARROW
                elif item.slot in range(BAG_1, PACK) or item.slot in range(BANK + 28, BUYBACK):
                    assert template.is_bag
                elif item.slot < BAG_1:
                    assert item.slot in WORN_IN[template.inventory_type]
                else:
                    assert item.slot < BANK + 28
                holder = bag.item_guid if bag is not None else inventory.character_guid
                assert item.contained == holder

    @invariant()
    def what_is_worn_goes_together(self) -> None:
        for inventory in self.inventories:
            main, off = inventory.get(MAIN_HAND), inventory.get(OFF_HAND)
            if main is not None and main.entry == GREATSWORD:
                assert off is None
            bags = [inventory.get(slot) for slot in range(BAG_1, PACK)]
            assert sum(bag is not None and bag.entry == QUIVER for bag in bags) <= 1
            fingers = [inventory.get(slot) for slot in (FINGER_1, FINGER_2)]
            assert sum(ring is not None and ring.entry == RING for ring in fingers) <= 1
            assert inventory.count(TROPHY) <= 2

    @invariant()
    def free_slots_are_those_that_are_empty(self) -> None:
        for inventory in self.inventories:
            slots = [*range(PACK, BANK)]
            for place in range(BAG_1, PACK):
                bag = inventory.get(place)
                if bag is not None and bag.entry != QUIVER:
                    inside = (place & 0xFF) << 8
                    slots += range(inside, inside + CATALOG[bag.entry].container_slots)
            assert inventory.free_slots == sum(slot not in inventory for slot in slots)

    @invariant()
    def what_is_committed_is_known(self) -> None:
        for inventory in self.inventories:
            stored = self.repository.load_items(inventory.character_guid)
            assert inventory.committed.tobytes() == stored.tobytes()
            assert inventory.is_dirty == (stored.tobytes() != inventory.items.tobytes())
            present = codec.apply_changes(inventory.committed, *inventory.changes())
            assert present.tobytes() == inventory.items.tobytes()
            submitted = self.submitted(inventory)
            assert inventory.is_submitted == (submitted.tobytes() == inventory.items.tobytes())

    def teardown(self) -> None:
        self.repository.answer_all()
        for inventory in self.inventories:
            inventory.save(self.repository)
        self.repository.answer_all()
        for inventory in self.inventories:
            assert not inventory.is_dirty
        self.what_is_committed_is_known()


TestInventory = InventoryMachine.TestCase
TestInventory.settings = settings(stateful_step_count=40)
