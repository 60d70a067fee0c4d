"""A character goes from mode to mode, one step at a time; never in the middle of an operation.

Three kinds of steps:

- *The other side begins to follow* (`legacy` to `shadow`, `new` to `primary`): the character is
  joined there, and everything it has is written there as for one that is behind.
- *The other side follows no longer* (`shadow` to `legacy`, `primary` to `new`): what waits for it
  is forgotten, and the character leaves it.
- *Who decides changes* (between `shadow` and `primary`). In this order: new operations are held;
  those on their way are answered; the follower has written what was decided; both sides are read
  and are equal, else everything is written once more and read again; the book is written, synced;
  only then the held operations go on, to the other side. Killed before the book is written, the
  next join finds the old decider, which lacks nothing; after it, the new one, which was made equal
  and has taken no other operation in between. If any of it fails or takes too long, nothing has
  changed, the held operations go to the old decider, and it is tried again later.

If the book cannot say whether it was written, the operations stay held until it can: on a wrong
guess a crash would bring back the side that has stopped being written first.

An operation over characters that different sides decide for is decided by the new one. Those of
them that the old one decides for change sides first, as above, while the operation is held; it is
refused, unsent, if that fails. Afterwards they go back by their rules, once they are idle.
"""

import asyncio
import contextlib
import logging
from functools import partial

from mmoinv.errors import BookError, LinkError
from mmoinv.migration.character import Character, Waiting
from mmoinv.migration.follower import Follower
from mmoinv.migration.modes import MigrationMode, Side, followed_mode
from mmoinv.migration.move import Move, reason_of
from mmoinv.migration.operations import Operations
from mmoinv.repository import OperationHandle

log = logging.getLogger("mmoinv.migration")

BOOK_PAUSE_S = 0.5
"""Between two tries to read what the book did."""


