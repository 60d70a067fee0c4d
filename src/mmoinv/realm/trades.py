"""Open trades between characters of two worlds: offers passed on, two halves made one operation.

A trade is here from its first offer until both halves are there, or it is cancelled; after that the
database alone knows. What a world sends again is never matched: it is made final, see `_settle`.
Knows links only as `Trader`, and time as it is told.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from mmoinv.commits import (
    CommitFlags,
    Commits,
    empty_commits,
    join_commits,
)
from mmoinv.realm.group_commit import Answer, Result
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.records import Fault
from mmoinv.stores import CommitEntry, CommitOutcome, Verdict
from mmoinv.wire import CommitStatus, TradeCancel, TradeConfirm, TradeEnd, TradeOffer
from mmoinv.wire.trades import CONFIRMED, TAKEN_BACK, half_fault, nothing_offered, offer_fault

log = logging.getLogger("mmoinv.realm")

OFFER_CHANGED = "an offer has changed meanwhile: look at it and confirm again"


class Trader(Protocol):
    """What the trades ask of a link."""

    @property
    def world_id(self) -> int:
        """The world that logged on."""
        ...

    @property
    def held(self) -> HeldEpochs:
        """The sessions that it holds."""
        ...

    def send_trade_offer(self, offer: TradeOffer) -> None:
        """What the other side gives, or that it has confirmed."""
        ...

    def send_trade_cancel(self, cancel: TradeCancel) -> None:
        """The trade is over."""
        ...

    def answer_half(
        self, trade_id: int, status: int, versions: Sequence[tuple[int, int]], message: str
    ) -> None:
        """What became of the half that it sent."""
        ...


class _Half(NamedTuple):
    """What a world sent to confirm. ``version`` is the one that it was made on."""

    confirm: TradeConfirm
    commits: Commits
    guid: int
    epoch: int
    version: int

    @classmethod
    def of(cls, confirm: TradeConfirm) -> "_Half":
        commits = confirm.commits()
        one = commits.participants[0]
        return cls(
            confirm,
            commits,
            int(one["character_guid"]),
            int(one["session_epoch"]),
            int(one["expected_version"]),
        )


class _Side:
    def __init__(self, guid: int, epoch: int, link: Trader, offer: TradeOffer) -> None:
        self.guid = guid
        self.epoch = epoch
        self.link = link
        self.offer = offer
        self.half: _Half | None = None


class _Trade:
    """The proposer's side is the first."""

    def __init__(self, trade_id: int, one: _Side, other: _Side, begun_s: float) -> None:
        self.trade_id = trade_id
        self.sides = one, other
        self.begun_s = begun_s
        self.confirmed_s: float | None = None

    def sides_of(self, guid: int) -> tuple[_Side, _Side] | None:
        """The side of that character and the other one."""
        one, other = self.sides
        if guid == one.guid:
            return one, other
        return (other, one) if guid == other.guid else None


