"""The bytes of an outbox: what a crash or a disk left of them is read as far as it goes."""

from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.commits import CommitFlags, ParticipantChanges
from mmoinv.records import InventoryItemData, batch_of, slots_of
from mmoinv.wire import TradeConfirm
from mmoinv.world.outbox_format import (
    answered_record,
    as_repeated,
    header,
    operation_record,
    read_outbox,
)


def frame(operation_id: int, guids: tuple[int, ...] = (7,), replace: bool = False) -> bytes:
    item = InventoryItemData(entry=1, slot=23, stack_count=1, item_guid=operation_id)
    participants = [
        ParticipantChanges(
            guid, 3, operation_id, batch_of(*([item] if guid == 7 else [])), slots_of(24)
        )
        for guid in guids
    ]
    if replace:
        participants = [one._replace(deletes=slots_of()) for one in participants]
    return codec.encode_commit_inventory(
        operation_id, participants, 1, CommitFlags.REPLACE * replace
    )


def written() -> tuple[bytes, list[tuple[int, list[int]]]]:
    """A file, and for each end of a record the operations that are unanswered up to it."""
    data, states = header("world-1"), []
    waiting: list[int] = []
    for record, more, gone in (
        (operation_record(frame(1), 10), [1], []),
        (operation_record(frame(2, (8, 7)), 20), [2], []),
        (answered_record([1]), [], [1]),
        (operation_record(frame(3, (9,)), 30), [3], []),
        (answered_record([2, 99]), [], [2]),
        (operation_record(frame(4), 40), [4], []),
    ):
        data += record
        waiting = [one for one in (*waiting, *more) if one not in gone]
        states.append((len(data), waiting))
    return data, states


DATA, STATES = written()


def test_a_half_of_a_trade_lies_under_the_trades_id_also_when_it_was_confirmed_again():
    halves = [
        TradeConfirm(50, 9, 2, number, 1, frame(60 + number)[5:]).encode() for number in (1, 2)
    ]
    data = header("world-1") + operation_record(halves[0], 10) + operation_record(frame(4), 20)
    found = read_outbox(data)
    assert list(found.unanswered) == [50, 4]
    assert found.unanswered[50].character_guids == (7,)
    data += answered_record([50]) + operation_record(halves[1], 30)
    assert [one.frame for one in read_outbox(data).unanswered.values()] == [frame(4), halves[1]]
    again = TradeConfirm.decode(as_repeated(halves[1])[5:])
    assert again.commits().operations["flags"].tolist() == [CommitFlags.REPEATED]
    assert again._replace(half=b"") == TradeConfirm.decode(halves[1][5:])._replace(half=b"")
    # What is no half, with a checksum that is right.
    broken = operation_record(halves[0][:-1], 10)
    assert "cannot be understood" in read_outbox(header("world-1") + broken).damage


def unanswered_up_to(offset: int) -> tuple[int, list[int]]:
    """Where the last whole record before ``offset`` ends, and what is unanswered there."""
    start = (len(header("world-1")), list[int]())
    return max((state for state in STATES if state[0] <= offset), default=start)


def test_what_was_written_is_read():
    contents = read_outbox(DATA)
    assert (contents.world, contents.damage, contents.size) == ("world-1", "", len(DATA))
    assert list(contents.unanswered) == [3, 4]
    four = contents.unanswered[4]
    assert (four.frame, four.taken_ms, four.character_guids) == (frame(4), 40, (7,))
    assert DATA[four.offset : four.offset + four.size] == operation_record(frame(4), 40)


def test_a_repeated_frame_differs_by_its_flag_alone():
    for replace in (False, True):
        once = frame(5, (7, 8), replace)
        commits, _ = codec.decode_commits(as_repeated(once))
        expected, _ = codec.decode_commits(once)
        flags = expected.operations["flags"] | CommitFlags.REPEATED
        assert (commits.operations["flags"] == flags).all()
        assert as_repeated(as_repeated(once)) == as_repeated(once)
        assert as_repeated(once)[15:] == once[15:]


@given(st.integers(0, len(DATA) - 1))
def test_of_a_file_cut_off_anywhere_the_whole_records_are_read(length):
    contents = read_outbox(DATA[:length])
    if length < len(header("world-1")):
        assert contents.world is None
        assert contents.damage
        assert not contents.is_foreign
        return
    end, unanswered = unanswered_up_to(length)
    assert (contents.size, list(contents.unanswered)) == (end, unanswered)
    assert bool(contents.damage) is (length != end)


@given(st.integers(0, len(DATA) * 8 - 1))
def test_up_to_a_flipped_bit_everything_is_read(bit):
    spoiled = bytearray(DATA)
    spoiled[bit // 8] ^= 1 << bit % 8
    contents = read_outbox(bytes(spoiled))
    if bit // 8 < len(header("world-1")):
        assert contents.world is None
        assert contents.damage
        return
    end, unanswered = unanswered_up_to(bit // 8)
    assert (contents.size, list(contents.unanswered)) == (end, unanswered)
    assert f"byte {end} on" in contents.damage


@given(st.binary(max_size=200))
def test_garbage_behind_the_records_is_told(garbage):
    contents = read_outbox(DATA + garbage)
    assert list(contents.unanswered) == [3, 4]
    assert contents.size == len(DATA)
    assert bool(contents.damage) is bool(garbage)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise(data):
    contents = read_outbox(data)
    assert contents.world is None
    assert contents.damage


def test_a_record_that_is_whole_but_makes_no_sense_ends_the_reading():
    for body in (b"", frame(6) + b"?", frame(6) + frame(8), b"\x02" + frame(6)[1:]):
        contents = read_outbox(DATA + operation_record(body, 1))
        assert "cannot be understood" in contents.damage
        assert list(contents.unanswered) == [3, 4]
