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
        view = view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
    if has_ledger_segments(dialect):
        op.execute("DROP INDEX IF EXISTS inventory_ledger_version")
        op.execute(
            "CREATE UNIQUE INDEX IF NOT EXISTS inventory_ledger_character "
            f"ON inventory_ledger (({LEDGER_SEGMENT}), character_guid, version)"
        )
    op.execute(view)


def downgrade() -> None:
    """The index by character comes back."""
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
