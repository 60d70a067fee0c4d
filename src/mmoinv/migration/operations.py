"""Operations on their way to the side that decides, in order, and what waits to be sent there.

Usually an operation is handed on at once, and the handle is that side's own. It is held while who
decides for one of its characters is being changed, or while its characters are being brought to one
side; then everything behind it is held too, in order. What is refused takes along what is held
behind it, unsent, as a realm's connector does: the game has made that on top of it.

Knows nothing of how a character is brought to another side.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice

from mmoinv.errors import (
    JoinError,
    LinkBusyError,
    MmoinvError,
    OperationPendingError,
    OperationRefusedError,
    StaleSessionError,
)
from mmoinv.migration.character import Character, Waiting
from mmoinv.migration.follower import Follower
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.move import Move
from mmoinv.repository import CharacterChanges, OperationHandle

log = logging.getLogger("mmoinv.migration")


class Operations:
    """All operations of one `MigratingRepository`.

    ``unite`` is called, with the lock, with an operation whose characters are not decided by one
    side; ``settled`` with a character of which an operation was answered.
    """

    def __init__(self, move: Move, followers: dict[Side, Follower]) -> None:
        self.unite: Callable[[Waiting], None] = lambda _: None
        self.settled: Callable[[Character], None] = lambda _: None
        self._move = move
        self._followers = followers
        self._held_count = 0
        self._being_refused: set[int] = set()
        self._depth = 0
        """More than 0: this thread has the lock for a while yet."""
        self._is_telling = False
        self._endings: deque[Callable[[], object]] = deque()

    @property
    def held_count(self) -> int:
        """Operations that are held."""
        return self._held_count

    def submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        """Take one operation; if it raises, nothing was taken."""
        with self._move.lock:
            self._depth += 1
            try:
                handle = self._take(changes, reason, conserve)
            finally:
                self._depth -= 1
        if self._endings:
            self.tell()
        return handle

    def _take(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        characters = [self._committable(change.character_guid) for change in changes]
        if self._being_refused and not self._being_refused.isdisjoint(
            change.character_guid for change in changes
        ):
            raise LinkBusyError(
                f"an older operation of character {_told(characters)} is being refused at this "
                "moment: nothing was taken, its changes stay unsaved; commit again"
            )
        decider = characters[0].mode.decider
        for one in characters:
            if one.queue or one.is_held or one.mode.decider is not decider:
                break
        else:
            return self._send(characters, changes, reason, conserve)
        if self._held_count >= self._move.settings.max_held:
            raise LinkBusyError(
                f"{self._held_count} operations are held while characters change sides: nothing "
                f"was taken of this one for character {_told(characters)}, its changes stay "
                "unsaved; commit again later"
            )
        handle = OperationHandle(0, [one.guid for one in characters])
        waiting = Waiting(handle, characters, changes, reason, conserve)
        for one in characters:
            one.queue.append(waiting)
        self._held_count += 1
        self._advance(characters)
        return handle

    def _committable(self, guid: int) -> Character:
        character = self._move.characters.get(guid)
        if character is not None and not (character.is_leaving or character.is_lost):
            return character
        state = "is not joined here"
        if character is not None:
            state = "is another world's now" if character.is_lost else "is leaving"
        raise JoinError(
            f"character {guid} {state}; nothing was taken. Await repository.join(guid) first.", guid
        )

    def _send(
        self,
        characters: Sequence[Character],
        changes: Sequence[CharacterChanges],
        reason: int,
        conserve: bool,
    ) -> OperationHandle:
        """With the lock: hand an operation to the side that decides for all its characters."""
        way = self._move.ways[characters[0].mode.decider]
        handle = way.commit(changes, reason, conserve)
        for one in characters:
            one.in_flight += 1
        handle.add_done_callback(partial(self._answered, characters, changes, reason))
        return handle

    # Answers. In whatever thread they come.

    def _answered(
        self,
        characters: Sequence[Character],
        changes: Sequence[CharacterChanges],
        reason: int,
        handle: OperationHandle,
    ) -> None:
        error = handle.exception
        with self._move.lock:
            self._depth += 1
            try:
                for one in characters:
                    one.in_flight -= 1
                    if one.mode.decider is Side.LEGACY:
                        self._move.tell(self._move.witness.used, one.guid, Side.LEGACY)
                if error is None:
                    self._decided(characters, changes, reason, handle.operation_id)
                else:
                    for one in characters:
                        one.is_doubtful |= isinstance(error, OperationPendingError)
                    if isinstance(error, StaleSessionError) and len(characters) == 1:
                        # Of several it is not said whose session is gone.
                        self.lost(characters[0])
                    heads = [one.queue[0] for one in characters if one.queue]
                    self._refuse(heads, error)
                self._advance(characters)
                for one in characters:
                    if not one.in_flight:
                        for future in one.idle:
                            self._move.wake(future)
                        one.idle.clear()
                    self.settled(one)
            finally:
                self._depth -= 1
        self.tell()

    def _decided(
        self,
        characters: Sequence[Character],
        changes: Sequence[CharacterChanges],
        reason: int,
        operation_id: int,
    ) -> None:
        """With the lock: it is saved at the side that decides, and goes to the other one."""
        move = self._move
        followed: dict[int, CharacterChanges] = {}
        for one, change in zip(characters, changes, strict=True):
            if change.replace or len(change.saves) or len(change.deletes):
                items = change.applied_to(one.items)
                items.flags.writeable = False
                one.items = items
            for currency_id, amount in change.money:
                one.balances[currency_id] = one.balances.get(currency_id, 0) + amount
            mode = one.mode
            move.tell(move.witness.committed, one.guid, mode, mode.decider, operation_id)
            if mode is MigrationMode.SHADOW or mode is MigrationMode.PRIMARY:
                followed[one.guid] = change
        if followed:
            self._followers[characters[0].follower].add(followed, operation_id, reason)

    def lost(self, character: Character) -> None:
        """With the lock: another world has a character. Nothing of it is written any more, to
        either side."""
        character.is_lost = True
        for follower in self._followers.values():
            follower.forget(character.guid, "another world has the character")

    # What is held. With the lock.

    def _advance(self, characters: Iterable[Character]) -> None:
        """Send what need not wait any more."""
        open_ends = deque(characters)
        while open_ends:
            one = open_ends.popleft()
            while one.queue:
                waiting = one.queue[0]
                if waiting.is_uniting or any(
                    other.is_held or other.queue[0] is not waiting for other in waiting.characters
                ):
                    break
                deciders = {other.mode.decider for other in waiting.characters}
                if len(deciders) > 1:
                    waiting.is_uniting = True
                    self.unite(waiting)
                    break
                open_ends.extend(self._send_held(waiting))

    def advance(self, characters: Iterable[Character]) -> None:
        """The same from outside: what was held for a change of sides."""
        with self._move.lock:
            self._depth += 1
            try:
                self._advance(characters)
            finally:
                self._depth -= 1
        self.tell()

    def _send_held(self, waiting: Waiting) -> Sequence[Character]:
        """With the lock: an operation that is at the head of all its queues leaves them."""
        self._take_out(waiting)
        self._depth += 1
        try:
            handle = self._send(
                waiting.characters, waiting.changes, waiting.reason, waiting.conserve
            )
        except Exception as error:
            heads = [one.queue[0] for one in waiting.characters if one.queue]
            self._refuse(heads, error)
            self._end_refused([waiting], error)
        else:
            waiting.handle.operation_id = handle.operation_id
            handle.add_done_callback(partial(self._pass_on, waiting))
        finally:
            self._depth -= 1
        return waiting.characters

    def send_united(self, waiting: Waiting) -> None:
        """An operation whose characters are decided by one side now."""
        with self._move.lock:
            self._depth += 1
            try:
                waiting.is_uniting = False
                self._advance(waiting.characters)
            finally:
                self._depth -= 1
        self.tell()

    def give_up(self, waiting: Waiting, reason: str) -> None:
        """An operation cannot be decided by one side: it ends, with what is behind it."""
        with self._move.lock:
            self._depth += 1
            try:
                if not waiting.is_over:
                    error = OperationRefusedError(reason, 0, waiting.handle.character_guids)
                    self._refuse([waiting], error)
                self._advance(waiting.characters)
            finally:
                self._depth -= 1
        self.tell()

    def give_up_all(self, reason: str) -> None:
        """Everything that is held ends, unsent: this is the end."""
        with self._move.lock:
            held = {one for each in self._move.characters.values() for one in each.queue}
        for waiting in held:
            self.give_up(waiting, reason)

    def _take_out(self, waiting: Waiting) -> None:
        waiting.is_over = True
        self._held_count -= 1
        for one in waiting.characters:
            one.queue.remove(waiting)

    def _refuse(self, first: Sequence[Waiting], error: BaseException) -> None:
        """Refuse what is held, and everything that is held behind it, directly or through
        others."""
        refused = list(dict.fromkeys(first))
        open_ends = deque(refused)
        while open_ends:
            waiting = open_ends.popleft()
            for one in waiting.characters:
                place = one.queue.index(waiting)
                for other in islice(one.queue, place + 1, None):
                    if other not in refused:
                        refused.append(other)
                        open_ends.append(other)
        for waiting in refused:
            self._take_out(waiting)
        self._end_refused(refused, error)

    def _end_refused(self, refused: Sequence[Waiting], error: BaseException) -> None:
        for waiting in refused:
            guids = waiting.handle.character_guids
            self._being_refused.update(guids)
            kind = type(error) if isinstance(error, OperationRefusedError) else None
            text = (
                f"an operation of character {', '.join(map(str, guids))} was held, or waited "
                f"behind one that was refused, and was never sent; nothing of it is saved: {error}"
            )
            failure: MmoinvError = (kind or OperationRefusedError)(text, 0, guids)
            self._endings.append(partial(waiting.handle.fail, failure))
        if refused:
            # Until they have been told: a newer commit must not overtake.
            gone = {guid for waiting in refused for guid in waiting.handle.character_guids}
            self._endings.append(partial(self._refused, gone))

    def _refused(self, guids: set[int]) -> None:
        with self._move.lock:
            self._being_refused -= guids

    def _pass_on(self, waiting: Waiting, handle: OperationHandle) -> None:
        error = handle.exception
        if error is None:
            self._endings.append(partial(waiting.handle.succeed, handle.result))
        else:
            self._endings.append(partial(waiting.handle.fail, error))
        self.tell()

    def tell(self) -> None:
        """End the handles that have an answer, in order; never under the lock, and by one thread
        at a time."""
        with self._move.lock:
            if self._depth or self._is_telling:
                return  # Whoever is at it ends these too.
            self._is_telling = True
        while True:
            with self._move.lock:
                if not self._endings:
                    self._is_telling = False
                    return
                ending = self._endings.popleft()
            ending()


def _told(characters: Sequence[Character]) -> str:
    return ", ".join(str(one.guid) for one in characters)
