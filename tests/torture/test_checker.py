"""The checker can fail: each kind of damage is found and named, and a clean history passes."""

import random
from dataclasses import replace

import numpy as np
import pytest
from histories_of_shards import DAMAGES, GOLD, Shard, record
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import ConfigurationError
from mmoinv.records import INVENTORY_ITEM
from mmoinv.torture import (
    Answer,
    Change,
    Findings,
    Journal,
    Kept,
    Sent,
    Stored,
    check,
    read_journals,
)


def checked(shard: Shard, **damage) -> Findings:
    return check(shard.entries, replace(shard.stored(), **damage))


def names(findings: Findings, *words: str) -> bool:
    """Whether one problem says all this."""
    return any(all(word in problem for word in words) for problem in findings.problems)


def after(shard: Shard, operation: int, *characters: int) -> Shard:
    """The shard with a database in which the operation's changes are there for these only."""
    index = next(
        place
        for place, entry in enumerate(shard.entries)
        if isinstance(entry, Sent) and entry.operation == operation
    )
    for change in shard.entries[index].changes:
        if change.character in characters:
            shard._apply(change)
    return shard


def test_a_right_history_is_clean():
    shard = Shard(1).live(200)
    findings = checked(shard)
    assert findings.problems == []
    assert findings.is_clean
    answered = [each for each in shard.entries if isinstance(each, Answer)]
    assert findings.operations == 200
    assert findings.acknowledged == sum(each.status < 2 for each in answered)
    assert (findings.lost, findings.doubled, findings.half_applied) == (0, 0, 0)


def test_an_operation_that_an_outbox_has_dropped():
    shard = Shard(1)
    loot = shard.loot("gone", 1)
    shard.entries.append(Kept(loot))
    findings = checked(shard)
    assert len(findings.problems) == 1
    assert names(findings, f"{loot:#x}", "outbox", "ever answered")
    # Refused will do: somebody was told.
    shard.entries.append(Answer(loot, 2))
    assert not names(checked(shard), "outbox")


def test_nothing_at_all_is_clean():
    assert check([], Stored()) == Findings()


def test_a_lost_acknowledged_operation():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    lost = shard.loot("gone", 1)
    shard.entries.append(Answer(lost, 0, {1: 2}))
    findings = checked(shard)
    assert (findings.acknowledged, findings.lost, findings.half_applied) == (2, 1, 0)
    assert names(findings, f"{lost:#x}", "acknowledged, but lost")
    assert names(findings, "version 1 is stored", "lead to 2")


def test_an_acknowledged_operation_whose_changes_are_missing():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    before = shard.stored()
    lost = shard.loot("acknowledged", 1)
    findings = checked(shard, records=before.records, wallets=before.wallets)
    assert (findings.lost, findings.half_applied) == (1, 1)
    assert names(findings, f"{lost:#x}", "acknowledged", "missing for 0x1", "it is among")


def test_a_doubled_item():
    shard = Shard(1)
    shard.loot("acknowledged", 1, 5)
    twin = shard.records[1][23]
    shard.records[2][30] = record(twin[0], 30, 5, twin[-1], 40)
    findings = checked(shard)
    assert (findings.lost, findings.doubled, findings.half_applied) == (0, 1, 0)
    assert names(findings, f"item {twin[-1]:#x}", "0x1, slot 23", "0x2, slot 30")
    assert names(findings, f"entry {twin[0]}", "5 more than was created")


def test_an_item_from_nowhere():
    shard = Shard(1)
    shard.records[2][30] = record(2001, 30, 1, 99)
    findings = checked(shard)
    assert (findings.doubled, findings.lost) == (1, 0)
    assert names(findings, "character 0x2, slot 30", "nothing is what")


@pytest.mark.parametrize("there", [1, 2])
@pytest.mark.parametrize("fate", ["gone", "busy", "refused"])
def test_a_half_applied_trade_that_was_not_acknowledged(there, fate):
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    trade = shard.trade(fate, 1, 23, 2)
    findings = checked(after(shard, trade, there))
    assert (findings.half_applied, findings.lost) == (1, 0)
    assert names(findings, f"{trade:#x}", "half applied", f"characters {there:#x}, missing for")
    assert names(findings, f"character {there:#x}: version")


