"""A character's history as a chain: each operation begins with what the one before has left.

Tells where it does not, and what the character should hold by it. Knows no database.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmoinv.commits import OwnReason
from mmoinv.records import Batch
from mmoinv.stores.ledger import LedgerEntry


class Break(NamedTuple):
    """Where a chain is broken: ``kind`` as `mmoinv.audit.Problem` names it, and in words."""

    kind: str
    text: str


@dataclass
class Chain:
    """What the ledger says of one character, as of ``version``, its last.

    ``held`` has the bytes of what is in each slot that is known, none where nothing is; all slots
    are if it ``is_whole``, that is from version 1 on without a gap. ``money`` by currency.
    """

    version: int = 0
    is_whole: bool = False
    held: dict[int, bytes] = field(default_factory=dict)
    money: dict[int, int] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)

    def differing(self, stored: Batch) -> list[int]:
        """The slots that do not hold what the ledger says."""
        there = {int(record["slot"]): record.tobytes() for record in stored}
        slots = self.held.keys() | there.keys() if self.is_whole else self.held.keys()
        return sorted(slot for slot in slots if there.get(slot, b"") != self.held.get(slot, b""))

    def money_differing(self, balances: Mapping[int, int]) -> dict[int, int]:
        """What the ledger says of each currency of which there is another balance."""
        currencies = self.money.keys() | (balances.keys() if self.is_whole else set())
        return {
            currency: self.money.get(currency, 0)
            for currency in sorted(currencies)
            if self.money.get(currency, 0) != balances.get(currency, 0)
        }


def chain_of(
    entries: Sequence[LedgerEntry], desk_id: int | None = None, set_aside: Collection[int] = ()
) -> Chain:
    """The chain of a character's entries, oldest first.

    A correction of the desk's (the world ``desk_id``) may begin with anything: it notes what was
    found. In slots of which a row was ``set_aside`` at a join, a change may begin with nothing.
    What is older than the first entry is taken as it is found.
    """
    chain = Chain()
    if not entries:
        return chain
    chain.version = entries[-1].version
    chain.is_whole = entries[0].version == 1
    version = entries[0].version - 1
    for entry in entries:
        if entry.version != version + 1:
            chain.breaks.append(
                Break("gap", f"between version {version} and {entry.version} is a gap")
                if entry.version > version
                else Break("fork", f"version {entry.version} is there more than once")
            )
            # From here on anew: what was changed meanwhile is not known.
            chain.is_whole, chain.held, chain.money = False, {}, {}
        is_correction = entry.reason == OwnReason.CORRECTED and entry.world_id == desk_id
        for old, new in zip(entry.before, entry.after, strict=True):
            slot = int((new if new["entry"] else old)["slot"])
            found, was = _bytes(old), chain.held.get(slot, b"")
            if (
                (slot in chain.held or chain.is_whole)
                and was != found
                and not is_correction
                and (found or slot not in set_aside)
            ):
                chain.breaks.append(
                    Break(
                        "ledger",
                        f"version {entry.version} begins with another record in slot {slot} than "
                        "the one before it has left",
                    )
                )
            chain.held[slot] = _bytes(new)
        for currency, amount, balance in entry.money.tolist():
            is_known = currency in chain.money or chain.is_whole
            adds_up = chain.money.get(currency, 0) + amount == balance
            if is_known and not adds_up and not is_correction:
                chain.breaks.append(
                    Break("money", f"version {entry.version}: currency {currency} does not add up")
                )
            chain.money[currency] = balance
        version = entry.version
    return chain


def _bytes(record: Any) -> bytes:
    return record.tobytes() if record["entry"] else b""
