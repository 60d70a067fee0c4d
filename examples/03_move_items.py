"""Move items as a client's drag and drop does, put them in order, and listen to what happens.

Output:

    updated: 5 Draught of Mending, backpack 1 to backpack 9
    updated: 5 Draught of Mending, backpack 9 to bank 1
    A potion on the head: ITEM_CANT_BE_EQUIPPED. That item cannot be equipped.
    Out of an empty slot: SLOT_IS_EMPTY. There is nothing in that slot.
    In order:
    character 7:
      backpack 1: 1 Rusted Shortsword
      backpack 2: 2 Oatcake
      bank 1: 5 Draught of Mending
"""

from mmoinv.inventory import (
    EquipmentSlot,
    GuidCounter,
    Inventory,
    InventorySlot,
    ItemEvent,
    PlayerState,
    sample_catalog,
)

POTION, CAKE, SWORD = 2001, 2005, 10001
HEAD = InventorySlot.from_relative(255, EquipmentSlot.HEAD)
PACK = InventorySlot.from_relative(255, 23)
BANK = InventorySlot.from_relative(255, 39)


def told(inventory: Inventory, events: tuple[ItemEvent, ...]) -> None:
    """Called after each change."""
    for kind, before, after in events:
        if before is not None and after is not None:
            name = inventory.catalog[after.entry].name
            where = f"{InventorySlot(before.slot)} to {InventorySlot(after.slot)}"
            print(f"{kind.value}: {after.stack_count} {name}, {where}")


def main() -> None:
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())
    inventory.add_items(POTION, 5)

    end = inventory.subscribe(told)
    inventory.move(PACK, PACK + 8)
    inventory.move(PACK + 8, BANK)
    end()

    for what, result in (
        ("A potion on the head", inventory.move(BANK, HEAD)),
        ("Out of an empty slot", inventory.move(PACK, BANK)),
    ):
        print(f"{what}: {result.error.name}. {result.error.sentence}")

    inventory.add_items(CAKE, 2)
    inventory.add_items(SWORD)
    inventory.sort()
    print("In order:")
    print(inventory)


if __name__ == "__main__":
    main()
