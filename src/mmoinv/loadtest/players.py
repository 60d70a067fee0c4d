"""Simulated players: each has an inventory, and does to it what players do.

Whatever a player does is a command of the game's rules, which may refuse it. Knows neither
connector nor clock of the schedule; the same seed plays the same game.
"""

import random
from collections.abc import Callable, Sequence

from mmoinv.inventory import (
    Inventory,
    InventoryResult,
    PlayerState,
    SlotChange,
)
from mmoinv.inventory.slots import BAG_PACK, EQUIPMENT
from mmoinv.loadtest.deeds import DEED_WEIGHTS, Deed, DeedLog
from mmoinv.loadtest.game_items import TOP_LEVEL, GameItems, game_items
from mmoinv.loadtest.starting_items import CARRIED, NewItemGuids, starting_items
from mmoinv.records import Batch, InventoryItemData

Outcome = InventoryResult[tuple[SlotChange, ...]] | None
"""What the rules said; None where there was nothing to do it with."""

OWN_PLACES = range(EQUIPMENT.start, BAG_PACK.stop)
"""What is worn, bags included."""
SORTED_AT_MOST = 25
"""Who has more items does not sort. A first sort writes nearly all that is carried: from 20 records
on, together with a trade, that is above the 1,024 bytes that the largest save is judged by."""
LOWEST_LEVEL = 20
ATTEMPTS = 4
"""What a player who is refused tries instead, before something that always works."""


