"""What happened, read out of a realm's database: histories, an item's life, whether it adds up.

For tools beside a realm that runs or not: every question is one transaction that changes nothing.
Knows stores; no links and no packets.
"""

from mmoinv.audit.history import Holdings, entries_of, holdings_at, item_entries, world_names
from mmoinv.audit.verification import Findings, Problem, verify

__all__ = [
    "Findings",
    "Holdings",
    "Problem",
    "entries_of",
    "holdings_at",
    "item_entries",
    "verify",
    "world_names",
]
