"""Waiting for something to be true."""

import asyncio
import time
from collections.abc import Callable

LOOK_EVERY_S = 0.02


async def until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for something; False if it did not come in time."""
    until_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True