class Trades:
    """The open trades of one realm process; a character is in one of them at most.

    ``submit`` is the writer's, ``holder`` gives the link that holds a character, and the epoch.
    """

    def __init__(
        self,
        submit: Callable[[CommitEntry, Answer], None],
        holder: Callable[[int], tuple[Any, int] | None],
        limits: RealmLimits,
    ) -> None:
        self._submit = submit
        self._holder = holder
        self._limits = limits
        self._trades: dict[int, _Trade] = {}
        self._by_character: dict[int, _Trade] = {}
        self._now_s = 0.0
        self._closing = False

    def __len__(self) -> int:
        return len(self._trades)

    # What links receive

    def receive_offer(self, link: Trader, offer: TradeOffer) -> None:
        """Pass on what a side gives; the first offer of all proposes the trade."""
        trade = self._trades.get(offer.trade_id)
        sides = trade.sides_of(offer.from_guid) if trade is not None else None
        if sides is not None and sides[0].link is not link:
            sides = None
        if trade is None or sides is None:
            if trade is not None:
                self._refuse(link, offer, TradeEnd.INVALID, "the trade is not this world's")
            elif reason := self._proposal_fault(link, offer):
                self._refuse(link, offer, *reason)
            else:
                self._propose(link, offer)
            return
        mine, other = sides
        fault = offer_fault(offer)
        if not fault and (offer.from_epoch, offer.to_guid) != (mine.epoch, other.guid):
            fault = "the offer is of another session or for another character"
        if not fault and (offer.revision <= mine.offer.revision or mine.half is not None):
            fault = "an offer was changed that was confirmed already"
        if fault:
            self._cancel(trade, TradeEnd.INVALID, fault)
            return
        self._pass_on(mine, other, offer)
        if other.half is not None:
            # It confirmed what is offered no longer: it may look, and confirm again.
            self._give_back(other, OFFER_CHANGED, trade.trade_id)
            trade.confirmed_s = None
            # Whoever has changed his own may have been told of the yes meanwhile.
            self._pass_on(other, mine, other.offer._replace(confirmed=TAKEN_BACK))

    def receive_confirm(self, link: Trader, confirm: TradeConfirm) -> None:
        """Take a half; with the second one the trade is committed."""
        half = _Half.of(confirm)
        operation = half.commits.operations[0]
        if int(operation["flags"]) & CommitFlags.REPEATED:
            self._settle(link, half)
            return
        trade = self._trades.get(confirm.trade_id)
        sides = trade.sides_of(half.guid) if trade is not None else None
        if trade is None or sides is None or sides[0].link is not link:
            self._answer(link, half, CommitStatus.CANCELLED, "the trade is over")
            return
        mine, other = sides
        if mine.half is not None:
            self._cancel(trade, TradeEnd.INVALID, "one side has confirmed twice")
            return
        agreed = mine.offer.revision, other.offer.revision, other.guid, other.epoch
        seen = confirm.revision, confirm.to_revision, confirm.to_guid, confirm.to_epoch
        if agreed != seen:
            self._answer(link, half, CommitStatus.CANCELLED, OFFER_CHANGED)
            return
        fault = ""
        if operation["fault"]:
            fault = f"slot {operation['fault_slot']}: {Fault(int(operation['fault'])).sentence}"
        elif int(operation["flags"]) & CommitFlags.REPLACE or half.epoch != mine.epoch:
            fault = "the half is of another session, or replaces a whole inventory"
        fault = fault or half_fault(half.commits, mine.offer, other.offer)
        if fault:
            log.warning("trade %#x: half of character %d: %s", trade.trade_id, mine.guid, fault)
            self._answer(link, half, CommitStatus.INVALID, f"{fault}; nothing was saved")
            self._cancel(trade, TradeEnd.INVALID, fault)
            return
        mine.half = half
        if other.half is not None:
            self._commit(trade)
        else:
            trade.confirmed_s = self._now_s
            self._pass_on(mine, other, mine.offer._replace(confirmed=CONFIRMED))

    def receive_cancel(self, link: Trader, cancel: TradeCancel) -> None:
        """One side does not want it any more; too late once both have confirmed."""
        trade = self._trades.get(cancel.trade_id)
        sides = trade.sides_of(cancel.character_guid) if trade is not None else None
        if trade is not None and sides is not None and sides[0].link is link:
            known = cancel.reason in TradeEnd.__members__.values()
            reason = TradeEnd(cancel.reason) if known else TradeEnd.CANCELLED
            self._cancel(trade, reason, cancel.message, but=sides[0])

    # What else happens

    def character_gone(self, character_guid: int) -> None:
        """Its session is held no longer."""
        if trade := self._by_character.get(character_guid):
            self._cancel(trade, TradeEnd.LEFT)

    def link_lost(self, link: Trader) -> None:
        """Its halves are dropped; those that are submitted are the database's."""
        for trade in list(self._trades.values()):
            for side in trade.sides:
                if side.link is link:
                    side.half = None
                    self._cancel(trade, TradeEnd.LINK_LOST, but=side)
                    break

    def tick(self, now_s: float) -> None:
        """Say what time it is, in seconds of any monotonic clock, about once a second."""
        before_s, self._now_s = self._now_s, now_s
        for trade in list(self._trades.values()):
            if not before_s:
                # The clock has just begun.
                trade.begun_s = now_s
                trade.confirmed_s = None if trade.confirmed_s is None else now_s
            since_s = trade.confirmed_s
            if now_s - trade.begun_s > self._limits.trade_s or (
                since_s is not None and now_s - since_s > self._limits.trade_confirm_s
            ):
                self._cancel(trade, TradeEnd.TIMED_OUT)

    def close(self) -> None:
        """Cancel all that is open, and take no more."""
        self._closing = True
        for trade in list(self._trades.values()):
            self._cancel(trade, TradeEnd.REALM_STOPPING)

    # Proposals and offers

    def _proposal_fault(self, link: Trader, offer: TradeOffer) -> tuple[TradeEnd, str] | None:
        if self._closing:
            return TradeEnd.REALM_STOPPING, ""
        if offer.revision != 1:
            return TradeEnd.CANCELLED, "the trade is over"
        if fault := offer_fault(offer):
            return TradeEnd.INVALID, fault
        if not offer.from_epoch or link.held.epoch_of(offer.from_guid) != offer.from_epoch:
            return TradeEnd.INVALID, f"character {offer.from_guid} is not held by this world"
        holder = self._holder(offer.to_guid)
        if holder is None:
            return TradeEnd.NOT_FOUND, ""
        if holder[0] is link:
            return TradeEnd.SAME_WORLD, ""
        if offer.from_guid in self._by_character or offer.to_guid in self._by_character:
            return TradeEnd.BUSY, ""
        open_here = sum(link in (one.link, other.link) for one, other in self._sides())
        if open_here >= self._limits.max_link_trades:
            return TradeEnd.OVERLOADED, ""
        return None

    def _sides(self) -> list[tuple[_Side, _Side]]:
        return [trade.sides for trade in self._trades.values()]

    def _propose(self, link: Trader, offer: TradeOffer) -> None:
        holder = self._holder(offer.to_guid)
        assert holder is not None
        one = _Side(offer.from_guid, offer.from_epoch, link, offer)
        nothing = nothing_offered(offer.trade_id, offer.to_guid, offer.from_guid)
        # It may confirm without having offered anything. Its offers are never the first one, so
        # none that comes too late proposes the trade anew.
        nothing = nothing._replace(from_epoch=holder[1], revision=1)
        other = _Side(offer.to_guid, holder[1], holder[0], nothing)
        trade = _Trade(offer.trade_id, one, other, self._now_s)
        self._trades[trade.trade_id] = trade
        self._by_character[one.guid] = self._by_character[other.guid] = trade
        self._pass_on(one, other, offer)

    def _pass_on(self, mine: _Side, other: _Side, offer: TradeOffer) -> None:
        mine.offer = offer._replace(to_epoch=other.epoch)
        other.link.send_trade_offer(mine.offer)

    def _refuse(self, link: Trader, offer: TradeOffer, reason: TradeEnd, message: str) -> None:
        link.send_trade_cancel(
            TradeCancel(offer.trade_id, offer.from_guid, reason, message or reason.sentence)
        )

    # Ends

    def _answer(self, link: Trader, half: _Half, status: CommitStatus, message: str) -> None:
        """A half that was never submitted, and never will be."""
        versions = [(half.guid, half.version)]
        link.answer_half(half.confirm.trade_id, status, versions, message)

    def _give_back(self, side: _Side, message: str, trade_id: int) -> None:
        if side.half is not None:
            half, side.half = side.half, None
            self._answer(side.link, half, CommitStatus.CANCELLED, message)

    def _forget(self, trade: _Trade) -> None:
        del self._trades[trade.trade_id]
        for side in trade.sides:
            del self._by_character[side.guid]

    def _cancel(
        self, trade: _Trade, reason: TradeEnd, message: str = "", but: _Side | None = None
    ) -> None:
        """Over, and neither half was submitted. ``but`` knows it already."""
        self._forget(trade)
        message = message or reason.sentence
        for side in trade.sides:
            if side is not but:
                side.link.send_trade_cancel(TradeCancel(trade.trade_id, side.guid, reason, message))
            self._give_back(side, message, trade.trade_id)

    def _commit(self, trade: _Trade) -> None:
        """Both halves as one operation that must conserve; its answer is both worlds'."""
        self._forget(trade)
        halves = [side.half for side in trade.sides if side.half is not None]
        links = [side.link for side in trade.sides]

        def answered(_first: int, result: Result) -> None:
            assert isinstance(result, CommitOutcome)
            verdict = Verdict(int(result.statuses[0]))
            present = result.versions.tolist()
            message = result.messages.get(0, "")
            for link, half, version in zip(links, halves, present, strict=True):
                status = CommitStatus(int(verdict))
                if verdict is Verdict.OVERLOADED:
                    # It was never queued. What may have been is for the worlds to send again.
                    self._answer(link, half, CommitStatus.CANCELLED, message)
                    continue
                if verdict is Verdict.VERSION_CONFLICT and version == half.version:
                    status = CommitStatus.CANCELLED
                versions = [(one.guid, seen) for one, seen in zip(halves, present, strict=True)]
                link.answer_half(trade.trade_id, status, versions, message)

        self._submit(
            CommitEntry(
                links[0].world_id,
                _one_operation(trade.trade_id, halves),
                True,
                tuple(link.world_id for link in links),
            ),
            answered,
        )

    def _settle(self, link: Trader, half: _Half) -> None:
        """A half that was sent before: say whether the trade is applied. If not, it never will be.

        An empty operation under the half's own id, made on the same version, comes first: after
        it either the version has risen or the session is another one, and the trade cannot be
        applied by anybody any more, wherever its halves are. Then the database is asked whether
        it had been: the trade's id with a fault is answered 1, or 4.
        """
        versions: list[int] = []
        verdicts: list[Verdict] = []
        messages: list[str] = []

        def answered(_first: int, result: Result) -> None:
            assert isinstance(result, CommitOutcome)
            # The two may be answered apart, if a group was full between them.
            verdicts.extend(Verdict(int(status)) for status in result.statuses)
            versions.extend(result.versions.tolist())
            messages.extend(result.messages.get(n, "") for n in range(len(result.statuses)))
            if len(verdicts) == 2:
                status, message = _settled(verdicts[0], verdicts[1], messages[0])
                link.answer_half(half.confirm.trade_id, status, [(half.guid, versions[1])], message)

        self._submit(CommitEntry(link.world_id, _settlement(half)), answered)


