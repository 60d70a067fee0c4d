"""Gathers what a game changes and commits it at once; nothing is forgotten before the answer.

Knows only the repository's interface, change sets and handles.
"""

import threading
from functools import reduce

from mmoinv.errors import BatchError
from mmoinv.records import Batch, Fault, InventoryItemData
from mmoinv.repository.changes import (
    NO_ITEMS,
    CharacterChanges,
    changes_between,
    checked_changes,
    item_batch,
)
from mmoinv.repository.interface import InventoryRepository
from mmoinv.repository.operation import OperationHandle

Layer = dict[int, CharacterChanges]


class InventoryUnitOfWork:
    """What one or more characters' inventories changed by, until it is known to be committed.

    Registrations add up; `commit` sends them as **one** atomic operation over all the
    characters registered. A slot counts with its newest registration. Characters that need
    not be saved together want units of their own: an operation waits for all its characters.

    What is registered stays dirty until the realm has answered "committed", and is cleared
    exactly then. If the commit fails, it is dirty as before, under whatever has been
    registered since, and the next commit carries it again.

    Batches are copied. One that breaks a rule raises `BatchError`, and nothing of that call
    is registered. Threads may share a unit.
    """

    def __init__(self, repository: InventoryRepository) -> None:
        self.repository = repository
        self._lock = threading.RLock()
        self._dirty: Layer = {}
        # What commits carry that are not answered yet, oldest first.
        self._sent: list[Layer] = []

    # Registering

    def register_new(self, character_guid: int, item: InventoryItemData | Batch) -> None:
        """Register an item in a slot that was empty.

        Raises `BatchError` if the unit knows of an item there: one registered as new or
        dirty and not deleted since, committed or not. A slot registered as deleted is empty.
        """
        change = checked_changes(
            character_guid, item_batch(item), named=self.repository.names_items
        )
        slot = int(change.saves["slot"][0])
        with self._lock:
            known = self._known(change.character_guid)
            if known is not None and slot in known.saves["slot"]:
                raise BatchError(
                    f"character {character_guid}: slot {slot} holds an item of this unit "
                    "already; nothing was registered. Use register_dirty to change it, or "
                    "register_deleted first.",
                    Fault.SLOT_TWICE,
                    slot,
                )
            self._register(change)

    def register_dirty(self, character_guid: int, item: InventoryItemData | Batch) -> None:
        """Register the present state of an item; whatever its slot held is replaced."""
        change = checked_changes(
            character_guid, item_batch(item), named=self.repository.names_items
        )
        with self._lock:
            self._register(change)

    def register_deleted(self, character_guid: int, slot: int) -> None:
        """Register that an absolute slot is empty now.

        Also for an item registered as new: the slot is deleted, which does no harm where
        nothing is stored.
        """
        change = checked_changes(character_guid, NO_ITEMS, (slot,))
        with self._lock:
            self._register(change)

    def register_changes(self, character_guid: int, before: Batch, after: Batch) -> int:
        """Register what turned ``before`` into ``after``; gives the number of slots.

        Both are whole inventories in any order. ``before`` is what was registered or loaded
        last. It may also be what is committed: where the unit knows of something newer, that
        counts, so a change that is taken back before its answer is taken back for good.
        """
        with self._lock:
            known = self._known(character_guid)
            if known is not None:
                before = known.applied_to(before)
            change = changes_between(
                character_guid, before, after, named=self.repository.names_items
            )
            if not change.is_empty:
                self._register(change)
            return len(change.saves) + len(change.deletes)

    def register_money(self, character_guid: int, currency_id: int, amount: int) -> None:
        """Register that ``amount`` (i64; less than 0: take) of a currency is added to a
        character's balance. Registered twice, it is added twice."""
        change = checked_changes(character_guid, NO_ITEMS, money={currency_id: amount})
        if not change.is_empty:
            with self._lock:
                self._register(change)

    # What there is

    @property
    def has_changes(self) -> bool:
        """Whether anything is registered that is not known to be committed."""
        return bool(self._dirty or self._sent)

    @property
    def change_count(self) -> int:
        """Slots, over all characters, that are registered and not known to be committed."""
        with self._lock:
            return _slot_count([*self._sent, self._dirty])

    @property
    def pending_count(self) -> int:
        """Those of them that a commit carries which is not answered yet."""
        with self._lock:
            return _slot_count(self._sent)

    # Ending

    def commit(self, reason: int = 0, *, conserve: bool = False) -> OperationHandle:
        """Send what is registered, and not underway, as one operation.

        Never waits for the answer: the handle does. With nothing to send the handle is done.
        ``reason`` (u8) is the game's own number for why. With ``conserve`` the realm refuses it
        (`NotConservedError`) unless over all its characters the stacks of each entry and the money
        of each currency stay the same. If it raises (`LinkBusyError`, ...),
        nothing was sent and everything is dirty as before.
        """
        # Held while the operation is handed on, so that two threads' commits leave in the
        # order in which they took what they carry.
        with self._lock:
            layer, self._dirty = self._dirty, {}
            if not layer:
                return self.repository.commit_changes((), reason)
            self._sent.append(layer)
            try:
                handle = self.repository.commit_changes(
                    list(layer.values()), reason, conserve=conserve
                )
            except BaseException:
                self._take_back(layer)
                raise

        def answered(handle: OperationHandle) -> None:
            with self._lock:
                if handle.exception is None:
                    self._forget(layer)
                else:
                    self._take_back(layer)

        handle.add_done_callback(answered)
        return handle

    def rollback(self) -> None:
        """Forget what is registered and not underway, failed commits included.

        What is underway is not called back; should it fail, it is dirty again.
        """
        with self._lock:
            self._dirty = {}

    def _register(self, change: CharacterChanges) -> None:
        older = self._dirty.get(change.character_guid)
        self._dirty[change.character_guid] = older.then(change) if older else change

    def _known(self, character_guid: int) -> CharacterChanges | None:
        """All that the unit knows of a character, the newest on top."""
        if not self._dirty and not self._sent:
            return None
        layers = [layer[character_guid] for layer in self._sent if character_guid in layer]
        if character_guid in self._dirty:
            layers.append(self._dirty[character_guid])
        return reduce(CharacterChanges.then, layers) if layers else None

    def _forget(self, layer: Layer) -> list[Layer]:
        """Drop a layer; gives the newer ones that are underway."""
        place = next(index for index, sent in enumerate(self._sent) if sent is layer)
        del self._sent[place]
        return self._sent[place:]

    def _take_back(self, layer: Layer) -> None:
        newer = self._forget(layer)
        for guid, change in layer.items():
            # A slot that a newer commit speaks of is that one's: it will be committed, or
            # come back here itself. Sent again from here it would overwrite the newer state.
            covered: set[int] = set()
            for other in newer:
                if guid in other:
                    covered |= other[guid].slots()
            rest = change.without(covered) if covered else change
            if rest.is_empty:
                continue
            registered_since = self._dirty.get(guid)
            self._dirty[guid] = rest.then(registered_since) if registered_since else rest


def _slot_count(layers: list[Layer]) -> int:
    slots: dict[int, set[int]] = {}
    for layer in layers:
        for guid, change in layer.items():
            slots.setdefault(guid, set()).update(change.slots())
    return sum(map(len, slots.values()))
