"""Add items: onto stacks that are not full, then into empty slots; all of them or none.

Output:

    5 potions, then 18 more:
    character 7:
      backpack 1: 20 Draught of Mending
      backpack 2: 3 Draught of Mending
    400 at once: INVENTORY_FULL. Your inventory is full.
    Would 297 fit? yes
    Would 297 fit, and a sword?
      10001: 1 would not: INVENTORY_FULL
    A second map: CANT_CARRY_MORE_OF_THIS. You cannot carry more of these.
"""

from mmoinv.inventory import GuidCounter, Inventory, PlayerState, sample_catalog

POTION, MAP, SWORD = 2001, 5011, 10001


def main() -> None:
    # With a realm, connector.new_item_guids instead of a counter.
    inventory = Inventory(7, sample_catalog(), PlayerState(level=10), GuidCounter())

    print("5 potions, then 18 more:")
    inventory.add_items(POTION, 5)
    inventory.add_items(POTION, 18)
    print(inventory)

    # What is refused changes nothing.
    result = inventory.add_items(POTION, 400)
    print(f"400 at once: {result.error.name}. {result.error.sentence}")

    # Asked for all of them together, not one by one.
    print("Would 297 fit?", "yes" if inventory.can_store([(POTION, 297)]) else "no")
    print("Would 297 fit, and a sword?")
    for one in inventory.can_store([(POTION, 297), (SWORD, 1)]).not_stored:
        print(f"  {one.entry}: {one.amount} would not: {one.failure.name}")

    inventory.add_items(MAP)
    inventory.add_items(MAP).on_failure(
        lambda failure: print(f"A second map: {failure.name}. {failure.sentence}")
    )


if __name__ == "__main__":
    main()
