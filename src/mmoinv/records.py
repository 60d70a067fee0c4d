"""THE record table: layouts, dtypes, limits and the rules of a valid batch.

Every other file takes offsets, widths and limits from here. Knows nothing of packets,
databases or inventories; imports numpy and the error tree.

A *batch* is a one-dimensional C-contiguous numpy array of one of the record dtypes below.
All numbers are little endian, always, and the record dtypes have no alignment.
"""

from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mmoinv.errors import BatchError, RecordError

Batch = npt.NDArray[np.void]
"""A batch of `INVENTORY_ITEM` or `ITEM_DATA` records, shape ``(count,)``."""

U8_MAX, U16_MAX, U32_MAX, U64_MAX = (2**bits - 1 for bits in (8, 16, 32, 64))


# Record layouts: one line a field, (name, offset, bytes).


class Field(NamedTuple):
    """One column of a record layout: ``offset`` and ``size`` in bytes, unsigned."""

    name: str
    offset: int
    size: int

    @property
    def limit(self) -> int:
        """The largest value that the field holds."""
        return int(2 ** (8 * self.size) - 1)


class Layout(NamedTuple):
    """How one record lies in memory or on the wire. ``padding`` lists (offset, bytes)."""

    name: str
    itemsize: int
    fields: tuple[Field, ...]
    padding: tuple[tuple[int, int], ...] = ()

    @property
    def dtype(self) -> np.dtype[np.void]:
        """A new numpy dtype of this layout."""
        return np.dtype(
            {
                "names": [field.name for field in self.fields],
                "formats": [f"<u{field.size}" for field in self.fields],
                "offsets": [field.offset for field in self.fields],
                "itemsize": self.itemsize,
            }
        )


def _packed(name: str, *columns: tuple[str, int]) -> Layout:
    fields, offset = [], 0
    for column, size in columns:
        fields.append(Field(column, offset, size))
        offset += size
    return Layout(name, offset, tuple(fields))


WIDE = _packed(
    "inventory_item",
    ("entry", 4),
    ("slot", 2),
    ("stack_count", 2),
    ("creator", 8),
    ("contained", 8),
    ("durability", 4),
    ("random_property_index", 4),
    ("random_suffix_index", 4),
    ("item_flags", 4),
    ("item_guid", 8),
)
"""The repository's record, `InventoryItemData`: 48 bytes."""

PACKED = _packed(
    "packed",
    ("entry", 4),
    ("slot", 2),
    ("stack_count", 1),
    ("creator", 8),
    ("contained", 8),
    ("durability", 2),
    ("random_property_index", 2),
    ("random_suffix_index", 2),
)
"""The wire record of auth_protocol as its specification gives it, `ItemData`: 29 bytes."""

_NATURAL = (
    Field("entry", 0, 4),
    Field("slot", 4, 2),
    Field("stack_count", 6, 1),
    Field("creator", 8, 8),
    Field("contained", 16, 8),
    Field("durability", 24, 2),
    Field("random_property_index", 26, 2),
    Field("random_suffix_index", 28, 2),
)

NATIVE32 = Layout("native32", 32, _NATURAL, ((7, 1), (30, 2)))
"""ItemData written raw by a C++ peer, natural alignment: 32 bytes."""

NATIVE40 = Layout(
    "native40", 40, (*_NATURAL, Field("item_flags", 32, 4)), ((7, 1), (30, 2), (36, 4))
)
"""The same with flags, 40 bytes."""

WIRE_LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (PACKED, NATIVE32, NATIVE40)}
"""The layouts that protocol 3 knows, by the name that the codec takes as ``layout``."""

INVENTORY_ITEM: np.dtype[np.void] = WIDE.dtype
"""48 bytes: entry u32, slot u16, stack_count u16, creator u64, contained u64, durability u32,
random_property_index u32, random_suffix_index u32, item_flags u32, item_guid u64."""

