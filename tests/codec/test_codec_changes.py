"""Changes as the ledger keeps them: small, exact, and never read beyond what is there."""

import numpy as np
import pytest
from codec_cases import batches
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec as chosen
from mmoinv.errors import FramingError, RecordError
from mmoinv.records import INVENTORY_ITEM, InventoryItemData, batch_of, empty_batch

POTIONS = InventoryItemData(2589, 0xFF17, 20, contained=7, item_guid=1 << 40)


def counts(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def pairs_between(before, after):
    """Every slot that differs: what was there, and what is."""
    saves, deletes = chosen.diff(before, after)
    old = {int(record["slot"]): record for record in before}
    new = {int(record["slot"]): record for record in after}
    touched = sorted({*saves["slot"].tolist(), *deletes.tolist()})
    columns = [np.zeros(len(touched), INVENTORY_ITEM) for _ in range(2)]
    for place, slot in enumerate(touched):
        for column, records in zip(columns, (old, new), strict=True):
            if slot in records:
                column[place] = records[slot]
    return columns


def test_a_change_takes_few_bytes(codec):
    before = batch_of(POTIONS)
    after = batch_of(POTIONS._replace(stack_count=19))
    nothing = np.zeros(1, INVENTORY_ITEM)
    changed, gone, new = codec.pack_changes(
        np.concatenate([before, before, nothing]),
        np.concatenate([after, nothing, after]),
        counts(1, 1, 1),
    )
    assert changed.hex(" ", -4) == (
        "0117ff03 0b011d0a 00001400 07000000 00000000 00000000 00010000 02001300"
    )
    assert [len(changed), len(gone), len(new)] == [32, 28, 28]


@given(before=batches(), after=batches())
def test_what_was_packed_comes_back(before, after):
    before, after = (chosen.sort_by_slot(chosen.widen(items)) for items in (before, after))
    old, new = pairs_between(before, after)
    for name in ("compiled", "python"):
        codec = pytest.importorskip(chosen.MODULES[name])
        (row,) = codec.pack_changes(old, new, counts(len(old)))
        assert [items.tobytes() for items in codec.unpack_changes(row)] == [
            old.tobytes(),
            new.tobytes(),
        ]


def test_rows_are_cut_by_their_counts(codec):
    before = batch_of(*(POTIONS._replace(slot=0xFF17 + n) for n in range(5)))
    after = before.copy()
    after["stack_count"] += 1
    rows = codec.pack_changes(before, after, counts(2, 0, 3))
    assert [len(codec.unpack_changes(row)[0]) for row in rows] == [2, 0, 3]
    assert codec.pack_changes(empty_batch(), empty_batch(), counts()) == []
    assert rows[1] == b"\x01"


@pytest.mark.parametrize("numbers", [(1,), (3,), (2**64 - 1, 3), (2**63, 2**63 + 2)])
def test_counts_that_do_not_fit(codec, numbers):
    two = batch_of(POTIONS, POTIONS._replace(slot=0xFF18))
    with pytest.raises(RecordError, match="add up"):
        codec.pack_changes(two, two, counts(*numbers))
    with pytest.raises(RecordError, match="same length"):
        codec.pack_changes(two, two[:1], counts(2))


def test_a_pair_is_of_one_slot_and_of_something(codec):
    nothing = np.zeros(1, INVENTORY_ITEM)
    elsewhere = batch_of(POTIONS._replace(slot=0xFF18))
    for before, after in ((nothing, nothing), (batch_of(POTIONS), elsewhere)):
        with pytest.raises(RecordError, match="a change has a record"):
            codec.pack_changes(before, after, counts(1))


@given(
    row=st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda tail: b"\x01\x17\xff\x03" + tail),
        st.binary(max_size=60).map(lambda tail: b"\x01\x17\xff\x01\x0b\x01" + tail),
    )
)
def test_twins_agree_on_any_bytes(row):
    outcomes = []
    for name in ("compiled", "python"):
        codec = pytest.importorskip(chosen.MODULES[name])
        try:
            before, after = codec.unpack_changes(row)
        except FramingError as error:
            outcomes.append(str(error))
        else:
            assert len(before) == len(after) <= len(row) // 5
            outcomes.append(before.tobytes() + after.tobytes())
    assert outcomes[0] == outcomes[1]


def test_every_truncation_is_seen(codec):
    before = batch_of(POTIONS)
    after = batch_of(POTIONS._replace(stack_count=19, durability=3))
    (row,) = codec.pack_changes(before, after, counts(1))
    for size in range(len(row)):
        if size == 1:
            continue  # No change at all.
        with pytest.raises(FramingError):
            codec.unpack_changes(row[:size])
