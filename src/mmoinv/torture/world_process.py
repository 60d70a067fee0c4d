"""A world of a torture run as a process of its own: ``python -m mmoinv.torture.world_process``.

Its orders come as JSON lines on the standard input, the first is its settings; what it reports
goes as JSON lines to the standard output. It ends with whoever started it. It behaves as a game
does, on a connector; does not know which fault is done when.
"""

import asyncio
import contextlib
import json
import logging
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmoinv.errors import JoinError, LinkError, MmoinvError
from mmoinv.torture.clock import follow_clock
from mmoinv.torture.deeds import Deeds
from mmoinv.torture.journal import Answer, Journal, Kept
from mmoinv.world import ConnectorState, RealmConnector

log = logging.getLogger("mmoinv.torture")

REPORT_EVERY_S = 0.02


@dataclass(frozen=True)
class WorldSettings:
    """The first order."""

    name: str
    secret: str
    host: str
    port: int
    wanted: list[int]
    mailbox: int
    journal: str
    outbox: str
    """A file; empty: it has none."""
    clock: str
    seed: int


@dataclass
class WorldState:
    """What a world reports of itself. Times are those of the machine's monotonic clock."""

    is_connected: bool = False
    holds: list[int] | tuple[int, ...] = ()
    acknowledged: int = 0
    pending: int = 0
    linked_s: float = 0.0
    """When its sessions were held last, after a logon."""
    answered_s: float = 0.0
    """When the first commit was answered since then; 0 if none was."""
    last_answered_s: float = 0.0
    """When a commit of this process was answered last; 0 if none was."""


def tell(**report: Any) -> None:
    """Report something."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


class World:
    """The world of this process."""

    def __init__(self, settings: WorldSettings) -> None:
        self._settings = settings
        self._wanted = set(settings.wanted)
        self._state = WorldState()
        self._journal = Journal(Path(settings.journal))
        self._kept: set[int] = set()
        self._replayed = 0
        self._connector = self._new_connector()
        self._deeds: Deeds | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def _new_connector(self) -> RealmConnector:
        settings = self._settings
        connector = RealmConnector(
            settings.host,
            settings.port,
            world=settings.name,
            secret=settings.secret,
            reconnect_longest_s=0.5,
            connect_timeout_s=3.0,
            join_timeout_s=8.0,
            outbox=settings.outbox or None,
        )
        self._replayed = 0
        connector.on_state_changed = self._state_changed
        return connector

    def _state_changed(self, state: ConnectorState) -> None:
        if state is ConnectorState.CONNECTED:
            self._state.linked_s, self._state.answered_s = time.monotonic(), 0.0

    def _acknowledged(self) -> None:
        self._state.last_answered_s = time.monotonic()
        self._state.answered_s = self._state.answered_s or self._state.last_answered_s

    async def run(self, orders: asyncio.StreamReader) -> None:
        """Play, and do what is ordered, until told to finish or nobody is there any more."""
        self._tasks = [
            asyncio.create_task(self._report()),
            asyncio.create_task(self._play()),
        ]
        while line := await orders.readline():
            order = json.loads(line)
            match order["order"]:
                case "want":
                    self._wanted.add(order["guid"])
                case "let go":
                    self._wanted.discard(order["guid"])
                case "pause" | "play" if self._deeds is not None:
                    self._deeds.is_paused = order["order"] == "pause"
                case "insist":
                    self._insist(order["number"], order["guids"])
                case "finish":
                    await self._finish(order["timeout_s"])
                    return

    def _note(self) -> None:
        """What the journal is to know of the outbox. An answer to what the process before has left
        is there before the outbox forgets it, which takes that a second."""
        if not self._settings.outbox:
            return
        for operation in self._connector.pending_operations:
            if operation.attempts and operation.operation_id not in self._kept:
                self._kept.add(operation.operation_id)
                self._journal.write(Kept(operation.operation_id))
        replayed = self._connector.replayed
        for one in replayed[self._replayed :]:
            self._journal.write(Answer(one.operation_id, one.status))
        self._replayed = len(replayed)

    async def _report(self) -> None:
        before = None
        while True:
            self._note()
            connector, state = self._connector, self._state
            state.is_connected = connector.state is ConnectorState.CONNECTED
            state.holds = [character.guid for character in connector.characters]
            state.acknowledged = 0 if self._deeds is None else self._deeds.acknowledged
            state.pending = connector.pending_count
            if (report := asdict(state)) != before:
                tell(state=report)
                before = report
            await asyncio.sleep(REPORT_EVERY_S)

    async def _play(self) -> None:
        """Log on, and play until told otherwise."""
        while True:
            try:
                await self._connector.connect()
                break
            except MmoinvError as error:
                log.debug("%s: %s", self._settings.name, error)
                self._note()
                await asyncio.sleep(0.2)
                self._connector = self._new_connector()
        self._deeds = Deeds(
            self._settings.name,
            self._connector,
            self._journal,
            self._wanted,
            self._settings.mailbox,
            self._settings.seed,
        )
        self._deeds.on_acknowledged = self._acknowledged
        await asyncio.gather(self._keep_joined(), self._deeds.play())

    async def _keep_joined(self) -> None:
        """Whoever is wanted and not here is asked for, again and again."""
        while True:
            for guid in sorted(self._wanted):
                if self._connector.character(guid) is None:
                    with contextlib.suppress(JoinError, LinkError):
                        await self._connector.join(guid)
            await asyncio.sleep(0.1)

    def _insist(self, number: int, guids: list[int]) -> None:
        try:
            if self._deeds is None:
                raise LinkError(f"{self._settings.name} has not logged on yet")
            handle = self._deeds.insist(guids)
        except MmoinvError:
            tell(insisted=number, operation=0)
            return
        tell(insisted=number, operation=handle.operation_id)
        handle.add_done_callback(lambda _: tell(answered=number))

    async def _finish(self, timeout_s: float) -> None:
        """Stop playing, wait for every answer, leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        answered = await self._connector.flush(timeout_s)
        await self._connector.close(timeout_s=5)
        self._journal.close()
        tell(finished=answered)


async def _run() -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    settings = WorldSettings(**json.loads(await orders.readline()))
    follow_clock(Path(settings.clock))
    # Links are lost all the time here, and that is what they say.
    logging.getLogger("mmoinv").setLevel(logging.CRITICAL)
    await World(settings).run(orders)


if __name__ == "__main__":
    asyncio.run(_run())
