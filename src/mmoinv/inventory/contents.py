"""What lies in the slots, twice: as single records for the rules, and as bytes for batches.

Both are written by `Contents.put` and `take` alone, so they cannot part ways. Knows no rule.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from mmoinv.errors import InventoryError
from mmoinv.inventory.templates import DISABLED
from mmoinv.records import INVENTORY_ITEM, WIDE, Batch, InventoryItemData

RECORD_SIZE = WIDE.itemsize
_RECORD = struct.Struct(
    "<" + "".join({2: "H", 4: "I", 8: "Q"}[field.size] for field in WIDE.fields)
)
_FLAGS = [field.name for field in WIDE.fields].index("item_flags")


def records_of(batch: Batch) -> list[InventoryItemData]:
    """The records of an `INVENTORY_ITEM` batch, one by one: half the time of ``tolist``."""
    new = tuple.__new__
    return [new(InventoryItemData, fields) for fields in _RECORD.iter_unpack(batch.tobytes())]


class Contents:
    """Items by absolute slot, in slot order; no slot twice.

    Records are `InventoryItemData` tuples. In the bytes, and so in `batch`, the flag DISABLED is
    never set.
    """

    __slots__ = ("_batch", "_counts", "_data", "_slots", "items")

    def __init__(self) -> None:
        self.items: dict[int, InventoryItemData] = {}
        """By slot, in no order: to read from."""
        self._slots: list[int] = []
        self._data = bytearray()
        self._counts: dict[int, int] = {}
        self._batch: Batch | None = None

    @classmethod
    def of(cls, batch: Batch, items: Mapping[int, InventoryItemData]) -> Self:
        """From a slot-sorted batch without a slot twice, and the same records by slot. DISABLED is
        stripped."""
        contents = cls()
        slots = batch["slot"].tolist()
        locked = batch["item_flags"] & DISABLED
        if locked.any():
            batch = batch.copy()
            batch["item_flags"] ^= locked
            items = dict(zip(slots, records_of(batch), strict=True))
        contents.items = {slot: items[slot] for slot in slots}
        contents._slots = slots
        contents._data = bytearray(batch.tobytes())
        counts = contents._counts
        for item in contents.items.values():
            counts[item.entry] = counts.get(item.entry, 0) + item.stack_count
        return contents

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[InventoryItemData]:
        """Every record, in slot order."""
        items = self.items
        return (items[slot] for slot in self._slots)

    def get(self, slot: int) -> InventoryItemData | None:
        """What is in a slot."""
        return self.items.get(slot)

    def count_of(self, entry: int) -> int:
        """Items of an entry, stacks counted in full."""
        return self._counts.get(entry, 0)

    @staticmethod
    def packed(item: InventoryItemData) -> bytes:
        """A record as bytes. `InventoryError` if a field is out of its range."""
        fields: tuple[int, ...] = item
        if item.item_flags & DISABLED:
            fields = item._replace(item_flags=item.item_flags & ~DISABLED)
        try:
            return _RECORD.pack(*fields)
        except struct.error as error:
            raise InventoryError(
                f"slot {item.slot}: {item} is no record: {error}; nothing was changed"
            ) from None

    def put(self, item: InventoryItemData, packed: bytes | None = None) -> None:
        """Into its slot, in the place of what is there; ``packed`` is what `packed` gave for it."""
        if packed is None:
            packed = self.packed(item)
        slot = item.slot
        before = self.items.get(slot)
        place = bisect_left(self._slots, slot)
        offset = place * RECORD_SIZE
        if before is None:
            self._data[offset:offset] = packed
            self._slots.insert(place, slot)
        else:
            self._data[offset : offset + RECORD_SIZE] = packed
            self._uncount(before)
        counts = self._counts
        counts[item.entry] = counts.get(item.entry, 0) + item.stack_count
        self.items[slot] = item
        self._batch = None

    def take(self, slot: int) -> InventoryItemData | None:
        """What was in a slot, which is empty then."""
        item = self.items.pop(slot, None)
        if item is not None:
            place = bisect_left(self._slots, slot)
            del self._slots[place]
            del self._data[place * RECORD_SIZE : (place + 1) * RECORD_SIZE]
            self._uncount(item)
            self._batch = None
        return item

    def _uncount(self, item: InventoryItemData) -> None:
        left = self._counts.get(item.entry, 0) - item.stack_count
        if left:
            self._counts[item.entry] = left
        else:
            self._counts.pop(item.entry, None)

    def batch(self) -> Batch:
        """All records as a read-only slot-sorted `INVENTORY_ITEM` batch, which stays as it is."""
        if self._batch is None:
            self._batch = np.frombuffer(bytes(self._data), INVENTORY_ITEM)
        return self._batch

    def counts(self) -> dict[int, int]:
        """Items by entry."""
        return dict(self._counts)

    def is_equal(self, batch: Batch) -> bool:
        """Whether these are the records of a slot-sorted batch, byte for byte."""
        return len(self._slots) == len(batch) and self._data == batch.tobytes()
