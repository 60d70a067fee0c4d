"""Many packets at once: a received chunk to arrays, a group's results to bytes."""

import struct

import numpy as np
import pytest
from codec_cases import (
    batch,
    changes,
    columnar_batches,
    frame,
    guids,
    item,
    narrow_batches,
    operations,
    ordinary,
    outcome,
    packed,
    plain,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.commits import (
    FRAME,
    CommitFlags,
    Commits,
    OperationKind,
    empty_commits,
    join_commits,
)
from mmoinv.errors import FramingError, RecordError
from mmoinv.records import MAX_BODY_SIZE, WIRE_LAYOUTS, Fault

SAVE, DELETE, COMMIT, PING = 0x0E, 0x0F, 0x80, 0x82


def commit(codec, operation_id: int, **given) -> bytes:
    return codec.encode_commit_inventory(operation_id, [changes(**given)])


def ids(commits: Commits) -> list[int]:
    return commits.operations["operation_id"].tolist()


# split_frames


@given(bodies=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=6))
def test_split_frames_of_any_cut(codec, bodies):
    stream = b"".join(frame(opcode, body) for opcode, body in bodies)
    for size in range(len(stream) + 1):
        frames, consumed = codec.split_frames(stream[:size])
        assert frames.dtype == FRAME
        whole = [
            (opcode, stream[offset : offset + length]) for opcode, offset, length in frames.tolist()
        ]
        assert whole == bodies[: len(whole)]
        assert consumed == sum(5 + len(body) for _, body in whole)
        left = bodies[len(whole) : len(whole) + 1]
        assert all(size - consumed < 5 + len(body) for _, body in left)


def test_split_frames_stops_before_a_broken_one(codec):
    good, broken = frame(1, b"abc"), struct.pack("<BI", 2, MAX_BODY_SIZE + 1)
    frames, consumed = codec.split_frames(good + good + broken + good)
    assert (len(frames), consumed) == (2, 16)
    with pytest.raises(FramingError, match="body length 1048577 at byte 1 is over the limit"):
        codec.split_frames(broken)
    # Four bytes of a header say nothing yet.
    frames, consumed = codec.split_frames(broken[:4])
    assert (len(frames), consumed) == (0, 0)


def test_split_frames_at_its_limit(codec):
    for size, limit in ((MAX_BODY_SIZE, MAX_BODY_SIZE), (3, 3), (0, 0)):
        frames, _ = codec.split_frames(frame(9, b"x" * size), limit)
        assert frames.tolist() == [(9, 5, size)]
        with pytest.raises(FramingError):
            codec.split_frames(frame(9, b"x" * (size + 1)), limit)
    frames, consumed = codec.split_frames(struct.pack("<BI", 9, MAX_BODY_SIZE) + b"x")
    assert (len(frames), consumed) == (0, 0)


# decode_commits


def test_nothing_is_nothing(codec):
    for layout in (None, *WIRE_LAYOUTS):
        commits, end = codec.decode_commits(b"", layout=layout)
        assert plain(commits) == plain(empty_commits())
        assert end == 0


@given(several=st.lists(operations(), max_size=4), cut=st.integers(0, 2000))
def test_a_run_of_commits_is_each_of_them_joined(codec, several, cut):
    frames = [codec.encode_commit_inventory(*one) for one in several]
    commits, end = codec.decode_commits(b"abc" + b"".join(frames), 3)
    single = [codec.decode_commit_inventory(data[5:]) for data in frames]
    assert plain(commits) == plain(join_commits(single))
    assert end == 3 + sum(map(len, frames))

    stream = b"".join(frames)[:cut]
    commits, end = codec.decode_commits(stream)
    assert plain(commits) == plain(join_commits(single[: len(commits.operations)]))
    assert end == sum(map(len, frames[: len(commits.operations)]))


@given(items=columnar_batches(max_count=60))
def test_columns_in_a_run(codec, items):
    body = struct.pack("<QBBH", 5, 0, 0, 1) + struct.pack("<QIQHB", 7, 3, 11, 0, 0)
    body += codec.encode_batch(items, 1)
    commits, _ = codec.decode_commits(frame(COMMIT, body) * 3)
    assert commits.items.tobytes() == items.tobytes() * 3


