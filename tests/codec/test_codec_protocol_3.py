"""Save, Delete and Result of protocol 3: what is refused, and as which kind of bad."""

import struct

import pytest
from codec_cases import (
    U16,
    U32,
    U64,
    batch,
    epochs,
    frame,
    free_slots,
    guids,
    item,
    narrow_batches,
    ordinary,
    packed,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import BatchError, ContentError, FramingError, RecordError
from mmoinv.records import MAX_BATCH_ITEMS, WIRE_LAYOUTS, Fault

layouts = pytest.mark.parametrize("layout", list(WIRE_LAYOUTS))
HEAD = struct.pack("<QI", 7, 0x00010002)
SAVED, DELETED, RESULT = 0x0E, 0x0F, 0x0A


def one_record(layout: str, entry: int = 1, slot: int = 23, stack_count: int = 1) -> bytes:
    size = WIRE_LAYOUTS[layout].itemsize
    return struct.pack("<IHB", entry, slot, stack_count).ljust(size, b"\x00")


def save_body(layout: str, *records: bytes, count: int | None = None) -> bytes:
    return HEAD + struct.pack("<H", len(records) if count is None else count) + b"".join(records)


def delete_body(*numbers: int, count: int | None = None) -> bytes:
    return HEAD + struct.pack(
        f"<H{len(numbers)}H", len(numbers) if count is None else count, *numbers
    )


# Round trips


@pytest.mark.parametrize("layout", list(WIRE_LAYOUTS))
@given(data=st.data(), guid=guids, operation_id=epochs)
def test_save_round_trip(codec, layout, data, guid, operation_id):
    items = data.draw(narrow_batches(layout))
    saved = codec.encode_save_inventory_items(guid, operation_id, items, layout)
    assert saved[:5] == struct.pack("<BI", SAVED, len(saved) - 5)
    assert len(saved) == 5 + 14 + len(items) * WIRE_LAYOUTS[layout].itemsize
    found, found_id, decoded = codec.decode_save_inventory_items(saved[5:], layout)
    assert (found, found_id) == (guid, operation_id)
    assert decoded.tobytes() == items.tobytes()
    assert type(found) is type(found_id) is int


@given(guid=guids, operation_id=epochs, numbers=st.lists(free_slots, unique=True))
def test_delete_round_trip(codec, guid, operation_id, numbers):
    deleted = codec.encode_delete_inventory_items(guid, operation_id, slots(*numbers))
    assert deleted[:5] == struct.pack("<BI", DELETED, 14 + 2 * len(numbers))
    found, found_id, gone = codec.decode_delete_inventory_items(deleted[5:])
    assert (found, found_id, gone.tolist()) == (guid, operation_id, numbers)


@given(guid=guids, operation_id=epochs, kind=st.integers(0, 1), success=st.integers(0, 1))
def test_result_round_trip(codec, guid, operation_id, kind, success):
    for opcode in (0x0A, 0x0B):
        answer = codec.encode_inventory_operation_result(guid, operation_id, kind, success, opcode)
        assert answer[:5] == struct.pack("<BI", opcode, 14)
        decoded = codec.decode_inventory_operation_result(answer[5:])
        assert decoded == (guid, operation_id, kind, success)
    assert codec.encode_inventory_operation_result(guid, operation_id, kind, success)[0] == RESULT


@layouts
def test_both_dtypes_make_the_same_save(codec, layout):
    rows = [item(30, durability=9), item(23, creator=5, contained=6)]
    narrow = codec.encode_save_inventory_items(7, 9, packed(*rows), layout)
    assert narrow == codec.encode_save_inventory_items(7, 9, codec.widen(packed(*rows)), layout)
    assert codec.decode_save_inventory_items(narrow[5:], layout)[2]["slot"].tolist() == [30, 23]


def test_flags_travel_in_native40_alone(codec):
    items = batch(item(23, item_flags=0x40000001))
    for layout, flags in (("packed", 0), ("native32", 0), ("native40", 0x40000001)):
        saved = codec.encode_save_inventory_items(7, 9, items, layout)
        assert codec.decode_save_inventory_items(saved[5:], layout)[2]["item_flags"][0] == flags


# Encoding what must not be sent


@pytest.mark.parametrize(
    ("rows", "slot", "fault"),
    [
        ([item(23), item(24, entry=0)], 24, Fault.ENTRY_ZERO),
        ([item(23, stack_count=0)], 23, Fault.STACK_COUNT_ZERO),
        ([item(23), item(24), item(23)], 23, Fault.SLOT_TWICE),
        ([item(80)], 80, Fault.BUYBACK_SLOT),
    ],
)
def test_an_invalid_save_is_not_encoded(codec, rows, slot, fault):
    for layout in WIRE_LAYOUTS:
        for items in (batch(*rows), packed(*rows)):
            with pytest.raises(BatchError, match="nothing was encoded") as caught:
                codec.encode_save_inventory_items(7, 9, items, layout)
            assert (caught.value.slot, caught.value.fault) == (slot, fault)


def test_an_unnamed_item_may_be_saved(codec):
    codec.encode_save_inventory_items(7, 9, batch(item(23, item_guid=0)))


@pytest.mark.parametrize(
    ("numbers", "slot", "fault"),
    [((3, 5, 3), 3, Fault.SLOT_TWICE), ((3, 0xFF4A), 0xFF4A, Fault.BUYBACK_SLOT)],
)
def test_an_invalid_delete_is_not_encoded(codec, numbers, slot, fault):
    with pytest.raises(BatchError) as caught:
        codec.encode_delete_inventory_items(7, 9, slots(*numbers))
    assert (caught.value.slot, caught.value.fault) == (slot, fault)


def test_more_than_one_packet_may_carry(codec):
    def many(count: int):
        return slots(*(number for number in range(86, 86 + count)))

    full = codec.encode_delete_inventory_items(7, 9, many(MAX_BATCH_ITEMS))
    assert len(codec.decode_delete_inventory_items(full[5:])[2]) == MAX_BATCH_ITEMS
    with pytest.raises(RecordError, match="4097 slots are more than the 4096"):
        codec.encode_delete_inventory_items(7, 9, many(MAX_BATCH_ITEMS + 1))
    for layout in WIRE_LAYOUTS:
        items = ordinary(MAX_BATCH_ITEMS + 1)
        full = codec.encode_save_inventory_items(7, 9, items[:-1], layout)
        assert len(codec.decode_save_inventory_items(full[5:], layout)[2]) == MAX_BATCH_ITEMS
        with pytest.raises(RecordError, match="4097 records are more than the 4096"):
            codec.encode_save_inventory_items(7, 9, items, layout)


# Broken framing


@layouts
def test_a_save_cut_anywhere_is_broken(codec, layout):
    body = save_body(layout, one_record(layout), one_record(layout, slot=24))
    codec.decode_save_inventory_items(body, layout)
    for size in range(len(body)):
        with pytest.raises(FramingError, match="are left"):
            codec.decode_save_inventory_items(body[:size], layout)
    with pytest.raises(FramingError, match="but 1 more bytes follow") as caught:
        codec.decode_save_inventory_items(body + b"\x00", layout)
    assert caught.value.offset == len(body)


def test_a_delete_cut_anywhere_is_broken(codec):
    body = delete_body(3, 4, 5)
    for size in range(len(body)):
        with pytest.raises(FramingError, match="are left"):
            codec.decode_delete_inventory_items(body[:size])
    with pytest.raises(FramingError, match="but 2 more bytes follow"):
        codec.decode_delete_inventory_items(body + b"\x00\x00")


def test_a_result_of_another_length_is_broken(codec):
    body = HEAD + b"\x00\x01"
    for size in range(len(body)):
        with pytest.raises(FramingError, match=f"needs 14 bytes, only {size} are left"):
            codec.decode_inventory_operation_result(body[:size])
    with pytest.raises(FramingError, match="ends at byte 14, but 3 more"):
        codec.decode_inventory_operation_result(body + b"abc")


@pytest.mark.parametrize("value", [2, 255])
def test_a_result_of_undefined_values_is_broken(codec, value):
    with pytest.raises(FramingError, match=f"operation type at byte 12 is {value}") as caught:
        codec.decode_inventory_operation_result(HEAD + bytes([value, 1]))
    assert caught.value.offset == 12
    with pytest.raises(FramingError, match=f"success at byte 13 is {value}") as caught:
        codec.decode_inventory_operation_result(HEAD + bytes([1, value]))
    assert caught.value.offset == 13


def test_counts_that_lie(codec):
    for count in (0, 2, U16):
        with pytest.raises(FramingError):
            codec.decode_save_inventory_items(
                save_body("packed", one_record("packed"), count=count)
            )
        with pytest.raises(FramingError):
            codec.decode_delete_inventory_items(delete_body(3, count=count))


def test_counts_over_the_limit(codec):
    count = MAX_BATCH_ITEMS + 1
    for layout, described in WIRE_LAYOUTS.items():
        body = save_body(layout, b"\x01" * count * described.itemsize, count=count)
        with pytest.raises(FramingError, match="record count 4097 at byte 12 is over the limit"):
            codec.decode_save_inventory_items(body, layout)
    with pytest.raises(FramingError, match="slot count 4097 at byte 12 is over the limit"):
        codec.decode_delete_inventory_items(delete_body(*range(count)))


# Bad content


@layouts
@pytest.mark.parametrize(
    ("bad", "slot", "fault"),
    [
        ({"entry": 0}, 23, Fault.ENTRY_ZERO),
        ({"stack_count": 0}, 23, Fault.STACK_COUNT_ZERO),
        ({"slot": 90}, 90, Fault.SLOT_TWICE),
        ({"slot": 0xFF55}, 0xFF55, Fault.BUYBACK_SLOT),
    ],
)
def test_bad_content_of_a_save_can_be_answered(codec, layout, bad, slot, fault):
    body = save_body(layout, one_record(layout, slot=90), one_record(layout, **bad))
    with pytest.raises(ContentError, match=f"operation {0x00010002}: slot {slot}") as caught:
        codec.decode_save_inventory_items(body, layout)
    error = caught.value
    assert (error.operation_id, error.character_guids) == (0x00010002, (7,))
    assert (error.fault, error.slot) == (fault, slot)
    assert isinstance(error.fault, Fault)


@pytest.mark.parametrize(
    ("numbers", "slot", "fault"),
    [((5, 3, 5), 5, Fault.SLOT_TWICE), ((3, 3, 85), 85, Fault.BUYBACK_SLOT)],
)
def test_bad_content_of_a_delete_can_be_answered(codec, numbers, slot, fault):
    with pytest.raises(ContentError, match="DeleteInventoryItems, operation 65538") as caught:
        codec.decode_delete_inventory_items(delete_body(*numbers))
    error = caught.value
    assert (error.operation_id, error.character_guids) == (0x00010002, (7,))
    assert (error.fault, error.slot) == (fault, slot)


def test_a_save_is_judged_after_its_framing(codec):
    body = save_body("packed", one_record("packed", entry=0)) + b"\x00"
    with pytest.raises(FramingError):
        codec.decode_save_inventory_items(body)


def test_records_stay_in_the_order_given(codec):
    body = save_body("packed", *(one_record("packed", slot=slot) for slot in (9, 3, 30, 4)))
    assert codec.decode_save_inventory_items(body)[2]["slot"].tolist() == [9, 3, 30, 4]


def test_frames_are_what_they_look_like(codec):
    body = save_body("packed", one_record("packed"))
    assert codec.encode_save_inventory_items(7, 0x00010002, packed(item(23, entry=1))) == frame(
        SAVED, body
    )
    assert codec.encode_delete_inventory_items(U64, U32, slots(U16)) == frame(
        DELETED, struct.pack("<QIHH", U64, U32, 1, U16)
    )
    assert codec.encode_inventory_operation_result(U64, U32, 1, 0, 0x0B) == frame(
        0x0B, struct.pack("<QIBB", U64, U32, 1, 0)
    )
