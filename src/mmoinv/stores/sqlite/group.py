"""One group of entries inside one open SQLite transaction.

Plays the steps of `mmoinv.stores.group` with bulk statements; joins and leaves are those of all
databases. Begins and ends no transaction.
"""

import sqlite3
import time
from collections.abc import Sequence

from sqlalchemy import Connection

from mmoinv.stores import sessions
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.entries import Entry, LeaveEntry, LeaveOutcome, MintGuids, Outcome
from mmoinv.stores.group import Joined, write_entries
from mmoinv.stores.part import Rules
from mmoinv.stores.sqlite.bulk import look, note, write
from mmoinv.stores.steps import LedgerRows, Look, Seen, Write


def write_group(
    raw: sqlite3.Connection,
    connection: Connection,
    entries: Sequence[Entry],
    mint_guids: MintGuids,
    committed: CommittedInventories,
    trusts_new_guids: bool,
    rules: Rules,
) -> list[Outcome]:
    """The outcome of each entry, in order; ``connection`` is SQLAlchemy's around ``raw``.
    ``trusts_new_guids`` and ``rules``: see `write_entries`."""
    now_s = int(time.time())
    steps = write_entries(entries, mint_guids, committed, trusts_new_guids, rules)
    reply: Seen | Joined | LeaveOutcome | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            outcomes: list[Outcome] = end.value
            return outcomes
        if isinstance(step, Look):
            reply = look(raw, step)
        elif isinstance(step, Write):
            write(raw, step, now_s)
            reply = None
        elif isinstance(step, LedgerRows):
            note(raw, step, now_s)
            reply = None
        elif isinstance(step, LeaveEntry):
            reply = sessions.leave(connection, step)
        else:
            reply = sessions.join(connection, step)
