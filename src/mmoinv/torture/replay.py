"""What characters should hold: the operations of the journals, played again in version order.

Pure. Does not know what is stored.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

from mmoinv.torture.journal import SLOT, Change, Record, Sent, Stored

Contents = tuple[dict[int, Record], dict[int, int]]
"""Records by slot; balances that are not 0, by currency."""


class Replay:
    """The operations of each character, and what those of ``present`` make of it."""

    def __init__(self, sent: Mapping[int, Sent], present: Collection[int], start: Stored) -> None:
        self._start = start
        self._present = present
        self._changes: dict[tuple[int, int], Change] = {}
        self._operations: defaultdict[int, list[int]] = defaultdict(list)
        for operation, entry in sent.items():
            for change in entry.changes:
                self._changes[operation, change.character] = change
                self._operations[change.character].append(operation)
        for character, operations in self._operations.items():
            operations.sort(key=lambda each: self.change(each, character).version)

    @property
    def characters(self) -> set[int]:
        """Everybody that an operation or the start knows."""
        known = {*self._operations, *self._start.records, *self._start.wallets}
        return known | set(self._start.versions)

    def change(self, operation: int, character: int) -> Change:
        """What an operation writes for one of its characters."""
        return self._changes[operation, character]

    def touching(
        self, character: int, slots: Collection[int], currencies: Collection[int]
    ) -> list[int]:
        """Those, present or not, that speak of all these slots and currencies, by version."""
        return [
            each
            for each in self._operations.get(character, ())
            if _speaks_of(self.change(each, character), slots, currencies)
        ]

    def chain(self, character: int, otherwise: int | None = None) -> list[int]:
        """Those that are present; ``otherwise`` is taken for absent if it is, and the reverse."""
        return [
            each
            for each in self._operations.get(character, ())
            if (each in self._present) != (each == otherwise)
        ]

    def leads_to(self, version: int, character: int, otherwise: int | None = None) -> bool:
        """Whether the chain has neither gap nor fork, and ends with ``version``."""
        chain = self.chain(character, otherwise)
        begin = int(self._start.versions.get(character, 0))
        versions = [self.change(each, character).version for each in chain]
        return versions == list(range(begin, version))

    def contents(self, character: int, otherwise: int | None = None) -> Contents:
        """What the chain makes of the start."""
        batch = self._start.records.get(character)
        records: dict[int, Record] = (
            {} if batch is None else {each[SLOT]: each for each in batch.tolist()}
        )
        wallet = dict(self._start.wallets.get(character, {}))
        for operation in self.chain(character, otherwise):
            change = self.change(operation, character)
            if change.replace:
                records.clear()
            for slot in change.deletes:
                records.pop(slot, None)
            for record in change.saves:
                records[record[SLOT]] = record
            for currency, amount in change.money.items():
                wallet[currency] = wallet.get(currency, 0) + amount
        return records, {currency: balance for currency, balance in wallet.items() if balance}

    def last_writer(self, character: int, slot: int) -> int | None:
        """The present operation that spoke last of a slot."""
        for operation in reversed(self.chain(character)):
            change = self.change(operation, character)
            if change.replace or slot in change.deletes:
                return operation
            if any(record[SLOT] == slot for record in change.saves):
                return operation
        return None


def different(some: Mapping[int, object], others: Mapping[int, object]) -> set[int]:
    """The keys under which two mappings do not hold the same."""
    return {key for key in some.keys() | others.keys() if some.get(key) != others.get(key)}


def _speaks_of(change: Change, slots: Collection[int], currencies: Collection[int]) -> bool:
    if not change.money.keys() >= set(currencies):
        return False
    spoken = {*change.deletes, *(record[SLOT] for record in change.saves)}
    return change.replace or spoken >= set(slots)
