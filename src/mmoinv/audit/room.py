"""Where a record may be put in an inventory of which only its stored records are known.

No templates: how many slots a bag has is known only so far as something was ever in them. Knows
slots and records; no database.
"""

from collections.abc import Mapping

from mmoinv.inventory.slots import BACKPACK, EQUIPPED_BAGS, bag_holding, inside_of, is_inside_bag
from mmoinv.records import Batch, InventoryItemData

Records = Mapping[int, InventoryItemData]
"""By slot."""


class Room:
    """What lies where, and what is still free.

    ``contents`` is what is there; it grows with `put`. ``seen`` are inventories of the same
    character, of now or before, which tell how far its bags go.
    """

    def __init__(self, character_guid: int, contents: Records, *seen: Records) -> None:
        self.character_guid = character_guid
        self.contents = dict(contents)
        self._reach: dict[int, int] = {}
        for records in (contents, *seen):
            for slot in records:
                if is_inside_bag(slot) and bag_holding(slot) in records:
                    bag = records[bag_holding(slot)].item_guid
                    self._reach[bag] = max(self._reach.get(bag, 0), slot & 0xFF)

    def is_free(self, slot: int) -> bool:
        """Whether there is such a place, as far as can be known, and nothing is in it."""
        if slot in self.contents:
            return False
        if slot >> 8 not in EQUIPPED_BAGS:
            return True
        bag = self.contents.get(bag_holding(slot))
        return bag is not None and slot & 0xFF <= self._reach.get(bag.item_guid, -1)

    def find(self) -> int | None:
        """A free slot of the backpack, else of the equipped bags; None if there is none."""
        for slot in BACKPACK:
            if self.is_free(slot):
                return slot
        for bag in EQUIPPED_BAGS:
            first = inside_of(bag)
            holder = self.contents.get(bag_holding(first))
            reach = -1 if holder is None else self._reach.get(holder.item_guid, -1)
            for slot in range(first, first + reach + 1):
                if self.is_free(slot):
                    return slot
        return None

    def put(self, item: InventoryItemData, slot: int) -> None:
        """Put a record into a slot; what contains it is set."""
        contained = item.contained if slot == item.slot else self.character_guid
        holder = self.contents.get(bag_holding(slot)) if is_inside_bag(slot) else None
        if holder is not None:
            contained = holder.item_guid
        self.contents[slot] = item.placed(slot, contained)


def by_slot(batch: Batch) -> dict[int, InventoryItemData]:
    """A batch as records by slot."""
    return {item.slot: item for item in map(InventoryItemData._make, batch.tolist())}
