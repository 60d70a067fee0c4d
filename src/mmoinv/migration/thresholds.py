"""What must have been seen before a move goes on, and before its old path is cleared away.

Values only: `mmoinv.migration.configuration` reads them from a file, and
`mmoinv.migration.verdict` holds the evidence against them.
"""

from dataclasses import dataclass, fields

from mmoinv.errors import ConfigurationError
from mmoinv.migration.comparison import DivergenceClass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """For one step: from shadow to primary, or from primary to new. Shares are 0 to 1."""

    over_last_h: float = 168.0
    """Only the evidence of so many hours, back from now, is judged. 168 is a week."""
    min_compared: int = 10_000
    """Both sides were compared at least so often."""
    min_hours: int = 24
    """In at least so many different hours something was compared."""
    max_missing_share: float = 0.0
    """Of the comparisons, those of class missing: an item is not on the following side."""
    max_extra_share: float = 0.0
    """Of the comparisons, those of class extra: an item that should not be there."""
    max_money_share: float = 0.0
    """Of the comparisons, those of class money."""
    max_field_share: float = 0.0
    """Of the comparisons, those of class field."""
    max_narrowed_share: float = 0.0
    """Of the comparisons, those of class narrowed: a value is cut to what one side can hold."""
    max_not_kept_share: float = 1.0
    """Of the comparisons, those of class not_kept; 1 lets them all pass."""
    max_missed_share: float = 0.001
    """Of the changes that the following side should have taken, those that it did not."""
    max_behind: int = 0
    """Characters whose following side missed something that is not made up for yet."""
    max_open: int = 0
    """Divergences that are not known and that no later comparison found gone."""
    max_unrecorded: int = 0
    """Comparisons and divergences that could not be kept as evidence."""

    def share_of(self, kind: DivergenceClass) -> float:
        """The largest share of a class."""
        return float(getattr(self, f"max_{kind}_share"))

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be; it begins with the key."""
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 <= value < float("inf"):
                raise ConfigurationError(f"{one.name} = {value}: 0 or more is wanted")
            if one.name.endswith("_share") and value > 1:
                raise ConfigurationError(
                    f"{one.name} = {value}: a share is 0 to 1 (0.01 is one in a hundred)"
                )
        if self.min_hours > self.over_last_h:
            raise ConfigurationError(
                f"min_hours = {self.min_hours}: in over_last_h = {self.over_last_h:g} hours there "
                "are not so many"
            )


@dataclass(frozen=True, slots=True)
class FinishThresholds:
    """For the end, when the old path is cleared away."""

    quiet_h: float = 168.0
    """For so many hours nothing has used the old path, while the new one was used."""

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be; it begins with the key."""
        if not 0 <= self.quiet_h < float("inf"):
            raise ConfigurationError(f"quiet_h = {self.quiet_h}: 0 or more is wanted")
