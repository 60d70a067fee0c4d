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

# Of each database.


def sender_group(database: str) -> str:
    """The benchmark of saves of 3 changed records."""
    return f"{database}: saves of 3 changed records, by a sender"


def whole_group(database: str) -> str:
    """The benchmark of saves of whole inventories."""
    return f"{database}: saves of 25 records, 3 changed, by a sender"


def at_once_group(database: str) -> str:
    """The benchmark of everyone's wholly new inventory."""
    return f"{database}: 100 players save a wholly new inventory at once"


def at_once_changed_group(database: str) -> str:
    """The benchmark of everyone's whole inventory, in which a few records changed."""
    return f"{database}: 100 players save the whole inventory at once, 3 records changed"


def steady_group(database: str) -> str:
    """The benchmark of a save among those of others."""
    return f"{database}: one save while 100 players go on at 300 saves/s"


def guarantees_group(database: str) -> str:
    """The benchmark of a realm beside one that promises nothing."""
    return f"{database}: saves of 3 changed records, with all guarantees and without any"


def recovery_group(database: str) -> str:
    """The benchmark of a realm that is killed and started again."""
    return f"{database}: a realm is killed and started again, 1,000 sessions"


OUTBOX_GROUP = "SQLite: saves of 500 players, with and without an outbox"
MIGRATION_GROUP = "a commit of 3 changed records in each mode of a move"
MIGRATION_SAVES_GROUP = "SQLite: saves of 200 players in each mode of a move"
DATABASES = ("SQLite", "PostgreSQL", "MariaDB")
SAVES_PER_S = {"SQLite": 15_000, "PostgreSQL": 20_000, "MariaDB": 20_000}
TIMES_ONE_BY_ONE = {"SQLite": 5, "PostgreSQL": 10, "MariaDB": 10}
AT_ONCE_P99_MS = {"SQLite": 25, "PostgreSQL": 30, "MariaDB": 40}


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
    Target("compare 25 items, equal", "numpy", RATIO, 20, "x"),
    Target("encode a validated save of 25 items", "ours", AT_MOST, 90, "ns"),
    Target("split and decode 1000 saves of 25 items", "ours", AT_MOST, 60, "ns"),
    Target("diff and encode 3 changes of 25 items", "ours", AT_MOST, 150, "ns"),
    Target("encode a tick of 1000 characters, 3 changes each", "ours", AT_MOST, 60, "ns"),
    Target("split 1000 frames", "ours", AT_MOST, 8, "ns"),
    Target("swap two of 39 items", "ours", AT_MOST, 15_000, "ns"),
    Target("take one from a stack of 39 items and undo it", "ours", AT_MOST, 30_000, "ns"),
    Target("changes() of 39 items", "beyond_the_diff_ns", AT_MOST, 1_000, "ns"),
    Target("load 119 items", "ours", AT_MOST, 300_000, "ns"),
    Target(ANY_GROUP, "rtt_p99_ms", AT_MOST, 100, "ms"),
    Target(ANY_GROUP, "lost", AT_MOST, 0, "records"),
    Target(OUTBOX_GROUP, "synced_writes_per_save", AT_MOST, 0.1, "a save"),
    *(
        target
        for name in DATABASES
        for target in (
            Target(sender_group(name), "saves_per_s", AT_LEAST, SAVES_PER_S[name], "/s"),
            Target(
                sender_group(name),
                "times_one_transaction_a_save",
                AT_LEAST,
                TIMES_ONE_BY_ONE[name],
                "x",
            ),
            Target(whole_group(name), "saves_per_s", AT_LEAST, 12_000, "/s"),
            Target(guarantees_group(name), "cost_percent", AT_MOST, 35, "%"),
            Target(recovery_group(name), "first_answer_max_ms", AT_MOST, 2000, "ms"),
            Target(at_once_group(name), "rtt_p99_ms", AT_MOST, AT_ONCE_P99_MS[name], "ms"),
            Target(at_once_changed_group(name), "rtt_p99_ms", AT_MOST, AT_ONCE_P99_MS[name], "ms"),
        )
    ),
)

# What `make figures` writes into the README, in this order.

README_CALLS = {
    "encode 25 items": "encode a save of 25 items (`ITEM_DATA`, packed, validated)",
    "decode 25 items": "decode it",
    "diff 25 items, 3 changes": "diff of two slot-sorted batches of 25 items, 3 changes",
    "diff and encode 3 changes of 25 items": "diff and encode it, in one call",
    "encode a tick of 1000 characters, 3 changes each": (
        "encode a tick of 1,000 characters, 3 changes each, per character"
    ),
    "split and decode 1000 saves of 25 items": (
        "split and decode a chunk of 1,000 packed saves of 25 items, per save"
    ),
    "split 1000 frames": "split a stream of 1,000 frames, per frame",
    "swap two of 39 items": "swap two items of an inventory of 39 through a command, with undo",
    "changes() of 39 items": "what differs from what is committed, after it",
    "load 119 items": "an inventory of 119 items from its records, rules checked",
}
"""By group: ours beside the other ways."""

README_FIGURES = {
    ("1,000 players, a save a second each", "rtt_p99_ms"): (
        "1,000 players, a save a second each: round trip, p99"
    ),
    ("2,000 players, a save a second each", "rtt_p99_ms"): (
        "2,000 players, a save a second each: round trip, p99"
    ),
} | {
    key: shown
    for name in DATABASES
    for key, shown in {
        (sender_group(name), "saves_per_s"): (
            f"{name}: saves/s through the realm, 3 changed records each, 20,000 characters of 25"
        ),
        (sender_group(name), "times_one_transaction_a_save"): (
            "times one transaction a save, same database, same run"
        ),
        (whole_group(name), "saves_per_s"): ("saves/s, whole inventories of 25 records, 3 changed"),
        (guarantees_group(name), "cost_percent"): (
            "what exactly-once, fencing, guids and ledger cost of the saves/s without them"
        ),
        (recovery_group(name), "first_answer_max_ms"): (
            "a killed realm listens again, 1,000 sessions: until the first answer, at most"
        ),
        (at_once_changed_group(name), "rtt_p50_ms"): (
            "100 players save the whole inventory at once, 3 records changed: round trip, p50"
        ),
        (at_once_changed_group(name), "rtt_p99_ms"): "the same, p99",
        (at_once_group(name), "rtt_p50_ms"): (
            "100 players save a wholly new inventory at once: round trip, p50"
        ),
        (at_once_group(name), "rtt_p99_ms"): "the same, p99",
        (at_once_group(name), "database_p99_ms"): "the same: database transaction, p99",
        (steady_group(name), "rtt_p50_ms"): (
            "one save while 100 players go on at 300 saves/s: round trip, p50"
        ),
        (steady_group(name), "rtt_p99_ms"): "the same, p99",
    }.items()
}
"""By group and name in its ``extra_info``."""
