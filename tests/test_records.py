"""The record table: every place and width by number, its limits, and single records."""

import numpy as np
import pytest

from mmoinv.errors import BatchError, RecordError
from mmoinv.records import (
    INVENTORY_ITEM,
    ITEM_DATA,
    NATIVE32,
    NATIVE40,
    PACKED,
    SLOT,
    SLOT_FAULTS,
    WIDE,
    WIRE_LAYOUTS,
    Fault,
    Field,
    InventoryItemData,
    batch_of,
    empty_batch,
    fault_sentence,
    is_buyback,
    slots_of,
)

SWORD = InventoryItemData(25, 0xFF0F, 1, 7, 0, 40, 0, 0, 1, 9 << 32 | 5)
POTIONS = InventoryItemData(118, 0xFF17, stack_count=5)


def test_item_data_is_29_bytes():
    assert ITEM_DATA.itemsize == 29
    assert ITEM_DATA.descr == [
        ("entry", "<u4"),
        ("slot", "<u2"),
        ("stack_count", "|u1"),
        ("creator", "<u8"),
        ("contained", "<u8"),
        ("durability", "<u2"),
        ("random_property_index", "<u2"),
        ("random_suffix_index", "<u2"),
    ]


def test_inventory_item_is_48_bytes():
    assert INVENTORY_ITEM.itemsize == 48
    assert INVENTORY_ITEM.descr == [
        ("entry", "<u4"),
        ("slot", "<u2"),
        ("stack_count", "<u2"),
        ("creator", "<u8"),
        ("contained", "<u8"),
        ("durability", "<u4"),
        ("random_property_index", "<u4"),
        ("random_suffix_index", "<u4"),
        ("item_flags", "<u4"),
        ("item_guid", "<u8"),
    ]


@pytest.mark.parametrize(
    ("layout", "aligned"),
    [
        (NATIVE32, ITEM_DATA.descr),
        (NATIVE40, [*ITEM_DATA.descr, ("item_flags", "<u4")]),
    ],
)
def test_native_layouts_are_what_a_compiler_makes_of_them(layout, aligned):
    dtype = np.dtype(aligned, align=True)
    assert layout.itemsize == dtype.itemsize == int(layout.name[-2:])
    assert {name: dtype.fields[name][1] for name in dtype.names} == {
        field.name: field.offset for field in layout.fields
    }


@pytest.mark.parametrize("layout", [WIDE, *WIRE_LAYOUTS.values()], ids=lambda one: one.name)
def test_fields_and_padding_cover_a_record_once(layout):
    covered = sorted(
        place
        for offset, size in [(field.offset, field.size) for field in layout.fields]
        + list(layout.padding)
        for place in range(offset, offset + size)
    )
    assert covered == list(range(layout.itemsize))
    assert [field.name for field in layout.fields] == list(layout.dtype.names)
    assert all(field.limit == 2 ** (8 * field.size) - 1 for field in layout.fields)
    # The fields that every layout has at the same place; the codec reads them anywhere.
    assert layout.fields[:2] == (Field("entry", 0, 4), Field("slot", 4, 2))
    assert layout.fields[2].offset == 6


def test_layouts_have_their_names():
    assert list(WIRE_LAYOUTS) == ["packed", "native32", "native40"]
    assert WIRE_LAYOUTS["packed"] is PACKED
    assert np.dtype("<u2") == SLOT


def test_buyback_slots_are_74_to_85_alone_or_in_bag_255():
    found = [slot for slot in range(65536) if is_buyback(slot)]
    assert found == [*range(74, 86), *range(0xFF00 + 74, 0xFF00 + 86)]


def test_every_fault_has_a_sentence():
    assert len({fault.sentence for fault in Fault}) == len(Fault)
    for fault in Fault:
        assert fault_sentence(int(fault), 513).startswith("slot 513: ") == (fault in SLOT_FAULTS)


def test_a_record_from_and_to_a_batch():
    batch = SWORD.as_batch()
    assert batch.dtype == INVENTORY_ITEM
    assert batch.shape == (1,)
    assert InventoryItemData.from_record(batch[0]) == SWORD
    narrow = np.zeros(1, ITEM_DATA)
    narrow["entry"], narrow["slot"], narrow["stack_count"] = 118, 0xFF17, 5
    assert InventoryItemData.from_record(narrow[0]) == POTIONS


def test_the_largest_value_of_every_field():
    limits = {field.name: field.limit for field in WIDE.fields}
    assert InventoryItemData(**limits).as_batch().tobytes() == b"\xff" * 48
    for field in WIDE.fields:
        for value in (field.limit + 1, -1):
            with pytest.raises(RecordError, match=f"{field.name} {value} is outside"):
                InventoryItemData(**(limits | {field.name: value}))


def test_a_record_is_frozen():
    with pytest.raises(AttributeError):
        SWORD.entry = 5


def test_batch_of_sorts_by_slot():
    batch = batch_of(POTIONS, SWORD)
    assert batch["slot"].tolist() == [0xFF0F, 0xFF17]
    assert InventoryItemData.from_record(batch[1]) == POTIONS
    assert batch_of().shape == (0,)
    assert batch_of().dtype == INVENTORY_ITEM


def test_batch_of_a_slot_twice():
    with pytest.raises(BatchError, match="slot 65303: the slot occurs twice") as caught:
        batch_of(POTIONS, SWORD, POTIONS)
    assert (caught.value.fault, caught.value.slot) == (Fault.SLOT_TWICE, 0xFF17)


def test_empty_batch():
    assert empty_batch().shape == (0,)
    assert empty_batch(3).tobytes() == b"\x00" * 144


def test_slots_of():
    assert slots_of(5, 0, 65535).tolist() == [5, 0, 65535]
    assert slots_of().dtype == SLOT
    for slot in (-1, 65536):
        with pytest.raises(RecordError, match=f"slot {slot} is outside"):
            slots_of(3, slot)
