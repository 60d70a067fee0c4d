"""Bags: equip them, fill them, replace one by another; what is inside goes with its bag.

Output:

    16 slots free, 26 with the satchel on
    character 7:
      bag 1, slot 1: 5 Draught of Mending
      bag 1, slot 10: 1 Rusted Shortsword
      equipped bag 1: 1 Reedwoven Satchel
    Take it off: CAN_ONLY_DO_WITH_EMPTY_BAGS. The bag must be empty.
    Put it into itself: ITEM_DOESNT_GO_INTO_BAG. That item does not go into that bag.
    A sack of 6 instead, and what was inside moves up:
    character 7:
      bag 1, slot 1: 5 Draught of Mending
      bag 1, slot 2: 1 Rusted Shortsword
      equipped bag 1: 1 Gnawed Sack
      backpack 1: 1 Reedwoven Satchel
    All of it one place further:
    character 7:
      bag 2, slot 1: 5 Draught of Mending
      bag 2, slot 2: 1 Rusted Shortsword
      equipped bag 2: 1 Gnawed Sack
      backpack 1: 1 Reedwoven Satchel
"""

from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventorySlot,
    PlayerState,
    sample_catalog,
)

SACK, SATCHEL, POTION, SWORD = 1001, 1003, 2001, 10001
PACK = InventorySlot.from_relative(255, 23)
BAG = InventorySlot.from_relative(255, 19)
INSIDE = InventorySlot.from_relative(19, 0)


def main() -> None:
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())
    free = inventory.free_slots
    inventory.add_items(SATCHEL)
    inventory.equip(PACK)
    print(f"{free} slots free, {inventory.free_slots} with the satchel on")

    inventory.add_items(POTION, 5)
    inventory.move(PACK, INSIDE)
    inventory.add_items(SWORD)
    inventory.move(PACK, INSIDE + 9)
    print(inventory)

    for what, result in (
        ("Take it off", inventory.unequip(BAG)),
        ("Put it into itself", inventory.move(BAG, INSIDE + 1)),
    ):
        print(f"{what}: {result.error.name}. {result.error.sentence}")

    inventory.add_items(SACK)
    inventory.swap(PACK, BAG)
    print("A sack of 6 instead, and what was inside moves up:")
    print(inventory)

    inventory.swap(BAG, BAG + 1)
    print("All of it one place further:")
    print(inventory)


if __name__ == "__main__":
    main()
