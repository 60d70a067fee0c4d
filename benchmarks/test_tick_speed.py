"""Many at once: a received chunk, a tick of many characters, a stream of frames; one at a time.

Each figure is the time of one save, character or frame of the many, in ns. Beside it is what
copying the same bytes takes, which nothing can beat, and what one would write without us.
"""

import struct

import msgspec
import numpy as np
import pytest
from inventories import SIZES, a_moment_later, inventory, item_data
from test_codec_speed import Item, Save, struct_decode

from mmoinv import codec
from mmoinv.commits import PARTICIPANT

sizes = pytest.mark.parametrize("count", SIZES)
HEADER = struct.Struct("<BI")
LARGE = 1000


def saves(count):
    """A chunk of packed saves of 25 items, as one link sends it."""
    items = item_data(25)
    return b"".join(codec.encode_save_inventory_items(7, n, items) for n in range(count))


def characters(count):
    """Participants, and what they had and have."""
    participants = np.zeros(count, PARTICIPANT)
    participants["character_guid"] = np.arange(1, count + 1)
    participants["session_epoch"] = 1
    before = [inventory(25, guid) for guid in range(1, count + 1)]
    return participants, before, [a_moment_later(items) for items in before]


def struct_split(data):
    """The frames of a stream as (opcode, body)."""
    frames, offset = [], 0
    while len(data) - offset >= 5:
        opcode, length = HEADER.unpack_from(data, offset)
        if len(data) - offset - 5 < length:
            break
        frames.append((opcode, data[offset + 5 : offset + 5 + length]))
        offset += 5 + length
    return frames, offset


@sizes
class TestChunk:
    """Splitting and decoding a chunk of SaveInventoryItems, packed, 25 items each."""

    group = "split and decode {} saves of 25 items"

    def test_ours(self, each, count):
        each(
            self.group.format(count),
            "ours",
            count,
            "decode(data, 0, 'packed')",
            decode=codec.decode_commits,
            data=saves(count),
        )

    def test_msgspec(self, each, count):
        save = Save(7, 9, [Item(*row) for row in item_data(25).tolist()])
        each(
            self.group.format(count),
            "msgspec",
            count,
            "decode(data)",
            decode=msgspec.msgpack.Decoder(list[Save]).decode,
            data=msgspec.msgpack.encode([save] * count),
        )

    def test_struct(self, each, count):
        each(
            self.group.format(count),
            "struct",
            count,
            "[decode(body) for _, body in split(data)[0]]",
            decode=struct_decode,
            split=struct_split,
            data=saves(count),
        )

    def test_memcpy(self, each, count):
        each(
            self.group.format(count),
            "memcpy",
            count,
            "copy(data)",
            copy=bytes,
            data=bytearray(saves(count)),
        )


@sizes
class TestTick:
    """One CommitInventory of three changes for each character, in one call."""

    group = "encode a tick of {} characters, 3 changes each"

    def test_ours(self, each, count):
        frames, _ = codec.encode_differences(1, *characters(count))
        commits, _ = codec.decode_commits(frames)
        assert codec.encode_commits(commits) == frames
        each(
            self.group.format(count),
            "ours",
            count,
            "encode(commits, out)",
            encode=codec.encode_commits,
            commits=commits,
            out=bytearray(len(frames)),
        )

    def test_with_the_diff(self, each, count):
        participants, before, after = characters(count)
        each(
            self.group.format(count),
            "ours, diff and all",
            count,
            "encode(1, participants, before, after, 0, out)",
            encode=codec.encode_differences,
            participants=participants,
            before=before,
            after=after,
            out=bytearray(1000 * count),
        )

    def test_one_by_one(self, each, count):
        _, before, after = characters(count)
        changes = [
            (guid, 1, 0, *codec.diff(*pair), ())
            for guid, pair in enumerate(zip(before, after, strict=True), 1)
        ]
        each(
            self.group.format(count),
            "one by one",
            count,
            "b''.join([encode(7, (one,)) for one in changes])",
            encode=codec.encode_commit_inventory,
            changes=changes,
        )

    def test_memcpy(self, each, count):
        frames, _ = codec.encode_differences(1, *characters(count))
        each(
            self.group.format(count),
            "memcpy",
            count,
            "copy(data)",
            copy=bytes,
            data=bytearray(frames),
        )


@sizes
class TestSplitter:
    """The frames of a stream of commits."""

    group = "split {} frames"

    def stream(self, count):
        return codec.encode_differences(1, *characters(count))[0]

    def test_ours(self, each, count):
        each(
            self.group.format(count),
            "ours",
            count,
            "split(data)",
            split=codec.split_frames,
            data=self.stream(count),
        )

    def test_struct(self, each, count):
        each(
            self.group.format(count),
            "struct",
            count,
            "split(data)",
            split=struct_split,
            data=self.stream(count),
        )

    def test_memcpy(self, each, count):
        each(
            self.group.format(count),
            "memcpy",
            count,
            "copy(data)",
            copy=bytes,
            data=bytearray(self.stream(count)),
        )


def test_diff_and_encode(each):
    before = inventory(25)
    each(
        "diff and encode 3 changes of 25 items",
        "ours",
        1,
        "encode(5, 7, 1, 0, before, after)",
        encode=codec.encode_difference,
        before=before,
        after=a_moment_later(before),
    )


def test_diff_then_encode(each):
    before = inventory(25)
    each(
        "diff and encode 3 changes of 25 items",
        "in two calls",
        1,
        "encode(5, ((7, 1, 0, *diff(before, after), ()),))",
        encode=codec.encode_commit_inventory,
        diff=codec.diff,
        before=before,
        after=a_moment_later(before),
    )


def test_encode_a_save(each):
    each(
        "encode a validated save of 25 items",
        "ours",
        1,
        "encode(7, 9, items)",
        encode=codec.encode_save_inventory_items,
        items=item_data(25),
    )


def test_encode_a_save_memcpy(each):
    each(
        "encode a validated save of 25 items",
        "memcpy",
        1,
        "copy(data)",
        copy=bytes,
        data=bytearray(codec.encode_save_inventory_items(7, 9, item_data(25))),
    )
