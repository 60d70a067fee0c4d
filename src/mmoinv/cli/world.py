"""``mmoinv world``: which world servers may log on."""

import argparse
import asyncio
from pathlib import Path

from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
    database_of,
    secret_in,
)


def add_world(commands: Commands) -> None:
    """The arguments of ``mmoinv world``."""
    command = commands.add_parser(
        "world",
        help="let world servers in, and list them",
        description="Say which world servers may log on to the realms of a database.",
        formatter_class=Formatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add",
        help="let a world server in",
        description="Let a world server in, or give it a new secret. The secret is shown once:\n"
        "the database keeps only what is needed to check it.",
        epilog="example:\n  mmoinv world add world-1 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    add.add_argument("name", metavar="NAME", help="1 to 64 printable characters")
    add_database(add, DEFAULT_DATABASE)
    add.add_argument(
        "--secret-file",
        metavar="FILE",
        type=Path,
        help="read the secret from a file instead of making one up",
    )
    add_verbose(add)
    add.set_defaults(run=_run_world_add)
    listing = actions.add_parser("list", help="list the world servers", formatter_class=Formatter)
    add_database(listing, DEFAULT_DATABASE)
    add_verbose(listing)
    listing.set_defaults(run=_run_world_list)


def _run_world_add(options: argparse.Namespace) -> int:
    secret = secret_in(options.secret_file) if options.secret_file else None
    database = database_of(options) or DEFAULT_DATABASE
    shown, is_new = asyncio.run(_add_world_to(database, options.name, secret))
    if not is_new:
        print(f"World {options.name!r} was there already: its earlier secret is void.")
    if secret is not None:
        print(f"World {options.name!r} may log on with the secret in {options.secret_file}.")
        return 0
    print(f"World {options.name!r} may log on with this secret. It is not shown again:")
    print(shown)
    return 0


async def _add_world_to(database: str, name: str, secret: str | None) -> tuple[str, bool]:
    from mmoinv.realm import add_world
    from mmoinv.stores import open_store

    async with await open_store(database) as store:
        is_new = await store.find_world(name) is None
        return await add_world(store, name, secret), is_new


def _run_world_list(options: argparse.Namespace) -> int:
    names = asyncio.run(_world_names(database_of(options) or DEFAULT_DATABASE))
    if not names:
        print("No world may log on yet. Add one: mmoinv world add NAME --database URL")
    for name in names:
        print(name)
    return 0


async def _world_names(database: str) -> list[str]:
    from mmoinv.stores import open_store

    async with await open_store(database) as store:
        return [world.name for world in await store.worlds()]
