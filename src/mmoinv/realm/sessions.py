"""Which link of this realm holds which character, and how one changes hands.

A character that another link of this realm holds is asked back first; whoever does not answer
in time is fenced out. The database has the last word on every session; this is what the realm
remembers of it. Knows links only as `Holder`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mmoinv.realm.group_commit import Answer, JoinFailed, Result
from mmoinv.stores import Entry, JoinEntry, JoinOutcome, LeaveEntry, Verdict

log = logging.getLogger("mmoinv.realm")

MAX_WISHES = 16
"""Joins of one character that may wait for each other."""
STOPPING = JoinFailed(Verdict.DATABASE_UNAVAILABLE, "the realm is stopping")


class HeldEpochs:
    """The session epochs that one link holds, looked up for many characters at once."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}
        self._sorted: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]] | None = None

    def __len__(self) -> int:
        return len(self._epochs)

    def __iter__(self) -> Iterator[int]:
        return iter(self._epochs)

    def put(self, character_guid: int, epoch: int) -> None:
        """The link holds the character from now on."""
        self._epochs[character_guid] = epoch
        self._sorted = None

    def drop(self, character_guid: int) -> None:
        """The link no longer holds the character."""
        self._epochs.pop(character_guid, None)
        self._sorted = None

    def epoch_of(self, character_guid: int) -> int:
        """The epoch of one character, 0 if the link does not hold it."""
        return self._epochs.get(character_guid, 0)

    def of(self, character_guids: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
        """The epoch for each guid, 0 where the link holds none."""
        if self._sorted is None:
            guids = np.array(list(self._epochs), np.uint64)
            order = np.argsort(guids)
            self._sorted = guids[order], np.array(list(self._epochs.values()), np.uint32)[order]
        guids, epochs = self._sorted
        if not len(guids):
            return np.zeros(len(character_guids), np.uint32)
        index = np.minimum(np.searchsorted(guids, character_guids), len(guids) - 1)
        return np.where(guids[index] == character_guids, epochs[index], 0).astype(np.uint32)


class Holder(Protocol):
    """What the sessions ask of a link."""

    @property
    def world_id(self) -> int:
        """The world that logged on."""
        ...

    @property
    def process_nonce(self) -> int:
        """Of the world's process."""
        ...

    @property
    def held(self) -> HeldEpochs:
        """What it holds; kept by `Sessions`."""
        ...

    def ask_to_leave(self, character_guid: int, session_epoch: int) -> None:
        """Another world wants the character."""
        ...

    def answer_join(self, character_guid: int, result: Result) -> bool:
        """Say what became of a join; whether the link could be told that it was granted."""
        ...


class _Wish:
    """One join on its way. ``timer`` runs while another link is asked to leave."""

    def __init__(self, link: Holder, character_guid: int, session_epoch: int) -> None:
        self.link = link
        self.character_guid = character_guid
        self.session_epoch = session_epoch
        self.timer: asyncio.TimerHandle | None = None
        self.is_lost = False


class _Held(NamedTuple):
    link: Holder
    epoch: int


class Sessions:
    """The sessions of one realm process."""

    def __init__(self, submit: Callable[[Entry, Answer], None], leave_timeout_s: float) -> None:
        self._submit = submit
        self._leave_timeout_s = leave_timeout_s
        self._held: dict[int, _Held] = {}
        self._wishes: dict[int, deque[_Wish]] = {}
        self._closing = False
        self.on_gone: Callable[[int], object] = lambda character_guid: None
        """Told of each character that a link holds no longer, or under another epoch."""

    def __len__(self) -> int:
        return len(self._held)

    def holder(self, character_guid: int) -> tuple[Holder, int] | None:
        """The link that holds a character, and the epoch."""
        return self._held.get(character_guid)

    def request_join(self, link: Holder, character_guid: int, session_epoch: int) -> None:
        """A link wants a character; it is answered by `Holder.answer_join`, once."""
        wishes = self._wishes.setdefault(character_guid, deque())
        if len(wishes) >= MAX_WISHES:
            message = f"{len(wishes)} joins of character {character_guid} wait already"
            link.answer_join(character_guid, JoinFailed(Verdict.OVERLOADED, message))
            return
        wishes.append(_Wish(link, character_guid, session_epoch))
        if len(wishes) == 1:
            self._begin(wishes[0])

    def character_left(self, link: Holder, character_guid: int, session_epoch: int) -> None:
        """A link gives a character back; of an older epoch it means nothing."""
        self._submit(
            LeaveEntry(character_guid, link.world_id, session_epoch), lambda _first, _result: None
        )
        held = self._held.get(character_guid)
        if held is not None and held.link is link and held.epoch == session_epoch:
            self._forget(character_guid)

    def link_lost(self, link: Holder) -> None:
        """A link is gone: it holds nothing any more. The database keeps its sessions, so that
        the world can re-claim them."""
        for wishes in self._wishes.values():
            for wish in wishes:
                wish.is_lost |= wish.link is link
        for character_guid in list(link.held):
            self._forget(character_guid)

    def close(self) -> None:
        """Refuse the joins that wait for another link to leave, and all that come."""
        self._closing = True
        for wish in [wishes[0] for wishes in self._wishes.values()]:
            if wish.timer is not None:
                wish.timer.cancel()
                self._decided(wish, STOPPING)

    def _begin(self, wish: _Wish) -> None:
        if self._closing:
            self._decided(wish, STOPPING)
            return
        held = self._held.get(wish.character_guid)
        if held is None or held.link is wish.link or wish.session_epoch:
            self._fence(wish)
            return
        wish.timer = asyncio.get_running_loop().call_later(
            self._leave_timeout_s, self._fence_late, wish
        )
        held.link.ask_to_leave(wish.character_guid, held.epoch)

    def _fence_late(self, wish: _Wish) -> None:
        log.warning(
            "character %d: its world did not give it back within %g s and is fenced out",
            wish.character_guid,
            self._leave_timeout_s,
        )
        self._fence(wish)

    def _fence(self, wish: _Wish) -> None:
        if wish.timer is not None:
            wish.timer.cancel()
            wish.timer = None
        if wish.is_lost:
            self._next(wish.character_guid)
            return
        entry = JoinEntry(
            wish.character_guid, wish.link.world_id, wish.link.process_nonce, wish.session_epoch
        )
        self._submit(entry, lambda _first, result: self._decided(wish, result))

    def _decided(self, wish: _Wish, result: Result) -> None:
        guid = wish.character_guid
        if isinstance(result, JoinOutcome):
            # Whoever held it is fenced out by the new epoch.
            before = self._held.pop(guid, None)
            if before is not None:
                before.link.held.drop(guid)
                if before != (wish.link, result.epoch):
                    self.on_gone(guid)
        if not wish.is_lost and wish.link.answer_join(guid, result):
            assert isinstance(result, JoinOutcome)
            self._held[guid] = _Held(wish.link, result.epoch)
            wish.link.held.put(guid, result.epoch)
        self._next(guid)

    def _next(self, character_guid: int) -> None:
        wishes = self._wishes[character_guid]
        wishes.popleft()
        if wishes:
            self._begin(wishes[0])
        else:
            del self._wishes[character_guid]

    def _forget(self, character_guid: int) -> None:
        held = self._held.pop(character_guid, None)
        if held is not None:
            held.link.held.drop(character_guid)
            self.on_gone(character_guid)
        wishes = self._wishes.get(character_guid)
        if wishes and wishes[0].timer is not None:
            self._fence(wishes[0])
