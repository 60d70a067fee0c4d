"""Both twins are equal on everything: results, errors, their messages and attributes."""

import inspect
import struct

import numpy as np
from codec_cases import (
    U8,
    U16,
    U32,
    U64,
    batches,
    columnar_batches,
    currencies,
    frame,
    guids,
    numbers,
    operations,
    outcome,
    participants,
    slots,
)
from hypothesis import given
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.errors import ContentError, FramingError
from mmoinv.records import PACKED, WIRE_LAYOUTS, Batch

LAYOUTS = list(WIRE_LAYOUTS)
any_batch = st.one_of(
    batches(valid=False), batches(PACKED, valid=False), batches(), batches(PACKED)
)
layouts = st.sampled_from([*LAYOUTS, "packed", "other", None])
beyond = st.one_of(numbers(U64), st.sampled_from([-1, U8 + 1, U16 + 1, U32 + 1, U64 + 1, True]))
slot_lists = st.lists(st.one_of(st.integers(60, 90), numbers(U16)), max_size=6)


def assert_same(twins, name: str, *arguments, **named):
    """Calls both; their outcomes must be equal, and the arguments left as they were."""
    kept = [item.tobytes() if isinstance(item, np.ndarray) else None for item in arguments]
    one, other = (outcome(getattr(twin, name), *arguments, **named) for twin in twins)
    assert one == other
    after = [item.tobytes() if isinstance(item, np.ndarray) else None for item in arguments]
    assert after == kept
    return one


def assert_decodes_alike(twins, name: str, body: bytes, *arguments):
    """The same, and bytes from a peer never raise anything but what they may."""
    result = assert_same(twins, name, body, *arguments)
    assert result[0] == "result" or result[1] in (FramingError, ContentError), result
    return result


# Batches


@given(items=any_batch, layout=layouts, named=st.booleans())
def test_batches(twins, items, layout, named):
    assert_same(twins, "widen", items)
    assert_same(twins, "narrow", items, layout)
    assert_same(twins, "validate_batch", items, named)
    assert_same(twins, "sort_by_slot", items)
    assert_same(twins, "encode_batch", items)
    assert_same(twins, "encode_batch", items, 1)


@given(before=any_batch, after=any_batch, gone=slot_lists)
def test_differences(twins, before, after, gone):
    assert_same(twins, "diff", before, after)
    assert_same(twins, "apply_changes", before, after, slots(*gone))


@given(items=columnar_batches(max_count=700))
def test_columns(twins, items):
    for encoding in (0, 1):
        kind, (_, data) = assert_same(twins, "encode_batch", items, encoding)
        assert kind == "result"
        assert_same(twins, "decode_batch", data)


# Packets


@given(guid=beyond, operation_id=beyond, items=any_batch, layout=layouts)
def test_saves(twins, guid, operation_id, items, layout):
    assert_same(twins, "encode_save_inventory_items", guid, operation_id, items, layout)


@given(guid=beyond, operation_id=beyond, gone=slot_lists)
def test_deletes(twins, guid, operation_id, gone):
    assert_same(twins, "encode_delete_inventory_items", guid, operation_id, slots(*gone))


@given(numbers=st.tuples(beyond, beyond, numbers(2), numbers(2)), opcode=st.integers(9, 12))
def test_results(twins, numbers, opcode):
    assert_same(twins, "encode_inventory_operation_result", *numbers, opcode)


@given(
    operation_id=beyond,
    involved=st.lists(st.one_of(participants(), participants(valid=False)), max_size=3),
    epoch=beyond,
    reason=numbers(U8 + 1),
    flags=numbers(U8 + 1),
)
def test_commits(twins, operation_id, involved, epoch, reason, flags):
    name = "encode_commit_inventory"
    assert_same(twins, name, operation_id, involved, reason, flags)
    assert_same(twins, name, 1, [one._replace(session_epoch=epoch) for one in involved])
    assert_same(twins, name, 1, [one._replace(expected_version=epoch) for one in involved])
    assert_same(twins, name, 1, [one._replace(character_guid=epoch) for one in involved])


@given(
    operation_id=beyond,
    status=numbers(U8 + 1),
    pairs=st.lists(st.tuples(beyond, beyond), max_size=4),
    message=st.text(max_size=20),
)
def test_commit_results(twins, operation_id, status, pairs, message):
    assert_same(twins, "encode_commit_inventory_result", operation_id, status, pairs, message)


# Bytes from a peer


def columns(draw: st.DrawFn, count: int) -> bytes:
    """Ten columns, mostly well formed: of every kind, width and length, at times off by one."""
    data = b""
    for _ in range(10):
        kind = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5]))
        width = 0 if kind == 0 else draw(st.integers(0, 9))
        size = 0
        if kind == 1:
            size = width
        elif kind in (2, 3):
            size = count * width + 8 * (kind == 3)
        data += bytes([kind << 4 | width])
        if kind == 4:
            entries = draw(st.integers(0, 4))
            data += bytes([entries]) + draw(st.binary(min_size=entries * width))[: entries * width]
            data += bytes(draw(st.integers(0, max(0, entries - 1))) for _ in range(count))
        else:
            size = max(0, size + draw(st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1])))
            fill = draw(st.sampled_from([b"\x00", b"\x01", b"\xff"]))
            data += draw(st.binary(max_size=size)).ljust(size, fill)
    return data


@st.composite
def peer_batches(draw: st.DrawFn) -> bytes:
    """A batch as a peer may write it, good or bad."""
    count = draw(st.integers(0, 4))
    return struct.pack("<HB", count, 1) + columns(draw, count)


