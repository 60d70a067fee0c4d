"""What a part's operations do to balances, judged in bulk.

Pure numpy; knows operations as arrays, no items and no database.
"""

import numpy as np
import numpy.typing as npt

from mmoinv.commits import Commits
from mmoinv.stores.steps import NO_BALANCES, Balances, U64Array

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_BALANCE = 2**63 - 1
"""Of one currency, unless a store is given less."""
MAX_CURRENCIES = 255
"""Of one character: the packet that lets it join counts them with a u8."""
_LOW = np.int64(0xFFFFFFFF)


class Money:
    """The changes of balances of one part, one row each, in the order of the commits.

    ``participant``, ``operation`` and ``character`` (an index into the part's characters) of each
    row, ``currency_id`` u16 and ``amount`` i64; `judge` adds ``balance``, what it is then.
    """

    def __init__(self, commits: Commits, character_of: Indices, operation_of: Indices) -> None:
        counts = commits.participants["currency_count"]
        self.participant: Indices = np.repeat(np.arange(len(counts)), counts)
        self.operation: Indices = operation_of[self.participant]
        self.character: Indices = character_of[self.participant].astype(np.int64)
        self.currency_id: npt.NDArray[np.uint16] = commits.currencies["currency_id"].copy()
        self.amount: npt.NDArray[np.int64] = commits.currencies["amount"].copy()
        self.key: Indices = self.character << 16 | self.currency_id
        self.balance: npt.NDArray[np.int64] = np.zeros(len(self.key), np.int64)

    def __len__(self) -> int:
        return len(self.key)

    def twice(self) -> Indices:
        """Rows of a currency that stands in its participant before: bad content."""
        keys = self.participant << 16 | self.currency_id
        order = np.argsort(keys, kind="stable")
        again = keys[order][1:] == keys[order][:-1]
        rows: Indices = order[1:][again]
        return rows

    def judge(
        self, characters: U64Array, stored: Balances, limit: int
    ) -> tuple[Mask, Mask, npt.NDArray[np.int64]]:
        """By row: what is not there to be taken, what would be too much, and what there is.

        ``stored`` are all balances of the characters that have rows. A currency that would be a
        character's 256th is too much.
        """
        owner = np.searchsorted(characters, stored.character_guid)
        keys = owner.astype(np.int64) << 16 | stored.currency_id
        order = np.argsort(keys)
        keys, balances = keys[order], stored.balance[order]
        before = np.zeros(len(self), np.int64)
        is_known = np.zeros(len(self), np.bool_)
        if len(keys):
            place = np.searchsorted(keys, self.key)
            place[place == len(keys)] = 0
            is_known = keys[place] == self.key
            before[is_known] = balances[place[is_known]]
        # Balances are not negative, so this can't wrap.
        poor = (self.amount < 0) & (before + np.minimum(self.amount, 0) < 0)
        rich = (self.amount > 0) & (before > limit - np.maximum(self.amount, 0))
        with np.errstate(over="ignore"):
            self.balance = before + self.amount
        owned = np.bincount(owner, minlength=len(characters))
        new = np.bincount(self.character[~is_known], minlength=len(characters))
        rich |= ~is_known & ((owned + new) > MAX_CURRENCIES)[self.character]
        return poor, rich, before

    def not_conserved(self, conserving: Mask) -> Indices:
        """Of all rows of an operation and a currency the first, where the sum is not 0.
        ``conserving``: one bool an operation."""
        rows = np.flatnonzero(conserving[self.operation])
        keys = self.operation[rows] << 16 | self.currency_id[rows]
        sums, first, group = np.unique(keys, return_index=True, return_inverse=True)
        amount = self.amount[rows]
        # In halves: what is added up may be more than an i64 holds.
        low = np.bincount(group, amount & _LOW, minlength=len(sums)).astype(np.int64)
        high = np.bincount(group, amount >> np.int64(32), minlength=len(sums)).astype(np.int64)
        off = (low & _LOW != 0) | (high + (low >> np.int64(32)) != 0)
        wrong: Indices = rows[first[off]]
        return wrong

    def write(self, characters: U64Array, rows: Mask) -> Balances:
        """The new balances of some rows."""
        if not rows.any():
            return NO_BALANCES
        return Balances(
            characters[self.character[rows]], self.currency_id[rows], self.balance[rows]
        )
