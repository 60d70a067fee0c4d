"""The settings of a store: connections, timeouts, memory."""

from dataclasses import dataclass, fields
from typing import Any

from mmoinv.errors import ConfigurationError
from mmoinv.stores.committed import CACHED_CHARACTERS
from mmoinv.stores.money import MAX_BALANCE
from mmoinv.stores.part import Rules

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Counts, and times in seconds. The defaults suit one realm and a database nearby."""

    cached_characters: int = CACHED_CHARACTERS
    """How many characters' committed inventories are remembered between two transactions; 0:
    none. 2 to 6 KB for each that is."""
    connect_timeout_s: float = 5.0
    """How long a connection may take to come about, all hosts of the URL together."""
    lock_timeout_s: float = 5.0
    """How long one statement waits for another process's lock; then it is tried again."""
    statement_timeout_s: float = 15.0
    """How long the database may take for one statement before the connection is given up.
    SQLite knows no such limit."""
    keeps_ledger: bool = True
    """Whether every operation's changes are noted in the ledger."""
    max_balance: int = MAX_BALANCE
    """Of one currency of one character at most; what would make it more is refused."""
    tool_connections: int = 2
    """Connections besides the writer's at most: for logons, statistics and tools. SQLite has
    one connection for everything."""

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be."""
        check_bounds(
            self,
            (1, 1000),
            (0.001, DAY_S),
            cached_characters=(0, 1_000_000),
            keeps_ledger=(False, True),
            max_balance=(1, MAX_BALANCE),
        )

    @property
    def rules(self) -> Rules:
        """What holds for all operations."""
        return Rules(self.max_balance, self.keeps_ledger)


def check_bounds(
    settings: Any,
    counts: tuple[int, int],
    times_s: tuple[float, float],
    **others: tuple[float, float],
) -> None:
    """`ConfigurationError` if a field of a dataclass of numbers is outside its bounds.

    ``counts`` bound its ints, ``times_s`` its floats, ``others`` the fields that they name.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        low, high = others.get(field.name, counts if field.type is int else times_s)
        # NaN is within no bounds.
        if not low <= value <= high:
            raise ConfigurationError(f"{field.name} = {value}: {low:,} to {high:,} is wanted")
