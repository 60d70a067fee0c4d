"""What a rehearsal is told: on which databases, how many play, for how long. Values only."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from mmoinv.errors import ConfigurationError

KINDS = ("sqlite", "mariadb")
FORMATS = ("kyoril", "azerothcore")
MOST_PLAYERS = 2000


@dataclass(frozen=True)
class RehearsalSettings:
    """``databases``: "sqlite", "mariadb" for a server that is started for it, or the URL of a
    database on a server whose user may make others; none: SQLite, and MariaDB where it is
    installed. ``format``: of the old tables. Each of the parts of a step in which players play
    lasts ``part_s`` seconds; each player does something ``acts_per_s`` times a second.
    """

    databases: tuple[str, ...] = ()
    format: str = "kyoril"
    players: int = 30
    part_s: float = 0.6
    acts_per_s: float = 4.0
    seed: int = 1

    def check(self) -> None:
        """`ConfigurationError` if such a rehearsal cannot be."""
        if self.format not in FORMATS:
            raise ConfigurationError(
                f"old tables of format {self.format!r} are not rehearsed; there are: "
                f"{', '.join(FORMATS)}"
            )
        if not 4 <= self.players <= MOST_PLAYERS:
            raise ConfigurationError(f"a rehearsal has 4 to {MOST_PLAYERS:,} players")
        if not 0.2 <= self.part_s <= 3600:
            raise ConfigurationError("--seconds is 0.2 to 3600")
        if not 0 < self.acts_per_s <= 100:
            raise ConfigurationError("players act 0 to 100 times a second")
        for database in self.databases:
            if database not in KINDS and urlsplit(database).scheme not in ("mariadb", "mysql"):
                raise ConfigurationError(
                    f"a rehearsal on {database.partition('://')[0]!r} cannot be had: sqlite, "
                    "mariadb, or the URL of a database on a MariaDB or MySQL server"
                )
