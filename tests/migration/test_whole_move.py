"""A move from its first mode to its end, through the files that the tools share with the worlds."""

import asyncio
import itertools
import time

import numpy as np

from mmoinv.cli import main
from mmoinv.migration import (
    Evidence,
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
)
from mmoinv.records import InventoryItemData, batch_of
from mmoinv.repository import InMemoryInventoryRepository

PLAYERS = (7, 8)
CONFIG = """
[to_primary]
min_compared = 4
min_hours = 1
[to_new]
min_compared = 4
min_hours = 1
[finish]
quiet_h = 0.0001
"""


async def test_from_legacy_to_its_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "migration.toml").write_text(CONFIG)
    names = itertools.count(9 << 32)

    def migrate(*arguments: str) -> int:
        return main(["migrate", *arguments])

    assert migrate("mode", "legacy") == 0
    book = FileBook("book")
    rules = ModeRules(path="modes.toml")
    new = InMemoryInventoryRepository()
    with Evidence("evidence", "migration.toml") as evidence:
        repository = MigratingRepository(
            InMemoryInventoryRepository(),
            new,
            rules=rules,
            book=book,
            evidence=evidence,
            mint=lambda count: np.array([next(names) for _ in range(count)], np.uint64),
            settings=MigrationSettings(tick_s=0.01),
        )
        async with repository:
            for guid in PLAYERS:
                await repository.join(guid)
            for mode in MigrationMode:
                if mode in ("primary", "new"):
                    evidence.flush()
                    assert migrate("status", "evidence", "--check", mode) == 0
                assert migrate("mode", mode) == 0
                rules._look()  # it would look within a second
                async with asyncio.timeout(20):
                    while {repository.mode_of(guid) for guid in PLAYERS} != {mode}:
                        await asyncio.sleep(0.01)
                for turn in range(5):
                    for guid in PLAYERS:
                        item = InventoryItemData(118, 0xFF17 + turn, 5, item_guid=next(names))
                        await repository.save_item(guid, item)
                    await repository.flush()
            evidence.flush()
            # The old path was used a moment ago.
            assert migrate("finish", "evidence", "--book", "book") == 1
            assert "the old path was used" in capsys.readouterr().out
            await asyncio.sleep(0.4)
            begun_s = time.monotonic()
            for guid in PLAYERS:
                await repository.leave(guid)
                await repository.join(guid)
                await repository.leave(guid)
            evidence.flush()
            capsys.readouterr()
            code = migrate("finish", "evidence", "--book", "book")
            said = capsys.readouterr().out
            # Only on a machine that stood still in between, the new one was quiet too.
            assert code == 0 or time.monotonic() - begun_s > 0.35, said
    book.close()
    for guid in PLAYERS:
        assert len(new.load_items(guid)) == 5


async def test_a_world_without_a_move_says_nothing(tmp_path):
    """Characters that are all in mode new never touch the old side, and the evidence knows it."""
    book = FileBook(tmp_path / "book")
    (tmp_path / "modes.toml").write_text('default = "new"\n')

    class Forbidden(InMemoryInventoryRepository):
        def load_items(self, character_guid):
            raise AssertionError("the old side was touched")

        def _submit(self, changes, reason, conserve):
            raise AssertionError("the old side was touched")

    with Evidence(tmp_path / "evidence") as evidence:
        repository = MigratingRepository(
            Forbidden(),
            InMemoryInventoryRepository(),
            rules=ModeRules(path=tmp_path / "modes.toml"),
            book=book,
            evidence=evidence,
        )
        async with repository:
            await repository.created(7)
            await repository.join(7)
            await repository.save_all_items(
                7, batch_of(InventoryItemData(118, 0xFF17, 5, item_guid=1))
            )
            await repository.leave(7)
        evidence.flush()
        from mmoinv.migration.findings import read_findings

        found = read_findings([evidence.path])
    book.close()
    assert set(found.uses) == {"new"}
    assert found.figures(MigrationMode.NEW).commits == 1
    assert found.figures(MigrationMode.SHADOW).compared == 0
