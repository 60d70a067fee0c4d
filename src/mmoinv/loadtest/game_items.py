"""The items of the game that the load test plays, and which of them are good for what.

The game is the sample catalog; all else asks the templates. Knows no player and no inventory.
"""

from functools import cache

from mmoinv.inventory import InventoryType, ItemCatalog, ItemFlags, ItemTemplate, sample_catalog
from mmoinv.inventory.slots import EQUIPMENT
from mmoinv.inventory.validation import WORN_IN

BAG_SIZE = 20
"""Slots of the bags that players wear."""
TOP_LEVEL = 60


class GameItems:
    """The templates of a catalog by what players do with them, in the catalog's order."""

    def __init__(self, catalog: ItemCatalog) -> None:
        self.catalog = catalog
        every = list(catalog.values())
        self.bags = [one for one in every if one.is_bag and one.container_slots == BAG_SIZE]
        """Worn from the start, four of them."""
        self.proficiencies = frozenset(one.proficiency for one in every)
        """What players have learned: everything."""
        self.loot = [one for one in every if not one.is_bag]
        """What can be found."""
        self.plain = [one for one in self.loot if not one.max_count]
        """What one may have any number of."""
        self.stackables = [one for one in self.plain if one.max_stack > 1]
        self.worn_in: dict[int, list[ItemTemplate]] = {slot: [] for slot in EQUIPMENT}
        """What a new character may wear, by slot, all of it at once: no two-handed weapons, and
        nothing that is worn once only."""
        for one in every:
            is_once = one.flags & ItemFlags.UNIQUE_EQUIPPED
            if one.inventory_type is InventoryType.TWO_HANDED_WEAPON or is_once:
                continue
            for slot in WORN_IN.get(one.inventory_type, ()):
                self.worn_in[slot].append(one)


@cache
def game_items() -> GameItems:
    """What is in the sample catalog."""
    return GameItems(sample_catalog())
