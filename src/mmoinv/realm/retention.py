"""Forgets applied operations once they are old, a little at a time beside the writer's work.

Never forgets one that is younger than the realm's limit. Knows no links.
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