@pytest.mark.parametrize("there", [1, 2])
def test_a_half_applied_trade_that_was_listed(there):
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    trade = shard.trade("gone", 1, 23, 2)
    shard.applied.append(trade)
    findings = checked(after(shard, trade, there))
    assert (findings.half_applied, findings.lost) == (1, 0)
    assert names(findings, f"{trade:#x}", "half applied", f"missing for {3 - there:#x}")


def test_operations_that_cannot_be_told_apart_are_both_named():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    first, second = shard.trade("gone", 1, 23, 2), shard.trade("gone", 1, 23, 2)
    findings = checked(after(shard, first, 2))
    assert findings.half_applied == 1
    assert names(findings, f"{first:#x}", f"{second:#x}", "half applied", "or it is")


def test_a_half_applied_trade_that_was_acknowledged_is_also_lost():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    trade = shard.trade("gone", 1, 23, 2)
    shard.applied.append(trade)
    shard.entries.append(Answer(trade, 0, {1: 2, 2: 1}))
    findings = checked(after(shard, trade, 2))
    assert (findings.half_applied, findings.lost, findings.doubled) == (1, 1, 1)


def test_only_the_money_of_a_trade():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    trade = shard.trade("acknowledged", 1, 23, 2, price=4)
    shard.wallets[2][GOLD] += 4
    findings = checked(shard)
    assert names(findings, "character 0x2, currency 1", "balance is 0, its operations lead to -4")
    assert names(findings, "currency 1: 4 more")
    assert not findings.half_applied
    assert trade in shard.applied


def test_changes_without_their_place_in_the_list():
    shard = Shard(1)
    operation = shard.loot("unanswered", 1)
    shard.applied.clear()
    findings = checked(shard)
    assert findings.half_applied == 1
    assert names(findings, f"{operation:#x}", "there for characters 0x1", "not among the applied")


def test_a_refused_operation_that_was_applied():
    shard = Shard(1)
    operation = shard.loot("unanswered", 1)
    shard.entries.append(Answer(operation, 2))
    assert names(checked(shard), f"{operation:#x}: refused, but applied")


def test_an_answer_that_promises_nothing_may_have_been_applied():
    shard = Shard(1)
    operation = shard.loot("unanswered", 1)
    shard.entries.append(Answer(operation, 7))
    assert checked(shard).is_clean


def test_contradictory_answers():
    shard = Shard(1)
    operation = shard.loot("acknowledged", 1)
    shard.entries.append(Answer(operation, 3))
    assert names(checked(shard), f"{operation:#x}: both acknowledged and refused")


def test_a_version_gap_in_the_operations():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    shard.versions[1] += 1
    last = shard.loot("acknowledged", 1)
    findings = checked(shard)
    assert names(findings, "character 0x1", "gap", "from 1 to 2", f"{last:#x}")
    assert len(findings.problems) == 1


def test_a_version_fork():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    shard.versions[1] = 0
    last = shard.loot("acknowledged", 1)
    findings = checked(shard)
    assert names(findings, "character 0x1", "fork", f"{last:#x}", "version 0")
    assert len(findings.problems) == 1


def test_a_stored_version_that_leads_nowhere():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    findings = checked(shard, versions={1: 2})
    assert findings.problems == ["character 0x1: version 2 is stored, its operations lead to 1"]


def test_an_answer_with_another_version():
    shard = Shard(1)
    operation = shard.loot("unanswered", 1)
    shard.entries.append(Answer(operation, 0, {1: 9}))
    assert names(checked(shard), "made on version 0, answered with version 9")


def test_sums_that_are_off_by_the_worlds_own_doing():
    shard = Shard(1)
    shard.loot("acknowledged", 1)
    change = shard.change(1, [record(2002, 60, 7, shard.guid())], money={GOLD: 5})
    shard.commit("acknowledged", change)
    findings = checked(shard)
    assert findings.problems == [
        "entry 2002: 7 more than was created and not destroyed",
        "currency 1: 5 more than was created and not destroyed",
    ]


def test_a_record_that_differs_in_a_field():
    shard = Shard(1)
    operation = shard.loot("acknowledged", 1)
    item = list(shard.records[1][23])
    item[5] += 1
    shard.records[1][23] = tuple(item)
    findings = checked(shard)
    assert findings.lost == 1
    assert names(findings, "character 0x1, slot 23", f"operation {operation:#x} left there")


def test_operations_that_nobody_sent():
    shard = Shard(1)
    shard.applied.append(99)
    shard.entries.append(Answer(98, 0, {}))
    findings = checked(shard)
    assert names(findings, "0x63: applied, but nobody sent it")
    assert names(findings, "0x62: answered, but nobody sent it")


