"""What the codec's tests are fed with: batches, change sets, and a way to compare outcomes.

Knows no codec: nothing here is encoded or decoded.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mmoinv.commits import CurrencyDelta, ParticipantChanges
from mmoinv.errors import MmoinvError
from mmoinv.records import (
    INVENTORY_ITEM,
    ITEM_DATA,
    PACKED,
    SLOT,
    WIDE,
    WIRE_LAYOUTS,
    Batch,
    Layout,
    is_buyback,
)

U8, U16, U32, U64 = (2**bits - 1 for bits in (8, 16, 32, 64))


# By hand


def item(slot: int = 23, **fields: int) -> tuple[int, ...]:
    """One valid record as a row of the ten fields; the named ones differ from the usual."""
    usual = {"entry": 2589, "stack_count": 1, "item_guid": 0x100000000 + slot}
    unknown = set(fields) - {field.name for field in WIDE.fields}
    assert not unknown, unknown
    row = {**usual, "slot": slot, **fields}
    return tuple(row.get(field.name, 0) for field in WIDE.fields)


def batch(*rows: tuple[int, ...]) -> Batch:
    """Rows of ten fields as an `INVENTORY_ITEM` batch, in the order given."""
    return np.array(list(rows), INVENTORY_ITEM)


def packed(*rows: tuple[int, ...]) -> Batch:
    """The first eight fields of each row as an `ITEM_DATA` batch."""
    return np.array([row[:8] for row in rows], ITEM_DATA)


def slots(*numbers: int) -> np.ndarray:
    """A uint16 array of slots."""
    return np.array(numbers, SLOT)


def ordinary(count: int, first: int = 512) -> Batch:
    """``count`` valid records as an inventory has them, in slot order, from bag 2 on."""
    return batch(
        *(
            item(
                first + place,
                entry=(2589, 25, 1181, 40000 + place)[place % 4],
                stack_count=place % 20 + 1,
                creator=0 if place % 3 else 0x0000000500001234,
                durability=place % 5 * 17,
                item_guid=(9 << 32) + 1000 + place,
            )
            for place in range(count)
        )
    )


def changes(
    guid: int = 7, items: Batch | None = None, deletes: tuple[int, ...] = (), **fields: Any
) -> ParticipantChanges:
    """What one character changes; epoch 3 and version 11 unless told otherwise."""
    return ParticipantChanges(
        guid,
        fields.pop("session_epoch", 3),
        fields.pop("expected_version", 11),
        batch() if items is None else items,
        slots(*deletes),
        **fields,
    )


def frame(opcode: int, body: bytes) -> bytes:
    """A frame as design and protocol have it: u8 opcode, u32 length, body."""
    return struct.pack("<BI", opcode, len(body)) + body


# By hypothesis


def numbers(limit: int) -> st.SearchStrategy[int]:
    """0..limit, with the small ones and the largest seen often."""
    return st.one_of(st.integers(0, min(3, limit)), st.integers(0, limit), st.just(limit))


guids, epochs = numbers(U64), numbers(U32)
free_slots = st.integers(0, U16).filter(lambda slot: not is_buyback(slot))


def rows(layout: Layout = WIDE, valid: bool = True) -> st.SearchStrategy[tuple[int, ...]]:
    """One record of the layout's first fields; ``valid`` keeps to the rules of a batch."""
    columns = []
    for field in layout.fields:
        if field.name == "slot":
            column = free_slots if valid else st.one_of(st.integers(0, 90), numbers(U16))
        elif valid and field.name in ("entry", "stack_count", "item_guid"):
            column = numbers(field.limit - 1).map(lambda number: number + 1)
        else:
            column = numbers(field.limit)
        columns.append(column)
    return st.tuples(*columns)


def batches(
    layout: Layout = WIDE, max_size: int = 8, valid: bool = True, ordered: bool = False
) -> st.SearchStrategy[Batch]:
    """Small batches of `INVENTORY_ITEM` (or, for `PACKED`, of `ITEM_DATA`)."""
    dtype = ITEM_DATA if layout is PACKED else INVENTORY_ITEM
    lists = st.lists(
        rows(layout, valid), max_size=max_size, unique_by=(lambda row: row[1]) if valid else None
    )
    if ordered:
        lists = lists.map(lambda rows: sorted(rows, key=lambda row: row[1]))
    return lists.map(lambda rows: np.array(rows, dtype))