@given(data=peer_batches(), offset=st.integers(0, 3))
def test_peer_batches(twins, data, offset):
    assert_decodes_alike(twins, "decode_batch", b"\x00" * offset + data, offset)
    body = struct.pack("<QBBH", 1, 0, 0, 1) + struct.pack("<QIQHB", 7, 3, 11, 0, 0) + data
    assert_decodes_alike(twins, "decode_commit_inventory", body)


@given(body=st.binary(max_size=120))
def test_noise(twins, body):
    for name in (
        "decode_save_inventory_items",
        "decode_delete_inventory_items",
        "decode_inventory_operation_result",
        "decode_commit_inventory",
        "decode_commit_inventory_result",
        "decode_batch",
        "split_frames",
        "decode_commits",
    ):
        assert_decodes_alike(twins, name, body)
    for opcode in (0x0E, 0x0F, 0x80):
        for layout in (None, *LAYOUTS):
            assert_decodes_alike(twins, "decode_commits", frame(opcode, body), 0, layout)


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few of them changed, some cut off, some added, or a length field off."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 3))):
        if changed:
            place = draw(st.integers(0, len(changed) - 1))
            changed[place] ^= 1 << draw(st.integers(0, 7))
    match draw(st.sampled_from(["none", "cut", "grow", "u16"])):
        case "cut":
            del changed[draw(st.integers(0, len(changed))) :]
        case "grow":
            changed += draw(st.binary(max_size=9))
        case "u16" if len(changed) >= 2:
            place = draw(st.integers(0, len(changed) - 2))
            changed[place : place + 2] = struct.pack("<H", draw(numbers(U16)))
    return bytes(changed)


@given(operation=operations(), data=st.data())
def test_mutated_commits(twins, operation, data):
    body = data.draw(mutations(twins[0].encode_commit_inventory(*operation)[5:]))
    assert_decodes_alike(twins, "decode_commit_inventory", body)
    run = frame(0x80, body)
    assert_decodes_alike(twins, "decode_commits", run * 2)
    assert_decodes_alike(twins, "decode_commits", data.draw(mutations(run * 2)))


@given(items=columnar_batches(max_count=60), data=st.data())
def test_mutated_columns(twins, items: Batch, data):
    encoded = twins[0].encode_batch(items, 1)
    assert_decodes_alike(twins, "decode_batch", data.draw(mutations(encoded)))


@given(guid=guids, items=batches(PACKED), layout=st.sampled_from(LAYOUTS), data=st.data())
def test_mutated_saves_and_deletes(twins, guid, items, layout, data):
    save = twins[0].encode_save_inventory_items(guid, 5, items, layout)
    body = data.draw(mutations(save[5:]))
    assert_decodes_alike(twins, "decode_save_inventory_items", body, layout)
    delete = twins[0].encode_delete_inventory_items(guid, 5, items["slot"].copy())
    body = data.draw(mutations(delete[5:]))
    assert_decodes_alike(twins, "decode_delete_inventory_items", body)
    run = data.draw(mutations(save + delete + save))
    for replace in (False, True):
        assert_decodes_alike(twins, "decode_commits", run, 0, layout, replace)
    assert_decodes_alike(twins, "split_frames", run)


@given(
    pairs=st.lists(st.tuples(guids, guids), max_size=3), text=st.text(max_size=9), data=st.data()
)
def test_mutated_results(twins, pairs, text, data):
    commit = twins[0].encode_commit_inventory_result(5, 2, pairs, text)
    body = data.draw(mutations(commit[5:]))
    assert_decodes_alike(twins, "decode_commit_inventory_result", body)
    result = twins[0].encode_inventory_operation_result(5, 2, 1, 0)
    body = data.draw(mutations(result[5:]))
    assert_decodes_alike(twins, "decode_inventory_operation_result", body)


# Runs and their answers


@given(
    several=st.lists(operations(), max_size=3),
    limits=st.tuples(numbers(400), st.integers(0, 12)),
    data=st.data(),
)
def test_runs_and_answers(twins, several, limits, data):
    stream = b"".join(twins[0].encode_commit_inventory(*one) for one in several)
    assert_decodes_alike(twins, "decode_commits", stream, 0, None, False, *limits)
    commits, _ = twins[0].decode_commits(stream)
    random = data.draw(st.randoms(use_true_random=False))
    statuses = np.array([random.randrange(256) for _ in several], np.uint8)
    versions = np.array([random.getrandbits(64) for _ in commits.participants], np.uint64)
    messages = data.draw(st.dictionaries(st.integers(0, 3), st.text(max_size=5)))
    name = "encode_commit_results"
    result = assert_same(twins, name, commits, statuses, versions, messages)
    assert result[0] == "result"
    assert assert_same(twins, "encode_operation_results", commits, statuses, 0x0B)[0] == "result"
    if several:
        ranges = data.draw(st.tuples(numbers(U32), numbers(U32)))
        commits.operations[0]["first_participant"], commits.operations[0]["participant_count"] = (
            ranges
        )
        assert_same(twins, name, commits, statuses, versions, messages)
        assert_same(twins, "encode_operation_results", commits, statuses)


@given(deltas=currencies)
def test_currencies(twins, deltas):
    wide = [(one.currency_id, one.amount * 2) for one in deltas]
    for given_deltas in (deltas, wide):
        assert_same(
            twins,
            "encode_commit_inventory",
            1,
            [(7, 0, 0, twins[0].widen(np.empty(0, PACKED.dtype)), slots(), given_deltas)],
        )


def test_both_say_the_same_of_themselves(twins):
    """The compiled functions carry the specification's own docstrings."""
    for name in codec.__all__:
        if name == "CODEC":
            continue
        texts = {inspect.getdoc(getattr(twin, name)) for twin in twins}
        assert len(texts) == 1, name
        assert texts != {None}, name
