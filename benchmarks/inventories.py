"""The inventories that the benchmarks encode, decode and compare."""

import numpy as np

from mmoinv.records import INVENTORY_ITEM, ITEM_DATA, Batch

SIZES = (1, 25, 100, 1000)


def inventory(count: int, character_guid: int = 7) -> Batch:
    """``count`` mixed items as a character has them, in slot order: backpack and three bags; for
    the large ones more bags than there are."""
    random = np.random.default_rng(character_guid)
    slots = [0xFF00 + slot for slot in range(23, 39)]
    bags = range(19, 22) if count <= 124 else range(19, 60)
    slots = sorted(slots + [bag << 8 | slot for bag in bags for slot in range(36)])
    items = np.zeros(count, INVENTORY_ITEM)
    items["slot"] = slots[:count]
    items["entry"] = random.choice([2589, 118, 1181, 2070, 4540, 25, 6948, 18832], count)
    items["stack_count"] = random.integers(1, 21, count)
    items["creator"] = np.where(random.random(count) < 0.3, 0x5_0000_1234, 0)
    items["contained"] = np.where(items["slot"] < 0xFF00, 0x9_0000_0001, 0)
    items["durability"] = np.where(random.random(count) < 0.5, random.integers(1, 120, count), 0)
    items["random_suffix_index"] = np.where(random.random(count) < 0.1, 5, 0)
    items["item_guid"] = (9 << 32) + 1000 * character_guid + np.arange(count)
    return items


def item_data(count: int) -> Batch:
    """The same as `ITEM_DATA`."""
    wide = inventory(count)
    narrow = np.zeros(count, ITEM_DATA)
    for name in ITEM_DATA.names:
        narrow[name] = wide[name]
    return narrow


def a_moment_later(before: Batch) -> Batch:
    """With up to three changes: a stack used, an item gone, a new one in a free slot."""
    after = before.copy()
    after["stack_count"][0] += 1
    if len(before) < 3:
        return after
    new = after[-1:].copy()
    new["slot"] += 1
    return np.concatenate([np.delete(after, len(after) // 2), new])
