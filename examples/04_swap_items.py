"""Swap what two slots hold, ask first whether it may be, take it back, and read the history.

Output:

    character 7:
      backpack 1: 20 Draught of Mending
      backpack 2: 20 Draught of Mending
      backpack 3: 1 Rusted Shortsword
    May the stacks be swapped? yes
    The first stack's guid is now 2, and after the undo 1
    A locked sword: ITEM_LOCKED. That item is locked.
    add    executed
    add    executed
    swap   executed
    swap   undone
    lock   executed
    swap   refused: ITEM_LOCKED
"""

from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventorySlot,
    PlayerState,
    sample_catalog,
)

POTION, SWORD = 2001, 10001
PACK = InventorySlot.from_relative(255, 23)


def main() -> None:
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())
    inventory.add_items(POTION, 40)
    inventory.add_items(SWORD)
    print(inventory)

    # A command can be asked about, executed once, and undone.
    swap = inventory.commands.swap(PACK, PACK + 1)
    print("May the stacks be swapped?", swap.validate().name if swap.validate() else "yes")
    swap.execute()
    swapped = inventory.items["item_guid"][0]
    swap.undo()
    print(
        f"The first stack's guid is now {swapped}, "
        f"and after the undo {inventory.items['item_guid'][0]}"
    )

    inventory.lock(PACK + 2)
    result = inventory.swap(PACK + 2, PACK + 5)
    print(f"A locked sword: {result.error.name}. {result.error.sentence}")

    for record in inventory.log.records:
        state = "undone" if record.is_undo else "executed"
        print(f"{record.name:6} {f'refused: {record.failure.name}' if record.failure else state}")


if __name__ == "__main__":
    main()
