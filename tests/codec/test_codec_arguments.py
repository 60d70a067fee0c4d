"""What the codec takes as a batch, an array, a number, a name or a buffer, and what it refuses."""

import array
import mmap
import operator
import pickle
from enum import StrEnum

import numpy as np
import pytest
from codec_cases import U8, U16, U32, U64, batch, changes, item, ordinary, packed, slots

from mmoinv.commits import ParticipantChanges
from mmoinv.errors import RecordError
from mmoinv.records import INVENTORY_ITEM, ITEM_DATA, WIDE, WIRE_LAYOUTS

# Calls that take a batch, each with nothing else wrong.
TAKES_BATCH = {
    "widen": lambda codec, items: codec.widen(items),
    "narrow": lambda codec, items: codec.narrow(items),
    "validate_batch": lambda codec, items: codec.validate_batch(items),
    "validate_batch_named": lambda codec, items: codec.validate_batch(items, named=True),
    "sort_by_slot": lambda codec, items: codec.sort_by_slot(items),
    "diff_before": lambda codec, items: codec.diff(items, ordinary(1)),
    "diff_after": lambda codec, items: codec.diff(ordinary(1), items),
    "apply_before": lambda codec, items: codec.apply_changes(items, ordinary(1), slots()),
    "apply_saves": lambda codec, items: codec.apply_changes(ordinary(1), items, slots()),
    "encode_batch": lambda codec, items: codec.encode_batch(items),
    "encode_save": lambda codec, items: codec.encode_save_inventory_items(7, 9, items),
    "encode_commit": lambda codec, items: codec.encode_commit_inventory(
        1, [changes()._replace(items=items)]
    ),
}
TAKES_SLOTS = {
    "apply_changes": lambda codec, gone: codec.apply_changes(ordinary(1), ordinary(1), gone),
    "encode_delete": lambda codec, gone: codec.encode_delete_inventory_items(7, 9, gone),
    "encode_commit": lambda codec, gone: codec.encode_commit_inventory(
        1, [changes()._replace(deletes=gone)]
    ),
}
# Calls that take bytes, each with bytes that are no broken framing.
TAKES_BYTES = {
    "decode_batch": (lambda codec, data: codec.decode_batch(data), lambda codec: b"\x00\x00\x00"),
    "decode_save": (
        lambda codec, data: codec.decode_save_inventory_items(data),
        lambda codec: codec.encode_save_inventory_items(7, 9, packed(item(3)))[5:],
    ),
    "decode_delete": (
        lambda codec, data: codec.decode_delete_inventory_items(data),
        lambda codec: codec.encode_delete_inventory_items(7, 9, slots(3))[5:],
    ),
    "decode_result": (
        lambda codec, data: codec.decode_inventory_operation_result(data),
        lambda codec: codec.encode_inventory_operation_result(7, 9, 1, 1)[5:],
    ),
    "decode_commit": (
        lambda codec, data: codec.decode_commit_inventory(data),
        lambda codec: codec.encode_commit_inventory(1, [changes()])[5:],
    ),
    "decode_commit_result": (
        lambda codec, data: codec.decode_commit_inventory_result(data),
        lambda codec: codec.encode_commit_inventory_result(1, 2, [(3, 4)], "five")[5:],
    ),
    "split_frames": (lambda codec, data: codec.split_frames(data), lambda codec: b""),
    "decode_commits": (lambda codec, data: codec.decode_commits(data), lambda codec: b""),
}


def permuted() -> np.ndarray:
    """Records of the same fields and size, but not at the same places."""
    offsets = [field.offset for field in WIDE.fields]
    offsets[5], offsets[6] = offsets[6], offsets[5]
    return np.zeros(
        2,
        np.dtype(
            {
                "names": [field.name for field in WIDE.fields],
                "formats": [f"<u{field.size}" for field in WIDE.fields],
                "offsets": offsets,
                "itemsize": WIDE.itemsize,
            }
        ),
    )


NO_BATCHES = {
    "none": None,
    "list": [tuple(item(3))],
    "bytes": b"\x00" * 48,
    "record": ordinary(1)[0],
    "strided": ordinary(4)[::2],
    "reversed": ordinary(4)[::-1],
    "two dimensions": ordinary(4).reshape(2, 2),
    "no dimension": ordinary(1).reshape(()),
    "of bytes": np.zeros(48, np.uint8),
    "of objects": ordinary(2).astype(object),
    "byte-swapped": ordinary(2).astype(INVENTORY_ITEM.newbyteorder(">")),
    "byte-swapped narrow": packed(item(3)).astype(ITEM_DATA.newbyteorder(">")),
    "native32": np.zeros(2, WIRE_LAYOUTS["native32"].dtype),
    "a field less": np.zeros(2, INVENTORY_ITEM.descr[:-1]),
    "aligned": np.zeros(2, np.dtype(ITEM_DATA.descr, align=True)),
    "signed": np.zeros(2, [(name, form.replace("u", "i")) for name, form in INVENTORY_ITEM.descr]),
    "permuted": permuted(),
    "a field's view": ordinary(2)[["entry", "slot"]],
}


