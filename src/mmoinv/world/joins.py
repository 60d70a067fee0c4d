"""Joins that were asked for and are not answered yet, and who waits for them.

Knows no link: the connector sends the packets.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mmoinv.errors import JoinError, LinkError
from mmoinv.wire import CharacterJoinFailed, JoinFailure, retry_hint_s
from mmoinv.world.characters import JoinedCharacter


@dataclass(eq=False, slots=True)
class _Join:
    """Without waiters it is given back when it comes."""

    future: asyncio.Future[JoinedCharacter]
    waiters: int = 0


class Joins:
    """The joins of one connector. ``give_back`` is called with a character that was granted and
    that nobody asks for any more."""

    def __init__(self, give_back: Callable[[JoinedCharacter], None]) -> None:
        self._give_back = give_back
        self._joins: dict[int, _Join] = {}

    def begin(self, character_guid: int) -> bool:
        """The character is wanted; False if it was asked for already."""
        if character_guid in self._joins:
            return False
        self._joins[character_guid] = _Join(asyncio.get_running_loop().create_future())
        return True

    async def wait(self, character_guid: int, timeout_s: float) -> JoinedCharacter:
        """The character of a join that was begun. `TimeoutError`, or what the join failed with."""
        join = self._joins[character_guid]
        join.waiters += 1
        told = False
        try:
            async with asyncio.timeout(timeout_s):
                character = await asyncio.shield(join.future)
            told = True
            return character
        finally:
            join.waiters -= 1
            # Granted, and cancelled before this task was told so.
            granted = join.future.done() and join.future.exception() is None
            if granted and not told and not join.waiters:
                self._give_back(join.future.result())

    def granted(self, character: JoinedCharacter) -> bool:
        """The realm has granted a join; False, and it is given back, if nobody waits."""
        join = self._joins.pop(character.guid, None)
        if join is None or not join.waiters:
            self._give_back(character)
            return False
        join.future.set_result(character)
        return True

    def refused(self, event: CharacterJoinFailed) -> None:
        """The realm has refused a join."""
        join = self._joins.pop(event.character_guid, None)
        if join is not None and join.waiters:
            join.future.set_exception(
                JoinError(
                    f"character {event.character_guid} could not be joined: {failure(event)}",
                    event.character_guid,
                    event.reason,
                    retry_hint_s(event.message),
                )
            )

    def fail(self, error: LinkError) -> None:
        """None of them will be answered."""
        for join in self._joins.values():
            if join.waiters:
                join.future.set_exception(error)
        self._joins.clear()


def failure(event: CharacterJoinFailed) -> str:
    """Why a join failed, in words."""
    known = event.reason in JoinFailure.__members__.values()
    reason = JoinFailure(event.reason).sentence if known else f"reason {event.reason}"
    return f"{reason} ({event.message})" if event.message else reason
