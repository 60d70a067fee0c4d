"""What players do between two saves: the kinds of it, how often, and what came of it.

Knows the log of commands that an inventory writes, and no player.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from mmoinv.inventory import CommandLog, CommandRecord


class Count(NamedTuple):
    """How often something was done, how often the rules refused it, and the microseconds of the
    command each time, as f32."""

    done: int
    refused: int
    durations_us: "array[float]"


Tally = dict[str, Count]
"""By deed, in the order of `Deed`; without what was never tried."""


class Deed(StrEnum):
    """What a player does. Each is one command of the inventory."""

    LOOT = "loot"
    STACK = "stack"
    USE = "use"
    MOVE = "move"
    SWAP = "swap"
    SPLIT = "split"
    MERGE = "merge"
    EQUIP = "equip"
    UNEQUIP = "unequip"
    SELL = "sell"
    BUY_BACK = "buy back"
    SORT = "sort"
    DESTROY = "destroy"
    WEAR = "wear"
    TRADE = "trade"


DEED_WEIGHTS: dict[Deed, int] = {
    Deed.LOOT: 48,
    Deed.STACK: 28,
    Deed.USE: 32,
    Deed.MOVE: 18,
    Deed.SWAP: 6,
    Deed.SPLIT: 5,
    Deed.MERGE: 7,
    Deed.EQUIP: 8,
    Deed.UNEQUIP: 4,
    Deed.SELL: 20,
    Deed.BUY_BACK: 3,
    Deed.SORT: 1,
    Deed.DESTROY: 10,
    Deed.WEAR: 14,
    Deed.TRADE: 6,
}
"""How often each is tried, in 210."""


class DeedLog(CommandLog):
    """A command log that counts by deed, and keeps how long each command took.

    One for all players of a world: ``deed`` is what the commands are for that come now.
    """

    def __init__(self) -> None:
        super().__init__(history=1)
        self.deed = Deed.LOOT
        self._done: Counter[Deed] = Counter()
        self._refused: Counter[Deed] = Counter()
        self._durations_us = {deed: array("f") for deed in Deed}

    def add(self, record: CommandRecord) -> None:
        """Count a command."""
        (self._refused if record.failure else self._done)[self.deed] += 1
        self._durations_us[self.deed].append(record.duration_us)

    @property
    def done(self) -> int:
        """Commands that were done."""
        return self._done.total()

    @property
    def not_allowed(self) -> int:
        """Commands that the rules refused."""
        return self._refused.total()

    @property
    def tally(self) -> Tally:
        """Everything counted so far."""
        return {
            str(deed): Count(self._done[deed], self._refused[deed], durations_us)
            for deed, durations_us in self._durations_us.items()
            if durations_us
        }


def together(tallies: Iterable[Tally]) -> Tally:
    """The deeds of several worlds as one tally."""
    found = list(tallies)
    result: Tally = {}
    for deed in Deed:
        counts = [tally[deed] for tally in found if deed in tally]
        if counts:
            durations_us = array("f")
            for count in counts:
                durations_us.extend(count.durations_us)
            result[str(deed)] = Count(
                sum(count.done for count in counts),
                sum(count.refused for count in counts),
                durations_us,
            )
    return result
