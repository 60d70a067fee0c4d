"""A catalog as a typed program uses it; mypy reads this file, nothing runs it."""

from typing import Literal, assert_type

from mmoinv.inventory import ItemCatalog, ItemTemplate

TORCH = ItemTemplate(1, "Torch")
catalog = ItemCatalog([TORCH])

assert_type(catalog[1], ItemTemplate)
assert_type(catalog.get(1), ItemTemplate | None)
assert_type(catalog.get(2, None), ItemTemplate | None)
assert_type(catalog.get(2, TORCH), ItemTemplate)
assert_type(catalog.get(2, default=TORCH), ItemTemplate)


def name_of(entry: int, unknown: Literal["unknown"]) -> str:
    """A default of another type is told apart."""
    found = catalog.get(entry, unknown)
    assert_type(found, ItemTemplate | Literal["unknown"])
    return found.name if isinstance(found, ItemTemplate) else found


print(catalog.get(1).name)  # type: ignore[union-attr]
catalog.get("Torch")  # type: ignore[call-overload]
