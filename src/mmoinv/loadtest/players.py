"""Simulated players: inventories as slot-sorted arrays, and what players do to them.

They change their arrays directly. Knows neither connector nor clock; the same seed plays the
same game.
"""

import random
from collections.abc import Callable
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from mmoinv.records import EQUIPPED_BAG, Batch, empty_batch

GUID_BASE = 0x4C54_0000_0000_0000
"""The load test's characters have the guids from here on: "LT" in the upper bytes."""
GUID_LAST = GUID_BASE + 0xFFFF_FFFF

EQUIPMENT = tuple(EQUIPPED_BAG << 8 | slot for slot in range(19))
BAGS = tuple(EQUIPPED_BAG << 8 | slot for slot in range(19, 23))
BACKPACK = tuple(EQUIPPED_BAG << 8 | slot for slot in range(23, 39))
BAG_SIZE = 20
BAG_CONTENTS = tuple(bag << 8 | slot for bag in range(19, 23) for slot in range(BAG_SIZE))
CARRIED = (*BACKPACK, *BAG_CONTENTS)
"""Where loot goes: the backpack, then the bags in order."""
FULL = len(EQUIPMENT) + len(BAGS) + len(CARRIED)
"""Items of a character with nothing free: 119."""

ENTRY_EQUIPMENT, ENTRY_BAG, ENTRY_STACKABLE, ENTRY_JUNK = 19_000, 4_500, 2_000, 700
MAX_STACK = 20
FLAG_BOUND = 1

MintGuids = Callable[[int], npt.NDArray[np.uint64]]


class Deed(IntEnum):
    """What a player does between two saves."""

    LOOT = 0
    STACK = 1
    USE = 2
    MOVE = 3
    WEAR = 4
    DESTROY = 5


DEED_WEIGHTS = (30, 20, 20, 15, 10, 5)


