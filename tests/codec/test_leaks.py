"""The compiled codec keeps nothing: no memory, no references, also not after an error."""

import contextlib
import gc
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from codec_cases import batch, changes, frame, item, ordinary, packed, slots

from mmoinv import commits, records
from mmoinv.errors import MmoinvError

ROUNDS = 400


@pytest.fixture(scope="module")
def compiled(twins):
    """The compiled codec; a twin in Python has no memory of its own to lose."""
    gc.collect()
    gc.freeze()  # what the other tests made is left alone, which makes collecting quick
    yield twins[0]
    gc.unfreeze()


def calls(codec) -> list[Callable[[], object]]:
    """Every function of the codec, on its usual ways and on those that raise."""
    wide, narrow, many = ordinary(25), packed(*(item(512 + n) for n in range(25))), ordinary(300)
    mixed = many[np.random.default_rng(5).permutation(300)]
    save = codec.encode_save_inventory_items(7, 9, wide)
    delete = codec.encode_delete_inventory_items(7, 9, slots(3, 4))
    commit = codec.encode_commit_inventory(
        2**63, [changes(1, many, (3,), currencies=((1, -2),)), changes(2, wide)]
    )
    answer = codec.encode_commit_inventory_result(1, 2, [(2**63, 4)], "five")
    group, _ = codec.decode_commits(commit * 3)
    saves, _ = codec.decode_commits(save + delete, 0, "packed")
    statuses, versions = np.zeros(3, np.uint8), np.zeros(6, np.uint64)
    table, cells = np.full((300, 9), 530, np.int32), np.zeros((300, 9, 6), np.uint64)
    rows = np.arange(300)
    big = 2**70
    return [
        lambda: codec.widen(wide),
        lambda: codec.widen(narrow),
        lambda: codec.widen(narrow.tolist()),
        lambda: codec.narrow(wide, "native40"),
        lambda: codec.narrow(batch(item(3), item(4, stack_count=999))),
        lambda: codec.validate_batch(narrow, True),
        lambda: codec.sort_by_slot(mixed),
        lambda: codec.sort_by_slot(np.concatenate([mixed, mixed])),
        lambda: codec.diff(mixed, wide),
        lambda: codec.diff(wide, mixed),
        lambda: codec.diff(many, many),
        lambda: codec.compare_items(mixed, wide),
        lambda: codec.compare_items(many, np.concatenate([mixed, mixed])),
        lambda: codec.apply_changes(mixed, wide, slots(600, 601)),
        lambda: codec.find_keys(many["item_guid"], mixed["item_guid"]),
        lambda: codec.find_keys(versions, [1]),
        lambda: codec.find_records(table, cells, rows, mixed["slot"], 9),
        lambda: codec.find_records(table, cells, rows + 1, mixed["slot"], 9),
        lambda: codec.split_frames(commit * 3),
        lambda: codec.split_frames(b"\xff" * 9),
        lambda: codec.encode_batch(many),
        lambda: codec.encode_batch(many, 7),
        lambda: codec.decode_batch(codec.encode_batch(many)),
        lambda: codec.decode_batch(codec.encode_batch(many)[:-1]),
        lambda: codec.encode_save_inventory_items(big, 9, wide),
        lambda: codec.encode_save_inventory_items(7, 9, batch(item(3, stack_count=999))),
        lambda: codec.decode_save_inventory_items(save[5:]),
        lambda: codec.decode_save_inventory_items(save[5:-1]),
        lambda: codec.decode_save_inventory_items(save[5:].replace(b"\x1d\x0a", b"\x00\x00")),
        lambda: codec.encode_delete_inventory_items(7, 9, slots(3, 3)),
        lambda: codec.decode_delete_inventory_items(delete[5:]),
        lambda: codec.decode_delete_inventory_items(delete[5:] + b"x"),
        lambda: codec.encode_inventory_operation_result(7, big, 1, 1),
        lambda: codec.decode_inventory_operation_result(b"\x01" * 14),
        lambda: codec.decode_inventory_operation_result(b"\x02" * 14),
        lambda: codec.encode_commit_inventory(1, [changes(1, mixed, currencies=((1, big),))]),
        lambda: codec.encode_commit_inventory(1, [changes(1, mixed, currencies=((1, -1),))]),
        lambda: codec.encode_commit_inventory(1, [changes(1), changes(1)]),
        lambda: codec.decode_commit_inventory(commit[5:]),
        lambda: codec.decode_commit_inventory(commit[5:-1]),
        lambda: codec.decode_commit_inventory(b"\x00" * 12),
        lambda: codec.encode_commit_inventory_result(1, 2, [(1, big)], "x"),
        lambda: codec.decode_commit_inventory_result(answer[5:]),
        lambda: codec.decode_commit_inventory_result(answer[5:-4] + b"\xff" * 4),
        lambda: codec.decode_commits(commit * 3),
        lambda: codec.decode_commits(commit + frame(0x80, b"")),
        lambda: codec.decode_commits(frame(0x80, b"")),
        lambda: codec.decode_commits(save + delete, 0, "packed", True),
        lambda: codec.decode_commits(save + delete, 0, "nothing"),
        lambda: codec.decode_commits(memoryview(commit)[::2]),
        lambda: codec.encode_commits(group),
        lambda: codec.encode_commits(group, bytearray(9000)),
        lambda: codec.encode_commits(group, bytearray(9)),
        lambda: codec.encode_commits(group, b"read only"),
        lambda: codec.encode_commits(group._replace(items=many)),
        lambda: codec.encode_difference(1, 2, 3, 4, wide, many),
        lambda: codec.encode_difference(1, 2, 3, 4, wide, many, 0, bytearray(9)),
        lambda: codec.encode_difference(1, 2, 3, 4, many[::-1].copy(), batch(item(3, entry=0))),
        lambda: codec.encode_differences(1, group.participants[:2], [wide, many], [many, wide]),
        lambda: codec.encode_differences(1, group.participants[:2], [wide, 7], [many, wide]),
        lambda: codec.encode_commit_results(group, statuses, versions, {1: "a message"}),
        lambda: codec.encode_commit_results(group, statuses, versions[1:]),
        lambda: codec.encode_operation_results(saves, statuses[:2]),
        lambda: codec.encode_operation_results(saves, statuses[:2], 9),
    ]


