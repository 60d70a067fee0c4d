"""Moving over from an old way of saving inventories, and back: two sides, modes, evidence.

Runs inside a world server. Knows no old tables, no database of a realm and no links.
"""

from mmoinv.migration.book import Book, BookEntry, FileBook
from mmoinv.migration.character import MovingCharacter
from mmoinv.migration.configuration import MigrationConfig, load_config
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.repository import MigratingRepository
from mmoinv.migration.rules import ModeRule, ModeRules, Rules, read_rules, write_rules
from mmoinv.migration.settings import MigrationSettings
from mmoinv.migration.whole_inventories import WholeInventories
from mmoinv.migration.witness import NoEvidence, Witness

__all__ = [
    "Book",
    "BookEntry",
    "Evidence",
    "FileBook",
    "MigratingRepository",
    "MigrationConfig",
    "MigrationMode",
    "MigrationSettings",
    "ModeRule",
    "ModeRules",
    "MovingCharacter",
    "NoEvidence",
    "Rules",
    "Side",
    "WholeInventories",
    "Witness",
    "load_config",
    "read_rules",
    "write_rules",
]
