"""All templates of a game, by entry, and the files that they come from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmoinv.errors import InventoryError
from mmoinv.inventory.templates import ItemTemplate


class ItemCatalog(Mapping[int, ItemTemplate]):
    """Templates by entry: a mapping that does not change.

    Raises `InventoryError` if an entry occurs twice.
    """

    __slots__ = ("_templates",)

    def __init__(self, templates: Iterable[ItemTemplate] = ()) -> None:
        self._templates: dict[int, ItemTemplate] = {}
        for template in templates:
            if template.entry in self._templates:
                raise InventoryError(f"item {template.entry} is twice in the catalog")
            self._templates[template.entry] = template

    def __getitem__(self, entry: int) -> ItemTemplate:
        return self._templates[entry]

    def get(self, entry: int, default: Any = None) -> Any:
        """The template of an entry, ``default`` if it is unknown."""
        return self._templates.get(entry, default)

    def __iter__(self) -> Iterator[int]:
        return iter(self._templates)

    def __len__(self) -> int:
        return len(self._templates)
