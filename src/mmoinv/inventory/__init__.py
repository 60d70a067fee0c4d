"""The game's rules: slots, stacks, templates, commands, and the inventory that keeps to them.

Commands plan in a `Draft` and are applied whole or not at all; what differs from what is
committed is one diff. Only `saving`, `trading` and the aggregate know that there are repositories.
"""

from mmoinv.inventory.aggregate import Inventory
from mmoinv.inventory.amounts import ItemCount, ItemStack, SlotAvailability
from mmoinv.inventory.catalog import ItemCatalog, sample_catalog
from mmoinv.inventory.command_log import CommandLog, CommandRecord
from mmoinv.inventory.commands import InventoryCommand, InventoryCommands
from mmoinv.inventory.creation import GuidCounter
from mmoinv.inventory.draft import SlotChange
from mmoinv.inventory.events import ItemEvent, ItemEventKind
from mmoinv.inventory.loading import Finding, Oddity
from mmoinv.inventory.owner import EquipmentEffects, InventoryOwner, PlayerState
from mmoinv.inventory.result import InventoryChangeFailure, InventoryResult
from mmoinv.inventory.saving import save_together
from mmoinv.inventory.slots import (
    BACKPACK,
    BAG_PACK,
    BANK,
    BANK_BAGS,
    BUYBACK,
    EQUIPMENT,
    MAIN_HAND,
    MAX_BAG_SLOTS,
    OFF_HAND,
    RANGED,
    EquipmentSlot,
    InventorySlot,
    bag_holding,
    inside_of,
    is_inside_bag,
)
from mmoinv.inventory.storing import NotStored, StoreOutlook
from mmoinv.inventory.templates import Bonding, InventoryType, ItemFlags, ItemTemplate

__all__ = [
    "BACKPACK",
    "BAG_PACK",
    "BANK",
    "BANK_BAGS",
    "BUYBACK",
    "EQUIPMENT",
    "MAIN_HAND",
    "MAX_BAG_SLOTS",
    "OFF_HAND",
    "RANGED",
    "Bonding",
    "CommandLog",
    "CommandRecord",
    "EquipmentEffects",
    "EquipmentSlot",
    "Finding",
    "GuidCounter",
    "Inventory",
    "InventoryChangeFailure",
    "InventoryCommand",
    "InventoryCommands",
    "InventoryOwner",
    "InventoryResult",
    "InventorySlot",
    "InventoryType",
    "ItemCatalog",
    "ItemCount",
    "ItemEvent",
    "ItemEventKind",
    "ItemFlags",
    "ItemStack",
    "ItemTemplate",
    "NotStored",
    "Oddity",
    "PlayerState",
    "SlotAvailability",
    "SlotChange",
    "StoreOutlook",
    "bag_holding",
    "inside_of",
    "is_inside_bag",
    "sample_catalog",
    "save_together",
]
