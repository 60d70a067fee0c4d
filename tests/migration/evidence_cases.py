"""Inventories on two sides, a clock that is set by hand, and evidence that is written to a file."""

from pathlib import Path

from mmoinv.migration.comparison import NO_LIMITS, OLD_LIMITS, Comparer
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.findings import Findings, read_findings
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.records import Batch, InventoryItemData, batch_of

BEGIN_S = 1_780_000_000.0 // 3600 * 3600
"""Some hour's beginning."""
SWORD = InventoryItemData(25, 0xFF0F, 1, 7, 0, 40, 0, 0, 1, 9 << 32 | 5)
POTIONS = InventoryItemData(118, 0xFF17, stack_count=5, item_guid=9 << 32 | 6)
USUAL = batch_of(SWORD, POTIONS)
COMPARER = Comparer({Side.LEGACY: OLD_LIMITS, Side.NEW: NO_LIMITS})
SHADOW, PRIMARY = MigrationMode.SHADOW, MigrationMode.PRIMARY
LEGACY, NEW = Side.LEGACY, Side.NEW


class Clock:
    """Seconds since 1970 that pass when they are told to."""

    def __init__(self, now_s: float = BEGIN_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def pass_h(self, hours: float) -> None:
        self.now_s += hours * 3600


def evidence_at(path: Path, clock: Clock | None = None, **config) -> Evidence:
    """Evidence that writes when it is told to."""
    return Evidence(path, flush_s=1000.0, now_s=clock or Clock(), **config)


def look(
    evidence: Evidence,
    expected: Batch = USUAL,
    found: Batch = USUAL,
    *,
    character_guid: int = 7,
    operation_id: int | None = None,
    money: tuple[dict[int, int], dict[int, int]] = ({}, {}),
    mode: MigrationMode = SHADOW,
    at: str = "commit",
) -> bool:
    """One comparison, with its commit before."""
    if operation_id is not None:
        evidence.committed(character_guid, mode, mode.decider, operation_id)
    return evidence.compared(
        character_guid, mode, mode.decider, at, operation_id, expected, found, *money
    )


def findings_of(*evidences: Evidence, known=()) -> Findings:
    """What their files say."""
    for evidence in evidences:
        assert evidence.flush()
    return read_findings([evidence.path for evidence in evidences], known)
