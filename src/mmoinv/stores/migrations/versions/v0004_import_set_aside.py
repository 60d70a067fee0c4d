"""What an import could not take, as rows: nothing of the old tables is thrown away."""

from alembic import op
from sqlalchemy import Column

from mmoinv.stores.tables import LONG_TEXT, NAME, NUMBER, OPTIONS, ROW_TEXT, Unsigned64

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing was imported yet."""
    op.create_table(
        "import_set_aside",
        Column("set_aside_id", NUMBER, primary_key=True),
        Column("source", NAME, nullable=False),
        Column("character_guid", Unsigned64(), nullable=False),
        Column("slot", NUMBER),
        Column("stored_row", ROW_TEXT, nullable=False),
        Column("reason", LONG_TEXT, nullable=False),
        Column("digest", NAME, nullable=False),
        Column("set_aside_at", NUMBER, nullable=False),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index(
        "import_set_aside_row",
        "import_set_aside",
        ["character_guid", "source", "digest"],
        unique=True,
        if_not_exists=True,
    )


DROPPED = ("import_set_aside",)
"""By the way down, which is refused while it has rows."""


def downgrade() -> None:
    """Nobody had set anything aside."""
    op.drop_table("import_set_aside")
