"""Wallets, and the history of what every operation changed."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, Integer

from mmoinv.stores.tables import BLOB, KEYED, NUMBER, OPTIONS, Unsigned64, number_type

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nobody has money yet, and the history begins here."""
    op.create_table(
        "character_wallet",
        Column("character_guid", Unsigned64(), primary_key=True, autoincrement=False),
        Column("currency_id", number_type(2), primary_key=True, autoincrement=False),
        Column("balance", NUMBER, nullable=False),
        CheckConstraint("balance >= 0", name="character_wallet_balance"),
        if_not_exists=True,
        **KEYED,
    )
    op.create_table(
        "inventory_ledger",
        Column("ledger_id", NUMBER, primary_key=True),
        Column("character_guid", Unsigned64(), nullable=False),
        Column("version", Unsigned64(), nullable=False),
        Column("operation_id", Unsigned64(), nullable=False),
        Column("committed_at", NUMBER, nullable=False),
        Column("world_id", Integer, nullable=False),
        Column("reason", Integer, nullable=False),
        Column("changes", BLOB, nullable=False),
        Column("money", BLOB),
        Column("partners", BLOB),
        if_not_exists=True,
        **OPTIONS,
    )
    op.create_index(
        "inventory_ledger_version",
        "inventory_ledger",
        ["character_guid", "version"],
        unique=True,
        if_not_exists=True,
    )


DROPPED = ("character_wallet", "inventory_ledger")
"""By the way down, which is refused while they have rows."""


def downgrade() -> None:
    """Items stay."""
    op.drop_table("inventory_ledger")
    op.drop_table("character_wallet")
