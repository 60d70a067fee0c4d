"""Reads templates from TOML, JSON and CSV files, with errors that name the line.

Knows how a template is written, not what is done with it.
"""

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from mmoinv.errors import CatalogError, InventoryError
from mmoinv.inventory.templates import Bonding, InventoryType, ItemFlags, ItemTemplate

TABLE = "item"
"""The name of the table of items in a TOML or JSON file."""
COLUMNS = tuple(field.name for field in fields(ItemTemplate) if field.name != "extra")
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Row(NamedTuple):
    """One item of a file: its columns, the line where it begins, and the lines of its columns as
    far as they are known."""

    line: int
    values: dict[str, Any]
    lines: dict[str, int]


def read_templates(path: str | Path, also: Collection[str] = ()) -> Iterator[ItemTemplate]:
    """The templates of a ``.toml``, ``.json`` or ``.csv`` file, in UTF-8.

    ``also`` names columns of the game's own, which go to `ItemTemplate.extra`. `CatalogError`
    names the file, the line and what is wrong.
    """
    file = Path(path)
    read = READERS.get(file.suffix.lower())
    if read is None:
        raise CatalogError(
            f"{file}: a catalog is a file that ends in {', '.join(READERS)}, not in {file.suffix!r}"
        )
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CatalogError(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CatalogError(
            f"{file}, line {line}: this is not UTF-8; save the file as UTF-8"
        ) from None
    yield from _templates(file, read(file, text), frozenset(also))


def _templates(file: Path, rows: Iterable[Row], also: Collection[str]) -> Iterator[ItemTemplate]:
    seen: dict[int, int] = {}
    for row in rows:
        template = _template(file, row, also)
        if template.entry in seen:
            raise CatalogError(
                f"{file}, line {row.lines.get('entry', row.line)}: item {template.entry} is in "
                f"line {seen[template.entry]} already; an entry is there once"
            )
        seen[template.entry] = row.lines.get("entry", row.line)
        yield template


def _template(file: Path, row: Row, also: Collection[str]) -> ItemTemplate:
    values: dict[str, Any] = {}
    extra = {}
    for name, value in row.values.items():
        if name in also:
            extra[name] = value
        elif name not in COLUMNS:
            close = get_close_matches(name, [*COLUMNS, *also], 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COLUMNS)}."
            raise CatalogError(
                f"{file}, line {row.lines.get(name, row.line)}: there is no column {name!r}; "
                f"{remedy} Columns of your own are named with also=({name!r}, ...)"
            )
        else:
            try:
                convert: Callable[[Any], Any] = CONVERSIONS.get(name, _number)
                values[name] = convert(value)
            except ValueError as error:
                raise CatalogError(
                    f"{file}, line {row.lines.get(name, row.line)}: {name} is {value!r}: {error}"
                ) from None
    for name in ("entry", "name"):
        if name not in values:
            raise CatalogError(f"{file}, line {row.line}: the item has no {name}")
    try:
        return ItemTemplate(**values, extra=extra)
    except InventoryError as error:
        wrong = next((name for name in COLUMNS if f" {name} " in str(error)), "")
        line = row.lines.get(wrong, row.line)
        raise CatalogError(f"{file}, line {line}: {error}") from None


# Values


def _number(value: Any) -> int:
    if isinstance(value, str):
        text = value.strip().replace("_", "")
        try:
            return int(text, 16 if text.lower().startswith("0x") else 10)
        except ValueError:
            raise ValueError("a number is wanted") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a number without a fraction is wanted")
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return TRUTHS[str(value).strip().lower()]
    except KeyError:
        raise ValueError("true or false is wanted") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is wanted")
    return value


def _member(kind: type[IntEnum]) -> Callable[[Any], IntEnum]:
    """A member by its name, in any case, or its number."""
    names = {one.name.lower(): one for one in kind}

    def member(value: Any) -> IntEnum:
        if isinstance(value, str):
            name = re.sub(r"[\s-]+", "_", value.strip().lower())
            if name in names:
                return names[name]
            if not re.fullmatch(r"[0-9]+", name):
                close = get_close_matches(name, names, 1)
                raise ValueError(
                    f"did you mean {close[0]}?" if close else f"it is one of {', '.join(names)}"
                )
        number = _number(value)
        if number not in names.values():
            raise ValueError(f"it is one of {', '.join(names)}, or its number")
        return kind(number)

    return member


def _flags(value: Any) -> ItemFlags:
    """A number, a list of names, or names with | between them."""
    names = {str(flag.name).lower(): flag for flag in ItemFlags}
    if isinstance(value, str) and re.fullmatch(r"\s*(0[xX])?[0-9a-fA-F]+\s*", value):
        return ItemFlags(_number(value))
    if isinstance(value, str):
        value = [part for part in value.split("|") if part.strip()]
    if not isinstance(value, list):
        number = _number(value)
        if number < 0:  # ItemFlags would take it for the complement: nearly every flag there is
            raise ValueError("a number of 0 or more is wanted")
        return ItemFlags(number)
    flags = ItemFlags(0)
    for part in value:
        flag = names.get(str(part).strip().lower())
        if flag is None:
            raise ValueError(f"{str(part).strip()!r} is none of {', '.join(names)}")
        flags |= flag
    return flags


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "name": _text,
    "inventory_type": _member(InventoryType),
    "bonding": _member(Bonding),
    "flags": _flags,
    "consumable": _truth,
}
"""By column; the others are numbers."""


