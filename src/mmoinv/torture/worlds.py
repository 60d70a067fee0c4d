"""A world of a torture run: its characters loot, use up, destroy, sort and trade, and it writes
down what it sends and what it is answered.

It behaves as a game does, on a connector behind a proxy that spoils its links. Does not know which
fault is done when, and judges nothing.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmoinv.commits import CurrencyDelta
from mmoinv.errors import JoinError, LinkBusyError, LinkError, MmoinvError, OperationRefusedError
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.torture.journal import Amount, Answer, Change, Journal, Sent
from mmoinv.torture.proxy import FaultProxy
from mmoinv.world import ConnectorState, JoinedCharacter, RealmConnector

log = logging.getLogger("mmoinv.torture")

BACKPACK = range(255 << 8 | 23, 255 << 8 | 39)
GOLD = 1
ENTRIES = range(2001, 2006)
PAUSE_S = 0.02
"""Between two deeds of a world, on average."""


class TortureWorld:
    """One world: `start`, `die` as often as wanted, `finish`."""

    def __init__(
        self,
        name: str,
        secret: str,
        proxy: FaultProxy,
        guids: Sequence[int],
        journal: Path,
        seed: int,
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.wanted = set(guids)
        """Characters that it plays; a fight moves them from world to world."""
        self._secret = secret
        self._random = random.Random(seed)
        self._journal = Journal(journal)
        self._connector: RealmConnector | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: Counter[int] = Counter()
        self._answers: set[asyncio.Task[None]] = set()
        self.deaths = 0
        self.acknowledged = 0
        """Operations that were answered as committed."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing that it sent is unanswered."""
        return self._connector is None or not self._connector.pending_count

    @property
    def is_connected(self) -> bool:
        """Whether it has a link to the realm."""
        return self._connector is not None and self._connector.state is ConnectorState.CONNECTED

    def holds(self, guid: int) -> bool:
        """Whether the session of a character is its own, as far as it knows."""
        return self._connector is not None and self._connector.character(guid) is not None

    def insist(self, guid: int) -> OperationHandle:
        """Commit something of a character there and then, behind what is underway of it; raises
        `MmoinvError` if that cannot be."""
        character = None if self._connector is None else self._connector.character(guid)
        if character is None:
            raise JoinError(f"{self.name} does not have character {guid:#x}", guid)
        return self._commit([_changes(character, money=1)], money_created={GOLD: 1})

    async def start(self) -> None:
        """Log on, and play until told otherwise."""
        while self._connector is None:
            connector = RealmConnector(
                self.proxy.host,
                self.proxy.port,
                world=self.name,
                secret=self._secret,
                reconnect_longest_s=0.5,
                connect_timeout_s=3.0,
                join_timeout_s=8.0,
            )
            try:
                await connector.connect()
            except MmoinvError as error:
                log.debug("%s: %s", self.name, error)
                await asyncio.sleep(0.2)
            else:
                self._connector = connector
        self._tasks = [
            asyncio.create_task(self._keep_joined()),
            asyncio.create_task(self._play()),
        ]

    async def die(self) -> None:
        """End as a process that is killed does: the link is cut, what was pending is forgotten."""
        connector, self._connector = self._connector, None
        await self._cancel()
        self._busy.clear()
        if connector is not None:
            link = connector._uplink.link
            if link is not None:
                link.abort()
            self.deaths += 1
            # Nothing is waited for, nothing is sent.
            await connector.close(timeout_s=0)

    async def _cancel(self) -> None:
        tasks, self._tasks = [*self._tasks, *self._answers], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def finish(self, timeout_s: float) -> bool:
        """Stop playing, wait for every answer, leave; False if some did not come in time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._connector is not None
        answered = await self._connector.flush(timeout_s)
        await asyncio.gather(*self._answers, return_exceptions=True)
        await self._connector.close(timeout_s=5)
        self._journal.close()
        return answered

    # Characters

    async def _keep_joined(self) -> None:
        """Whoever is wanted and not here is asked for, again and again."""
        assert self._connector is not None
        while True:
            for guid in sorted(self.wanted):
                if self._connector.character(guid) is None:
                    with contextlib.suppress(JoinError, LinkError):
                        await self._connector.join(guid)
            await asyncio.sleep(0.1)

    # Deeds

    async def _play(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / PAUSE_S))
            try:
                self._do_something()
            except (JoinError, LinkError, LinkBusyError) as error:
                log.debug("%s: %s", self.name, error)

    def _do_something(self) -> None:
        assert self._connector is not None
        here = [
            character
            for character in self._connector.characters
            if character.guid in self.wanted and not self._busy[character.guid]
        ]
        if not here:
            return
        one = self._random.choice(here)
        deeds = [self._loot, self._use, self._destroy, self._move, self._earn]
        others = [character for character in here if character is not one]
        if others and self._random.random() < 0.4:
            self._trade(one, self._random.choice(others))
        else:
            self._random.choice(deeds)(one)

    def _free(self, character: JoinedCharacter) -> int | None:
        taken = set(character.items["slot"].tolist())
        free = [slot for slot in BACKPACK if slot not in taken]
        return self._random.choice(free) if free else None

    def _held(self, character: JoinedCharacter) -> InventoryItemData | None:
        if not len(character.items):
            return None
        return InventoryItemData(*self._random.choice(character.items.tolist()))

    def _loot(self, character: JoinedCharacter) -> None:
        slot = self._free(character)
        if slot is None:
            self._destroy(character)
            return
        assert self._connector is not None
        entry, count = self._random.choice(ENTRIES), self._random.randint(1, 20)
        (guid,) = self._connector.new_item_guids().tolist()
        item = InventoryItemData(entry, slot, count, item_guid=guid)
        self._commit([_changes(character, saves=[item])], created=[Amount(guid, entry, count)])

    def _use(self, character: JoinedCharacter) -> None:
        item = self._held(character)
        if item is not None and item.stack_count > 1:
            left = item._replace(stack_count=item.stack_count - 1)
            used = Amount(item.item_guid, item.entry, 1)
            self._commit([_changes(character, saves=[left])], destroyed=[used])

    def _destroy(self, character: JoinedCharacter) -> None:
        item = self._held(character)
        if item is not None:
            gone = Amount(item.item_guid, item.entry, item.stack_count)
            self._commit([_changes(character, deletes=[item.slot])], destroyed=[gone])

    def _move(self, character: JoinedCharacter) -> None:
        item, slot = self._held(character), self._free(character)
        if item is not None and slot is not None:
            moved = item._replace(slot=slot)
            self._commit([_changes(character, saves=[moved], deletes=[item.slot])], conserve=True)

    def _earn(self, character: JoinedCharacter) -> None:
        amount = self._random.randint(1, 100)
        self._commit([_changes(character, money=amount)], money_created={GOLD: amount})

    def _trade(self, seller: JoinedCharacter, buyer: JoinedCharacter) -> None:
        """An item for gold: all of it or nothing, and nothing comes into being."""
        item, slot = self._held(seller), self._free(buyer)
        if item is None or slot is None:
            return
        price = self._random.randint(0, buyer.balances.get(GOLD, 0))
        self._commit(
            [
                _changes(seller, deletes=[item.slot], money=price),
                _changes(buyer, saves=[item._replace(slot=slot)], money=-price),
            ],
            conserve=True,
        )

    # Journal

    def _commit(
        self,
        changes: Sequence[CharacterChanges],
        created: Sequence[Amount] = (),
        destroyed: Sequence[Amount] = (),
        money_created: dict[int, int] | None = None,
        conserve: bool = False,
    ) -> OperationHandle:
        assert self._connector is not None
        versions = {}
        for change in changes:
            character = self._connector.character(change.character_guid)
            assert character is not None
            # It is made on what those underway will have made of it.
            underway = self._busy[change.character_guid]
            versions[change.character_guid] = character.version + underway
        handle = self._connector.submit(changes, 0, conserve)
        # Before it is on the wire: the connector sends in the loop's next turn.
        self._journal.write(
            Sent(
                handle.operation_id,
                self.name,
                [
                    Change(
                        change.character_guid,
                        versions[change.character_guid],
                        change.saves.tolist(),
                        change.deletes.tolist(),
                        change.replace,
                        dict(change.money),
                    )
                    for change in changes
                ],
                created,
                destroyed,
                money_created or {},
            )
        )
        self._busy.update(list(versions))
        task = asyncio.create_task(self._answered(handle, list(versions)))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return handle

    async def _answered(self, handle: OperationHandle, guids: Sequence[int]) -> None:
        try:
            outcome = await handle
        except OperationRefusedError as error:
            self._journal.write(Answer(handle.operation_id, error.status))
        except MmoinvError as error:
            log.debug("%s: %s", self.name, error)
        else:
            self._journal.write(Answer(handle.operation_id, outcome.status, outcome.versions))
            self.acknowledged += 1
        finally:
            self._busy.subtract(guids)


def _changes(
    character: JoinedCharacter,
    saves: Sequence[InventoryItemData] = (),
    deletes: Sequence[int] = (),
    money: int = 0,
) -> CharacterChanges:
    return CharacterChanges(
        character.guid,
        batch_of(*saves) if saves else empty_batch(),
        slots_of(*deletes),
        False,
        (CurrencyDelta(GOLD, money),) if money else (),
    )
