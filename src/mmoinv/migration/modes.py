"""The modes of moving over, and the two sides. Knows no repository and no rules."""

from enum import StrEnum


class Side(StrEnum):
    """One of the two ways of keeping inventories."""

    LEGACY = "legacy"
    NEW = "new"


class MigrationMode(StrEnum):
    """Which side decides for a character, and whether the other one follows."""

    LEGACY = "legacy"
    SHADOW = "shadow"
    PRIMARY = "primary"
    NEW = "new"
