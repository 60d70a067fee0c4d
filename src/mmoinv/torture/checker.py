"""The checker of a torture run: knows only what worlds wrote down and what is stored in the end.

Proves that every acknowledged change is there, that nothing is half there, that every item exists
once, that sums are right and versions are chains. Pure: journals and arrays in, findings out. Knows
no realm, no database and no rule of the game.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmoinv.torture.journal import ITEM_GUID, SLOT, STACK_COUNT, Answer, Entry, Kept, Sent, Stored
from mmoinv.torture.replay import Contents, Replay, different

COMMITTED = frozenset({0, 1})
"""Statuses that acknowledge: committed, and committed already."""
REFUSED = frozenset({2, 3, 4, 5, 9, 10})
"""Statuses that promise that nothing is there. All others (overloaded, database unavailable,
internal) promise nothing, like no answer."""


@dataclass
class Findings:
    """What a check has found.

    ``operations``: how many were sent. ``acknowledged``: those that were answered as committed.
    ``lost``: acknowledged ones of which something is not there. ``doubled``: items that are
    stored once more than they should be. ``half_applied``: operations that are there for one of
    their characters (or in the list of what was applied) and not for all. ``problems``: all of it
    in words, and what fits none of these numbers: sums, versions, contradictions.
    """

    operations: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    half_applied: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything is there exactly once."""
        return not self.problems


def check(entries: Iterable[Entry], stored: Stored, start: Stored | None = None) -> Findings:
    """Judge what is stored by what was acknowledged.

    ``entries``: all journals' (`read_journals`). ``start``: what was stored before the first
    operation; nothing if it is left out. ``stored`` is to be read when nothing is on its way.
    """
    return _Check(list(entries), stored, start or Stored()).findings()


