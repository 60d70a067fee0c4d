"""What a simulated player begins with: a batch of valid items, so many as are wanted.

Made without the rules, and quicker than a hundred commands; that the rules agree with it is what
loading it shows. Knows no connector.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.inventory import Bonding, ItemFlags, ItemTemplate
from mmoinv.inventory.slots import (
    BACKPACK,
    BAG_PACK,
    EQUIPMENT,
    bag_holding,
    inside_of,
    is_inside_bag,
)
from mmoinv.loadtest.game_items import BAG_SIZE, GameItems
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.records import INVENTORY_ITEM, Batch, InventoryItemData

BAG_CONTENTS = tuple(inside_of(bag) + slot for bag in BAG_PACK for slot in range(BAG_SIZE))
CARRIED = (*BACKPACK, *BAG_CONTENTS)
"""Where loot goes: the backpack, then the bags in order."""
FULL = len(EQUIPMENT) + len(BAG_PACK) + len(CARRIED)
"""Items of a character with nothing free: 119."""

NewItemGuids = Callable[[int], npt.NDArray[Any]]


def item_count_of(index: int, rng: random.Random) -> int:
    """How many items the player of that number starts with: 20 to 40; one in twenty has full
    bags, and the first two have exactly 40 and 119."""
    if index == 0:
        return 40
    if index % 20 == 1:
        return FULL
    return rng.randrange(20, 41)


def starting_items(
    character_guid: int,
    item_count: int,
    level: int,
    rng: random.Random,
    items: GameItems,
    new_item_guids: NewItemGuids,
) -> Batch:
    """A new inventory of so many items, slot-sorted: equipment that a player of that level may
    wear, bags, then what is carried."""
    if item_count > FULL:
        raise ValueError(f"{item_count} items are more than the {FULL} that fit")
    worn = len(EQUIPMENT) if item_count == FULL else max(4, min(19, item_count // 3))
    carried = list(CARRIED)
    if item_count < FULL:
        # Players leave gaps.
        rng.shuffle(carried)
    places = [*EQUIPMENT[:worn], *BAG_PACK]
    slots = sorted([*places, *carried[: max(0, item_count - len(places))]][:item_count])
    guids = new_item_guids(len(slots)).tolist()
    guid_in = dict(zip(slots, guids, strict=True))
    records = []
    for slot, guid in guid_in.items():
        holder = guid_in[bag_holding(slot)] if is_inside_bag(slot) else character_guid
        records.append(_item(slot, level, rng, items, guid, holder))
    return np.array(records, INVENTORY_ITEM)


def _item(
    slot: int, level: int, rng: random.Random, items: GameItems, guid: int, contained: int
) -> InventoryItemData:
    if slot in EQUIPMENT:
        template = rng.choice([one for one in items.worn_in[slot] if one.required_level <= level])
        return _worn(template, slot, rng, guid, contained)
    if slot in BAG_PACK:
        template, count = rng.choice(items.bags), 1
    elif rng.random() < 0.6:
        template = rng.choice(items.stackables)
        count = rng.randrange(1, template.max_stack + 1)
    else:
        template, count = rng.choice(items.plain), 1
    flags = ItemFlags.BOUND if template.bonding is Bonding.WHEN_PICKED_UP else ItemFlags(0)
    return InventoryItemData(
        template.entry,
        slot,
        count,
        contained=contained,
        durability=template.max_durability,
        item_flags=template.flags | flags,
        item_guid=guid,
    )


def _worn(
    template: ItemTemplate, slot: int, rng: random.Random, guid: int, contained: int
) -> InventoryItemData:
    bound = ItemFlags(0) if template.bonding is Bonding.NONE else ItemFlags.BOUND
    return InventoryItemData(
        template.entry,
        slot,
        1,
        creator=GUID_BASE + rng.randrange(10_000) if rng.random() < 0.2 else 0,
        contained=contained,
        durability=rng.randint((template.max_durability + 3) // 4, template.max_durability),
        random_property_index=rng.randrange(1, 2200) if rng.random() < 0.3 else 0,
        item_flags=template.flags | bound,
        item_guid=guid,
    )
