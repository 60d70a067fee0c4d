"""What happened, read out of a realm's database: histories, an item's life, whether it adds up.

For tools beside a realm that runs or not: every question is one transaction that changes nothing;
`restore` and `fix` write, as a world of their own. Knows stores; no links and no packets.
"""

from mmoinv.audit.correction import fix
from mmoinv.audit.history import Holdings, entries_of, holdings_at, item_entries, world_names
from mmoinv.audit.restoration import Plan, Wish, plan, restore
from mmoinv.audit.verification import Findings, Problem, verify

__all__ = [
    "Findings",
    "Holdings",
    "Plan",
    "Problem",
    "Wish",
    "entries_of",
    "fix",
    "holdings_at",
    "item_entries",
    "plan",
    "restore",
    "verify",
    "world_names",
]
