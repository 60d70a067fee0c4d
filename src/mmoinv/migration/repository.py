"""`MigratingRepository`: one repository over two, while a game moves from one to the other.

Who decides, when it changes, and what is owed to the side that does not decide is in the files
beside this one; how anything is stored is the two repositories' own business.

Why nothing is lost and nothing doubled, whatever fails and whenever the process is killed:

- At any moment **one** side decides for a character, and the book says which. A commit ends with
  that side's answer, and with nothing else: what was answered is at the side that the book names.
- What the game loads is what that side has. The other one is never read to find out what a
  character owns; it only lends names (item guids) to records that have none.
- The other side gets what was decided *after* the answer. Killed in between, it lacks that, and the
  next join sees it: both sides are compared at each join, and made equal from the one that decides.
- Who decides changes only while nothing of the character is on its way to either side, after the
  other side was read and found equal, and the book is synced before the first operation under the
  new decider (see `mmoinv.migration.flips`).
- Only one write of a character is on its way to the side that follows. One that timed out blocks
  the character there until it has ended: a late one can never undo a newer one.
- An operation over several characters is decided by one side, whole. If its characters are decided
  by different sides, they are brought to one first, or it is refused.
- What the deciding side refused reaches neither; what waited behind it is refused with it.

What it cannot do: fence the old way. Two worlds that have a character joined at once are kept apart
by the realm as soon as the new side takes part, and the book lets only its holder change who
decides; in the mode `legacy` it is the old way's own protection, as before.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from mmoinv.codec import sort_by_slot
from mmoinv.errors import JoinError
from mmoinv.migration.arrivals import Arrivals
from mmoinv.migration.book import Book, BookEntry
from mmoinv.migration.character import Character, MovingCharacter
from mmoinv.migration.flips import Flips
from mmoinv.migration.follower import Follower
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.move import Coming, Move, Way
from mmoinv.migration.names import GUID, Mint, Names
from mmoinv.migration.operations import Operations
from mmoinv.migration.rules import ModeRules
from mmoinv.migration.settings import MigrationSettings
from mmoinv.migration.witness import NoEvidence, Witness
from mmoinv.records import Batch
from mmoinv.repository import (
    CharacterChanges,
    InventoryRepository,
    OperationHandle,
    TransactionalRepository,
)

log = logging.getLogger("mmoinv.migration")

SLICE = 500
"""Characters that are looked at in one turn of the event loop when the rules have changed."""


class MigratingRepository(TransactionalRepository):
    """An `InventoryRepository` over ``legacy`` and ``new``, in the mode that ``rules`` give each
    character.

    ``book`` keeps who decides; it must outlive the process, and be one for all worlds between which
    characters move. ``evidence`` is told what happens. ``mint`` gives item guids for records of the
    old side that have none (`RealmConnector.new_item_guids`). ``join_new`` and ``leave_new`` are
    the connector's, ``join_legacy`` and ``leave_legacy`` likewise; a repository that has ``join``
    and ``leave`` of its own (`WholeInventories`) needs none given. ``never_kept`` are record fields
    that the old side does without. A legacy repository whose ``keeps_money`` is False has no
    balances: then money is only the new side's.

    `join` a character before anything else, and `leave` at its end; both belong to one event loop,
    which must go on running. Commits may come from any thread, and never wait. ``async with`` it,
    or `close`.
    """

    def __init__(
        self,
        legacy: InventoryRepository,
        new: InventoryRepository,
        *,
        rules: ModeRules,
        book: Book,
        evidence: Witness | None = None,
        mint: Mint | None = None,
        join_new: Coming | None = None,
        leave_new: Coming | None = None,
        join_legacy: Coming | None = None,
        leave_legacy: Coming | None = None,
        never_kept: Collection[str] = (GUID,),
        settings: MigrationSettings | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.rules = rules
        self.settings = settings or MigrationSettings()
        ways = {
            Side.LEGACY: Way(
                Side.LEGACY,
                legacy,
                join_legacy or getattr(legacy, "join", None),
                leave_legacy or getattr(legacy, "leave", None),
                getattr(legacy, "keeps_money", True),
                not legacy.names_items or new.names_items,
            ),
            Side.NEW: Way(
                Side.NEW,
                new,
                join_new or getattr(new, "join", None),
                leave_new or getattr(new, "leave", None),
                getattr(new, "keeps_money", True),
                True,
            ),
        }
        self._names = Names(mint)
        self._move = Move(
            ways, book, evidence or NoEvidence(), self._names, never_kept, self.settings, now
        )
        self.followers = {side: Follower(self._move, side) for side in Side}
        """What is owed to each side while it does not decide."""
        self._operations = Operations(self._move, self.followers)
        self._flips = Flips(self._move, self.followers, self._operations)
        self._arrivals = Arrivals(self._move, self.followers, self._flips, rules.mode_of)
        self._ticking: asyncio.Task[None] | None = None
        self._generation = -1
        self._is_closed = False

    # What there is

    @property
    def names_items(self) -> bool:
        return self._move.ways[Side.NEW].repository.names_items

    def load_items(self, character_guid: int) -> Batch:
        return sort_by_slot(self._joined(character_guid).items)

    def load_balances(self, character_guid: int) -> dict[int, int]:
        return dict(self._joined(character_guid).balances)

    def mode_of(self, character_guid: int) -> MigrationMode:
        """The mode that a joined character is in at this moment, whatever it is to be in."""
        return self._joined(character_guid).mode

    @property
    def held_count(self) -> int:
        """Operations that wait because a character of theirs changes sides."""
        return self._operations.held_count

    def new_item_guids(self, count: int = 1) -> npt.NDArray[np.uint64]:
        """``count`` item guids that were never given before, as a u64 array: those of ``mint``, or
        while the realm was never reached such as no realm gives."""
        return self._names(count)

    # Characters

    async def join(self, character_guid: int) -> MovingCharacter:
        """Join a character at the sides that its mode needs, and give what the deciding one has.

        Raises what the deciding side's join raises, `JoinError` if it is joined here already, and
        `BookError` if it cannot be known who decides. The other side may be slow, hang or fail.
        """
        if self._is_closed:
            raise JoinError("the repository is closed", character_guid)
        self._move.loop = asyncio.get_running_loop()
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(), name="mmoinv migration")
        return await self._arrivals.join(character_guid)

    async def leave(self, character_guid: int) -> None:
        """Wait for the answers to a character's operations, a little for the other side, then let
        it leave both. Meanwhile a commit for it raises `JoinError`."""
        await self._arrivals.leave(character_guid)

    async def created(self, character_guid: int) -> None:
        """A character was created a moment ago and has nothing: it begins in the mode of the rules,
        so that in the mode ``new`` the old side is never asked. Call it before its first `join`."""
        mode = self.rules.mode_of(character_guid)
        book, holder = self._move.book, self._move.holder
        entry: BookEntry = await self._move.ask_book(book.claim, character_guid, holder)
        if entry.mode is not mode:
            await self._move.ask_book(book.change, character_guid, holder, mode)
        await self._move.ask_book(book.release, character_guid, holder, False)

    def session_lost(self, character_guid: int) -> None:
        """Another world has the character (`RealmConnector.on_session_lost`): from now on nothing
        is committed of it here, wherever it would be decided."""
        with self._move.lock:
            character = self._move.characters.get(character_guid)
            if character is not None:
                self._operations.lost(character)

    def reconsider(self, character_guid: int) -> None:
        """Ask the rules again for a joined character: a predicate may see it differently now."""
        with self._move.lock:
            character = self._joined(character_guid)
            self._flips.want(character, self.rules.mode_of(character_guid))

    # Ends

    async def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until nothing is on its way to either side; whether both are level then, as far as
        both are written, and everyone is in the mode of the rules."""
        ends_s = self._move.now_s() + timeout_s
        while True:
            with self._move.lock:
                characters = self._move.characters.values()
                is_idle = (
                    all(not (one.in_flight or one.queue or one.is_moving) for one in characters)
                    and all(follower.is_all_idle for follower in self.followers.values())
                    and not self._flips.unsettled
                )
                behind = sum(follower.behind_count for follower in self.followers.values())
            if (is_idle and not behind) or self._move.now_s() > ends_s:
                return is_idle and not behind
            await asyncio.sleep(0.005)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Write what is still owed to the side that follows, as long as ``timeout_s`` allows, then
        end. Characters that are still joined are compared at their next join. Closing twice is
        fine."""
        if self._is_closed:
            return
        await self.flush(timeout_s)
        self._is_closed = True
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        self._operations.give_up_all("the repository was closed before it was sent")
        with self._move.lock:
            for guid, character in self._move.characters.items():
                character.is_leaving = True
                is_level = not (character.is_behind or character.in_flight) and all(
                    follower.is_idle(guid) for follower in self.followers.values()
                )
                if is_level and character.mode.is_followed:
                    self._move.note(guid, self._move.book.release, False)
        await self._move.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Within

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        return self._operations.submit(changes, reason, conserve)

    def _joined(self, character_guid: int) -> Character:
        character = self._move.characters.get(character_guid)
        if character is None:
            raise JoinError(
                f"character {character_guid} is not joined here; nothing was taken. "
                "Await repository.join(guid) first.",
                character_guid,
            )
        return character

    async def _tick(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                await self._look()
            await asyncio.sleep(self.settings.tick_s)

    async def _look(self) -> None:
        for follower in self.followers.values():
            follower.look()
        self._arrivals.look()
        self._flips.note_again()
        generation = self.rules.refresh()
        if generation != self._generation:
            self._generation = generation
            guids = list(self._move.characters)
            for first in range(0, len(guids), SLICE):
                for guid in guids[first : first + SLICE]:
                    with self._move.lock:
                        character = self._move.characters.get(guid)
                        if character is not None:
                            self._flips.want(character, self.rules.mode_of(guid))
                await asyncio.sleep(0)
        with self._move.lock:
            for character in tuple(self._flips.unsettled):
                self._flips.consider(character)