ITEM_DATA: np.dtype[np.void] = PACKED.dtype
"""29 bytes: entry u32, slot u16, stack_count u8, creator u64, contained u64, durability u16,
random_property_index u16, random_suffix_index u16."""

SLOT: np.dtype[np.uint16] = np.dtype("<u2")
"""An absolute slot, ``bag << 8 | slot in bag``."""


# What differs between two batches.


class DifferenceKind(IntEnum):
    """How two inventories differ in a slot."""

    MISSING = 1
    """It was expected and is not there."""
    EXTRA = 2
    """It is there and was not expected."""
    FIELD = 3
    """Something is in the slot in both, and one field of it differs."""


DIFFERENCE: np.dtype[np.void] = np.dtype(
    [
        ("slot", "<u2"),
        ("kind", "<u1"),
        ("field", "<u1"),
        ("expected", "<u8"),
        ("found", "<u8"),
    ]
)
"""One row of a comparison, 20 bytes: ``kind`` is a `DifferenceKind`, ``field`` the place of the
field in ``WIDE.fields``, ``expected`` and ``found`` its values. What is missing or extra is one
row, of the field entry (0), with 0 on the side that has nothing."""


# The rules of a valid batch.


class Fault(IntEnum):
    """Why the content of a well-formed packet, or a batch, is bad."""

    NONE = 0
    STACK_COUNT_ZERO = 1
    ENTRY_ZERO = 2
    SLOT_TWICE = 3
    SAVED_AND_DELETED = 4
    BUYBACK_SLOT = 5
    NO_PARTICIPANT = 6
    PARTICIPANT_TWICE = 7
    REPLACE_WITH_DELETES = 8
    ITEM_GUID_ZERO = 9
    UNKNOWN_FLAGS = 10

    @property
    def sentence(self) -> str:
        """The fault in words, to stand after "slot N:" or alone."""
        return _FAULT_SENTENCES[self]


_FAULT_SENTENCES = {
    Fault.NONE: "nothing is wrong",
    Fault.STACK_COUNT_ZERO: "stack_count is 0, an item has at least 1",
    Fault.ENTRY_ZERO: "entry is 0, which names no item",
    Fault.SLOT_TWICE: "the slot occurs twice",
    Fault.SAVED_AND_DELETED: "the slot is both saved and deleted",
    Fault.BUYBACK_SLOT: "buyback slots are never saved",
    Fault.NO_PARTICIPANT: "the operation names no character",
    Fault.PARTICIPANT_TWICE: "the operation names a character twice",
    Fault.REPLACE_WITH_DELETES: "REPLACE goes without deletes, it deletes by itself",
    Fault.ITEM_GUID_ZERO: "item_guid is 0, protocol 4 wants every item named",
    Fault.UNKNOWN_FLAGS: "the flags have bits that are not defined",
}
SLOT_FAULTS = frozenset(
    {
        Fault.STACK_COUNT_ZERO,
        Fault.ENTRY_ZERO,
        Fault.SLOT_TWICE,
        Fault.SAVED_AND_DELETED,
        Fault.BUYBACK_SLOT,
        Fault.ITEM_GUID_ZERO,
    }
)
"""The faults that concern one slot."""


def fault_sentence(fault: int, slot: int) -> str:
    """What is wrong, as one clause that names the slot where one is concerned."""
    known = Fault(fault)
    return f"slot {slot}: {known.sentence}" if known in SLOT_FAULTS else known.sentence


# Limits. No length that comes from outside is trusted beyond these.

FRAME_HEADER_SIZE = 5
"""u8 opcode, u32 body length."""
MAX_BODY_SIZE = 1 << 20
"""Bytes of one packet's body."""
MAX_BATCH_ITEMS = 4096
"""Records, or deleted slots, of one participant."""
MAX_PARTICIPANTS = 256
"""Characters of one operation."""
MAX_PACKET_ITEMS = 8192
"""Records of one packet over all its participants, once expanded."""
MAX_CHUNK_ITEMS = 65536
"""Records that one bulk decoding expands before it returns what it has."""

