"""The realm's open trades and the worlds', between every fault there is, by `trade_machine`; and
eight bugs, each of which it must find."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from trade_machine import TradeMachine

from mmoinv.commits import CommitFlags
from mmoinv.realm import trades
from mmoinv.realm.trades import Trades
from mmoinv.stores import CommitEntry
from mmoinv.wire import CommitStatus

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


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug, monkeypatch):
    if bug in REPLACED:
        monkeypatch.setattr(trades, *REPLACED[bug])
    machine = type("Machine", (TradeMachine,), {"realm_trades": bug})
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