class Flips:
    """Takes the characters of one repository from mode to mode."""

    def __init__(self, move: Move, followers: dict[Side, Follower], operations: Operations) -> None:
        self._move = move
        self._followers = followers
        self._operations = operations
        self.unsettled: set[Character] = set()
        """Characters that are not in the mode that they are to be in."""
        self._is_noting = False
        operations.unite = self._unite_soon
        operations.settled = self.consider

    # By the rules

    def want(self, character: Character, mode: MigrationMode) -> None:
        """A character is to be in a mode. With the lock."""
        if character.wanted is not mode:
            character.wanted = mode
            character.retry_at_s = character.retry_s = 0.0
        self.consider(character)

    def consider(self, character: Character) -> None:
        """Begin to move a character if it should, and can. With the lock."""
        if character.mode is character.wanted:
            self.unsettled.discard(character)
            return
        self.unsettled.add(character)
        if (
            character.is_moving
            or character.pinned
            or character.is_doubtful
            or character.is_lost
            or character.is_leaving
            or character.queue
            or self._move.now_s() < character.retry_at_s
        ):
            return
        with contextlib.suppress(LinkError):
            character.is_moving = True
            self._move.spawn(self._move_on(character))
            return
        character.is_moving = False

    async def _move_on(self, character: Character) -> None:
        try:
            await self.settle(character)
        finally:
            with self._move.lock:
                character.is_moving = False
                if self._move.characters.get(character.guid) is not character:
                    self.unsettled.discard(character)
                else:
                    self.consider(character)

    async def settle(self, character: Character) -> str:
        """Go towards the wanted mode as far as it goes; "" or what is in the way."""
        while True:
            async with character.step:
                with self._move.lock:
                    mode = character.mode
                    if mode is character.wanted or character.pinned or character.is_leaving:
                        return ""
                    step = mode.step_towards(character.wanted)
                if not step.is_followed:
                    self._follow_no_longer(character, step)
                    continue
                if mode.is_followed:
                    reason = await self._change_sides(character, step.decider)
                else:
                    reason = await self.begin_to_follow(character)
            if reason:
                self._later(character, reason)
                return reason

    def _later(self, character: Character, reason: str) -> None:
        settings = self._move.settings
        with self._move.lock:
            if not character.retry_s:
                log.warning(
                    "character %d stays in mode %s for now, %s was wanted: %s",
                    character.guid,
                    character.mode.value,
                    character.wanted.value,
                    reason,
                )
            character.retry_s = min(
                settings.retry_longest_s, max(settings.retry_first_s, 2 * character.retry_s)
            )
            character.retry_at_s = self._move.now_s() + character.retry_s

    async def _change_sides(self, character: Character, side: Side) -> str:
        """By a rule: what is committed is held for as short as it goes."""
        limit_s = self._move.settings.flip_timeout_s
        # Whatever takes time is done before anything is held.
        if reason := await self._level(character, side, limit_s):
            return reason
        with self._move.lock:
            if character.queue or character.pinned or character.is_held:
                return "operations with other characters are on their way"
            character.is_held = True
        try:
            return await self.decide(character, side, limit_s)
        finally:
            with self._move.lock:
                character.is_held = False
            self._operations.advance([character])

    # Steps

    async def begin_to_follow(self, character: Character) -> str:
        """The other side is written from now on; "" or what is in the way."""
        side = character.follower
        if reason := await self.join_other(character):
            return reason
        with self._move.lock:
            before, character.mode = character.mode, followed_mode(side.other)
            self._followers[side].follow(character, is_joined=True, is_behind=True)
        self._stepped(character, before)
        return ""

    async def join_other(self, character: Character) -> str:
        """Join a character at the side that does not decide; "" or what is in the way."""
        way = self._move.ways[character.follower]
        try:
            async with asyncio.timeout(self._move.settings.follower_timeout_s):
                await way.join(character.guid)
        except Exception as error:
            return f"it could not be joined at the {way.side.value} side: {reason_of(error)}"
        return ""

    def _follow_no_longer(self, character: Character, mode: MigrationMode) -> None:
        with self._move.lock:
            side, before = character.follower, character.mode
            character.mode = mode
            self._followers[side].forget(character.guid, "the side is not written any more")
        self._stepped(character, before)
        self._move.spawn(self.leave_other(character.guid, side))

    async def leave_other(self, guid: int, side: Side) -> None:
        """Leave the side that does not decide; it is only logged if that fails."""
        try:
            async with asyncio.timeout(self._move.settings.follower_timeout_s):
                await self._move.ways[side].leave(guid)
        except Exception as error:
            log.warning("character %d did not leave the %s side: %s", guid, side.value, error)

    def _stepped(self, character: Character, before: MigrationMode) -> None:
        """A step that changes nothing of who decides: the book is told in passing."""
        move = self._move
        move.note(character.guid, move.book.change, character.mode)
        move.tell(move.witness.flipped, character.guid, before, character.mode)

    def note_again(self) -> None:
        """Tell the book once more what it was not told in passing."""
        if self._move.unnoted and not self._is_noting:
            self._is_noting = True
            self._move.spawn(self._note_again())

    async def _note_again(self) -> None:
        try:
            await self._note_each()
        finally:
            self._is_noting = False

    async def _note_each(self) -> None:
        move = self._move
        for guid in tuple(move.unnoted):
            character = move.characters.get(guid)
            move.unnoted.discard(guid)
            if character is None or character.is_leaving:
                continue
            # While this is held nobody changes who decides: it must never be written back.
            async with character.step:
                try:
                    await move.ask_book(move.book.change, guid, move.holder, character.mode)
                    with move.lock:
                        move.note(guid, move.book.mark, character.is_behind)
                except BookError:
                    move.unnoted.add(guid)
                    return

    async def decide(self, character: Character, side: Side, limit_s: float) -> str:
        """Let ``side``, which follows, decide. Nothing new may be sent of the character meanwhile;
        "" or what is in the way, and then nothing has changed."""
        ends_s = self._move.now_s() + limit_s
        if not await self._answered(character, limit_s):
            return f"an operation of it was not answered within {limit_s:g} s"
        if reason := await self._level(character, side, ends_s - self._move.now_s()):
            return reason
        with self._move.lock:
            if character.in_flight or character.is_doubtful or character.is_lost:
                return "it is not known what the deciding side has"
            if not self._followers[side].is_idle(character.guid):
                return "a write to the other side is on its way"
            before, after = character.mode, followed_mode(side)
        if reason := await self._book(character, after):
            return reason
        with self._move.lock:
            character.mode = after
            self._followers[side].forget(character.guid, "the side decides now")
            self._followers[side.other].follow(character, is_joined=True, is_behind=False)
            self._move.mark(character, False)
        self._move.tell(self._move.witness.flipped, character.guid, before, after)
        return ""

    async def _answered(self, character: Character, limit_s: float) -> bool:
        """Until nothing of a character is on its way to the side that decides."""
        with self._move.lock:
            if not character.in_flight:
                return True
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            character.idle.append(future)
        try:
            async with asyncio.timeout(limit_s):
                await future
        except TimeoutError:
            return False
        return True

    async def _level(self, character: Character, side: Side, limit_s: float) -> str:
        """Until ``side`` has what was decided; "" or what is in the way."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with self._move.lock:
            self._followers[side].ask(character.guid, partial(self._move.wake, future))
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                return await future
        except TimeoutError:
            return f"the {side.value} side was not level within {limit_s:.1f} s"

    async def _book(self, character: Character, mode: MigrationMode) -> str:
        """Write down who decides; "" or why it is not written."""
        move = self._move
        guid = character.guid
        try:
            await move.ask_book(move.book.change, guid, move.holder, mode)
            return ""
        except BookError as error:
            reason = str(error)
        while True:
            try:
                entry = await move.ask_book(move.book.read, guid)
            except BookError as error:
                log.error("character %d is held until the book can be read: %s", guid, error)
                await asyncio.sleep(BOOK_PAUSE_S)
                continue
            if entry.holder != move.holder:
                with move.lock:
                    self._operations.lost(character)
                return f"another world has it: {reason}"
            return "" if entry.mode is mode else reason

    # For one operation over characters of both sides

    def _unite_soon(self, waiting: Waiting) -> None:
        """With the lock: an operation is at the head of its characters' queues."""
        for one in waiting.characters:
            one.pinned += 1
        waiting.handle.add_done_callback(partial(self._unpin, waiting))
        try:
            self._move.spawn(self._unite(waiting))
        except LinkError as error:
            self._operations.give_up(waiting, str(error))

    async def _unite(self, waiting: Waiting) -> None:
        reasons = await asyncio.gather(
            *(self._bring_to_new(one) for one in waiting.characters), return_exceptions=True
        )
        failed = [
            f"character {one.guid} could not be brought to the new side: {reason}"
            for one, reason in zip(waiting.characters, reasons, strict=True)
            if reason
        ]
        if failed:
            text = "; ".join(failed).rstrip(".")
            self._operations.give_up(
                waiting,
                "an operation over characters of both sides is not saved, its changes are unsaved "
                f"as before: {text}. Commit again.",
            )
        else:
            self._operations.send_united(waiting)
        with self._move.lock:
            # It may have been refused while they were brought to one side.
            for one in waiting.characters:
                self.consider(one)

    async def _bring_to_new(self, character: Character) -> str:
        async with character.step:
            if character.mode.decider is Side.NEW:
                return ""
            if not character.mode.is_followed and (reason := await self.begin_to_follow(character)):
                return reason
            return await self.decide(character, Side.NEW, self._move.settings.flip_timeout_s)

    def _unpin(self, waiting: Waiting, _: OperationHandle) -> None:
        with self._move.lock:
            for one in waiting.characters:
                one.pinned -= 1
                self.consider(one)
