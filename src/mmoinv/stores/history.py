"""What a part writes, as rows of the ledger: before and after of each slot that changes.

Pure numpy and the codec; no database. The rows' format is in `mmoinv.stores.ledger`.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmoinv.codec import find_keys, pack_changes
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.stores.ledger import MONEY, PARTNER
from mmoinv.stores.steps import LedgerRows, take_records

if TYPE_CHECKING:
    from mmoinv.stores.part import Part

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NOTHING = np.zeros(1, INVENTORY_ITEM)


def ledger_rows(
    part: "Part", saved: Batch, unchanged: Mask, emptied: Mask, deleted_keys: Indices
) -> LedgerRows:
    """One row for each participant of an operation that is committed.

    ``saved`` are the part's live records, ``unchanged`` those of them that are stored as they
    are; ``emptied`` says whose rows all go (one bool a participant), ``deleted_keys`` which slots
    besides. The part's versions are the new ones already.
    """
    participants, operations = part.commits.participants, part.commits.operations
    rows = np.flatnonzero(part.alive[part.operation_of])
    row_of_character = np.full(len(part.characters), -1, np.int64)
    row_of_character[part.character_of[rows]] = np.arange(len(rows))

    # The slots whose record is another one afterwards, and those that are left empty.
    came = np.flatnonzero(~unchanged)
    keys, was, after = part.saved_keys[came], part.stored_row[came], take_records(saved, came)
    if len(deleted_keys) or emptied.any():
        cleared = np.zeros(len(part.characters), np.bool_)
        cleared[part.character_of[emptied]] = True
        goes = cleared[part.stored_key >> 16] | (find_keys(deleted_keys, part.stored_key) >= 0)
        lost = np.flatnonzero(goes)
        lost = lost[find_keys(part.saved_keys, part.stored_key[lost]) < 0]
        keys = np.concatenate([keys, part.stored_key[lost]])
        was = np.concatenate([was, lost])
        after = np.concatenate([after, np.zeros(len(lost), INVENTORY_ITEM)])
    row = row_of_character[keys >> 16]
    place = row << 16 | keys & 0xFFFF
    if (place[1:] < place[:-1]).any():
        order = np.argsort(place)
        was, after = was[order], take_records(after, order)
    stored = part.stored_items
    if (was < 0).any():
        # -1 is the last one.
        stored = np.concatenate([stored, NOTHING])
    counts = np.bincount(row, minlength=len(rows)).astype(np.uint64)
    changes = pack_changes(take_records(stored, was), after, counts)
    operation = part.operation_of[rows]
    return LedgerRows(
        participants["character_guid"][rows],
        part.versions[rows],
        operations["operation_id"][operation],
        part.world_ids[rows],
        operations["reason"][operation],
        changes,
        _money(part, rows),
        _partners(part, rows),
    )


def _money(part: "Part", rows: Indices) -> list[bytes | None]:
    result: list[bytes | None] = [None] * len(rows)
    if len(part.money):
        packed = np.empty(len(part.money), MONEY)
        packed["currency_id"] = part.money.currency_id
        packed["amount"] = part.money.amount
        packed["balance"] = part.money.balance
        first = part.commits.participants["first_currency"]
        count = part.commits.participants["currency_count"]
        for place in np.flatnonzero(count[rows]).tolist():
            start = int(first[rows[place]])
            result[place] = packed[start : start + int(count[rows[place]])].tobytes()
    return result


def _partners(part: "Part", rows: Indices) -> list[bytes | None]:
    """The other characters of operations over several."""
    result: list[bytes | None] = [None] * len(rows)
    several = part.commits.operations["participant_count"][part.operation_of[rows]] > 1
    if several.any():
        everyone = np.empty(len(part.commits.participants), PARTNER)
        everyone["character_guid"] = part.commits.participants["character_guid"]
        everyone["version"] = part.versions
        first = part.commits.operations["first_participant"]
        count = part.commits.operations["participant_count"]
        for place in np.flatnonzero(several).tolist():
            row = int(rows[place])
            start = int(first[part.operation_of[row]])
            stop = start + int(count[part.operation_of[row]])
            result[place] = everyone[start:row].tobytes() + everyone[row + 1 : stop].tobytes()
    return result
