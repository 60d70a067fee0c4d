"""The group commit's logic, the same for every database: what is looked at and written, and when.

The outcome equals running the operations one at a time, in their order; where that is not
plain from the arrays, the stage is cut until it is. `write_stage` is a generator that yields
steps (`mmoinv.stores.steps`) and never touches a database itself. No Python object an operation,
except for the refused ones and protocol 3.
"""

from collections.abc import Generator, Iterable, Sequence
from functools import partial
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from mmoinv.codec import find_keys
from mmoinv.commits import Commits, join_commits
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.entries import (
    CommitEntry,
    CommitOutcome,
    Entry,
    JoinEntry,
    JoinOutcome,
    JoinRefused,
    LeaveEntry,
    LeaveOutcome,
    MintGuids,
    Outcome,
    Verdict,
)
from mmoinv.stores.part import RULES, Mask, Part, Rules
from mmoinv.stores.steps import NO_GUIDS, LedgerRows, Look, Seen, U64Array, Wait, Write

Steps = Generator[Look | Wait | Write | LedgerRows, Seen | None, None]
Joins = list[JoinEntry]
"""Joins of characters of which none comes twice."""
Joined = list[JoinOutcome | JoinRefused]
GroupSteps = Generator[
    Look | Wait | Write | LedgerRows | Joins | LeaveEntry,
    Seen | Joined | LeaveOutcome | None,
    list[Outcome],
]


class Stage:
    """Adjacent operations of one transaction, and what becomes of each.

    ``statuses`` (u8, one an operation), ``versions`` (u64, one a participant) and ``messages``
    are filled by `write_stage`.
    """

    def __init__(
        self,
        entries: Iterable[CommitEntry],
        committed: CommittedInventories,
        rules: Rules = RULES,
    ) -> None:
        entries = list(entries)
        self.committed = committed
        self.rules = rules
        counts = [len(entry.commits.operations) for entry in entries]
        self.commits: Commits = join_commits([entry.commits for entry in entries])
        self.world_ids: npt.NDArray[np.int64] = np.repeat(
            np.array([entry.world_id for entry in entries], np.int64),
            [len(entry.commits.participants) for entry in entries],
        )
        self.carries_flags: Mask = np.repeat(
            np.array([entry.carries_flags for entry in entries], np.bool_), counts
        )
        self.statuses = np.full(len(self.commits.operations), Verdict.INTERNAL, np.uint8)
        self.versions = np.zeros(len(self.commits.participants), np.uint64)
        self.messages: dict[int, str] = {}
        self._counts = counts
        self._participant_counts = [len(entry.commits.participants) for entry in entries]
        first = 0
        for entry, count in zip(entries, self._participant_counts, strict=True):
            if entry.participant_worlds:
                self.world_ids[first : first + count] = entry.participant_worlds
            first += count

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


def write_entries(
    entries: Sequence[Entry],
    mint_guids: MintGuids,
    committed: CommittedInventories,
    trusts_new_guids: bool = False,
    rules: Rules = RULES,
) -> GroupSteps:
    """One group: the outcome of each entry, in order. Adjacent commits are one stage.

    With ``trusts_new_guids``, an item guid that none of the characters had before is taken to be
    nowhere else, not looked for. Where that is wrong, the insert hits the unique index: whoever
    says so has to roll back then, and to play the group again without it.

    Yields a `Look` (send it what was `Seen`, or nothing yet: then it goes on with what it can, and
    yields `Wait` for the same), a `Write` or `LedgerRows` (send it nothing), `Joins`
    or a `LeaveEntry` (send it what `mmoinv.stores.sessions` says). A `Write` need not be done when
    the next step is asked for: what that takes to be made is time for the database.
    """
    outcomes: list[Outcome] = []
    for kind, run in groupby(entries, type):
        if kind is CommitEntry:
            commits = (entry for entry in run if isinstance(entry, CommitEntry))
            stage = Stage(commits, committed, rules)
            yield from write_stage(stage, mint_guids, trusts_new_guids)
            outcomes.extend(stage.outcomes())
        elif kind is JoinEntry:
            for joins in _each_once(entry for entry in run if isinstance(entry, JoinEntry)):
                joined = yield joins
                assert isinstance(joined, list)
                committed.keep_joined(
                    (entry, outcome)
                    for entry, outcome in zip(joins, joined, strict=True)
                    if isinstance(outcome, JoinOutcome)
                )
                outcomes.extend(joined)
        else:
            for leaving in run:
                assert isinstance(leaving, LeaveEntry)
                left = yield leaving
                assert isinstance(left, LeaveOutcome)
                outcomes.append(left)
                committed.drop(np.array([leaving.character_guid], np.uint64))
    return outcomes


