"""Numbers of the realm's own: operation ids and item guids for protocol 3.

Like a world server the realm makes them of a node epoch that no one else ever had:
``node epoch << 32 | counter``. Knows no database; it says when it needs another epoch.
"""

from threading import Lock

import numpy as np
import numpy.typing as npt

COUNTERS = 1 << 32
RESERVE = 1 << 24
"""Numbers that must be left before the next group, far more than one group can need."""


class NumberMint:
    """Gives numbers that were never given before."""

    def __init__(self, node_epoch: int) -> None:
        self._epochs = [node_epoch]
        self._next = 1
        self._lock = Lock()

    @property
    def needs_epoch(self) -> bool:
        """Whether it is time to `add_epoch`."""
        return len(self._epochs) == 1 and COUNTERS - self._next < RESERVE

    def add_epoch(self, node_epoch: int) -> None:
        """Another node epoch for when the present one is used up."""
        self._epochs.append(node_epoch)

    def take(self, count: int) -> npt.NDArray[np.uint64]:
        """The next ``count`` numbers, u64. The loop and the store's thread both call it."""
        with self._lock:
            if self._next + count > COUNTERS:
                self._epochs.pop(0)
                self._next = 1
            first = self._epochs[0] << 32 | self._next
            self._next += count
        return np.arange(first, first + count, dtype=np.uint64)
