"""The desk: mmoinv's own tools as a world server. It joins a character, commits, and leaves.

Fenced like any world: the join raises the session's epoch, so whoever held the character can write
it no longer. What it writes stands in the ledger as of the world `DESK`. Knows stores; no links
and no packets.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mmoinv.commits import CURRENCY, OPERATION, PARTICIPANT, CommitFlags, Commits, OperationKind
from mmoinv.errors import OperationRefusedError, StoreDataError, StoreUnavailableError
from mmoinv.records import Batch
from mmoinv.stores import (
    CommitEntry,
    CommitOutcome,
    Entry,
    JoinEntry,
    JoinOutcome,
    LeaveEntry,
    Outcome,
    Store,
    Verdict,
)
from mmoinv.wire import make_verifier

DESK = "mmoinv"
"""The name of the tools' world. Nobody knows a secret of it."""
TRIES = 3
"""How often a commit is sent again, under its id, while the database is busy or away."""


class Change(NamedTuple):
    """What is written of one character: records to save, slots to delete, money by currency."""

    items: Batch
    deletes: npt.NDArray[np.uint16]
    money: Mapping[int, int]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (len(self.items) or len(self.deletes) or self.money)


class Replacement(NamedTuple):
    """A character's whole inventory, written over what is there, and money by currency; made on
    ``version``, under the session ``epoch``."""

    character_guid: int
    epoch: int
    version: int
    items: Batch
    money: Mapping[int, int]


class Desk:
    """A world server without players, on an open store."""

    def __init__(self, store: Store, world_id: int, node_epoch: int) -> None:
        self.store = store
        self.world_id = world_id
        self._node_epoch = node_epoch
        self._nonce = secrets.randbits(64)
        self._operations = 0
        self._minted = 0

    @classmethod
    async def at(cls, store: Store) -> Self:
        """The desk at a store; its world is created if it is not there."""
        known = await store.find_world(DESK)
        if known is None:
            world_id = await store.add_world(DESK, make_verifier(secrets.token_urlsafe()))
        else:
            world_id = known[0]
        return cls(store, world_id, await store.next_node_epoch(world_id))

    async def join(self, character_guid: int) -> JoinOutcome:
        """Take the session of a character from whoever has it. Rows that cannot be read are set
        aside, as at any join."""
        (outcome,) = await self.store.write_group(
            [JoinEntry(character_guid, self.world_id, self._nonce)]
        )
        assert isinstance(outcome, JoinOutcome)
        return outcome

    async def join_all(self, character_guids: Sequence[int]) -> list[JoinOutcome]:
        """As `join`, of many characters in one transaction; in order."""
        outcomes = await self.store.write_group(
            [JoinEntry(guid, self.world_id, self._nonce) for guid in character_guids]
        )
        return [outcome for outcome in outcomes if isinstance(outcome, JoinOutcome)]

    def mint(self, count: int) -> npt.NDArray[np.uint64]:
        """Item guids that nobody ever had, u64."""
        first = self._node_epoch << 32 | self._minted + 1
        self._minted += count
        return np.arange(first, first + count, dtype=np.uint64)

    async def replace_all(self, replacements: Sequence[Replacement], reason: int) -> dict[int, str]:
        """Write many characters in one transaction, an operation each, and leave them; why some
        were refused, by character: nothing of those is written."""
        entries = [
            CommitEntry(
                self.world_id,
                _commits(
                    self._next_id(),
                    one.character_guid,
                    one.epoch,
                    one.version,
                    Change(one.items, np.zeros(0, np.uint16), one.money),
                    reason,
                    CommitFlags.REPLACE,
                ),
            )
            for one in replacements
        ]
        leaves = [LeaveEntry(one.character_guid, self.world_id, one.epoch) for one in replacements]
        try:
            outcomes = await self._write([*entries, *leaves])
        except StoreDataError as error:
            if len(replacements) == 1:
                await self.store.write_group(leaves)
                return {replacements[0].character_guid: str(error)}
            # The database refuses the data of one of them: the others are written without it.
            half = len(replacements) // 2
            refused = await self.replace_all(replacements[:half], reason)
            return refused | await self.replace_all(replacements[half:], reason)
        return {
            one.character_guid: outcome.messages.get(0, Verdict(int(outcome.statuses[0])).name)
            for one, outcome in zip(replacements, outcomes, strict=False)
            if isinstance(outcome, CommitOutcome)
            and outcome.statuses[0] > Verdict.ALREADY_COMMITTED
        }

    async def leave(self, character_guid: int, epoch: int) -> None:
        """Give the session back."""
        await self.store.write_group([LeaveEntry(character_guid, self.world_id, epoch)])

    async def commit(
        self, character_guid: int, epoch: int, version: int, change: Change, reason: int
    ) -> int:
        """Write a change that was made on ``version``; the operation's id.
        `OperationRefusedError` if it is refused: then nothing is written."""
        operation_id = self._next_id()
        entry = CommitEntry(
            self.world_id,
            _commits(operation_id, character_guid, epoch, version, change, reason),
        )
        (outcome,) = await self._write([entry])
        assert isinstance(outcome, CommitOutcome)
        if outcome.statuses[0] > Verdict.ALREADY_COMMITTED:
            raise OperationRefusedError(
                f"operation {operation_id:#x} of character {character_guid} was refused: "
                f"{outcome.messages[0]}.",
                operation_id,
                (character_guid,),
            )
        return operation_id

    def _next_id(self) -> int:
        self._operations += 1
        return self._node_epoch << 32 | self._operations

    async def _write(self, entries: Sequence[Entry]) -> list[Outcome]:
        for tries_left in reversed(range(TRIES)):
            try:
                return await self.store.write_group(entries)
            except StoreUnavailableError:
                # It may be committed: the same ids find that out.
                if not tries_left:
                    raise
        raise AssertionError("unreachable")


def _commits(
    operation_id: int,
    character_guid: int,
    epoch: int,
    version: int,
    change: Change,
    reason: int,
    flags: int = 0,
) -> Commits:
    operations = np.zeros(1, OPERATION)
    operations["operation_id"] = operation_id
    operations["participant_count"] = 1
    operations["kind"] = OperationKind.COMMIT
    operations["reason"] = reason
    operations["flags"] = flags
    participants = np.zeros(1, PARTICIPANT)
    participants["character_guid"] = character_guid
    participants["session_epoch"] = epoch
    participants["expected_version"] = version
    participants["item_count"] = len(change.items)
    participants["delete_count"] = len(change.deletes)
    participants["currency_count"] = len(change.money)
    currencies = np.array(sorted(change.money.items()), CURRENCY)
    return Commits(operations, participants, change.items, change.deletes, currencies)
