"""An inventory as it would be: what a command plans, before anything is changed.

A command writes into a draft. If it is refused half-way, the draft is dropped and nothing has
happened; if not, the draft's changes are applied in one go. Rules read drafts, so they see what
the steps before them did. Knows no rule.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from mmoinv.inventory.catalog import ItemCatalog
from mmoinv.inventory.contents import Contents
from mmoinv.inventory.owner import InventoryOwner
from mmoinv.inventory.slots import EQUIPPED_BAGS, OWN
from mmoinv.inventory.templates import ItemTemplate
from mmoinv.records import InventoryItemData

Buyback = tuple[InventoryItemData, ...]


class SlotChange(NamedTuple):
    """What a slot held before and holds after; None for nothing."""

    slot: int
    before: InventoryItemData | None
    after: InventoryItemData | None


def packed_records(changes: Iterable[SlotChange]) -> list[bytes | None]:
    """The records of changes as bytes: before anything is changed, since it raises for what is no
    record."""
    pack = Contents.packed
    return [None if after is None else pack(after) for _, _, after in changes]


class Setting(NamedTuple):
    """Whose inventory it is and what its rules go by."""

    character_guid: int
    owner: InventoryOwner
    catalog: ItemCatalog
    new_guid: Callable[[], int]


class Draft:
    """`Contents` with changes written over them. ``contents`` itself is not changed.

    ``is_dry`` drafts are never applied: new items in them have the guid 0. ``held`` are slots that
    a trade holds: a draft that writes one of them ``touches_held`` and is not to be applied.
    """

    __slots__ = (
        "_base",
        "_counts",
        "_written",
        "buyback",
        "held",
        "is_dry",
        "setting",
        "touches_held",
    )

    def __init__(
        self,
        contents: Contents,
        setting: Setting,
        buyback: Buyback = (),
        is_dry: bool = False,
        held: Container[int] = (),
    ) -> None:
        self.setting = setting
        self.buyback = buyback
        """What was sold, oldest first."""
        self.is_dry = is_dry
        self.held = held
        self.touches_held = False
        self._base = contents
        self._written: dict[int, InventoryItemData | None] = {}
        self._counts: dict[int, int] = {}

    # Reading

    def get(self, slot: int) -> InventoryItemData | None:
        """What would be in a slot."""
        if slot in self._written:
            return self._written[slot]
        return self._base.items.get(slot)

    def template(self, entry: int) -> ItemTemplate | None:
        """The template of an entry, if the catalog has it."""
        return self.setting.catalog.get(entry)

    def count_of(self, entry: int) -> int:
        """Items of an entry that there would be, stacks counted in full."""
        return self._base.count_of(entry) + self._counts.get(entry, 0)

    def first_empty(self, slots: Iterable[int]) -> int | None:
        """The first of some slots that would be empty, and that no trade holds."""
        written, items, held = self._written, self._base.items, self.held
        for slot in slots:
            there = written[slot] if slot in written else items.get(slot)
            if there is None and slot not in held:
                return slot
        return None

    def items_in(self, slots: Iterable[int]) -> Iterator[InventoryItemData]:
        """What would be in some slots, in their order."""
        written, items = self._written, self._base.items
        for slot in slots:
            item = written[slot] if slot in written else items.get(slot)
            if item is not None:
                yield item

    # Writing

    def place(self, item: InventoryItemData, slot: int) -> InventoryItemData:
        """Put an item into a slot, whatever was there, and say so in its record: the slot, and the
        container (the guid of the bag, or of the character). Gives the record."""
        bag = slot >> 8
        contained = self.setting.character_guid
        if EQUIPPED_BAGS.start <= bag < EQUIPPED_BAGS.stop:
            holder = self.get(OWN + bag)
            contained = holder.item_guid if holder is not None else item.contained
        if item.slot != slot or item.contained != contained:
            item = item.placed(slot, contained)
        self._write(slot, item)
        return item

    def change(self, item: InventoryItemData) -> None:
        """Put a changed record into its own slot."""
        self._write(item.slot, item)

    def remove(self, slot: int) -> None:
        """Empty a slot."""
        self._write(slot, None)

    def take_back(self, changes: Iterable[SlotChange]) -> None:
        """Write what was there before some changes."""
        for change in changes:
            self._write(change.slot, change.before)

    def new_guid(self) -> int:
        """The guid of a new item."""
        return 0 if self.is_dry else self.setting.new_guid()

    def _write(self, slot: int, item: InventoryItemData | None) -> None:
        before = self.get(slot)
        counts = self._counts
        if before is not None:
            counts[before.entry] = counts.get(before.entry, 0) - before.stack_count
        if item is not None:
            counts[item.entry] = counts.get(item.entry, 0) + item.stack_count
        self._written[slot] = item
        if slot in self.held:
            self.touches_held = True

    # The outcome

    def changes(self) -> tuple[SlotChange, ...]:
        """What differs, in the order in which the slots were first written."""
        items = self._base.items
        return tuple(
            [
                SlotChange(slot, items.get(slot), item)
                for slot, item in self._written.items()
                if items.get(slot) != item
            ]
        )
