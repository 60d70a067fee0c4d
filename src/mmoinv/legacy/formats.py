"""Which old tables there are, by name. Knows how none of them is read."""

import asyncio
from importlib import import_module

from sqlalchemy import Connection, inspect

from mmoinv.errors import ConfigurationError
from mmoinv.legacy.azerothcore import AzerothcoreTables
from mmoinv.legacy.interface import OldTables
from mmoinv.legacy.kyoril import KyorilTables
from mmoinv.legacy.sql_tables import SqlTables, listed
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.urls import store_for

FORMATS: dict[str, type[SqlTables]] = {
    "kyoril": KyorilTables,
    "azerothcore": AzerothcoreTables,
}
SIGNS = {"kyoril": {"character_items"}, "azerothcore": {"character_inventory", "item_instance"}}
"""The tables by which a format is known."""


async def tables_of(url: str, format_name: str | None = None) -> OldTables:
    """The old tables of a database.

    ``format_name`` is one of `FORMATS`, or ``package.module:Class`` for a class of one's own that
    takes the URL; None: what is there tells. `ConfigurationError` if there is no such format, or
    nothing tells.
    """
    if format_name is None:
        format_name = await _known_by_its_tables(url)
    if format_name in FORMATS:
        return FORMATS[format_name](url)
    module, colon, name = format_name.partition(":")
    if not colon:
        raise ConfigurationError(
            f"format {format_name!r} is not known. There is: {', '.join(FORMATS)}; a class of your "
            "own is written package.module:Class."
        )
    try:
        # Its module may do anything when it is imported.
        made: OldTables = getattr(await asyncio.to_thread(import_module, module), name)(url)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"format {format_name!r} cannot be had: {error}") from error
    if not 1 <= len(made.format) <= 64:
        raise ConfigurationError(
            f"format {format_name!r}: its name {made.format!r} must have 1 to 64 characters"
        )
    return made


async def _known_by_its_tables(url: str) -> str:
    store = store_for(url)
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url}: say with --format what it holds.")

    def names_of(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    names = await store.read_only(names_of)
    found = [name for name, signs in SIGNS.items() if signs <= names]
    if len(found) == 1:
        return found[0]
    raise ConfigurationError(
        f"database {store.url}: no old tables that are known are there (there are: "
        f"{listed(names)}). Say with --format what it holds: {', '.join(FORMATS)}, or "
        "package.module:Class for a class of your own."
        if not found
        else f"database {store.url}: it has the tables of {' and of '.join(found)}. Say with "
        "--format which are meant."
    )
