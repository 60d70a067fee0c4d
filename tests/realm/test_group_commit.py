"""The writer alone, on a real database: gathering, halving, retries, bounds."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from realm_client import commit_frame, item, until

from mmoinv import codec
from mmoinv.commits import join_commits
from mmoinv.realm import GroupCommit, JoinFailed, RealmLimits
from mmoinv.realm.ids import COUNTERS, RESERVE, NumberMint
from mmoinv.realm.statistics import Tally
from mmoinv.records import batch_of
from mmoinv.stores import (
    CommitEntry,
    CommitOutcome,
    JoinEntry,
    JoinOutcome,
    LeaveEntry,
    LeaveOutcome,
    Verdict,
)
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sqlite import SqliteStore


class Writer:
    """A `GroupCommit` with its surroundings, and the answers by entry."""

    def __init__(self, path: Path, limits: RealmLimits) -> None:
        self.store = SqliteStore(path, StoreSettings(lock_timeout_s=0.02))
        self.tally = Tally()
        self.mint = NumberMint(99)
        self.writer = GroupCommit(self.store, self.mint, limits, self.tally)
        self.answers: dict[int, list[tuple[int, Any]]] = {}
        self.submitted = self.answered = 0

    def submit(self, entry: Any) -> int:
        """Queue an entry; the key of its answers."""
        key = len(self.answers)
        self.answers[key] = []
        self.submitted += len(entry.commits.operations) if isinstance(entry, CommitEntry) else 1

        def answer(first: int, result: Any) -> None:
            self.answers[key].append((first, result))
            self.answered += len(result.statuses) if isinstance(result, CommitOutcome) else 1

        self.writer.submit(entry, answer)
        return key

    def commit(self, *frames: bytes) -> int:
        parts = [codec.decode_commits(frame)[0] for frame in frames]
        return self.submit(CommitEntry(1, join_commits(parts)))

    def statuses(self, key: int) -> list[int]:
        result: list[int] = []
        for first, outcome in self.answers[key]:
            assert first == len(result)
            assert isinstance(outcome, CommitOutcome)
            result += outcome.statuses.tolist()
        return result

    async def settle(self) -> None:
        """Wait until everything is answered."""
        await until(lambda: self.answered == self.submitted)


MakeWriter = Callable[..., Awaitable[Writer]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "realm.db"


@pytest.fixture
async def make_writer(path: Path) -> AsyncIterator[MakeWriter]:
    made: list[Writer] = []

    async def make(characters: int = 40, **limits: Any) -> Writer:
        writer = Writer(path, RealmLimits(**limits))
        await writer.store.open()
        await writer.store.write_group([JoinEntry(n, 1, 5) for n in range(1, characters + 1)])
        writer.writer.start()
        # Let it begin to wait.
        await asyncio.sleep(0)
        made.append(writer)
        return writer

    yield make
    for writer in made:
        await writer.writer.close()
        await writer.store.close()


def forbid(path: Path, condition: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for event in ("INSERT", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER no_{event} BEFORE {event} ON character_inventory "
                f"WHEN {condition} BEGIN SELECT RAISE(ABORT, 'the operator forbids it'); END"
            )


async def test_what_arrives_during_a_transaction_goes_as_one_group(
    make_writer: MakeWriter,
) -> None:
    writer = await make_writer()
    keys = [writer.commit(commit_frame(n, n, item(23, n))) for n in range(1, 31)]
    await writer.settle()
    assert [writer.statuses(key) for key in keys] == [[0]] * 30
    assert writer.tally.groups == 1
    assert writer.tally.group_size.values().tolist() == [30]


async def test_groups_are_bounded_and_chunks_are_cut(make_writer: MakeWriter) -> None:
    writer = await make_writer(max_group_operations=4, backlog_factor=1)
    one = writer.commit(*(commit_frame(n, n, item(23, n)) for n in range(1, 11)))
    other = writer.commit(*(commit_frame(n, n, item(23, n)) for n in range(11, 14)))
    await writer.settle()
    assert [first for first, _ in writer.answers[one]] == [0, 4, 8]
    assert writer.statuses(one) == [0] * 10
    assert writer.statuses(other) == [0] * 3
    assert writer.tally.group_size.values().tolist() == [4, 4, 4, 1]


async def test_a_backlog_is_written_in_larger_groups(make_writer: MakeWriter) -> None:
    writer = await make_writer(max_group_operations=4, backlog_factor=2)
    keys = [writer.commit(commit_frame(n, n, item(23, n))) for n in range(1, 14)]
    await writer.settle()
    assert [writer.statuses(key) for key in keys] == [[0]] * 13
    # Of the last five there are more than four, and so they go together.
    assert writer.tally.group_size.values().tolist() == [8, 5]


async def test_groups_are_bounded_by_items_too(make_writer: MakeWriter) -> None:
    writer = await make_writer(max_group_items=5, backlog_factor=1)
    frames = [
        commit_frame(n, n, *(item(23 + i, 100 * n + i) for i in range(count)))
        for n, count in enumerate([2, 2, 2, 9, 1], 1)
    ]
    key = writer.commit(*frames)
    await writer.settle()
    assert writer.statuses(key) == [0] * 5
    assert writer.tally.group_size.values().tolist() == [2, 1, 1, 1]


async def test_a_group_is_halved_until_the_culprit_stands_alone(
    make_writer: MakeWriter, path: Path
) -> None:
    writer = await make_writer()
    forbid(path, "new.entry = 666")
    bad = {5, 17}
    keys = [
        writer.commit(commit_frame(n, n, item(23, n, entry=666 if n in bad else 1)))
        for n in range(1, 25)
    ]
    chunk = writer.commit(
        *(commit_frame(n, n, item(23, n, entry=666 if n == 31 else 1)) for n in range(30, 40))
    )
    leave = writer.submit(LeaveEntry(40, 1, 1))
    await writer.settle()
    for n, key in enumerate(keys, 1):
        assert writer.statuses(key) == [Verdict.INTERNAL if n in bad else Verdict.COMMITTED]
    assert writer.statuses(chunk) == [0, 8, *[0] * 8]
    ((_, outcome),) = writer.answers[chunk]
    assert list(outcome.messages) == [1]
    assert "the operator forbids it" in outcome.messages[1]
    assert writer.answers[leave] == [(0, LeaveOutcome(True))]
    assert writer.tally.halvings > 0
    assert writer.tally.abandoned == 0
    assert (await writer.store.counts()).items == 24 - 2 + 10 - 1


async def test_a_fault_of_the_realms_own_is_isolated_too(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer()
    writer.mint._epochs.clear()
    save = codec.encode_save_inventory_items(7, 1, batch_of(item(23, 0)))
    old, _ = codec.decode_commits(save, 0, "packed")
    old.participants["session_epoch"] = 1
    keys = [
        writer.commit(commit_frame(1, 6, item(23, 6))),
        writer.submit(CommitEntry(1, old, False)),
        writer.commit(commit_frame(2, 8, item(23, 8))),
    ]
    await writer.settle()
    assert [writer.statuses(key) for key in keys] == [[0], [8], [0]]
    assert "IndexError" in caplog.text


async def test_halving_keeps_the_order(make_writer: MakeWriter, path: Path) -> None:
    writer = await make_writer()
    forbid(path, "new.stack_count = 3")
    key = writer.commit(
        *(commit_frame(n, 7, item(23, 1, stack=n), version=n - 1) for n in range(1, 6))
    )
    await writer.settle()
    assert writer.statuses(key) == [0, 0, 8, 3, 3]
    (record,) = await writer.store.read_items(7)
    assert record["stack_count"] == 2


async def test_a_join_that_the_database_refuses_is_answered(
    make_writer: MakeWriter, path: Path
) -> None:
    writer = await make_writer()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE character_session SET epoch = 4294967295 WHERE character_guid=7")
    full, good = writer.submit(JoinEntry(7, 1, 5)), writer.submit(JoinEntry(8, 1, 5))
    await writer.settle()
    ((_, failed),) = writer.answers[full]
    assert isinstance(failed, JoinFailed)
    assert failed.verdict is Verdict.INTERNAL
    assert isinstance(writer.answers[good][0][1], JoinOutcome)
    assert (writer.tally.joins, writer.tally.joins_refused) == (1, 1)


async def test_a_locked_database_is_tried_again(make_writer: MakeWriter, path: Path) -> None:
    writer = await make_writer()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        key = writer.commit(commit_frame(1, 7, item(23, 1)))
        await until(lambda: writer.tally.retries >= 2)
        assert writer.statuses(key) == []
        other.execute("ROLLBACK")
    await writer.settle()
    assert writer.statuses(key) == [0]
    assert writer.tally.abandoned == 0


async def test_a_database_that_stays_locked_is_said_so(make_writer: MakeWriter, path: Path) -> None:
    writer = await make_writer(retry_s=0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        key = writer.commit(commit_frame(1, 7, item(23, 1)), commit_frame(2, 8, item(23, 2)))
        join = writer.submit(JoinEntry(9, 1, 5))
        leave = writer.submit(LeaveEntry(9, 1, 1))
        await writer.settle()
        other.execute("ROLLBACK")
    assert writer.statuses(key) == [7, 7]
    assert writer.answers[join][0][1].verdict is Verdict.DATABASE_UNAVAILABLE
    assert writer.answers[leave] == [(0, LeaveOutcome(False))]
    assert writer.tally.abandoned == 2
    again = writer.commit(commit_frame(1, 7, item(23, 1), flags=4))
    await writer.settle()
    assert writer.statuses(again) == [0]


async def test_over_the_bounds_is_answered_at_once_and_nothing_else_is_lost(
    make_writer: MakeWriter,
) -> None:
    writer = await make_writer(max_queued_operations=3, max_queued_items=1000)
    taken = [writer.commit(commit_frame(n, n, item(23, n))) for n in (1, 2, 3)]
    over = writer.commit(commit_frame(4, 4, item(23, 4)))
    join = writer.submit(JoinEntry(5, 1, 5))
    leave = writer.submit(LeaveEntry(6, 1, 1))
    assert writer.statuses(over) == [6]
    assert writer.answers[join][0][1].verdict is Verdict.OVERLOADED
    await writer.settle()
    assert [writer.statuses(key) for key in taken] == [[0]] * 3
    assert writer.answers[leave] == [(0, LeaveOutcome(True))]
    large = writer.commit(commit_frame(5, 5, *(item(s, s) for s in range(256, 1300))))
    assert writer.statuses(large) == [6]


async def test_a_flood_of_leaves_is_dropped_at_twice_the_bound(
    make_writer: MakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer(max_queued_operations=3)
    leaves = [writer.submit(LeaveEntry(n, 1, 1)) for n in range(1, 21)]
    assert writer.writer.queued_operations == 6
    await writer.settle()
    taken = [(0, LeaveOutcome(True))]
    assert [writer.answers[key] == taken for key in leaves] == [True] * 6 + [False] * 14
    # One line, not one for each.
    assert caplog.text.count("leaves were dropped") == 1
    assert writer.submit(LeaveEntry(21, 1, 1)) >= 0
    await writer.settle()
    assert writer.answers[20] == taken


async def test_close_writes_what_is_queued_and_refuses_the_rest(make_writer: MakeWriter) -> None:
    writer = await make_writer(max_group_operations=2)
    keys = [writer.commit(commit_frame(n, n, item(23, n))) for n in range(1, 8)]
    closing_down = asyncio.create_task(writer.writer.close())
    await asyncio.sleep(0)
    late = writer.commit(commit_frame(9, 9, item(23, 9)))
    await closing_down
    assert [writer.statuses(key) for key in keys] == [[0]] * 7
    assert writer.statuses(late) == [7]


async def test_an_answer_that_fails_harms_no_one(make_writer: MakeWriter) -> None:
    writer = await make_writer()

    def fail(_first: int, _result: Any) -> None:
        raise ValueError("a bug")

    commits, _ = codec.decode_commits(commit_frame(1, 7, item(23, 1)))
    writer.writer.submit(CommitEntry(1, commits), fail)
    key = writer.commit(commit_frame(2, 8, item(23, 2)))
    await writer.settle()
    assert writer.statuses(key) == [0]


async def test_a_wait_for_company(make_writer: MakeWriter) -> None:
    writer = await make_writer(gather_s=0.05)
    first = writer.commit(commit_frame(1, 1, item(23, 1)))
    await asyncio.sleep(0.01)
    second = writer.commit(commit_frame(2, 2, item(23, 2)))
    await writer.settle()
    assert writer.statuses(first) == writer.statuses(second) == [0]
    assert writer.tally.groups == 1


async def test_a_new_node_epoch_is_fetched_before_the_old_one_is_used_up(
    make_writer: MakeWriter,
) -> None:
    writer = await make_writer()
    writer.mint._next = COUNTERS - RESERVE + 1
    assert writer.mint.needs_epoch
    writer.commit(commit_frame(1, 7, item(23, 1)))
    await writer.settle()
    assert not writer.mint.needs_epoch


def test_numbers_are_never_given_twice() -> None:
    mint = NumberMint(3)
    assert mint.take(2).tolist() == [3 << 32 | 1, 3 << 32 | 2]
    mint.take(0)
    mint._next = COUNTERS - 1
    assert mint.take(1).tolist() == [3 << 32 | 0xFFFFFFFF]
    mint.add_epoch(8)
    assert mint.take(2).tolist() == [8 << 32 | 1, 8 << 32 | 2]
