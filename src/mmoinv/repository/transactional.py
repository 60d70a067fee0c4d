"""Gathers what a transaction writes and commits it as one operation.

The part that every repository shares: a new one brings `load_items`, `names_items` and
`_submit`. Knows neither where the items are nor how an operation travels.
"""

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from mmoinv.errors import RecordError, TransactionError
from mmoinv.records import U8_MAX, Batch, InventoryItemData
from mmoinv.repository.changes import (
    NO_ITEMS,
    CharacterChanges,
    Slots,
    checked_changes,
    checked_operation,
    item_batch,
)
from mmoinv.repository.interface import InventoryRepository
from mmoinv.repository.operation import OperationHandle, OperationOutcome

Gathered = dict[int, CharacterChanges]


class TransactionalRepository(InventoryRepository):
    """An `InventoryRepository` that hands each commit on as change sets."""

    def __init__(self) -> None:
        # By task or thread. Weak, so that one that ends with its transaction open leaves
        # nothing behind: what it gathered is rolled back.
        self._transactions: WeakKeyDictionary[object, Gathered] = WeakKeyDictionary()

    @abstractmethod
    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        """Take one checked operation that is not empty. If it raises, nothing was taken."""

    def save_item(
        self, character_guid: int, item: InventoryItemData | Batch
    ) -> OperationHandle | None:
        return self.save_changes(character_guid, item_batch(item))

    def save_all_items(self, character_guid: int, items: Batch) -> OperationHandle | None:
        return self._take(
            checked_changes(character_guid, items, replace=True, named=self.names_items)
        )

    def delete_item(self, character_guid: int, slot: int) -> OperationHandle | None:
        return self.save_changes(character_guid, NO_ITEMS, (slot,))

    def delete_all_items(self, character_guid: int) -> OperationHandle | None:
        return self.save_all_items(character_guid, NO_ITEMS)

    def save_changes(
        self, character_guid: int, saves: Batch, deletes: Slots | Sequence[int] = ()
    ) -> OperationHandle | None:
        return self._take(checked_changes(character_guid, saves, deletes, named=self.names_items))

    def add_money(
        self, character_guid: int, currency_id: int, amount: int
    ) -> OperationHandle | None:
        return self._take(checked_changes(character_guid, NO_ITEMS, money={currency_id: amount}))

    def begin_transaction(self) -> None:
        if self.in_transaction:
            raise TransactionError(
                "a transaction is open already and cannot be nested; it goes on as it was. "
                "Commit it or roll it back first."
            )
        self._transactions[_caller()] = {}

    def commit(self) -> OperationHandle:
        caller = _caller()
        handle = self.commit_checked(list(self._gathered("commit").values()), 0, False)
        # Only now: a commit that raised leaves the transaction as it was.
        del self._transactions[caller]
        return handle

    def rollback(self) -> None:
        self._gathered("roll back")
        del self._transactions[_caller()]

    @property
    def in_transaction(self) -> bool:
        return bool(self._transactions) and _caller() in self._transactions

    def commit_changes(
        self, changes: Sequence[CharacterChanges], reason: int = 0, *, conserve: bool = False
    ) -> OperationHandle:
        wanted = [
            checked_changes(
                guid, saves, deletes, replace=replace, named=self.names_items, money=money
            )
            for guid, saves, deletes, replace, money in changes
        ]
        return self.commit_checked(wanted, reason, conserve)

    def commit_checked(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        """The same for change sets that `checked_changes` has made with the names that this
        repository wants: for repositories over repositories. They are not looked at again."""
        wanted = [change for change in changes if not change.is_empty]
        if not wanted:
            return OperationHandle.ended(OperationOutcome(0, 0, {}))
        checked_operation(wanted)
        if not 0 <= reason <= U8_MAX:
            raise RecordError(f"reason {reason} is outside 0..{U8_MAX}; nothing was taken")
        return self._submit(wanted, reason, conserve)

    def _take(self, change: CharacterChanges) -> OperationHandle | None:
        if not self.in_transaction:
            return self.commit_checked([change], 0, False)
        gathered = self._gathered("save")
        older = gathered.get(change.character_guid)
        gathered[change.character_guid] = older.then(change) if older else change
        return None

    def _gathered(self, verb: str) -> Gathered:
        if not self.in_transaction:
            raise TransactionError(
                f"there is no transaction of this task or thread to {verb}; nothing was done. "
                "Call begin_transaction first."
            )
        return self._transactions[_caller()]


def _caller() -> object:
    """To whom a transaction belongs."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task or threading.current_thread()
