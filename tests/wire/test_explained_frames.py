"""Every golden packet is explained to its last byte, as the codec decodes it; nothing crashes."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmoinv import codec
from mmoinv.commits import CurrencyDelta, ParticipantChanges
from mmoinv.records import InventoryItemData, batch_of, slots_of
from mmoinv.wire.explain import ExplainedFrame, explain

HERE = Path(__file__).parent
GOLDEN = [
    *(
        (f"{one['packet']}: {one['name']}", one["frame"], one.get("layout", ""))
        for one in json.loads((HERE.parent / "codec" / "golden.json").read_text())
        if one["packet"] != "batch"
    ),
    *(
        (name, frame, "")
        for name, frame in json.loads((HERE / "golden.json").read_text()).items()
        if isinstance(frame, str)
    ),
]
DIALECT = {"": None, "packed": 1, "native32": 2, "native40": 3}


def check_spans(frames: list[ExplainedFrame], data: bytes) -> None:
    """The spans lie side by side and are all of the bytes."""
    spans = [span for frame in frames for span in frame.spans]
    assert b"".join(span.data for span in spans) == data
    at = 0
    for span in spans:
        assert span.offset == at
        at += len(span.data)


def values(frame: ExplainedFrame, name: str) -> list[str]:
    return [span.value for span in frame.spans if span.name == name or span.name.endswith(name)]


@pytest.mark.parametrize(("name", "frame", "layout"), GOLDEN, ids=[one[0] for one in GOLDEN])
def test_golden_packets(name, frame, layout):
    data = bytes.fromhex(frame)
    for dialect in {DIALECT[layout], None}:
        (found,) = explain(data, dialect)
        assert found.fault == "" or found.fault.startswith("well formed"), found.fault
        assert name.split()[0].rstrip(":") == found.name
        check_spans([found], data)


def test_a_commit_is_what_the_codec_decodes():
    items = batch_of(
        InventoryItemData(2589, 0xFF17, 20, creator=7, durability=80, item_guid=9 << 32 | 1),
        InventoryItemData(118, 19 << 8 | 4, 3, item_guid=9 << 32 | 2),
    )
    changes = ParticipantChanges(
        2**63 + 5, 3, 11, items, slots_of(0xFF18), (CurrencyDelta(1, -50),)
    )
    data = codec.encode_commit_inventory(41 << 32 | 6, [changes], 8, 2)
    (frame,) = explain(data)
    check_spans([frame], data)
    assert (frame.name, frame.sender, frame.guessed) == ("CommitInventory", "world", True)
    assert values(frame, "operation id") == [str(41 << 32 | 6)]
    assert values(frame, "character guid") == [str(2**63 + 5)]
    for column in items.dtype.names:
        assert values(frame, f": {column}") == [str(value) for value in items[column].tolist()]
    assert values(frame, "deleted slot 0") == [str(0xFF18)]
    assert values(frame, "change") == ["-50"]
    meanings = " ".join(span.meaning for span in frame.spans)
    for meaning in (
        "node epoch 41, counter 6",
        "CONSERVE",
        "bag 19, slot 4",
        "the character itself",
    ):
        assert meaning in meanings


@given(count=st.integers(21, 60), seed=st.integers(0, 99))
def test_columns(count, seed):
    rng = random.Random(seed)
    items = batch_of(
        *(
            InventoryItemData(
                rng.choice([5, 7, 70000]), 512 + n, n % 9 + 1, rng.getrandbits(60), item_guid=n + 1
            )
            for n in range(count)
        )
    )
    data = codec.encode_commit_inventory(1, [ParticipantChanges(7, 1, 0, items, slots_of())])
    (frame,) = explain(data)
    check_spans([frame], data)
    assert frame.fault == ""
    heads = [span for span in frame.spans if span.name.startswith("column ")]
    assert [span.name.removeprefix("column ") for span in heads] == list(items.dtype.names)


@pytest.mark.parametrize("layout", ["packed", "native32", "native40"])
def test_the_layout_is_found_by_its_length(layout):
    items = batch_of(InventoryItemData(25, 0xFF17, 2), InventoryItemData(26, 0xFF18, 3))
    data = codec.encode_save_inventory_items(7, 9, items, layout)
    (frame,) = explain(data)
    check_spans([frame], data)
    assert values(frame, ": stack_count") == ["2", "3"]
    assert layout in " ".join(span.meaning for span in frame.spans)
    assert explain(data, DIALECT[layout])[0].fault == ""
    other = 1 if layout != "packed" else 2
    assert "bytes" in explain(data, other)[0].fault


def test_the_same_opcode_from_either_end():
    answer = codec.encode_commit_inventory_result(1 << 32, 3, [(7, 12)], "too late")
    (frame,) = explain(answer)
    assert (frame.name, frame.sender) == ("CommitInventoryResult", "realm")
    assert values(frame, "message")[-1] == "'too late'"
    assert "changed since" in " ".join(span.meaning for span in frame.spans)
    assert explain(answer, None, "world")[0].fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\x82", "body length at byte 1 needs 4 bytes, only 0 are left"),
        (b"\x82\x09\x00\x00\x00\x00", "token at byte 6 needs 8 bytes, only 0 are left"),
        (b"\x82\x0a\x00\x00\x00" + bytes(10), "Ping ends at byte 14, but 1 more bytes follow"),
        (b"\x55\x02\x00\x00\x00ab", "opcode 0x55 is not known"),
        (b"\x01\x03\x00\x00\x00\x01\x00\xff", "not UTF-8"),
    ],
)
def test_what_is_broken_is_named_with_its_byte(data, fault):
    frames = explain(data, None, "world")
    check_spans(frames, data)
    assert fault in frames[-1].fault


def test_refused_content_is_no_broken_frame():
    data = bytearray(
        codec.encode_save_inventory_items(7, 9, batch_of(InventoryItemData(25, 0xFF17)))
    )
    data[5 + 14 + 6] = 0
    (frame,) = explain(bytes(data))
    assert frame.fault.startswith("well formed, but refused")


@settings(max_examples=300)
@given(data=st.binary(min_size=1, max_size=200), dialect=st.sampled_from([None, 0, 1, 2, 3]))
def test_noise_never_crashes(data, dialect):
    check_spans(explain(data, dialect), data)


@settings(max_examples=500)
@given(data=st.data(), golden=st.sampled_from(GOLDEN))
def test_mutated_packets_never_crash(data, golden):
    mutable = bytearray.fromhex(golden[1])
    for _ in range(data.draw(st.integers(1, 4))):
        mutable[data.draw(st.integers(0, len(mutable) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(mutable)))
    some = bytes(mutable[:cut])
    check_spans(explain(some, data.draw(st.sampled_from([None, 1, 2, 3]))), some)
