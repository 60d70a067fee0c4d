"""The realm's open trades and the worlds', between every fault there is, by `trade_machine`; and
bugs, eight in the realm and five in a world, each of which it must find."""

from collections.abc import Callable
from typing import Any

import pytest
import trade_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from trade_machine import TradeMachine

from mmoinv.commits import CommitFlags
from mmoinv.realm import trades
from mmoinv.realm.trades import Trades
from mmoinv.stores import CommitEntry
from mmoinv.wire import CommitStatus, PendingOperations
from mmoinv.world import Trade, TradeState, frames
from mmoinv.world.operations import Operations
from mmoinv.world.trades import Trades as WorldTrades

TestTrades = TradeMachine.TestCase
TestTrades.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


# The bugs: each is a table that does one thing wrong.


class NoSettle(Trades):
    """What is sent again is answered as what it is not: over."""

    def _settle(self, link: Any, half: Any) -> None:
        self._answer(link, half, CommitStatus.CANCELLED, "")


class NoEmptyOperation(Trades):
    """It only asks whether the trade is applied; it may still become so."""

    def _settle(self, link: Any, half: Any) -> None:
        asked = trades._settlement(half).between(1, 2)

        def answered(_: int, result: Any) -> None:
            is_applied = result.statuses[0] == CommitStatus.ALREADY_COMMITTED
            status = CommitStatus.ALREADY_COMMITTED if is_applied else CommitStatus.CANCELLED
            versions = [(half.guid, int(result.versions[0]))]
            link.answer_half(half.confirm.trade_id, status, versions, "")

        self._submit(CommitEntry(link.world_id, asked), answered)


class MatchesRepeated(Trades):
    """A half that is sent again is taken for a new one."""

    def receive_confirm(self, link: Any, confirm: Any) -> None:
        half = bytearray(confirm.half)
        half[9] &= ~CommitFlags.REPEATED
        super().receive_confirm(link, confirm._replace(half=bytes(half)))


class TakesOlderRevisions(Trades):
    """A half is taken, whatever its side had seen."""

    def receive_confirm(self, link: Any, confirm: Any) -> None:
        trade = self._trades.get(confirm.trade_id)
        guid = int(confirm.commits().participants["character_guid"][0])
        sides = trade.sides_of(guid) if trade is not None else None
        if sides is not None:
            mine, other = (side.offer.revision for side in sides)
            confirm = confirm._replace(revision=mine, to_revision=other)
        super().receive_confirm(link, confirm)


class DoesNotConserve(Trades):
    """The operation of both halves may make items."""


def without_conserve(trade_id: int, halves: Any) -> Any:
    joined = ONE_OPERATION(trade_id, halves)
    joined.operations["flags"] = 0
    return joined


class BelievesHalves(Trades):
    """A half may be anything."""


class MatchesCancelled(Trades):
    """A trade that is cancelled stays in the table, and so do its halves."""

    def _cancel(self, trade: Any, reason: Any, message: str = "", but: Any = None) -> None:
        halves = [side.half for side in trade.sides]
        super()._cancel(trade, reason, message, but)
        for side, half in zip(trade.sides, halves, strict=True):
            side.half = half
            self._by_character[side.guid] = trade
        self._trades[trade.trade_id] = trade


class ForgetsLostLinks(Trades):
    """Whose link is lost is still trading."""

    def link_lost(self, link: Any) -> None:
        pass


ONE_OPERATION = trades._one_operation
BUGS = [
    NoSettle,
    NoEmptyOperation,
    MatchesRepeated,
    TakesOlderRevisions,
    DoesNotConserve,
    BelievesHalves,
    MatchesCancelled,
    ForgetsLostLinks,
]
REPLACED: dict[type[Trades], tuple[str, Callable[..., Any]]] = {
    DoesNotConserve: ("_one_operation", without_conserve),
    BelievesHalves: ("half_fault", lambda *_: ""),
}


def find_it(table: type[Trades]) -> None:
    machine = type("Machine", (TradeMachine,), {"realm_trades": table})
    quick = settings(
        max_examples=2000,
        stateful_step_count=50,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quick)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_in_the_realm_is_found(bug, monkeypatch):
    if bug in REPLACED:
        monkeypatch.setattr(trades, *REPLACED[bug])
    find_it(bug)


def refuse_behind(monkeypatch: Any) -> None:
    """What waits behind a cancelled trade is refused with it."""
    answered = PendingOperations.answered

    def refused(pending: Any, number: int, status: CommitStatus) -> Any:
        is_cancelled = status is CommitStatus.CANCELLED
        return answered(pending, number, CommitStatus.INVALID if is_cancelled else status)

    monkeypatch.setattr(PendingOperations, "answered", refused)


def leave_versions(monkeypatch: Any) -> None:
    """What lies in the outbox behind a cancelled trade is sent on a version there never was."""
    monkeypatch.setattr(Operations, "_is_built_upon", lambda *_: False)


def look_at_no_locks(monkeypatch: Any) -> None:
    """Commits change what is offered."""
    monkeypatch.setattr(WorldTrades, "check", lambda *_: None)


def send_again_as_new(monkeypatch: Any) -> None:
    """What was in the outbox, or sent before, is sent as if it never had been."""
    for module in (frames, trade_machine):
        monkeypatch.setattr(module, "as_repeated", lambda frame: frame)


def unlock_too_early(monkeypatch: Any) -> None:
    """What was confirmed is over for the world when its link is lost."""

    def link_lost(trade: Any) -> None:
        trade._is_open_there = False
        trade._finish(TradeState.OVER)

    monkeypatch.setattr(Trade, "link_lost", link_lost)


@pytest.mark.parametrize(
    "plant",
    [refuse_behind, leave_versions, look_at_no_locks, send_again_as_new, unlock_too_early],
    ids=lambda plant: plant.__name__,
)
def test_a_bug_in_a_world_is_found(plant, monkeypatch):
    plant(monkeypatch)
    find_it(Trades)
