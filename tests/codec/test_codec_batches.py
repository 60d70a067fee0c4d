"""Protocol 4's batch in both encodings: what the encoder chooses, what the decoder refuses."""

import struct

import by_hand
import numpy as np
import pytest
from codec_cases import U16, batch, columnar_batches, item, ordinary, packed
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import FramingError, RecordError
from mmoinv.records import INVENTORY_ITEM, MAX_BATCH_ITEMS, WIDE

NAMES = [field.name for field in WIDE.fields]
EMPTY_COLUMNS = b"\x00" * 10


def columns(count: int, **given: bytes) -> bytes:
    """A batch in encoding 1; columns that are not given are all zero."""
    data = struct.pack("<HB", count, 1)
    return data + b"".join(given.get(name, b"\x00") for name in NAMES)


def column_bytes(codec, name: str, values: list[int]) -> bytes:
    """The one column of a batch that is not all zero, as the encoder writes it."""
    items = np.zeros(len(values), INVENTORY_ITEM)
    items[name] = values
    place = NAMES.index(name)
    data = codec.encode_batch(items, 1)[3:]
    assert data[:place] == b"\x00" * place
    end = len(data) - (len(NAMES) - place - 1)
    assert data[end:] == b"\x00" * (len(NAMES) - place - 1)
    return data[place:end]


# The encoder


@given(items=columnar_batches())
def test_round_trip_in_both_encodings(codec, items):
    for encoding in (0, 1, None):
        data = codec.encode_batch(items, encoding)
        decoded, end = codec.decode_batch(b"before" + data + b"after", 6)
        assert end == 6 + len(data)
        assert decoded.dtype == INVENTORY_ITEM
        assert decoded.tobytes() == items.tobytes()


@given(items=columnar_batches())
def test_columns_are_the_shortest_and_of_the_lowest_kind(codec, items):
    rows = [list(row) for row in items.tolist()]
    assert codec.encode_batch(items, 1).hex() == by_hand.batch(rows, 1).hex()


def test_the_sender_takes_columns_above_1000_bytes(codec):
    assert codec.encode_batch(ordinary(20))[2] == 0
    assert codec.encode_batch(ordinary(21))[2] == 1
    assert codec.encode_batch(ordinary(0)) == b"\x00\x00\x00"


def test_a_batch_of_nothing_in_columns_is_all_kind_0(codec):
    assert codec.encode_batch(ordinary(0), 1) == columns(0)
    items, end = codec.decode_batch(columns(0))
    assert (len(items), end) == (0, 13)


def test_item_data_is_encoded_as_if_it_were_widened(codec):
    narrow = packed(*(item(512 + place, durability=place) for place in range(30)))
    for encoding in (None, 0, 1):
        assert codec.encode_batch(narrow, encoding) == codec.encode_batch(
            codec.widen(narrow), encoding
        )


@pytest.mark.parametrize(
    ("values", "kind", "size"),
    [
        ([0], 0, 1),
        ([0] * 30, 0, 1),
        ([5], 1, 2),
        ([2**64 - 1] * 3, 1, 9),
        ([1, 2], 2, 3),
        ([0, 255], 2, 3),
        ([0, 256], 2, 5),
        # Kind 3 has 9 + n bytes where kind 2, two bytes wide, has 1 + 2n: a tie at 8.
        ([256 + place for place in range(8)], 2, 17),
        ([256 + place for place in range(9)], 3, 18),
        # Kind 4 of two values has 6 + n where kind 2 has 1 + 2n: a tie at 5.
        ([256, 512, 256, 512, 256], 2, 11),
        ([256, 512, 256, 512, 256, 512], 4, 12),
        # Kind 3 has 9 + n, kind 4 of two values 2 + 2 * width + n.
        ([2**40 + place % 2 for place in range(10)], 3, 19),
        ([2**16 + place % 2 for place in range(10)], 4, 18),
    ],
)
def test_the_kind_chosen(codec, values, kind, size):
    data = column_bytes(codec, "creator", values)
    assert (data[0] >> 4, len(data)) == (kind, size)


def test_a_dictionary_of_255_but_not_of_256(codec):
    for distinct, kind in ((255, 4), (256, 2)):
        values = [place % distinct * 0x0100000001000001 for place in range(3000)]
        data = column_bytes(codec, "creator", values)
        assert data[0] >> 4 == kind
        if kind == 4:
            assert data[1] == distinct
            assert data[2 + 8 : 2 + 16] == (0x0100000001000001).to_bytes(8, "little")


