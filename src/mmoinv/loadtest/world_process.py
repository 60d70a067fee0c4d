"""One world server of a load test, in a process of its own: its players play and save.

The schedule is open-loop: the moment of each save is fixed in advance, and its latency counts
from that moment, however late the world is. Told what to do, and reporting, through a pipe.
"""

import asyncio
import contextlib
import gc
import heapq
import random
import time
from multiprocessing.connection import Connection
from typing import Any

from mmoinv import loops
from mmoinv.errors import LinkBusyError, LinkError, MmoinvError
from mmoinv.loadtest.deeds import DeedLog, Tally
from mmoinv.loadtest.guids import GUID_BASE
from mmoinv.loadtest.players import Player
from mmoinv.loadtest.settings import WorldSettings
from mmoinv.loadtest.starting_items import item_count_of
from mmoinv.records import Batch, empty_batch
from mmoinv.repository import OperationHandle
from mmoinv.world import ConnectorState, RealmConnector

SAMPLE_EVERY_S = 0.25
JOINS_AT_ONCE = 64
ANSWERED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.5
MAX_PENDING = 10_000
LATE_SAVES_AT_ONCE = 32
"""A world that is behind its schedule lets answers in after so many saves."""
DEEDS_PER_SAVE = (1, 2, 3, 4)


def run_world(connection: Connection, settings: WorldSettings) -> None:
    """Log on, then do what the pipe says until it says end."""
    loops.run(_World(connection, settings).run())


