"""``mmoinv db``: the schema's version in a database, and how it is changed."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from mmoinv.cli.arguments import (
    DEFAULT_DATABASE,
    Commands,
    Formatter,
    add_database,
    add_verbose,
    database_of,
)
from mmoinv.errors import ConfigurationError

if TYPE_CHECKING:
    from mmoinv.stores.sql_store import SqlStore


def add_db(commands: Commands) -> None:
    """The arguments of ``mmoinv db``."""
    command = commands.add_parser(
        "db",
        help="show or change the version of a database's schema",
        description="The schema of a database has a version. A realm sets up an empty database by\n"
        "itself, and refuses one of another version than its own.",
        formatter_class=Formatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    status = actions.add_parser(
        "status",
        help="what a database holds; changes nothing",
        description="Say which version of the schema a database holds. Changes nothing. Exit code\n"
        "0 if it is the one that this mmoinv speaks, 1 if not.",
        epilog="example:\n  mmoinv db status --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    status.set_defaults(run=_run_status)
    upgrade = actions.add_parser(
        "upgrade",
        help="bring the schema to this mmoinv's version",
        description="Bring the schema of a database to the version that this mmoinv speaks, from\n"
        "nothing or an older one. May be run twice, and by two processes at once. Stop the realms\n"
        "and back the database up before.",
        epilog="example:\n  mmoinv db upgrade --database postgresql://realm@db/realm",
        formatter_class=Formatter,
    )
    upgrade.set_defaults(run=_run_upgrade)
    downgrade = actions.add_parser(
        "downgrade",
        help="bring the schema down, for an older mmoinv",
        description="Bring the schema of a database down to an older version, before going back\n"
        "to an older mmoinv. Stop the realms and back the database up before.",
        epilog="example:\n  mmoinv db downgrade --to 0001 --database sqlite:///realm.db",
        formatter_class=Formatter,
    )
    downgrade.add_argument("--to", metavar="VERSION", required=True, help="like 0001")
    downgrade.set_defaults(run=_run_downgrade)
    for action in (status, upgrade, downgrade):
        add_database(action, DEFAULT_DATABASE)
        add_verbose(action)


def _run_status(options: argparse.Namespace) -> int:
    from mmoinv.stores.schema import SCHEMA_VERSION, State

    store = _store(options)
    schema = asyncio.run(store.schema())
    wanted = f"this mmoinv speaks version {SCHEMA_VERSION}"
    if schema.state is State.CURRENT:
        print(f"{store.url}: schema version {schema.version}, the one that this mmoinv speaks.")
        return 0
    if schema.state is State.EMPTY:
        print(f"{store.url}: no schema yet; {wanted}. A realm, or 'mmoinv db upgrade', creates it.")
    elif schema.state is State.OLDER:
        print(f"{store.url}: schema version {schema.version}; {wanted}. Run 'mmoinv db upgrade'.")
    else:
        print(
            f"{store.url}: schema version {schema.version}; {wanted}. A newer mmoinv wrote it: use "
            "that one."
        )
    return 1


def _run_upgrade(options: argparse.Namespace) -> int:
    from mmoinv.stores.schema import SCHEMA_VERSION

    store = _store(options)
    before = asyncio.run(store.upgrade()).version
    if before == SCHEMA_VERSION:
        print(f"{store.url}: schema version {SCHEMA_VERSION} already, nothing was changed.")
    else:
        print(f"{store.url}: schema version {before or 'none'} became {SCHEMA_VERSION}.")
    return 0


def _run_downgrade(options: argparse.Namespace) -> int:
    store = _store(options)
    before = asyncio.run(store.downgrade(options.to)).version
    if before == options.to:
        print(f"{store.url}: schema version {before} already, nothing was changed.")
    else:
        print(f"{store.url}: schema version {before} became {options.to}.")
    return 0


def _store(options: argparse.Namespace) -> "SqlStore":
    from mmoinv.stores import store_for
    from mmoinv.stores.sql_store import SqlStore

    url = database_of(options) or DEFAULT_DATABASE
    store = store_for(url)
    if not isinstance(store, SqlStore):
        raise ConfigurationError(f"database {store.url} is another package's: use its own tools")
    return store
