"""CommitInventory and CommitInventoryResult: what is refused, and as which kind of bad."""

import struct

import numpy as np
import pytest
from codec_cases import (
    U16,
    U64,
    batch,
    changes,
    frame,
    guids,
    item,
    numbers,
    operations,
    ordinary,
    packed,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.commits import (
    CURRENCY,
    OPERATION,
    PARTICIPANT,
    CommitFlags,
    CurrencyDelta,
    OperationKind,
)
from mmoinv.errors import BatchError, ContentError, FramingError, RecordError
from mmoinv.records import (
    INVENTORY_ITEM,
    MAX_BATCH_ITEMS,
    MAX_PACKET_ITEMS,
    MAX_PARTICIPANTS,
    SLOT,
    Fault,
)

COMMIT = 0x80


def head(participants: int, operation_id: int = 5, reason: int = 0, flags: int = 0) -> bytes:
    return struct.pack("<QBBH", operation_id, reason, flags, participants)


def participant(
    items: bytes = b"\x00\x00\x00",
    deletes: tuple[int, ...] = (),
    guid: int = 7,
    currencies: tuple[tuple[int, int], ...] = (),
) -> bytes:
    data = struct.pack("<QIQHB", guid, 3, 11, len(deletes), len(currencies)) + items
    data += struct.pack(f"<{len(deletes)}H", *deletes)
    return data + b"".join(struct.pack("<Hq", *pair) for pair in currencies)


# Round trips


@given(operation=operations())
def test_commit_round_trip(codec, operation):
    operation_id, involved, reason, flags = operation
    data = codec.encode_commit_inventory(operation_id, involved, reason, flags)
    assert data[:5] == struct.pack("<BI", COMMIT, len(data) - 5)
    commits = codec.decode_commit_inventory(data[5:])
    assert [array.dtype for array in commits] == [
        OPERATION,
        PARTICIPANT,
        INVENTORY_ITEM,
        SLOT,
        CURRENCY,
    ]
    assert commits.operations.tolist() == [
        (operation_id, 0, len(involved), OperationKind.COMMIT, reason, flags, 0, 0)
    ]
    firsts = [0, 0, 0]
    for sent, found in zip(involved, commits.participants, strict=True):
        counts = [len(sent.items), len(sent.deletes), len(sent.currencies)]
        assert found.tolist() == (
            sent.character_guid,
            sent.expected_version,
            sent.session_epoch,
            0,
            *(number for pair in zip(firsts, counts, strict=True) for number in pair),
        )
        firsts = [first + count for first, count in zip(firsts, counts, strict=True)]
    assert commits.items.tobytes() == b"".join(one.items.tobytes() for one in involved)
    assert commits.deletes.tobytes() == b"".join(one.deletes.tobytes() for one in involved)
    assert commits.currencies.tolist() == [
        tuple(delta) for one in involved for delta in one.currencies
    ]


@given(
    operation_id=guids,
    status=numbers(255),
    pairs=st.lists(st.tuples(guids, guids), max_size=5),
    message=st.text(max_size=50),
)
def test_result_round_trip(codec, operation_id, status, pairs, message):
    data = codec.encode_commit_inventory_result(operation_id, status, pairs, message)
    assert data[:5] == struct.pack("<BI", COMMIT, len(data) - 5)
    assert codec.decode_commit_inventory_result(data[5:]) == (
        operation_id,
        status,
        pairs,
        message,
    )


def test_a_message_is_cut_at_a_characters_border(codec):
    for message, kept in (
        ("x" * U16, U16),
        ("x" * 70000, U16),
        ("ü" * 40000, 32767),
        ("x" + "\u2694" * 30000, 1 + 21844),
    ):
        data = codec.encode_commit_inventory_result(1, 4, [], message)
        assert codec.decode_commit_inventory_result(data[5:])[3] == message[:kept]


def test_a_message_that_is_no_unicode_is_sent_all_the_same(codec):
    data = codec.encode_commit_inventory_result(1, 4, [], "a\ud800b")
    assert codec.decode_commit_inventory_result(data[5:])[3] == "a?b"


def test_item_data_must_be_named_first(codec):
    narrow = packed(item(23))
    with pytest.raises(BatchError, match="slot 23: item_guid is 0"):
        codec.encode_commit_inventory(1, [changes(items=narrow)])
    assert codec.encode_commit_inventory(1, [changes(items=narrow[:0])]) == (
        codec.encode_commit_inventory(1, [changes()])
    )


def test_participants_and_currencies_may_be_any_sequence_of_tuples(codec):
    one = changes(items=ordinary(2), currencies=[(1, -5)])
    expected = codec.encode_commit_inventory(1, [one])
    assert codec.encode_commit_inventory(1, (tuple(one),)) == expected
    assert codec.encode_commit_inventory(
        np.uint64(1), [one._replace(currencies=(CurrencyDelta(np.uint16(1), np.int64(-5)),))]
    ) == (expected)


class LyingSequence(list):
    """Says that it is shorter than what it yields."""

    def __len__(self):
        return 0


def test_no_length_is_trusted_that_a_sequence_gives(codec):
    many = LyingSequence([(1, 2)] * 200)
    changed = changes(currencies=many)
    assert codec.encode_commit_inventory(1, LyingSequence([changed])) == (
        codec.encode_commit_inventory(1, [changed._replace(currencies=[(1, 2)] * 200)])
    )
    assert codec.encode_commit_inventory_result(1, 0, many) == (
        codec.encode_commit_inventory_result(1, 0, [(1, 2)] * 200)
    )


# Encoding what must not be sent


@pytest.mark.parametrize(
    ("involved", "flags", "fault", "slot"),
    [
        ([changes()], 8, Fault.UNKNOWN_FLAGS, 0),
        ([changes()], 0x81, Fault.UNKNOWN_FLAGS, 0),
        ([], 0, Fault.NO_PARTICIPANT, 0),
        ([changes(deletes=(3,))], CommitFlags.REPLACE, Fault.REPLACE_WITH_DELETES, 0),
        ([changes(1), changes(2), changes(1)], 0, Fault.PARTICIPANT_TWICE, 0),
        ([changes(1), changes(np.uint64(1))], 0, Fault.PARTICIPANT_TWICE, 0),
        ([changes(), changes(8, batch(item(9, entry=0)))], 0, Fault.ENTRY_ZERO, 9),
        ([changes(items=batch(item(9, stack_count=0)))], 0, Fault.STACK_COUNT_ZERO, 9),
        ([changes(items=batch(item(9, item_guid=0)))], 0, Fault.ITEM_GUID_ZERO, 9),
        ([changes(items=batch(item(9), item(9)))], 0, Fault.SLOT_TWICE, 9),
        ([changes(items=batch(item(74)))], 0, Fault.BUYBACK_SLOT, 74),
        ([changes(deletes=(3, 74))], 0, Fault.BUYBACK_SLOT, 74),
        ([changes(deletes=(5, 3, 5))], 0, Fault.SLOT_TWICE, 5),
        ([changes(items=ordinary(3), deletes=(4, 513))], 0, Fault.SAVED_AND_DELETED, 513),
    ],
)
def test_what_the_realm_would_refuse(codec, involved, flags, fault, slot):
    with pytest.raises(BatchError, match="nothing was encoded") as caught:
        codec.encode_commit_inventory(1, involved, 0, flags)
    assert (caught.value.fault, caught.value.slot) == (fault, slot)

    # The same from a peer that does not check: it is answered.
    body = head(len(involved), U64, 1, flags) + b"".join(
        participant(codec.encode_batch(one.items, 0), one.deletes.tolist(), int(one.character_guid))
        for one in involved
    )
    with pytest.raises(ContentError, match=f"operation {U64}: .*nothing was applied") as caught:
        codec.decode_commit_inventory(body)
    error = caught.value
    assert (error.fault, error.slot, error.operation_id) == (fault, slot, U64)
    assert error.character_guids == tuple(int(one.character_guid) for one in involved)

    commits, end = codec.decode_commits(frame(COMMIT, body))
    assert end == len(body) + 5
    assert commits.operations[["fault", "fault_slot"]].tolist() == [(fault, slot)]


def test_limits_of_one_packet(codec):
    full = ordinary(MAX_BATCH_ITEMS)
    assert MAX_PACKET_ITEMS == 2 * MAX_BATCH_ITEMS
    data = codec.encode_commit_inventory(1, [changes(1, full), changes(2, full)])
    assert len(codec.decode_commit_inventory(data[5:]).items) == MAX_PACKET_ITEMS
    for involved, message in (
        (
            [changes(1, full), changes(2, full), changes(3, ordinary(1))],
            "8193 records are more than the 8192",
        ),
        ([changes(1, ordinary(MAX_BATCH_ITEMS + 1))], "4097 records are more than the 4096"),
        (
            [changes(1, deletes=tuple(range(86, 86 + 4097)))],
            "4097 slots are more than the 4096",
        ),
        (
            [changes(guid) for guid in range(MAX_PARTICIPANTS + 1)],
            "257 characters are more than the 256",
        ),
        ([changes(currencies=[(1, 1)] * 256)], "256 currencies are more than the 255"),
    ):
        with pytest.raises(RecordError, match=message):
            codec.encode_commit_inventory(1, involved)
    data = codec.encode_commit_inventory(
        1, [changes(guid, currencies=[(guid, -1)] * 255) for guid in range(MAX_PARTICIPANTS)]
    )
    assert len(codec.decode_commit_inventory(data[5:]).currencies) == 255 * MAX_PARTICIPANTS
    with pytest.raises(RecordError, match="257 characters are more than the 256"):
        codec.encode_commit_inventory_result(1, 0, [(1, 1)] * 257)


def test_a_body_over_the_limit_is_not_encoded(codec):
    # 256 characters with 4,000 deletes each: every count is within bounds, the body is not.
    gone = slots(*range(86, 4086))
    involved = [changes(guid)._replace(deletes=gone) for guid in range(MAX_PARTICIPANTS)]
    with pytest.raises(RecordError, match="bytes are more than the 1048576"):
        codec.encode_commit_inventory(1, involved)


# Broken framing


def test_a_commit_cut_anywhere_is_broken(codec):
    involved = [
        changes(1, ordinary(3), (3,), currencies=[(1, 5)]),
        changes(2, ordinary(25), (3, 4)),
    ]
    body = codec.encode_commit_inventory(1, involved)[5:]
    for size in range(len(body)):
        with pytest.raises(FramingError, match="are left"):
            codec.decode_commit_inventory(body[:size])
    with pytest.raises(FramingError, match="but 1 more bytes follow") as caught:
        codec.decode_commit_inventory(body + b"\x00")
    assert caught.value.offset == len(body)


def test_a_result_cut_anywhere_is_broken(codec):
    body = codec.encode_commit_inventory_result(1, 2, [(7, 1), (8, 2)], "überholt")[5:]
    for size in range(len(body)):
        with pytest.raises(FramingError, match="are left"):
            codec.decode_commit_inventory_result(body[:size])
    with pytest.raises(FramingError, match="but 1 more bytes follow"):
        codec.decode_commit_inventory_result(body + b"\x00")


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"ok\xc0\x80"])
def test_a_message_that_is_not_utf8_is_broken(codec, text):
    body = struct.pack("<QBHQQH", 1, 2, 1, 7, 8, len(text)) + text
    with pytest.raises(FramingError, match="message at byte 29 is not UTF-8") as caught:
        codec.decode_commit_inventory_result(body)
    assert caught.value.offset == 29


