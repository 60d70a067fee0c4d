"""SQLite's ledger is indexed by segments, and each database has a view that finds a character's
rows: see `mmoinv.stores.tables.ledger_view`."""

from alembic import op

from mmoinv.stores.tables import LEDGER_SEGMENT, LEDGER_VIEW, ledger_view

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """No row changes. SQLite reads the whole ledger once: a minute for each ten million rows."""
    dialect = op.get_bind().dialect.name
    view = ledger_view(dialect)
    if dialect in ("mysql", "mariadb"):
        view = view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
    if dialect == "sqlite":
        op.execute("DROP INDEX IF EXISTS inventory_ledger_version")
        op.execute(
            "CREATE INDEX IF NOT EXISTS inventory_ledger_character "
            f"ON inventory_ledger ({LEDGER_SEGMENT}, character_guid, version)"
        )
    op.execute(view)


def downgrade() -> None:
    """SQLite's index by character comes back."""
    op.execute(f"DROP VIEW IF EXISTS {LEDGER_VIEW}")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP INDEX IF EXISTS inventory_ledger_character")
        op.create_index(
            "inventory_ledger_version",
            "inventory_ledger",
            ["character_guid", "version"],
            unique=True,
            if_not_exists=True,
        )