@pytest.mark.parametrize("layout", list(WIRE_LAYOUTS))
@given(data=st.data())
def test_a_run_of_saves_and_deletes(codec, layout, data):
    stream, expected = b"", []
    for number in range(data.draw(st.integers(0, 4))):
        guid = data.draw(guids)
        if data.draw(st.booleans()):
            items = data.draw(narrow_batches(layout))
            stream += codec.encode_save_inventory_items(guid, number, items, layout)
            expected.append((guid, number, OperationKind.SAVE, items.tobytes(), b""))
        else:
            gone = slots(*data.draw(st.sets(st.integers(86, 300))))
            stream += codec.encode_delete_inventory_items(guid, number, gone)
            expected.append((guid, number, OperationKind.DELETE, b"", gone.tobytes()))
    for replace in (False, True):
        commits, end = codec.decode_commits(stream, 0, layout, replace)
        assert end == len(stream)
        found = []
        for place, (operation, one) in enumerate(
            zip(commits.operations, commits.participants, strict=True)
        ):
            first, count = int(one["first_item"]), int(one["item_count"])
            begin, gone = int(one["first_delete"]), int(one["delete_count"])
            found.append(
                (
                    int(one["character_guid"]),
                    int(operation["operation_id"]),
                    OperationKind(operation["kind"]),
                    commits.items[first : first + count].tobytes(),
                    commits.deletes[begin : begin + gone].tobytes(),
                )
            )
            is_save = operation["kind"] == OperationKind.SAVE
            assert operation["flags"] == (CommitFlags.REPLACE if is_save and replace else 0)
            assert (operation["first_participant"], operation["participant_count"]) == (place, 1)
            assert (one["session_epoch"], one["expected_version"], one["operation"]) == (
                (0, 0, place)
            )
        assert found == expected


def test_the_run_ends_before_another_opcode(codec):
    stream = commit(codec, 1) + frame(PING, b"123456789") + commit(codec, 2)
    commits, end = codec.decode_commits(stream)
    assert ids(commits) == [1]
    assert end == len(commit(codec, 1))
    assert codec.decode_commits(stream, end)[1] == end
    assert ids(codec.decode_commits(stream, end + 14)[0]) == [2]

    save = codec.encode_save_inventory_items(7, 3, packed(item(23)))
    assert ids(codec.decode_commits(save + stream, layout="packed")[0]) == [3]
    assert codec.decode_commits(save)[1] == 0


def broken_frames() -> list[bytes]:
    return [
        frame(COMMIT, b""),
        frame(COMMIT, struct.pack("<QBBH", 1, 0, 0, 257)),
        frame(COMMIT, struct.pack("<QBBH", 1, 0, 0, 0) + b"x"),
        struct.pack("<BI", COMMIT, MAX_BODY_SIZE + 1),
        struct.pack("<BI", COMMIT, 2**32 - 1),
    ]


@pytest.mark.parametrize("broken", broken_frames())
def test_the_run_ends_before_a_broken_frame(codec, broken):
    good = commit(codec, 1, items=ordinary(3)) + commit(codec, 2)
    commits, end = codec.decode_commits(good + broken + good)
    assert ids(commits) == [1, 2]
    assert end == len(good)
    with pytest.raises(FramingError) as caught:
        codec.decode_commits(good + broken + good, end)
    assert caught.value.offset >= end
    with pytest.raises(FramingError):
        codec.decode_commits(broken)


def test_a_broken_save_ends_the_run_too(codec):
    good = codec.encode_delete_inventory_items(7, 3, slots(4))
    broken = frame(SAVE, struct.pack("<QIH", 7, 9, 1))
    commits, end = codec.decode_commits(good + broken, layout="native32")
    assert (ids(commits), end) == ([3], len(good))
    with pytest.raises(FramingError, match="records at byte 19 needs 29 bytes"):
        codec.decode_commits(broken, layout="packed")


def test_an_incomplete_frame_is_not_looked_into(codec):
    broken = frame(COMMIT, struct.pack("<QBBH", 1, 0, 0, 257) + b"12")
    commits, end = codec.decode_commits(broken[:-1])
    assert (len(commits.operations), end) == (0, 0)


