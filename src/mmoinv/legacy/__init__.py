"""Moving over, the database's side: old tables in, compared, and written again for the way back.

`tables_of` finds the old tables by their format's name; `import_tables`, `verify_tables` and
`export_tables` do the work. Knows stores and the desk of `mmoinv.audit`; no worlds and no links.
"""

from mmoinv.legacy.exporting import ExportReport, ExportWish, export_tables
from mmoinv.legacy.formats import FORMATS, tables_of
from mmoinv.legacy.importing import ImportReport, ImportWish, import_tables
from mmoinv.legacy.interface import (
    Capacity,
    Misfit,
    OldChange,
    OldInventory,
    OldTables,
    SourceCounts,
)
from mmoinv.legacy.sql_tables import SqlTables
from mmoinv.legacy.verification import VerifyReport, verify_tables
from mmoinv.stores.stored_rows import BadRow

__all__ = [
    "FORMATS",
    "BadRow",
    "Capacity",
    "ExportReport",
    "ExportWish",
    "ImportReport",
    "ImportWish",
    "Misfit",
    "OldChange",
    "OldInventory",
    "OldTables",
    "SourceCounts",
    "SqlTables",
    "VerifyReport",
    "export_tables",
    "import_tables",
    "tables_of",
    "verify_tables",
]
