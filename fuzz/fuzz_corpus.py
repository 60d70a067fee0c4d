"""What fuzzing begins with: the golden packets of the tests, and what the encoders make.

Every seed is a whole frame, but for batches and packed changes, which are none.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from mmoinv import codec
from mmoinv.commits import CURRENCY, CurrencyDelta, ParticipantChanges
from mmoinv.records import SLOT, Batch, empty_batch
from mmoinv.wire.packets import PlayerCharacterJoin

TESTS = Path(__file__).parents[1] / "tests"


def items(count: int) -> Batch:
    """Valid records as an inventory has them."""
    batch = empty_batch(count)
    place = np.arange(count)
    batch["entry"] = np.where(place % 4, 2589, 40_000 + place)
    batch["slot"] = 512 + place
    batch["stack_count"] = place % 20 + 1
    batch["creator"] = place % 3 << 33
    batch["durability"] = place % 5 * 17
    batch["item_guid"] = (9 << 32) + 1000 + place
    return batch


def batches() -> list[bytes]:
    """Batches of protocol 4 in both encodings."""
    golden = [bytes.fromhex(one["frame"]) for one in _golden() if one["packet"] == "batch"]
    return golden + [
        codec.encode_batch(items(n), how) for n in (0, 1, 3, 30, 300) for how in (0, 1)
    ]


def changes() -> list[bytes]:
    """Rows of the ledger."""
    some, none = items(6), empty_batch(6)
    other = some.copy()
    other["stack_count"] += 5
    pairs = ((some, none), (none, some), (some, other))
    return [
        codec.pack_changes(before[:n], after[:n], np.array([n], np.uint64))[0]
        for before, after in pairs
        for n in (0, 1, 6)
    ]


def frames() -> dict[int, list[bytes]]:
    """Whole frames by their opcode."""
    found = [bytes.fromhex(one["frame"]) for one in _golden() if one["packet"] != "batch"]
    for value in _golden_wire().values():
        found += [bytes.fromhex(one) for one in ([value] if isinstance(value, str) else value)]
    found += _commits() + _saves()
    found.append(
        PlayerCharacterJoin(7, 1, 2, items(25), np.array([(1, 5)], CURRENCY), b"own").encode()
    )
    by_opcode: dict[int, list[bytes]] = {}
    for frame in found:
        by_opcode.setdefault(frame[0], []).append(frame)
    return by_opcode


def golden_logon(dialect: int) -> list[bytes]:
    """The four frames of a whole logon, both ends in turn."""
    return [bytes.fromhex(one) for one in _golden_wire()[f"logon of dialect {dialect}"]]


def _commits() -> list[bytes]:
    gone = np.array([3, 5], SLOT)
    money = (CurrencyDelta(1, 50), CurrencyDelta(2, -1))
    one = ParticipantChanges(7, 3, 11, items(2), gone, money)
    many = ParticipantChanges(8, 3, 11, items(60), gone[:0])
    made = [
        codec.encode_commit_inventory(1 << 32 | 5, participants, 1, flags)
        for participants, flags in (([one], 0), ([many], 1), ([one, many], 2), ([one, many], 6))
    ]
    made += [
        codec.encode_commit_inventory_result(1 << 32 | 5, status, [(7, 12), (8, 1)][:count], text)
        for status, count, text in ((0, 1, ""), (3, 2, "why"), (5, 0, "é"))
    ]
    return [*made, _expanding() * 40]


def _expanding() -> bytes:
    """Few bytes that come to 4,096 records, all in one slot: well-formed, and refused."""
    columns = b"".join(bytes([0x11, 1]) for _ in range(10))
    body = struct.pack("<QBBH", 5, 0, 0, 1) + struct.pack("<QIQHB", 7, 3, 11, 0, 0)
    body += struct.pack("<HB", 4096, 1) + columns
    return struct.pack("<BI", 0x80, len(body)) + body


def _saves() -> list[bytes]:
    made = [
        codec.encode_save_inventory_items(7, 5, items(count), layout)
        for layout in ("packed", "native32", "native40")
        for count in (0, 2, 20)
    ]
    made.append(codec.encode_delete_inventory_items(7, 5, np.array([3, 5, 600], SLOT)))
    made += [codec.encode_inventory_operation_result(7, 5, 1, 0, code) for code in (0x0A, 0x0B)]
    return made


def _golden() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((TESTS / "codec/golden.json").read_text())
    return found


def _golden_wire() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TESTS / "wire/golden.json").read_text())
    return found