def test_bad_content_is_flagged_where_it_is_and_hurts_no_neighbour(codec):
    def save(*rows):
        body = struct.pack("<QIH", 7, 9, len(rows))
        return frame(SAVE, body + packed(*rows).tobytes())

    def delete(*numbers):
        return frame(DELETE, struct.pack(f"<QIH{len(numbers)}H", 7, 9, len(numbers), *numbers))

    stream = (
        save(item(23))
        + save(item(23), item(24, entry=0))
        + delete(3, 3)
        + save(item(25, stack_count=0))
        + delete(4)
        + save(item(26), item(26))
        + delete(0xFF4B)
        + save(item(27))
        + save(item(74))
    )
    commits, end = codec.decode_commits(stream, layout="packed")
    assert end == len(stream)
    assert commits.operations[["fault", "fault_slot"]].tolist() == [
        (Fault.NONE, 0),
        (Fault.ENTRY_ZERO, 24),
        (Fault.SLOT_TWICE, 3),
        (Fault.STACK_COUNT_ZERO, 25),
        (Fault.NONE, 0),
        (Fault.SLOT_TWICE, 26),
        (Fault.BUYBACK_SLOT, 0xFF4B),
        (Fault.NONE, 0),
        (Fault.BUYBACK_SLOT, 74),
    ]
    assert commits.items["slot"].tolist() == [23, 23, 24, 25, 26, 26, 27, 74]
    assert commits.deletes.tolist() == [3, 3, 4, 0xFF4B]


