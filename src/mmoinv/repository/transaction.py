"""A transaction as a context manager that rolls back unless it was committed.

Knows only the repository's interface.
"""

from types import TracebackType
from typing import Self

from mmoinv.errors import TransactionError
from mmoinv.repository.interface import InventoryRepository
from mmoinv.repository.operation import OperationHandle


class InventoryTransaction:
    """``with InventoryTransaction(repository) as transaction: ...; transaction.commit()``.

    Begins on entry. On exit, by the end of the block, a ``return`` or an exception, it is
    rolled back unless `commit` was called; exceptions go on. It may be entered again.
    """

    def __init__(self, repository: InventoryRepository) -> None:
        self.repository = repository
        """Save and delete through it."""
        self._open = False

    def __enter__(self) -> Self:
        if self._open:
            raise TransactionError(
                "this transaction is open already and cannot be nested; it goes on as it was."
            )
        self.repository.begin_transaction()
        self._open = True
        return self

    def commit(self) -> OperationHandle:
        """Commit what was gathered, as one operation, and give its handle.

        Raises `TransactionError` outside the block or after an earlier commit. If it raises
        anything else, nothing was taken, and the end of the block rolls back.
        """
        if not self._open:
            raise TransactionError(
                "this transaction is not open: it has not begun, or has ended; nothing was "
                "done. Commit once, within its block."
            )
        handle = self.repository.commit()
        self._open = False
        return handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open:
            self._open = False
            self.repository.rollback()