# Files


def _rows_of_csv(file: Path, text: str) -> Iterator[Row]:
    """A header, then an item a line. An empty cell of ours is one that is not there."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    named: dict[str, int] = {}
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CatalogError(f"{file}, line {line}: this row is no CSV: {error}") from None
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            if len(set(header)) < len(header) or "" in header:
                raise CatalogError(
                    f"{file}, line {line}: each column of the header has a name of its own"
                )
            # A column that nobody knows is the header's fault, and is one without a cell, too.
            named = {name: line for name in header if name not in COLUMNS}
            continue
        if len(cells) != len(header):
            raise CatalogError(
                f"{file}, line {line}: {len(cells)} cells, the header has {len(header)}"
            )
        both = zip(header, cells, strict=True)
        yield Row(line, {name: cell for name, cell in both if cell or name in named}, named)


def _rows_of_toml(file: Path, text: str) -> Iterator[Row]:
    """``[[item]]`` tables."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise CatalogError(f"{file}, line {line}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{file} cannot be read as TOML: {error}") from None
    items = _only_items(file, tables)
    (_, before), *places = _places_in_toml(text)
    if len(places) != len(items):
        # Written in line: all that is known is where they begin.
        places = [(before.get(TABLE, 1), {})] * len(items)
    for values, (line, named) in zip(items, places, strict=True):
        yield Row(line, _object(file, line, values), named)


TOML_PARTS = re.compile(
    rf"""
      ^[ \t]*\[\[[ \t]*(?P<quote>["']?){TABLE}(?P=quote)[ \t]*\]\] (?P<item>)
    | ^[ \t]*\[[^\n=,]*\][ \t]*(?=\#|\r?$) (?P<table>)
    | ^[ \t]*(?P<around>["']?)(?P<key>[A-Za-z0-9_-]+)(?P=around)[ \t]*[=.]
    | \'\'\'.*?\'{{3,5}} | \"\"\"(?:\\.|[^\\])*?\"{{3,5}}
    | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
    | \#[^\n]*
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
"""What begins a line of TOML, and the strings and comments in which the same means nothing."""


def _places_in_toml(text: str) -> list[tuple[int, dict[str, int]]]:
    """The line of each ``[[item]]`` and of its keys; first of all, what is before the first."""
    named: dict[str, int] = {}
    places = [(1, named)]
    line, at = 1, 0
    for found in TOML_PARTS.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        if found["item"] is not None:
            named = {}
            places.append((line, named))
        elif found["table"] is not None:
            named = {}  # a table inside of the item: its keys are not the item's
        elif found["key"]:
            named.setdefault(found["key"], line)
    return places


class JsonObject(dict[str, Any]):
    """An object of a JSON file that remembers a key that it has twice: json keeps the last."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice: str | None = None
        if len(self) < len(pairs):
            keys = [key for key, _ in pairs]
            self.twice = next(key for key in keys if keys.count(key) > 1)


def _rows_of_json(file: Path, text: str) -> Iterator[Row]:
    """A list of objects, or an object with that list under "item"."""
    try:
        data = json.loads(text, object_pairs_hook=JsonObject)
    except json.JSONDecodeError as error:
        raise CatalogError(
            f"{file}, line {error.lineno}: {error.msg}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{file} cannot be read as JSON: {error}") from None
    items = data if isinstance(data, list) else _only_items(file, data)
    begin = re.match(rf'\s*(?:\{{\s*"{TABLE}"\s*:\s*)?\[', text)
    if begin is None:
        raise CatalogError(f"{file}, line 1: {TABLE!r} is to be written without escapes")
    at = begin.end()
    line = 1 + text.count("\n", 0, at)
    decoder = json.JSONDecoder()
    gap = re.compile(r"[\s,]*")
    for values in items:
        after = gap.match(text, at)
        start = after.end() if after else at
        line += text.count("\n", at, start)
        _, end = decoder.raw_decode(text, start)
        named: dict[str, int] = {}
        for found in re.finditer(r'"([A-Za-z0-9_]+)"\s*:', text[start:end]):
            named.setdefault(found[1], line + text.count("\n", start, start + found.start()))
        yield Row(line, _object(file, line, values), named)
        line += text.count("\n", start, end)
        at = end


def _only_items(file: Path, tables: Any) -> list[Any]:
    """The table of items, which is all that the file has."""
    if not isinstance(tables, dict) or not isinstance(tables.get(TABLE), list) or len(tables) != 1:
        found = ", ".join(map(repr, tables)) if isinstance(tables, dict) else type(tables).__name__
        raise CatalogError(
            f"{file}, line 1: a list of items called {TABLE!r} is wanted and nothing else, "
            f"the file has {found or 'nothing'}"
        )
    _check_keys(file, 1, tables)
    items: list[Any] = tables[TABLE]
    return items


def _object(file: Path, line: int, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise CatalogError(f"{file}, line {line}: an item has columns, this is {values!r}")
    _check_keys(file, line, values)
    return values


def _check_keys(file: Path, line: int, values: dict[str, Any]) -> None:
    """TOML refuses a key that is there twice by itself."""
    if isinstance(values, JsonObject) and values.twice is not None:
        raise CatalogError(f"{file}, line {line}: {values.twice!r} is there twice; leave one out")


READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".toml": _rows_of_toml,
    ".json": _rows_of_json,
    ".csv": _rows_of_csv,
}
"""By the end of the file's name."""
