"""Save, and go back: one command undone, or everything since the last save.

Output:

    Dirty: False
    5 potions drunk, and a sword found. To save: 2 records, to delete: 0
    The sword undone. To save: 1 records, to delete: 0
    Rolled back. To save: 0 records, to delete: 0
    character 7:
      backpack 1: 20 Draught of Mending
    A trade is rolled back on both sides: 20 and 0 potions
"""

from mmoinv import InMemoryInventoryRepository
from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventorySlot,
    PlayerState,
    sample_catalog,
)

POTION, SWORD = 2001, 10001
PACK = InventorySlot.from_relative(255, 23)


def difference(inventory: Inventory) -> str:
    saves, deletes = inventory.changes()
    return f"To save: {len(saves)} records, to delete: {len(deletes)}"


def main() -> None:
    repository = InMemoryInventoryRepository(names_items=True)
    guids = GuidCounter()
    mira = Inventory(7, sample_catalog(), PlayerState(level=10), guids)
    orin = Inventory(8, sample_catalog(), PlayerState(level=10), guids)

    mira.add_items(POTION, 20)
    mira.save(repository)
    print("Dirty:", mira.is_dirty)

    for _ in range(5):
        mira.use(PACK)
    find = mira.commands.add(mira.catalog[SWORD])
    find.execute()
    print("5 potions drunk, and a sword found.", difference(mira))
    find.undo()
    print("The sword undone.", difference(mira))
    mira.rollback()
    print("Rolled back.", difference(mira))
    print(mira)

    # Half a trade would be a dupe, so both go back.
    mira.transfer([PACK], orin)
    mira.rollback()
    print(
        "A trade is rolled back on both sides:",
        f"{mira.count(POTION)} and {orin.count(POTION)} potions",
    )


if __name__ == "__main__":
    main()