def test_a_dictionary_lists_values_as_they_first_appear(codec):
    data = column_bytes(codec, "entry", [70000, 9, 70000, 9, 9, 9, 9, 9])
    assert data.hex() == "4302" + "701101" + "090000" + "0001000101010101"


@given(width=st.integers(1, 8), count=st.integers(2, 40))
def test_the_width_is_the_smallest_that_holds(codec, width, count):
    high = 256**width - 1
    same = column_bytes(codec, "creator", [high] * count)
    assert same[0] == 0x10 | width
    assert column_bytes(codec, "creator", [256 ** (width - 1) or 1] * count)[0] == 0x10 | width


def test_a_40_item_inventory_fits_a_kilobyte(codec):
    assert len(codec.encode_batch(ordinary(40))) < 1024


def test_more_records_than_a_batch_may_have(codec):
    limit = np.zeros(MAX_BATCH_ITEMS, INVENTORY_ITEM)
    for encoding in (0, 1, None):
        data = codec.encode_batch(limit, encoding)
        assert len(codec.decode_batch(data)[0]) == MAX_BATCH_ITEMS
        with pytest.raises(RecordError, match="4097 records are more than the 4096"):
            codec.encode_batch(np.zeros(MAX_BATCH_ITEMS + 1, INVENTORY_ITEM), encoding)


def test_an_unknown_encoding_is_refused(codec):
    for encoding in (2, -1, "columns", 0.5):
        with pytest.raises(RecordError, match=r"is not one of 0 \(records\), 1 \(columns\)"):
            codec.encode_batch(ordinary(1), encoding)


def test_encodings_that_equal_0_or_1(codec):
    assert codec.encode_batch(ordinary(3), True) == codec.encode_batch(ordinary(3), 1)
    assert codec.encode_batch(ordinary(3), np.uint8(0)) == codec.encode_batch(ordinary(3), 0)
    assert codec.encode_batch(ordinary(3), 1.0) == codec.encode_batch(ordinary(3), 1)


