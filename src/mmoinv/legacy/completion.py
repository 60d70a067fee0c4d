"""What old tables don't say of an item: its guid, what contains it, fields that they never kept.

Arrays in, arrays out. Knows records and slots; no tables.
"""

from collections.abc import Collection

import numpy as np

from mmoinv.inventory.slots import EQUIPPED_BAGS, bag_holding, is_inside_bag
from mmoinv.legacy.interface import ALL_FIELDS
from mmoinv.records import Batch


def completed(items: Batch, known: Batch, kept: Collection[str]) -> Batch:
    """A batch from old tables that keep the fields ``kept``, with what they don't keep taken from
    ``known``, another one of the same character: from the record of the same slot and entry, else
    from one of the same entry that no other record takes. What none is found for stays 0."""
    missing = sorted(ALL_FIELDS - set(kept) - {"contained", "slot"})
    nameless = "item_guid" in kept and bool((items["item_guid"] == 0).any())
    if not len(items) or not len(known) or not (missing or nameless):
        return items
    result = items.copy()
    wanted = np.flatnonzero(result["item_guid"] == 0).tolist()
    taken = set(result["item_guid"].tolist()) - {0}
    spare: dict[int, list[int]] = {}
    at = {}
    for index, record in enumerate(known.tolist()):
        entry, slot, guid = record[0], record[1], record[-1]
        if guid not in taken:
            at[slot] = index
            spare.setdefault(entry, []).append(index)
    entries, slots = items["entry"].tolist(), items["slot"].tolist()
    pairs = {}
    for index in wanted:
        there = at.get(slots[index])
        if there is not None and int(known["entry"][there]) == entries[index]:
            pairs[index] = there
            spare[entries[index]].remove(there)
    for index in wanted:
        if index not in pairs and spare.get(entries[index]):
            pairs[index] = spare[entries[index]].pop(0)
    if pairs:
        mine, theirs = list(pairs), list(pairs.values())
        for name in {*missing, "item_guid"}:
            result[name][mine] = known[name][theirs]
    if missing and "item_guid" in kept:
        _complete_named(result, known, missing)
    return result


def _complete_named(result: Batch, known: Batch, missing: list[str]) -> None:
    """The same for records that have a guid: from the record of that guid."""
    order = np.argsort(known["item_guid"], kind="stable")
    guids = known["item_guid"][order]
    place = np.minimum(np.searchsorted(guids, result["item_guid"]), len(guids) - 1)
    found = (guids[place] == result["item_guid"]) & (result["item_guid"] != 0)
    for name in missing:
        result[name][found] = known[name][order[place[found]]]


def contained(items: Batch, character_guid: int) -> Batch:
    """A copy with what contains each item: the bag's guid inside of an equipped bag that is there,
    else the character's."""
    result = items.copy()
    result["contained"] = character_guid
    bags = result["slot"] >> 8
    inside = (bags >= EQUIPPED_BAGS.start) & (bags < EQUIPPED_BAGS.stop)
    if inside.any():
        guids = dict(zip(result["slot"].tolist(), result["item_guid"].tolist(), strict=True))
        for index in np.flatnonzero(inside).tolist():
            slot = int(result["slot"][index])
            holder = guids.get(bag_holding(slot)) if is_inside_bag(slot) else None
            if holder is not None:
                result["contained"][index] = holder
    return result


def only(items: Batch, kept: Collection[str]) -> Batch:
    """A copy in which the fields that are not ``kept`` are 0."""
    result = items.copy()
    for name in ALL_FIELDS - set(kept) - {"slot"}:
        result[name] = 0
    return result
