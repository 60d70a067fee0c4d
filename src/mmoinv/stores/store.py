"""What a realm asks of a database.

A store keeps the inventories, the sessions, the applied operations and the worlds. Every
store passes the same tests. Knows no packets and no links.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from mmoinv.errors import StoreDataError
from mmoinv.records import Batch
from mmoinv.stores.entries import Entry, MintGuids, Outcome
from mmoinv.stores.ledger import LedgerEntry


class DuplicateRowError(StoreDataError):
    """A key that must be unique, such as an item guid, is in the database already."""


class World(NamedTuple):
    """A world server that may log on. ``verifier`` is its SCRAM verifier, never a secret;
    ``node_epoch`` the last one that it was given, 0 for none."""

    world_id: int
    name: str
    verifier: str
    node_epoch: int


class Session(NamedTuple):
    """One row of the sessions."""

    character_guid: int
    world_id: int
    process_nonce: int
    epoch: int
    version: int
    online: bool


class StoreCounts(NamedTuple):
    """How many rows there are."""

    items: int
    sessions: int
    applied_operations: int
    set_aside_items: int
    worlds: int


class Store(Protocol):
    """A database. All methods but the first two want it open.

    Every method may raise `StoreUnavailableError` (busy, full, away: the same call may succeed
    later), `StoreDataError` (the data was refused: it will be again) or another `StoreError`;
    whatever it was doing is then rolled back.
    """

    @property
    def url(self) -> str:
        """Where it is, without any password, for messages."""
        ...

    async def open(self) -> None:
        """Connect, create the schema in an empty database; `SchemaVersionError` if it is of
        another version."""
        ...

    async def close(self) -> None:
        """Finish what runs and disconnect. Closing twice is fine."""
        ...

    async def write_group(
        self, entries: Sequence[Entry], mint_guids: MintGuids | None = None
    ) -> list[Outcome]:
        """Write all entries in one transaction: one outcome each, in order, once it is safe.

        The outcome equals running every operation, join and leave one at a time, in order. A
        refused operation changes nothing and touches no other. If the database itself refuses
        the data of any one (`StoreDataError`), nothing of the group is written. Without
        ``mint_guids`` records of protocol 3 that need a guid stay without one. Groups must not
        overlap: await one before the next.
        """
        ...

    async def add_world(self, name: str, verifier: str) -> int:
        """Create a world, or give the one of that name another verifier; its world id."""
        ...

    async def find_world(self, name: str) -> tuple[int, str] | None:
        """World id and verifier of a world, None if there is no such."""
        ...

    async def worlds(self) -> list[World]:
        """All worlds, by name."""
        ...

    async def next_node_epoch(self, world_id: int | None = None) -> int:
        """A u32 from 1 that no call on this database ever gave before.

        Noted at the world; None for the realm itself.
        """
        ...

    async def read_items(self, character_guid: int) -> Batch:
        """What is stored for a character, slot-sorted; rows that cannot be read are left out."""
        ...

    async def read_inventories(
        self, first_guid: int, last_guid: int
    ) -> tuple[npt.NDArray[np.uint64], Batch]:
        """All records of the characters ``first_guid`` to ``last_guid`` (inclusive): whose each
        is, and the records; ascending by character and slot. For tools and tests."""
        ...

    async def read_session(self, character_guid: int) -> Session | None:
        """The session row of a character."""
        ...

    async def read_wallet(self, character_guid: int) -> dict[int, int]:
        """The balances of a character by currency; 0 where there is none."""
        ...

    async def read_ledger(
        self, character_guid: int, first_version: int = 1, limit: int = 1000
    ) -> list[LedgerEntry]:
        """What operations changed of a character, oldest first, from the one on that made
        ``first_version``; at most ``limit`` of them. `FramingError` if a row cannot be read."""
        ...

    async def has_characters(self, first_guid: int, last_guid: int) -> bool:
        """Whether anything is stored for any character of that range (inclusive)."""
        ...

    async def clear_characters(self, first_guid: int, last_guid: int) -> int:
        """Delete items, money, history, sessions and set-aside rows of that range (inclusive); how
        many items.
        For tools that made them; never of live characters."""
        ...

    async def forget_operations(
        self, applied_before_s: int, after: int | None = None, limit: int = 2000
    ) -> int | None:
        """Look at up to ``limit`` applied operations, from where the last call ended, and
        delete those applied before a time in seconds since 1970.

        Returns what to pass as ``after`` next, None once all have been looked at. The highest
        node epoch among what was ever deleted is kept: an operation up to it that is marked
        repeated, is not found and would be refused for its session or version is answered with
        `Verdict.STALE_SESSION` and a message that begins with
        `mmoinv.commits.UNKNOWN_OPERATION`.
        """
        ...

    async def forget_ledger(self, committed_before_s: int, limit: int = 2000) -> bool:
        """Delete up to ``limit`` of the oldest rows of the ledger, as long as they were committed
        before a time in seconds since 1970; whether there may be more."""
        ...

    async def counts(self) -> StoreCounts:
        """How many rows each table has. Reads whole tables."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
