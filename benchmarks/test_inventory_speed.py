"""The inventory model beside a plain dict of dataclasses that does the same without rules.

39 items as a character carries them: equipment, four bags of 20, stacks and odd pieces. The dict
keeps no batch, checks nothing and has no way back; its diff compares record by record.
"""

import itertools
import statistics
import timeit
from dataclasses import dataclass, replace

import numpy as np

from mmoinv import codec
from mmoinv.inventory import (
    CommandLog,
    Inventory,
    InventoryType,
    ItemCatalog,
    ItemTemplate,
    PlayerState,
)
from mmoinv.inventory.slots import BACKPACK, BANK
from mmoinv.inventory.validation import WORN_IN
from mmoinv.records import INVENTORY_ITEM, Batch

GUID = 7
POTION, PIECE, BAG, WORN = 2000, 700, 4500, 19_000
EQUIPMENT = {kind: slots[0] for kind, slots in WORN_IN.items() if kind is not InventoryType.ROBE}
CATALOG = ItemCatalog(
    [
        ItemTemplate(POTION, "potion", max_stack=20, consumable=True),
        ItemTemplate(PIECE, "piece of junk"),
        ItemTemplate(BAG, "bag of 20", InventoryType.BAG, container_slots=20),
        *(ItemTemplate(WORN + kind, kind.name, kind, max_durability=80) for kind in EQUIPMENT),
    ]
)
PLAYER = PlayerState(level=60)
POTIONS, OTHER = BACKPACK[0], BACKPACK[1]


@dataclass
class PlainItem:
    """A record as one would write it down first."""

    entry: int
    slot: int
    stack_count: int
    creator: int
    contained: int
    durability: int
    random_property_index: int
    random_suffix_index: int
    item_flags: int
    item_guid: int


class PlainInventory:
    """A dict of them by slot, and what was committed."""

    def __init__(self, records: list[tuple[int, ...]]) -> None:
        self.items = {record[1]: PlainItem(*record) for record in records}
        self.committed = {slot: replace(item) for slot, item in self.items.items()}

    def swap(self, one: int, other: int) -> None:
        first, second = self.items[one], self.items[other]
        first.slot, second.slot = other, one
        self.items[one], self.items[other] = second, first

    def change_stack(self, slot: int, amount: int) -> None:
        self.items[slot].stack_count += amount

    def changes(self) -> tuple[list[PlainItem], list[int]]:
        saves = [item for slot, item in self.items.items() if self.committed.get(slot) != item]
        return saves, [slot for slot in self.committed if slot not in self.items]


def carried(count: int) -> Inventory:
    """An inventory of so many items, committed: it differs from nothing."""
    guids = itertools.count(1)
    inventory = Inventory(GUID, CATALOG, PLAYER, lambda n: [next(guids) for _ in range(n)])
    for _ in range(4):
        inventory.add_items(BAG)
        assert inventory.equip(BACKPACK[0])
    for kind in list(EQUIPMENT)[: count // 4]:
        inventory.add_items(WORN + kind)
        inventory.equip(BACKPACK[0])
    inventory.add_items(POTION, 15)
    while len(inventory) < count:
        assert inventory.add_items(PIECE)
    return loaded(inventory.items)


def loaded(items: Batch, log: CommandLog | None = None) -> Inventory:
    guids = itertools.count(20_000)
    inventory = Inventory.from_items(
        GUID, items, CATALOG, PLAYER, lambda n: [next(guids) for _ in range(n)], command_log=log
    )
    assert not inventory.findings
    return inventory


class TestSwap:
    """Two items of the backpack change places."""

    group = "swap two of 39 items"

    def test_ours(self, compare):
        inventory = carried(39)
        compare(self.group, "ours", "i.swap(a, b)", i=inventory, a=POTIONS, b=OTHER)

    def test_without_log(self, compare):
        inventory = loaded(carried(39).items, CommandLog(is_on=False))
        compare(self.group, "ours, log off", "i.swap(a, b)", i=inventory, a=POTIONS, b=OTHER)

    def test_plain(self, compare):
        plain = PlainInventory(carried(39).items.tolist())
        compare(self.group, "dict", "i.swap(a, b)", i=plain, a=POTIONS, b=OTHER)


class TestStackChange:
    """One item is taken from a stack, and put back: the time of both."""

    group = "take one from a stack of 39 items and undo it"

    def test_ours(self, compare):
        inventory = carried(39)
        compare(
            self.group,
            "ours",
            "c = remove(slot, 1); c.execute(); c.undo()",
            remove=inventory.commands.remove,
            slot=POTIONS,
        )

    def test_plain(self, compare):
        plain = PlainInventory(carried(39).items.tolist())
        compare(
            self.group, "dict", "i.change_stack(s, -1); i.change_stack(s, 1)", i=plain, s=POTIONS
        )


class TestChanges:
    """What differs from what is committed, after a swap: the batch is made anew each time."""

    group = "changes() of 39 items"

    def test_ours(self, compare, benchmark):
        inventory = carried(39)
        assert inventory.swap(POTIONS, OTHER)
        contents, before, after = inventory._contents, inventory.committed, inventory.items
        statement = "c._batch = None; changes()"
        names = {"c": contents, "changes": inventory.changes}
        compare(self.group, "ours", statement, **names)
        # The two in turn, so that both see the same machine.
        ours = timeit.Timer(statement, globals=names)
        bare = timeit.Timer("diff(a, b)", globals={"diff": codec.diff, "a": before, "b": after})
        beyond = [(ours.timeit(1000) - bare.timeit(1000)) * 1e6 for _ in range(51)]
        benchmark.extra_info["beyond_the_diff_ns"] = round(statistics.median(beyond))

    def test_diff_alone(self, compare):
        inventory = carried(39)
        assert inventory.swap(POTIONS, OTHER)
        before, after = inventory.committed, inventory.items
        compare(self.group, "the diff alone", "diff(a, b)", diff=codec.diff, a=before, b=after)

    def test_plain(self, compare):
        plain = PlainInventory(carried(39).items.tolist())
        plain.swap(POTIONS, OTHER)
        compare(self.group, "dict", "changes()", changes=plain.changes)


class TestLoad:
    """An inventory from what the realm sends at join."""

    group = "load 119 items"

    def test_ours(self, each):
        items = full()
        each(self.group, "ours", 1, "load(items)", load=loaded, items=items)

    def test_plain(self, each):
        items = full()
        each(self.group, "dict", 1, "load(items.tolist())", load=PlainInventory, items=items)


def full() -> Batch:
    """119 items: what is worn, four full bags, a full backpack, the rest in the bank."""
    inventory = carried(39)
    while inventory.add_items(PIECE):
        pass
    missing = 119 - len(inventory)
    bank = np.zeros(missing, INVENTORY_ITEM)
    bank["slot"] = BANK[:missing]
    bank["entry"], bank["stack_count"], bank["contained"] = PIECE, 1, GUID
    bank["item_guid"] = 10_000 + np.arange(missing)
    return codec.apply_changes(inventory.items, bank, np.empty(0, np.uint16))