EQUIPPED_BAG = 255
"""The bag number of the character itself."""
BUYBACK_FIRST, BUYBACK_LAST = 74, 85
"""Buyback slots, in bag 255 or as absolute numbers. They are never persisted."""


def is_buyback(slot: int) -> bool:
    """Whether an absolute slot is a buyback slot: 74..85 in bag 255, or absolute 74..85."""
    return BUYBACK_FIRST <= slot & 0xFF <= BUYBACK_LAST and slot >> 8 in (0, EQUIPPED_BAG)


# One record for people.


class _ItemFields(NamedTuple):
    entry: int
    slot: int
    stack_count: int
    creator: int
    contained: int
    durability: int
    random_property_index: int
    random_suffix_index: int
    item_flags: int
    item_guid: int


class InventoryItemData(_ItemFields):
    """One `INVENTORY_ITEM` record, for code that handles single items. Not for the hot path.

    A tuple of the ten fields, in the table's order. The constructor checks every field and raises
    `RecordError`; ``_make`` and ``_replace`` do not.
    """

    __slots__ = ()

    def __new__(
        cls,
        entry: int,
        slot: int,
        stack_count: int = 1,
        creator: int = 0,
        contained: int = 0,
        durability: int = 0,
        random_property_index: int = 0,
        random_suffix_index: int = 0,
        item_flags: int = 0,
        item_guid: int = 0,
    ) -> Self:
        item = super().__new__(
            cls,
            entry,
            slot,
            stack_count,
            creator,
            contained,
            durability,
            random_property_index,
            random_suffix_index,
            item_flags,
            item_guid,
        )
        for field, value in zip(WIDE.fields, item, strict=True):
            if not 0 <= value <= field.limit:
                raise RecordError(f"slot {slot}: {field.name} {value} is outside 0..{field.limit}")
        return item

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """From one element of an `INVENTORY_ITEM` or `ITEM_DATA` batch."""
        return cls(**{name: int(record[name]) for name in record.dtype.names})

    def placed(self, slot: int, contained: int) -> Self:
        """The same in another slot and container; not checked, and quicker than ``_replace``."""
        return tuple.__new__(type(self), (self[0], slot, self[2], self[3], contained, *self[5:]))

    def counted(self, stack_count: int) -> Self:
        """The same with another stack count; not checked, and quicker than ``_replace``."""
        return tuple.__new__(type(self), (self[0], self[1], stack_count, *self[3:]))

    def as_batch(self) -> Batch:
        """As a batch of one, shape ``(1,)``, dtype `INVENTORY_ITEM`."""
        return np.array([self], INVENTORY_ITEM)


# Making batches. Not for the hot path.


def empty_batch(count: int = 0) -> Batch:
    """``count`` zeroed `INVENTORY_ITEM` records."""
    return np.zeros(count, INVENTORY_ITEM)


def batch_of(*items: InventoryItemData) -> Batch:
    """A slot-sorted `INVENTORY_ITEM` batch of single records; a slot twice raises."""
    ordered = sorted(items, key=lambda item: item.slot)
    for before, after in pairwise(ordered):
        if before.slot == after.slot:
            raise BatchError(
                fault_sentence(Fault.SLOT_TWICE, after.slot), Fault.SLOT_TWICE, after.slot
            )
    return np.array(ordered, INVENTORY_ITEM)


def slots_of(*slots: int) -> npt.NDArray[np.uint16]:
    """Absolute slots as a uint16 array; a number outside 0..65535 raises."""
    for slot in slots:
        if not 0 <= slot <= U16_MAX:
            raise RecordError(f"slot {slot} is outside 0..{U16_MAX}")
    return np.array(slots, SLOT)
