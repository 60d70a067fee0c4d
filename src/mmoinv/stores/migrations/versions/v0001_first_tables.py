"""The tables of the first realms, which were SQLite files."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, Text, text

from mmoinv.errors import SchemaVersionError
from mmoinv.stores.tables import (
    KEYED,
    NAME,
    NUMBER,
    OPTIONS,
    Unsigned64,
    number_type,
    unsigned_view,
)

revision = "0001"
down_revision = None

U64 = Unsigned64()
FILL = {"character_inventory": 70, "character_session": 50}
"""Percent of a page of PostgreSQL that new rows fill: an update in place then finds room beside
its row, and touches no index."""


def upgrade() -> None:
    """Create them. Where DDL cannot be rolled back, what an interrupted run left is kept."""
    op.create_table(
        "mmoinv_meta",
        Column("name", NAME, primary_key=True),
        Column("value", NUMBER, nullable=False),
        if_not_exists=True,
        **KEYED,
    )
    op.create_table(
        "character_inventory",
        Column("character_guid", U64, primary_key=True, autoincrement=False),
        Column("slot", number_type(2), primary_key=True, autoincrement=False),
        Column("entry", number_type(4), nullable=False),
        Column("stack_count", number_type(2), nullable=False),
        Column("creator", U64, nullable=False),
        Column("contained", U64, nullable=False),
        Column("durability", number_type(4), nullable=False),
        Column("random_property_index", number_type(4), nullable=False),
        Column("random_suffix_index", number_type(4), nullable=False),
        Column("item_flags", number_type(4), nullable=False),
        Column("item_guid", U64),
        if_not_exists=True,
        **KEYED,
    )
    op.create_index(
        "character_inventory_item_guid",
        "character_inventory",
        ["item_guid"],
        unique=True,
        if_not_exists=True,
    )
    op.create_table(
        "character_session",
        Column("character_guid", U64, primary_key=True, autoincrement=False),
        Column("world_id", Integer, nullable=False),
        Column("process_nonce", U64, nullable=False),
        Column("epoch", NUMBER, nullable=False),
        Column("version", U64, nullable=False, server_default=text("0")),
        Column("online", Integer, nullable=False),
        CheckConstraint("epoch BETWEEN 1 AND 4294967295", name="character_session_epoch"),
        CheckConstraint("online IN (0, 1)", name="character_session_online"),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_table(
        "applied_operation",
        Column("operation_id", U64, primary_key=True, autoincrement=False),
        Column("applied_at", NUMBER, nullable=False),
        if_not_exists=True,
        **KEYED,
    )
    op.create_table(
        "world",
        Column("world_id", Integer, primary_key=True),
        Column("name", NAME, nullable=False, unique=True),
        Column("verifier", Text, nullable=False),
        Column("node_epoch", NUMBER, nullable=False, server_default=text("0")),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_table(
        "set_aside_item",
        Column("set_aside_id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
        Column("character_guid", U64, nullable=False),
        Column("slot", NUMBER, nullable=False),
        Column("stored_row", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("set_aside_at", NUMBER, nullable=False),
        if_not_exists=True,
        **OPTIONS,
    )
    dialect = op.get_bind().dialect.name
    view = unsigned_view(dialect)
    if dialect in ("mysql", "mariadb"):
        view = view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
    op.execute(view)
    if dialect == "postgresql":
        for table, percent in FILL.items():
            op.execute(
                f"ALTER TABLE {table} SET (fillfactor = {percent}, "
                "autovacuum_vacuum_scale_factor = 0.05)"
            )
    op.execute("DELETE FROM mmoinv_meta")
    op.execute("INSERT INTO mmoinv_meta (name, value) VALUES ('schema_version', 1)")
    op.execute("INSERT INTO mmoinv_meta (name, value) VALUES ('node_epoch', 0)")


def downgrade() -> None:
    """There is no way down from here that keeps anything."""
    raise SchemaVersionError(
        "below version 0001 there are no tables: every item would be gone. Drop the database "
        "itself if that is what you want; nothing was changed."
    )
