"""The ledger is indexed by segments (but on MariaDB), and a view finds a character's rows: see
`mmoinv.stores.tables.ledger_view`."""

from alembic import op

from mmoinv.stores.tables import (
    LEDGER_SEGMENT,
    LEDGER_VIEW,
    has_ledger_segments,
    keeps_unsigned,
    ledger_view,
)

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """No row changes; the ledger is read once."""
    dialect = op.get_bind().dialect
    view = ledger_view(dialect)
    if keeps_unsigned(dialect):
        # With the rights of who asks: a dump may be brought back by another user.
        view = view.replace("CREATE VIEW", "CREATE OR REPLACE SQL SECURITY INVOKER VIEW")
    if has_ledger_segments(dialect):
        op.execute("DROP INDEX IF EXISTS inventory_ledger_version")
        op.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS inventory_ledger_character "
            f"ON inventory_ledger (({LEDGER_SEGMENT}), character_guid, version)"
        )
    op.execute(view)


def downgrade() -> None:
    """The index by character comes back; no version may be there twice then."""
    from mmoinv.errors import SchemaVersionError

    if has_ledger_segments(op.get_bind().dialect):
        twice = op.get_bind().exec_driver_sql(
            "SELECT character_guid, version FROM inventory_ledger "
            "GROUP BY character_guid, version HAVING count(*) > 1 LIMIT 1"
        )
        if (row := twice.first()) is not None:
            raise SchemaVersionError(
                f"the ledger has version {row[1]} of character {row[0] % 2**64} more than once, "
                "which version 0004 cannot have: 'mmoinv verify' says more. Delete the rows that "
                "are wrong, and run it again; nothing was changed."
            )
    op.execute(f"DROP VIEW IF EXISTS {LEDGER_VIEW}")
    if has_ledger_segments(op.get_bind().dialect):
        op.execute("DROP INDEX IF EXISTS inventory_ledger_character")
        op.create_index(
            "inventory_ledger_version",
            "inventory_ledger",
            ["character_guid", "version"],
            unique=True,
            if_not_exists=True,
        )