class Player:
    """One character, its inventory and what it does with it.

    ``others`` of `play` are the players of the same world, with whom it trades.
    """

    def __init__(
        self,
        guid: int,
        items: Batch,
        rng: random.Random,
        new_item_guids: NewItemGuids,
        log: DeedLog,
    ) -> None:
        self.guid = guid
        self._rng = rng
        self._new_item_guids = new_item_guids
        self._log = log
        self._game: GameItems = game_items()
        self._state = PlayerState(
            level=rng.randint(LOWEST_LEVEL, TOP_LEVEL),
            can_dual_wield=True,
            proficiencies=self._game.proficiencies,
        )
        self.load(items)

    def load(self, items: Batch) -> None:
        """Have what the realm has stored, as after a join."""
        self.inventory = Inventory.from_items(
            self.guid,
            items,
            self._game.catalog,
            self._state,
            self._new_item_guids,
            command_log=self._log,
        )

    def new_items(self, item_count: int) -> Batch:
        """A wholly new inventory that is not loaded yet."""
        return starting_items(
            self.guid,
            item_count,
            self._state.level,
            self._rng,
            self._game,
            self._new_item_guids,
        )

    @property
    def items(self) -> Batch:
        """What the world holds of it."""
        return self.inventory.items

    def play(self, deeds: int, others: Sequence["Player"] = ()) -> None:
        """So many deeds. Where one is refused or impossible, another is done instead, so that
        there is always something to save."""
        for deed in self._rng.choices(_KINDS, _WEIGHTS, k=deeds):
            if not self._do(deed, others) and not any(
                self._do(instead, others)
                for instead in self._rng.choices(_KINDS, _WEIGHTS, k=ATTEMPTS)
            ):
                self._do_anything()
        while self.inventory.is_submitted:
            # They took each other back: moved there and back, sold and bought back.
            self._do_anything()

    def _do_anything(self) -> None:
        # Without an item that wears out there may be room; without room there is what to destroy.
        any(self._do(deed, ()) for deed in (Deed.WEAR, Deed.LOOT, Deed.DESTROY))

    def _do(self, deed: Deed, others: Sequence["Player"]) -> bool:
        """Whether it was done."""
        self._log.deed = deed
        outcome = self._trade(others) if deed is Deed.TRADE else _DEEDS[deed](self)
        return outcome is not None and bool(outcome)

    # Deeds: each picks what to do it with, and asks the rules.

    def _loot(self) -> Outcome:
        template = self._rng.choice(self._game.loot)
        most = min(5, template.max_stack)
        return self.inventory.add_items(template, self._rng.randint(1, most))

    def _stack(self) -> Outcome:
        stack = self._pick(lambda item: item.stack_count < self._max_stack(item))
        return self.inventory.add_items(stack.entry) if stack else None

    def _use(self) -> Outcome:
        item = self._pick(self._is_consumable)
        return self.inventory.use(item.slot) if item else None

    def _move(self) -> Outcome:
        item = self._pick()
        return self.inventory.move(item.slot, self._rng.choice(CARRIED)) if item else None

    def _swap(self) -> Outcome:
        one, other = self._pick(), self._pick()
        return self.inventory.swap(one.slot, other.slot) if one and other else None

    def _split(self) -> Outcome:
        stack = self._pick(lambda item: item.stack_count > 1)
        if stack is None:
            return None
        amount = self._rng.randrange(1, stack.stack_count)
        return self.inventory.split(stack.slot, self._rng.choice(CARRIED), amount)

    def _merge(self) -> Outcome:
        one = self._pick(lambda item: item.stack_count < self._max_stack(item))
        if one is None:
            return None
        other = self._pick(lambda item: item.entry == one.entry and item.slot != one.slot)
        return self.inventory.merge(one.slot, other.slot) if other else None

    def _equip(self) -> Outcome:
        item = self._pick(self._is_equippable)
        return self.inventory.equip(item.slot) if item else None

    def _unequip(self) -> Outcome:
        item = self._pick_worn()
        return self.inventory.unequip(item.slot) if item else None

    def _sell(self) -> Outcome:
        item = self._pick()
        return self.inventory.sell(item.slot) if item else None

    def _buy_back(self) -> Outcome:
        sold = self.inventory.buyback
        return self.inventory.buy_back(self._rng.choice(sold).slot) if sold else None

    def _sort(self) -> Outcome:
        return self.inventory.sort() if len(self.inventory) <= SORTED_AT_MOST else None

    def _destroy(self) -> Outcome:
        item = self._pick()
        return self.inventory.remove(item.slot) if item else None

    def _wear(self) -> Outcome:
        item = self._pick_worn(lambda item: bool(self._game.catalog[item.entry].max_durability))
        if item is None:
            return None
        # Worn out is repaired.
        best = self._game.catalog[item.entry].max_durability
        durability = item.durability - 1 if item.durability > 1 else best
        return self.inventory.change_item(item.slot, durability=durability)

    def _trade(self, others: Sequence["Player"]) -> Outcome:
        """One item for one or none. Nobody trades again before the last trade is on its way: with
        a realm that takes nothing more, in the end all of a world would be one operation."""
        if self.inventory.saved.tied or len(others) < 2:
            return None
        other = self._rng.choice(others)
        given, taken = self._pick(), other._pick()
        if other is self or other.inventory.saved.tied or given is None:
            return None
        takes = [taken.slot] if taken is not None and self._rng.random() < 0.5 else []
        gives = [given.slot]
        return self.inventory.exchange(gives, other.inventory, takes)

    # What to do it with

    def _pick(
        self, wanted: Callable[[InventoryItemData], bool] | None = None
    ) -> InventoryItemData | None:
        """One of the carried items that are wanted."""
        items = [item for item in self.inventory if item.slot not in OWN_PLACES]
        return self._one_of(items, wanted)

    def _pick_worn(
        self, wanted: Callable[[InventoryItemData], bool] | None = None
    ) -> InventoryItemData | None:
        items = [item for item in self.inventory if item.slot in EQUIPMENT]
        return self._one_of(items, wanted)

    def _one_of(
        self,
        items: list[InventoryItemData],
        wanted: Callable[[InventoryItemData], bool] | None,
    ) -> InventoryItemData | None:
        if wanted is not None:
            items = [item for item in items if wanted(item)]
        return self._rng.choice(items) if items else None

    def _max_stack(self, item: InventoryItemData) -> int:
        return self._game.catalog[item.entry].max_stack

    def _is_consumable(self, item: InventoryItemData) -> bool:
        return self._game.catalog[item.entry].consumable

    def _is_equippable(self, item: InventoryItemData) -> bool:
        return self._game.catalog[item.entry].is_equippable


_DEEDS: dict[Deed, Callable[[Player], Outcome]] = {
    Deed.LOOT: Player._loot,
    Deed.STACK: Player._stack,
    Deed.USE: Player._use,
    Deed.MOVE: Player._move,
    Deed.SWAP: Player._swap,
    Deed.SPLIT: Player._split,
    Deed.MERGE: Player._merge,
    Deed.EQUIP: Player._equip,
    Deed.UNEQUIP: Player._unequip,
    Deed.SELL: Player._sell,
    Deed.BUY_BACK: Player._buy_back,
    Deed.SORT: Player._sort,
    Deed.DESTROY: Player._destroy,
    Deed.WEAR: Player._wear,
}
_KINDS, _WEIGHTS = tuple(DEED_WEIGHTS), tuple(DEED_WEIGHTS.values())