# The decoder


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "record count at byte 0 needs 2 bytes, only 0 are left", 0),
        (b"\x01", "record count at byte 0 needs 2 bytes, only 1 are left", 0),
        (b"\x01\x00", "batch encoding at byte 2 needs 1 bytes, only 0 are left", 2),
        (b"\x01\x00\x02", "batch encoding 2 at byte 2 is not defined", 2),
        (b"\x01\x10\x00", "record count 4097 at byte 0 is over the limit of 4096", 0),
        (b"\x01\x00\x00" + b"\x00" * 47, "records at byte 3 needs 48 bytes, only 47 are left", 3),
        (b"\x02\x00\x01", "column entry at byte 3 needs 1 bytes, only 0 are left", 3),
        (columns(2, slot=b"\x51"), "column slot at byte 4: kind 5 is not defined", 4),
        (columns(2, slot=b"\xf8"), "column slot at byte 4: kind 15 is not defined", 4),
        (columns(2, slot=b"\x01"), "column slot at byte 4: width 1 where kind 0 has 0", 4),
        (columns(2, slot=b"\x10"), "column slot at byte 4: width 0 is outside 1..8", 4),
        (columns(2, slot=b"\x29" + b"\x00" * 20), "width 9 is outside 1..8", 4),
        (columns(0, slot=b"\x11\x01"), "kind 1 in a batch of no records", 4),
        (columns(0, slot=b"\x41\x01\x00"), "kind 4 in a batch of no records", 4),
        (columns(2)[:-1], "column item_guid at byte 12 needs 1 bytes, only 0 are left", 12),
        (columns(2, item_guid=b"\x18"), "column item_guid at byte 13 needs 8 bytes", 13),
        (columns(9, item_guid=b"\x28"), "column item_guid at byte 13 needs 72 bytes", 13),
        (columns(9, item_guid=b"\x31"), "column item_guid at byte 13 needs 8 bytes", 13),
        (columns(9, item_guid=b"\x31" + b"\x00" * 8), "item_guid at byte 21 needs 9 bytes", 21),
        (columns(9, item_guid=b"\x41"), "column item_guid at byte 13 needs 1 bytes", 13),
        (columns(9, item_guid=b"\x42\x02\x01"), "item_guid at byte 14 needs 4 bytes", 14),
        (columns(9, item_guid=b"\x41\x02\x01\x02"), "item_guid at byte 16 needs 9 bytes", 16),
        (columns(2, slot=b"\x41\x00\x00\x00"), "column slot at byte 4: the dictionary is empty", 4),
        (columns(2, slot=b"\x41\x01\x07\x00\x01"), "slot at byte 4: an index is outside 0..0", 4),
        # Values that the field cannot hold, of every kind; a dictionary's unused ones too.
        (columns(2, slot=b"\x13\x00\x00\x01"), "slot at byte 4: a value is over 65535", 4),
        (columns(1, slot=b"\x23\x00\x00\x01"), "slot at byte 4: a value is over 65535", 4),
        (columns(1, slot=b"\x31" + b"\xff\xff" + b"\x00" * 6 + b"\x01"), "is over 65535", 4),
        (columns(1, slot=b"\x43\x02\x01\x00\x00\x00\x00\x01\x00"), "is over 65535", 4),
        # base + offset must not wrap around.
        (columns(1, creator=b"\x31" + b"\xff" * 8 + b"\x01"), "is over 18446744073709551615", 6),
        (columns(1, creator=b"\x38" + b"\x01" + b"\x00" * 7 + b"\xff" * 8), "a value is over", 6),
        (columns(1, entry=b"\x38" + b"\xff" * 7 + b"\x00" + b"\xff" * 8), "a value is over", 3),
    ],
)
def test_a_broken_batch(codec, data, message, offset):
    with pytest.raises(FramingError, match=message) as caught:
        codec.decode_batch(data)
    assert caught.value.offset == offset
    with pytest.raises(FramingError) as caught:
        codec.decode_batch(b"12345" + data, 5)
    assert caught.value.offset == offset + 5


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (b"\x18\x07\x00\x00\x00\x00\x00\x00\x00", [7, 7]),  # wider than it needs to be
        (b"\x28" + b"\x07\x00\x00\x00\x00\x00\x00\x00" * 2, [7, 7]),
        (b"\x21\x00\x00", [0, 0]),
        (b"\x31" + b"\x00" * 8 + b"\xff\x00", [255, 0]),  # a base that is not the minimum
        (b"\x32" + b"\x01" + b"\x00" * 7 + b"\xfe\xff\x00\x00", [65535, 1]),
        (b"\x38" + b"\x00" * 8 + b"\x09" + b"\x00" * 7 + b"\x01" + b"\x00" * 7, [9, 1]),
        (b"\x41\x03\x07\x07\x09\x02\x00", [9, 7]),  # a value twice, one unused
        (b"\x48\x01\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00", [7, 7]),
        (b"\x41\xff" + bytes(range(255)) + b"\xfe\x00", [254, 0]),
    ],
)
def test_forms_that_the_encoder_does_not_take_are_read(codec, column, values):
    items, end = codec.decode_batch(columns(2, slot=column))
    assert items["slot"].tolist() == values
    assert end == 12 + len(column)


def test_the_largest_values_of_every_column_and_kind(codec):
    for field in WIDE.fields:
        high = field.limit.to_bytes(8, "little")
        for form in (
            b"\x18" + high,
            b"\x28" + high,
            b"\x31" + high + b"\x00",
            b"\x38" + b"\x00" * 8 + high,
            b"\x48\x01" + high + b"\x00",
        ):
            items, _ = codec.decode_batch(columns(1, **{field.name: form}))
            assert items[field.name].tolist() == [field.limit]
            assert sum(items[name].sum() for name in NAMES if name != field.name) == 0


def test_decoding_judges_no_content(codec):
    items = batch(item(74), item(74, entry=0, stack_count=0, item_guid=0))
    for encoding in (0, 1):
        assert codec.decode_batch(codec.encode_batch(items, encoding))[0].tobytes() == (
            items.tobytes()
        )


def test_an_offset_outside_the_buffer(codec):
    for offset in (-1, 14, 2**70, "3", 1.5):
        with pytest.raises(RecordError, match=r"offset .* is not an integer in 0..13"):
            codec.decode_batch(columns(0), offset)
    with pytest.raises(FramingError, match="record count at byte 13"):
        codec.decode_batch(columns(0), 13)


def test_thirteen_bytes_do_not_become_a_bomb(codec):
    bomb = columns(MAX_BATCH_ITEMS)
    items, _ = codec.decode_batch(bomb)
    assert items.nbytes == MAX_BATCH_ITEMS * 48
    with pytest.raises(FramingError, match="65535 at byte 0 is over the limit"):
        codec.decode_batch(columns(U16))