class _World:
    def __init__(self, connection: Connection, settings: WorldSettings) -> None:
        self._pipe = connection
        self._settings = settings
        self._rng = random.Random(settings.seed * 1009 + settings.first_player)
        self._players: list[Player] = []
        self._deeds = DeedLog()
        self._commands_told = (0, 0)
        self._rtt_ms: list[float] = []
        self._answered_s: list[float] = []
        self._packet_bytes: list[int] = []
        self._refused: list[str] = []
        self._acknowledged: list[int] = []
        """Operations that were answered as committed, where a realm may crash."""
        self._open = 0
        self._all_answered = asyncio.Event()

    async def run(self) -> None:
        settings = self._settings
        loop = asyncio.get_running_loop()
        async with RealmConnector(
            settings.host,
            settings.port,
            world=settings.name,
            secret=settings.secret,
            # Everyone saves at once, and that must fit.
            max_pending=max(MAX_PENDING, settings.players),
            # Else a realm that goes away ends the run, and says so.
            reconnects=settings.reconnects,
        ) as connector:
            self._connector = connector
            self._repository = connector.repository()
            connector.on_packet_sent = self._packet_bytes.append
            self._pipe.send(("ready", None))
            while True:
                kind, payload = await loop.run_in_executor(None, self._pipe.recv)
                if kind == "end":
                    return
                result = await getattr(self, f"_do_{kind}")(payload)
                self._pipe.send((kind, result))

    # What the parent may ask for

    async def _do_set_up(self, _: Any) -> None:
        """Join every character and save its whole inventory, whatever is stored of it."""
        first = self._settings.first_player
        rest = iter(range(first, first + self._settings.players))

        async def joiner() -> None:
            for index in rest:
                character = await self._connector.join(GUID_BASE + index)
                player = Player(
                    GUID_BASE + index,
                    character.items,
                    self._rng,
                    self._connector.new_item_guids,
                    self._deeds,
                )
                items = player.new_items(item_count_of(index, self._rng))
                await self._saved_whole(player, items)
                player.load(self._repository.load_items(player.guid))
                self._players.append(player)
                self._pipe.send(("progress", 1))

        await asyncio.gather(*(joiner() for _ in range(JOINS_AT_ONCE)))
        self._players.sort(key=lambda player: player.guid)
        self._forget_figures()
        gc.collect()
        gc.freeze()

    async def _do_play(self, payload: tuple[float, float]) -> Tally:
        """Play from one monotonic time to another; then wait for the last answers."""
        start_s, end_s = payload
        interval_s = 1 / self._settings.saves_per_s
        schedule = [
            (start_s + interval_s * (index + self._rng.random()) / len(self._players), index)
            for index in range(len(self._players))
        ]
        heapq.heapify(schedule)
        sampler = asyncio.create_task(self._report())
        late = 0
        try:
            while schedule and schedule[0][0] < end_s:
                delay_s = schedule[0][0] - time.monotonic()
                if delay_s > 0:
                    await asyncio.sleep(delay_s)
                    continue
                late += 1
                if late % LATE_SAVES_AT_ONCE == 0:
                    await asyncio.sleep(0)
                due_s, index = schedule[0]
                heapq.heapreplace(
                    schedule, (due_s + interval_s * self._rng.uniform(0.8, 1.2), index)
                )
                player = self._players[index]
                player.play(self._rng.choice(DEEDS_PER_SAVE), self._players)
                self._save(player, due_s)
            await self._answers()
        finally:
            sampler.cancel()
        self._send_sample()
        return self._deeds.tally

    async def _do_new_items(self, _: Any) -> None:
        """Every player has a new inventory, with no item of the old one, not stored yet."""
        for player in self._players:
            player.load(player.new_items(item_count_of(player.guid - GUID_BASE, self._rng)))
        # A collection that goes through everyone's items would be in the figures.
        gc.collect()
        gc.freeze()

    async def _do_all_at_once(self, at_s: float) -> dict[str, int]:
        """Every player saves the whole inventory at the same instant."""
        sizes = {}
        await asyncio.sleep(max(0.0, at_s - time.monotonic()))
        for player in self._players:
            handle = self._repository.save_all_items(player.guid, player.items)
            assert handle is not None
            self._watch(handle, at_s)
        await self._answers()
        # The connector sends in the order of the commits.
        for player, size in zip(self._players, self._packet_bytes, strict=False):
            index = player.guid - GUID_BASE
            if index in (0, 1):
                sizes[f"packet_bytes_{len(player.items)}_items"] = size
        self._send_sample()
        return sizes

    async def _do_acknowledged(self, _: Any) -> list[int]:
        """The operations that were answered as committed since the set-up."""
        return self._acknowledged

    async def _do_holdings(self, _: Any) -> dict[int, bytes]:
        """What this world holds, by character guid, as bytes of `INVENTORY_ITEM` records."""
        return {player.guid: player.items.tobytes() for player in self._players}

    async def _do_read_back(self, _: Any) -> dict[int, bytes]:
        """What the realm has stored, by leaving and joining every character again."""
        result = {}
        for player in self._players:
            await self._connector.leave(player.guid)
            character = await self._connector.join(player.guid)
            result[player.guid] = character.items.tobytes()
        return result

    async def _do_clear(self, _: Any) -> None:
        """Empty every inventory again, and leave."""
        for start in range(0, len(self._players), JOINS_AT_ONCE):
            some = self._players[start : start + JOINS_AT_ONCE]
            await asyncio.gather(*(self._saved_whole(player, empty_batch()) for player in some))
            await asyncio.gather(*(self._connector.leave(player.guid) for player in some))

    # Saving

    def _save(self, player: Player, due_s: float) -> None:
        """Also of whom it has traded with, in the same operation, which counts once."""
        try:
            handle = player.inventory.save(self._repository)
        except LinkBusyError as error:
            # Nothing was taken: it stays unsaved, and the player's next save carries it.
            self._refused.append(str(error))
            return
        self._watch(handle, due_s)

    async def _saved_whole(self, player: Player, items: Batch) -> None:
        handle = self._repository.save_all_items(player.guid, items)
        assert handle is not None
        await handle

    def _watch(self, handle: OperationHandle, due_s: float) -> None:
        self._open += 1
        self._all_answered.clear()

        def answered(ended: OperationHandle) -> None:
            self._open -= 1
            if self._open == 0:
                self._all_answered.set()
            error = ended.exception
            if error is None:
                now_s = time.monotonic()
                if self._settings.reconnects:
                    self._acknowledged.append(ended.operation_id)
                self._rtt_ms.append((now_s - due_s) * 1e3)
                self._answered_s.append(now_s)
            else:
                # What was refused is still unsaved: the next save carries it again.
                self._refused.append(str(error))

        handle.add_done_callback(answered)

    async def _answers(self) -> None:
        until_s = time.monotonic() + ANSWERED_WITHIN_S
        while self._open:
            fate = f"{self._open} saves were not answered: they may or may not be saved"
            if self._connector.state is ConnectorState.LOST:
                raise LinkError(f"the link to the realm was lost; {fate}")
            if time.monotonic() > until_s:
                raise MmoinvError(f"the realm was silent for {ANSWERED_WITHIN_S:.0f} s; {fate}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), LOOK_EVERY_S)

    # Reporting

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            self._send_sample()

    def _send_sample(self) -> None:
        told, now = self._commands_told, (self._deeds.done, self._deeds.not_allowed)
        self._commands_told = now
        self._pipe.send(
            (
                "sample",
                {
                    "at_s": time.monotonic(),
                    "rtt_ms": self._rtt_ms,
                    "answered_s": self._answered_s,
                    "packet_bytes": self._packet_bytes,
                    "refused": len(self._refused),
                    "refusals": self._refused[:3],
                    "pending": self._open,
                    "commands": now[0] - told[0],
                    "commands_refused": now[1] - told[1],
                },
            )
        )
        self._forget_figures()

    def _forget_figures(self) -> None:
        self._rtt_ms = []
        self._answered_s = []
        self._refused = []
        # The connector appends to this very list.
        self._packet_bytes.clear()
