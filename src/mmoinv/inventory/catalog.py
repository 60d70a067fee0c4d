"""All templates of a game, by entry. `catalog_files` reads them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Self, TypeVar, overload

from mmoinv.errors import InventoryError
from mmoinv.inventory.catalog_files import read_templates
from mmoinv.inventory.templates import ItemTemplate

Default = TypeVar("Default")


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

    @classmethod
    def load(cls, path: str | Path, *, also: Collection[str] = ()) -> Self:
        """From a ``.toml`` (``[[item]]`` tables), ``.json`` (a list of objects) or ``.csv`` file.

        The columns are the fields of `ItemTemplate`; enums by name or number. ``also`` names
        columns of the game's own, kept in ``template.extra`` as they are in the file.
        `CatalogError` names the file, the line and what is wrong.
        """
        return cls(read_templates(path, also))

    def __getitem__(self, entry: int) -> ItemTemplate:
        return self._templates[entry]

    @overload
    def get(self, entry: int) -> ItemTemplate | None: ...

    @overload
    def get(self, entry: int, default: ItemTemplate | Default) -> ItemTemplate | Default: ...

    def get(self, entry: int, default: Default | None = None) -> ItemTemplate | Default | None:
        """The template of an entry, ``default`` if it is unknown."""
        return self._templates.get(entry, default)

    def __iter__(self) -> Iterator[int]:
        return iter(self._templates)

    def __len__(self) -> int:
        return len(self._templates)


@cache
def sample_catalog() -> ItemCatalog:
    """A few hundred invented items to try things out with, as the load test and the examples do.

    Entries: 1000 bags and quivers, 2000 potions and food (2001 stacks to 20), 3000 goods for
    crafting, 4000 ammunition and thrown weapons, 5000 quest items, 6000 odds and ends, 10000
    weapons (10001 a one-handed sword, 10051 a two-handed one) and off-hand items, 20000 armor,
    30000 sets of five pieces, 40000 jewelry, tabards and shirts.
    """
    with resources.as_file(resources.files("mmoinv.inventory") / "sample_catalog.csv") as path:
        return ItemCatalog.load(path)