def _each_once(entries: Iterable[JoinEntry]) -> list[Joins]:
    """The joins in order, cut wherever a character comes again."""
    result: list[Joins] = []
    seen: set[int] = set()
    for entry in entries:
        if not result or entry.character_guid in seen:
            result.append([])
            seen.clear()
        result[-1].append(entry)
        seen.add(entry.character_guid)
    return result


def write_stage(stage: Stage, mint_guids: MintGuids, trusts_new_guids: bool = False) -> Steps:
    """Judge and write a stage: yields `Look`, `Wait`, `Write` and `LedgerRows`, and these and
    ``trusts_new_guids`` are as for `write_entries`."""
    bounds = cut_points(stage.commits)
    for start, stop in pairwise(bounds):
        yield from _write_part(stage, start, stop, mint_guids, trusts_new_guids)


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
        if (find_keys(keys, keys) == np.arange(len(keys))).all():
            continue
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


def _see(look: Look) -> Generator[Look | Wait, Seen | None, Seen]:
    """What a look shows, whether it is answered at once or later."""
    seen = yield look
    if seen is None:
        seen = yield Wait()
        assert seen is not None
    return seen


def _write_ahead(part: Part, expected: Seen) -> Write | None:
    """What a part writes if just this is seen; None if more would have to be looked at."""
    again = part.look_again(expected)
    remembered = part.remember(expected)
    part.judge(remembered, _no_guids)
    wanted = again.item_guids, again.whole_characters, part.unseen_guids(remembered)
    if any(map(len, wanted)) or len(part.suspects()):
        return None
    return part.write()


def _no_guids(count: int) -> U64Array:
    return np.zeros(count, np.uint64)


def _write_part(
    stage: Stage, start: int, stop: int, mint_guids: MintGuids, trusts_new_guids: bool
) -> Steps:
    """Operations ``start`` to ``stop``; each character and operation id is in one of them only."""
    whole = start == 0 and stop == len(stage.commits.operations)
    first = int(stage.commits.operations["first_participant"][start])
    behind = first + int(stage.commits.operations["participant_count"][start:stop].sum())
    new_part = partial(
        Part,
        stage.commits if whole else stage.commits.between(start, stop),
        stage.world_ids[first:behind],
        stage.carries_flags[start:stop],
        stage.committed,
        stage.rules,
    )
    part = new_part()
    look = part.look()
    sessions, is_certain = stage.committed.sessions_of(part.cached_rows)
    write = None
    if sessions is not None and is_certain:
        seen = yield from _see(look._replace(character_guids=NO_GUIDS))
        seen = seen._replace(sessions=sessions)
    else:
        answer = yield look
        if answer is None:
            # The database is looking: meanwhile for what will most probably be seen.
            expected = part.expected(look, sessions)
            write = None if expected is None else _write_ahead(part, expected)
            answer = yield Wait()
            assert answer is not None
            if write is not None and sessions and answer.is_nothing_but(sessions):
                part.confirm(answer.sessions)
            elif expected is not None:
                write, part = None, new_part()
                part.look()
        seen = answer
    if write is None:
        again = part.look_again(seen)
        part.confirm(seen.sessions)
        if len(again.item_guids) or len(again.whole_characters):
            more = yield from _see(again)
            seen = seen.plus(more)
        seen = part.remember(seen)
        part.judge(seen, mint_guids)
        unseen = part.unseen_guids(seen)
        if len(unseen) and not (trusts_new_guids and part.all_was_seen(seen)):
            more = yield from _see(Look(NO_GUIDS, NO_GUIDS, unseen, NO_GUIDS))
            part.add_places(more.places)
        suspects = part.suspects()
        if len(suspects) and stop - start > 1:
            # A guid that is stored elsewhere, or comes twice, may be free or taken by the time its
            # operation has its turn: those run alone, the others between them in bulk.
            points = sorted({0, stop - start, *suspects.tolist(), *(suspects + 1).tolist()})
            for begin, end in pairwise(points):
                yield from _write_part(
                    stage, start + begin, start + end, mint_guids, trusts_new_guids
                )
            return
        if len(suspects):
            part.refuse_duplicate()
        write = part.write()
    if len(write.committed_operations):
        stage.committed.touch(write.committed_characters)
        yield write
        stage.committed.follow(write, part.committed_rows(), part.committed_versions())
        if stage.rules.keeps_ledger:
            yield part.note()
    stage.statuses[start:stop] = part.statuses
    stage.versions[first:behind] = part.versions
    for index, message in part.messages().items():
        stage.messages[start + index] = message
