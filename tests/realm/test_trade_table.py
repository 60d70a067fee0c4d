"""The realm's open trades as a state machine: links come and go, halves are sent again, entries
wait for a writer that runs them in any order. Sans-IO: no socket and no database."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmoinv import codec
from mmoinv.commits import CommitFlags, ParticipantChanges
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.realm.trades import Trades
from mmoinv.records import InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.stores import CommitEntry, CommitOutcome, Verdict
from mmoinv.wire import TradeCancel, TradeConfirm, TradeOffer
from mmoinv.wire.trades import NO_MONEY, half_fault

A, B = 1, 2
EPOCH = 5


def item_of(guid: int, revision: int) -> InventoryItemData:
    """What that character offers at that revision: another item each time."""
    return InventoryItemData(2589, 0xFF17 + revision, item_guid=guid << 32 | revision)


class Link:
    """One link of a world, and what it was sent."""

    def __init__(self, guid: int) -> None:
        self.world_id = guid
        self.held = HeldEpochs()
        self.held.put(guid, EPOCH)
        self.offers: dict[int, TradeOffer] = {}
        self.over: set[int] = set()
        self.answers: list[tuple[int, int, int]] = []

    def send_trade_offer(self, offer: TradeOffer) -> None:
        self.offers[offer.trade_id] = offer

    def send_trade_cancel(self, cancel: TradeCancel) -> None:
        self.over.add(cancel.trade_id)

    def answer_half(self, trade_id: int, status: int, versions: Any, message: str) -> None:
        (version,) = [version for guid, version in versions if guid == self.world_id] or [0]
        self.answers.append((trade_id, status, version))


class TradeTable(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue: list[tuple[CommitEntry, Callable[[int, Any], None]]] = []
        self.versions = {A: 0, B: 0}
        self.applied: dict[int, int] = {}
        self.links = {A: Link(A), B: Link(B)}
        self.revisions: dict[tuple[int, int], int] = {}
        self.halves: dict[tuple[int, int], TradeConfirm] = {}
        """Sent and not answered, by trade and character."""
        self.told: dict[tuple[int, int], int] = {}
        """Final answers."""
        self.half_ids = 1_000_000
        self.trade = 101
        """The present one; a new one gets a new id."""
        self.now_s = 1.0
        self.table = Trades(
            lambda entry, answer: self.queue.append((entry, answer)),
            lambda guid: (self.links[guid], EPOCH),
            RealmLimits(trade_s=100.0, trade_confirm_s=20.0),
        )
        self.table.tick(self.now_s)

    # What worlds do

    @rule(guid=st.sampled_from((A, B)))
    def offer(self, guid: int) -> None:
        if not len(self.table):
            self.trade += 1
        trade = self.trade
        if any(one == guid for _, one in self.halves):
            return
        revision = self.revisions.get((trade, guid), 0) + 1
        self.revisions[trade, guid] = revision
        items = batch_of(item_of(guid, revision % 8))
        self.table.receive_offer(
            self.links[guid],
            TradeOffer(trade, guid, EPOCH, A + B - guid, 0, revision, 0, items, NO_MONEY),
        )
        self.take_answers()

    @rule(
        guid=st.sampled_from((A, B)),
        lies=st.integers(0, 9),
        reads_late=st.booleans(),
    )
    def confirm(self, guid: int, lies: int, reads_late: bool) -> None:
        if (self.trade, A + B - guid) not in self.halves and len(self.halves) == 0:
            self.offer(A)
            self.offer(B)
        trade = self.trade
        theirs = self.links[guid].offers.get(trade)
        revision = self.revisions.get((trade, guid), 0)
        pending = any(one == guid for _, one in self.halves)
        if theirs is None or not revision or pending or trade in self.applied:
            return
        self.half_ids += 1
        mine = item_of(guid, revision % 8)
        received = theirs.items.copy()
        received["slot"] += 100
        changes = ParticipantChanges(
            guid,
            EPOCH,
            self.versions[guid],
            received if lies else empty_batch(),
            slots_of(mine.slot),
        )
        half = codec.encode_commit_inventory(self.half_ids, [changes])[5:]
        seen = theirs.revision - (reads_late and theirs.revision > 1)
        packet = TradeConfirm(trade, A + B - guid, EPOCH, revision, seen, half)
        self.halves[trade, guid] = packet
        self.told.pop((trade, guid), None)
        self.table.receive_confirm(self.links[guid], packet)
        self.take_answers()

    @rule(guid=st.sampled_from((A, B)))
    def cancel(self, guid: int) -> None:
        trade = self.trade
        self.table.receive_cancel(self.links[guid], TradeCancel(trade, guid, 0, ""))
        self.take_answers()

    @rule(guid=st.sampled_from((A, B)))
    def lose_the_link_and_send_again(self, guid: int) -> None:
        """The answers that were on their way are lost with it."""
        old, self.links[guid] = self.links[guid], Link(guid)
        self.table.link_lost(old)
        for (trade, one), packet in list(self.halves.items()):
            if one == guid:
                commits = packet.commits()
                commits.operations["flags"] |= np.uint8(CommitFlags.REPEATED)
                again = packet._replace(half=codec.encode_commits(commits)[5:])
                self.halves[trade, guid] = again
                self.table.receive_confirm(self.links[guid], again)
        self.take_answers()

    @rule(step_s=st.sampled_from((1, 15, 90)))
    def let_time_pass(self, step_s: int) -> None:
        self.now_s += step_s
        self.table.tick(self.now_s)
        self.take_answers()

    # What the writer does

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), fails=st.booleans())
    def write(self, data: st.DataObject, fails: bool) -> None:
        """Any entry that waits: of several realm processes none is the first."""
        entry, answer = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        commits = entry.commits
        if fails and data.draw(st.integers(0, 3)) == 0:
            unavailable = np.full(len(commits.operations), Verdict.DATABASE_UNAVAILABLE, np.uint8)
            zeros = np.zeros(len(commits.participants), np.uint64)
            if data.draw(st.booleans()):
                # Nobody knows whether it was applied.
                self.run(commits)
            answer(0, CommitOutcome(unavailable, zeros, {}))
        else:
            answer(0, self.run(commits))
        self.take_answers()

    def run(self, commits: Any) -> CommitOutcome:
        statuses, versions = [], []
        for operation in commits.operations:
            first = int(operation["first_participant"])
            span = commits.participants[first : first + int(operation["participant_count"])]
            guids = span["character_guid"].tolist()
            number = int(operation["operation_id"])
            verdict = Verdict.COMMITTED
            if number in self.applied:
                verdict = Verdict.ALREADY_COMMITTED
            elif operation["fault"]:
                verdict = Verdict.INVALID
            elif [self.versions[guid] for guid in guids] != span["expected_version"].tolist():
                verdict = Verdict.VERSION_CONFLICT
            else:
                self.applied[number] = len(guids)
                for guid in guids:
                    self.versions[guid] += 1
            if verdict is Verdict.COMMITTED and len(guids) == 2:
                self.check_consent(number, guids, commits)
            statuses.append(verdict)
            versions += [self.versions[guid] for guid in guids]
        return CommitOutcome(np.array(statuses, np.uint8), np.array(versions, np.uint64), {})

    def check_consent(self, trade: int, guids: list[int], commits: Any) -> None:
        """What each gives is what it offered last, and what the other one takes."""
        assert operation_conserves(commits)
        for place, guid in enumerate(guids):
            (gone,) = commits.deletes[place : place + 1].tolist()
            offered = item_of(guid, self.revisions[trade, guid] % 8)
            assert gone == offered.slot
            assert commits.items["item_guid"][1 - place] == offered.item_guid

    def take_answers(self) -> None:
        for guid, link in self.links.items():
            answers, link.answers = link.answers, []
            for trade, status, version in answers:
                packet = self.halves.pop((trade, guid))
                if status in (Verdict.OVERLOADED, Verdict.DATABASE_UNAVAILABLE):
                    commits = packet.commits()
                    commits.operations["flags"] |= np.uint8(CommitFlags.REPEATED)
                    again = packet._replace(half=codec.encode_commits(commits)[5:])
                    self.halves[trade, guid] = again
                    self.table.receive_confirm(link, again)
                    continue
                self.told[trade, guid] = status
                if status in (Verdict.COMMITTED, Verdict.ALREADY_COMMITTED):
                    assert trade in self.applied
                    link.offers.pop(trade, None)
                else:
                    assert status != Verdict.STALE_SESSION
                    assert status != Verdict.VERSION_CONFLICT
                if status == Verdict.CANCELLED:
                    # The world goes on from this version.
                    assert version == self.versions[guid]
            for trade in link.over:
                link.offers.pop(trade, None)
            link.over.clear()

    # What always holds

    @invariant()
    def nobody_is_told_that_a_trade_came_about_and_somebody_that_it_did_not(self) -> None:
        for trade in {trade for trade, _ in self.told}:
            said = {self.told[trade, guid] for guid in (A, B) if (trade, guid) in self.told}
            if trade in self.applied:
                assert said <= {Verdict.COMMITTED, Verdict.ALREADY_COMMITTED}
            else:
                assert not said & {Verdict.COMMITTED, Verdict.ALREADY_COMMITTED}

    @invariant()
    def everyone_is_in_one_open_trade_at_most(self) -> None:
        assert len(self.table) <= 1

    def teardown(self) -> None:
        """In the end every half that was sent is answered."""
        while self.queue:
            entry, answer = self.queue.pop(0)
            answer(0, self.run(entry.commits))
            self.take_answers()
        self.table.tick(self.now_s + 1000)
        self.take_answers()
        assert not self.halves


def operation_conserves(commits: Any) -> bool:
    return bool(commits.operations["flags"][0] & CommitFlags.CONSERVE)


TestTradeTable = TradeTable.TestCase
TestTradeTable.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_the_machine_can_tell_a_half_from_a_lie() -> None:
    offers = [
        TradeOffer(101, guid, EPOCH, A + B - guid, 0, 1, 0, batch_of(item_of(guid, 1)), NO_MONEY)
        for guid in (A, B)
    ]
    nothing = ParticipantChanges(A, EPOCH, 0, empty_batch(), slots_of(0xFF18))
    half = codec.encode_commit_inventory(1, [nothing])[5:]
    assert half_fault(TradeConfirm(101, B, EPOCH, 1, 1, half).commits(), *offers)
