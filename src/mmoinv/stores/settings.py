"""The settings of a store: connections, timeouts, memory."""

from dataclasses import dataclass, fields

from mmoinv.errors import ConfigurationError
from mmoinv.stores.committed import CACHED_CHARACTERS


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Counts, and times in seconds. The defaults suit one realm and a database nearby."""

    cached_characters: int = CACHED_CHARACTERS
    """How many characters' committed inventories are remembered between two transactions; 0:
    none. Some 6 KB each at most."""
    connect_timeout_s: float = 5.0
    """How long a connection may take to come about, all hosts of the URL together."""
    lock_timeout_s: float = 5.0
    """How long one statement waits for another process's lock; then it is tried again."""
    statement_timeout_s: float = 15.0
    """How long the database may take for one statement before the connection is given up.
    SQLite knows no such limit."""
    tool_connections: int = 2
    """Connections besides the writer's at most: for logons, statistics and tools. SQLite has
    one connection for everything."""

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be."""
        for field in fields(self):
            value = getattr(self, field.name)
            low = 0 if field.name == "cached_characters" else 1 if field.type is int else 0.001
            if value < low:
                raise ConfigurationError(f"{field.name} = {value}: at least {low}")
