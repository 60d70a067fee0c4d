"""What commands did lately, and how often: for game masters, bug reports and tuning."""

from collections import Counter, deque
from typing import NamedTuple

from mmoinv.errors import InventoryError
from mmoinv.inventory.draft import SlotChange
from mmoinv.inventory.result import InventoryChangeFailure

HISTORY = 100


class CommandRecord(NamedTuple):
    """One command: what it did, or why it was refused, and how long it took."""

    name: str
    failure: InventoryChangeFailure
    changes: tuple[SlotChange, ...]
    duration_us: float
    is_undo: bool = False


class CommandLog:
    """The last commands of an inventory, at most ``history`` of them, and sums over all.

    ``is_on = False`` switches it off: commands then are not even timed.
    """

    def __init__(self, history: int = HISTORY, *, is_on: bool = True) -> None:
        if history < 1:
            raise InventoryError(f"a history of {history} commands holds none; give 1 or more")
        self.is_on = is_on
        self.executed: Counter[str] = Counter()
        """Commands that succeeded, by name."""
        self.refused: Counter[str] = Counter()
        """Commands that were refused, by name."""
        self.undone: Counter[str] = Counter()
        """Commands that were undone, by name."""
        self.total_us = 0.0
        self._records: deque[CommandRecord] = deque(maxlen=history)

    @property
    def records(self) -> tuple[CommandRecord, ...]:
        """The last commands, oldest first."""
        return tuple(self._records)

    def add(self, record: CommandRecord) -> None:
        """Note a command."""
        self._records.append(record)
        counter = self.refused if record.failure else self.executed
        if record.is_undo and not record.failure:
            counter = self.undone
        counter[record.name] += 1
        self.total_us += record.duration_us

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
        for counter in (self.executed, self.refused, self.undone):
            counter.clear()
        self.total_us = 0.0