def test_counts_over_their_limits(codec):
    bomb = struct.pack("<HB", MAX_BATCH_ITEMS, 1) + b"\x00" * 10
    for body, message in (
        (head(257), "participant count 257 at byte 10 is over the limit of 256"),
        (head(U16), "participant count 65535 at byte 10"),
        (
            head(1) + struct.pack("<QIQHB", 7, 3, 11, 4097, 0),
            "slot count 4097 at byte 32 is over the limit of 4096",
        ),
        (
            head(1) + participant(b"\x01\x10\x00"),
            "record count 4097 at byte 35 is over the limit of 4096",
        ),
        (
            head(3) + b"".join(participant(bomb, guid=guid) for guid in range(3)),
            "records of the packet 12288 at byte 107 is over the limit of 8192",
        ),
    ):
        with pytest.raises(FramingError, match=message):
            codec.decode_commit_inventory(body)
    body = struct.pack("<QBH", 1, 0, 257) + b"\x00" * (16 * 257 + 2)
    with pytest.raises(FramingError, match="participant count 257 at byte 9"):
        codec.decode_commit_inventory_result(body)


def test_a_commit_is_judged_after_its_framing(codec):
    with pytest.raises(FramingError):
        codec.decode_commit_inventory(head(0, flags=0xFF) + b"\x00")


def test_every_status_travels(codec):
    for status in range(256):
        data = codec.encode_commit_inventory_result(U64, status, [(U64, U64)])
        assert codec.decode_commit_inventory_result(data[5:])[1] == status
