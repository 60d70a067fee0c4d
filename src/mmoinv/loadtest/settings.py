"""What a load test is asked to do. Plain values that travel to the child processes."""

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from mmoinv.errors import ConfigurationError
from mmoinv.stores.addresses import shown_url


@dataclass(frozen=True, slots=True)
class LoadTestSettings:
    """``saves_per_s`` is what one player saves in a second. Without ``realm_host`` a realm is
    started on ``database``. ``command`` is what the user typed, without secrets, for the report."""

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
    html_path: str = ""
    compare_path: str = ""
    command: str = ""
    seed: int = 1
    plain: bool = False
    crash_at_s: float | None = None
    """Seconds after the play began when the realm is killed (-9) and started again."""

    @property
    def has_own_realm(self) -> bool:
        """Whether the load test starts the realm itself."""
        return not self.realm_host

    def check(self) -> None:
        """`ConfigurationError` if such a run cannot be; better now than at its end."""
        if self.players < 2:
            raise ConfigurationError("a load test has at least 2 players")
        if self.worlds < 1 or self.worlds > self.players:
            raise ConfigurationError("there must be at least one world, and a player for each")
        if not self.has_own_realm and self.worlds != 1:
            raise ConfigurationError("with --realm there is one world: leave --worlds out")
        if not all(0 < value < math.inf for value in (self.duration_s, self.saves_per_s)):
            raise ConfigurationError("--duration and --saves-per-s must be finite and above 0")
        if self.crash_at_s is not None:
            if not self.has_own_realm:
                raise ConfigurationError("--crash-at kills a realm of its own: leave --realm out")
            if not 0 < self.crash_at_s < self.duration_s:
                raise ConfigurationError("--crash-at must be above 0 and below --duration")
        for path in (self.json_path, self.html_path):
            check_report_path(path)
        if self.json_path and self.html_path and Path(self.json_path) == Path(self.html_path):
            raise ConfigurationError("--json and --html cannot both be written to one file")


def check_report_path(path: str) -> None:
    """`ConfigurationError` if a report cannot be written there; no path is none."""
    if path and (Path(path).is_dir() or not os.access(Path(path).parent, os.W_OK)):
        raise ConfigurationError(
            f"the report cannot be written to {path}: that is a folder, or in one that is not "
            "there or not writable"
        )


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
    reconnects: bool = False
    """Whether a realm that goes away is expected to come back."""


def shown_command(arguments: Sequence[str]) -> str:
    """What was typed behind ``mmoinv``, for a report that others may read: without secrets."""
    shown = []
    for before, argument in pairwise(["", *arguments]):
        if before == "--secret":
            argument = "***"
        elif argument.startswith("--secret="):
            argument = "--secret=***"
        shown.append(shown_url(argument))
    return shlex.join(["mmoinv", *shown])