def run(call: Callable[[], object], rounds: int) -> None:
    for _ in range(rounds):
        with contextlib.suppress(MmoinvError):
            call()


def test_no_call_keeps_memory(compiled):
    every = calls(compiled)
    for call in every:
        run(call, 3)  # caches fill up
    tracemalloc.start()
    try:
        for number, call in enumerate(every):
            run(call, 3)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            run(call, ROUNDS // 4)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            # One object kept a round would be thousands of bytes.
            assert after - before < 1500, f"call {number} kept {after - before} bytes"
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
def test_no_call_keeps_or_drops_a_reference(compiled):
    watched = [
        records.INVENTORY_ITEM,
        records.ITEM_DATA,
        records.SLOT,
        commits.OPERATION,
        commits.PARTICIPANT,
        commits.CURRENCY,
        commits.FRAME,
        commits.Commits,
        np.dtype("u1"),
        np.dtype("?"),
    ]
    every = calls(compiled)
    for call in every:
        run(call, 3)
    gc.collect()
    before = [sys.getrefcount(one) for one in watched]
    for call in every:
        run(call, ROUNDS)
    gc.collect()
    for one, count in zip(watched, before, strict=True):
        assert abs(sys.getrefcount(one) - count) < ROUNDS / 4, one


def test_a_broken_packet_is_refused_before_anything_is_expanded(compiled):
    wide = b"\x28" + b"\x01\x00\x00\x00\x00\x00\x00\x00" * 4096
    data = b"\x00\x10\x01" + wide * 9 + b"\x50"
    stream = frame(0x80, b"\x00" * 10 + b"\x01\x00" + b"\x00" * 23 + data)
    tracemalloc.start()
    try:
        for decode, broken in (
            (compiled.decode_batch, data),
            (compiled.decode_commits, stream),
            (compiled.decode_commit_inventory, stream[5:]),
        ):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            run(lambda decode=decode, broken=broken: decode(broken), 1)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 20_000
    finally:
        tracemalloc.stop()
