"""What of an inventory is committed, what is on its way, and who must be saved together.

The one file of the rules' room that knows repositories. Safe against answers that come in from
another thread.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mmoinv.errors import InventoryError
from mmoinv.records import Batch
from mmoinv.repository import InventoryRepository, InventoryUnitOfWork, OperationHandle

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
    """One save that is not answered yet, and what of each inventory it carries."""

    handle: OperationHandle
    snapshots: dict[Saveable, Batch]


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
        snapshots = {one: one.items for one in group}
        changed = [
            one
            for one, items in snapshots.items()
            if unit.register_changes(one.character_guid, submitted(one), items)
        ]
        if not changed:
            waiting = [one.saved.underway[-1].handle for one in group if one.saved.underway]
            return waiting[0] if waiting else unit.commit(reason)
        save = Underway(unit.commit(reason), snapshots)
        for one in group:
            one.saved.underway.append(save)
            one.saved.tied.clear()
    save.handle.add_done_callback(lambda handle: _answered(save, handle))
    return save.handle


def submitted(one: Saveable) -> Batch:
    """What will be committed if nothing is refused: what the next save is compared with."""
    underway = one.saved.underway
    return underway[-1].snapshots[one] if underway else one.saved.committed


def _answered(save: Underway, handle: OperationHandle) -> None:
    with _lock:
        if handle.exception is not None:
            _refused(save)
            return
        for one, items in save.snapshots.items():
            if save in one.saved.underway:
                one.saved.underway.remove(save)
                one.saved.committed = items


def _refused(save: Underway) -> None:
    """It is not stored, and neither is what was compared with it: saves behind it are refused by
    the realm's connector too."""
    behind: list[Underway] = []
    for one in save.snapshots:
        underway = one.saved.underway
        if save in underway:
            place = underway.index(save)
            behind += underway[place + 1 :]
            del underway[place]
    _tie_all(list(save.snapshots))
    for later in behind:
        _refused(later)


def _tie_all(group: Sequence[Saveable]) -> None:
    for one in group:
        one.saved.tied.update(other for other in group if other is not one)
