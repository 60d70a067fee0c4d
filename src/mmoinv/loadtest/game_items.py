"""The items of the game that the load test plays, and which of them are good for what.

`game_catalog` is the one place that says which catalog it is; all else asks the templates. Knows
no player and no inventory.
"""

from collections.abc import Iterator
from functools import cache

from mmoinv.inventory import Bonding, InventoryType, ItemCatalog, ItemFlags, ItemTemplate
from mmoinv.inventory.slots import EQUIPMENT
from mmoinv.inventory.validation import WORN_IN

BAG_SIZE = 20
"""Slots of the bags that players wear."""
TOP_LEVEL = 60

PIECES = 14
"""Templates of each kind of equipment."""
JEWELS = frozenset(
    {
        InventoryType.NECK,
        InventoryType.FINGER,
        InventoryType.TRINKET,
        InventoryType.BODY,
        InventoryType.TABARD,
        InventoryType.CLOAK,
        InventoryType.RELIC,
    }
)
"""What does not wear out."""
NOT_PIECES = frozenset(
    {InventoryType.NON_EQUIP, InventoryType.BAG, InventoryType.AMMO, InventoryType.QUIVER}
)
BONDINGS = (Bonding.WHEN_EQUIPPED, Bonding.WHEN_PICKED_UP, Bonding.NONE)


@cache
def game_catalog() -> ItemCatalog:
    """All templates, the same in every process and every run."""
    return ItemCatalog(
        (*_equipment(19_000), *_bags(4_500), *_stackables(2_000), *_junk(700), *_quest_items(600))
    )


def _equipment(entry: int) -> Iterator[ItemTemplate]:
    for kind in InventoryType:
        if kind in NOT_PIECES:
            continue
        noun = kind.name.replace("_", " ").capitalize()
        for number in range(PIECES):
            is_jewel = kind in JEWELS
            yield ItemTemplate(
                entry,
                f"{noun} {number + 1}",
                kind,
                bonding=BONDINGS[number % len(BONDINGS)],
                required_level=number * TOP_LEVEL // PIECES,
                item_set=0 if is_jewel else 1 + number,
                flags=ItemFlags.UNIQUE_EQUIPPED if is_jewel and number % 4 == 3 else ItemFlags(0),
                max_durability=0 if is_jewel else 60 + 5 * number,
            )
            entry += 1


def _bags(entry: int) -> Iterator[ItemTemplate]:
    for number in range(6):
        yield ItemTemplate(
            entry + number, f"Bag {number + 1}", InventoryType.BAG, container_slots=BAG_SIZE
        )
    yield ItemTemplate(entry + 6, "Quiver", InventoryType.QUIVER, container_slots=16)


def _stackables(entry: int) -> Iterator[ItemTemplate]:
    for number in range(40):
        yield ItemTemplate(
            entry + number,
            f"Potion {number + 1}",
            max_stack=20,
            required_level=number % 4 * 10,
            consumable=True,
        )
    for number in range(80):
        yield ItemTemplate(entry + 40 + number, f"Ore {number + 1}", max_stack=20)
    for number in range(5):
        yield ItemTemplate(
            entry + 120 + number, f"Arrow {number + 1}", InventoryType.AMMO, max_stack=200
        )


def _junk(entry: int) -> Iterator[ItemTemplate]:
    for number in range(200):
        yield ItemTemplate(entry + number, f"Curio {number + 1}")


def _quest_items(entry: int) -> Iterator[ItemTemplate]:
    for number in range(10):
        yield ItemTemplate(
            entry + number, f"Token {number + 1}", max_count=1, bonding=Bonding.WHEN_PICKED_UP
        )


class GameItems:
    """The templates of a catalog by what players do with them, in the catalog's order."""

    def __init__(self, catalog: ItemCatalog) -> None:
        self.catalog = catalog
        every = list(catalog.values())
        self.bags = [one for one in every if one.is_bag and one.container_slots == BAG_SIZE]
        """Worn from the start, four of them."""
        self.stackables = [one for one in every if one.max_stack > 1]
        self.loot = [one for one in every if not one.is_bag]
        """What can be found."""
        self.plain = [one for one in self.loot if not one.max_count]
        """What one may have any number of."""
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
    """What is in `game_catalog`."""
    return GameItems(game_catalog())
