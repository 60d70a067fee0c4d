"""Rows of old tables that an import could not take: kept as JSON, each once.

Works on an open connection, inside a transaction of whoever calls. Knows no old tables.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, and_, insert, select

from mmoinv.stores.stored_rows import BadRow, row_text
from mmoinv.stores.tables import IMPORT_SET_ASIDE

AT_ONCE = 200
"""Characters that are looked up together."""


def keep_import_rows(
    connection: Connection, source: str, rows: Sequence[tuple[int, BadRow]]
) -> int:
    """Keep rows, each with its character's guid, unless they are kept already; how many are new.

    Rows that are the same in all they hold are told apart by how many there are.
    """
    table = IMPORT_SET_ASIDE
    wanted = {}
    times: Counter[tuple[int, str]] = Counter()
    now_s = int(time.time())
    for guid, row in rows:
        text = row_text(row.values)
        times[guid, text] += 1
        digest = hashlib.sha256(f"{times[guid, text]} {text}".encode()).hexdigest()[:32]
        slot = row.values.get("slot")
        wanted[guid, digest] = {
            "source": source,
            "character_guid": guid,
            "slot": slot if isinstance(slot, int) and abs(slot) < 1 << 31 else None,
            "stored_row": text,
            "reason": row.reason,
            "digest": digest,
            "set_aside_at": now_s,
        }
    guids = sorted({guid for guid, _ in wanted})
    for start in range(0, len(guids), AT_ONCE):
        known = connection.execute(
            select(table.c.character_guid, table.c.digest).where(
                and_(
                    table.c.character_guid.in_(guids[start : start + AT_ONCE]),
                    table.c.source == source,
                )
            )
        )
        for guid, digest in known:
            wanted.pop((guid, digest), None)
    if wanted:
        connection.execute(insert(table), list(wanted.values()))
    return len(wanted)
