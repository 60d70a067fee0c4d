"""What the characters of a torture run's world do: loot, use up, destroy, sort, earn, trade, mail.

Everything that is sent is in the journal before it is on the wire, and every answer as it comes.
Does not know how a world connects, nor which fault is done when, and judges nothing.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence

from mmoinv.commits import CurrencyDelta
from mmoinv.errors import JoinError, LinkBusyError, LinkError, OperationRefusedError
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.torture.journal import Amount, Answer, Change, Journal, Sent
from mmoinv.world import JoinedCharacter, RealmConnector

log = logging.getLogger("mmoinv.torture")

BACKPACK = range(255 << 8 | 23, 255 << 8 | 39)
GOLD = 1
ENTRIES = range(2001, 2006)
PAUSE_S = 0.02
"""Between two deeds of a world, on average."""
POSTAGE = 1


class Deeds:
    """One world's game on ``connector``, with those characters of ``wanted`` that are joined.

    ``mailbox`` is the guid of an owner that is no player: mail lies there until it is fetched.
    """

    def __init__(
        self,
        name: str,
        connector: RealmConnector,
        journal: Journal,
        wanted: set[int],
        mailbox: int,
        seed: int,
    ) -> None:
        self.acknowledged = 0
        """Operations that were answered as committed."""
        self.is_paused = False
        """Whether nothing is done by itself."""
        self.on_acknowledged: Callable[[], object] | None = None
        self._name = name
        self._connector = connector
        self._journal = journal
        self._wanted = wanted
        self._mailbox = mailbox
        self._random = random.Random(seed)
        self._busy: Counter[int] = Counter()

    def insist(self, guids: Sequence[int]) -> OperationHandle:
        """Commit something of all these characters there and then, behind what is underway of
        them; raises `MmoinvError` if that cannot be."""
        return self._commit(
            [_changes(self._character(guid), money=1) for guid in guids],
            money_created={GOLD: len(guids)},
        )

    def _character(self, guid: int) -> JoinedCharacter:
        character = self._connector.character(guid)
        if character is None:
            raise JoinError(f"{self._name} does not have character {guid:#x}", guid)
        return character

    async def play(self) -> None:
        """One deed after the other, until it is cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / PAUSE_S))
            try:
                if not self.is_paused:
                    self._do_something()
            except (JoinError, LinkError, LinkBusyError) as error:
                log.debug("%s: %s", self._name, error)

    def _do_something(self) -> None:
        here = [
            character
            for character in self._connector.characters
            if character.guid in self._wanted and not self._busy[character.guid]
        ]
        if not here:
            return
        players = [character for character in here if character.guid != self._mailbox]
        mailbox = [character for character in here if character.guid == self._mailbox]
        if not players:
            return
        one = self._random.choice(players)
        others = [character for character in players if character is not one]
        chance = self._random.random()
        if others and chance < 0.3:
            self._trade(one, self._random.choice(others))
        elif mailbox and chance < 0.4:
            self._mail(one, mailbox[0])
        elif mailbox and chance < 0.5:
            self._fetch(mailbox[0], one)
        else:
            deeds = [self._loot, self._use, self._destroy, self._move, self._earn]
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

    def _mail(self, sender: JoinedCharacter, mailbox: JoinedCharacter) -> None:
        """An item with its postage, to an owner that is no player."""
        self._hand_over(sender, mailbox, min(POSTAGE, sender.balances.get(GOLD, 0)))

    def _fetch(self, mailbox: JoinedCharacter, receiver: JoinedCharacter) -> None:
        self._hand_over(mailbox, receiver, mailbox.balances.get(GOLD, 0))

    def _hand_over(self, giver: JoinedCharacter, taker: JoinedCharacter, gold: int) -> None:
        item, slot = self._held(giver), self._free(taker)
        if item is not None and slot is not None:
            self._commit(
                [
                    _changes(giver, deletes=[item.slot], money=-gold),
                    _changes(taker, saves=[item._replace(slot=slot)], money=gold),
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
        versions = {}
        for change in changes:
            character = self._character(change.character_guid)
            # It is made on what those underway will have made of it.
            underway = self._busy[change.character_guid]
            versions[change.character_guid] = character.version + underway
        handle = self._connector.submit(changes, 0, conserve)
        # Before it is on the wire: the connector sends in the loop's next turn.
        self._journal.write(
            Sent(
                handle.operation_id,
                self._name,
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
        self._busy.update(handle.character_guids)
        handle.add_done_callback(self._ended)
        return handle

    def _ended(self, handle: OperationHandle) -> None:
        # Called as the character's version rises: nobody finds one without the other.
        self._busy.subtract(handle.character_guids)
        error = handle.exception
        if error is None:
            outcome = handle.result
            self._journal.write(Answer(handle.operation_id, outcome.status, outcome.versions))
            self.acknowledged += 1
            if self.on_acknowledged is not None:
                self.on_acknowledged()
        elif isinstance(error, OperationRefusedError):
            self._journal.write(Answer(handle.operation_id, error.status))
        else:
            log.debug("%s: %s", self._name, error)


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
