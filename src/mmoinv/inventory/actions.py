"""What a game does to an inventory, a method each: every one is a command, executed.

What the rules refuse gives an `InventoryResult` that failed, and nothing was changed.
"""

from mmoinv.inventory.commands import Changes, InventoryCommands
from mmoinv.inventory.result import InventoryResult
from mmoinv.inventory.templates import ItemTemplate


class InventoryActions:
    """The part of `Inventory` that changes it. ``commands`` makes what can be undone."""

    commands: InventoryCommands

    def add_items(
        self, item: ItemTemplate | int, amount: int = 1, *, creator: int = 0
    ) -> InventoryResult[Changes]:
        """New items of a template, or of an entry of the catalog: all of them or none."""
        return self.commands.add(item, amount, creator).execute()

    def remove(self, slot: int, amount: int | None = None) -> InventoryResult[Changes]:
        """``amount`` of what is in a slot, or all of it."""
        return self.commands.remove(slot, amount).execute()

    def remove_entry(self, entry: int, amount: int = 1) -> InventoryResult[Changes]:
        """So many carried items of an entry; ITEM_NOT_FOUND if there are not so many."""
        return self.commands.remove_entry(entry, amount).execute()

    def move(self, source: int, target: int, amount: int | None = None) -> InventoryResult[Changes]:
        """Drag and drop: split, merge or swap."""
        return self.commands.move(source, target, amount).execute()

    def swap(self, source: int, target: int) -> InventoryResult[Changes]:
        """What two slots hold changes places."""
        return self.commands.swap(source, target).execute()

    def split(self, source: int, target: int, amount: int) -> InventoryResult[Changes]:
        """Part of a stack into another slot."""
        return self.commands.split(source, target, amount).execute()

    def merge(self, source: int, target: int) -> InventoryResult[Changes]:
        """As many as fit from one stack onto the other."""
        return self.commands.merge(source, target).execute()

    def equip(self, source: int, target: int | None = None) -> InventoryResult[Changes]:
        """Wear an item, or a bag."""
        return self.commands.equip(source, target).execute()

    def unequip(self, source: int, target: int | None = None) -> InventoryResult[Changes]:
        """Take off what is worn."""
        return self.commands.unequip(source, target).execute()

    def use(self, slot: int) -> InventoryResult[Changes]:
        """Use an item."""
        return self.commands.use(slot).execute()

    def sell(self, slot: int, amount: int | None = None) -> InventoryResult[Changes]:
        """Carried items to the buyback slots."""
        return self.commands.sell(slot, amount).execute()

    def buy_back(self, slot: int) -> InventoryResult[Changes]:
        """What was sold, by its slot in `buyback`."""
        return self.commands.buy_back(slot).execute()

    def sort(self) -> InventoryResult[Changes]:
        """Merge stacks and put what is carried in order."""
        return self.commands.sort().execute()

    def lock(self, slot: int, *, is_locked: bool = True) -> InventoryResult[Changes]:
        """Lock what is in a slot, as for a trade that is being offered, or unlock it. A locked
        item is saved as it is, and loaded unlocked."""
        return self.commands.lock(slot, is_locked=is_locked).execute()

    def change_item(self, slot: int, **fields: int) -> InventoryResult[Changes]:
        """Set fields of a record that no rule is about: ``durability``, ``random_property_index``,
        ``random_suffix_index``, ``creator``, ``item_flags``."""
        return self.commands.change_item(slot, **fields).execute()
