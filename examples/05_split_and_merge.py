"""Split a stack and merge stacks: no item comes into being, and none is lost.

Output:

    12 potions, split 5 off:
    character 7:
      backpack 1: 7 Draught of Mending, bound
      backpack 5: 5 Draught of Mending, bound
    The part has a guid of its own: True
    And who made it, and that it is bound: True
    Merged: 12 in 1 stack
    5 of 12 onto the sword: ITEM_CANT_STACK. Those items do not stack.
    13 of 12: TRIED_TO_SPLIT_MORE_THAN_COUNT. There are not that many on the stack.
    0 of 12: amount 0 is outside 1..4294967295; nothing was changed
"""

from mmoinv.errors import InventoryError
from mmoinv.inventory import (
    GuidCounter,
    Inventory,
    InventorySlot,
    ItemFlags,
    PlayerState,
    sample_catalog,
)

POTION, SWORD = 2001, 10001
PACK = InventorySlot.from_relative(255, 23)


def main() -> None:
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())
    inventory.add_items(POTION, 12, creator=99)
    inventory.change_item(PACK, item_flags=ItemFlags.BOUND)

    inventory.split(PACK, PACK + 4, 5)
    print("12 potions, split 5 off:")
    print(inventory)
    whole, part = inventory
    print("The part has a guid of its own:", whole.item_guid != part.item_guid)
    print(
        "And who made it, and that it is bound:",
        (whole.creator, whole.item_flags) == (part.creator, part.item_flags),
    )

    inventory.merge(PACK + 4, PACK)
    print(f"Merged: {inventory.count(POTION)} in {len(inventory)} stack")

    inventory.add_items(SWORD)
    for amount, target, where in ((5, PACK + 1, " onto the sword"), (13, PACK + 2, "")):
        result = inventory.split(PACK, target, amount)
        print(f"{amount} of 12{where}: {result.error.name}. {result.error.sentence}")

    # A number that is no amount is not refused by the rules: it is an error of the caller.
    try:
        inventory.split(PACK, PACK + 2, 0)
    except InventoryError as error:
        print(f"0 of 12: {error}")


if __name__ == "__main__":
    main()
