"""What may happen to the realm while it follows: killed, stopped, starved. Knows its process."""

import asyncio
import signal

from mmoinv.torture.realm import RealmProcess

STARVED_S, FED_S = 0.06, 0.02
"""A slow realm runs a quarter of the time."""


async def killed(realm: RealmProcess, down_s: float) -> None:
    """Kill it, as a power cut would, and start it again."""
    await realm.send(signal.SIGKILL)
    await asyncio.sleep(down_s)
    await realm.start()


async def hanging(realm: RealmProcess, for_s: float) -> None:
    """It is there and says nothing."""
    await realm.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(for_s)
    finally:
        await realm.send(signal.SIGCONT)


async def slow(realm: RealmProcess, for_s: float) -> None:
    """It gets little time."""
    ends_s = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < ends_s:
        await hanging(realm, STARVED_S)
        await asyncio.sleep(FED_S)
