"""Items that come into being: new ones from a template, and parts of a stack.

They have no place yet: `Draft.place` gives them their slot and container.
"""

from itertools import count, islice

from mmoinv.errors import InventoryError
from mmoinv.inventory.amounts import checked_amount
from mmoinv.inventory.templates import BOUND, Bonding, ItemTemplate
from mmoinv.records import U64_MAX, InventoryItemData


class GuidCounter:
    """Gives item guids one after the other: for tests, tools and games without a realm. With one,
    `RealmConnector.new_item_guids` gives guids that nobody else ever gets."""

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def __call__(self, amount: int) -> list[int]:
        """So many guids that this counter has never given."""
        return list(islice(self._numbers, amount))


def checked_creator(creator: int) -> int:
    """The guid of who crafted something, 0 for nobody: `InventoryError` if it is not a u64."""
    if not 0 <= creator <= U64_MAX:
        raise InventoryError(f"creator {creator} is outside 0..{U64_MAX}; nothing was changed")
    return creator


def new_item(template: ItemTemplate, amount: int, guid: int, creator: int = 0) -> InventoryItemData:
    """``amount`` new items, at most one stack, in slot 0; bound if picking them up binds them.

    ``guid`` must be one that was never used; ``creator`` is the guid of who crafted them.
    """
    flags = int(template.flags)
    if template.bonding is Bonding.WHEN_PICKED_UP:
        flags |= BOUND
    return InventoryItemData(
        template.entry,
        0,
        min(checked_amount(amount), template.max_stack),
        creator=creator,
        durability=template.max_durability,
        item_flags=flags,
        item_guid=guid,
    )


def part_of(stack: InventoryItemData, amount: int, guid: int) -> InventoryItemData:
    """``amount`` items of a stack as a stack of their own: binding, creator, durability and
    properties are those of the stack."""
    return stack._replace(stack_count=checked_amount(amount), item_guid=guid)


def bind(item: InventoryItemData, template: ItemTemplate, act: Bonding) -> InventoryItemData:
    """The item after an act that may bind it to its owner."""
    if template.bonding is act and not item.item_flags & BOUND:
        return item._replace(item_flags=item.item_flags | BOUND)
    return item
