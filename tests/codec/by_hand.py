"""A second, independent way from a golden case to its bytes: the protocol's text in struct.

Written from the protocol's description alone. Imports nothing of mmoinv, and must not: it is
what keeps a mistake that both twins share from becoming golden.
"""

import struct
from typing import Any

FIELD_SIZES = (4, 2, 2, 8, 8, 4, 4, 4, 4, 8)
"""entry, slot, stack_count, creator, contained, durability, two random indices, flags, guid."""

WIDE_RECORD = "<IHHQQIIIIQ"
PACKED_RECORD = "<IHBQQHHH"
NATIVE32_RECORD = "<IHBxQQHHH2x"
NATIVE40_RECORD = "<IHBxQQHHH2xI4x"


def frame(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BI", opcode, len(body)) + body


def whole(row: list[int]) -> list[int]:
    return row + [0] * (10 - len(row))


def save(case: dict[str, Any]) -> bytes:
    body = struct.pack("<QIH", case["character_guid"], case["operation_id"], len(case["items"]))
    for row in map(whole, case["items"]):
        match case["layout"]:
            case "packed":
                body += struct.pack(PACKED_RECORD, *row[:8])
            case "native32":
                body += struct.pack(NATIVE32_RECORD, *row[:8])
            case "native40":
                body += struct.pack(NATIVE40_RECORD, *row[:9])
    return frame(0x0E, body)


def delete(case: dict[str, Any]) -> bytes:
    count = len(case["slots"])
    head = struct.pack("<QIH", case["character_guid"], case["operation_id"], count)
    return frame(0x0F, head + struct.pack(f"<{count}H", *case["slots"]))


def result(case: dict[str, Any]) -> bytes:
    keys = ("character_guid", "operation_id", "operation_type", "success")
    return frame(case["opcode"], struct.pack("<QIBB", *(case[key] for key in keys)))


def number(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little")


def column(values: list[int]) -> bytes:
    """Every kind that can carry the values, written out; the shortest, then the lowest, wins."""
    if all(value == 0 for value in values):
        return bytes([0])
    width = next(width for width in range(1, 9) if max(values) < 256**width)
    forms = {}
    if len(set(values)) == 1:
        forms[1] = bytes([0x10 + width]) + number(values[0], width)
    forms[2] = bytes([0x20 + width]) + b"".join(number(value, width) for value in values)
    base = min(values)
    spread = next(width for width in range(1, 9) if max(values) - base < 256**width)
    forms[3] = bytes([0x30 + spread]) + number(base, 8)
    forms[3] += b"".join(number(value - base, spread) for value in values)
    seen: list[int] = []
    for value in values:
        if value not in seen:
            seen.append(value)
    if len(seen) < 256:
        forms[4] = bytes([0x40 + width, len(seen)])
        forms[4] += b"".join(number(value, width) for value in seen)
        forms[4] += bytes(seen.index(value) for value in values)
    return min(forms.items(), key=lambda form: (len(form[1]), form[0]))[1]


def batch(rows: list[list[int]], encoding: int) -> bytes:
    rows = [whole(row) for row in rows]
    data = struct.pack("<HB", len(rows), encoding)
    if encoding == 0:
        return data + b"".join(struct.pack(WIDE_RECORD, *row) for row in rows)
    return data + b"".join(column([row[place] for row in rows]) for place in range(10))


def commit(case: dict[str, Any]) -> bytes:
    participants = case["participants"]
    body = struct.pack(
        "<QBBH", case["operation_id"], case["reason"], case["flags"], len(participants)
    )
    for one in participants:
        body += struct.pack(
            "<QIQHB",
            one["character_guid"],
            one["session_epoch"],
            one["expected_version"],
            len(one["deletes"]),
            len(one["currencies"]),
        )
        body += batch(one["items"], 1 if 48 * len(one["items"]) > 1000 else 0)
        body += b"".join(struct.pack("<H", slot) for slot in one["deletes"])
        body += b"".join(struct.pack("<Hq", *pair) for pair in one["currencies"])
    return frame(0x80, body)


def commit_result(case: dict[str, Any]) -> bytes:
    text = case["message"].encode()
    body = struct.pack("<QBH", case["operation_id"], case["status"], len(case["participants"]))
    body += b"".join(struct.pack("<QQ", *pair) for pair in case["participants"])
    return frame(0x80, body + struct.pack("<H", len(text)) + text)


def build(case: dict[str, Any]) -> bytes:
    """The bytes that the case must have."""
    match case["packet"]:
        case "SaveInventoryItems":
            return save(case)
        case "DeleteInventoryItems":
            return delete(case)
        case "InventoryOperationResult":
            return result(case)
        case "batch":
            return batch(case["items"], case["encoding"])
        case "CommitInventory":
            return commit(case)
        case "CommitInventoryResult":
            return commit_result(case)
    raise AssertionError(case["packet"])
