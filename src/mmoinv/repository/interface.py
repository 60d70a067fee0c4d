"""What every inventory repository can do. Says nothing about how.

Knows records, change sets and the operation handle; no link, no database.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mmoinv.records import Batch, InventoryItemData
from mmoinv.repository.changes import CharacterChanges, Slots
from mmoinv.repository.operation import OperationHandle


class InventoryRepository(ABC):
    """The items of characters, by character guid (u64) and absolute slot (u16).

    Outside a transaction each ``save_*`` and ``delete_*`` is a commit of its own and gives
    its handle; within one it is gathered, gives None, and goes with `commit` as one atomic
    operation. Nothing here waits for the answer: the handle does.

    A transaction belongs to the asyncio task that began it, or outside of tasks to the
    thread; others neither see nor disturb it, and may have one of their own.

    Batches that are given are copied. A batch that breaks a rule raises `BatchError` at the
    call that gave it, and nothing of that call is taken.
    """

    @property
    @abstractmethod
    def names_items(self) -> bool:
        """Whether every item that is saved must have an item_guid."""

    @property
    def is_busy(self) -> bool:
        """Whether what can wait had better wait: hardly any more operations would be taken."""
        return False

    @abstractmethod
    def load_items(self, character_guid: int) -> Batch:
        """The committed inventory: a slot-sorted `INVENTORY_ITEM` batch of the caller's own.

        What a transaction gathers, or what is not answered yet, is not in it.
        """

    @abstractmethod
    def save_item(
        self, character_guid: int, item: InventoryItemData | Batch
    ) -> OperationHandle | None:
        """Save one item (a record, or a batch of shape ``(1,)``) in its slot.

        No other slot is touched.
        """

    @abstractmethod
    def save_all_items(self, character_guid: int, items: Batch) -> OperationHandle | None:
        """Replace the whole inventory by ``items``. An empty batch empties it."""

    @abstractmethod
    def delete_item(self, character_guid: int, slot: int) -> OperationHandle | None:
        """Delete what is in an absolute slot; nothing if it is empty."""

    @abstractmethod
    def delete_all_items(self, character_guid: int) -> OperationHandle | None:
        """Delete the whole inventory."""

    @abstractmethod
    def save_changes(
        self, character_guid: int, saves: Batch, deletes: Slots | Sequence[int] = ()
    ) -> OperationHandle | None:
        """Save some records and delete some slots, as `mmoinv.codec.diff` gives them."""

    @abstractmethod
    def load_balances(self, character_guid: int) -> dict[int, int]:
        """The committed balances by currency; what is not there is 0."""

    @abstractmethod
    def add_money(
        self, character_guid: int, currency_id: int, amount: int
    ) -> OperationHandle | None:
        """Add ``amount`` (i64; less than 0: take) to a balance. It is refused with
        `InsufficientFundsError` if that is not there."""

    @abstractmethod
    def begin_transaction(self) -> None:
        """Begin to gather. Raises `TransactionError` within a transaction."""

    @abstractmethod
    def commit(self) -> OperationHandle:
        """End the transaction: everything gathered goes as one operation, all or nothing.

        A transaction that gathered nothing gives a handle that is done. Raises
        `TransactionError` outside a transaction. Any other error means that nothing was
        taken; the transaction is still open.
        """

    @abstractmethod
    def rollback(self) -> None:
        """End the transaction and forget what it gathered; nothing was sent, nothing will be.

        Raises `TransactionError` outside a transaction.
        """

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether the calling task or thread has a transaction open."""

    @abstractmethod
    def commit_changes(
        self, changes: Sequence[CharacterChanges], reason: int = 0, *, conserve: bool = False
    ) -> OperationHandle:
        """Commit change sets of several characters as one operation, beside any transaction.

        ``reason`` (u8) is the game's own number for why, for the history of changes; 252 to 255
        are those of a following side that `mmoinv.migration` writes whole, `mmoinv migrate import`,
        `verify --fix` and `restore`. With ``conserve`` it
        is refused (`NotConservedError`) unless over all its characters the stacks of each entry
        and the money of each currency stay the same: nothing comes into being in a trade.
        No character twice. If it raises, nothing was taken.
        """