def test_an_id_of_two_operations():
    shard = Shard(1)
    operation = shard.loot("acknowledged", 1)
    shard.entries.append(shard.entries[0])
    assert checked(shard).is_clean
    shard.entries.append(Sent(operation, "world-9", (Change(1, 0),)))
    assert names(checked(shard), f"{operation:#x}", "two different operations", "world-9")


def test_what_was_there_at_the_start_counts():
    shard = Shard(1).live(60)
    start, already = shard.stored(), len(shard.entries)
    shard.live(60)
    later = shard.entries[already:]
    assert check(later, shard.stored(), start).is_clean
    assert not check(later, shard.stored()).is_clean
    missing = {who: batch[:0] for who, batch in shard.stored().records.items()}
    assert check(later, replace(shard.stored(), records=missing), start).problems


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(2, 5))
def test_any_right_history_is_clean(seed, operations, characters):
    assert checked(Shard(seed, characters).live(operations)).problems == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_any_damage_is_found(damage, seed, operations):
    shard = Shard(seed).live(operations)
    damaged = damage(random.Random(seed), shard.stored())
    if damaged is not None:
        assert check(shard.entries, damaged).problems


@given(st.integers(0, 2**32), st.integers(0, 30), st.booleans(), st.booleans())
def test_any_trade_that_is_there_for_one_is_half_applied(seed, operations, listed, giver):
    shard = Shard(seed).live(operations)
    shard.loot("acknowledged", 1)
    slot = shard.random.choice(sorted(shard.records[1]))
    trade = shard.trade("gone", 1, slot, 2)
    if listed:
        shard.applied.append(trade)
    findings = checked(after(shard, trade, 1 if giver else 2))
    assert findings.half_applied == 1
    assert names(findings, f"{trade:#x}", "half applied")
    assert findings.lost == 0


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_acknowledgement_of_nothing_is_lost(seed, operations):
    shard = Shard(seed).live(operations)
    lost = shard.loot("gone", 1)
    shard.entries.append(Answer(lost, 0, {1: shard.versions[1] + 1}))
    findings = checked(shard)
    assert findings.lost == 1
    assert names(findings, f"{lost:#x}", "lost")


def test_a_journal_on_disk(tmp_path):
    shard = Shard(5).live(80)
    paths = [tmp_path / "world-1.jsonl", tmp_path / "world-2.jsonl"]
    for path, entries in zip(paths, (shard.entries[:70], shard.entries[70:]), strict=True):
        with Journal(path) as journal:
            for entry in entries:
                journal.write(entry)
    assert read_journals(paths) == shard.entries
    assert check(read_journals(paths), shard.stored()).is_clean


def test_a_batch_goes_into_a_journal_as_its_list(tmp_path):
    batch = np.array([record(2001, 23, 4, 2**64 - 1)], INVENTORY_ITEM)
    slots = np.array([24, 25], "u2")
    change = Change(2**64 - 1, 3, batch.tolist(), slots.tolist(), False, {GOLD: -5})
    with Journal(tmp_path / "world.jsonl") as journal:
        journal.write(Sent(2**64 - 2, "world-1", [change]))
    (sent,) = read_journals([tmp_path / "world.jsonl"])
    assert isinstance(sent, Sent)
    assert np.array(list(sent.changes[0].saves), INVENTORY_ITEM).tobytes() == batch.tobytes()
    assert sent.changes[0].deletes == (24, 25)
    assert sent.changes[0].money == {GOLD: -5}


def test_a_line_that_a_kill_cut_off_was_neither_sent_nor_answered(tmp_path):
    shard = Shard(5).live(10)
    path = tmp_path / "world.jsonl"
    with Journal(path) as journal:
        for entry in shard.entries:
            journal.write(entry)
    whole = path.read_bytes()
    for cut in range(whole.rindex(b"\n", 0, -1) + 2, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_journals([path]) == shard.entries[:-1]
    with Journal(path) as journal:
        journal.write(shard.entries[-1])
    with pytest.raises(ConfigurationError, match=r"world\.jsonl, line \d+: no entry"):
        read_journals([path])


@pytest.mark.parametrize("line", ["[]", "{}", '{"won": {}}', '{"answer": {"operation": 1}}', "?"])
def test_what_is_no_journal_is_refused(tmp_path, line):
    path = tmp_path / "world.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        read_journals([path])
