"""Characters join and leave: which side has everything, what the other one has, who waits for whom.

A join reads the book first. The side that decides by the book must let the character in, or it is
not joined at all. The other side is waited for only briefly, once: while it is in trouble nobody
who logs in waits for it, and it is joined later. Both sides are compared; where they differ, what
the deciding side has is written to the other one. If the rules want the other side to decide, the
character changes sides before the join returns, or stays where it is for now.

The book is read again after the sides were joined: another world may have changed it until the
realm took the character from it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from mmoinv.errors import BookError, JoinError
from mmoinv.migration.book import BookEntry
from mmoinv.migration.character import Character, MovingCharacter
from mmoinv.migration.flips import Flips
from mmoinv.migration.follower import Follower
from mmoinv.migration.modes import MigrationMode, Side, followed_mode
from mmoinv.migration.move import Held, Move, Way, reason_of
from mmoinv.migration.names import completed
from mmoinv.records import Batch

log = logging.getLogger("mmoinv.migration")

TROUBLE_S = 5.0
"""For so long nobody waits for a side that did not answer in time."""
TRIES = 5
JOINS_AT_ONCE = 16
"""Characters that a side that comes back is given at a time."""


@dataclass(eq=False, slots=True)
class _Absent:
    """A character that the side that does not decide has not let in."""

    character: Character
    due_s: float = 0.0
    pause_s: float = 0.0


class Arrivals:
    """Joins and leaves of one repository."""

    def __init__(
        self,
        move: Move,
        followers: dict[Side, Follower],
        flips: Flips,
        wanted: Callable[[int], MigrationMode],
    ) -> None:
        self._move = move
        self._followers = followers
        self._flips = flips
        self._wanted = wanted
        self._coming: set[int] = set()
        self._absent: dict[int, _Absent] = {}
        """Characters that the other side has not let in yet."""
        self._are_joining = False

    async def join(self, guid: int) -> MovingCharacter:
        """See `MigratingRepository.join`."""
        if guid in self._move.characters or guid in self._coming:
            raise JoinError(f"character {guid} is joined here already", guid)
        self._coming.add(guid)
        joined: set[Side] = set()
        try:
            return await self._join(guid, joined)
        except BaseException:
            with self._move.lock:
                self._gone(guid)
            self._move.note(guid, self._move.book.release, True)
            for side in joined:
                with contextlib.suppress(Exception):
                    await self._move.ways[side].leave(guid)
            raise
        finally:
            self._coming.discard(guid)

    async def _join(self, guid: int, joined: set[Side]) -> MovingCharacter:
        move, wanted = self._move, self._wanted(guid)
        entry, other = await self._let_in(guid, wanted, joined)
        mode = self._mode_at_first(entry, wanted)
        ways = [move.ways[side] for side in mode.sides]
        for way in ways:
            move.tell(move.witness.used, guid, way.side)
        held = await ways[0].read(guid)
        if other and (found := await self._read_other(ways[1], guid)) is not None:
            there: Held | None = found
        else:
            there = None
        items = held.items
        if mode.decider is Side.LEGACY:
            known = items[:0] if there is None else there.items
            items = completed(items, known, move.never_kept, move.names)
        character = Character(guid, mode, wanted, _read_only(items), dict(held.balances))
        if mode is not entry.mode:
            move.note(guid, move.book.change, mode)
            move.tell(move.witness.flipped, guid, entry.mode, mode)
        self._begin(character, entry, there, other)
        if wanted.decider is not mode.decider:
            await self._change_sides(character)
        with move.lock:
            # The rules may have changed meanwhile.
            self._flips.want(character, self._wanted(guid))
            return MovingCharacter(guid, character.mode, character.items, dict(character.balances))

    async def _let_in(
        self, guid: int, wanted: MigrationMode, joined: set[Side]
    ) -> tuple[BookEntry, bool]:
        """Join the sides that are needed; what the book says, and whether the other side is in."""
        move = self._move
        entry = cast(BookEntry, await move.ask_book(move.book.claim, guid, move.holder))
        for _ in range(TRIES):
            mode = self._mode_at_first(entry, wanted)
            for side in joined - set(mode.sides):
                await move.ways[side].leave(guid)
                joined.discard(side)
            if mode.decider not in joined:
                await move.ways[mode.decider].join(guid)
                joined.add(mode.decider)
            follower = mode.decider.other
            if (
                mode.is_followed
                and follower not in joined
                and await self._join_other(move.ways[follower], guid)
            ):
                joined.add(follower)
            before = entry
            entry = cast(BookEntry, await move.ask_book(move.book.claim, guid, move.holder))
            if entry.mode is before.mode and entry.holder == move.holder:
                # That it was held by somebody when it was claimed first is worth knowing.
                return entry._replace(
                    holder=before.holder, is_behind=before.is_behind or entry.is_behind
                ), mode.is_followed and follower in joined
        raise JoinError(
            f"character {guid} is taken by other worlds again and again; it is not joined here",
            guid,
        )

    def _mode_at_first(self, entry: BookEntry, wanted: MigrationMode) -> MigrationMode:
        """The wanted mode, or the one on the way to it in which the book's side decides."""
        return wanted if wanted.decider is entry.decider else followed_mode(entry.decider)

    async def _join_other(self, way: Way, guid: int) -> bool:
        """Whether the side that does not decide let a character in, in time."""
        if self._move.now_s() < way.in_trouble_until_s:
            return False
        try:
            async with asyncio.timeout(self._move.settings.join_wait_s):
                await way.join(guid)
        except Exception as error:
            self._in_trouble(way, guid, error)
            return False
        return True

    async def _read_other(self, way: Way, guid: int) -> Held | None:
        """What the side that does not decide has, None if it is not known in time."""
        if self._move.now_s() < way.in_trouble_until_s:
            return None
        try:
            async with asyncio.timeout(self._move.settings.join_wait_s):
                return await way.read(guid)
        except Exception as error:
            self._in_trouble(way, guid, error)
            return None

    def _in_trouble(self, way: Way, guid: int, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            way.in_trouble_until_s = self._move.now_s() + TROUBLE_S
        log.warning(
            "character %d joins without the %s side: %s", guid, way.side.value, reason_of(error)
        )
        self._move.tell(
            self._move.witness.missed, guid, way.side, f"at join: {reason_of(error)}", None
        )

    def _begin(
        self, character: Character, entry: BookEntry, there: Held | None, is_in: bool
    ) -> None:
        """The character is here: follow it, and make the other side equal if it is not."""
        move, mode = self._move, character.mode
        expected = Held(character.items, dict(character.balances))
        # A side that was not written, or not to the end, differs for a reason that is known.
        is_expected = (
            entry.is_behind
            or entry.holder not in (0, move.holder)
            or not entry.mode.is_followed
            or entry.mode is not mode
        )
        is_level = False
        if there is not None:
            is_level = move.is_same(expected, there)
            if is_level or not is_expected:
                is_level = move.compared(character, "join", None, expected, there, mode)
        with move.lock:
            character.is_behind = entry.is_behind
            move.characters[character.guid] = character
            if not mode.is_followed:
                return
            follower = self._followers[character.follower]
            follower.follow(character, is_joined=is_in, is_behind=not is_level)
            if is_level:
                move.mark(character, False)
            if not is_in:
                self._absent[character.guid] = _Absent(character)

    async def _change_sides(self, character: Character) -> None:
        """By the rules the other side is to decide: before anybody has seen the character."""
        with self._move.lock:
            character.is_moving = True
        try:
            await self._flips.settle(character)
        finally:
            with self._move.lock:
                character.is_moving = False

    # The other side comes later

    def look(self) -> None:
        """Join those that the other side has not let in yet."""
        if self._absent and not self._are_joining:
            self._are_joining = True
            self._move.spawn(self._join_absent())

    async def _join_absent(self) -> None:
        try:
            now = self._move.now_s()
            due = [one for one in self._absent.values() if one.due_s <= now]
            for first in range(0, len(due), JOINS_AT_ONCE):
                await asyncio.gather(*map(self._join_late, due[first : first + JOINS_AT_ONCE]))
        finally:
            self._are_joining = False

    async def _join_late(self, absent: "_Absent") -> None:
        move, character = self._move, absent.character
        async with character.step:
            side = character.follower
            if (
                move.characters.get(character.guid) is not character
                or character.is_leaving
                or not character.mode.is_followed
                or self._absent.get(character.guid) is not absent
            ):
                if self._absent.get(character.guid) is absent:
                    del self._absent[character.guid]
                return
            reason = await self._flips.join_other(character)
            with move.lock:
                if reason:
                    settings = move.settings
                    absent.pause_s = min(
                        settings.retry_longest_s, max(settings.retry_first_s, 2 * absent.pause_s)
                    )
                    absent.due_s = move.now_s() + absent.pause_s
                    return
                self._absent.pop(character.guid, None)
                character.retry_at_s = character.retry_s = 0.0
                self._followers[side].follow(character, is_joined=True, is_behind=True)
                self._flips.consider(character)

    # Leaving

    async def leave(self, guid: int) -> None:
        """See `MigratingRepository.leave`."""
        move = self._move
        with move.lock:
            character = move.characters.get(guid)
            if character is None:
                raise JoinError(f"character {guid} is not joined here", guid)
            character.is_leaving = True
        while character.queue or character.in_flight:
            with move.lock:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                character.idle.append(future)
                if not character.in_flight and not character.queue:
                    break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(move.settings.tick_s):
                    await future
        async with character.step:
            await self._leave(character)

    async def _leave(self, character: Character) -> None:
        move, guid, mode = self._move, character.guid, character.mode
        is_behind = not mode.is_followed or bool(await self._last_word(character))
        with move.lock:
            self._gone(guid)
        try:
            await move.ask_book(move.book.release, guid, move.holder, is_behind)
        except BookError as error:
            # The next join takes it from us, and compares.
            log.error("character %d stays ours in the book: %s", guid, error)
        if mode.is_followed:
            await self._flips.leave_other(guid, character.follower)
        await move.ways[mode.decider].leave(guid)

    def _gone(self, guid: int) -> None:
        """With the lock: the character is here no longer."""
        character = self._move.characters.pop(guid, None)
        self._absent.pop(guid, None)
        for follower in self._followers.values():
            follower.forget(guid, "the character has left")
        if character is not None:
            self._flips.unsettled.discard(character)

    async def _last_word(self, character: Character) -> str:
        """Wait a little for the other side; "" if it has everything."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with self._move.lock:
            self._followers[character.follower].ask(
                character.guid, lambda reason: self._move.wake(future, reason)
            )
        try:
            async with asyncio.timeout(self._move.settings.leave_wait_s):
                return await future
        except TimeoutError:
            return "it did not answer in time"


def _read_only(items: Batch) -> Batch:
    items.flags.writeable = False
    return items