@pytest.mark.parametrize("call", TAKES_BATCH.values(), ids=TAKES_BATCH)
@pytest.mark.parametrize("value", NO_BATCHES.values(), ids=NO_BATCHES)
def test_what_is_no_batch(codec, call, value):
    with pytest.raises(RecordError, match="a batch is a one-dimensional C-contiguous array"):
        call(codec, value)


class Subclass(np.ndarray):
    """An array of another class."""


def equal_dtype(dtype: np.dtype) -> np.dtype:
    copy = pickle.loads(pickle.dumps(dtype))
    assert copy is not dtype
    return copy


BATCHES = {
    "pickled": pickle.loads(pickle.dumps(ordinary(3))),
    "equal dtype": ordinary(3).astype(equal_dtype(INVENTORY_ITEM)),
    "metadata": ordinary(3).astype(np.dtype(INVENTORY_ITEM, metadata={"of": "the game"})),
    "subclass": ordinary(3).view(Subclass),
    "recarray": ordinary(3).view(np.recarray),
    "read-only": np.frombuffer(ordinary(3).tobytes(), INVENTORY_ITEM),
    "unaligned": np.frombuffer(b"\x00" + ordinary(3).tobytes(), INVENTORY_ITEM, offset=1),
    "slice": ordinary(9)[:3],
    "strided but of one": ordinary(9)[::9],
    "fortran": np.asfortranarray(ordinary(3)),
}


@pytest.mark.parametrize("call", TAKES_BATCH.values(), ids=TAKES_BATCH)
@pytest.mark.parametrize("value", BATCHES.values(), ids=BATCHES)
def test_every_array_that_is_a_batch(codec, call, value):
    call(codec, value)


def test_batches_of_equal_dtypes_give_equal_bytes(codec):
    items = ordinary(3)
    for name, value in BATCHES.items():
        if len(value) == 3:
            assert codec.encode_batch(value, 1) == codec.encode_batch(items, 1), name
            assert [len(part) for part in codec.diff(value, items)] == [0, 0], name
    narrow = packed(item(3), item(4))
    pickled = narrow.astype(equal_dtype(ITEM_DATA))
    assert codec.encode_save_inventory_items(7, 9, pickled) == (
        codec.encode_save_inventory_items(7, 9, narrow)
    )


@pytest.mark.parametrize("call", TAKES_SLOTS.values(), ids=TAKES_SLOTS)
@pytest.mark.parametrize(
    "value",
    [
        None,
        [3],
        3,
        b"\x03\x00",
        np.array([3], np.int16),
        np.array([3], np.uint32),
        np.array([3], ">u2"),
        np.array([3, 4, 5], np.uint16)[::2],
        np.array([[3]], np.uint16),
        np.array(3, np.uint16),
    ],
    ids=repr,
)
def test_what_is_no_array_of_slots(codec, call, value):
    with pytest.raises(RecordError, match="must be a one-dimensional C-contiguous array"):
        call(codec, value)


# Numbers


