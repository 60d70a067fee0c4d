"""The evidence of a rehearsal, and the same counted, so that it can be shown as it comes.

Knows no repository and no terminal.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mmoinv.migration import MigrationMode, Side
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.witness import At
from mmoinv.records import Batch


class CountedEvidence(Evidence):
    """`Evidence` whose ``counts`` may be read at any time, by what was told."""

    def __init__(self, path: Path, config: MigrationConfig, counts: "Counts") -> None:
        super().__init__(path, config, flush_s=0.2)
        self._counts = counts

    def compared(
        self,
        character_guid: int,
        mode: MigrationMode,
        decider: Side,
        at: At,
        operation_id: int | None,
        expected: Batch,
        found: Batch,
        expected_money: Mapping[int, int],
        found_money: Mapping[int, int],
    ) -> bool:
        is_equal = super().compared(
            *(character_guid, mode, decider, at, operation_id),
            *(expected, found, expected_money, found_money),
        )
        self._counts.add("compared")
        if not is_equal:
            self._counts.add("diverged")
        return is_equal

    def missed(
        self, character_guid: int, side: Side, reason: str, operation_id: int | None
    ) -> None:
        super().missed(character_guid, side, reason, operation_id)
        self._counts.add("missed")

    def made_up(self, character_guid: int, side: Side) -> None:
        super().made_up(character_guid, side)
        self._counts.add("made up")

    def flipped(self, character_guid: int, before: MigrationMode, after: MigrationMode) -> None:
        super().flipped(character_guid, before, after)
        self._counts.add("mode changes")


class Counts:
    """How often something happened, by its name. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """It happened once more."""
        with self._lock:
            self._counts[name] += 1

    def take(self) -> Counter[str]:
        """What happened until now."""
        with self._lock:
            return self._counts.copy()
