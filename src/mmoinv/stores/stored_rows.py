"""Checks what a database holds before a world sees it: rows in, a valid batch out.

A row whose values no record can hold, or that breaks the rules of a batch, would block its
character's login; it is told apart here, so that it can be set aside. Knows no database.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmoinv.records import INVENTORY_ITEM, WIDE, Batch, Fault, fault_sentence, is_buyback
from mmoinv.stores.tables import COLUMN_SIZES, ROW_COLUMNS

ROW_IS_U64 = np.array([COLUMN_SIZES[name] == 8 for name in ROW_COLUMNS])
"""One bool a column of `ROW_COLUMNS`: whether any integer of a signed column is a value of it."""
ROW_LIMITS = np.array([2 ** (8 * min(COLUMN_SIZES[name], 4)) - 1 for name in ROW_COLUMNS])
"""The largest value of each column that is not a u64."""

Row = tuple[int | None, ...]
"""A stored row, in the order of `ROW_COLUMNS`; a u64 as people know it."""


class BadRow(NamedTuple):
    """A row that cannot be a record: its values by column, and why."""

    values: Mapping[str, Any]
    reason: str


def inventories(
    rows: Mapping[int, Sequence[Row]],
) -> dict[int, tuple[Batch, list[BadRow]]]:
    """Each character's slot-sorted `INVENTORY_ITEM` batch, and the rows that are no records."""
    return {guid: inventory(of_one) for guid, of_one in rows.items()}


def inventory(rows: Sequence[Row]) -> tuple[Batch, list[BadRow]]:
    """The slot-sorted batch of one character's rows, and those that are no records."""
    items = _readable(rows)
    if items is not None:
        return items, []
    good, bad = [], []
    for row in rows:
        values = dict(zip(ROW_COLUMNS, row, strict=True))
        reason = row_fault(values)
        if reason:
            bad.append(BadRow(values, reason))
        else:
            good.append(row)
    items = _readable(good)
    assert items is not None
    return items, bad


def _readable(rows: Sequence[Row]) -> Batch | None:
    """All of them as a batch, or None if any is bad."""
    items = np.zeros(len(rows), INVENTORY_ITEM)
    if not rows:
        return items
    columns = dict(zip(ROW_COLUMNS, zip(*rows, strict=True), strict=True))
    columns["item_guid"] = tuple(value or 0 for value in columns["item_guid"])
    for field in WIDE.fields:
        try:
            values = np.array(columns[field.name], np.uint64 if field.size == 8 else np.int64)
        except (OverflowError, TypeError, ValueError):
            return None
        if ((values < 0) | (values > field.limit)).any():
            return None
        items[field.name] = values
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
        if not 0 <= value <= field.limit:
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
    """A stored row as JSON, whatever is in it; bytes as hex, what JSON has no word for as text."""
    return json.dumps(
        {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()},
        default=str,
    )
