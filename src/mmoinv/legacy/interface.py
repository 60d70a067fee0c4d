"""What old tables are to an import, a verification and an export: read, and written again.

Whoever has another schema than ours two implements `OldTables`; `mmoinv.legacy.sql_tables` does
the half of it for tables that SQLAlchemy reaches. Knows no SQL and no schema.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mmoinv.inventory.slots import EQUIPPED_BAGS, bag_holding
from mmoinv.records import WIDE, Batch
from mmoinv.stores.stored_rows import BadRow

LAST_GUID = (1 << 64) - 1
ALL_FIELDS = frozenset(field.name for field in WIDE.fields)
WIDEST: Mapping[str, int] = {field.name: field.limit for field in WIDE.fields}
"""The largest value of each field of a record."""
DERIVED = frozenset({"contained", "item_guid"})
"""Fields that are made anew where they are not kept: nothing of the game is in them."""


class SourceCounts(NamedTuple):
    """How much there is to read."""

    characters: int
    rows: int


class OldInventory(NamedTuple):
    """What the old tables have of one character.

    ``items`` is a slot-sorted `INVENTORY_ITEM` batch of valid records, no slot twice; fields that
    the tables don't keep are 0. ``faults`` are the rows that no record can hold, ``leftovers``
    what records have no room for of rows that were taken: each with the reason. ``balances`` are
    by currency.
    """

    character_guid: int
    items: Batch
    faults: Sequence[BadRow] = ()
    balances: Mapping[int, int] = {}
    leftovers: Sequence[BadRow] = ()


class OldChange(NamedTuple):
    """What is to be written of one character: ``items`` slot-sorted, all that it has, and the
    balances of the currencies that the tables keep. ``before`` is what was read: None if the
    tables had nothing of it."""

    character_guid: int
    before: OldInventory | None
    items: Batch
    balances: Mapping[int, int] = {}


class Capacity(NamedTuple):
    """What the old tables can hold.

    ``fields`` of a record that they keep, with the largest value of each; ``balances``, the largest
    one of each currency that they keep; ``slots``, one bool for each of the 65,536 absolute slots,
    None: all. With ``needs_bags`` an item inside of an equipped bag needs that bag to be there.
    """

    fields: Mapping[str, int] = WIDEST
    balances: Mapping[int, int] = {}
    slots: npt.NDArray[np.bool_] | None = None
    needs_bags: bool = False
    either: Sequence[tuple[str, str]] = ()


class OldTables(Protocol):
    """The old tables of a database. Errors are those of `mmoinv.errors`: `ConfigurationError` if
    they are not there or not as they should be, a `StoreError` if the database fails."""

    @property
    def format(self) -> str:
        """A short name, 1 to 64 characters: what is set aside is kept under it."""
        ...

    @property
    def url(self) -> str:
        """Where they are, without any password, for messages."""
        ...

    async def counts(self, first_guid: int, last_guid: int) -> SourceCounts:
        """How much there is of the characters of a range (inclusive)."""
        ...

    def read(
        self, first_guid: int, last_guid: int, at_once: int = 500
    ) -> AsyncIterator[list[OldInventory]]:
        """The characters of a range (inclusive), each once, by ascending guid, in lists of up to
        ``at_once``; none is empty. Nothing is written. An item guid comes once in all of it."""
        ...

    async def capacity(self) -> Capacity:
        """What they can hold."""
        ...

    async def strangers(self, character_guids: Sequence[int]) -> Collection[int]:
        """Those of these characters that the tables cannot have anything of."""
        ...

    async def write(
        self,
        changes: Sequence[OldChange],
        moved_guids: Collection[int] = (),
        highest_guid: int = 0,
    ) -> None:
        """Write all that is asked, in one transaction; nothing of it if it raises.

        Rows that could not be read (`OldInventory.faults`) stay as they are, unless something is
        written into their slot. Where item guids are kept: records with item_guid 0 get one above
        ``highest_guid`` and above all that the tables have; items that are in a ``before`` and in
        no ``items``, but among ``moved_guids``, are with someone else now, and not destroyed.
        """
        ...


class Misfit(NamedTuple):
    """A value that the old tables cannot hold. ``field`` is a field of the record, ``slot`` if
    there is no such place, or ``bag`` if the bag is missing; ``limit`` is 0 where the field is not
    kept at all."""

    slot: int
    field: str
    value: int
    limit: int

    @property
    def kind(self) -> str:
        """What is wrong, without where and how much."""
        if self.field == "slot":
            return "there is no such place"
        if self.field == "bag":
            return "its bag is not there"
        return f"{self.field} is {beyond(self.limit)}"

    def __str__(self) -> str:
        what = self.kind
        if self.field not in ("slot", "bag"):
            what = f"{self.field} {self.value} is {beyond(self.limit)}"
        return f"slot {self.slot >> 8}:{self.slot & 0xFF}: {what}"


def beyond(limit: int) -> str:
    """How a value is that cannot be held."""
    return f"more than {limit}" if limit else "not kept"


def misfits(items: Batch, capacity: Capacity) -> list[Misfit]:
    """What of a slot-sorted batch the old tables cannot hold, by slot; nothing for `DERIVED`
    fields, which are made anew."""
    found: list[Misfit] = []
    placeless = placeless_of(items, capacity)
    for index in np.flatnonzero(placeless).tolist():
        slot = int(items["slot"][index])
        is_there = capacity.slots is None or bool(capacity.slots[slot])
        found.append(Misfit(slot, "bag" if is_there else "slot", slot, 0))
    for name in items.dtype.names or ():
        if name == "slot" or name in DERIVED:
            continue
        limit = capacity.fields.get(name, 0)
        if limit >= WIDEST[name]:
            continue
        for index in np.flatnonzero(items[name] > limit).tolist():
            if not placeless[index]:
                slot, value = int(items["slot"][index]), int(items[name][index])
                found.append(Misfit(slot, name, value, limit))
    for one, other in capacity.either:
        both = items[(items[one] != 0) & (items[other] != 0) & ~placeless]
        pairs = zip(both["slot"].tolist(), both[other].tolist(), strict=True)
        found += [Misfit(slot, other, value, 0) for slot, value in pairs]
    return sorted(found)


def placeless_of(items: Batch, capacity: Capacity) -> npt.NDArray[np.bool_]:
    """One bool a record: whether the old tables have no place for it."""
    slots = items["slot"]
    placeless = np.zeros(len(items), np.bool_)
    if capacity.slots is not None:
        placeless |= ~capacity.slots[slots]
    if capacity.needs_bags:
        bags = slots >> 8
        inside = (bags >= EQUIPPED_BAGS.start) & (bags < EQUIPPED_BAGS.stop)
        if inside.any():
            holding = np.array([bag_holding(slot) for slot in slots.tolist()])
            placeless |= inside & ~np.isin(holding, slots)
    return placeless
