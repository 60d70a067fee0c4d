"""What the realm knows to be committed of its characters, so that it need not be read again.

A bounded cache of whole inventories. It is asked with the session epoch and version of the row
that the transaction has locked, or that it knows to be in it, and serves nothing else; what a
transaction changed in it is dropped unless that transaction was committed. Arrays only, no Python
object a character. Knows no database: the group logic in `mmoinv.stores.group` keeps it.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mmoinv.codec import find_keys, find_records
from mmoinv.records import INVENTORY_ITEM, Batch
from mmoinv.stores.entries import JoinEntry, JoinOutcome
from mmoinv.stores.steps import NO_GUIDS, NO_ITEMS, OwnedItems, Sessions, U64Array, Write

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CACHED_CHARACTERS = 32_768
"""Characters that are held by default. Memory is used for those who are: 2 to 6 KB each."""
PLACES = 128
"""Items of a character at most; one that has more is read from the database each time."""
WORDS = INVENTORY_ITEM.itemsize // 8
FREE = NOBODY = -1


class CommittedInventories:
    """The committed inventories and sessions of up to ``characters`` characters; 0 holds nothing.

    Between `begin` and `end` lies one transaction. Not for two threads at once.
    """

    def __init__(self, characters: int = CACHED_CHARACTERS) -> None:
        # Memory that was never written costs nothing.
        self._guid = np.zeros(characters, np.uint64)
        self._epoch = np.zeros(characters, np.uint32)
        self._version = np.zeros(characters, np.uint64)
        self._world = np.zeros(characters, np.int64)
        self._online = np.zeros(characters, np.bool_)
        self._confirmed = np.zeros(characters, np.int64)
        """Since when nobody else can have changed its session row without our knowing."""
        self._alone_since = 0
        self._slot = np.zeros((characters, PLACES), np.int32)
        self._words = np.zeros((characters, PLACES, WORDS), np.uint64)
        self._wide = 1
        """No row has ever had more places taken than so many, the first ones."""
        self._held: U64Array = NO_GUIDS
        """Who is held, ascending, and in which row."""
        self._row: Indices = np.empty(0, np.int64)
        self._unused = list(range(characters))[::-1]
        self._oldest = 0
        self._touched: list[U64Array] = []

    def __len__(self) -> int:
        return len(self._held)

    # The transaction

    def begin(self, is_alone: bool = False) -> None:
        """A transaction begins; one that was not ended came to nothing. ``is_alone``: nobody has
        written session rows since the last one began, but for what went through here."""
        self.end(committed=False)
        if not is_alone:
            self._alone_since += 1

    def touch(self, character_guids: U64Array) -> None:
        """This transaction is about to change these characters."""
        self._touched.append(character_guids)

    def end(self, committed: bool) -> None:
        """It is over. Unless it was certainly committed, all that it touched is dropped."""
        touched, self._touched = self._touched, []
        if not committed:
            for guids in touched:
                self.drop(guids)

    # Asking

    def rows_of(self, character_guids: U64Array) -> Indices:
        """The row of each character, -1 for one that is not held."""
        if not len(self._held):
            return np.full(len(character_guids), NOBODY, np.int64)
        index = np.searchsorted(self._held, character_guids)
        index[index == len(self._held)] = 0
        return np.where(self._held[index] == character_guids, self._row[index], NOBODY)

    def sessions_of(self, rows: Indices) -> tuple[Sessions | None, bool]:
        """The sessions of held characters, ascending, as they were last known; and whether they
        are so for certain. None if one of the rows is -1."""
        if not len(rows) or (rows < 0).any():
            return None, False
        known = Sessions(
            self._guid[rows],
            self._world[rows],
            self._epoch[rows],
            self._version[rows],
            self._online[rows],
        )
        return known, bool((self._confirmed[rows] == self._alone_since).all())

    def confirm(self, rows: Indices, sessions: Sessions) -> None:
        """These rows (none of them -1) are current by the locked session rows."""
        self._world[rows] = sessions.world_id
        self._online[rows] = sessions.online
        self._confirmed[rows] = self._alone_since

    def is_current(self, rows: Indices, epochs: npt.NDArray[np.uint32], versions: U64Array) -> Mask:
        """One bool a row: whether it is what the locked session row says."""
        if not len(self._held):
            return np.zeros(len(rows), np.bool_)
        current: Mask = (rows >= 0) & (self._epoch[rows] == epochs)
        current &= self._version[rows] == versions
        return current

    def items_of(self, rows: Indices) -> OwnedItems:
        """All records of some rows (none of them -1), in any order."""
        if not len(rows):
            return NO_ITEMS
        row, place = np.nonzero(self._slot[rows, : self._wide] != FREE)
        row = rows[row]
        words = self._words[row, place]
        return OwnedItems(self._guid[row], words.reshape(-1).view(INVENTORY_ITEM))

    def items_at(self, rows: Indices, slots: npt.NDArray[np.uint16]) -> tuple[Indices, OwnedItems]:
        """The records in a slot of each row: which of the pairs have one, ascending, and what it
        is. None where the row is -1 or the slot is free."""
        held = np.flatnonzero(rows >= 0)
        if not len(held):
            return held, NO_ITEMS
        if len(held) < len(rows):
            rows, slots = rows[held], slots[held]
        place, records = self._find(rows, slots)
        if len(records) < len(rows):
            found = np.flatnonzero(place != FREE)
            held, rows = held[found], rows[found]
        return held, OwnedItems(self._guid[rows], records)

    def _find(self, rows: Indices, slots: npt.NDArray[np.uint16]) -> tuple[Indices, Batch]:
        """Where in its row each slot is, `FREE` where it isn't; and the records where it is."""
        return find_records(self._slot, self._words, rows, slots, self._wide)

    # Keeping up

    def keep(self, sessions: Sessions, owned: OwnedItems) -> None:
        """Hold characters with exactly the records of ``owned``."""
        if not len(self._guid):
            return
        character_guids = sessions.character_guid
        index = np.searchsorted(character_guids, owned.character_guid)
        fits = np.bincount(index, minlength=len(character_guids)) <= PLACES
        # No more than there are rows; the rest is read again when it is wanted.
        fits &= np.cumsum(fits) <= len(self._guid)
        if not fits.all():
            self.drop(character_guids[~fits])
            owned, index = owned.where(fits[index]), (np.cumsum(fits) - 1)[index[fits[index]]]
            sessions = sessions.where(fits)
            character_guids = sessions.character_guid
        self._touched.append(character_guids)
        rows = self._make_room(character_guids)
        self._epoch[rows] = sessions.epoch
        self._version[rows] = sessions.version
        self.confirm(rows, sessions)
        self._slot[rows] = FREE
        self._fill(rows[index], owned)

    def keep_joined(self, joined: Iterable[tuple[JoinEntry, JoinOutcome]]) -> None:
        """Hold characters, each at most once, as their joins have read them."""
        pairs = sorted(joined, key=lambda pair: pair[0].character_guid)
        if not pairs:
            return
        outcomes = [outcome for _, outcome in pairs]
        guids = np.array([entry.character_guid for entry, _ in pairs], np.uint64)
        memory = b"".join(outcome.items.tobytes() for outcome in outcomes)
        self.keep(
            Sessions(
                guids,
                np.array([entry.world_id for entry, _ in pairs], np.int64),
                np.array([outcome.epoch for outcome in outcomes], np.uint32),
                np.array([outcome.version for outcome in outcomes], np.uint64),
                np.ones(len(pairs), np.bool_),
            ),
            OwnedItems(
                np.repeat(guids, [len(outcome.items) for outcome in outcomes]),
                np.frombuffer(memory, INVENTORY_ITEM),
            ),
        )

    def _make_room(self, character_guids: U64Array) -> Indices:
        """A row for each character: its own, else an unused one, else that of the one which
        was taken up longest ago."""
        rows = self.rows_of(character_guids)
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return rows
        free = self._unused[: -len(new) - 1 : -1]
        del self._unused[len(self._unused) - len(free) :]
        busy = {*rows[rows >= 0].tolist(), *free}
        evicted = []
        while len(free) < len(new):
            row = self._oldest
            self._oldest = (row + 1) % len(self._guid)
            if row not in busy:
                busy.add(row)
                evicted.append(row)
                free.append(row)
        if evicted:
            stays = ~np.isin(self._row, evicted)
            self._held, self._row = self._held[stays], self._row[stays]
        rows[new] = free
        self._guid[rows[new]] = character_guids[new]
        at = np.searchsorted(self._held, character_guids[new])
        self._held = np.insert(self._held, at, character_guids[new])
        self._row = np.insert(self._row, at, rows[new])
        return rows

    def _fill(self, rows: Indices, owned: OwnedItems) -> U64Array:
        """Put each record into a free place of its row; whose row has too few of them."""
        some, group = np.unique(rows, return_inverse=True)
        taken = self._slot[some] != FREE
        order = np.argsort(group, kind="stable")
        first = np.searchsorted(group[order], np.arange(len(some)))
        rank = np.empty(len(rows), np.int64)
        rank[order] = np.arange(len(rows)) - first[group[order]]
        fits = rank < PLACES - taken.sum(axis=1)[group]
        full: U64Array = self._guid[some[np.unique(group[~fits])]]
        if len(full):
            rows, group, rank, owned = rows[fits], group[fits], rank[fits], owned.where(fits)
        place = rank
        if taken.any():
            place = np.argsort(taken, axis=1, kind="stable")[group, rank]
        if len(place):
            self._wide = max(self._wide, int(place.max()) + 1)
        self._slot[rows, place] = owned.items["slot"]
        self._words[rows, place] = _words(owned)
        return full

    def follow(self, write: Write, rows: Indices, versions: U64Array) -> None:
        """Do to the held characters what a `Write` does to the database.

        ``rows`` as `rows_of` has them, and ``versions`` u64, the new ones, both in the order of its
        ``committed_characters``.
        """
        if not len(self._held):
            return
        characters = write.committed_characters
        held = rows >= 0
        if not held.any():
            return
        behind = held & (self._version[rows] + np.uint64(1) != versions)
        if behind.any():
            self.drop(characters[behind])
            rows[behind] = NOBODY
            held &= ~behind
        self._version[rows[held]] = versions[held]

        def held_among(guids: U64Array) -> tuple[Indices, Indices]:
            """Which of them are held, and in which row."""
            row = rows[find_keys(characters, guids)]
            here = np.flatnonzero(row >= 0)
            return here, row[here]

        if len(write.emptied_characters):
            self._slot[held_among(write.emptied_characters)[1]] = FREE
        if len(write.deleted.slot):
            here, row = held_among(write.deleted.character_guid)
            place, _ = self._find(row, write.deleted.slot[here])
            found = place != FREE
            self._slot[row[found], place[found]] = FREE
        if len(write.updated.items):
            here, row = held_among(write.updated.character_guid)
            place, _ = self._find(row, write.updated.items["slot"][here])
            found = place != FREE
            if found.all():
                words = _words(write.updated)
                self._words[row, place] = words if len(here) == len(words) else words[here]
            else:
                self._words[row[found], place[found]] = _words(write.updated)[here[found]]
                lost = np.unique(write.updated.character_guid[here[~found]])
                self.drop(lost)
                rows[find_keys(characters, lost)] = NOBODY
        if len(write.inserted.items):
            here, row = held_among(write.inserted.character_guid)
            if len(here):
                self.drop(self._fill(row, write.inserted.where(here)))

    def drop(self, character_guids: U64Array) -> None:
        """Hold these characters no longer."""
        rows = self.rows_of(character_guids)
        rows = np.unique(rows[rows >= 0])
        if len(rows):
            stays = ~np.isin(self._row, rows)
            self._held, self._row = self._held[stays], self._row[stays]
            self._unused.extend(rows.tolist())

    def drop_all(self) -> None:
        """Hold nobody any longer."""
        self.drop(self._held)


def _words(owned: OwnedItems) -> U64Array:
    words: U64Array = owned.items.view(np.uint64).reshape(-1, WORDS)
    return words
