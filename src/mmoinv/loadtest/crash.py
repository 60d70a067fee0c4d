"""What is counted when a load test kills its realm in the middle of the play.

Knows no processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class CrashFigures:
    """Moments are monotonic, in seconds. ``acknowledged`` saves were answered as committed,
    ``found`` of them are noted in the database, ``doubled`` records are there twice."""

    killed_s: float
    ready_s: float = 0.0
    """When the new realm listened."""
    first_answer_s: float = 0.0
    acknowledged: int = 0
    found: int = 0
    doubled: int = 0

    def take(self, answered_s: Sequence[float]) -> None:
        """Moments of answers, some of them after the crash."""
        later = [moment for moment in answered_s if self.ready_s and moment > self.ready_s]
        if later and not self.first_answer_s:
            self.first_answer_s = min(later)

    @property
    def passed(self) -> bool:
        """Whether everything that was answered is there, once."""
        return self.found == self.acknowledged and not self.doubled

    def as_json(self) -> dict[str, float | int | bool | None]:
        """Plain values; times in seconds since the kill."""

        def since(moment_s: float) -> float | None:
            return round(moment_s - self.killed_s, 3) if moment_s else None

        return {
            "acknowledged": self.acknowledged,
            "found": self.found,
            "doubled": self.doubled,
            "realm_ready_s": since(self.ready_s),
            "first_answer_s": since(self.first_answer_s),
            "passed": self.passed,
        }
