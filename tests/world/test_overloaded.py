"""A realm that is overloaded says when to come back, and the connector waits so long."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mmoinv import InventoryItemData, RealmConnector, RealmServer
from mmoinv.errors import JoinError
from mmoinv.realm import RealmLimits
from mmoinv.stores import Verdict
from mmoinv.wire import JoinFailure
from mmoinv.world.operations import Operations

PLAYERS = 40


async def test_an_overloaded_realm_says_when_to_come_back_and_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    pauses_s: list[float] = []
    hints_s: list[float] = []
    retry_later = Operations._retry_later

    def noted(self: Operations, operation: Any, hint_s: float) -> None:
        hints_s.append(hint_s)
        retry_later(self, operation, hint_s)

    def later(delay_s: float, callback: Any, *arguments: Any, **context: Any) -> Any:
        if getattr(callback, "__name__", "") == "_retry":
            pauses_s.append(delay_s)
        return call_later(delay_s, callback, *arguments, **context)

    monkeypatch.setattr(Operations, "_retry_later", noted)
    monkeypatch.setattr(loop, "call_later", later)
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with RealmServer(url, port=0, limits=RealmLimits(max_link_operations=25)) as realm:
        secret = await realm.add_world("world-1")
        async with RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as world:
            for guid in range(PLAYERS):
                await world.join(guid)
            guids = world.new_item_guids(PLAYERS).tolist()
            handles = [
                world.repository().save_item(guid, InventoryItemData(19, 23, item_guid=guids[guid]))
                for guid in range(PLAYERS)
            ]
            for handle in handles:
                assert (await handle).operation_id == handle.operation_id
        assert realm.statistics.operations[Verdict.OVERLOADED] == len(hints_s) > 0
        assert realm.statistics.committed == PLAYERS
    assert len(pauses_s) == len(hints_s)
    for pause_s, hint_s in zip(pauses_s, hints_s, strict=True):
        assert 0.05 <= hint_s < pause_s


async def test_a_join_too_is_told_when_to_come_back(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with RealmServer(url, port=0, limits=RealmLimits(max_queued_operations=2)) as realm:
        secret = await realm.add_world("world-1")
        async with RealmConnector("127.0.0.1", realm.port, world="world-1", secret=secret) as world:
            joins = await asyncio.gather(
                *(world.join(guid) for guid in range(PLAYERS)), return_exceptions=True
            )
            refused = [one for one in joins if isinstance(one, JoinError)]
            assert 0 < len(refused) < PLAYERS
            for error in refused:
                assert error.reason == JoinFailure.OVERLOADED
                assert 0.05 <= error.retry_in_s <= 10.0
            await asyncio.sleep(refused[0].retry_in_s)
            await world.join(refused[0].character_guid)
            with pytest.raises(JoinError) as caught:
                await world.join(refused[0].character_guid)
            assert caught.value.retry_in_s == 0
