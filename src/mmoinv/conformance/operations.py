"""Operations for the tests of stores, in few words: what a realm would hand to a store.

Everything is of world `WORLD` and the sessions that `joined` grants; slots, guids and versions
are plain numbers.
"""

from collections.abc import Sequence

import numpy as np

from mmoinv import codec
from mmoinv.commits import (
    CommitFlags,
    Commits,
    CurrencyDelta,
    OperationKind,
    ParticipantChanges,
    join_commits,
)
from mmoinv.records import INVENTORY_ITEM, Batch, Fault, InventoryItemData, batch_of, slots_of
from mmoinv.stores import CommitEntry, CommitOutcome, JoinEntry, JoinOutcome, Store

WORLD, OTHER_WORLD = 1, 2
NONCE = 2**64 - 5


def item(
    slot: int, guid: int, entry: int = 100, stack: int = 1, **fields: int
) -> InventoryItemData:
    """A record; the rest of its fields are 0."""
    return InventoryItemData(entry=entry, slot=slot, stack_count=stack, item_guid=guid, **fields)


def changes(
    character: int,
    *items: InventoryItemData,
    deletes: Sequence[int] = (),
    epoch: int = 1,
    version: int = 0,
    currencies: tuple[CurrencyDelta, ...] = (),
) -> ParticipantChanges:
    """What one operation does to one character."""
    return ParticipantChanges(
        character, epoch, version, batch_of(*items), slots_of(*deletes), currencies
    )


def commit(
    operation_id: int,
    *participants: ParticipantChanges,
    replace: bool = False,
    conserve: bool = False,
    repeated: bool = False,
    fault: Fault = Fault.NONE,
) -> Commits:
    """One operation of protocol 4, as the realm hands it to a store."""
    flags = (
        replace * CommitFlags.REPLACE
        | conserve * CommitFlags.CONSERVE
        | repeated * CommitFlags.REPEATED
    )
    frame = codec.encode_commit_inventory(operation_id, participants, 0, flags)
    commits, _ = codec.decode_commits(frame)
    if fault:
        commits.operations["fault"] = fault
    return commits


def old_save(
    operation_id: int,
    character: int,
    *items: InventoryItemData,
    replace: bool = False,
    epoch: int = 1,
) -> Commits:
    """A SaveInventoryItems of protocol 3, as the realm hands it to the store."""
    frame = codec.encode_save_inventory_items(character, 7, batch_of(*items))
    return _old(frame, operation_id, epoch, replace)


def old_delete(operation_id: int, character: int, *slots: int, epoch: int = 1) -> Commits:
    """A DeleteInventoryItems of protocol 3, as the realm hands it to the store."""
    frame = codec.encode_delete_inventory_items(character, 7, slots_of(*slots))
    return _old(frame, operation_id, epoch, False)


def _old(frame: bytes, operation_id: int, epoch: int, replace: bool) -> Commits:
    commits, _ = codec.decode_commits(frame, 0, "packed", replace)
    assert commits.operations["kind"][0] in (OperationKind.SAVE, OperationKind.DELETE)
    commits.operations["operation_id"] = operation_id
    commits.participants["session_epoch"] = epoch
    return commits


def entry(*commits: Commits, world: int = WORLD) -> CommitEntry:
    """Operations of one link."""
    return CommitEntry(world, join_commits(commits))


async def joined(store: Store, *characters: int, world: int = WORLD) -> list[JoinOutcome]:
    """The characters join, anew, one after the other."""
    outcomes = await store.write_group([JoinEntry(guid, world, NONCE) for guid in characters])
    assert all(isinstance(outcome, JoinOutcome) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, JoinOutcome)]


async def run(store: Store, *commits: Commits, world: int = WORLD) -> list[tuple[int, list[int]]]:
    """Run operations as one group; (status, versions) of each."""
    (outcome,) = await store.write_group([entry(*commits, world=world)])
    assert isinstance(outcome, CommitOutcome)
    joined_up = join_commits(commits)
    counts = joined_up.operations["participant_count"].tolist()
    result, start = [], 0
    for status, count in zip(outcome.statuses.tolist(), counts, strict=True):
        result.append((status, outcome.versions[start : start + count].tolist()))
        start += count
    return result


async def stored(store: Store, character: int) -> dict[int, tuple[int, int, int]]:
    """Slot to (entry, stack_count, item_guid)."""
    return contents(await store.read_items(character))


def contents(items: Batch) -> dict[int, tuple[int, int, int]]:
    """Slot to (entry, stack_count, item_guid), of a slot-sorted batch."""
    assert items.dtype == INVENTORY_ITEM
    assert (np.diff(items["slot"].astype(int)) > 0).all()
    return {
        int(record["slot"]): (
            int(record["entry"]),
            int(record["stack_count"]),
            int(record["item_guid"]),
        )
        for record in items
    }
