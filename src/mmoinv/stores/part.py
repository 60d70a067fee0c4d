"""One part of a stage, judged and laid out in bulk: no character is in two of its operations.

Finds out what is refused and why, which item guids are not plainly free, and what has to be
written; what has not changed is not. Pure numpy; the order of steps is in
`mmoinv.stores.group`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.codec import find_keys
from mmoinv.commits import UNKNOWN_OPERATION, CommitFlags, Commits, OperationKind
from mmoinv.records import INVENTORY_ITEM, SLOT, U16_MAX, U64_MAX, Batch, fault_sentence
from mmoinv.stores.committed import NOBODY, CommittedInventories
from mmoinv.stores.completion import complete_items
from mmoinv.stores.entries import MintGuids, Verdict
from mmoinv.stores.history import ledger_rows
from mmoinv.stores.money import MAX_BALANCE, Money
from mmoinv.stores.steps import (
    CHANGEABLE,
    NO_GUIDS,
    NO_ITEMS,
    NO_PLACES,
    LedgerRows,
    Look,
    OwnedItems,
    Places,
    Seen,
    Sessions,
    Slots,
    U64Array,
    Write,
    take_records,
)

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOT_SAVED = "nothing was saved"
WORDS = INVENTORY_ITEM.itemsize // 8
WHOLE_FROM_ITEMS = 12
"""From so many saved records on, all that is stored of the character is read first: what has
not changed then need not be written."""


class Rules(NamedTuple):
    """What holds for all operations of a store. ``max_balance`` of each currency; with
    ``keeps_ledger`` what is written is noted in the ledger too. Operations whose ids are of node
    epochs up to ``forgotten_epoch`` may have been committed and forgotten since."""

    max_balance: int = MAX_BALANCE
    keeps_ledger: bool = True
    forgotten_epoch: int = 0


RULES = Rules()


class Part:
    """Operations of which no two have a character or an operation id in common.

    The methods are called in their order: `look`, perhaps `expected`, `look_again`, `remember`,
    `judge`, `unseen_guids`, perhaps `all_was_seen` and `add_places`, `suspects`, perhaps
    `refuse_duplicate`, `write`, `committed_rows`, `committed_versions`, `note`, `messages`; and
    `confirm` when the sessions are locked.
    """

    def __init__(
        self,
        commits: Commits,
        world_ids: npt.NDArray[np.int64],
        carries_flags: Mask,
        committed: CommittedInventories,
        rules: Rules,
    ) -> None:
        """``world_ids`` has one value a participant, ``carries_flags`` one an operation."""
        self.commits = commits
        self.committed = committed
        self.rules = rules
        self.world_ids = world_ids
        self.carries_flags = carries_flags
        operations, participants = self.commits.operations, self.commits.participants
        self.is_commit: Mask = operations["kind"] == OperationKind.COMMIT
        self.replaces: Mask = (operations["flags"] & CommitFlags.REPLACE) != 0
        self.operation_of: Indices = participants["operation"].astype(np.int64)
        self.characters: U64Array
        self.characters, self.character_of = np.unique(
            participants["character_guid"], return_inverse=True
        )
        self.participant_of_item: Indices = np.repeat(
            np.arange(len(participants)), participants["item_count"]
        )
        self.statuses = np.zeros(len(operations), np.uint8)
        self.versions = np.zeros(len(participants), np.uint64)
        self.conserves: Mask = (operations["flags"] & CommitFlags.CONSERVE) != 0
        self.money = Money(self.commits, self.character_of, self.operation_of)
        self._reasons: dict[int, str] = {}
        """Why operations are refused, by index, where it is known when they are judged."""

    def look(self) -> Look:
        """What must be known of the database, unless it is remembered."""
        participants, items = self.commits.participants, self.commits.items
        saves = self.commits.operations["kind"] == OperationKind.SAVE
        self.is_whole: Mask = (self.replaces | saves)[self.operation_of]
        self.is_whole |= participants["item_count"] >= WHOLE_FROM_ITEMS
        # What was there before must be known: to be added up.
        self.is_whole |= self.conserves[self.operation_of]
        self.cached_rows: Indices = self.committed.rows_of(self.characters)
        if self.rules.keeps_ledger:
            # Or to be noted; it is read by whole characters, so that it is remembered then.
            self.is_whole |= (self.cached_rows < 0)[self.character_of]
        self.whole_characters: Mask = np.zeros(len(self.characters), np.bool_)
        self.whole_characters[self.character_of[self.is_whole]] = True
        some = np.flatnonzero(~self.is_whole[self.participant_of_item])
        guids = items["item_guid"][some]
        owner = self.character_of[self.participant_of_item[some]]
        there, self._before = self.committed.items_at(self.cached_rows[owner], items["slot"][some])
        same = there[self._before.items["item_guid"] == guids[there]]
        in_place = np.zeros(len(some), np.bool_)
        in_place[same] = True
        in_place &= guids != 0
        self.items_in_place: Indices = some[in_place]
        return Look(
            self.characters,
            self.commits.operations["operation_id"],
            guids[~in_place],
            self.characters[self.whole_characters & (self.cached_rows < 0)],
            self.characters[np.unique(self.money.character)],
        )

    def expected(self, look: Look, sessions: Sessions | None) -> Seen | None:
        """What will be seen if nothing unusual is and the ``sessions`` are as they were last known;
        None if that cannot be known before."""
        asks = look.item_guids, look.whole_characters, look.wallet_characters
        if sessions is None or any(map(len, asks)) or not self.is_commit.all():
            return None
        return Seen(sessions, NO_GUIDS, NO_PLACES, NO_ITEMS, NO_GUIDS)

    def look_again(self, seen: Seen) -> Look:
        """What was remembered, but of another epoch or version than the locked rows have."""
        row = find_keys(seen.sessions.character_guid, self.characters)
        self.session_row: Indices = row
        if len(seen.sessions.character_guid):
            sessions = seen.sessions
            current = self.committed.is_current(
                self.cached_rows, sessions.epoch[row], sessions.version[row]
            )
            current &= row >= 0
        else:
            current = np.zeros(len(self.characters), np.bool_)
        outdated = (self.cached_rows >= 0) & ~current
        if outdated.any():
            self.committed.drop(self.characters[outdated])
            self.cached_rows[outdated] = NOBODY
        if self.rules.keeps_ledger:
            self.whole_characters |= outdated
        owner = self.character_of[self.participant_of_item[self.items_in_place]]
        unknown = outdated[owner]
        guids = self.commits.items["item_guid"][self.items_in_place[unknown]]
        self.items_in_place = self.items_in_place[~unknown]
        return Look(NO_GUIDS, NO_GUIDS, guids, self.characters[self.whole_characters & outdated])

    def confirm(self, sessions: Sessions) -> None:
        """The rows of these sessions are locked: what is remembered of them is known to be so."""
        current = np.flatnonzero(self.cached_rows >= 0)
        self.committed.confirm(self.cached_rows[current], sessions.where(self.session_row[current]))

    def remember(self, seen: Seen) -> Seen:
        """Remembers what was read of whole characters, and adds what had been remembered."""
        sessions = seen.sessions
        cached = self.cached_rows >= 0
        # Before anyone is kept: that may take a row of one of these.
        remembered = self.committed.items_of(self.cached_rows[self.whole_characters & cached])
        remembered = remembered.plus(self._touched())
        read = self.whole_characters & ~cached & (self.session_row >= 0)
        if len(seen.damaged_characters):
            read &= ~_is_in(self.characters, seen.damaged_characters)
        if read.any():
            row = self.session_row[read]
            mine = find_keys(self.characters[read], seen.stored.character_guid) >= 0
            stored = seen.stored if mine.all() else seen.stored.where(mine)
            self.committed.keep(sessions.where(row), stored)
            self.cached_rows = self.committed.rows_of(self.characters)
        if len(remembered.items):
            seen = seen._replace(stored=seen.stored.plus(remembered))
        return seen

    def _touched(self) -> OwnedItems:
        """What is remembered of the slots that are written, of characters that are not whole."""
        participants, deletes = self.commits.participants, self.commits.deletes
        some = (self.cached_rows >= 0) & ~self.whole_characters
        saved = self._before
        if not some.all():
            saved = saved.where(some[find_keys(self.characters, saved.character_guid)])
        if not len(deletes):
            return saved
        deleter = self.character_of[
            np.repeat(np.arange(len(participants)), participants["delete_count"])
        ]
        rows = np.where(some[deleter], self.cached_rows[deleter], NOBODY)
        return saved.plus(self.committed.items_at(rows, deletes)[1])

    def judge(self, seen: Seen, mint_guids: MintGuids) -> None:
        """Statuses and present versions by the sessions; completes protocol 3's records."""
        operations, participants = self.commits.operations, self.commits.participants
        sessions = seen.sessions
        row = find_keys(sessions.character_guid, participants["character_guid"])
        known = row >= 0
        stale = ~known
        if len(sessions.character_guid):
            row = np.maximum(row, 0)
            self.versions = np.where(known, sessions.version[row], 0).astype(np.uint64)
            stale |= sessions.epoch[row] != participants["session_epoch"]
            stale |= sessions.world_id[row] != self.world_ids
            stale |= ~sessions.online[row]
        conflict = (self.versions != participants["expected_version"]) & self.is_commit[
            self.operation_of
        ]
        # The later assignment outweighs the earlier ones.
        self.statuses[self.operation_of[conflict]] = Verdict.VERSION_CONFLICT
        self.statuses[self.operation_of[stale]] = Verdict.STALE_SESSION
        self.stale, self.conflict = stale, conflict
        self._say_what_is_unknown()
        self._refuse_currencies_twice()
        self.statuses[operations["fault"] != 0] = Verdict.INVALID
        if len(seen.applied):
            applied = _is_in(operations["operation_id"], seen.applied)
            self.statuses[applied] = Verdict.ALREADY_COMMITTED
        if not self.is_commit.all():
            self.commits = complete_items(self.commits, self.carries_flags, seen.stored, mint_guids)
        self._keep_what_is_stored(seen)
        self._judge_conservation()
        self._judge_money(seen)

    def _refuse(self, operation: int, verdict: Verdict, reason: str) -> None:
        """Unless it is refused already."""
        if self.statuses[operation] == Verdict.COMMITTED:
            self.statuses[operation] = verdict
            self._reasons[operation] = f"{reason}; {NOT_SAVED}"

    def _say_what_is_unknown(self) -> None:
        """A repeated operation that cannot be applied may have been, and be forgotten since."""
        if not self.rules.forgotten_epoch:
            return
        operations = self.commits.operations
        unknown = (operations["flags"] & CommitFlags.REPEATED) != 0
        unknown &= (operations["operation_id"] >> np.uint64(32)) <= self.rules.forgotten_epoch
        unknown &= (self.statuses != Verdict.COMMITTED) & self.is_commit
        self.statuses[unknown] = Verdict.STALE_SESSION
        for index in np.flatnonzero(unknown).tolist():
            self._reasons[index] = (
                f"{UNKNOWN_OPERATION}: operation {int(operations['operation_id'][index]):#x} is "
                "older than what is kept of committed operations; it may have been committed "
                f"then. This time {NOT_SAVED}"
            )

    def _refuse_currencies_twice(self) -> None:
        money = self.money
        for row in money.twice().tolist():
            operation = int(money.operation[row])
            self.statuses[operation] = Verdict.INVALID
            self._reasons[operation] = (
                f"currency {money.currency_id[row]} comes twice for character "
                f"{self.characters[money.character[row]]}; {NOT_SAVED}"
            )

    def _judge_conservation(self) -> None:
        """Over all characters of an operation that is to conserve, the stacks of each entry and
        the money of each currency must stay the same."""
        wanted = self.conserves & (self.statuses == Verdict.COMMITTED)
        if not wanted.any():
            return
        participants, items = self.commits.participants, self.commits.items
        operation_on = np.full(len(self.characters), -1, np.int64)
        operation_on[self.character_of] = self.operation_of
        keys = self.character_of.astype(np.int64) << 16
        saved = np.flatnonzero(wanted[self.operation_of[self.participant_of_item]])
        owner = self.participant_of_item[saved]
        saved_keys = keys[owner] | items["slot"][saved]
        deleter = np.repeat(np.arange(len(participants)), participants["delete_count"])
        touched = np.concatenate([saved_keys, keys[deleter] | self.commits.deletes])
        writer = operation_on[self.stored_key >> 16]
        gone = np.flatnonzero(
            wanted[writer] & (self.replaces[writer] | _is_in(self.stored_key, touched))
        )
        # Of each operation and entry: what comes, and what goes.
        kinds = np.concatenate(
            [
                self.operation_of[owner] << 32 | items["entry"][saved],
                writer[gone] << 32 | self.stored_items["entry"][gone],
            ]
        )
        counts = np.concatenate(
            [
                items["stack_count"][saved].astype(np.float64),
                -self.stored_items["stack_count"][gone].astype(np.float64),
            ]
        )
        found, group = np.unique(kinds, return_inverse=True)
        sums = np.bincount(group, counts, minlength=len(found))
        for row in np.flatnonzero(sums).tolist():
            operation, entry = int(found[row] >> 32), int(found[row] & 0xFFFFFFFF)
            self._refuse(
                operation,
                Verdict.NOT_CONSERVED,
                f"of entry {entry} there would be {abs(int(sums[row]))} "
                f"{'more' if sums[row] > 0 else 'fewer'} than before",
            )
        for row in self.money.not_conserved(wanted).tolist():
            self._refuse(
                int(self.money.operation[row]),
                Verdict.NOT_CONSERVED,
                f"of currency {self.money.currency_id[row]} there would be more or less than "
                "before",
            )

    def _judge_money(self, seen: Seen) -> None:
        money = self.money
        if not len(money):
            return
        poor, rich, before = money.judge(self.characters, seen.balances, self.rules.max_balance)
        for row in np.flatnonzero(poor).tolist():
            self._refuse(
                int(money.operation[row]),
                Verdict.INSUFFICIENT_FUNDS,
                f"character {self.characters[money.character[row]]} has {before[row]} of currency "
                f"{money.currency_id[row]}, and {-int(money.amount[row])} are to be taken",
            )
        for row in np.flatnonzero(rich).tolist():
            self._refuse(
                int(money.operation[row]),
                Verdict.INVALID,
                f"character {self.characters[money.character[row]]} has {before[row]} of currency "
                f"{money.currency_id[row]}, and cannot have {int(money.amount[row])} more: a "
                f"balance may be {self.rules.max_balance}, and nobody has more than 255 currencies",
            )

    def _keep_what_is_stored(self, seen: Seen) -> None:
        stored = seen.stored
        self.stored_key: Indices = find_keys(self.characters, stored.character_guid) << 16
        self.stored_key |= stored.items["slot"]
        self.stored_items = stored.items
        self.is_damaged: Mask = _is_in(self.characters, seen.damaged_characters)
        self.in_place: Mask = np.zeros(len(self.commits.items), np.bool_)
        self.in_place[self.items_in_place] = True
        guids = self.commits.items["item_guid"][self.items_in_place]
        self.places = seen.places
        others = np.flatnonzero(find_keys(guids, stored.items["item_guid"]) < 0)
        if len(others):
            self.add_places(
                Places(
                    stored.items["item_guid"][others],
                    stored.character_guid[others],
                    stored.items["slot"][others].astype(np.int64),
                )
            )

    def add_places(self, places: Places) -> None:
        """More of where items are stored."""
        if len(places.item_guid):
            self.places = self.places.plus(places)

    def unseen_guids(self, seen: Seen) -> U64Array:
        """The item guids that are still to be looked for: those which a character saved whole
        did not have before. What the realm gave to items of protocol 3 is nowhere else."""
        if not self.is_whole.any():
            return NO_GUIDS
        whole = self.is_whole & self.is_commit[self.operation_of]
        guids = self.commits.items["item_guid"][whole[self.participant_of_item]]
        unseen: U64Array = guids[~_is_in(guids, seen.stored.items["item_guid"])]
        return unseen

    def all_was_seen(self, seen: Seen) -> bool:
        """Whether everything that is stored of this part's characters is known: an item guid
        that is not among it can only be with a stranger, and stays there meanwhile."""
        return bool(self.is_whole.all()) and not len(seen.damaged_characters)

    def _lay_out(self) -> None:
        """Everything that is to be written, as keys (index of the character << 16 | slot)."""
        participants, items = self.commits.participants, self.commits.items
        self.alive: Mask = self.statuses == Verdict.COMMITTED
        alive = self.alive[self.operation_of]
        character = self.character_of.astype(np.int64) << 16
        self.live_items: Indices = np.flatnonzero(alive[self.participant_of_item])
        owner = self.participant_of_item[self.live_items]
        self.saved_keys: Indices = character[owner] | items["slot"][self.live_items]
        self.saved_guids: U64Array = items["item_guid"][self.live_items]
        self.saved_by: Indices = self.operation_of[owner]
        self.saved_owner: Indices = owner
        deleter = np.repeat(np.arange(len(participants)), participants["delete_count"])
        live = np.flatnonzero(alive[deleter])
        self.deleted_keys: Indices = character[deleter[live]] | self.commits.deletes[live]
        # Which operation has its hands on which character.
        self.operation_on: Indices = np.full(len(self.characters), -1, np.int64)
        self.operation_on[self.character_of[alive]] = self.operation_of[alive]

        places = self.places
        found = find_keys(self.saved_guids, places.item_guid)
        found[places.item_guid == 0] = -1
        here = np.flatnonzero(found >= 0)
        self.place_item: Indices = found[here]
        self.place_character: Indices = find_keys(self.characters, places.character_guid[here])
        slot = places.slot[here]
        inside = (self.place_character >= 0) & (slot >= 0) & (slot <= U16_MAX)
        self.place_key: Indices = np.where(inside, self.place_character << 16 | slot, -1)
        self.place_index = here

    def suspects(self) -> Indices:
        """Operations with an item guid that comes twice, or is stored in a slot that the
        same operation does not touch. Ascending."""
        self._lay_out()
        suspicious = np.zeros(len(self.statuses), np.bool_)
        for which in self._saved_twice():
            suspicious[self.saved_by[which]] = True
        self._foreign = self._stored_elsewhere()
        suspicious[self.saved_by[self.place_item[self._foreign]]] = True
        return np.flatnonzero(suspicious)

    def _saved_twice(self) -> tuple[Indices, Indices]:
        """Live items whose guid another one before them has; those before them."""
        first = find_keys(self.saved_guids, self.saved_guids)
        again = np.flatnonzero((first != np.arange(len(first))) & (self.saved_guids != 0))
        return again, first[again]

    def _stored_elsewhere(self) -> Mask:
        """One bool a place: whether the operation that saves the guid leaves the place alone."""
        if not len(self.place_key):
            return np.zeros(0, np.bool_)
        writer = self.saved_by[self.place_item]
        same_operation = (self.place_character >= 0) & (
            self.operation_on[self.place_character] == writer
        )
        touched: Mask = (
            self.replaces[writer]
            | _is_in(self.place_key, self.saved_keys)
            | _is_in(self.place_key, self.deleted_keys)
        )
        foreign: Mask = ~(same_operation & touched)
        return foreign

    def refuse_duplicate(self) -> None:
        """Refuse the only operation of this part for the first guid that is not free."""
        places = self.places
        if self._foreign.any():
            place = self.place_index[np.flatnonzero(self._foreign)[0]]
            reason = (
                f"item guid {places.item_guid[place]} is in slot {places.slot[place]} of "
                f"character {places.character_guid[place]} already"
            )
        else:
            twice, _ = self._saved_twice()
            reason = f"item guid {self.saved_guids[twice].min()} is saved twice"
        self._refuse(0, Verdict.DUPLICATE_ITEM_GUID, reason)
        self._lay_out()

    def write(self) -> Write:
        """The changes of everything that is committed; raises their versions in the answer."""
        participants, operations = self.commits.participants, self.commits.operations
        committed = self.alive[self.operation_of]
        self.versions[committed] += np.uint64(1)
        saved = OwnedItems(
            participants["character_guid"][self.saved_owner],
            take_records(self.commits.items, self.live_items),
        )
        same_guid = self.place_key == self.saved_keys[self.place_item]
        stays = self.in_place[self.live_items]
        stays[self.place_item[same_guid]] = True
        # A replacement is spelled out by what is stored, unless not all of that can be read, or
        # nothing of it stays.
        replaced = committed & self.replaces[self.operation_of]
        emptied = replaced & self.is_damaged[self.character_of]
        has_staying = np.zeros(len(participants), np.bool_)
        has_staying[self.saved_owner[stays]] = True
        emptied |= replaced & ~has_staying
        stays &= ~emptied[self.saved_owner]
        bits = self._changed_bits(saved.items)
        unchanged = stays & ~bits.any(axis=1)
        leaving = [self.saved_keys[~stays & ~replaced[self.saved_owner]], self.deleted_keys]
        if replaced.any():
            spelled_out = np.zeros(len(self.characters), np.bool_)
            spelled_out[self.character_of[replaced & ~emptied]] = True
            dropped = spelled_out[self.stored_key >> 16]
            dropped &= ~_is_in(self.stored_key, self.saved_keys[stays])
            leaving.append(self.stored_key[dropped])
        deleted_keys = np.concatenate(leaving)
        self._written = saved.items, unchanged, emptied, deleted_keys
        updated = stays & ~unchanged
        return Write(
            participants["character_guid"][emptied],
            Slots(self.characters[deleted_keys >> 16], (deleted_keys & 0xFFFF).astype(SLOT)),
            saved.where(updated),
            saved.where(~stays),
            participants["character_guid"][committed],
            operations["operation_id"][self.alive],
            self.money.write(self.characters, self.alive[self.money.operation]),
            _changed_fields(bits[updated]),
        )

    def note(self) -> LedgerRows:
        """What the ledger is to know of that."""
        return ledger_rows(self, *self._written)

    def committed_rows(self) -> Indices:
        """Where they are remembered, -1 who is not: as `committed_versions`."""
        return self.cached_rows[self.character_of[self.alive[self.operation_of]]]

    def committed_versions(self) -> U64Array:
        """The new versions, in the order of the `Write`'s ``committed_characters``."""
        return self.versions[self.alive[self.operation_of]]

    def _changed_bits(self, saved: Batch) -> U64Array:
        """Which bits of each live item are others than those of what is stored in its slot, as the
        words of a record; all of them where nothing is. (numpy compares structured arrays field by
        field.)"""
        row = self.stored_row = find_keys(self.stored_key, self.saved_keys)
        known = np.flatnonzero(row >= 0)
        if len(known) == len(row):
            return _words(saved) ^ _words(take_records(self.stored_items, row))
        bits = np.full((len(saved), WORDS), U64_MAX, np.uint64)
        stored = take_records(self.stored_items, row[known])
        bits[known] = _words(saved)[known] ^ _words(stored)
        return bits

    def messages(self) -> dict[int, str]:
        """Why each refused operation was refused."""
        refused = np.flatnonzero(self.statuses > Verdict.ALREADY_COMMITTED)
        return {index: self._message(index) for index in refused.tolist()}

    def _message(self, index: int) -> str:
        if index in self._reasons:
            return self._reasons[index]
        operation = self.commits.operations[index]
        first = int(operation["first_participant"])
        span = slice(first, first + int(operation["participant_count"]))
        participants = self.commits.participants[span]
        match self.statuses[index]:
            case Verdict.STALE_SESSION:
                which = int(np.flatnonzero(self.stale[span])[0])
                return (
                    f"character {participants['character_guid'][which]}: session epoch "
                    f"{participants['session_epoch'][which]} is not held by this world; {NOT_SAVED}"
                )
            case Verdict.VERSION_CONFLICT:
                which = int(np.flatnonzero(self.conflict[span])[0])
                return (
                    f"character {participants['character_guid'][which]}: made on version "
                    f"{participants['expected_version'][which]}, the stored one is "
                    f"{self.versions[span][which]}; {NOT_SAVED}"
                )
        return f"{_fault(operation)}; {NOT_SAVED}"


def _words(items: Batch) -> U64Array:
    words: U64Array = items.view(np.uint64).reshape(-1, WORDS)
    return words


def _changed_fields(bits: U64Array) -> tuple[str, ...]:
    """In which fields any of these records differs from what is stored."""
    record = np.bitwise_or.reduce(bits, axis=0).view(INVENTORY_ITEM)[0]
    return tuple(name for name in CHANGEABLE if record[name])


def _fault(operation: Any) -> str:
    return fault_sentence(int(operation["fault"]), int(operation["fault_slot"]))


def _is_in(values: npt.NDArray[Any], among: npt.NDArray[Any]) -> Mask:
    """One bool a value."""
    found: Mask = find_keys(among, values) >= 0
    return found
