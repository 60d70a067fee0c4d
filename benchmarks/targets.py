"""What the figures must reach, and which of them the README shows. Add a line, that is all.

Knows nothing of how anything is measured.
"""

from dataclasses import dataclass
from typing import Literal

RATIO: Literal["ratio"] = "ratio"
"""Another way (``figure``) takes at least so many times as long as ours, in the same run."""
AT_MOST: Literal["at most"] = "at most"
AT_LEAST: Literal["at least"] = "at least"

ANY_GROUP = "*"


@dataclass(frozen=True)
class Target:
    """``group`` is a benchmark's group, ``figure`` a way of it or a name in its ``extra_info``."""

    group: str
    figure: str
    kind: Literal["ratio", "at most", "at least"]
    target: float
    unit: str

    def is_met(self, value: float) -> bool:
        """Whether a figure reaches it."""
        return value <= self.target if self.kind == AT_MOST else value >= self.target

    def __str__(self) -> str:
        signs = {RATIO: "", AT_MOST: "<= ", AT_LEAST: ">= "}
        space = " " if self.unit != "x" else ""
        return f"{signs[self.kind]}{self.target:,.10g}{space}{self.unit}"


TARGETS = (
    Target("encode 25 items", "msgspec", RATIO, 15, "x"),
    Target("encode 25 items", "struct", RATIO, 40, "x"),
    Target("diff 25 items, 3 changes", "numpy", RATIO, 20, "x"),
    Target(ANY_GROUP, "rtt_p99_ms", AT_MOST, 100, "ms"),
)

# What `make figures` writes into the README, in this order.

README_CALLS = {
    "encode 25 items": "encode a save of 25 items (`ITEM_DATA`, packed, validated)",
    "decode 25 items": "decode it",
    "diff 25 items, 3 changes": "diff of two slot-sorted batches of 25 items, 3 changes",
}
"""By group: ours beside the other ways."""

README_FIGURES = {
    ("main job: 100 players save a wholly new inventory at once", "rtt_p50_ms"): (
        "100 players save a wholly new inventory at once: round trip, p50"
    ),
    ("main job: 100 players save a wholly new inventory at once", "rtt_p99_ms"): ("the same, p99"),
    ("main job: 100 players save a wholly new inventory at once", "database_p99_ms"): (
        "the same: database transaction, p99"
    ),
    ("main job: one save while 100 players go on at 300 saves/s", "rtt_p50_ms"): (
        "one save while 100 players go on at 300 saves/s: round trip, p50"
    ),
    ("main job: one save while 100 players go on at 300 saves/s", "rtt_p99_ms"): ("the same, p99"),
}
"""By group and name in its ``extra_info``."""
