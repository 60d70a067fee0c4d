"""What is broken is shown as far as it goes and named with its byte; nothing crashes.

A frame is called broken if and only if its decoder refuses it.
"""

import re

import pytest
from explained import DIALECT, GOLDEN, check_spans, join_with
from hypothesis import given, settings
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.commits import ParticipantChanges
from mmoinv.errors import ContentError, FramingError
from mmoinv.records import MAX_BODY_SIZE, InventoryItemData, batch_of, empty_batch, slots_of
from mmoinv.wire import packets
from mmoinv.wire.anatomy import PACKETS
from mmoinv.wire.dialects import DIALECTS
from mmoinv.wire.explain import explain


def patched(data: bytes, at: int, *values: int) -> bytes:
    return data[:at] + bytes(values) + data[at + len(values) :]


COMMIT = codec.encode_commit_inventory(1, [ParticipantChanges(7, 1, 0, empty_batch(), slots_of(5))])
RESULT = codec.encode_inventory_operation_result(7, 9, 0, 1)
COLUMNS = next(data for name, data, _ in GOLDEN if "kinds 0 to 4" in name)
"""Its batch begins at byte 25, the head of its first column is byte 28."""
FAULTS = [
    (b"\x82", "body length at byte 1 needs 4 bytes, only 0 are left"),
    (b"\x82\x09\x00\x00\x00\x00", "cut off at byte 6, 8 bytes before the end of the frame; token"),
    (packets.frame(0x82, bytes(5)), "token at byte 6 needs 8 bytes, only 4 are left"),
    (packets.frame(0x82, bytes(10)), "Ping ends at byte 14, but 1 more bytes follow"),
    (packets.frame(0x82, b"\x05" + bytes(8)), "kind 5 is not defined (at byte 5)"),
    (packets.frame(0x55, b"ab"), "opcode 0x55 at byte 0 is not defined"),
    (b"\x82\x01\x00\x10\x00" + bytes(9), "body length 1048577 at byte 1 is over the limit of"),
    (packets.frame(0x01, b"\x03\x00ok\xff"), "client-final is not UTF-8 from byte 9 on"),
    (patched(COMMIT, 15, 1, 1), "participants 257 at byte 15 is over the limit of 256"),
    (patched(COMMIT, 37, 1, 16), "deletes 4097 at byte 37 is over the limit of 4096"),
    (patched(COMMIT, 40, 1, 16), "records 4097 at byte 40 is over the limit of 4096"),
    (patched(COMMIT, 42, 7), "batch encoding 7 at byte 42 is not defined"),
    (patched(RESULT, 17, 2), "operation type at byte 17 is 2, which is not defined"),
    (patched(RESULT, 18, 2), "success at byte 18 is 2, which is not defined"),
    (patched(COLUMNS, 28, 0x51), "column entry at byte 28: kind 5 is not defined"),
    (patched(COLUMNS, 28, 0x19), "column entry at byte 28: width 9 is outside 1..8"),
]


@pytest.mark.parametrize(("data", "fault"), FAULTS, ids=[one[1] for one in FAULTS])
@pytest.mark.parametrize("before", [b"", packets.Ping(0, 7).encode()], ids=["first", "second"])
def test_what_is_broken_is_named_with_its_byte(data, fault, before):
    """Bytes are counted from the first of all, whatever frames came before."""
    frames = explain(before + data, None, "world")
    check_spans(frames, before + data)
    moved = re.sub(r"byte (\d+)", lambda found: f"byte {int(found[1]) + len(before)}", fault)
    assert moved in frames[-1].fault
    assert not frames[0].fault or not before


def test_a_bad_column_is_shown_behind_the_good_ones():
    (good,) = explain(COLUMNS)
    place = next(i for i, span in enumerate(good.spans) if "column contained" in span.group)
    bad_head = patched(COLUMNS, good.spans[place].offset, 0x99)
    (bad,) = explain(bad_head)
    assert bad.spans[:place] == good.spans[:place]
    assert bad.spans[place].value == "kind 9, width 9"
    assert f"column contained at byte {good.spans[place].offset}: kind 9" in bad.fault
    check_spans([bad], bad_head)