def test_max_items_bounds_what_is_expanded(codec):
    one = commit(codec, 1, items=ordinary(10))
    for limit, taken in ((0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (1000, 5)):
        commits, end = codec.decode_commits(one * 5, max_items=limit)
        assert (len(commits.operations), end) == (taken, taken * len(one))
    save = codec.encode_save_inventory_items(7, 3, ordinary(10))
    commits, _ = codec.decode_commits(save * 5, 0, "packed", False, 1000, 25)
    assert len(commits.operations) == 3


def test_small_packets_do_not_become_a_bomb(codec):
    batch_of_zeros = struct.pack("<HB", 4096, 1) + b"\x00" * 10
    body = struct.pack("<QBBH", 1, 0, 0, 1) + struct.pack("<QIQHB", 7, 3, 11, 0, 0)
    bomb = frame(COMMIT, body + batch_of_zeros)
    commits, end = codec.decode_commits(bomb * 100)
    assert len(commits.items) == 65536
    assert end == 16 * len(bomb)
    assert set(commits.operations["fault"].tolist()) == {Fault.ENTRY_ZERO}


def test_max_body_size(codec):
    one = commit(codec, 1, items=ordinary(10))
    size = len(one) - 5
    assert codec.decode_commits(one, max_body_size=size)[1] == len(one)
    with pytest.raises(FramingError, match=f"body length {size} at byte 1 is over the limit"):
        codec.decode_commits(one, max_body_size=size - 1)


def test_offsets_outside_the_buffer(codec):
    for offset in (-1, 4, 2**64, None):
        with pytest.raises(RecordError, match=r"offset .* is not an integer in 0\.\.3"):
            codec.decode_commits(b"abc", offset)


# Answers


def group_of_commits(codec) -> Commits:
    stream = (
        commit(codec, 2**64 - 1, guid=2**63)
        + codec.encode_commit_inventory(5, [changes(1), changes(2), changes(3)])
        + frame(COMMIT, struct.pack("<QBBH", 9, 0, 0, 0))
        + commit(codec, 8, items=batch(item(9)))
    )
    return codec.decode_commits(stream)[0]


def test_commit_results_are_those_of_the_single_encoder(codec):
    commits = group_of_commits(codec)
    statuses = np.array([0, 2, 4, 1], np.uint8)
    versions = np.array([1, 2, 2**64 - 1, 4, 5], np.uint64)
    for messages in (None, {}, {1: "stale", 2: "übel" * 20000}, {3: "", 99: "of nobody"}):
        texts = messages or {}
        assert codec.encode_commit_results(commits, statuses, versions, messages) == b"".join(
            (
                codec.encode_commit_inventory_result(2**64 - 1, 0, [(2**63, 1)], texts.get(0, "")),
                codec.encode_commit_inventory_result(
                    5, 2, [(1, 2), (2, 2**64 - 1), (3, 4)], texts.get(1, "")
                ),
                codec.encode_commit_inventory_result(9, 4, [], texts.get(2, "")),
                codec.encode_commit_inventory_result(8, 1, [(7, 5)], texts.get(3, "")),
            )
        )


def test_operation_results_are_those_of_the_single_encoder(codec):
    stream = b"".join(
        codec.encode_save_inventory_items(guid, 2**32 - guid - 1, packed(item(23)))
        if guid % 2
        else codec.encode_delete_inventory_items(guid, 2**32 - guid - 1, slots(4))
        for guid in range(6)
    )
    commits, _ = codec.decode_commits(stream, layout="packed")
    statuses = np.array([0, 1, 2, 4, 10, 255], np.uint8)
    for opcode in (0x0A, 0x0B):
        assert codec.encode_operation_results(commits, statuses, opcode) == b"".join(
            codec.encode_inventory_operation_result(
                guid, 2**32 - guid - 1, (guid + 1) % 2, int(guid < 2), opcode
            )
            for guid in range(6)
        )
    # An id that the realm has widened goes back as the peer sent it.
    commits.operations["operation_id"] += 1 << 40
    assert codec.encode_operation_results(commits, statuses) == codec.encode_operation_results(
        codec.decode_commits(stream, layout="packed")[0], statuses
    )


def test_no_answers_to_nothing(codec):
    nothing = np.empty(0, np.uint8), np.empty(0, np.uint64)
    assert codec.encode_commit_results(empty_commits(), *nothing) == b""
    assert codec.encode_operation_results(empty_commits(), nothing[0]) == b""


def test_answers_that_do_not_fit_the_operations(codec):
    commits = group_of_commits(codec)
    statuses, versions = np.zeros(4, np.uint8), np.zeros(5, np.uint64)
    codec.encode_commit_results(commits, statuses, versions)
    beyond = commits._replace(operations=commits.operations.copy())
    beyond.operations["first_participant"][1] = 2**32 - 1
    cut = commits._replace(participants=commits.participants[:3])
    for call, message in (
        (lambda: (commits, statuses[:3], versions), "statuses has 3 elements where 4 are wanted"),
        (lambda: (commits, statuses, versions[:4]), "versions has 4 elements where 5 are wanted"),
        (lambda: (cut, statuses, versions[:3]), "participants has 3 elements where 4"),
        (lambda: (beyond, statuses, versions), "participants has 5 elements where 4294967298"),
        (lambda: (commits, statuses.astype(int), versions), "statuses must be .* dtype uint8"),
        (lambda: (commits, statuses, versions.astype(int)), "versions must be .* dtype uint64"),
        (lambda: (commits, statuses, versions.astype(">u8")), "versions must be"),
        (lambda: (commits._replace(operations=statuses), statuses, versions), "operations must"),
        (lambda: (commits._replace(participants=[]), statuses, versions), "participants must"),
    ):
        with pytest.raises(RecordError, match=message):
            codec.encode_commit_results(*call())
    with pytest.raises(RecordError, match="statuses has 3 elements where 4 are wanted"):
        codec.encode_operation_results(commits, statuses[:3])
    with pytest.raises(RecordError, match="participants has 5 elements where 4294967296"):
        codec.encode_operation_results(beyond, statuses)
    with pytest.raises(RecordError, match="opcode 12 is not one of 0x0A, 0x0B"):
        codec.encode_operation_results(commits, statuses, 12)


def test_the_ranges_of_participants_are_not_trusted(codec):
    commits = group_of_commits(codec)
    statuses, versions = np.zeros(4, np.uint8), np.zeros(5, np.uint64)
    for first in (0, 3, 4, 5, 6, 2**31, 2**32 - 1):
        for count in (0, 1, 5, 6, 257, 2**31, 2**32 - 1):
            commits.operations["first_participant"][1] = first
            commits.operations["participant_count"][1] = count
            result = outcome(codec.encode_commit_results, commits, statuses, versions)
            assert (result[0] == "error") == (first + count > 5)
