"""Many commits in one call: the inverse of decoding, differences, and a buffer that is kept."""

import numpy as np
import pytest
from codec_cases import (
    batch,
    batches,
    changes,
    columnar_batches,
    guids,
    item,
    numbers,
    operations,
    ordinary,
    outcome,
    packed,
    plain,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.commits import PARTICIPANT, Commits, empty_commits, join_commits
from mmoinv.errors import BatchError, RecordError
from mmoinv.records import MAX_BATCH_ITEMS, Fault

some_operations = st.lists(operations(), max_size=4)


def decoded(codec, several) -> tuple[bytes, Commits]:
    stream = b"".join(codec.encode_commit_inventory(*one) for one in several)
    return stream, codec.decode_commits(stream)[0]


def involved(*given: int) -> np.ndarray:
    """Participants by their guids, of epoch 3 and version 11."""
    result = np.zeros(len(given), PARTICIPANT)
    result["character_guid"] = given
    result["session_epoch"] = 3
    result["expected_version"] = 11
    return result


# encode_commits


@given(several=some_operations)
def test_encoding_what_was_decoded_gives_the_same_bytes(codec, several):
    stream, commits = decoded(codec, several)
    assert codec.encode_commits(commits) == stream


@given(items=columnar_batches())
def test_columns_too(codec, items):
    items["entry"] = np.maximum(items["entry"], 1)
    items["stack_count"] = np.maximum(items["stack_count"], 1)
    items["item_guid"] = np.maximum(items["item_guid"], 1)
    items["slot"] = np.arange(512, 512 + len(items))
    stream, commits = decoded(codec, [(1, [changes(7, items)], 0, 1)] * 2)
    assert codec.encode_commits(commits) == stream
    buffer = bytearray(len(stream))
    assert codec.encode_commits(commits, buffer) == len(stream)
    assert buffer == stream


@given(several=some_operations, before=st.integers(0, 3), after=st.integers(0, 3))
def test_a_buffer_that_is_kept(codec, several, before, after):
    stream, commits = decoded(codec, several)
    buffer = bytearray(b"\xaa" * (before + len(stream) + after))
    end = codec.encode_commits(commits, buffer, before)
    assert end == before + len(stream)
    assert buffer == b"\xaa" * before + stream + b"\xaa" * after
    buffer.clear()  # raises BufferError if the codec still holds it


@pytest.mark.parametrize("count", [3, 30])
def test_a_buffer_that_is_too_small(codec, count):
    stream, commits = decoded(codec, [(1, [changes(7, ordinary(count))], 0, 0)])
    for size in range(len(stream)):
        buffer = bytearray(size)
        with pytest.raises(RecordError, match=rf"has {size} bytes left.*needs {len(stream)}"):
            codec.encode_commits(commits, buffer)
        buffer.clear()
    assert codec.encode_commits(commits, bytearray(len(stream))) == len(stream)


def test_frames_before_the_one_that_does_not_fit_are_there(codec):
    stream, commits = decoded(codec, [(number, [changes()], 0, 0) for number in (1, 2)])
    buffer = bytearray(len(stream) - 1)
    with pytest.raises(RecordError, match="next frame"):
        codec.encode_commits(commits, buffer)
    assert buffer[: len(stream) // 2] == stream[: len(stream) // 2]


@pytest.mark.parametrize("out", [b"1234", 7, memoryview(b"12"), np.zeros((4, 4), "u1")[:, ::2]])
def test_what_is_no_writable_buffer(codec, out):
    with pytest.raises(RecordError, match="writable C-contiguous buffer"):
        codec.encode_commits(empty_commits(), out)
    with pytest.raises(RecordError, match="writable C-contiguous buffer"):
        codec.encode_difference(1, 2, 3, 4, batch(), batch(), 0, out)


@pytest.mark.parametrize("out", [bytearray(0), np.zeros(0, "u8"), np.zeros((2, 2), "u8")])
def test_any_writable_buffer_and_its_offset(codec, out):
    size = memoryview(out).nbytes
    assert codec.encode_commits(empty_commits(), out, size) == size
    for offset in (-1, size + 1):
        with pytest.raises(RecordError, match="offset"):
            codec.encode_commits(empty_commits(), out, offset)


def test_without_a_buffer_there_is_no_offset(codec):
    for call in (
        lambda: codec.encode_commits(empty_commits(), None, 1),
        lambda: codec.encode_difference(1, 2, 3, 4, batch(), batch(), 0, None, 1),
        lambda: codec.encode_differences(1, involved(), [], [], 0, None, 1),
    ):
        with pytest.raises(RecordError, match=r"offset 1 is not an integer in 0\.\.0"):
            call()


def test_a_buffer_over_the_operations_is_refused(codec):
    _, commits = decoded(codec, [(1, [changes(7, ordinary(2))], 0, 0)])
    for array in (commits.operations, commits.participants):
        with pytest.raises(RecordError, match="shares its memory"):
            codec.encode_commits(commits, array.view("u1"))


@given(
    several=st.lists(operations(), min_size=1, max_size=3),
    table=st.sampled_from(["operations", "participants"]),
    change=st.sampled_from([1, -1, 2**31, 2**32 - 1]),
    data=st.data(),
)
def test_ranges_are_not_trusted(codec, several, table, change, data):
    _, commits = decoded(codec, several)
    columns = {
        "operations": ["first_participant", "participant_count"],
        "participants": [
            f"{what}_{name}" if what == "first" else f"{name}_{what}"
            for what in ("first", "count")
            for name in ("item", "delete", "currency")
        ],
    }[table]
    array = getattr(commits, table)
    row = data.draw(st.integers(0, len(array) - 1))
    column = data.draw(st.sampled_from(columns))
    with np.errstate(over="ignore"):
        array[column][row] += np.uint32(change % 2**32)
    with pytest.raises(RecordError, match="do not follow one another"):
        codec.encode_commits(commits)


def test_arrays_that_are_too_long_or_of_another_kind(codec):
    stream, commits = decoded(codec, [(1, [changes(7, ordinary(2), (3,))], 0, 0)])
    for name in ("participants", "items", "deletes"):
        longer = np.concatenate([getattr(commits, name)] * 2)
        with pytest.raises(RecordError, match="do not follow"):
            codec.encode_commits(commits._replace(**{name: longer}))
        with pytest.raises(RecordError, match=f"{name} must be"):
            codec.encode_commits(commits._replace(**{name: np.zeros(2, "f8")}))
    saves, _ = codec.decode_commits(
        codec.encode_save_inventory_items(7, 9, packed(item())), 0, "packed"
    )
    with pytest.raises(RecordError, match="operation 9 is of kind 1"):
        codec.encode_commits(saves)
    assert codec.encode_commits(commits) == stream


def test_the_operation_that_breaks_a_rule_is_named(codec):
    _, commits = decoded(codec, [(number, [changes(7, ordinary(2))], 0, 0) for number in (5, 6, 7)])
    commits.items["entry"][3] = 0
    with pytest.raises(BatchError, match="operation 6: slot 513") as caught:
        codec.encode_commits(commits)
    assert (caught.value.fault, caught.value.slot) == (Fault.ENTRY_ZERO, 513)


def test_more_than_a_packet_carries(codec):
    commits = codec.decode_commits(codec.encode_commit_inventory(1, [changes(7, ordinary(1))]))[0]
    items = ordinary(MAX_BATCH_ITEMS + 1)
    commits.participants["item_count"] = len(items)
    with pytest.raises(RecordError, match=f"{len(items)} records are more than"):
        codec.encode_commits(commits._replace(items=items))


# Differences


@given(
    numbers_=st.tuples(guids, guids, numbers(2**32 - 1), guids, numbers(255)),
    before=batches(ordered=True),
    after=batches(ordered=True),
    common=batches(ordered=True),
)
def test_a_difference_is_a_diff_and_its_commit(codec, numbers_, before, after, common):
    *who, reason = numbers_
    taken = set(common["slot"].tolist())
    before, after = (
        np.sort(
            np.concatenate([common, one[[slot not in taken for slot in one["slot"].tolist()]]]),
            order="slot",
        )
        for one in (before, after)
    )
    saves, gone = codec.diff(before, after)
    expected = b""
    if len(saves) or len(gone):
        expected = codec.encode_commit_inventory(
            who[0], [changes(who[1], saves, tuple(gone), session_epoch=who[2],
                             expected_version=who[3])], reason
        )  # fmt: skip
    assert codec.encode_difference(*who, before, after, reason) == expected
    buffer = bytearray(len(expected) + 2)
    assert codec.encode_difference(*who, before, after, reason, buffer, 2) == len(buffer)
    assert buffer[2:] == expected


@pytest.mark.parametrize("count", [1, 20, 21, 255, 256, 257, 1000])
def test_differences_of_every_size(codec, count):
    items = ordinary(count)
    for before, after in ((batch(), items), (items, batch()), (items[::-1].copy(), items)):
        saves, gone = codec.diff(before, after)
        frame = codec.encode_difference(1, 7, 3, 11, before, after)
        if before.size and after.size:
            assert frame == b""
        else:
            assert frame == codec.encode_commit_inventory(1, [changes(7, saves, tuple(gone))])


def test_either_record_in_any_order(codec):
    before, after = packed(item(30), item(20)), packed(item(20), item(30, stack_count=2))
    with pytest.raises(BatchError, match="item_guid"):
        codec.encode_difference(1, 7, 3, 11, before, after)
    named = batch(item(30), item(20)), batch(item(25), item(20))
    frame = codec.encode_difference(1, 7, 3, 11, *named)
    commits, _ = codec.decode_commits(frame)
    assert commits.items["slot"].tolist() == [25]
    assert commits.deletes.tolist() == [30]
    with pytest.raises(BatchError, match="occurs twice"):
        codec.encode_difference(1, 7, 3, 11, batch(item(30), item(30)), batch())


def test_only_what_differs_is_judged(codec):
    bad = item(20, entry=0)
    frame = codec.encode_difference(1, 7, 3, 11, batch(bad), batch(bad, item(21)))
    assert codec.decode_commits(frame)[0].items["slot"].tolist() == [21]
    with pytest.raises(BatchError, match="operation 1: slot 20: entry is 0"):
        codec.encode_difference(1, 7, 3, 11, batch(), batch(bad))
    with pytest.raises(BatchError, match="operation 1: slot 80"):
        codec.encode_difference(1, 7, 3, 11, batch(item(80)), batch())


def test_more_changes_than_a_batch_carries(codec):
    many = ordinary(MAX_BATCH_ITEMS + 1)
    with pytest.raises(RecordError, match="records are more than"):
        codec.encode_difference(1, 7, 3, 11, batch(), many)
    with pytest.raises(RecordError, match="slots are more than"):
        codec.encode_difference(1, 7, 3, 11, many, batch())


@given(pairs=st.lists(st.tuples(batches(ordered=True), batches(ordered=True)), max_size=5))
def test_differences_are_each_of_them_in_order(codec, pairs):
    participants = involved(*range(1, len(pairs) + 1))
    before, after = ([pair[place] for pair in pairs] for place in (0, 1))
    each = [
        codec.encode_difference(100 + index, index + 1, 3, 11, *pair, 9)
        for index, pair in enumerate(pairs)
    ]
    frames, changed = codec.encode_differences(100, participants, before, tuple(after), 9)
    assert frames == b"".join(each)
    assert changed.dtype == np.bool_
    assert changed.tolist() == [bool(one) for one in each]
    buffer = bytearray(len(frames))
    end, again = codec.encode_differences(100, participants, iter(before), after, 9, buffer)
    assert (end, again.tolist(), buffer) == (len(frames), changed.tolist(), frames)
    buffer.clear()


def test_a_frame_may_go_on_where_the_last_call_ended(codec):
    buffer = bytearray(4096)
    end = 0
    for number in range(1, 4):
        end = codec.encode_difference(
            number, number, 3, 11, batch(), ordinary(number), out=buffer, offset=end
        )
    commits, behind = codec.decode_commits(memoryview(buffer)[:end])
    assert behind == end
    assert commits.operations["operation_id"].tolist() == [1, 2, 3]


def test_a_tick_of_many_characters(codec):
    pairs = [(ordinary(25), ordinary(25, first=512 + index % 3)) for index in range(300)]
    participants = involved(*range(1, 301))
    frames, changed = codec.encode_differences(1, participants, *zip(*pairs, strict=True))
    commits, behind = codec.decode_commits(frames)
    assert behind == len(frames)
    assert changed.tolist() == [index % 3 != 0 for index in range(300)]
    assert commits.operations["operation_id"].tolist() == (np.flatnonzero(changed) + 1).tolist()
    one = join_commits([commits.between(index, index + 1) for index in range(200)])
    assert plain(one) == plain(commits)


@pytest.mark.parametrize("lengths", [(1, 2), (2, 1), (3, 2), (2, 3)])
def test_as_many_batches_as_participants(codec, lengths):
    before, after = ([batch()] * length for length in lengths)
    with pytest.raises(RecordError, match="where 2 are wanted"):
        codec.encode_differences(1, involved(7, 8), before, after)


def test_operation_ids_do_not_wrap(codec):
    arguments = involved(7, 8), [batch()] * 2, [batch(item())] * 2
    frames, _ = codec.encode_differences(2**64 - 2, *arguments)
    assert codec.decode_commits(frames)[0].operations["operation_id"].tolist() == [
        2**64 - 2,
        2**64 - 1,
    ]
    with pytest.raises(RecordError, match="first_operation_id"):
        codec.encode_differences(2**64 - 1, *arguments)


# Both twins


any_batches = st.one_of(batches(valid=False), batches())


@given(several=some_operations, data=st.data())
def test_commits_alike(twins, several, data):
    _, commits = decoded(twins[0], several)
    random = data.draw(st.randoms(use_true_random=False))
    for column, limit in (("kind", 3), ("flags", 20), ("operation_id", 2**64)):
        if several and random.random() < 0.3:
            commits.operations[column][random.randrange(len(several))] = random.randrange(limit)
    if len(commits.items) and random.random() < 0.3:
        place = random.randrange(len(commits.items))
        column, value = random.choice([("entry", 0), ("slot", 80), ("item_guid", 0), ("slot", 3)])
        commits.items[column][place] = value
    if len(commits.deletes) and random.random() < 0.3:
        commits.deletes[random.randrange(len(commits.deletes))] = random.choice([3, 80, 600])
    if len(commits.participants) > 1 and random.random() < 0.3:
        commits.participants["character_guid"][0] = commits.participants["character_guid"][1]
    size = data.draw(st.one_of(st.none(), st.integers(0, 900)))
    offset = 0 if size is None else data.draw(st.integers(0, min(9, size)))
    outcomes, written = [], []
    for twin in twins:
        buffer = None if size is None else bytearray(size)
        outcomes.append(outcome(twin.encode_commits, commits, buffer, offset))
        written.append(bytes(buffer or b"") if outcomes[-1][0] == "result" else b"")
    assert outcomes[0] == outcomes[1]
    assert written[0] == written[1]


@given(
    pairs=st.lists(st.tuples(any_batches, any_batches), max_size=4),
    first=st.one_of(guids, st.integers(-1, 2**64 + 1)),
    reason=numbers(256),
    size=st.one_of(st.none(), st.integers(0, 600)),
)
def test_differences_alike(twins, pairs, first, reason, size):
    participants = involved(*range(len(pairs)))
    before, after = ([pair[place] for pair in pairs] for place in (0, 1))
    outcomes = []
    for twin in twins:
        buffer = None if size is None else bytearray(size)
        found = [
            outcome(twin.encode_differences, first, participants, before, after, reason, buffer)
        ]
        found += [
            outcome(twin.encode_difference, first, 7, 3, 11, *pair, reason, buffer)
            for pair in pairs
        ]
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]
