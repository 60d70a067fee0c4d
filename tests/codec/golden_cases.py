"""The golden frames: how a case of golden.json is read, encoded and decoded.

``python tests/codec/golden_cases.py`` prints what the Python twin makes of every case whose
``frame`` is missing. It writes nothing: whoever adds a case checks the bytes, then pastes them.

``items`` are rows of the fields of `INVENTORY_ITEM`, cut where only zeros follow.
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mmoinv.commits import Commits, CurrencyDelta, ParticipantChanges
from mmoinv.records import INVENTORY_ITEM, SLOT, WIDE, Batch

FILE = Path(__file__).with_name("golden.json")
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())


def batch_of_rows(rows: list[list[int]]) -> Batch:
    """The rows of a case as a batch."""
    return np.array([tuple(row + [0] * (len(WIDE.fields) - len(row))) for row in rows], WIDE.dtype)


def changes_of(participant: dict[str, Any]) -> ParticipantChanges:
    """A participant of a case."""
    return ParticipantChanges(
        participant["character_guid"],
        participant["session_epoch"],
        participant["expected_version"],
        batch_of_rows(participant["items"]),
        np.array(participant["deletes"], SLOT),
        tuple(CurrencyDelta(*pair) for pair in participant["currencies"]),
    )


def encode(codec: ModuleType, case: dict[str, Any]) -> bytes:
    """The case through the encoder of its packet."""
    match case["packet"]:
        case "SaveInventoryItems":
            return codec.encode_save_inventory_items(
                case["character_guid"],
                case["operation_id"],
                batch_of_rows(case["items"]),
                case["layout"],
            )
        case "DeleteInventoryItems":
            return codec.encode_delete_inventory_items(
                case["character_guid"], case["operation_id"], np.array(case["slots"], SLOT)
            )
        case "InventoryOperationResult":
            return codec.encode_inventory_operation_result(
                case["character_guid"],
                case["operation_id"],
                case["operation_type"],
                case["success"],
                case["opcode"],
            )
        case "batch":
            return codec.encode_batch(batch_of_rows(case["items"]), case["encoding"])
        case "CommitInventory":
            return codec.encode_commit_inventory(
                case["operation_id"],
                [changes_of(one) for one in case["participants"]],
                case["reason"],
                case["flags"],
            )
        case "CommitInventoryResult":
            return codec.encode_commit_inventory_result(
                case["operation_id"],
                case["status"],
                [tuple(pair) for pair in case["participants"]],
                case["message"],
            )
    raise AssertionError(case["packet"])


def rows_of(items: Batch) -> list[list[int]]:
    """A batch as the rows of a case."""
    assert items.dtype == INVENTORY_ITEM
    rows = [list(row) for row in items.tolist()]
    for row in rows:
        while row and row[-1] == 0:
            row.pop()
    return rows


def participants_of(commits: Commits) -> list[dict[str, Any]]:
    """The participants of decoded commits, as a case writes them."""
    found = []
    for one in commits.participants:
        items, deletes, currencies = (
            array[int(one[f"first_{name}"]) :][: int(one[f"{name}_count"])]
            for name, array in (
                ("item", commits.items),
                ("delete", commits.deletes),
                ("currency", commits.currencies),
            )
        )
        found.append(
            {
                "character_guid": int(one["character_guid"]),
                "session_epoch": int(one["session_epoch"]),
                "expected_version": int(one["expected_version"]),
                "items": rows_of(items),
                "deletes": deletes.tolist(),
                "currencies": [list(pair) for pair in currencies.tolist()],
            }
        )
    return found


def decode(codec: ModuleType, case: dict[str, Any]) -> dict[str, Any]:
    """The case's frame through the decoder, as the fields of a case."""
    data = bytes.fromhex(case["frame"])
    body = data[5:]
    match case["packet"]:
        case "SaveInventoryItems":
            guid, operation_id, items = codec.decode_save_inventory_items(body, case["layout"])
            return {
                "character_guid": guid,
                "operation_id": operation_id,
                "items": rows_of(items),
            }
        case "DeleteInventoryItems":
            guid, operation_id, slots = codec.decode_delete_inventory_items(body)
            return {
                "character_guid": guid,
                "operation_id": operation_id,
                "slots": slots.tolist(),
            }
        case "InventoryOperationResult":
            names = ("character_guid", "operation_id", "operation_type", "success")
            decoded = codec.decode_inventory_operation_result(body)
            return dict(zip(names, decoded, strict=True)) | {"opcode": data[0]}
        case "batch":
            items, end = codec.decode_batch(data)
            assert end == len(data)
            return {"items": rows_of(items), "encoding": data[2]}
        case "CommitInventory":
            commits = codec.decode_commit_inventory(body)
            (operation,) = commits.operations
            return {
                "operation_id": int(operation["operation_id"]),
                "reason": int(operation["reason"]),
                "flags": int(operation["flags"]),
                "participants": participants_of(commits),
            }
        case "CommitInventoryResult":
            names = ("operation_id", "status", "participants", "message")
            decoded = dict(zip(names, codec.decode_commit_inventory_result(body), strict=True))
            return decoded | {"participants": [list(pair) for pair in decoded["participants"]]}
    raise AssertionError(case["packet"])


if __name__ == "__main__":
    from mmoinv import _codec_py

    for missing in (case for case in CASES if not case.get("frame")):
        print(f"{missing['name']}\n  {encode(_codec_py, missing).hex()}")
