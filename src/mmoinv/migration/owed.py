"""What is owed to the side that does not decide: what waits to be written there, and of whom.

All of it is called with the lock of the `Move`, returns at once and asks the side nothing; what is
ready is written by `mmoinv.migration.follower`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping

from mmoinv.commits import OwnReason
from mmoinv.migration.bundles import WHOLE, Bundle, Followed, Part
from mmoinv.migration.character import Character
from mmoinv.migration.modes import Side
from mmoinv.migration.move import Move, Way
from mmoinv.repository import CharacterChanges


class Owed(ABC):
    """What waits for one side. ``missed_count`` counts writes that failed, were refused or took too
    long, ``made_up_count`` characters that were written whole since, and are level."""

    def __init__(self, move: Move, side: Side) -> None:
        self.side = side
        self.missed_count = 0
        self.made_up_count = 0
        self._move = move
        self._way: Way = move.ways[side]
        self._followed: dict[int, Followed] = {}
        self._ready: deque[Bundle] = deque()
        self._later: list[Bundle] = []
        self._asked: deque[Followed] = deque()
        self._waiting_records = 0
        self._is_planned = False

    @abstractmethod
    def _pump(self) -> None:
        """Write what is ready; called in the side's thread."""

    # What there is

    def get(self, character_guid: int) -> Followed | None:
        """The state of a character that is followed here, or of which a write has not ended."""
        return self._followed.get(character_guid)

    def is_idle(self, character_guid: int) -> bool:
        """Whether nothing of a character waits, or is on its way."""
        followed = self._followed.get(character_guid)
        return followed is None or (followed.bundle is None and followed.job is None)

    @property
    def behind_count(self) -> int:
        """Characters that are followed and known to be behind."""
        return sum(one.is_behind for one in self._followed.values() if one.character is not None)

    @property
    def waiting_records(self) -> int:
        """Changed records and slots that wait to be written."""
        return self._waiting_records

    @property
    def is_all_idle(self) -> bool:
        """Whether nothing waits but what a side that failed must wait for."""
        return all(
            one.job is None and (one.bundle is None or one.bundle.attempts > 0)
            for one in self._followed.values()
        )

    # Which characters

    def follow(self, character: Character, *, is_joined: bool, is_behind: bool) -> None:
        """Write from now on what is decided of a character; if it is behind, everything first."""
        followed = self._followed.get(character.guid)
        if followed is None:
            followed = Followed(character.guid, character, is_joined, is_behind)
            self._followed[character.guid] = followed
        else:
            followed.character = character
            followed.is_joined, followed.is_behind = is_joined, is_behind
            followed.is_unequal = False
        if is_behind:
            self._move.mark(character, True)
            if is_joined:
                self.make_up(character.guid)

    def forget(self, character_guid: int, reason: str) -> None:
        """Write nothing of a character any more. What is on its way ends as it may."""
        followed = self._followed.get(character_guid)
        if followed is None:
            return
        self._drop_bundle_part(followed)
        self._resolve(followed, reason)
        followed.character = None
        if followed.job is None:
            del self._followed[character_guid]

    def add(self, changes: Mapping[int, CharacterChanges], operation_id: int, reason: int) -> None:
        """Take what an operation changed; the characters have it already."""
        parts: dict[int, Part] = {}
        for guid, change in changes.items():
            followed = self._followed.get(guid)
            # Who is not joined there is behind: everything is written once it is.
            if followed is None or followed.character is None or not followed.is_joined:
                continue
            parts[guid] = WHOLE if followed.is_behind else self._kept(change)
        if parts:
            self._wait(parts, operation_id, reason)

    def make_up(self, character_guid: int) -> None:
        """Write everything of a character."""
        followed = self._followed.get(character_guid)
        if followed is not None and followed.is_joined:
            self._hurry(self._wait({character_guid: WHOLE}, None, OwnReason.MADE_UP))

    def ask(self, character_guid: int, callback: Callable[[str], None]) -> None:
        """Call back, from any thread, with "" once the side has what is decided, or with what is
        in the way. If it has something else, everything is written first."""
        followed = self._followed.get(character_guid)
        if followed is None or not followed.is_joined:
            callback(f"the character is not joined at the {self.side.value} side")
            return
        # Whatever was wrong with the side may be mended: it is written whole once more.
        followed.is_unequal = False
        followed.asking.append(callback)
        if followed.bundle is not None:
            self._hurry(followed.bundle)
        elif followed.job is None:
            self._verify_soon(followed)

    def _kept(self, change: CharacterChanges) -> CharacterChanges:
        return change if self._way.keeps_money or not change.money else change._replace(money=())

    # Waiting

    def _wait(self, parts: Mapping[int, Part], operation_id: int | None, reason: int) -> Bundle:
        """Put parts into the bundles of their characters, which become one."""
        bundle: Bundle | None = None
        for guid in parts:
            other = self._followed[guid].bundle
            if other is None or other is bundle:
                continue
            bundle = other if bundle is None else self._joined(bundle, other)
        if bundle is None:
            bundle = Bundle({})
        if operation_id is not None:
            bundle.operation_id, bundle.reason = operation_id, reason
        for guid, part in parts.items():
            followed = self._followed[guid]
            if (
                part is not WHOLE
                and self._waiting_records > self._move.settings.max_waiting_records
            ):
                part = WHOLE
                self._behind(followed, "too much waits for this side", operation_id)
            self._waiting_records += bundle.add(guid, part)
            followed.bundle = bundle
        if bundle.is_too_large:
            bundle = self._apart(bundle)
        self._queue(bundle)
        return bundle

    def _joined(self, one: Bundle, other: Bundle) -> Bundle:
        """Two bundles as one: nobody is in both."""
        for guid, part in other.parts.items():
            one.add(guid, part)
            self._followed[guid].bundle = one
        one.not_before_s = max(one.not_before_s, other.not_before_s)
        one.attempts = max(one.attempts, other.attempts)
        one.is_cleared_first |= other.is_cleared_first
        other.is_gone = True
        return one

    def _apart(self, bundle: Bundle) -> Bundle:
        """Everybody of a bundle that is too large is written whole, each alone."""
        bundle.is_gone = True
        self._waiting_records -= bundle.records
        alone = bundle
        for guid in bundle.parts:
            followed = self._followed[guid]
            alone = Bundle(
                {guid: WHOLE},
                bundle.operation_id,
                OwnReason.MADE_UP,
                bundle.not_before_s,
                bundle.attempts,
                bundle.is_cleared_first,
            )
            followed.bundle = alone
            self._behind(followed, "too much waits together for this side", bundle.operation_id)
            self._queue(alone)
        return alone

    def _drop_bundle_part(self, followed: Followed) -> None:
        bundle, followed.bundle = followed.bundle, None
        if bundle is None:
            return
        before = bundle.records
        bundle.take(followed.guid)
        self._waiting_records += bundle.records - before
        bundle.is_gone = not bundle.parts

    def _hurry(self, bundle: Bundle) -> None:
        bundle.not_before_s = 0.0
        self._queue(bundle)

    def _queue(self, bundle: Bundle) -> None:
        if bundle.is_queued or bundle.is_gone:
            return
        if any(self._followed[guid].job is not None for guid in bundle.parts):
            return  # It is queued when that has ended.
        if bundle.not_before_s and bundle.not_before_s > self._move.now_s():
            if not bundle.is_later:
                bundle.is_later = True
                self._later.append(bundle)
            return
        bundle.is_queued = True
        self._ready.append(bundle)
        self._plan()

    def _verify_soon(self, followed: Followed) -> None:
        if not followed.is_asked_queued:
            followed.is_asked_queued = True
            self._asked.append(followed)
            self._plan()

    def _plan(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            self._way.thread.post(self._pump)

    def _behind(self, followed: Followed, reason: str, operation_id: int | None) -> None:
        """A miss."""
        self.missed_count += 1
        followed.is_behind = True
        if followed.character is not None:
            self._move.mark(followed.character, True)
            self._move.tell(
                self._move.witness.missed, followed.guid, self.side, reason, operation_id
            )

    def _resolve(self, followed: Followed, reason: str) -> None:
        asking, followed.asking = followed.asking, []
        for callback in asking:
            callback(reason)