class _Check:
    """One check: gathers, then looks at one thing after the other."""

    def __init__(self, entries: list[Entry], stored: Stored, start: Stored) -> None:
        self._found = Findings()
        self._stored = stored
        self._start = start
        self._sent: dict[int, Sent] = {}
        self._acknowledged: set[int] = set()
        self._refused: set[int] = set()
        self._take_operations(entry for entry in entries if isinstance(entry, Sent))
        self._take_answers(entry for entry in entries if isinstance(entry, Answer))
        self._unanswered = {entry.operation for entry in entries if isinstance(entry, Kept)} - {
            entry.operation for entry in entries if isinstance(entry, Answer)
        }
        self._listed = set(map(int, stored.applied)) - set(map(int, start.applied))
        self._lost: set[int] = self._acknowledged - self._listed
        self._half: set[int] = set()
        self._present = self._acknowledged | (self._listed & self._sent.keys())

    def findings(self) -> Findings:
        """Everything that is found."""
        self._check_lists()
        self._check_outboxes()
        self._check_doubled()
        self._check_characters()
        self._check_sums()
        found = self._found
        found.operations = len(self._sent)
        found.acknowledged = len(self._acknowledged)
        found.lost = len(self._lost)
        found.half_applied = len(self._half)
        return found

    def _note(self, problem: str) -> None:
        self._found.problems.append(problem)

    # The journals

    def _take_operations(self, entries: Iterable[Sent]) -> None:
        for entry in entries:
            before = self._sent.setdefault(entry.operation, entry)
            # A world's next process may send again what the first one has left.
            if before.changes != entry.changes:
                self._note(
                    f"operation {entry.operation:#x}: its id was given to two different "
                    f"operations, by {before.world} and {entry.world}"
                )

    def _take_answers(self, entries: Iterable[Answer]) -> None:
        for entry in entries:
            sent = self._sent.get(entry.operation)
            if sent is None:
                self._note(f"operation {entry.operation:#x}: answered, but nobody sent it")
                continue
            if entry.status in REFUSED:
                self._refused.add(entry.operation)
            if entry.status not in COMMITTED:
                continue
            self._acknowledged.add(entry.operation)
            # The answer to a repeated operation gives the present versions.
            for change in sent.changes if entry.status == 0 else ():
                version = entry.versions.get(change.character, change.version + 1)
                if version != change.version + 1:
                    self._note(
                        f"operation {entry.operation:#x}, character {change.character:#x}: made "
                        f"on version {change.version}, answered with version {version}"
                    )

    # The list of applied operations

    def _check_lists(self) -> None:
        for operation in sorted(self._lost):
            self._note(
                f"operation {operation:#x} of {self._sent[operation].world}: acknowledged, but "
                "lost: it is not among the applied operations"
            )
        for operation in sorted(self._listed - self._sent.keys()):
            self._note(f"operation {operation:#x}: applied, but nobody sent it")
        for operation in sorted(self._refused & self._acknowledged):
            self._note(f"operation {operation:#x}: both acknowledged and refused")
        for operation in sorted((self._refused - self._acknowledged) & self._listed):
            self._note(f"operation {operation:#x}: refused, but applied")

    def _check_outboxes(self) -> None:
        for operation in sorted(self._unanswered):
            self._note(
                f"operation {operation:#x}: it was on the wire and so in its world's outbox, and "
                "no process of that world was ever answered for it"
            )

    # Items

    def _check_doubled(self) -> None:
        places: defaultdict[int, list[str]] = defaultdict(list)
        for character, batch in self._stored.records.items():
            for slot, guid in zip(batch["slot"].tolist(), batch["item_guid"].tolist(), strict=True):
                if guid:
                    places[guid].append(f"character {character:#x}, slot {slot}")
        self._twice = {guid for guid, where in places.items() if len(where) > 1}
        for guid in sorted(self._twice):
            self._found.doubled += len(places[guid]) - 1
            self._note(f"item {guid:#x}: stored more than once: {'; '.join(places[guid])}")

    # Characters

    def _check_characters(self) -> None:
        replay = Replay(self._sent, self._present, self._start)
        otherwise: set[tuple[int, int]] = set()
        self._alike: defaultdict[int, set[int]] = defaultdict(set)
        stored = self._stored
        known = stored.records.keys() | stored.versions.keys() | stored.wallets.keys()
        for character in sorted(replay.characters | known):
            self._check_versions(character, replay)
            otherwise |= self._check_contents(character, replay)
        for operation in sorted({operation for operation, _ in otherwise}):
            self._judge(operation, otherwise)

    def _check_versions(self, character: int, replay: Replay) -> None:
        expected = self._start.versions.get(character, 0)
        for operation in replay.chain(character):
            version = replay.change(operation, character).version
            if version > expected:
                self._note(
                    f"character {character:#x}: its versions have a gap, nothing led from "
                    f"{expected} to {version}, where operation {operation:#x} was made"
                )
            elif version < expected:
                self._note(
                    f"character {character:#x}: its versions fork, operation {operation:#x} was "
                    f"made on version {version}, which had become {expected}"
                )
            expected = max(expected, version + 1)
        version = int(self._stored.versions.get(character, 0))
        if version != expected:
            self._note(
                f"character {character:#x}: version {version} is stored, its operations lead to "
                f"{expected}"
            )

    def _check_contents(self, character: int, replay: Replay) -> set[tuple[int, int]]:
        """Operations whose presence for this character is not what was taken for true."""
        records = {int(each[SLOT]): each for each in self._records(character)}
        wallet = {
            currency: int(balance)
            for currency, balance in self._stored.wallets.get(character, {}).items()
            if balance
        }
        expected = replay.contents(character)
        if expected == (records, wallet):
            return set()
        explaining = [
            operation
            for operation in self._suspects(character, replay, expected, (records, wallet))
            if replay.contents(character, otherwise=operation) == (records, wallet)
        ]
        if explaining:
            first, *others = explaining
            self._alike[first] |= set(others)
            return {(first, character)}
        self._name_differences(character, replay, (records, wallet))
        return set()

    def _records(self, character: int) -> Sequence[tuple[int, ...]]:
        batch = self._stored.records.get(character)
        return [] if batch is None else batch.tolist()

    def _suspects(
        self, character: int, replay: Replay, expected: Contents, found: Contents
    ) -> list[int]:
        """Operations that speak of all that differs, those first that are the likeliest to be
        there, or missing, against what was taken for true."""
        slots = different(expected[0], found[0])
        currencies = different(expected[1], found[1])

        version = int(self._stored.versions.get(character, 0))

        def unlikelihood(operation: int) -> tuple[bool, bool, bool, int]:
            known = operation in self._acknowledged or operation in self._refused
            return (
                operation not in self._lost,
                not replay.leads_to(version, character, otherwise=operation),
                known,
                -replay.change(operation, character).version,
            )

        return sorted(replay.touching(character, slots, currencies), key=unlikelihood)

    def _judge(self, operation: int, otherwise: set[tuple[int, int]]) -> None:
        """Say what it means that an operation is, or is not, there for some characters."""
        characters = [change.character for change in self._sent[operation].changes]
        there = [
            each
            for each in characters
            if (operation in self._present) != ((operation, each) in otherwise)
        ]
        missing = [each for each in characters if each not in there]
        listed = operation in self._listed
        if missing and operation in self._acknowledged:
            self._lost.add(operation)
        if (there and missing) or (there and not listed) or (missing and listed):
            self._half.add(operation)
        others = ", ".join(f"{each:#x}" for each in sorted(self._alike[operation]))
        alike = f" (or it is operation {others}, which says the same)" if others else ""
        self._note(
            f"operation {operation:#x} of {self._sent[operation].world}, "
            f"{self._answer(operation)}: {self._extent(there, missing, listed)}{alike}"
        )

    def _answer(self, operation: int) -> str:
        if operation in self._acknowledged:
            return "acknowledged"
        return "refused" if operation in self._refused else "unanswered"

    @staticmethod
    def _extent(there: Sequence[int], missing: Sequence[int], listed: bool) -> str:
        where = ", ".join(f"{each:#x}" for each in there) or "none"
        where_not = ", ".join(f"{each:#x}" for each in missing) or "none"
        name = "lost" if not there and not listed else "half applied"
        return (
            f"{name}: its changes are there for characters {where}, missing for {where_not}, and "
            f"it is {'' if listed else 'not '}among the applied operations"
        )

    def _name_differences(
        self,
        character: int,
        replay: Replay,
        found: Contents,
    ) -> None:
        expected = replay.contents(character)
        for slot in sorted(different(expected[0], found[0])):
            wanted, there = expected[0].get(slot), found[0].get(slot)
            writer = replay.last_writer(character, slot)
            self._note(
                f"character {character:#x}, slot {slot}: {there or 'nothing'} is stored, "
                f"{wanted or 'nothing'} is what "
                + (f"operation {writer:#x} left there" if writer else "was there at the start")
            )
            if wanted is not None and writer in self._acknowledged:
                self._lost.add(writer)
            if wanted is None and there is not None and there[ITEM_GUID] not in self._twice:
                self._found.doubled += 1
        for currency in sorted(different(expected[1], found[1])):
            self._note(
                f"character {character:#x}, currency {currency}: the balance is "
                f"{found[1].get(currency, 0)}, its operations lead to "
                f"{expected[1].get(currency, 0)}"
            )

    # Sums

    def _check_sums(self) -> None:
        items: Counter[int] = Counter()
        money: Counter[int] = Counter()
        self._add_stored(self._start, items, money, 1)
        for operation in self._present:
            sent = self._sent[operation]
            for amount in sent.created:
                items[amount.entry] += amount.units
            for amount in sent.destroyed:
                items[amount.entry] -= amount.units
            for currency, count in sent.money_created.items():
                money[currency] += count
            for currency, count in sent.money_destroyed.items():
                money[currency] -= count
        self._add_stored(self._stored, items, money, -1)
        for what, sums in (("entry", items), ("currency", money)):
            for number, missing in sorted(sums.items()):
                if missing:
                    self._note(
                        f"{what} {number}: {abs(missing)} {'less' if missing > 0 else 'more'} "
                        "than was created and not destroyed"
                    )

    @staticmethod
    def _add_stored(stored: Stored, items: Counter[int], money: Counter[int], sign: int) -> None:
        for batch in stored.records.values():
            for record in batch.tolist():
                items[record[0]] += sign * record[STACK_COUNT]
        for wallet in stored.wallets.values():
            for currency, balance in wallet.items():
                money[currency] += sign * int(balance)