class Indexed:
    """An integer of somebody's own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


def calls_with_numbers(codec, number):
    """(limit, name, call) of every number that is encoded."""
    one = changes(items=ordinary(1))
    commit = codec.encode_commit_inventory
    result = codec.encode_commit_inventory_result
    save, delete = codec.encode_save_inventory_items, codec.encode_delete_inventory_items
    answer = codec.encode_inventory_operation_result
    return [
        (U64, "character_guid", lambda: save(number, 1, ordinary(1))),
        (U32, "operation_id", lambda: save(1, number, ordinary(1))),
        (U64, "character_guid", lambda: delete(number, 1, slots(3))),
        (U32, "operation_id", lambda: delete(1, number, slots(3))),
        (U64, "character_guid", lambda: answer(number, 1, 0, 0)),
        (U32, "operation_id", lambda: answer(1, number, 0, 0)),
        (1, "operation_type", lambda: answer(1, 1, number, 0)),
        (1, "success", lambda: answer(1, 1, 0, number)),
        (U64, "operation_id", lambda: commit(number, [one])),
        (U8, "reason", lambda: commit(1, [one], number)),
        (U8, "flags", lambda: commit(1, [one], 0, number)),
        (U64, "character_guid", lambda: commit(1, [one._replace(character_guid=number)])),
        (U32, "session_epoch", lambda: commit(1, [one._replace(session_epoch=number)])),
        (U64, "expected_version", lambda: commit(1, [one._replace(expected_version=number)])),
        (U16, "currency_id", lambda: commit(1, [one._replace(currencies=((number, 1),))])),
        (U64, "operation_id", lambda: result(number, 1, [])),
        (U8, "status", lambda: result(1, number, [])),
        (U64, "character_guid", lambda: result(1, 1, [(number, 1)])),
        (U64, "version", lambda: result(1, 1, [(1, number)])),
    ]


@pytest.mark.parametrize(
    "value", [-1, U64 + 1, 2**200, -(2**200), 1.0, "1", b"1", None, [1], np.float64(1), int, 1j]
)
def test_what_is_no_number_of_its_range(codec, value):
    for limit, name, call in calls_with_numbers(codec, value):
        with pytest.raises(RecordError, match=rf"{name} .* is not an integer in 0\.\.{limit};"):
            call()


def test_the_largest_number_and_the_one_above(codec):
    for place, (limit, name, _) in enumerate(calls_with_numbers(codec, 0)):
        for wanted in (limit, 0, Indexed(1), True, np.uint8(1), np.int64(1)):
            if name != "flags" or wanted != limit:
                calls_with_numbers(codec, wanted)[place][2]()
        for refused in (limit + 1, Indexed(limit + 1), Indexed(-1)):
            with pytest.raises(RecordError, match=f"{name} "):
                calls_with_numbers(codec, refused)[place][2]()


def test_any_integer_type_gives_the_same_bytes(codec):
    given = [
        codec.encode_commit_inventory(
            kind(5),
            [
                ParticipantChanges(
                    kind(7), kind(3), kind(11), ordinary(1), slots(3), ((kind(1), 2),)
                )
            ],
        )
        for kind in (int, Indexed, np.uint64, np.int16)
    ]
    assert len(set(given)) == 1


def test_amounts_are_signed(codec):
    def encode(amount):
        return codec.encode_commit_inventory(1, [changes(currencies=((1, amount),))])

    for amount in (-(2**63), 2**63 - 1, 0, -1, np.int64(-5), Indexed(-7), True):
        commits = codec.decode_commit_inventory(encode(amount)[5:])
        assert commits.currencies["amount"].tolist() == [operator.index(amount)]
    for amount in (-(2**63) - 1, 2**63, 2**100, 1.5, "1", None):
        with pytest.raises(
            RecordError, match=r"amount .* is not an integer in -9223372036854775808"
        ):
            encode(amount)


def test_what_an_index_raises_comes_through(codec):
    class Broken:
        def __index__(self):
            raise KeyError("the game's own bug")

    with pytest.raises(KeyError, match="the game's own bug"):
        codec.encode_save_inventory_items(Broken(), 1, ordinary(1))


# Names


class GameLayout(StrEnum):
    """Layout names as a game may keep them."""

    NATIVE = "native40"


def test_layouts_by_name(codec):
    items = batch(item(3, item_flags=1))
    encoded = codec.encode_save_inventory_items(7, 9, items, GameLayout.NATIVE)
    assert encoded == codec.encode_save_inventory_items(7, 9, items, "native40")
    assert codec.narrow(items, GameLayout.NATIVE).dtype.itemsize == 40
    codec.decode_save_inventory_items(encoded[5:], GameLayout.NATIVE)
    codec.decode_commits(encoded, 0, GameLayout.NATIVE)
    with pytest.raises(RecordError) as caught:
        codec.narrow(batch(item(3, stack_count=256)), GameLayout.NATIVE)
    assert caught.value.layout == "native40"


@pytest.mark.parametrize("name", ["", "PACKED", "inventory_item", None, 0, b"packed", ["packed"]])
def test_layouts_that_are_none(codec, name):
    calls = [
        lambda: codec.narrow(ordinary(1), name),
        lambda: codec.encode_save_inventory_items(7, 9, ordinary(1), name),
        lambda: codec.decode_save_inventory_items(b"", name),
    ]
    if name is not None:
        calls.append(lambda: codec.decode_commits(b"", 0, name))
    for call in calls:
        with pytest.raises(RecordError, match="is not one of packed, native32, native40"):
            call()


@pytest.mark.parametrize("opcode", [0, 0x0C, -1, 0x80, None, "10"])
def test_result_opcodes_of_no_dialect(codec, opcode):
    with pytest.raises(RecordError, match="is not one of 0x0A, 0x0B"):
        codec.encode_inventory_operation_result(7, 9, 0, 0, opcode)


# Buffers


@pytest.mark.parametrize(("call", "make"), TAKES_BYTES.values(), ids=TAKES_BYTES)
def test_any_contiguous_buffer_is_read(codec, call, make):
    data = make(codec)
    expected = repr(call(codec, data))
    mapped = mmap.mmap(-1, max(1, len(data)))
    mapped[: len(data)] = data
    for buffer in (
        bytearray(data),
        memoryview(data),
        memoryview(b"x" + data)[1:],
        array.array("B", data),
        np.frombuffer(data, np.uint8),
        np.frombuffer(data, np.uint8).reshape(-1, 1),
        np.frombuffer(data, [("one", "u1")]),
        memoryview(mapped)[: len(data)],
    ):
        assert repr(call(codec, buffer)) == expected


@pytest.mark.parametrize(("call", "make"), TAKES_BYTES.values(), ids=TAKES_BYTES)
def test_what_is_no_buffer(codec, call, make):
    released = memoryview(b"abc")
    released.release()
    for value in (
        None,
        "text",
        7,
        [1, 2],
        released,
        memoryview(b"abcdef")[::2],
        np.zeros(6, np.uint8)[::2],
        np.zeros((3, 2), np.uint8).T,
    ):
        with pytest.raises(RecordError, match="another C-contiguous buffer is wanted, not"):
            call(codec, value)
