"""Forgets applied operations and the ledger once they are old, a little at a time beside the
writer's work.

Never forgets what is younger than the realm's limits. Knows no links.
"""

import asyncio
import logging
import time

from mmoinv.errors import StoreError
from mmoinv.stores import Store

log = logging.getLogger("mmoinv.realm")

SLICE_PAUSE_S = 1.0
"""Between two slices of the table, so that groups hardly notice."""
ROUND_PAUSE_S = 3600.0
"""Between two walks through the whole table."""


async def forget_old_operations(
    store: Store,
    keep_s: float,
    slice_pause_s: float = SLICE_PAUSE_S,
    round_pause_s: float = ROUND_PAUSE_S,
) -> None:
    """Walk through the applied operations, again and again, until cancelled."""
    place: int | None = None
    while True:
        try:
            place = await store.forget_operations(int(time.time() - keep_s), place)
        except StoreError as error:
            log.warning("old operations are kept for now: %s", error)
        await asyncio.sleep(round_pause_s if place is None else slice_pause_s)


async def forget_old_ledger(
    store: Store,
    keep_s: float,
    slice_pause_s: float = SLICE_PAUSE_S,
    round_pause_s: float = ROUND_PAUSE_S,
) -> None:
    """Delete the oldest rows of the ledger, again and again, until cancelled."""
    while True:
        has_more = False
        try:
            has_more = await store.forget_ledger(int(time.time() - keep_s))
        except StoreError as error:
            log.warning("old rows of the ledger are kept for now: %s", error)
        await asyncio.sleep(slice_pause_s if has_more else round_pause_s)
