"""What of an inventory is committed, what is on its way, and who must be saved together.

The one file of the rules' room that knows repositories. Safe against answers that come in from
another thread.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mmoinv.codec import apply_changes, diff
from mmoinv.errors import InventoryError
from mmoinv.records import Batch
from mmoinv.repository import InventoryRepository, InventoryUnitOfWork, OperationHandle
from mmoinv.repository.changes import Slots

MAX_TIED = 64
"""Inventories that one save carries at most: an operation over more characters than the realm
takes could never be saved."""
_lock = threading.RLock()
"""One for all: a save may be over several inventories, and takes microseconds."""


class Saveable(Protocol):
    """What a save needs of an inventory."""

    character_guid: int
    saved: "SavedState"

    @property
    def items(self) -> Batch: ...


@dataclass(eq=False)
class Underway:
    """One save that is not answered yet, and of each inventory that it changes: what it was
    compared with, and what it is then."""

    handle: OperationHandle
    carried: dict[Saveable, tuple[Batch, Batch]]


@dataclass(eq=False)
class SavedState:
    """What is known of one inventory's saves. ``committed`` is slot-sorted and read-only."""

    committed: Batch
    underway: list[Underway] = field(default_factory=list)
    tied: set[Saveable] = field(default_factory=set)
    """Inventories that exchanged items with this one since it was last submitted."""


def tie(one: Saveable, other: Saveable) -> None:
    """From now on neither is saved without the other, until one commit has carried both: half an
    exchange must never be stored."""
    with _lock:
        one.saved.tied.add(other)
        other.saved.tied.add(one)


def tied_to(inventories: Iterable[Saveable]) -> list[Saveable]:
    """The inventories and all that must be saved with them, in guid order."""
    with _lock:
        found: dict[Saveable, None] = {}
        open_ends = list(inventories)
        while open_ends:
            one = open_ends.pop()
            if one not in found:
                found[one] = None
                open_ends.extend(one.saved.tied)
        return sorted(found, key=lambda one: one.character_guid)


def may_tie(one: Saveable, other: Saveable) -> bool:
    """Whether the two, and all that each must be saved with, still go into one save."""
    return other in one.saved.tied or len(tied_to([one, other])) <= MAX_TIED


def untie(group: Iterable[Saveable]) -> None:
    """Nobody of the group need be saved with another one any more."""
    with _lock:
        for one in group:
            one.saved.tied.clear()


def save_together(
    inventories: Iterable[Saveable], repository: InventoryRepository, reason: int = 0
) -> OperationHandle:
    """Commit several inventories, and those that they exchanged items with, in one unit of work:
    all of it is stored or nothing.

    Never waits; the handle does. They stay dirty until the realm has answered, and if it refuses.
    With nothing new to save it is the handle of the last save that is not answered, or one that
    is done. If it raises (`LinkBusyError`, `JoinError`, ...), nothing was taken.
    """
    with _lock:
        group = tied_to(inventories)
        if len({one.character_guid for one in group}) != len(group):
            raise InventoryError(
                "two inventories of one character cannot be saved together; nothing was saved"
            )
        unit = InventoryUnitOfWork(repository)
        carried: dict[Saveable, tuple[Batch, Batch]] = {}
        for one in group:
            before, after = submitted(one), one.items
            # Who is unchanged is no part of the operation, and not answered with it.
            if unit.register_changes(one.character_guid, before, after):
                carried[one] = before, after
        if not carried:
            waiting = [one.saved.underway[-1].handle for one in group if one.saved.underway]
            return waiting[0] if waiting else unit.commit(reason)
        save = Underway(unit.commit(reason), carried)
        for one in carried:
            one.saved.underway.append(save)
        untie(group)
        save.handle.add_done_callback(lambda handle: _answered(save, handle))
        return save.handle


def learn(one: Saveable, saves: Batch, deletes: Slots) -> None:
    """What somebody else has committed of an inventory, in slots that no save on its way writes:
    it is committed now, and was so when those saves were made."""

    with _lock:
        # What was one batch stays one: by that it is known what was compared with what.
        learned: dict[int, tuple[Batch, Batch]] = {}

        def with_it(items: Batch) -> Batch:
            if id(items) not in learned:
                known = apply_changes(items, saves, deletes)
                known.flags.writeable = False
                learned[id(items)] = items, known
            return learned[id(items)][1]

        for save in one.saved.underway:
            before, after = save.carried[one]
            save.carried[one] = with_it(before), with_it(after)
        one.saved.committed = with_it(one.saved.committed)


def submitted(one: Saveable) -> Batch:
    """What will be committed if nothing is refused: what the next save is compared with."""
    underway = one.saved.underway
    return underway[-1].carried[one][1] if underway else one.saved.committed


def _answered(save: Underway, handle: OperationHandle) -> None:
    with _lock:
        if handle.exception is not None:
            _refused(save)
            return
        for one, (before, after) in save.carried.items():
            saved = one.saved
            if save in saved.underway:
                saved.underway.remove(save)
            if saved.committed is not before:
                # It was submitted, by another thread, while one before it was being refused.
                after = apply_changes(saved.committed, *diff(before, after))
                after.flags.writeable = False
            saved.committed = after


def _refused(save: Underway) -> None:
    """It is not stored, and neither is what was compared with it: saves behind it are refused by
    the realm's connector too."""
    behind: list[Underway] = []
    for one in save.carried:
        underway = one.saved.underway
        if save in underway:
            place = underway.index(save)
            behind += underway[place + 1 :]
            del underway[place]
    _tie_all(list(save.carried))
    for later in behind:
        _refused(later)


def _tie_all(group: Sequence[Saveable]) -> None:
    for one in group:
        one.saved.tied.update(other for other in group if other is not one)
