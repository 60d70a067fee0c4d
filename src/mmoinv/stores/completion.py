"""Fills in what protocol 3 does not carry: item guids, and item_flags in most layouts.

An item that stays in its slot keeps what is stored of it; one that turns up in another slot
takes it from a record of the same entry that leaves its slot in the same packet; what is left
is new and gets a guid of the realm's. Pure: arrays in, arrays out.
"""

from collections import defaultdict

import numpy as np

from mmoinv.commits import CommitFlags, Commits, OperationKind
from mmoinv.stores.entries import MintGuids
from mmoinv.stores.steps import OwnedItems

StoredFields = tuple[int, int]
"""item_flags and item_guid of one stored record."""


def complete_items(
    commits: Commits,
    carries_flags: np.ndarray[tuple[int], np.dtype[np.bool_]],
    stored: OwnedItems,
    mint_guids: MintGuids,
) -> Commits:
    """The same operations with the records of protocol 3 saves completed.

    ``carries_flags`` is one bool an operation; ``stored`` holds the records of every character
    that a save of protocol 3 concerns. The items are copied, the argument stays as it is.
    """
    items = commits.items.copy()
    stored_by_character = _by_character(stored)
    unnamed: list[int] = []
    saves = np.flatnonzero(
        (commits.operations["kind"] == OperationKind.SAVE) & (commits.operations["fault"] == 0)
    )
    for index in saves.tolist():
        operation = commits.operations[index]
        replace = bool(int(operation["flags"]) & CommitFlags.REPLACE)
        first = int(operation["first_participant"])
        for participant in commits.participants[first : first + operation["participant_count"]]:
            begin = int(participant["first_item"])
            end = begin + int(participant["item_count"])
            there = stored_by_character.get(int(participant["character_guid"]), {})
            found = _sources(
                list(
                    zip(
                        items["slot"][begin:end].tolist(),
                        items["entry"][begin:end].tolist(),
                        strict=True,
                    )
                ),
                there,
                replace,
            )
            for position, (flags, guid) in enumerate(found, begin):
                if not carries_flags[index]:
                    items["item_flags"][position] = flags
                items["item_guid"][position] = guid
                if not guid:
                    unnamed.append(position)
    if unnamed:
        items["item_guid"][unnamed] = mint_guids(len(unnamed))
    return commits._replace(items=items)


def _by_character(stored: OwnedItems) -> dict[int, dict[int, tuple[int, StoredFields]]]:
    """Character guid to slot to (entry, stored fields)."""
    result: dict[int, dict[int, tuple[int, StoredFields]]] = defaultdict(dict)
    columns = (stored.items[name].tolist() for name in ("slot", "entry", "item_flags", "item_guid"))
    for guid, slot, entry, flags, item_guid in zip(
        stored.character_guid.tolist(), *columns, strict=True
    ):
        result[guid][slot] = (entry, (flags, item_guid))
    return result


def _sources(
    saved: list[tuple[int, int]],
    there: dict[int, tuple[int, StoredFields]],
    replace: bool,
) -> list[StoredFields]:
    """What each saved (slot, entry) takes over from ``there``; zeros for what is new."""
    found: list[StoredFields | None] = []
    staying = set()
    for slot, entry in saved:
        stored_entry, fields = there.get(slot, (0, (0, 0)))
        if stored_entry == entry:
            staying.add(slot)
            found.append(fields)
        else:
            found.append(None)
    leaving: dict[int, list[StoredFields]] = defaultdict(list)
    for slot in sorted(there if replace else {slot for slot, _ in saved} & there.keys()):
        if slot not in staying:
            entry, fields = there[slot]
            leaving[entry].append(fields)
    return [
        fields if fields is not None else (leaving[entry].pop(0) if leaving.get(entry) else (0, 0))
        for fields, (_, entry) in zip(found, saved, strict=True)
    ]
