"""The side that does not decide: what was decided is written there too, in a thread of its own.

Nobody waits for it. What reached the deciding side is taken here (`Follower.add`), gathered per
character while a write of that character is on its way, and written. Only one write of a character
is on its way, ever: also one that timed out keeps its characters to itself until it has ended,
since it may still be applied, and must not be applied after a newer one. What fails or is refused
is a miss: the character is *behind*, and everything it has is written anew, after growing pauses,
until that worked. So a side that fails or hangs costs a bounded number of records, and one note for
each joined character.

Money of what is written whole is made equal by difference. The flag CONSERVE is not passed on:
several operations may be one write here.
"""

import itertools
import logging
import random
from collections import deque
from collections.abc import Callable

import numpy as np

from mmoinv.commits import CurrencyDelta, OwnReason
from mmoinv.errors import DuplicateItemGuidError, JoinError, StaleSessionError
from mmoinv.migration.bundles import WHOLE, Followed, Job, Part
from mmoinv.migration.modes import Side
from mmoinv.migration.move import Held, Move, reason_of
from mmoinv.migration.owed import Owed
from mmoinv.repository import CharacterChanges
from mmoinv.repository.changes import NO_SLOTS, checked_money

log = logging.getLogger("mmoinv.migration")


class Follower(Owed):
    """Writes to one side what the other one has decided."""

    def __init__(self, move: Move, side: Side) -> None:
        super().__init__(move, side)
        self._answers: deque[Job] = deque()
        self._running: set[Job] = set()
        self._share = 0.0

    # Writing. In the side's own thread, without the lock but where it says so.

    def _pump(self) -> None:
        while True:
            with self._move.lock:
                answered = list(itertools.islice(self._answers, 64))
                for _ in answered:
                    self._answers.popleft()
                jobs = self._jobs()
                asked = self._asked.popleft() if self._asked else None
                if not (answered or jobs or asked):
                    self._is_planned = False
                    return
            for job in answered:
                self._guarded(self._finish, job)
            for job in jobs:
                self._guarded(self._start, job)
            if asked is not None:
                self._verify(asked)

    def _guarded(self, step: Callable[[Job], None], job: Job) -> None:
        try:
            step(job)
        except Exception as error:
            log.exception("a write to the %s side failed", self.side.value)
            self._missed(job, error)

    def _jobs(self) -> list[Job]:
        """With the lock: what can be written now."""
        jobs: list[Job] = []
        now = self._move.now_s()
        while self._ready and len(self._running) < self._move.settings.max_in_flight:
            bundle = self._ready.popleft()
            bundle.is_queued = False
            if bundle.is_gone:
                continue
            followed = [self._followed[guid] for guid in bundle.parts]
            if any(one.job is not None for one in followed):
                continue  # It comes again when that has ended.
            bundle.is_gone = True
            self._waiting_records -= bundle.records
            expected = {}
            for one in followed:
                assert one.character is not None
                held = Held(one.character.items, dict(one.character.balances))
                expected[one.guid] = (held, one.character.mode)
            job = Job(bundle, followed, expected, now)
            for one in followed:
                one.bundle, one.job = None, job
            self._running.add(job)
            jobs.append(job)
        return jobs

    def _start(self, job: Job) -> None:
        if self.side is Side.LEGACY:
            self._check_held(job)
        changes = []
        for guid, part in job.bundle.parts.items():
            change = self._whole(job, guid) if part is WHOLE else part
            if not change.is_empty:
                changes.append(change)
        if self.side is Side.LEGACY:
            for guid in job.expected:
                self._move.tell(self._move.witness.used, guid, self.side)
        try:
            handle = self._way.repository.commit_changes(changes, job.bundle.reason)
        except Exception as error:
            self._missed(job, error)
            return
        job.handle = handle
        handle.add_done_callback(lambda _: self._answered(job))

    def _check_held(self, job: Job) -> None:
        """The old way fences nobody out. What has waited long must not be written whole over what
        another world writes there since: the book says whose a character is."""
        for one in job.followed:
            if (
                job.bundle.parts[one.guid] is WHOLE
                and self._move.book.read(one.guid).holder != self._move.holder
            ):
                if one.character is not None:
                    one.character.is_lost = True
                raise JoinError(f"character {one.guid} is another world's now", one.guid)

    def _whole(self, job: Job, guid: int) -> CharacterChanges:
        held, _ = job.expected[guid]
        items = held.items
        if job.bundle.is_cleared_first:
            there = self._way.repository.load_items(guid)
            items = items[np.isin(items["item_guid"], there["item_guid"])]
        money: tuple[CurrencyDelta, ...] = ()
        if self._move.keeps_money:
            there_money = self._way.repository.load_balances(guid)
            money = checked_money(
                {
                    currency: held.balances.get(currency, 0) - there_money.get(currency, 0)
                    for currency in {*held.balances, *there_money}
                }
            )
        return CharacterChanges(guid, items, NO_SLOTS, True, money)

    def _answered(self, job: Job) -> None:
        with self._move.lock:
            self._answers.append(job)
            self._plan()

    def _finish(self, job: Job) -> None:
        """The side has answered."""
        assert job.handle is not None
        if job.handle.exception is not None:
            self._missed(job, job.handle.exception)
            return
        levels: dict[int, bool] = {}
        is_sampled = self._is_sampled()
        for one in job.followed:
            is_whole = job.bundle.parts[one.guid] is WHOLE
            if job.is_missed or job.bundle.is_cleared_first:
                continue
            if is_sampled or is_whole or one.asking:
                try:
                    levels[one.guid] = self._compare(job, one, is_whole)
                except Exception as error:
                    self._missed(job, error)
                    return
        with self._move.lock:
            for one in job.followed:
                if one.guid in levels:
                    self._compared(job, one, levels[one.guid])
                elif job.bundle.is_cleared_first and one.is_joined and one.character is not None:
                    again = self._wait({one.guid: WHOLE}, None, OwnReason.MADE_UP)
                    again.attempts = max(again.attempts, job.bundle.attempts)
            self._release(job)

    def _is_sampled(self) -> bool:
        self._share += self._move.settings.compare_share
        if self._share < 1:
            return False
        self._share -= 1
        return True

    def _compare(self, job: Job, one: Followed, is_whole: bool) -> bool:
        expected, mode = job.expected[one.guid]
        character = one.character
        if character is None:
            return True
        found = self._way.stored(one.guid)
        if is_whole and self._move.is_same(expected, found):
            return True
        number = job.bundle.operation_id
        return self._move.compared(character, "commit", number, expected, found, mode)

    def _compared(self, job: Job, one: Followed, is_level: bool) -> None:
        """With the lock: a write has been compared."""
        if one.character is None:
            return
        if job.bundle.parts[one.guid] is WHOLE:
            one.is_unequal = not is_level
            was_behind, one.is_behind = one.is_behind or one.is_diverged, False
            one.is_diverged = not is_level
            self._move.mark(one.character, False)
            if was_behind and is_level:
                self.made_up_count += 1
                self._move.tell(self._move.witness.made_up, one.guid, self.side)
            if not is_level:
                self._resolve(one, "what was written whole is not what is read afterwards")
        elif is_level:
            one.is_diverged = one.is_unequal = False
        elif not one.is_unequal:
            # Whatever it was, it is put right; that it was stands in the evidence.
            one.is_diverged = True
            self._wait({one.guid: WHOLE}, job.bundle.operation_id, OwnReason.MADE_UP)
        else:
            self._resolve(one, "the sides differ, and writing everything did not help")

    def _release(self, job: Job) -> None:
        """With the lock: its characters may be written again."""
        self._running.discard(job)
        for one in job.followed:
            one.job = None
            if one.character is None:
                del self._followed[one.guid]
            elif one.bundle is not None:
                self._queue(one.bundle)
            elif one.asking:
                self._verify_soon(one)
        if self._ready:
            self._plan()

    def _missed(self, job: Job, error: BaseException) -> None:
        """A write failed or was refused: everything is to be written, later."""
        with self._move.lock:
            if not job.is_missed:
                self._mark_missed(job, reason_of(error))
            is_duplicate = isinstance(error, DuplicateItemGuidError)
            is_lost = self._way.has_joins and isinstance(error, JoinError | StaleSessionError)
            for one in job.followed:
                if one.bundle is not None:
                    one.bundle.is_cleared_first = is_duplicate and not job.bundle.is_cleared_first
                if one.character is not None and (is_lost or one.character.is_lost):
                    # Another world has it there. It is joined anew at the next login.
                    one.is_joined = False
                    self._drop_bundle_part(one)
            self._release(job)

    def _mark_missed(self, job: Job, reason: str) -> None:
        """With the lock."""
        job.is_missed = True
        attempts = job.bundle.attempts + 1
        settings = self._move.settings
        pause_s = min(settings.retry_longest_s, settings.retry_first_s * 2 ** min(attempts - 1, 20))
        parts: dict[int, Part] = {}
        for one in job.followed:
            if one.character is None or not one.is_joined:
                continue
            self._behind(one, reason, job.bundle.operation_id)
            self._resolve(one, reason)
            parts[one.guid] = WHOLE
        if parts:
            bundle = self._wait(parts, job.bundle.operation_id, OwnReason.MADE_UP)
            bundle.attempts = max(bundle.attempts, attempts)
            bundle.not_before_s = self._move.now_s() + pause_s * random.uniform(0.75, 1.25)

    def _verify(self, followed: Followed) -> None:
        """Somebody wants to know whether a character is level."""
        with self._move.lock:
            followed.is_asked_queued = False
            character = followed.character
            if character is None or not followed.asking:
                return
            if followed.bundle is not None or followed.job is not None:
                return  # That is looked at when it has ended.
            expected = Held(character.items, dict(character.balances))
            mode = character.mode
        reason, is_level = "", False
        try:
            found = self._way.stored(followed.guid)
            is_level = self._move.is_same(expected, found) or self._move.compared(
                character, "commit", None, expected, found, mode
            )
        except Exception as error:
            reason = reason_of(error)
        with self._move.lock:
            if not is_level and followed.is_unequal:
                reason = reason or "the sides differ, and writing everything did not help"
            if is_level or reason:
                self._resolve(followed, reason)
            elif followed.character is not None and followed.is_joined:
                self.make_up(followed.guid)

    # Time passes

    def look(self) -> None:
        """What took too long is missed; what has waited long enough is tried again."""
        now = self._move.now_s()
        with self._move.lock:
            limit_s = self._move.settings.follower_timeout_s
            for job in tuple(self._running):
                if not job.is_missed and now - job.started_s > limit_s:
                    self._mark_missed(job, f"no answer within {limit_s:g} s")
            due = [bundle for bundle in self._later if bundle.not_before_s <= now]
            if due:
                self._later = [one for one in self._later if one.not_before_s > now]
                for bundle in due:
                    bundle.is_later = False
                    self._queue(bundle)
