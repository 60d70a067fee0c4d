"""The schema's versions: the same tables as the code's, up, down, and refused with the remedy."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mmoinv.errors import SchemaVersionError
from mmoinv.stores import schema
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.sqlite.schema import engine_around
from mmoinv.stores.tables import METADATA, VERSION_TABLE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


async def test_the_migrations_make_the_tables_of_the_code(path: Path) -> None:
    async with SqliteStore(path):
        pass
    with closing(sqlite3.connect(path)) as raw, engine_around(raw).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, METADATA) == []


def test_the_code_speaks_the_newest_version() -> None:
    config = Config()
    config.set_main_option("script_location", "mmoinv.stores:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == schema.SCHEMA_VERSION
    assert scripts.get_base() == schema.OLDEST_VERSION


@pytest.mark.parametrize(
    ("version", "said"),
    [("0001", "mmoinv db upgrade"), ("0003", "newer mmoinv"), ("what", "newer mmoinv")],
)
async def test_another_version_is_refused_and_left_alone(
    path: Path, version: str, said: str
) -> None:
    async with SqliteStore(path):
        pass
    change(path, f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    with pytest.raises(SchemaVersionError, match=said):
        await SqliteStore(path).open()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT * FROM {VERSION_TABLE}").fetchall() == [(version,)]
