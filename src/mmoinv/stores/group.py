"""The group commit's logic, the same for every database: who wins, who is refused, what is written.

The outcome equals running the operations one at a time, in their order; where that is not
plain from the arrays, the stage is cut until it is. Pure numpy: `write_stage` is a generator
that yields `Look` and `Write` steps and never touches a database itself. No Python object an
operation, except for the refused ones and protocol 3.
"""

from collections.abc import Generator, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mmoinv.commits import CommitFlags, Commits, OperationKind, join_commits
from mmoinv.records import SLOT, U16_MAX, fault_sentence
from mmoinv.stores.completion import complete_items
from mmoinv.stores.entries import CommitEntry, CommitOutcome, MintGuids, Verdict
from mmoinv.stores.steps import (
    NO_GUIDS,
    Look,
    OwnedItems,
    Places,
    Seen,
    Slots,
    U64Array,
    Write,
)

Steps = Generator[Look | Write, Seen | None, None]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

UNSUPPORTED = "currencies and CONSERVE are not yet supported by this realm; nothing was saved"
NOT_SAVED = "nothing was saved"


class Stage:
    """Adjacent operations of one transaction, and what becomes of each.

    ``statuses`` (u8, one an operation), ``versions`` (u64, one a participant) and ``messages``
    are filled by `write_stage`.
    """

    def __init__(self, entries: Iterable[CommitEntry]) -> None:
        entries = list(entries)
        counts = [len(entry.commits.operations) for entry in entries]
        self.commits: Commits = join_commits([entry.commits for entry in entries])
        self.world_ids: npt.NDArray[np.int64] = np.repeat(
            np.array([entry.world_id for entry in entries], np.int64), counts
        )
        self.carries_flags: Mask = np.repeat(
            np.array([entry.carries_flags for entry in entries], np.bool_), counts
        )
        self.statuses = np.full(len(self.commits.operations), Verdict.INTERNAL, np.uint8)
        self.versions = np.zeros(len(self.commits.participants), np.uint64)
        self.messages: dict[int, str] = {}
        self._counts = counts
        self._participant_counts = [len(entry.commits.participants) for entry in entries]

    def outcomes(self) -> list[CommitOutcome]:
        """One outcome an entry, in order."""
        result = []
        operation = participant = 0
        for operations, participants in zip(self._counts, self._participant_counts, strict=True):
            result.append(
                CommitOutcome(
                    self.statuses[operation : operation + operations],
                    self.versions[participant : participant + participants],
                    {
                        index - operation: self.messages[index]
                        for index in range(operation, operation + operations)
                        if index in self.messages
                    }
                    if self.messages
                    else {},
                )
            )
            operation += operations
            participant += participants
        return result


def write_stage(stage: Stage, mint_guids: MintGuids) -> Steps:
    """Judge and write a stage: yields `Look` (send it what was `Seen`) and `Write` steps."""
    bounds = cut_points(stage.commits)
    for start, stop in pairwise(bounds):
        yield from _write_part(stage, start, stop, mint_guids)


def cut_points(commits: Commits) -> list[int]:
    """Where to cut so that no part has a character or an operation id in two operations.

    From 0 to the count of operations; the parts lie between neighbours.
    """
    count = len(commits.operations)
    previous = np.full(count, -1, np.int64)
    for keys, owners in (
        (commits.participants["character_guid"], commits.participants["operation"]),
        (commits.operations["operation_id"], np.arange(count)),
    ):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        again = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(again):
            here = owners[order[again + 1]].astype(np.int64)
            before = owners[order[again]].astype(np.int64)
            apart = here != before
            np.maximum.at(previous, here[apart], before[apart])
    points = [0]
    for index in np.flatnonzero(previous >= 0).tolist():
        if previous[index] >= points[-1]:
            points.append(index)
    if count:
        points.append(count)
    return points


def _write_part(stage: Stage, start: int, stop: int, mint_guids: MintGuids) -> Steps:
    """Operations ``start`` to ``stop``; each character and operation id is in one of them only."""
    part = _Part(stage, start, stop)
    seen = yield part.look()
    assert seen is not None
    part.judge(seen, mint_guids)
    suspects = part.suspects(seen.places)
    if len(suspects) and stop - start > 1:
        # A guid that is stored elsewhere, or comes twice, may be free or taken by the time its
        # operation has its turn: those run alone, the others between them in bulk.
        points = sorted({0, stop - start, *suspects.tolist(), *(suspects + 1).tolist()})
        for begin, end in pairwise(points):
            yield from _write_part(stage, start + begin, start + end, mint_guids)
        return
    if len(suspects):
        part.refuse_duplicate(seen.places)
    write = part.write(seen.places)
    if len(write.committed_operations):
        yield write
    stage.statuses[start:stop] = part.statuses
    first = int(stage.commits.operations["first_participant"][start])
    stage.versions[first : first + len(part.versions)] = part.versions
    for index, message in part.messages().items():
        stage.messages[start + index] = message


