"""Equip items: what goes where, hands, levels, binding, and what wearing it does.

Output:

    on:  Reeve's Shortsword
    on:  Reeve's Kite Shield
    off: Reeve's Shortsword
    off: Reeve's Kite Shield
    on:  Reeve's Greatsword
    character 7:
      main hand: 1 Reeve's Greatsword
      backpack 1: 1 Reeve's Shortsword
      backpack 2: 1 Reeve's Kite Shield
    The shield again: CANT_EQUIP_WITH_TWO_HANDED. That does not go together with ...
    A shortsword of kings: CANT_EQUIP_LEVEL. Your level is too low for that item.
    on:  Warden's Homespun Hood
      head: 1 Warden's Homespun Hood, bound
    Not to be worn any more: Reeve's Greatsword, CANT_EQUIP_LEVEL
"""

from mmoinv.inventory import (
    EquipmentSlot,
    GuidCounter,
    Inventory,
    InventorySlot,
    ItemTemplate,
    PlayerState,
    sample_catalog,
)
from mmoinv.records import InventoryItemData

SWORD, KINGS_SWORD, GREATSWORD, SHIELD, HOOD = 10002, 10006, 10052, 10122, 20051
SWORDS, SHIELDS, CLOTH = 10, 16, 1
"""What players can learn, by the catalog's numbers."""
PACK = InventorySlot.from_relative(255, 23)
HEAD = InventorySlot.from_relative(255, EquipmentSlot.HEAD)


class Effects:
    """What wearing an item does to the player: here it is only said."""

    def equipped(self, item: InventoryItemData, template: ItemTemplate) -> None:
        print("on: ", template.name)

    def unequipped(self, item: InventoryItemData, template: ItemTemplate) -> None:
        print("off:", template.name)

    def item_set_changed(self, item_set: int, pieces: int) -> None:
        print(f"set {item_set}: {pieces} pieces")


def main() -> None:
    player = PlayerState(level=15, proficiencies={SWORDS, SHIELDS, CLOTH})
    inventory = Inventory(7, sample_catalog(), player, GuidCounter(), effects=Effects())
    for entry in (SWORD, SHIELD):
        inventory.add_items(entry)
        inventory.equip(PACK)

    # It takes both hands: the shield makes way.
    inventory.add_items(GREATSWORD)
    inventory.equip(PACK)
    print(inventory)

    inventory.add_items(KINGS_SWORD)
    for what, slot in (("The shield again", PACK + 1), ("A shortsword of kings", PACK + 2)):
        result = inventory.equip(slot)
        print(f"{what}: {result.error.name}. {result.error.sentence}")

    inventory.add_items(HOOD)
    inventory.equip(PACK + 3)
    print(str(inventory).splitlines()[1])

    player.level = 5
    for item, failure in inventory.unusable_equipment():
        if item.slot != HEAD:
            name = inventory.catalog[item.entry].name
            print(f"Not to be worn any more: {name}, {failure.name}")


if __name__ == "__main__":
    main()
