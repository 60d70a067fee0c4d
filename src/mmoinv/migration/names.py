"""What the old way never kept: taken from the new side's records, and left out of comparisons.

The old way usually keeps no item guids. What is read from it takes them, and every other field that
is declared as never kept, from the record that the new side has for the same slot and entry; else
from one of the same entry that nobody else takes. An item that has no name then gets one. Knows
batches; no repository.
"""

import itertools
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from mmoinv.errors import ConfigurationError
from mmoinv.records import INVENTORY_ITEM, Batch

GUID = "item_guid"
Mint = Callable[[int], "npt.NDArray[np.uint64] | Sequence[int]"]
"""Gives so many item guids that were never given before: `RealmConnector.new_item_guids`."""


def checked_fields(names: Collection[str]) -> tuple[str, ...]:
    """Fields that the old way may do without, in the record's order; `ConfigurationError` for a
    field that there is not, and for those without which there is no item."""
    possible = [name for name in INVENTORY_ITEM.names or () if name not in KEPT_BY_ALL]
    if unknown := sorted(set(names) - set(possible)):
        raise ConfigurationError(
            f"{unknown[0]!r} is no field that an old way can do without; there are: "
            f"{', '.join(possible)}"
        )
    return tuple(name for name in possible if name in names)


KEPT_BY_ALL = ("entry", "slot", "stack_count")


def completed(items: Batch, known: Batch, fields: Sequence[str], mint: Mint) -> Batch:
    """A copy of ``items`` (slot-sorted) in which ``fields`` that are 0 come from ``known`` records
    as the file says, and every item has a guid that no other of the batch has."""
    result = items.copy()
    if not len(result):
        return result
    partners = _partners(items, known)
    found = partners >= 0
    taken = set(result[GUID].tolist()) - {0}
    for name in fields:
        if name == GUID:
            continue
        fill = found & (result[name] == 0)
        result[name][fill] = known[name][partners[fill]]
    for place in np.flatnonzero(result[GUID] == 0).tolist():
        guid = int(known[GUID][partners[place]]) if found[place] else 0
        if guid and guid not in taken:
            result[GUID][place] = guid
            taken.add(guid)
    return named(result, mint)


def named(items: Batch, mint: Mint) -> Batch:
    """The same batch, in which every item without a guid was given a new one."""
    nameless = np.flatnonzero(items[GUID] == 0)
    if len(nameless):
        items[GUID][nameless] = np.asarray(mint(len(nameless)), np.uint64)
    return items


def _partners(items: Batch, known: Batch) -> npt.NDArray[np.int64]:
    """For each item the index of the known record that it goes with, -1 for none; none twice."""
    partners = np.full(len(items), -1, np.int64)
    by_slot = {int(slot): place for place, slot in enumerate(known["slot"].tolist())}
    entries, known_entries = items["entry"].tolist(), known["entry"].tolist()
    free: defaultdict[int, list[int]] = defaultdict(list)
    for place, slot in enumerate(items["slot"].tolist()):
        other = by_slot.get(slot, -1)
        if other >= 0 and known_entries[other] == entries[place]:
            partners[place] = other
    used = set(partners.tolist())
    for place in reversed(range(len(known_entries))):
        if place not in used:
            free[known_entries[place]].append(place)
    for place in np.flatnonzero(partners < 0).tolist():
        if free[entries[place]]:
            partners[place] = free[entries[place]].pop()
    return partners


def is_level(one: Batch, other: Batch, fields: Sequence[str]) -> bool:
    """Whether two slot-sorted batches are equal but for ``fields`` that are 0 in one of them."""
    if one.tobytes() == other.tobytes():
        return True
    if not fields or len(one) != len(other):
        return False
    one, other = one.copy(), other.copy()
    for name in fields:
        absent = (one[name] == 0) | (other[name] == 0)
        one[name][absent] = other[name][absent] = 0
    return one.tobytes() == other.tobytes()


class Names:
    """Item guids for a character whose items have none.

    From ``mint``; while that gives none (a realm that was never reached), from an epoch above 2**31
    that is drawn for this process: a realm counts its epochs from 1, so they are apart.
    """

    def __init__(self, mint: Mint | None) -> None:
        self._mint = mint
        self._numbers = itertools.count((1 << 31 | secrets.randbits(31)) << 32 | 1)

    def __call__(self, count: int) -> npt.NDArray[np.uint64]:
        if self._mint is not None:
            try:
                return np.asarray(self._mint(count), np.uint64)
            except Exception:
                # Nothing of the new side is needed in the mode `legacy`, its names neither.
                pass
        return np.fromiter(itertools.islice(self._numbers, count), np.uint64, count)