def test_a_value_that_does_not_fit_is_shown_and_said():
    batch = b"\x01\x00\x01" + b"\x18" + bytes([255] * 8) + bytes(9)
    (frame,) = explain(join_with(batch))
    assert (frame.spans[8].name, frame.spans[8].value) == ("value", str(2**64 - 1))
    assert frame.fault == "column entry at byte 28: a value is over 4294967295"
    # Nothing behind it is taken for a column.
    assert [(span.offset, span.name) for span in frame.spans[9:]] == [(37, "not understood")]


def test_a_wrong_dialect_is_found_by_the_length():
    items = batch_of(InventoryItemData(25, 0xFF17, 2), InventoryItemData(26, 0xFF18, 3))
    data = codec.encode_save_inventory_items(7, 9, items, "native32")
    (frame,) = explain(data, 1)
    assert "the length is that of native32, --dialect 2" in frame.fault
    assert [span.name for span in frame.spans].count("entry") == 2


def test_refused_content_is_no_broken_frame():
    save = codec.encode_save_inventory_items(7, 9, batch_of(InventoryItemData(25, 0xFF17)))
    (frame,) = explain(patched(save, 5 + 14 + 6, 0))
    assert not frame.fault
    assert "stack_count is 0" in frame.invalid


# Any bytes


def is_refused(data: bytes, sender: str, layout: str) -> tuple[bool, bool]:
    """What a frame's decoder says: (broken, invalid)."""
    packet = PACKETS.get((data[0], sender))
    length = int.from_bytes(data[1:5], "little")
    if packet is None or len(data) != 5 + length or length > MAX_BODY_SIZE:
        return True, False
    try:
        if packet.name == "SaveInventoryItems":
            codec.decode_save_inventory_items(data[5:], layout)
        else:
            packet.decode(data[5:])
    except FramingError:
        return True, False
    except ContentError:
        return False, True
    return False, False


def check_verdicts(data: bytes, dialect: int, sender: str) -> None:
    frames = explain(data, dialect, sender)
    check_spans(frames, data)
    for frame in frames:
        piece = data[frame.offset : frame.offset + frame.size]
        verdict = is_refused(piece, frame.sender or "world", DIALECTS[dialect].layout or "packed")
        assert (bool(frame.fault), bool(frame.invalid)) == verdict, frame


@settings(max_examples=200)
@given(
    body=st.binary(max_size=200),
    opcode=st.sampled_from([0x55, *sorted({opcode for opcode, _ in PACKETS})]),
    dialect=st.integers(1, 3),
    sender=st.sampled_from(["world", "realm"]),
)
def test_noise_is_judged_as_the_decoders_judge_it(body, opcode, dialect, sender):
    check_verdicts(packets.frame(opcode, body), dialect, sender)
    check_spans(explain(body), body)
    check_spans(explain(bytes([opcode]) + body, dialect), bytes([opcode]) + body)


@settings(max_examples=500)
@given(data=st.data(), one=st.sampled_from(GOLDEN), sender=st.sampled_from(["world", "realm"]))
def test_mutated_packets_are_judged_as_the_decoders_judge_them(data, one, sender):
    mutable = bytearray(one[1])
    for _ in range(data.draw(st.integers(1, 4))):
        mutable[data.draw(st.integers(0, len(mutable) - 1))] = data.draw(st.integers(0, 255))
    some = bytes(mutable[: data.draw(st.integers(1, len(mutable)))])
    check_verdicts(some, DIALECT[one[2]] or 1, sender)
    check_verdicts(bytes(mutable), DIALECT[one[2]] or 1, sender)
    check_spans(explain(some), some)
