"""What the rules ask of the player who owns an inventory."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from mmoinv.inventory.templates import ItemTemplate
from mmoinv.records import InventoryItemData


class InventoryOwner(Protocol):
    """The player. Asked at each command, so what it says may change at any time."""

    @property
    def is_alive(self) -> bool: ...

    @property
    def is_stunned(self) -> bool: ...

    @property
    def is_in_combat(self) -> bool: ...

    @property
    def level(self) -> int: ...

    @property
    def can_dual_wield(self) -> bool: ...

    @property
    def proficiencies(self) -> Collection[int]:
        """The game's own numbers; those of templates are looked up in it."""
        ...


@dataclass
class PlayerState:
    """An `InventoryOwner` for tests, tools, and games that keep such a thing."""

    level: int = 1
    is_alive: bool = True
    is_stunned: bool = False
    is_in_combat: bool = False
    can_dual_wield: bool = False
    proficiencies: Collection[int] = frozenset()


class EquipmentEffects(Protocol):
    """What wearing an item does to the player.

    Of one change, everything comes off before anything comes on: first the bonus of a set that
    loses a piece, then its items; then new items, then the set that gains one.
    """

    def equipped(self, item: InventoryItemData, template: ItemTemplate) -> None:
        """It is worn from now on, in ``item.slot``."""

    def unequipped(self, item: InventoryItemData, template: ItemTemplate) -> None:
        """It was worn in ``item.slot`` until now."""

    def item_set_changed(self, item_set: int, pieces: int) -> None:
        """So many pieces of the set are worn from now on."""