def narrow_batches(layout: str, max_size: int = 8) -> st.SearchStrategy[Batch]:
    """Valid `INVENTORY_ITEM` batches of which every value fits the wire layout."""
    fields = WIRE_LAYOUTS[layout].fields

    def widened(rows: list[tuple[int, ...]]) -> Batch:
        wide = np.zeros(len(rows), INVENTORY_ITEM)
        for place, field in enumerate(fields):
            wide[field.name] = [row[place] for row in rows]
        return wide

    one = rows(WIRE_LAYOUTS[layout])
    return st.lists(one, max_size=max_size, unique_by=lambda row: row[1]).map(widened)


@st.composite
def columnar_batches(draw: st.DrawFn, max_count: int = 300) -> Batch:
    """Batches whose columns are of every sort: zero, one value, ramps, few values, noise.

    The content is not valid; batches are encoded without being judged.
    """
    count = draw(st.one_of(st.integers(0, 30), st.integers(0, max_count)))
    random = np.random.default_rng(draw(st.integers(0, U32)))
    items = np.zeros(count, INVENTORY_ITEM)
    for field in WIDE.fields:
        sort = draw(st.sampled_from(["zero", "same", "ramp", "few", "noise", "limits"]))
        high = 1 << 8 * draw(st.integers(1, field.size))
        noise = random.integers(0, high - 1, count, np.uint64, endpoint=True)
        if sort == "zero":
            noise[:] = 0
        elif sort == "same":
            noise[:] = draw(numbers(field.limit))
        elif sort == "ramp":
            step = draw(st.sampled_from([1, 3, 300]))
            start = draw(st.integers(0, field.limit))
            ramp = [min(start + step * place, field.limit) for place in range(count)]
            noise = np.array(ramp, np.uint64)
        elif sort == "few":
            few = draw(st.integers(1, 260))
            values = random.integers(0, high - 1, few, np.uint64, endpoint=True)
            noise = values[random.integers(0, few, count)] if count else noise
        elif sort == "limits":
            noise[: count // 2] = field.limit
        items[field.name] = noise
    return items


currencies = st.lists(
    st.builds(CurrencyDelta, numbers(U16), st.integers(-(2**63), 2**63 - 1)), max_size=3
).map(tuple)


@st.composite
def participants(draw: st.DrawFn, valid: bool = True, max_items: int = 6) -> ParticipantChanges:
    """One character's changes."""
    items = draw(batches(max_size=max_items, valid=valid))
    gone = draw(st.lists(free_slots if valid else numbers(U16), max_size=4, unique=valid))
    if valid:
        saved = set(items["slot"].tolist())
        gone = [slot for slot in gone if slot not in saved]
    return ParticipantChanges(
        draw(guids), draw(epochs), draw(guids), items, slots(*gone), draw(currencies)
    )


@st.composite
def operations(draw: st.DrawFn) -> tuple[int, list[ParticipantChanges], int, int]:
    """Valid arguments of encode_commit_inventory."""
    involved = draw(
        st.lists(participants(), min_size=1, max_size=3, unique_by=lambda one: one.character_guid)
    )
    flags = draw(st.sampled_from([0, 2, 4, 6]))
    if not any(len(one.deletes) for one in involved):
        flags |= draw(st.integers(0, 1))
    return draw(guids), involved, draw(numbers(U8)), flags


# Outcomes


def plain(value: Any) -> Any:
    """A result in a form that compares: arrays by dtype, shape and bytes."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype.descr, value.dtype.itemsize, value.shape, value.tobytes()
    if isinstance(value, (tuple, list)):
        return type(value).__name__, [plain(part) for part in value]
    return type(value).__name__, value


def outcome(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a call comes to: its result, or its error with type, message and attributes."""
    try:
        return "result", plain(function(*arguments, **named))
    except MmoinvError as error:
        return "error", type(error), str(error), {k: plain(v) for k, v in vars(error).items()}
