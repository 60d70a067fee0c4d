"""Widening, narrowing, the rules of a batch, order and difference, on both twins."""

import numpy as np
import pytest
from codec_cases import (
    U16,
    U32,
    batch,
    batches,
    item,
    narrow_batches,
    ordinary,
    packed,
    rows,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import BatchError, NarrowingError
from mmoinv.records import (
    INVENTORY_ITEM,
    ITEM_DATA,
    PACKED,
    WIDE,
    WIRE_LAYOUTS,
    Fault,
    is_buyback,
)

layouts = pytest.mark.parametrize("layout", list(WIRE_LAYOUTS))


def by_slot(items):
    return {int(record["slot"]): record.tobytes() for record in items}


# Widening and narrowing


def test_widening_keeps_every_field_and_zeroes_what_is_new(codec):
    narrow = packed(item(5, creator=2**64 - 1, durability=U16), item(4, contained=3))
    wide = codec.widen(narrow)
    assert wide.dtype == INVENTORY_ITEM
    for name in ITEM_DATA.names:
        assert wide[name].tolist() == narrow[name].tolist()
    assert wide["item_flags"].tolist() == wide["item_guid"].tolist() == [0, 0]


def test_widening_a_wide_batch_copies_it(codec):
    items = ordinary(3)
    wide = codec.widen(items)
    wide["entry"] = 0
    assert items["entry"].all()


@layouts
def test_narrowing_and_back(codec, layout):
    @given(narrow_batches(layout))
    def holds(items):
        narrow = codec.narrow(items, layout)
        assert narrow.dtype == WIRE_LAYOUTS[layout].dtype
        for field in WIRE_LAYOUTS[layout].fields:
            assert narrow[field.name].tolist() == items[field.name].tolist()
        for offset, size in WIRE_LAYOUTS[layout].padding:
            raw = np.frombuffer(narrow.tobytes(), np.uint8).reshape(-1, narrow.itemsize)
            assert not raw[:, offset : offset + size].any()
        if layout == "packed":
            assert codec.widen(narrow).tobytes() == items.tobytes()

    holds()


def test_item_data_narrows_to_every_layout(codec):
    items = packed(item(5, creator=7, durability=U16), item(4, contained=3))
    for layout in WIRE_LAYOUTS:
        narrow = codec.narrow(items, layout)
        for name in ITEM_DATA.names:
            assert narrow[name].tolist() == items[name].tolist()


@layouts
@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("stack_count", 255),
        ("durability", U16),
        ("random_property_index", U16),
        ("random_suffix_index", U16),
    ],
)
def test_a_value_too_large_for_the_layout_is_named(codec, layout, field, limit):
    fits = batch(item(30, **{field: limit}))
    codec.narrow(fits, layout)
    codec.encode_save_inventory_items(1, 2, fits, layout)
    overflowing = batch(item(40), item(30, **{field: limit + 1}), item(20, **{field: limit + 2}))
    for call in (
        lambda: codec.narrow(overflowing, layout),
        lambda: codec.encode_save_inventory_items(1, 2, overflowing, layout),
    ):
        with pytest.raises(NarrowingError, match=f"slot 30: {field} {limit + 1}") as caught:
            call()
        error = caught.value
        assert (error.slot, error.field, error.value) == (30, field, limit + 1)
        assert (error.limit, error.layout) == (limit, layout)


def test_the_first_field_that_does_not_fit_is_named(codec):
    items = batch(item(8, stack_count=256, durability=2**16, random_suffix_index=U32))
    with pytest.raises(NarrowingError, match="stack_count 256"):
        codec.narrow(items)


def test_narrowing_leaves_out_what_the_layout_does_not_have(codec):
    items = batch(item(8, item_flags=U32, item_guid=2**64 - 1))
    assert codec.narrow(items, "packed").dtype == ITEM_DATA
    assert codec.narrow(items, "native40")["item_flags"].tolist() == [U32]


# The rules


def test_an_ordinary_batch_is_valid(codec):
    for items in (ordinary(0), ordinary(119), packed(item(1), item(0)), ordinary(3)[:0]):
        codec.validate_batch(items)
    codec.validate_batch(ordinary(119), named=True)


BAD_ROWS = [
    (item(9, entry=0), Fault.ENTRY_ZERO),
    (item(9, stack_count=0), Fault.STACK_COUNT_ZERO),
    (item(74), Fault.BUYBACK_SLOT),
    (item(85), Fault.BUYBACK_SLOT),
    (item(255 << 8 | 74), Fault.BUYBACK_SLOT),
    (item(255 << 8 | 85), Fault.BUYBACK_SLOT),
    (item(24), Fault.SLOT_TWICE),
]


@pytest.mark.parametrize(("row", "fault"), BAD_ROWS)
def test_a_rule_broken_is_named_with_its_slot(codec, row, fault):
    for items in (
        batch(item(30), item(24), item(23), row),
        packed(item(30), item(24), item(23), row),
        batch(item(24), row) if fault is Fault.SLOT_TWICE else batch(row, item(24)),
    ):
        with pytest.raises(BatchError, match=f"slot {row[1]}: {fault.sentence}") as caught:
            codec.validate_batch(items)
        assert (caught.value.fault, caught.value.slot) == (fault, row[1])
        assert isinstance(caught.value.fault, Fault)


def test_stack_256_is_not_stack_0(codec):
    codec.validate_batch(batch(item(9, stack_count=256)))


def test_an_unnamed_item_is_a_fault_only_where_names_are_wanted(codec):
    for items in (batch(item(9), item(10, item_guid=0)), packed(item(10))):
        codec.validate_batch(items)
        with pytest.raises(BatchError, match="slot 10: item_guid is 0"):
            codec.validate_batch(items, named=True)


