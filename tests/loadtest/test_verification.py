"""The comparison can fail: each kind of damage is found, counted and named."""

from mmoinv.loadtest.verification import batch_from_bytes, compare
from mmoinv.records import InventoryItemData, batch_of


def items(*slots: int, base: int = 100):
    return batch_of(*(InventoryItemData(5, slot, 1, item_guid=base + slot) for slot in slots))


def test_what_is_right_is_clean():
    held = {7: items(1, 2), 8: items(3, base=900)}
    findings = compare(held, {guid: batch.copy() for guid, batch in held.items()})
    assert findings.is_clean
    assert (findings.characters, findings.records) == (2, 3)
    assert compare({7: items()}, {}).is_clean


def test_a_lost_record():
    findings = compare({7: items(1, 2)}, {7: items(2)})
    assert (findings.lost, findings.doubled) == (1, 0)
    assert "slot 1: not stored" in findings.examples[0]
    assert compare({7: items(1, 2)}, {}).lost == 2


def test_a_record_that_differs():
    stored = items(1, 2)
    stored["stack_count"][1] = 9
    findings = compare({7: items(1, 2)}, {7: stored})
    assert findings.lost == 1
    assert "stack_count" in findings.examples[0]


def test_a_record_too_many():
    findings = compare({7: items(1)}, {7: items(1, 2)})
    assert (findings.lost, findings.doubled) == (0, 1)


def test_a_character_that_nobody_holds():
    assert compare({}, {9: items(1, 2)}).doubled == 2


def test_an_item_that_is_stored_twice():
    held = {7: items(1), 8: items(1)}
    findings = compare(held, held)
    assert (findings.lost, findings.doubled) == (0, 1)
    assert "0x7" in findings.examples[0]
    assert "0x8" in findings.examples[0]


def test_examples_are_bounded():
    findings = compare({7: items(*range(100, 200))}, {})
    assert findings.lost == 100
    assert len(findings.examples) == 10


def test_batches_through_a_pipe():
    batch = items(1, 2)
    assert batch_from_bytes(batch.tobytes()).tobytes() == batch.tobytes()
