"""Remove items: by slot, by entry, by using them up; and sell them, with 12 slots to buy back.

Output:

    character 7:
      backpack 1: 7 Draught of Mending
      backpack 2: 1 Rusted Shortsword
    3 potions by their entry, 1 by their slot, 1 drunk: 2 left
    10 of them: ITEM_NOT_FOUND. You do not have enough of that item.
    Sold: 1 Rusted Shortsword, in buyback 1
    Bought back, with the guid it had: True
    character 7:
      backpack 1: 2 Draught of Mending
      backpack 2: 1 Rusted Shortsword
"""

from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventorySlot,
    PlayerState,
    sample_catalog,
)

POTION, SWORD = 2001, 10001
FIRST = InventorySlot.from_relative(255, 23)
SECOND = InventorySlot.from_relative(255, 24)


def main() -> None:
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())
    inventory.add_items(POTION, 7)
    inventory.add_items(SWORD)
    print(inventory)

    inventory.remove_entry(POTION, 3)
    inventory.remove(FIRST, 1)
    inventory.use(FIRST)
    print(
        "3 potions by their entry, 1 by their slot, 1 drunk:",
        f"{inventory.count(POTION)} left",
    )

    result = inventory.remove_entry(POTION, 10)
    print(f"10 of them: {result.error.name}. {result.error.sentence}")

    sword = inventory.get(SECOND)
    inventory.sell(SECOND)
    (sold,) = inventory.buyback
    name = inventory.catalog[sold.entry].name
    print(f"Sold: {sold.stack_count} {name}, in {InventorySlot(sold.slot)}")
    inventory.buy_back(sold.slot)
    print("Bought back, with the guid it had:", inventory.get(SECOND) == sword)
    print(inventory)


if __name__ == "__main__":
    main()
