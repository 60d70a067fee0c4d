"""What is decoded owns its memory; what is read is let go, whatever happens."""

import gc
import weakref

import numpy as np
import pytest
from codec_cases import batch, changes, frame, item, ordinary, packed, slots

from mmoinv.errors import ContentError, FramingError


def bodies(codec) -> dict:
    """Each decoder with a frame's body that it takes."""
    save = codec.encode_save_inventory_items(7, 9, packed(item(3), item(4)))
    delete = codec.encode_delete_inventory_items(7, 9, slots(3, 4))
    commit = codec.encode_commit_inventory(
        1, [changes(1, ordinary(3), (3,), currencies=((1, 2),)), changes(2, ordinary(30), (4,))]
    )
    return {
        codec.decode_save_inventory_items: save[5:],
        codec.decode_delete_inventory_items: delete[5:],
        codec.decode_commit_inventory: commit[5:],
        codec.decode_batch: codec.encode_batch(ordinary(3)),
        codec.split_frames: save + delete + commit,
        codec.decode_commits: commit + commit,
        lambda data: codec.decode_commits(data, 0, "packed"): save + delete,
        codec.decode_inventory_operation_result: b"\x01" * 14,
        codec.decode_commit_inventory_result: codec.encode_commit_inventory_result(
            1, 2, [(3, 4)], "five"
        )[5:],
    }


def arrays(value) -> list[np.ndarray]:
    """Every array in a result."""
    if isinstance(value, np.ndarray):
        return [value]
    return [array for part in value for array in arrays(part)] if isinstance(value, tuple) else []


def test_no_view_outlives_a_buffer(codec):
    for decode, data in bodies(codec).items():
        buffer = bytearray(data)
        result = decode(buffer)
        kept = [array.tobytes() for array in arrays(result)]
        buffer[:] = b"\xff" * len(buffer)
        buffer.extend(b"\xff" * 1000)  # raises BufferError if a view is left
        buffer.clear()
        assert [array.tobytes() for array in arrays(result)] == kept


def test_no_view_outlives_an_error(codec):
    for decode, data in bodies(codec).items():
        buffer = bytearray(data[:-1])
        try:
            decode(buffer)
        except FramingError:
            buffer.clear()  # while the error and its traceback are still there
    for decode, data in (
        (codec.decode_save_inventory_items, b"\x00" * 12 + b"\x01\x00" + b"\x00" * 29),
        (codec.decode_commit_inventory, b"\x00" * 12),
        (codec.decode_delete_inventory_items, b"\x00" * 12 + b"\x02\x00" + b"\x00" * 4),
    ):
        buffer = bytearray(data)
        try:
            decode(buffer)
        except ContentError:
            buffer.clear()
        else:
            pytest.fail("the content is bad")
    buffer = bytearray(frame(0x80, b""))
    with pytest.raises(FramingError):
        codec.decode_commits(buffer)
    buffer.clear()


def test_what_comes_out_may_be_written_to(codec):
    results = [decode(data) for decode, data in bodies(codec).items()]
    results += [
        codec.widen(ordinary(3)),
        codec.widen(packed(item(3))),
        codec.narrow(ordinary(3)),
        codec.narrow(ordinary(3), "native40"),
        codec.sort_by_slot(ordinary(3)),
        codec.sort_by_slot(batch(item(4), item(3))),
        codec.diff(ordinary(3), ordinary(4)),
        codec.diff(ordinary(4), ordinary(3)),
        codec.apply_changes(ordinary(3), ordinary(2), slots(514)),
    ]
    found = [array for result in results for array in arrays(result)]
    assert len(found) > 25
    for array in found:
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned
        array.view(np.uint8)[:] = 0xA5


def test_two_results_share_nothing(codec):
    for decode, data in bodies(codec).items():
        one, other = arrays(decode(data)), arrays(decode(data))
        for array in one:
            array.view(np.uint8)[:] = 0xA5
        for array, again in zip(other, arrays(decode(data)), strict=True):
            assert array.tobytes() == again.tobytes()


def test_results_are_let_go(codec):
    for decode, data in bodies(codec).items():
        references = [weakref.ref(array) for array in arrays(decode(data))]
        gc.collect()
        assert [reference() for reference in references] == [None] * len(references)


def test_what_is_encoded_is_bytes_of_its_own(codec):
    items = ordinary(3)
    encoded = codec.encode_batch(items, 0)
    kept = bytes(bytearray(encoded))
    items["entry"] = 9
    assert encoded == kept
    assert type(encoded) is bytes
