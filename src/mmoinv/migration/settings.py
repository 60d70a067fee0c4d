"""The bounds and times of a move. Knows nothing of what they bound."""

from dataclasses import dataclass

from mmoinv.errors import ConfigurationError


@dataclass(frozen=True)
class MigrationSettings:
    """Times in seconds, more than 0.

    ``compare_share`` (0..1) of the commits that reached both sides are compared. A side that does
    not decide has ``follower_timeout_s`` for an answer: then it counts as missed. What it missed
    is made up for after ``retry_first_s``, then after twice as long each time, up to
    ``retry_longest_s``. At most ``max_in_flight`` writes to it are on their way, and at most
    ``max_waiting_records`` records wait for it: beyond that a character is only marked behind.

    A login waits at most ``join_wait_s`` for the side that does not decide, a logout
    ``leave_wait_s``. Who decides changes within ``flip_timeout_s`` or not now; commits that come
    meanwhile, at most ``max_held`` of them, are held that long. Every ``tick_s`` it is looked at
    what is due.
    """

    compare_share: float = 1.0
    follower_timeout_s: float = 5.0
    retry_first_s: float = 0.5
    retry_longest_s: float = 60.0
    max_in_flight: int = 256
    max_waiting_records: int = 50_000
    join_wait_s: float = 2.0
    leave_wait_s: float = 2.0
    flip_timeout_s: float = 5.0
    max_held: int = 10_000
    tick_s: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.compare_share <= 1:
            raise ConfigurationError(
                f"migration: compare_share is {self.compare_share}, it is a share from 0 to 1"
            )
        for name in vars(self):
            if name != "compare_share" and not getattr(self, name) > 0:
                raise ConfigurationError(
                    f"migration: {name} is {getattr(self, name)}, it must be more than 0"
                )
