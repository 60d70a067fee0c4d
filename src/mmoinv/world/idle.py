"""Tasks that wait until nothing is pending any more, of one character or at all.

Knows what is pending only as a question.
"""

import asyncio
from collections.abc import Callable


class IdleWaits:
    """``is_pending`` is asked with a character's guid, or None for all of them."""

    def __init__(self, is_pending: Callable[[int | None], bool]) -> None:
        self.is_over = False
        """Nothing more will be answered."""
        self._is_pending = is_pending
        self._waiting: dict[int | None, list[asyncio.Future[None]]] = {}

    async def wait(self, character_guid: int | None, timeout_s: float | None) -> bool:
        """Until nothing is pending; False if that can't be had, or the time ran out."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                while self._is_pending(character_guid):
                    if self.is_over:
                        return False
                    future: asyncio.Future[None] = loop.create_future()
                    self._waiting.setdefault(character_guid, []).append(future)
                    await future
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """Something has ended: those who waited for it go on."""
        if not self._waiting:
            return
        over = self.is_over
        for guid in [guid for guid in self._waiting if over or not self._is_pending(guid)]:
            for future in self._waiting.pop(guid):
                if not future.done():
                    future.set_result(None)
