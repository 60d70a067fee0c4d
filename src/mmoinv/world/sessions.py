"""The characters that are joined here and their sessions: asked for, given back, claimed again
after a lost link, and lost to another world.

Knows the uplink; nothing of operations, but that those of a character come to an end.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from mmoinv.codec import sort_by_slot
from mmoinv.errors import JoinError, LinkError
from mmoinv.records import empty_batch
from mmoinv.wire import CharacterJoinFailed, LeaveReason, LeaveRequested, PlayerCharacterJoin
from mmoinv.world.characters import JoinedCharacter, read_only
from mmoinv.world.claims import Claims
from mmoinv.world.joins import Joins
from mmoinv.world.link import RealmServerLink
from mmoinv.world.uplink import Uplink

log = logging.getLogger("mmoinv.world")

NOTHING = empty_batch()


class _Left(NamedTuple):
    """A session that is given back as soon as there is a link."""

    character_guid: int
    epoch: int
    reason: int


class Sessions:
    """The sessions of one connector.

    ``wait_idle`` waits until nothing of a character is pending, False if that cannot be had;
    ``start`` runs a task. Called with a character: ``before_leave`` before it leaves or is lost,
    ``on_leave_requested`` when another world wants it, ``on_lost``, with the reason, when another
    world has it.
    """

    def __init__(
        self,
        uplink: Uplink,
        join_timeout_s: float,
        wait_idle: Callable[[int], Awaitable[bool]],
        start: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self.characters: dict[int, JoinedCharacter] = {}
        """Those that are joined here, by guid."""
        self.is_open = False
        """Whether there is a link on which the sessions are held."""
        self.before_leave: Callable[[int], object] = lambda character_guid: None
        self.on_leave_requested: Callable[[int], object] = lambda character_guid: None
        self.on_lost: Callable[[int, str], object] = lambda character_guid, reason: None
        self._uplink = uplink
        self._join_timeout_s = join_timeout_s
        self._wait_idle = wait_idle
        self._start = start
        self._joins = Joins(self.give_back)
        self._claims = Claims()
        self._leaving: set[int] = set()
        self._taken_away: dict[int, str] = {}
        """Characters whose session is gone, and why; until nothing of them is pending."""
        self._lefts: list[_Left] = []

    def check_committable(self, character_guid: int) -> None:
        """`JoinError` unless commits for the character are taken."""
        if character_guid in self._taken_away:
            raise JoinError(
                f"character {character_guid} is another world's now "
                f"({self._taken_away[character_guid]}); nothing was taken, and what is unsaved of "
                "it here never will be. Let the player go.",
                character_guid,
            )
        leaving = character_guid in self._leaving
        if leaving or character_guid not in self.characters:
            state = "is leaving" if leaving else "is not joined here"
            raise JoinError(
                f"character {character_guid} {state}; nothing was taken. Commit before it "
                "leaves, or once it has joined again.",
                character_guid,
            )

    # Joining and leaving

    async def join(self, character_guid: int, link: RealmServerLink) -> JoinedCharacter:
        """As `RealmConnector.join`."""
        if character_guid in self.characters:
            raise JoinError(f"character {character_guid} is joined here already", character_guid)
        if self._joins.begin(character_guid):
            link.wire.request_join(character_guid)
            link.flush()
        try:
            return await self._joins.wait(character_guid, self._join_timeout_s)
        except TimeoutError:
            raise JoinError(
                f"character {character_guid}: the realm at {self._uplink.address} did not answer "
                f"the join within {self._join_timeout_s:g} s; try again",
                character_guid,
            ) from None

    async def leave(self, character_guid: int, reason: int = LeaveReason.LOGOUT) -> None:
        """As `RealmConnector.leave`."""
        character = self.characters.get(character_guid)
        if character is None:
            raise JoinError(f"character {character_guid} is not joined here", character_guid)
        # Or a game that goes on committing would never be let go.
        self._leaving.add(character_guid)
        self.before_leave(character_guid)
        try:
            if not await self._wait_idle(character_guid):
                raise LinkError(
                    f"character {character_guid} cannot leave: {self._uplink.lost_reason}. Its "
                    "pending operations may or may not be saved."
                )
        finally:
            self._leaving.discard(character_guid)
        if self.characters.get(character_guid) is character:
            self.give_back(character, reason)

    def give_back(self, character: JoinedCharacter, reason: int = LeaveReason.UNKNOWN) -> None:
        """Give the session of a character back, now or once there is a link."""
        if self.characters.get(character.guid) is character:
            del self.characters[character.guid]
        link = self._uplink.link
        if link is None or not self.is_open:
            self._lefts.append(_Left(character.guid, character.epoch, reason))
        else:
            link.wire.send_left(character.guid, character.epoch, reason)
            link.flush()

    # What the realm says

    def granted(self, packet: PlayerCharacterJoin) -> None:
        """The realm has granted a session: one that was claimed again, or a new one."""
        if self._claims.granted(packet.character_guid):
            # What is committed here follows the answers, not what the realm had then: an
            # operation may be applied whose answer was lost.
            return
        character = JoinedCharacter(
            packet.character_guid,
            packet.session_epoch,
            packet.version,
            read_only(sort_by_slot(packet.items)),
            dict(packet.currencies.tolist()),
        )
        if self._joins.granted(character):
            self.characters[character.guid] = character

    def refused(self, event: CharacterJoinFailed) -> None:
        """The realm has not granted one."""
        if not self._claims.refused(event):
            self._joins.refused(event)

    async def leave_as_asked(self, request: LeaveRequested) -> None:
        """Another world wants a character: what is unsaved is committed, then it leaves."""
        guid = request.character_guid
        character = self.characters.get(guid)
        if character is None or character.epoch != request.session_epoch:
            # The realm believes that we hold it: nobody need wait for us.
            self.give_back(JoinedCharacter(guid, request.session_epoch, 0, NOTHING))
            return
        self.on_leave_requested(guid)
        try:
            await self.leave(guid, LeaveReason.TELEPORT)
        except (JoinError, LinkError) as error:
            log.warning("a character could not leave as asked: %s", error)

    # Links come and go

    async def claim_again(self, link: RealmServerLink) -> None:
        """Give back what has left meanwhile, claim the other sessions; `LinkError` if the link is
        lost again."""
        while self._lefts:
            link.wire.send_left(*self._lefts.pop())
        await self._claim(link, tuple(self.characters))

    async def ask_for(self, character_guids: Sequence[int]) -> None:
        """An operation was refused for a session: find out for whose."""
        if self._uplink.link is not None:
            try:
                await self._claim(self._uplink.link, character_guids)
            except LinkError:
                return  # It is asked for anyway once there is a link.

    async def _claim(self, link: RealmServerLink, character_guids: Sequence[int]) -> None:
        epochs = {
            guid: self.characters[guid].epoch
            for guid in character_guids
            if guid in self.characters and guid not in self._taken_away
        }
        for guid, reason in (await self._claims.claim(link, epochs)).items():
            self._lost(guid, reason)

    def _lost(self, character_guid: int, reason: str) -> None:
        character = self.characters.get(character_guid)
        if character is None or character_guid in self._taken_away:
            return
        self._taken_away[character_guid] = reason
        log.error(
            "character %d: its session is gone, %s; what is unsaved of it here is not saved",
            character_guid,
            reason,
        )
        self.before_leave(character_guid)
        self._start(self._forget_once_idle(character), "forget")
        self.on_lost(character_guid, reason)

    async def _forget_once_idle(self, character: JoinedCharacter) -> None:
        """What was sent of it may be applied, and is answered for; then it is not ours."""
        await self._wait_idle(character.guid)
        self._taken_away.pop(character.guid, None)
        if self.characters.get(character.guid) is character:
            del self.characters[character.guid]

    def claims_failed(self, error: LinkError) -> None:
        """The link is lost: no claim will be answered."""
        self._claims.fail(error)

    def joins_failed(self, error: LinkError) -> None:
        """No join will be answered."""
        self._joins.fail(error)

    def close(self) -> None:
        """Nobody is joined any more."""
        self.joins_failed(LinkError("the connector was closed"))
        self.characters.clear()