def test_buyback_slots_are_those_of_the_record_table(codec):
    for slot in range(U16 + 1):
        if slot & 0xFF not in (0, 73, 74, 80, 85, 86, 255):
            continue
        items = batch(item(slot))
        if is_buyback(slot):
            with pytest.raises(BatchError):
                codec.validate_batch(items)
        else:
            codec.validate_batch(items)


def test_the_first_bad_record_is_named_before_a_slot_that_occurs_twice(codec):
    items = batch(item(9), item(9), item(20, entry=0), item(19, stack_count=0))
    with pytest.raises(BatchError, match="slot 20: entry is 0"):
        codec.validate_batch(items)


def test_the_first_slot_that_repeats_is_named(codec):
    items = batch(item(9), item(50), item(3), item(50), item(9))
    with pytest.raises(BatchError, match="slot 50"):
        codec.validate_batch(items)
    with pytest.raises(BatchError, match="slot 9"):  # sorting meets the lowest one first
        codec.sort_by_slot(items)


# Order and difference


@given(items=batches(max_size=30))
def test_sorting(codec, items):
    ordered = codec.sort_by_slot(items)
    assert ordered["slot"].tolist() == sorted(items["slot"].tolist())
    assert by_slot(ordered) == by_slot(items)
    assert not np.shares_memory(ordered, items)


def test_sorting_widens(codec):
    assert codec.sort_by_slot(packed(item(9), item(3)))["slot"].tolist() == [3, 9]
    assert codec.sort_by_slot(packed(item(3), item(9))).dtype == INVENTORY_ITEM


@given(before=batches(max_size=20), after=batches(max_size=20), kept=st.sets(st.integers(0, 19)))
def test_diff_and_apply_changes_are_inverse(codec, before, after, kept):
    merged = by_slot(after)
    merged.update(by_slot(before[[place for place in kept if place < len(before)]]))
    after = np.frombuffer(b"".join(merged.values()), INVENTORY_ITEM)
    saves, deletes = codec.diff(before, after)
    assert saves["slot"].tolist() == sorted(saves["slot"].tolist())
    assert deletes.tolist() == sorted(set(by_slot(before)) - set(merged))
    old = by_slot(before)
    assert by_slot(saves) == {slot: raw for slot, raw in merged.items() if old.get(slot) != raw}
    applied = codec.apply_changes(before, saves, deletes)
    assert applied.tobytes() == codec.sort_by_slot(after).tobytes()
    assert [len(part) for part in codec.diff(applied, after)] == [0, 0]


def test_diff_of_every_size(codec):
    for count in (0, 1, 25, 255, 256, 257, 300, 1000):
        before = ordinary(count)
        assert [len(part) for part in codec.diff(before, before)] == [0, 0]
        for one, other in ((before[:0], before), (before, before[:0])):
            saves, deletes = codec.diff(one, other)
            assert saves.tobytes() == other.tobytes()
            assert deletes.tolist() == one["slot"].tolist()


@pytest.mark.parametrize("field", [field.name for field in WIDE.fields if field.name != "slot"])
def test_diff_sees_a_change_of_any_field(codec, field):
    before = ordinary(25)
    after = before.copy()
    after[field][7] += 1
    saves, deletes = codec.diff(before, after)
    assert saves.tobytes() == after[7:8].tobytes()
    assert len(deletes) == 0


def test_diff_takes_both_dtypes_in_any_order(codec):
    before = packed(item(9), item(3), item(4))
    after = batch(item(4, item_guid=0), item(10, item_guid=0), item(9, entry=1, item_guid=0))
    saves, deletes = codec.diff(before, after)
    assert saves["slot"].tolist() == [9, 10]
    assert deletes.tolist() == [3]


def test_diff_does_not_touch_its_arguments(codec):
    before, after = ordinary(30)[::-1].copy(), ordinary(31)
    kept = before.tobytes(), after.tobytes()
    saves, _ = codec.diff(before, after)
    saves["entry"] = 0
    codec.apply_changes(before, after, slots(3))["entry"] = 0
    assert (before.tobytes(), after.tobytes()) == kept


def test_a_slot_twice_has_no_difference(codec):
    twice = batch(item(9), item(3), item(9))
    for call in (
        lambda: codec.diff(twice, ordinary(2)),
        lambda: codec.diff(ordinary(2), twice),
        lambda: codec.sort_by_slot(twice),
        lambda: codec.apply_changes(twice, ordinary(2), slots()),
        lambda: codec.apply_changes(ordinary(2), twice, slots()),
    ):
        with pytest.raises(BatchError, match="slot 9: the slot occurs twice") as caught:
            call()
        assert (caught.value.fault, caught.value.slot) == (Fault.SLOT_TWICE, 9)


def test_applying_deletes_of_empty_slots_and_saves_of_deleted_ones(codec):
    before = batch(item(3), item(9), item(12))
    saves = batch(item(20), item(9, entry=5), item(1))
    after = codec.apply_changes(before, saves, slots(9, 3, 3, 5000))
    assert after["slot"].tolist() == [1, 9, 12, 20]
    assert after["entry"].tolist()[1] == 5


def test_every_slot_there_is(codec):
    everything = np.zeros(U16 + 1, INVENTORY_ITEM)
    everything["slot"] = np.arange(U16 + 1)[::-1]
    assert codec.sort_by_slot(everything)["slot"].tolist() == list(range(U16 + 1))
    _, deletes = codec.diff(everything, everything[:0])
    assert deletes.tolist() == list(range(U16 + 1))
    assert len(codec.apply_changes(everything, everything[:1], deletes)) == 1


@given(drawn=st.lists(rows(PACKED), max_size=1))
def test_rows_are_valid(codec, drawn):
    codec.validate_batch(packed(*drawn))
