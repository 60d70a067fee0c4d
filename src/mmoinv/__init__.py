"""mmoinv carries every item change of an online game from its world servers to its database.

Batched, asynchronous, atomic, exactly once. The names below are loaded when they are first
used: importing mmoinv starts nothing and needs no optional dependency.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mmoinv.inventory import (
        Inventory,
        InventoryChangeFailure,
        InventoryResult,
        InventorySlot,
        ItemCatalog,
        ItemTemplate,
        PlayerState,
    )
    from mmoinv.realm import RealmServer
    from mmoinv.records import INVENTORY_ITEM, ITEM_DATA, InventoryItemData, batch_of, empty_batch
    from mmoinv.repository import (
        InMemoryInventoryRepository,
        InventoryRepository,
        InventoryTransaction,
        InventoryUnitOfWork,
        OperationHandle,
    )
    from mmoinv.world import (
        Autosave,
        AutosaveSettings,
        RealmConnector,
        WorldServerInventoryRepository,
    )

_HOMES = {
    "Inventory": "mmoinv.inventory",
    "InventoryChangeFailure": "mmoinv.inventory",
    "InventoryResult": "mmoinv.inventory",
    "InventorySlot": "mmoinv.inventory",
    "ItemCatalog": "mmoinv.inventory",
    "ItemTemplate": "mmoinv.inventory",
    "PlayerState": "mmoinv.inventory",
    "INVENTORY_ITEM": "mmoinv.records",
    "ITEM_DATA": "mmoinv.records",
    "InventoryItemData": "mmoinv.records",
    "batch_of": "mmoinv.records",
    "empty_batch": "mmoinv.records",
    "InMemoryInventoryRepository": "mmoinv.repository",
    "InventoryRepository": "mmoinv.repository",
    "InventoryTransaction": "mmoinv.repository",
    "InventoryUnitOfWork": "mmoinv.repository",
    "OperationHandle": "mmoinv.repository",
    "Autosave": "mmoinv.world",
    "AutosaveSettings": "mmoinv.world",
    "RealmConnector": "mmoinv.world",
    "WorldServerInventoryRepository": "mmoinv.world",
    "RealmServer": "mmoinv.realm",
}

__all__ = [
    "INVENTORY_ITEM",
    "ITEM_DATA",
    "Autosave",
    "AutosaveSettings",
    "InMemoryInventoryRepository",
    "Inventory",
    "InventoryChangeFailure",
    "InventoryItemData",
    "InventoryRepository",
    "InventoryResult",
    "InventorySlot",
    "InventoryTransaction",
    "InventoryUnitOfWork",
    "ItemCatalog",
    "ItemTemplate",
    "OperationHandle",
    "PlayerState",
    "RealmConnector",
    "RealmServer",
    "WorldServerInventoryRepository",
    "__version__",
    "batch_of",
    "empty_batch",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