class _Part:
    """A contiguous part of a stage, judged and written in bulk."""

    def __init__(self, stage: Stage, start: int, stop: int) -> None:
        whole = start == 0 and stop == len(stage.commits.operations)
        self.commits = stage.commits if whole else stage.commits.between(start, stop)
        self.world_ids = stage.world_ids[start:stop]
        self.carries_flags = stage.carries_flags[start:stop]
        operations, participants = self.commits.operations, self.commits.participants
        self.is_commit: Mask = operations["kind"] == OperationKind.COMMIT
        self.replaces: Mask = (operations["flags"] & CommitFlags.REPLACE) != 0
        self.operation_of: Indices = participants["operation"].astype(np.int64)
        self.characters: U64Array
        self.characters, self.character_of = np.unique(
            participants["character_guid"], return_inverse=True
        )
        self.participant_of_item: Indices = np.repeat(
            np.arange(len(participants)), participants["item_count"]
        )
        self.statuses = np.zeros(len(operations), np.uint8)
        self.versions = np.zeros(len(participants), np.uint64)
        self._duplicate = ""

    def look(self) -> Look:
        """What must be known of the database."""
        whole = NO_GUIDS
        item_guids = self.commits.items["item_guid"]
        if not self.is_commit.all():
            saves = self.commits.operations["kind"] == OperationKind.SAVE
            whole = np.unique(self.commits.participants["character_guid"][saves[self.operation_of]])
            item_guids = item_guids[self.is_commit[self.operation_of][self.participant_of_item]]
        return Look(
            self.characters,
            self.commits.operations["operation_id"],
            item_guids[item_guids != 0],
            whole,
        )

    def judge(self, seen: Seen, mint_guids: MintGuids) -> None:
        """Statuses and present versions by the sessions; completes protocol 3's records."""
        operations, participants = self.commits.operations, self.commits.participants
        sessions = seen.sessions
        row = _find(sessions.character_guid, participants["character_guid"])
        known = row >= 0
        stale = ~known
        if len(sessions.character_guid):
            row = np.maximum(row, 0)
            self.versions = np.where(known, sessions.version[row], 0).astype(np.uint64)
            stale |= sessions.epoch[row] != participants["session_epoch"]
            stale |= sessions.world_id[row] != self.world_ids[self.operation_of]
            stale |= ~sessions.online[row]
        conflict = (self.versions != participants["expected_version"]) & self.is_commit[
            self.operation_of
        ]
        # The later assignment outweighs the earlier ones.
        self.statuses[self.operation_of[conflict]] = Verdict.VERSION_CONFLICT
        self.statuses[self.operation_of[stale]] = Verdict.STALE_SESSION
        self.stale, self.conflict = stale, conflict
        self.unsupported: Mask = (operations["flags"] & CommitFlags.CONSERVE) != 0
        self.unsupported[self.operation_of[participants["currency_count"] > 0]] = True
        self.statuses[self.unsupported] = Verdict.INVALID
        self.statuses[operations["fault"] != 0] = Verdict.INVALID
        if len(seen.applied):
            applied = np.isin(operations["operation_id"], seen.applied)
            self.statuses[applied] = Verdict.ALREADY_COMMITTED
        if not self.is_commit.all():
            self.commits = complete_items(self.commits, self.carries_flags, seen.stored, mint_guids)

    def _lay_out(self, places: Places) -> None:
        """Everything that is to be written, as keys (index of the character << 16 | slot)."""
        participants, items = self.commits.participants, self.commits.items
        self.alive: Mask = self.statuses == Verdict.COMMITTED
        alive = self.alive[self.operation_of]
        character = self.character_of.astype(np.int64) << 16
        self.live_items: Indices = np.flatnonzero(alive[self.participant_of_item])
        owner = self.participant_of_item[self.live_items]
        self.saved_keys: Indices = character[owner] | items["slot"][self.live_items]
        self.saved_guids: U64Array = items["item_guid"][self.live_items]
        self.saved_by: Indices = self.operation_of[owner]
        self.saved_owner: Indices = owner
        deleter = np.repeat(np.arange(len(participants)), participants["delete_count"])
        live = np.flatnonzero(alive[deleter])
        self.deleted_keys: Indices = character[deleter[live]] | self.commits.deletes[live]
        # Which operation has its hands on which character.
        self.operation_on: Indices = np.full(len(self.characters), -1, np.int64)
        self.operation_on[self.character_of[alive]] = self.operation_of[alive]

        self.by_guid: Indices = np.argsort(self.saved_guids, kind="stable")
        found = _find(self.saved_guids[self.by_guid], places.item_guid)
        here = np.flatnonzero(found >= 0)
        self.place_item: Indices = self.by_guid[found[here]]
        place_character = _find(self.characters, places.character_guid[here])
        slot = places.slot[here]
        inside = (place_character >= 0) & (slot >= 0) & (slot <= U16_MAX)
        self.place_key: Indices = np.where(inside, place_character << 16 | slot, -1)
        self.place_index = here

    def suspects(self, places: Places) -> Indices:
        """Operations with an item guid that comes twice, or is stored in a slot that the
        same operation does not touch. Ascending."""
        self._lay_out(places)
        ordered = self.saved_guids[self.by_guid]
        twice = (ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)
        suspicious = np.zeros(len(self.statuses), np.bool_)
        if twice.any():
            suspicious[self.saved_by[self.by_guid[1:][twice]]] = True
            suspicious[self.saved_by[self.by_guid[:-1][twice]]] = True
        self._foreign = self._stored_elsewhere()
        suspicious[self.saved_by[self.place_item[self._foreign]]] = True
        return np.flatnonzero(suspicious)

    def _stored_elsewhere(self) -> Mask:
        """One bool a place: whether the operation that saves the guid leaves the place alone."""
        if not len(self.place_key):
            return np.zeros(0, np.bool_)
        writer = self.saved_by[self.place_item]
        character = np.maximum(self.place_key, 0) >> 16
        same_operation = (self.place_key >= 0) & (self.operation_on[character] == writer)
        touched: Mask = (
            self.replaces[writer]
            | np.isin(self.place_key, self.saved_keys)
            | np.isin(self.place_key, self.deleted_keys)
        )
        foreign: Mask = ~(same_operation & touched)
        return foreign

    def refuse_duplicate(self, places: Places) -> None:
        """Refuse the only operation of this part for the first guid that is not free."""
        if self._foreign.any():
            place = self.place_index[np.flatnonzero(self._foreign)[0]]
            self._duplicate = (
                f"item guid {places.item_guid[place]} is in slot {places.slot[place]} of "
                f"character {places.character_guid[place]} already; {NOT_SAVED}"
            )
        else:
            ordered = self.saved_guids[self.by_guid]
            twice = ordered[1:][(ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)]
            self._duplicate = f"item guid {twice[0]} is saved twice; {NOT_SAVED}"
        self.statuses[0] = Verdict.DUPLICATE_ITEM_GUID
        self._lay_out(places)

    def write(self, places: Places) -> Write:
        """The changes of everything that is committed; raises their versions in the answer."""
        participants, operations = self.commits.participants, self.commits.operations
        committed = self.alive[self.operation_of]
        self.versions[committed] += np.uint64(1)
        emptied = committed & self.replaces[self.operation_of]
        in_place = np.zeros(len(self.live_items), np.bool_)
        stays = (self.place_key == self.saved_keys[self.place_item]) & ~self.replaces[
            self.saved_by[self.place_item]
        ]
        in_place[self.place_item[stays]] = True
        saved = OwnedItems(
            participants["character_guid"][self.saved_owner], self.commits.items[self.live_items]
        )
        deleted_keys = np.concatenate(
            (self.saved_keys[~in_place & ~self.replaces[self.saved_by]], self.deleted_keys)
        )
        return Write(
            participants["character_guid"][emptied],
            Slots(self.characters[deleted_keys >> 16], (deleted_keys & 0xFFFF).astype(SLOT)),
            saved.where(in_place),
            saved.where(~in_place),
            participants["character_guid"][committed],
            operations["operation_id"][self.alive],
        )

    def messages(self) -> dict[int, str]:
        """Why each refused operation was refused."""
        refused = np.flatnonzero(self.statuses > Verdict.ALREADY_COMMITTED)
        return {index: self._message(index) for index in refused.tolist()}

    def _message(self, index: int) -> str:
        operation = self.commits.operations[index]
        first = int(operation["first_participant"])
        span = slice(first, first + int(operation["participant_count"]))
        participants = self.commits.participants[span]
        match self.statuses[index]:
            case Verdict.STALE_SESSION:
                which = int(np.flatnonzero(self.stale[span])[0])
                return (
                    f"character {participants['character_guid'][which]}: session epoch "
                    f"{participants['session_epoch'][which]} is not held by this world; {NOT_SAVED}"
                )
            case Verdict.VERSION_CONFLICT:
                which = int(np.flatnonzero(self.conflict[span])[0])
                return (
                    f"character {participants['character_guid'][which]}: made on version "
                    f"{participants['expected_version'][which]}, the stored one is "
                    f"{self.versions[span][which]}; {NOT_SAVED}"
                )
            case Verdict.DUPLICATE_ITEM_GUID:
                return self._duplicate
        if operation["fault"]:
            return f"{_fault(operation)}; {NOT_SAVED}"
        return UNSUPPORTED


def _fault(operation: Any) -> str:
    return fault_sentence(int(operation["fault"]), int(operation["fault_slot"]))


def _find(ascending: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Indices:
    """For each wanted value its index in an ascending array, -1 where it is not there."""
    if not len(ascending):
        return np.full(len(wanted), -1, np.int64)
    index = np.searchsorted(ascending, wanted)
    index[index == len(ascending)] = 0
    return np.where(ascending[index] == wanted, index, -1)
