"""Three who exchange items while saves are refused, answered late or not taken: whatever is
stored at any moment, no item is there twice and none is missing."""

import itertools
from collections import Counter

import pytest
from aggregates import CLOTH, PACK, POTION, SWORD, Game, HeldBackRepository
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmoinv.errors import LinkBusyError
from mmoinv.inventory import Inventory, save_together

GUIDS = (7, 8, 9)
WHO = st.integers(0, 2)
SLOTS = st.integers(PACK, PACK + 3)
STOCK = Counter({SWORD: 3, POTION: 9, CLOTH: 6})


class SavingMachine(RuleBasedStateMachine):
    """Items only change hands, so that every sum is known at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = HeldBackRepository()
        game = Game()
        self.inventories = [game.inventory(guid) for guid in GUIDS]
        for inventory in self.inventories:
            for entry, amount in STOCK.items():
                assert inventory.add_items(entry, amount // 3)
            inventory.save(self.repository)
        self.repository.answer_all()

    @rule(who=WHO, source=SLOTS, to=SLOTS, amount=st.sampled_from([None, None, 1]))
    def move(self, who: int, source: int, to: int, amount: int | None) -> None:
        self.inventories[who].move(source, to, amount)

    @rule(
        pair=st.sampled_from(list(itertools.permutations(range(3), 2))),
        gives=st.sets(SLOTS, max_size=2),
        takes=st.sets(SLOTS, max_size=1),
    )
    def exchange(self, pair: tuple[int, int], gives: set[int], takes: set[int]) -> None:
        one, other = (self.inventories[index] for index in pair)
        one.exchange([slot for slot in gives if slot in one], other, takes)

    @rule(who=WHO)
    def give_and_take_back(self, who: int) -> None:
        """Unchanged in the end, and part of what happened."""
        one, other = self.inventories[who], self.inventories[who - 1]
        swords = [item for item in one if item.entry == SWORD]
        if swords and one.transfer([swords[0].slot], other):
            (back,) = [item for item in other if item.item_guid == swords[0].item_guid]
            assert other.transfer([back.slot], one)

    @rule(who=st.sets(WHO, min_size=1))
    def save(self, who: set[int]) -> None:
        save_together([self.inventories[index] for index in who], self.repository)
        assert all(self.inventories[index].is_submitted for index in who)

    @rule(who=WHO)
    def save_while_the_link_is_busy(self, who: int) -> None:
        inventory = self.inventories[who]
        before = len(self.repository.waiting)
        self.repository.is_full = True
        if not inventory.is_submitted:
            with pytest.raises(LinkBusyError):
                inventory.save(self.repository)
        self.repository.is_full = False
        assert len(self.repository.waiting) == before

    @rule(who=WHO)
    def save_again_as_soon_as_it_is_answered(self, who: int) -> None:
        inventory = self.inventories[who]
        handle = inventory.save(self.repository)
        handle.add_done_callback(lambda _: inventory.save(self.repository))

    @precondition(lambda self: self.repository.waiting)
    @rule(place=st.integers(0, 5))
    def answer(self, place: int) -> None:
        """One of those that wait for no other."""
        self.repository.answer(self.heads()[place % len(self.heads())])

    @precondition(lambda self: self.repository.waiting)
    @rule(place=st.integers(0, 5))
    def refuse(self, place: int) -> None:
        self.repository.refuse(self.heads()[place % len(self.heads())])

    def heads(self) -> list[int]:
        seen: set[int] = set()
        heads = []
        for index, (handle, _) in enumerate(self.repository.waiting):
            if not seen & set(handle.character_guids):
                heads.append(index)
            seen |= set(handle.character_guids)
        return heads

    @rule(who=WHO)
    def rollback(self, who: int) -> None:
        inventory = self.inventories[who]
        assert inventory in inventory.rollback()
        assert inventory.is_submitted

    @invariant()
    def no_item_is_missing_or_twice(self) -> None:
        stored = [self.repository.load_items(guid) for guid in GUIDS]
        for batches in (stored, [inventory.items for inventory in self.inventories]):
            counts: Counter[int] = Counter()
            for batch in batches:
                for entry, count in batch[["entry", "stack_count"]].tolist():
                    counts[entry] += count
            assert counts == STOCK
            guids = [guid for batch in batches for guid in batch["item_guid"].tolist()]
            assert len(set(guids)) == len(guids)

    @invariant()
    def what_is_committed_is_known(self) -> None:
        for inventory in self.inventories:
            stored = self.repository.load_items(inventory.character_guid)
            assert inventory.committed.tobytes() == stored.tobytes()
            waiting = [handle.character_guids for handle, _ in self.repository.waiting]
            assert inventory.is_saving == any(
                inventory.character_guid in guids for guids in waiting
            )

    @invariant()
    def clean_only_when_everything_is_stored(self) -> None:
        for inventory in self.inventories:
            if not inventory.is_dirty:
                assert self.is_stored(inventory)

    def is_stored(self, inventory: Inventory) -> bool:
        stored = self.repository.load_items(inventory.character_guid)
        return stored.tobytes() == inventory.items.tobytes()

    def teardown(self) -> None:
        self.repository.answer_all()
        for inventory in self.inventories:
            inventory.save(self.repository)
        self.repository.answer_all()
        assert all(map(self.is_stored, self.inventories))
        assert not any(inventory.is_dirty for inventory in self.inventories)


TestSaving = SavingMachine.TestCase
TestSaving.settings = settings(stateful_step_count=30)
