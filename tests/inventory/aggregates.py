"""A small game for whole inventories: few templates, small stacks and bags, so that they collide;
and a repository whose answers come when they are told to."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmoinv.errors import LinkBusyError, MmoinvError, VersionConflictError
from mmoinv.inventory import (
    Bonding,
    CommandLog,
    EquipmentEffects,
    Inventory,
    InventoryType,
    ItemCatalog,
    ItemFlags,
    ItemTemplate,
    PlayerState,
)
from mmoinv.records import Batch, InventoryItemData, empty_batch
from mmoinv.repository import CharacterChanges, InMemoryInventoryRepository, OperationHandle

OWN = 0xFF00
MAIN_HAND, OFF_HAND, HEAD, FINGER_1, FINGER_2 = (OWN + slot for slot in (15, 16, 0, 10, 11))
BAG_1, BAG_2 = OWN + 19, OWN + 20
INSIDE_1, INSIDE_2 = 19 << 8, 20 << 8
PACK = OWN + 23
BANK = OWN + 39
BUYBACK = OWN + 74

POTION, CLOTH, SWORD, SHIELD, GREATSWORD, POUCH, BAG, QUIVER, ARROW = range(1, 10)
RING, HELM, TROPHY, DAGGER, IDOL, UNKNOWN = range(10, 16)

CATALOG = ItemCatalog(
    (
        ItemTemplate(POTION, "Potion", max_stack=5, consumable=True),
        ItemTemplate(CLOTH, "Cloth", max_stack=3),
        ItemTemplate(SWORD, "Sword", InventoryType.WEAPON, max_durability=20),
        ItemTemplate(SHIELD, "Shield", InventoryType.SHIELD),
        ItemTemplate(GREATSWORD, "Greatsword", InventoryType.TWO_HANDED_WEAPON),
        ItemTemplate(POUCH, "Pouch", InventoryType.BAG, container_slots=2),
        ItemTemplate(BAG, "Bag", InventoryType.BAG, container_slots=3),
        ItemTemplate(QUIVER, "Quiver", InventoryType.QUIVER, container_slots=2),
        ItemTemplate(ARROW, "Arrow", InventoryType.AMMO, max_stack=4),
        ItemTemplate(RING, "Ring", InventoryType.FINGER, flags=ItemFlags.UNIQUE_EQUIPPED),
        ItemTemplate(
            HELM, "Helm", InventoryType.HEAD, required_level=5, bonding=Bonding.WHEN_EQUIPPED
        ),
        ItemTemplate(TROPHY, "Trophy", max_count=2),
        ItemTemplate(DAGGER, "Dagger", InventoryType.OFF_HAND_WEAPON),
        ItemTemplate(IDOL, "Idol", bonding=Bonding.WHEN_USED),
    )
)
"""Every entry but UNKNOWN."""


class Guids:
    """Guids that were never used, for all inventories of a test."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, count: int) -> list[int]:
        return list(itertools.islice(self._numbers, count))


@dataclass
class Game:
    """Makes inventories that share guids."""

    guids: Guids = field(default_factory=Guids)

    def inventory(
        self,
        character: int = 7,
        *,
        owner: PlayerState | None = None,
        effects: EquipmentEffects | None = None,
        command_log: CommandLog | None = None,
    ) -> Inventory:
        """An empty one."""
        return self.loaded(
            character, empty_batch(), owner=owner, effects=effects, command_log=command_log
        )

    def loaded(
        self,
        character: int,
        items: Batch,
        *,
        owner: PlayerState | None = None,
        effects: EquipmentEffects | None = None,
        command_log: CommandLog | None = None,
    ) -> Inventory:
        """One from records."""
        return Inventory.from_items(
            character,
            items,
            CATALOG,
            owner or PlayerState(level=10),
            self.guids,
            effects=effects,
            command_log=command_log,
        )


def held(inventory: Inventory) -> dict[int, tuple[int, int]]:
    """Entry and stack_count by slot."""
    return {item.slot: (item.entry, item.stack_count) for item in inventory}


def item(inventory: Inventory, slot: int) -> InventoryItemData:
    """What is in a slot that is not empty."""
    found = inventory.get(slot)
    assert found is not None
    return found


class HeldBackRepository(InMemoryInventoryRepository):
    """Takes operations and ends them, in order, when it is told to, as a realm's connector does:
    what waits behind a refused one is refused with it."""

    def __init__(self) -> None:
        super().__init__(names_items=True)
        self.is_full = False
        self.waiting: list[tuple[OperationHandle, list[CharacterChanges]]] = []

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool = False
    ) -> OperationHandle:
        if self.is_full:
            raise LinkBusyError("full: nothing was taken")
        handle = OperationHandle(len(self.waiting) + 1, [c.character_guid for c in changes])
        self.waiting.append((handle, list(changes)))
        return handle

    def answer(self, index: int = 0) -> None:
        """Commit the operation of that index, or refuse it if the rules say so."""
        handle, changes = self.waiting.pop(index)
        result = super()._submit(changes, 0, False)
        if result.exception is None:
            handle.succeed(result.result)
        else:
            self._refuse_with_those_behind(handle, result.exception)

    def answer_all(self) -> None:
        """Whatever waits, oldest first."""
        while self.waiting:
            self.answer()

    def refuse(self, index: int = 0, meanwhile: Callable[[], object] | None = None) -> None:
        """Refuse an operation for good. ``meanwhile`` is what another thread does once it is
        decided, and before anybody was told."""
        handle, _ = self.waiting.pop(index)
        self._refuse_with_those_behind(handle, VersionConflictError("no"), meanwhile)

    def _refuse_with_those_behind(
        self,
        handle: OperationHandle,
        error: MmoinvError,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        refused = [handle]
        guids = set(handle.character_guids)
        kept = []
        for other, changes in self.waiting:
            if guids & set(other.character_guids):
                guids |= set(other.character_guids)
                refused.append(other)
            else:
                kept.append((other, changes))
        self.waiting = kept
        if meanwhile is not None:
            meanwhile()
        for one in refused:
            one.fail(error)
