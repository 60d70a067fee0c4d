"""What a load test is asked to do. Plain values that travel to the child processes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadTestSettings:
    """``saves_per_s`` is what one player saves in a second. Without ``realm_host`` a realm is
    started on ``database``."""

    players: int = 100
    worlds: int = 2
    duration_s: float = 30.0
    saves_per_s: float = 0.5
    database: str = ""
    realm_host: str = ""
    realm_port: int = 0
    world_name: str = ""
    secret: str = ""
    json_path: str = ""
    seed: int = 1
    plain: bool = False

    @property
    def has_own_realm(self) -> bool:
        """Whether the load test starts the realm itself."""
        return not self.realm_host


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What one world process is asked to do; ``first_player`` and ``players`` are its share."""

    host: str
    port: int
    name: str
    secret: str
    first_player: int
    players: int
    saves_per_s: float
    seed: int