class Player:
    """One character. ``items`` is what the world holds, ``submitted`` what the last commit
    carried; both slot-sorted `INVENTORY_ITEM` batches."""

    def __init__(self, guid: int, item_count: int, rng: random.Random, mint: MintGuids) -> None:
        self.guid = guid
        self.items: Batch = empty_batch()
        self.submitted: Batch = self.items
        self.deeds = [0] * len(Deed)
        self._rng = rng
        self._mint = mint
        self.fill(item_count)

    def fill(self, item_count: int) -> None:
        """A new inventory of so many items: equipment, bags, then what is carried."""
        slots = [*EQUIPMENT[: max(4, min(19, item_count // 3))], *BAGS]
        carried = list(CARRIED)
        if item_count < FULL:
            # Players leave gaps.
            self._rng.shuffle(carried)
        elif item_count > FULL:
            raise ValueError(f"{item_count} items are more than the {FULL} that fit")
        if item_count == FULL:
            slots = [*EQUIPMENT, *BAGS]
        slots = sorted([*slots, *carried[: max(0, item_count - len(slots))]][:item_count])
        items = empty_batch(len(slots))
        items["slot"] = slots
        items["item_guid"] = self._mint(len(slots))
        for index, slot in enumerate(slots):
            self._describe(items, index, slot)
        self.items = items

    def _describe(self, items: Batch, index: int, slot: int) -> None:
        rng = self._rng
        items["stack_count"][index] = 1
        items["contained"][index] = self.guid
        if slot in EQUIPMENT:
            items["entry"][index] = ENTRY_EQUIPMENT + rng.randrange(400)
            items["durability"][index] = rng.randrange(20, 121)
            items["item_flags"][index] = FLAG_BOUND
            if rng.random() < 0.3:
                items["random_property_index"][index] = rng.randrange(1, 2200)
            if rng.random() < 0.2:
                items["creator"][index] = GUID_BASE + rng.randrange(10_000)
        elif slot in BAGS:
            items["entry"][index] = ENTRY_BAG + rng.randrange(6)
        elif rng.random() < 0.6:
            items["entry"][index] = ENTRY_STACKABLE + rng.randrange(120)
            items["stack_count"][index] = rng.randrange(1, MAX_STACK + 1)
        else:
            items["entry"][index] = ENTRY_JUNK + rng.randrange(900)

    def play(self, deeds: int) -> None:
        """So many deeds. What is impossible right now (no free slot, nothing to use) is loot
        or wear instead, so that there is always something to save."""
        for deed in self._rng.choices(list(Deed), DEED_WEIGHTS, k=deeds):
            done = deed
            if not _DEEDS[deed](self):
                done = Deed.WEAR
                self._wear()
            self.deeds[done] += 1

    # Deeds: each a new array or a change in place; False where it was impossible.

    def _loot(self) -> bool:
        free = self._free_slots()
        if not free:
            return self._stack()
        new = empty_batch(1)
        new["slot"] = free[0]
        new["item_guid"] = self._mint(1)
        self._describe(new, 0, free[0])
        self._insert(new)
        return True

    def _stack(self) -> bool:
        index = self._pick(
            (self.items["entry"] >= ENTRY_STACKABLE)
            & (self.items["entry"] < ENTRY_BAG)
            & (self.items["stack_count"] < MAX_STACK)
        )
        if index is None:
            return False
        self._own()
        self.items["stack_count"][index] += 1
        return True

    def _use(self) -> bool:
        index = self._pick(
            (self.items["entry"] >= ENTRY_STACKABLE) & (self.items["entry"] < ENTRY_BAG)
        )
        if index is None:
            return False
        if self.items["stack_count"][index] == 1:
            self.items = np.delete(self.items, index)
        else:
            self._own()
            self.items["stack_count"][index] -= 1
        return True

    def _move(self) -> bool:
        index, free = self._pick_carried(), self._free_slots()
        if index is None or not free:
            return False
        moved = self.items[index : index + 1].copy()
        moved["slot"] = self._rng.choice(free)
        self.items = np.delete(self.items, index)
        self._insert(moved)
        return True

    def _wear(self) -> bool:
        index = self._pick(self.items["entry"] >= ENTRY_EQUIPMENT)
        if index is None:
            return False
        self._own()
        durability = self.items["durability"]
        # Worn out is repaired.
        durability[index] = durability[index] - 1 if durability[index] > 1 else 120
        return True

    def _destroy(self) -> bool:
        index = self._pick_carried()
        if index is None:
            return False
        self.items = np.delete(self.items, index)
        return True

    def _own(self) -> None:
        """Before a change in place: what was submitted must stay as it was."""
        if self.items is self.submitted:
            self.items = self.items.copy()

    def _insert(self, record: Batch) -> None:
        place = int(np.searchsorted(self.items["slot"], record["slot"][0]))
        self.items = np.insert(self.items, place, record)

    def _free_slots(self) -> list[int]:
        taken = set(self.items["slot"].tolist())
        return [slot for slot in CARRIED if slot not in taken]

    def _pick(self, mask: npt.NDArray[np.bool_]) -> int | None:
        found = np.flatnonzero(mask)
        return int(self._rng.choice(found)) if len(found) else None

    def _pick_carried(self) -> int | None:
        slots = self.items["slot"]
        return self._pick((slots < EQUIPPED_BAG << 8) | (slots >= BACKPACK[0]))


_DEEDS: dict[Deed, Callable[[Player], bool]] = {
    Deed.LOOT: Player._loot,
    Deed.STACK: Player._stack,
    Deed.USE: Player._use,
    Deed.MOVE: Player._move,
    Deed.WEAR: Player._wear,
    Deed.DESTROY: Player._destroy,
}


def item_count_of(index: int, rng: random.Random) -> int:
    """How many items the player of that number starts with: 20 to 40; one in twenty has full
    bags, and the first two have exactly 40 and 119."""
    if index == 0:
        return 40
    if index % 20 == 1:
        return FULL
    return rng.randrange(20, 41)
