"""What the group logic asks of a database, and what it is told: arrays, no SQL.

`mmoinv.stores.group` yields a `Look` and is sent what was `Seen`, at once or after a `Wait`; it
yields a `Write`, or `LedgerRows`, and is sent nothing. A store turns each into a few bulk
statements inside its open transaction.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.errors import StoreDataError
from mmoinv.records import INVENTORY_ITEM, SLOT, Batch

U64Array = npt.NDArray[np.uint64]
"""Character guids, item guids or operation ids."""


class Sessions(NamedTuple):
    """Session rows as columns, ascending by ``character_guid``: u64, i64, u32, u64, bool."""

    character_guid: U64Array
    world_id: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.uint32]
    version: U64Array
    online: npt.NDArray[np.bool_]

    def where(self, mask: npt.NDArray[Any]) -> "Sessions":
        """Those that a boolean array of their length, or an index array, picks."""
        return Sessions(*(column[mask] for column in self))

    def equals(self, other: "Sessions") -> bool:
        """Whether these are the very same."""
        pairs: Iterator[tuple[Any, Any]] = zip(self, other, strict=True)
        return all(np.array_equal(*pair) for pair in pairs)


class Places(NamedTuple):
    """Where item guids are stored now, in any order. Guids stored nowhere are not in it.

    ``slot`` is i64 as it is stored: nothing keeps a damaged row from holding any number.
    """

    item_guid: U64Array
    character_guid: U64Array
    slot: npt.NDArray[np.int64]

    def plus(self, more: "Places") -> "Places":
        """These and ``more``."""
        return Places(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))


def take_records(records: Batch, index: npt.NDArray[Any]) -> Batch:
    """``records[index]``, an array of bools or indices, without numpy's walk over the fields. If
    that is all of them in their order, it is ``records`` themselves: not to be written to."""
    if index.dtype == np.bool_:
        index = np.flatnonzero(index)
    if len(index) == len(records) and (index == np.arange(len(index))).all():
        return records
    words = records.view(np.uint64).reshape(-1, records.dtype.itemsize // 8)
    return words.take(index, axis=0).reshape(-1).view(records.dtype)


class OwnedItems(NamedTuple):
    """Records and whose they are: one u64 an item, and an `INVENTORY_ITEM` batch."""

    character_guid: U64Array
    items: Batch

    def where(self, mask: npt.NDArray[Any]) -> "OwnedItems":
        """Those that a boolean array of their length, or an index array, picks."""
        if mask.dtype == np.bool_:
            if mask.all():
                return self
            mask = np.flatnonzero(mask)
        return OwnedItems(self.character_guid[mask], take_records(self.items, mask))

    def plus(self, more: "OwnedItems") -> "OwnedItems":
        """These and ``more``."""
        memory = self.items.tobytes() + more.items.tobytes()
        guids = np.concatenate([self.character_guid, more.character_guid])
        return OwnedItems(guids, np.frombuffer(memory, INVENTORY_ITEM))


class Slots(NamedTuple):
    """Slots of characters: u64 and u16, of the same length."""

    character_guid: U64Array
    slot: npt.NDArray[np.uint16]


class Balances(NamedTuple):
    """What characters have of currencies: u64, u16 and i64, of the same length, in any order."""

    character_guid: U64Array
    currency_id: npt.NDArray[np.uint16]
    balance: npt.NDArray[np.int64]


class LedgerRows(NamedTuple):
    """A step: add rows to the ledger, in any order: what one operation changed of one character
    each. Comes after the `Write` that it tells of, in the same transaction.

    u64, u64 (the version that the operation made), u64, i64 and u8, and the packed columns as
    `mmoinv.stores.ledger` makes them; ``money`` and ``partners`` are None where there is none.
    """

    character_guid: U64Array
    version: U64Array
    operation_id: U64Array
    world_id: npt.NDArray[np.int64]
    reason: npt.NDArray[np.uint8]
    changes: list[bytes]
    money: list[bytes | None]
    partners: list[bytes | None]


class Look(NamedTuple):
    """What must be known, and locked, before a stage can be judged.

    The session rows of ``character_guids`` (ascending), which of ``operation_ids`` are applied,
    where ``item_guids`` are stored, all stored records of ``whole_characters``, and all balances
    of ``wallet_characters``.
    """

    character_guids: U64Array
    operation_ids: U64Array
    item_guids: U64Array
    whole_characters: U64Array
    wallet_characters: U64Array = np.empty(0, np.uint64)


class Seen(NamedTuple):
    """The answer to a `Look`.

    ``stored`` has the records of the whole characters, in any order, except for rows that no
    record can hold; ``damaged_characters`` are those who have such rows.
    """

    sessions: Sessions
    applied: U64Array
    places: Places
    stored: OwnedItems
    damaged_characters: U64Array
    balances: Balances = Balances(
        np.empty(0, np.uint64), np.empty(0, np.uint16), np.empty(0, np.int64)
    )

    def is_nothing_but(self, sessions: Sessions) -> bool:
        """Whether these very sessions were seen, and nothing else."""
        others = self.applied, *self.places, *self.stored, self.damaged_characters, *self.balances
        return not any(map(len, others)) and self.sessions.equals(sessions)

    def plus(self, more: "Seen") -> "Seen":
        """This and what a second look at items showed; the sessions are those of the first."""
        return self._replace(
            places=self.places.plus(more.places),
            stored=self.stored.plus(more.stored),
            damaged_characters=np.concatenate([self.damaged_characters, more.damaged_characters]),
        )


class Wait(NamedTuple):
    """A step: nothing more can be done before the last `Look` is answered."""


CHANGEABLE = tuple(name for name in INVENTORY_ITEM.names or () if name not in ("slot", "item_guid"))
"""The fields of a record that may change while its item stays in its slot."""


class Write(NamedTuple):
    """What a stage changes, to be done in the order of these fields.

    Delete all rows of ``emptied_characters`` and the rows of ``deleted`` (not all of them need
    exist); overwrite the rows of ``updated``, whose item guid stays where it is (in no other than
    the ``changed_fields`` do they differ from what is stored); insert
    ``inserted``, never as an upsert; raise the version of ``committed_characters`` by one; note
    ``committed_operations`` as applied; set ``balances``, whose rows need not be there yet.
    """

    emptied_characters: U64Array
    deleted: Slots
    updated: OwnedItems
    inserted: OwnedItems
    committed_characters: U64Array
    committed_operations: U64Array
    balances: Balances = Balances(
        np.empty(0, np.uint64), np.empty(0, np.uint16), np.empty(0, np.int64)
    )
    changed_fields: tuple[str, ...] = CHANGEABLE


NO_GUIDS: U64Array = np.empty(0, np.uint64)
NO_ITEMS = OwnedItems(NO_GUIDS, np.empty(0, INVENTORY_ITEM))
NO_BALANCES = Balances(NO_GUIDS, np.empty(0, np.uint16), np.empty(0, np.int64))
NO_PLACES = Places(NO_GUIDS, NO_GUIDS, np.empty(0, np.int64))
NO_SLOTS = Slots(NO_GUIDS, np.empty(0, SLOT))


def check_written(found: int, wanted: int) -> None:
    """`StoreDataError` unless so many rows were there to be overwritten as are known to be there:
    none is lost because somebody has deleted it behind our back."""
    if found != wanted:
        raise StoreDataError(
            f"of {wanted} records that are stored only {found} were found: somebody else has "
            "changed the table of the items; nothing was saved"
        )
