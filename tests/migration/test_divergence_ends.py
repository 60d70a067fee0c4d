"""A divergence that was mended is not open for ever, though its character does nothing more."""

from pathlib import Path

import numpy as np

from mmoinv import InMemoryInventoryRepository
from mmoinv.migration import FileBook, MigratingRepository, MigrationMode, ModeRules, Rules
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.findings import read_findings
from mmoinv.records import InventoryItemData
from mmoinv.repository import CharacterChanges, OperationHandle

GUID = 7


class Spoiling(InMemoryInventoryRepository):
    """Writes one too few of everything, as often as it is told."""

    times = 0

    def commit_changes(
        self, changes: list[CharacterChanges], reason: int = 0, *, conserve: bool = False
    ) -> OperationHandle:
        if self.times:
            self.times -= 1
            changes = [change._replace(saves=change.saves.copy()) for change in changes]
            for change in changes:
                change.saves["stack_count"] -= 1
        return super().commit_changes(changes, reason, conserve=conserve)


async def played(tmp_path: Path, times: int, *, again: bool) -> tuple[int, int]:
    """How many divergences were seen, and how many are open after a moment of a bug."""
    legacy = Spoiling()
    new = InMemoryInventoryRepository(names_items=True)
    book, path = FileBook(tmp_path / "book"), tmp_path / "evidence"

    with Evidence(path, MigrationConfig()) as evidence:
        async with MigratingRepository(
            legacy,
            new,
            rules=ModeRules(Rules(MigrationMode.PRIMARY)),
            book=book,
            evidence=evidence,
            mint=lambda count: np.arange(1, count + 1, dtype=np.uint64),
        ) as moving:
            await moving.join(GUID)
            legacy.times = times
            handle = moving.save_item(GUID, InventoryItemData(25, 0xFF17, 5, item_guid=9))
            assert handle is not None
            await handle
            await moving.flush()
            await moving.leave(GUID)
            if again:
                legacy.times = 0
                await moving.join(GUID)
                await moving.flush()
                await moving.leave(GUID)
        evidence.flush()
        found = read_findings([path])
        assert np.array_equal(legacy.load_items(GUID), new.load_items(GUID))
        return len(found.divergences), len(found.open_divergences())


async def test_what_is_mended_at_once_is_gone(tmp_path):
    assert await played(tmp_path, 1, again=False) == (1, 0)


async def test_what_is_mended_at_the_next_join_is_gone(tmp_path):
    assert await played(tmp_path, 100, again=True) == (1, 0)
