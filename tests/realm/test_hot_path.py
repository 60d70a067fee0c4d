"""What the realm keeps of a chunk of saves are arrays: no more of them for more saves."""

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmoinv import codec
from mmoinv.codec import CODEC
from mmoinv.commits import ParticipantChanges
from mmoinv.records import SLOT, Batch, InventoryItemData, batch_of
from mmoinv.stores import CommitEntry
from mmoinv.stores.committed import CommittedInventories
from mmoinv.stores.group import Stage, write_stage
from mmoinv.stores.part import Rules
from mmoinv.stores.steps import NO_GUIDS, NO_ITEMS, Look, Places, Seen, Sessions, Write
from mmoinv.wire import RealmLink
from mmoinv.wire.link import LinkState

SPREAD = 40
"""Memory blocks by which two calls may differ: caches, small ints, a longer list."""

pytestmark = pytest.mark.skipif(CODEC != "compiled", reason="the twin makes objects")


def chunk(count: int) -> bytes:
    def items(n: int) -> Batch:
        return batch_of(InventoryItemData(entry=25, slot=23, stack_count=1, item_guid=n + 1))

    return b"".join(
        codec.encode_commit_inventory(
            (7 << 32) + n, [ParticipantChanges((1 << 40) + n, 1, 0, items(n), np.empty(0, SLOT))]
        )
        for n in range(count)
    )


def blocks_of(work: Callable[[], Any]) -> int:
    """How many blocks of memory the result holds."""
    counts = []
    for _ in range(5):
        gc.collect()
        before = sys.getallocatedblocks()
        result = work()
        counts.append(sys.getallocatedblocks() - before)
        del result
    # Other threads and caches that fill up may only add.
    return min(counts)


def test_a_received_chunk_becomes_arrays() -> None:
    def received(data: bytes) -> Any:
        link = RealmLink()
        link.state = LinkState.OPEN
        return link.receive_data(data)

    few, many = chunk(10), chunk(1000)
    assert len(received(many)[0].commits.operations) == 1000
    assert abs(blocks_of(lambda: received(many)) - blocks_of(lambda: received(few))) < SPREAD


def test_answers_are_one_bytes_object() -> None:
    def answered(count: int) -> bytes:
        return codec.encode_commit_results(
            commits.between(0, count), np.zeros(count, np.uint8), np.zeros(count, np.uint64)
        )

    commits, _ = codec.decode_commits(chunk(1000))
    assert abs(blocks_of(lambda: answered(1000)) - blocks_of(lambda: answered(10))) < SPREAD


def test_a_group_is_judged_and_laid_out_in_arrays() -> None:
    def judged(data: bytes) -> Any:
        commits, _ = codec.decode_commits(data)
        stage = Stage([CommitEntry(1, commits)], CommittedInventories(0), Rules(keeps_ledger=False))
        steps = write_stage(stage, lambda count: np.zeros(count, np.uint64))
        look = next(steps)
        assert isinstance(look, Look)
        count = len(look.character_guids)
        write = steps.send(
            Seen(
                Sessions(
                    look.character_guids,
                    np.ones(count, np.int64),
                    np.ones(count, np.uint32),
                    np.zeros(count, np.uint64),
                    np.ones(count, np.bool_),
                ),
                NO_GUIDS,
                Places(NO_GUIDS, NO_GUIDS, np.empty(0, np.int64)),
                NO_ITEMS,
                NO_GUIDS,
            )
        )
        assert isinstance(write, Write)
        return write, stage

    few, many = chunk(10), chunk(500)
    assert len(judged(many)[0].inserted.items) == 500
    assert abs(blocks_of(lambda: judged(many)) - blocks_of(lambda: judged(few))) < SPREAD
