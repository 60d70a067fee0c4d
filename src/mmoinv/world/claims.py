"""Sessions that are claimed again after a link was lost: whose are still ours.

Knows a link as something that requests joins; no inventories.
"""

import asyncio

from mmoinv.errors import LinkError
from mmoinv.wire import CharacterJoinFailed, JoinFailure, retry_hint_s
from mmoinv.world.joins import failure
from mmoinv.world.link import RealmServerLink

RETRY_PAUSE_S = 0.2
_FINAL = (JoinFailure.SESSION_TAKEN, JoinFailure.UNKNOWN)


class Claims:
    """The re-claims of one connector."""

    def __init__(self) -> None:
        self._claims: dict[int, asyncio.Future[CharacterJoinFailed | None]] = {}

    async def claim(self, link: RealmServerLink, epochs: dict[int, int]) -> dict[int, str]:
        """Claim the sessions of characters with the epochs that they had: why those that are gone
        are gone. Asks again where the realm could not say. `LinkError` if the link is lost."""
        taken: dict[int, str] = {}
        loop = asyncio.get_running_loop()
        while epochs:
            if not link.is_open:
                raise LinkError("the link to the realm was lost while sessions were claimed")
            asked = {}
            for guid, epoch in epochs.items():
                if guid not in self._claims:
                    self._claims[guid] = loop.create_future()
                    link.wire.request_join(guid, epoch)
                asked[guid] = self._claims[guid]
            link.flush()
            # All of them end, also those of a link that is lost.
            await asyncio.wait(asked.values())
            again = {}
            pause_s = RETRY_PAUSE_S
            for guid, future in asked.items():
                refusal = future.result()
                if refusal is None:
                    continue
                if refusal.reason in _FINAL:
                    taken[guid] = failure(refusal)
                else:
                    again[guid] = epochs[guid]
                    pause_s = max(pause_s, retry_hint_s(refusal.message))
            epochs = again
            if epochs:
                await asyncio.sleep(pause_s)
        return taken

    def granted(self, character_guid: int) -> bool:
        """The realm has granted a join; False if it was no claim."""
        claim = self._claims.pop(character_guid, None)
        if claim is None:
            return False
        claim.set_result(None)
        return True

    def refused(self, event: CharacterJoinFailed) -> bool:
        """The realm has refused a join; False if it was no claim."""
        claim = self._claims.pop(event.character_guid, None)
        if claim is None:
            return False
        claim.set_result(event)
        return True

    def fail(self, error: LinkError) -> None:
        """The link is lost: none of them will be answered."""
        claims, self._claims = self._claims, {}
        for claim in claims.values():
            claim.set_exception(error)
            claim.exception()  # Of many, the first one that is read ends the wait for all.
