"""What goes into one transaction of a store, and what comes out of it.

Entries are in the order in which they arrived; a store answers each with one outcome, as if
it had run them one at a time. Knows operations as arrays, no packets and no database.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.commits import Commits
from mmoinv.records import Batch

MintGuids = Callable[[int], npt.NDArray[np.uint64]]
"""Gives ``count`` item guids that were never given before, as a u64 array of that length.
Called on the store's own thread."""


class Verdict(IntEnum):
    """What became of one operation: the same numbers as the statuses of the protocol."""

    COMMITTED = 0
    ALREADY_COMMITTED = 1
    STALE_SESSION = 2
    VERSION_CONFLICT = 3
    INVALID = 4
    NOT_CONSERVED = 5
    OVERLOADED = 6
    DATABASE_UNAVAILABLE = 7
    INTERNAL = 8
    INSUFFICIENT_FUNDS = 9
    DUPLICATE_ITEM_GUID = 10
    CANCELLED = 11
    """A trade that did not come about: only the realm says so, no store does."""


class CommitEntry(NamedTuple):
    """Operations of one link, as they were decoded from one received chunk.

    Operations of protocol 3 (kinds SAVE and DELETE) must have an operation id that is unique
    for ever and the session epoch that the link holds; their records have no item guid, and
    item_flags only if ``carries_flags``. ``participant_worlds``: for a trade, whose characters are
    of two worlds, the world of each participant; else all are of ``world_id``.
    """

    world_id: int
    commits: Commits
    carries_flags: bool = True
    participant_worlds: tuple[int, ...] = ()


class JoinEntry(NamedTuple):
    """A world wants the session of a character; ``session_epoch`` 0: anew, else a re-claim."""

    character_guid: int
    world_id: int
    process_nonce: int
    session_epoch: int = 0


class LeaveEntry(NamedTuple):
    """A world gives the session of a character back."""

    character_guid: int
    world_id: int
    session_epoch: int


Entry = CommitEntry | JoinEntry | LeaveEntry


class CommitOutcome(NamedTuple):
    """``statuses`` u8, one `Verdict` an operation; ``versions`` u64, one a participant: the
    new version if committed, the present one if refused, 0 if unknown; ``messages`` by the
    index of the operation."""

    statuses: npt.NDArray[np.uint8]
    versions: npt.NDArray[np.uint64]
    messages: Mapping[int, str]


class JoinOutcome(NamedTuple):
    """The session is granted. ``items`` is a slot-sorted `INVENTORY_ITEM` batch; ``set_aside``
    counts the stored rows that could not be read and were moved out of the way; ``balances`` are
    by currency."""

    epoch: int
    version: int
    items: Batch
    set_aside: int = 0
    balances: Mapping[int, int] = {}


class JoinRefused(NamedTuple):
    """A re-claim came too late: the session has gone to someone else since."""

    message: str


class LeaveOutcome(NamedTuple):
    """``left`` is False where the session was no longer the one that was given back."""

    left: bool


Outcome = CommitOutcome | JoinOutcome | JoinRefused | LeaveOutcome
