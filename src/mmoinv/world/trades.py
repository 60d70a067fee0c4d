"""The open trades of one connector with characters of other worlds.

A character is in one of them at most. What one of them is, is in `mmoinv.world.trade`; knows the
link as something that packets are given to.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from mmoinv.errors import ItemLockedError, JoinError, TradeError
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.wire import CommitStatus, OperationAnswered, TradeCancel, TradeEnd, TradeOffer
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.frames import TradeTerms
from mmoinv.world.link import RealmServerLink
from mmoinv.world.operations import Operations
from mmoinv.world.trade import Trade

log = logging.getLogger("mmoinv.world")


class Trades:
    """All of them. ``link`` gives the present link, ``check_committable`` raises `JoinError` for a
    character that cannot trade, ``tell`` calls what the game has set.

    ``on_offered`` is called with each trade that another world proposes; None: all are refused.
    """

    def __init__(
        self,
        characters: dict[int, JoinedCharacter],
        operations: Operations,
        link: Callable[[], RealmServerLink | None],
        check_committable: Callable[[int], None],
        tell: Callable[..., None],
    ) -> None:
        self.on_offered: Callable[[Trade], object] | None = None
        self._characters = characters
        self._operations = operations
        self._link = link
        self._check_committable = check_committable
        self._tell = tell
        self._trades: dict[int, Trade] = {}
        self._by_character: dict[int, Trade] = {}

    def of_character(self, character_guid: int) -> Trade | None:
        """The trade that a character is in, until it has ended."""
        return self._by_character.get(character_guid)

    def check(self, changes: Sequence[CharacterChanges]) -> None:
        """`ItemLockedError` if a commit touches what a trade holds."""
        if not self._by_character:
            return
        for change in changes:
            trade = self._by_character.get(change.character_guid)
            if trade is None:
                continue
            # A replacement may destroy what comes.
            touched = trade.held if change.replace else trade.held & change.slots()
            if touched or change.replace:
                what = "the whole inventory" if change.replace else f"slot {min(touched)}"
                raise ItemLockedError(
                    f"{what} of character {trade.own_guid} is held by its trade "
                    f"{trade.trade_id:#x} with character {trade.other_guid}; nothing was taken. "
                    "Wait until the trade has ended, or cancel it.",
                    0,
                    [one.character_guid for one in changes],
                )

    def propose(
        self, own_guid: int, other_guid: int, slots: Iterable[int], money: Mapping[int, int] | None
    ) -> Trade:
        """Begin one; `TradeError` or `JoinError` if it cannot be, and nothing was sent."""
        self._check_committable(own_guid)
        if own_guid in self._by_character:
            raise TradeError(
                f"character {own_guid} is trading already: {self._by_character[own_guid]}",
                self._by_character[own_guid].trade_id,
                TradeEnd.BUSY,
            )
        trade = Trade(self, self.new_id(), self._characters[own_guid], other_guid)
        with self.lock:
            trade.offer(slots, money)
            self._begin(trade)
        return trade

    def _begin(self, trade: Trade) -> None:
        self._trades[trade.trade_id] = self._by_character[trade.own_guid] = trade

    # What the realm sends

    def receive_offer(self, offer: TradeOffer) -> None:
        """The other side offers, or confirms what it offers."""
        trade = self._trades.get(offer.trade_id)
        if trade is not None:
            if (offer.from_guid, offer.to_guid) == (trade.other_guid, trade.own_guid):
                trade.receive_offer(offer)
            return
        if offer.revision != 1 or offer.confirmed:
            return  # Of a trade that this side has cancelled meanwhile.
        if reason := self._refusal(offer):
            self.send(TradeCancel(offer.trade_id, offer.to_guid, reason, reason.sentence))
            return
        trade = Trade(self, offer.trade_id, self._characters[offer.to_guid], offer.from_guid)
        trade.answers(offer)
        with self.lock:
            self._begin(trade)
        self._tell(self.on_offered, trade)

    def _refusal(self, offer: TradeOffer) -> TradeEnd | None:
        try:
            self._check_committable(offer.to_guid)
        except JoinError:
            return TradeEnd.LEFT
        if self._characters[offer.to_guid].epoch != offer.to_epoch:
            return TradeEnd.LEFT
        if offer.to_guid in self._by_character:
            return TradeEnd.BUSY
        return TradeEnd.REFUSED if self.on_offered is None else None

    def receive_cancel(self, cancel: TradeCancel) -> None:
        """A trade is over."""
        trade = self._trades.get(cancel.trade_id)
        if trade is not None:
            trade.receive_cancel(cancel.reason, cancel.message)

    def note_answer(self, event: OperationAnswered) -> None:
        """Before the answer to a half is taken: without an outcome the realm may know the trade no
        longer."""
        trade = self._trades.get(event.operation_id)
        is_known = event.status in CommitStatus.__members__.values()
        if trade is not None and is_known and CommitStatus(event.status).is_retryable:
            trade.unsettled()

    # What else happens

    def link_lost(self) -> None:
        """Whatever was not confirmed is over."""
        for trade in list(self._trades.values()):
            trade.link_lost()

    def leave(self, character_guid: int) -> None:
        """A character is going to leave, or has lost its session."""
        if trade := self._by_character.get(character_guid):
            trade.cancel(TradeEnd.LEFT)

    def close(self) -> None:
        """Cancel all of them."""
        for trade in list(self._trades.values()):
            trade.cancel(TradeEnd.LEFT)

    # What a trade asks for

    @property
    def lock(self) -> threading.RLock:
        return self._operations.lock

    def character(self, character_guid: int) -> JoinedCharacter:
        return self._characters[character_guid]

    def submitted(self, character_guid: int) -> JoinedCharacter:
        return self._operations.submitted(character_guid)

    def new_id(self) -> int:
        return self._operations.new_id()

    def send(self, packet: TradeOffer | TradeCancel) -> None:
        link = self._link()
        if link is not None:
            link.wire.send_bytes(packet.encode())
            link.flush()

    def take_half(
        self, changes: Sequence[CharacterChanges], reason: int, terms: TradeTerms
    ) -> OperationHandle:
        self._check_committable(changes[0].character_guid)
        return self._operations.add(changes, reason, terms=terms)

    def tell(self, callback: Callable[..., object] | None, *about: object) -> None:
        self._tell(callback, *about)

    def ended(self, trade: Trade) -> None:
        self._trades.pop(trade.trade_id, None)
        if self._by_character.get(trade.own_guid) is trade:
            del self._by_character[trade.own_guid]