def _settled(empty: Verdict, trade: Verdict, message: str) -> tuple[CommitStatus, str]:
    """The answer to a half that came again, from what the empty operation and the look gave."""
    if trade is Verdict.ALREADY_COMMITTED:
        return CommitStatus.ALREADY_COMMITTED, ""
    if trade is not Verdict.INVALID:
        # The look failed, or was not had: the world asks again.
        return CommitStatus.DATABASE_UNAVAILABLE, "the realm cannot say yet"
    if empty in (Verdict.COMMITTED, Verdict.ALREADY_COMMITTED):
        return CommitStatus.CANCELLED, "the link was lost before the trade was committed"
    if empty in (Verdict.STALE_SESSION, Verdict.VERSION_CONFLICT):
        return CommitStatus(int(empty)), message
    return CommitStatus.DATABASE_UNAVAILABLE, message


def _one_operation(trade_id: int, halves: Sequence[_Half]) -> Commits:
    joined = join_commits([half.commits for half in halves])
    operations, participants = joined.operations[:1].copy(), joined.participants.copy()
    operations["operation_id"] = trade_id
    operations["participant_count"] = len(halves)
    operations["flags"] = CommitFlags.CONSERVE
    participants["operation"] = 0
    return joined._replace(operations=operations, participants=participants)


def _settlement(half: _Half) -> Commits:
    """The empty operation, and the question whether the trade is applied."""
    participants = half.commits.participants.copy()
    for name in ("item", "delete", "currency"):
        participants[f"first_{name}"] = participants[f"{name}_count"] = 0
    operations = half.commits.operations.copy()
    operations["flags"] = CommitFlags.REPEATED
    operations["fault"] = operations["fault_slot"] = 0
    empty = empty_commits()._replace(operations=operations, participants=participants)
    asked = operations.copy()
    asked["operation_id"] = half.confirm.trade_id
    asked["fault"] = Fault.NO_PARTICIPANT
    return join_commits([empty, empty._replace(operations=asked)])
