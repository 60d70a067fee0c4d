"""The ledger's packed columns: what an operation changed of a character, and with whom.

``changes`` is the codec's (`mmoinv.codec.pack_changes`), ``money`` rows of `MONEY`, ``partners``
rows of `PARTNER`. Knows no database.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.codec import unpack_changes
from mmoinv.records import Batch

MONEY = np.dtype([("currency_id", "<u2"), ("amount", "<i8"), ("balance", "<i8")])
"""One change of a balance: by how much, and what it is then."""
PARTNER = np.dtype([("character_guid", "<u8"), ("version", "<u8")])
"""Another character of the same operation, and the version that the operation made of it."""


class LedgerEntry(NamedTuple):
    """What one operation changed of one character.

    ``before`` and ``after`` are `INVENTORY_ITEM` batches of equal length, a pair a slot; where
    nothing was, or is, the record has entry 0. ``money`` has the dtype `MONEY`, ``partners``
    `PARTNER`; ``committed_at`` in seconds since 1970.
    """

    character_guid: int
    version: int
    operation_id: int
    committed_at: int
    world_id: int
    reason: int
    before: Batch
    after: Batch
    money: npt.NDArray[np.void]
    partners: npt.NDArray[np.void]


def unpacked(
    character_guid: int,
    version: int,
    operation_id: int,
    committed_at: int,
    world_id: int,
    reason: int,
    changes: bytes,
    money: bytes | None,
    partners: bytes | None,
) -> LedgerEntry:
    """One row of the table. `FramingError` or `ValueError` if it cannot be read."""
    before, after = unpack_changes(changes)
    return LedgerEntry(
        character_guid,
        version,
        operation_id,
        committed_at,
        world_id,
        reason,
        before,
        after,
        np.frombuffer(money or b"", MONEY),
        np.frombuffer(partners or b"", PARTNER),
    )
