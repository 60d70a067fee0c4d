"""One trade with a character of another world, as this world sees it: what each side gives, what
was confirmed, how it ended.

Knows the packets and the realm's answers; no link (see `TradingPlace`) and no rules of the game.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from enum import Enum
from operator import index
from typing import Any, Protocol

import numpy as np

from mmoinv.codec import encode_commit_inventory
from mmoinv.commits import CURRENCY, ParticipantChanges
from mmoinv.errors import MmoinvError, OperationPendingError, TradeCancelledError, TradeError
from mmoinv.records import U16_MAX, Batch, empty_batch
from mmoinv.repository import CharacterChanges, OperationHandle, OperationOutcome
from mmoinv.repository.changes import checked_changes, checked_money
from mmoinv.wire import TradeCancel, TradeEnd, TradeOffer
from mmoinv.wire.trades import (
    CONFIRMED,
    MAX_TRADE_ITEMS,
    half_fault,
    money_difference,
    nothing_offered,
    offer_fault,
)
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.frames import TradeTerms

NOTHING = empty_batch()


class TradeState(Enum):
    """Where a trade is."""

    OPEN = "both sides may change what they give"
    CONFIRMED = "this side has confirmed, the answer is awaited"
    COMMITTED = "it has come about"
    OVER = "it has not come about"
    UNKNOWN = "it may or may not have come about: the connector was closed before the answer"


class TradingPlace(Protocol):
    """What a trade needs of its connector."""

    @property
    def lock(self) -> threading.RLock:
        """Guards what commits of other threads look at."""
        ...

    def character(self, character_guid: int) -> JoinedCharacter:
        """A character that is joined here: what is committed of it."""
        ...

    def submitted(self, character_guid: int) -> JoinedCharacter:
        """The same, once all that is on its way is committed."""
        ...

    def new_id(self) -> int:
        """A new operation id."""
        ...

    def send(self, packet: TradeOffer | TradeCancel) -> None:
        """To the realm, if there is a link."""
        ...

    def take_half(
        self, changes: Sequence[CharacterChanges], reason: int, terms: TradeTerms
    ) -> OperationHandle:
        """A half that waits for its turn, and then for the answer."""
        ...

    def tell(self, callback: Callable[..., object] | None, *about: object) -> None:
        """Call what the game has set."""
        ...

    def ended(self, trade: "Trade") -> None:
        """Nothing more will come of it."""
        ...


class Trade:
    """A trade of the own character ``own_guid`` with ``other_guid`` of another world.

    Both offer, as often as they like; whoever agrees confirms, and says where the items go that it
    gets. When both have confirmed the same two offers the realm commits all of it, or nothing.
    From the offer to the end, no commit may change the slots that are offered, nor, from the
    confirmation on, those that are to be filled (`ItemLockedError`).

    ``await trade`` gives the `OperationOutcome` once it has come about; `TradeError` if it has
    not, with the reason (a `TradeEnd` number), or the error that a commit would have. So does
    ``outcome``, a handle, for callbacks and threads. All else belongs to the connector's event
    loop.

    Callbacks with the trade, None unless set: ``on_offer_changed``: the other side gives something
    else, and what this side had confirmed counts no more. ``on_confirmed``: the other side has
    confirmed. ``on_ended``: see ``state``.
    """

    def __init__(
        self, place: TradingPlace, trade_id: int, own: JoinedCharacter, other_guid: int
    ) -> None:
        self.trade_id = trade_id
        """The id of the operation that it becomes."""
        self.own_guid = own.guid
        self.other_guid = other_guid
        self.state = TradeState.OPEN
        self.mine = nothing_offered(trade_id, own.guid, other_guid)._replace(from_epoch=own.epoch)
        """What this side gives: ``items``, ``money``."""
        self.theirs = nothing_offered(trade_id, other_guid, own.guid)
        """What the other side gives; ``confirmed`` if it was confirmed. For the player to look at:
        what counts is what the realm sees."""
        self.half: CharacterChanges | None = None
        """What this side confirmed last: what the trade does to its character."""
        self.held: frozenset[int] = frozenset()
        """The slots that no commit may change."""
        self.outcome = OperationHandle(trade_id, (own.guid,))
        self.on_offer_changed: Callable[[Trade], object] | None = None
        self.on_confirmed: Callable[[Trade], object] | None = None
        self.on_ended: Callable[[Trade], object] | None = None
        self._place = place
        self._is_open_there = True
        """Whether the realm has not said that it is over, for all that is known."""
        self._is_unsettled = False
        self._end = TradeEnd.LINK_LOST, TradeEnd.LINK_LOST.sentence
        self._has_news = False

    def __await__(self) -> Generator[Any, None, OperationOutcome]:
        return self.outcome.__await__()

    def __repr__(self) -> str:
        return (
            f"<Trade {self.trade_id:#x} of {self.own_guid} with {self.other_guid}: "
            f"{self.state.name}>"
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.state not in (TradeState.OPEN, TradeState.CONFIRMED)

    # What the game does

    def offer(self, slots: Iterable[int] = (), money: Mapping[int, int] | None = None) -> None:
        """Give what is committed in these absolute slots, and these amounts by currency, instead
        of what was given before.

        `TradeError` if it cannot be, or something of it is not committed yet: nothing has changed
        then.
        """
        with self._place.lock:
            self._check_open("offer")
            self.mine = self._offer_of(sorted({index(slot) for slot in slots}), money or {})
            self.theirs = self.theirs._replace(confirmed=0)
            self.held = self._given
        self._place.send(self.mine)

    def confirm(
        self, items: Batch = NOTHING, reason: int = 0, *, seen_revision: int | None = None
    ) -> OperationHandle:
        """Agree to both offers as they are. ``items`` are the records of ``theirs.items``, each
        with the slot (and container) where it goes: empty ones, or those of what is given.
        ``seen_revision`` is the ``theirs.revision`` that the player had before his eyes: if it is
        another one by now, `TradeError`.

        Never waits. The handle ends when both have agreed and it is committed; with
        `TradeCancelledError` if an offer was changed, and then ``state`` is OPEN again. It is an
        operation like any other: in its order among the character's commits, in the outbox, and
        sent again after a lost link. `TradeError` if the items are not those that are offered, or
        a slot is not free; `LinkBusyError`, `BatchError`: nothing was taken.
        """
        with self._place.lock:
            self._check_open("confirm")
            if not self.theirs.from_epoch:
                raise self._error("the other side has said nothing yet: confirm when it has")
            if seen_revision is not None and seen_revision != self.theirs.revision:
                raise self._error("the other side offers something else by now: look again")
            change = self._half_of(items)
            terms = TradeTerms(
                self.trade_id,
                self._place.new_id(),
                self.other_guid,
                self.theirs.from_epoch,
                self.mine.revision,
                self.theirs.revision,
            )
            self._check_half(change, terms)
            handle = self._place.take_half([change], reason, terms)
            self.half = change
            self.state = TradeState.CONFIRMED
            self.held = frozenset(change.slots()) | self._given
            self._has_news = False
        handle.add_done_callback(self._half_ended)
        return handle

    def cancel(self, reason: TradeEnd = TradeEnd.CANCELLED, message: str = "") -> None:
        """Trade no more. It is over at once, unless this side has confirmed: then the realm says
        whether both had, and the trade has come about."""
        if self.is_over:
            return
        self._end = reason, message or reason.sentence
        self._withdraw(reason, message)
        if self.state is TradeState.OPEN:
            self._finish(TradeState.OVER)

    # What the realm says

    def answers(self, offer: TradeOffer) -> None:
        """It was proposed by the other side. No offer of this one has the number of the first."""
        self.theirs = offer
        self.mine = self.mine._replace(revision=1)

    def receive_offer(self, offer: TradeOffer) -> None:
        """The other side has changed its offer, or confirmed it."""
        is_news = offer.revision != self.theirs.revision
        is_confirmed = offer.confirmed == CONFIRMED
        with self._place.lock:
            self.theirs = offer._replace(confirmed=int(is_confirmed))
        if is_confirmed:
            self._place.tell(self.on_confirmed, self)
        elif is_news and self.state is TradeState.CONFIRMED:
            # What was confirmed is given back; it is told then, and can be confirmed anew.
            self._has_news = True
        elif is_news:
            self._place.tell(self.on_offer_changed, self)

    def receive_cancel(self, reason: int, message: str) -> None:
        """It is over, and nothing was committed of it."""
        self._is_open_there = False
        known = reason in TradeEnd.__members__.values()
        self._end = TradeEnd(reason) if known else TradeEnd.CANCELLED, message
        # What was confirmed has an answer of its own.
        if self.state is TradeState.OPEN:
            self._finish(TradeState.OVER)

    def unsettled(self) -> None:
        """The realm could not say what has become of it; it is asked again."""
        self._is_unsettled = True

    def link_lost(self) -> None:
        """The realm has dropped it, unless it has both halves."""
        self.receive_cancel(TradeEnd.LINK_LOST, TradeEnd.LINK_LOST.sentence)

    def _half_ended(self, handle: OperationHandle) -> None:
        error = handle.exception
        if error is None:
            self._finish(TradeState.COMMITTED, handle.result)
        elif isinstance(error, TradeCancelledError):
            if self._is_unsettled or not self._is_open_there:
                # It may be open there still, and then the other side would wait for this one.
                self._withdraw(TradeEnd.CANCELLED, "")
                self._finish(TradeState.OVER)
                return
            with self._place.lock:
                self.state = TradeState.OPEN
                self.held = self._given
            if self._has_news:
                self._has_news = False
                self._place.tell(self.on_offer_changed, self)
        elif isinstance(error, OperationPendingError):
            self._finish(TradeState.UNKNOWN, error)
        else:
            self._withdraw(TradeEnd.CANCELLED, "")
            self._finish(TradeState.OVER, error)

    def _withdraw(self, reason: TradeEnd, message: str) -> None:
        if self._is_open_there:
            self._is_open_there = False
            self._place.send(TradeCancel(self.trade_id, self.own_guid, reason, message))

    def _finish(
        self, state: TradeState, ended: OperationOutcome | MmoinvError | None = None
    ) -> None:
        with self._place.lock:
            self.state = state
            self.held = frozenset()
            self._place.ended(self)
        if isinstance(ended, OperationOutcome):
            self.outcome.succeed(ended)
        else:
            reason, message = self._end
            self.outcome.fail(ended or self._error(message, reason))
        self._place.tell(self.on_ended, self)

    # What it comes to

    @property
    def _given(self) -> frozenset[int]:
        return frozenset(self.mine.items["slot"].tolist())

    def _check_open(self, verb: str) -> None:
        if self.state is not TradeState.OPEN:
            raise self._error(f"cannot {verb}: {self.state.value}")

    def _error(self, message: str, reason: TradeEnd | None = None) -> TradeError:
        return TradeError(
            f"trade {self.trade_id:#x} of character {self.own_guid} with character "
            f"{self.other_guid}: {message}; nothing has changed hands",
            self.trade_id,
            reason,
        )

    def _offer_of(self, slots: Sequence[int], money: Mapping[int, int]) -> TradeOffer:
        if self.mine.revision >= U16_MAX:
            raise self._error("it was changed too often; begin a new one")
        if len(slots) > MAX_TRADE_ITEMS:
            raise self._error(f"{len(slots)} items are offered, {MAX_TRADE_ITEMS} are the most")
        character = self._place.character(self.own_guid)
        items = _in_slots(character.items, slots)
        if len(items) != len(slots):
            missing = sorted(set(slots).difference(items["slot"].tolist()))
            raise self._error(f"nothing is committed in slot {missing[0]}")
        ahead = _in_slots(self._place.submitted(self.own_guid).items, slots)
        if items.tobytes() != ahead.tobytes():
            raise self._error("a commit that changes what is offered is on its way: await it")
        for currency_id, amount in money.items():
            if amount > character.balances.get(currency_id, 0):
                raise self._error(f"there is less than {amount} of currency {currency_id}")
        amounts = np.array(list(checked_money(money)), CURRENCY)
        offer = self.mine._replace(revision=self.mine.revision + 1, items=items, currencies=amounts)
        if fault := offer_fault(offer):
            raise self._error(fault)
        return offer

    def _half_of(self, items: Batch) -> CharacterChanges:
        given = self._given
        filled = set(items["slot"].tolist())
        taken = filled.intersection(self._place.submitted(self.own_guid).items["slot"].tolist())
        if taken - given:
            raise self._error(f"slot {min(taken - given)} is not empty")
        return checked_changes(
            self.own_guid,
            items,
            sorted(given - filled),
            named=True,
            money=money_difference(self.mine, self.theirs),
        )

    def _check_half(self, change: CharacterChanges, terms: TradeTerms) -> None:
        """The realm would end the trade over it; so it is not sent."""
        half = ParticipantChanges(self.own_guid, 0, 0, change.saves, change.deletes, change.money)
        confirm = terms.confirm(encode_commit_inventory(terms.half_id, [half]))
        if fault := half_fault(confirm.commits(), self.mine, self.theirs):
            raise self._error(f"cannot confirm: {fault}")


def _in_slots(items: Batch, slots: Sequence[int]) -> Batch:
    return items[np.isin(items["slot"], np.array(slots, np.uint16))]
