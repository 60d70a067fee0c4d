"""What a realm counts while it runs: bounded rings of figures and plain counters.

Recording costs well under a microsecond and allocates nothing; a snapshot is a copy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mmoinv.stores import Verdict

RING_SIZE = 8192
Figures = npt.NDArray[np.float64]


class Ring:
    """The last figures of one kind, at most ``size`` of them."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self._values = np.zeros(size, np.float64)
        self._count = 0

    def append(self, value: float) -> None:
        """Note one figure; the oldest goes once the ring is full."""
        self._values[self._count % len(self._values)] = value
        self._count += 1

    @property
    def count(self) -> int:
        """How many figures were ever noted."""
        return self._count

    def values(self) -> Figures:
        """A copy, oldest first."""
        if self._count <= len(self._values):
            return self._values[: self._count].copy()
        return np.roll(self._values, -(self._count % len(self._values)))


def percentile(figures: Figures, percent: float) -> float:
    """That percentile, 0.0 where there are no figures."""
    return float(np.percentile(figures, percent)) if len(figures) else 0.0


@dataclass(frozen=True, slots=True)
class RealmStatistics:
    """A snapshot of a realm. Arrays are float64 and hold the last figures, oldest first.

    ``links`` and ``sessions`` are those of now, ``queue`` the operations that wait now;
    ``operations`` counts what was answered since the start, by `Verdict`. ``abandoned`` counts
    operations answered 7 after all retries, ``retries`` repeated transactions, ``halvings``
    groups that were cut in two to find the operation that the database refused,
    ``broken_links`` links closed for what they sent, ``chunks`` what was received with
    operations in it. ``links_refused`` connections that were over a bound, ``logons_failed`` wrong
    secrets and unknown worlds, ``logons_delayed`` logons that had to wait for earlier ones that
    failed, ``logons_refused`` those beyond the bound. ``foreign_writes`` operations on characters
    whose session the link does not hold.

    One figure a transaction (there were ``groups``): ``group_size`` in operations, joins and
    leaves, ``database_ms``, ``queue_depth`` (what waited as the group was taken). One figure a
    chunk: ``packet_us``, from its arrival until it is decoded and queued, per operation.
    """

    links: int
    sessions: int
    queue: int
    operations: Mapping[Verdict, int]
    joins: int
    joins_refused: int
    leaves: int
    set_aside_items: int
    groups: int
    retries: int
    halvings: int
    abandoned: int
    broken_links: int
    links_refused: int
    logons_failed: int
    logons_delayed: int
    logons_refused: int
    foreign_writes: int
    chunks: int
    bytes_received: int
    bytes_sent: int
    group_size: Figures
    database_ms: Figures
    queue_depth: Figures
    packet_us: Figures

    @property
    def committed(self) -> int:
        """Operations that are safe in the database: committed now or before."""
        return self.operations[Verdict.COMMITTED] + self.operations[Verdict.ALREADY_COMMITTED]

    def database_ms_at(self, percent: float) -> float:
        """A percentile of the duration of a transaction."""
        return percentile(self.database_ms, percent)

    def packet_us_at(self, percent: float) -> float:
        """A percentile of the processing time of a packet."""
        return percentile(self.packet_us, percent)


class Tally:
    """The counters behind `RealmStatistics`; one a realm, written by its own event loop."""

    def __init__(self) -> None:
        self.operations = np.zeros(len(Verdict), np.int64)
        self.joins = 0
        self.joins_refused = 0
        self.leaves = 0
        self.set_aside_items = 0
        self.groups = 0
        self.retries = 0
        self.halvings = 0
        self.abandoned = 0
        self.broken_links = 0
        self.links_refused = 0
        self.logons_failed = 0
        self.logons_delayed = 0
        self.logons_refused = 0
        self.foreign_writes = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.group_size = Ring()
        self.database_ms = Ring()
        self.queue_depth = Ring()
        self.packet_us = Ring()

    def count_statuses(self, statuses: npt.NDArray[np.uint8]) -> None:
        """Note the answers of many operations."""
        self.operations += np.bincount(statuses, minlength=len(Verdict))

    def snapshot(self, links: int, sessions: int, queue: int) -> RealmStatistics:
        """A copy of all figures."""
        return RealmStatistics(
            links=links,
            sessions=sessions,
            queue=queue,
            operations=MappingProxyType(
                {verdict: int(self.operations[verdict]) for verdict in Verdict}
            ),
            joins=self.joins,
            joins_refused=self.joins_refused,
            leaves=self.leaves,
            set_aside_items=self.set_aside_items,
            groups=self.groups,
            retries=self.retries,
            halvings=self.halvings,
            abandoned=self.abandoned,
            broken_links=self.broken_links,
            links_refused=self.links_refused,
            logons_failed=self.logons_failed,
            logons_delayed=self.logons_delayed,
            logons_refused=self.logons_refused,
            foreign_writes=self.foreign_writes,
            chunks=self.packet_us.count,
            bytes_received=self.bytes_received,
            bytes_sent=self.bytes_sent,
            group_size=self.group_size.values(),
            database_ms=self.database_ms.values(),
            queue_depth=self.queue_depth.values(),
            packet_us=self.packet_us.values(),
        )
