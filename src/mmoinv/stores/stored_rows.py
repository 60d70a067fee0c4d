"""Checks what a database holds before a world sees it: rows in, a valid batch out.

A row whose values no record can hold, or that breaks the rules of a batch, would block its
character's login; it is told apart here, so that it can be set aside. Knows no database.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.records import INVENTORY_ITEM, WIDE, Batch, Fault, fault_sentence, is_buyback

U64_FIELDS = frozenset(field.name for field in WIDE.fields if field.size == 8)
"""Kept as two's complement: every stored integer is a value of theirs."""


def readable_items(columns: Mapping[str, npt.NDArray[np.int64]]) -> Batch | None:
    """A slot-sorted `INVENTORY_ITEM` batch of stored columns, or None if any row is bad.

    ``columns`` has an i64 array for each field of the record, all of one length.
    """
    items = np.empty(len(columns["slot"]), INVENTORY_ITEM)
    for field in WIDE.fields:
        values = columns[field.name]
        if field.name not in U64_FIELDS and ((values < 0) | (values > field.limit)).any():
            return None
        items[field.name] = values.view(np.uint64)
    if (items["entry"] == 0).any() or (items["stack_count"] == 0).any():
        return None
    slots = items["slot"]
    if any(is_buyback(slot) for slot in slots[(slots & 0xFF) >= 74].tolist()):
        return None
    return items[np.argsort(slots)]


def row_fault(row: Mapping[str, Any]) -> str:
    """Why a stored row cannot be a record; empty if it can. ``row`` has a value a field."""
    for field in WIDE.fields:
        value = row[field.name]
        if value is None and field.name == "item_guid":
            continue
        if not isinstance(value, int):
            return f"{field.name} {value!r} is not a whole number"
        if field.name not in U64_FIELDS and not 0 <= value <= field.limit:
            return f"{field.name} {value} is outside 0..{field.limit}"
    fault = Fault.NONE
    if row["entry"] == 0:
        fault = Fault.ENTRY_ZERO
    elif row["stack_count"] == 0:
        fault = Fault.STACK_COUNT_ZERO
    elif is_buyback(row["slot"]):
        fault = Fault.BUYBACK_SLOT
    return fault_sentence(fault, row["slot"]) if fault else ""


def row_text(row: Mapping[str, Any]) -> str:
    """A stored row as JSON, whatever is in it; bytes as hex."""
    return json.dumps(
        {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
    )
