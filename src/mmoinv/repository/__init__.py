"""Repositories, unit of work and the operation handle: what gameplay code writes to.

Opens no socket and no database. `mmoinv.world` has the repository that reaches a realm.
"""

from mmoinv.repository.changes import CharacterChanges, changes_between, checked_changes
from mmoinv.repository.interface import InventoryRepository
from mmoinv.repository.memory import InMemoryInventoryRepository
from mmoinv.repository.operation import OperationHandle, OperationOutcome
from mmoinv.repository.transaction import InventoryTransaction
from mmoinv.repository.transactional import TransactionalRepository
from mmoinv.repository.unit_of_work import InventoryUnitOfWork

__all__ = [
    "CharacterChanges",
    "InMemoryInventoryRepository",
    "InventoryRepository",
    "InventoryTransaction",
    "InventoryUnitOfWork",
    "OperationHandle",
    "OperationOutcome",
    "TransactionalRepository",
    "changes_between",
    "checked_changes",
]
