"""A side that hangs while a character leaves it: it leaves when the side comes back, and joins."""

import asyncio
from pathlib import Path

import numpy as np

from mmoinv import InMemoryInventoryRepository
from mmoinv.errors import JoinError
from mmoinv.migration import (
    FileBook,
    MigratingRepository,
    MigrationMode,
    MigrationSettings,
    ModeRules,
    Rules,
    Side,
)
from mmoinv.records import InventoryItemData

GUID = 7
SETTINGS = MigrationSettings(
    follower_timeout_s=0.05,
    retry_first_s=0.05,
    retry_longest_s=0.1,
    join_wait_s=0.05,
    leave_wait_s=0.05,
    tick_s=0.02,
)


class Realm(InMemoryInventoryRepository):
    """A realm as a connector shows it: joined once, and no answer while it ``hangs``."""

    def __init__(self) -> None:
        super().__init__(names_items=True)
        self.joined: set[int] = set()
        self.answers = asyncio.Event()
        self.answers.set()

    async def join(self, character_guid: int) -> None:
        if character_guid in self.joined:
            raise JoinError(f"character {character_guid} is joined here already", character_guid)
        await self.answers.wait()
        self.joined.add(character_guid)

    async def leave(self, character_guid: int) -> None:
        await self.answers.wait()
        self.joined.remove(character_guid)


async def test_who_left_while_the_other_side_hung_is_followed_there_again(tmp_path: Path) -> None:
    legacy, realm = InMemoryInventoryRepository(), Realm()
    async with MigratingRepository(
        legacy,
        realm,
        rules=ModeRules(Rules(MigrationMode.SHADOW)),
        book=FileBook(tmp_path / "book"),
        mint=lambda count: np.arange(1, count + 1, dtype=np.uint64),
        settings=SETTINGS,
    ) as moving:
        await moving.join(GUID)
        realm.answers.clear()
        await moving.leave(GUID)
        joined = await moving.join(GUID)
        assert joined.mode is MigrationMode.SHADOW
        handle = moving.save_item(GUID, InventoryItemData(25, 0xFF17, 1, item_guid=9))
        assert handle is not None
        await handle
        assert len(realm.load_items(GUID)) == 0
        realm.answers.set()
        async with asyncio.timeout(10):
            while not len(realm.load_items(GUID)):
                await asyncio.sleep(0.01)
        assert await moving.flush()
        assert moving.followers[Side.NEW].behind_count == 0
        assert realm.joined == {GUID}
        await moving.leave(GUID)
        assert realm.joined == set()
