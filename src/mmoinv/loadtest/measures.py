"""Figures of a run: samples gathered in lists, summed up as percentiles.

Knows neither processes nor terminals.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Figures = npt.NDArray[np.float64]


class Samples:
    """Figures of one kind as they come in, each with the monotonic moment that it belongs to."""

    def __init__(self) -> None:
        self._parts: list[Figures] = []
        self._moments: list[Figures] = []
        self.count = 0

    def extend(
        self, figures: Iterable[float] | Figures, at_s: float | Iterable[float] | Figures = 0.0
    ) -> None:
        """Add figures, with one moment for all of them or one for each."""
        part = np.asarray(figures, np.float64)
        if len(part):
            self._parts.append(part)
            self._moments.append(np.broadcast_to(np.asarray(at_s, np.float64), part.shape))
            self.count += len(part)

    def values(self) -> Figures:
        """All of them, in the order in which they came."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0] if self._parts else np.empty(0, np.float64)

    def moments_s(self) -> Figures:
        """The moment of each of `values`."""
        return np.concatenate(self._moments) if self._moments else np.empty(0, np.float64)

    def percentile(self, percent: float) -> float | None:
        """That percentile, None without figures."""
        return float(np.percentile(self.values(), percent)) if self.count else None

    def mean(self) -> float | None:
        """The mean, None without figures."""
        return float(self.values().mean()) if self.count else None

    def max(self) -> float | None:
        """The largest, None without figures."""
        return float(self.values().max()) if self.count else None

    def summary(self, *percents: int) -> dict[str, Any]:
        """``{"p50": ..., "max": ...}``, rounded to three places."""
        result = {f"p{percent}": rounded(self.percentile(percent)) for percent in percents}
        return result | {"max": rounded(self.max())}


def rounded(value: float | None, places: int = 3) -> float | None:
    """Rounded, None stays None."""
    return None if value is None else round(value, places)


class Measures:
    """Everything that one phase of a run measures."""

    def __init__(self) -> None:
        self.rtt_ms = Samples()
        """From the intended start of a save to its answer."""
        self.packet_bytes = Samples()
        """One figure a save, frame header included."""
        self.database_ms = Samples()
        """One figure a transaction."""
        self.group_size = Samples()
        """Operations, one figure a transaction."""
        self.packet_us = Samples()
        """The realm's processing time of a packet, from its arrival until it is queued."""
        self.queue_depth = Samples()
        """Operations that waited as a transaction began, one figure a transaction."""
        self.unanswered = Samples()
        """Operations that the worlds had no answer for, one figure each time they reported."""
        self.queue = 0
        """Operations that wait at the realm, now."""
        self.pending = 0
        """Operations that the worlds have no answer for, now."""
        self.refused = 0
        """Saves, by the realm or for want of room."""
        self.commands = 0
        """Done to inventories by the players."""
        self.commands_refused = 0
        """By the game's rules."""

    def add_world(self, sample: dict[str, Any]) -> None:
        """What a world process has measured since its last sample."""
        self.rtt_ms.extend(sample["rtt_ms"], sample["answered_s"])
        self.packet_bytes.extend(sample["packet_bytes"], sample["at_s"])
        self.refused += sample["refused"]
        self.commands += sample["commands"]
        self.commands_refused += sample["commands_refused"]

    def add_realm(self, sample: dict[str, Any]) -> None:
        """What the realm process has measured since its last sample."""
        at_s = sample["at_s"]
        self.database_ms.extend(sample["database_ms"], at_s)
        self.group_size.extend(sample["group_size"], at_s)
        self.queue_depth.extend(sample["queue_depth"], at_s)
        self.packet_us.extend(sample["packet_us"], at_s)
        self.queue = sample["queue"]

    def set_pending(self, count: int, at_s: float) -> None:
        """How many operations the worlds have no answer for, all together, at a moment."""
        self.pending = count
        self.unanswered.extend([count], at_s)
