"""The version is Alembic's from now on; the number in mmoinv_meta goes."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A realm from before does not find the number then, and refuses the database."""
    op.execute("DELETE FROM mmoinv_meta WHERE name = 'schema_version'")


def downgrade() -> None:
    """As the first realms want it."""
    op.execute("INSERT INTO mmoinv_meta (name, value) VALUES ('schema_version', 1)")
