"""What the tests of explained frames share: the golden frames, and two ways to their values.

`said` takes the values from the spans, `decoded` from the packet's decoder, in the same form.
"""

import json
import re
from pathlib import Path
from typing import Any

from mmoinv import codec
from mmoinv.records import WIRE_LAYOUTS, Batch
from mmoinv.wire import packets, trades
from mmoinv.wire.anatomy import PACKETS
from mmoinv.wire.explain import ExplainedFrame
from mmoinv.wire.opcodes import Opcode

HERE = Path(__file__).parent
CODEC_CASES = json.loads((HERE.parent / "codec" / "golden.json").read_text())
WIRE_CASES = json.loads((HERE / "golden.json").read_text())
DIALECT = {"": None, "packed": 1, "native32": 2, "native40": 3}


def join_with(batch: bytes) -> bytes:
    """The frame of a character that has a batch, as it stands, and nothing else."""
    body = bytes(20) + batch + bytes(5)
    return packets.frame(Opcode.PLAYER_CHARACTER_JOIN, body)


GOLDEN: list[tuple[str, bytes, str]] = [
    *(
        (
            f"{one['packet']}: {one['name']}",
            bytes.fromhex(one["frame"])
            if one["packet"] != "batch"
            else join_with(bytes.fromhex(one["frame"])),
            one.get("layout", ""),
        )
        for one in CODEC_CASES
    ),
    *((name, bytes.fromhex(one), "") for name, one in WIRE_CASES.items() if isinstance(one, str)),
    *(
        (f"{name}, frame {place}", bytes.fromhex(frame), "")
        for name, frames in WIRE_CASES.items()
        if isinstance(frames, list)
        for place, frame in enumerate(frames)
    ),
]


def check_spans(frames: list[ExplainedFrame], data: bytes) -> None:
    """The spans lie side by side and are all of the bytes."""
    at = 0
    for frame in frames:
        assert frame.offset == at
        for span in frame.spans:
            assert span.offset == at
            at += len(span.data)
    assert b"".join(span.data for frame in frames for span in frame.spans) == data


# What the spans say, and what the decoders say, in the same form.


def said(frame: ExplainedFrame) -> dict[str, dict[str, Any]]:
    """The values by group and name; columns as the records that they come to."""
    assert not frame.fault
    found: dict[str, dict[str, Any]] = {}
    for span in frame.spans[2:]:
        is_length = span.name.endswith(" length")
        if span.name == "padding" or is_length or "column " in span.group:
            continue
        value: Any = span.value
        if span.type == "bytes":
            value = span.data
        elif span.type != "utf-8":
            value = int(value)
            assert value == int.from_bytes(span.data, "little", signed=span.type == "i64")
        group = found.setdefault(span.group, {})
        assert span.name not in group
        group[span.name] = value
    batches = iter(frame.batches)
    for group, fields in list(found.items()):
        if fields.get("encoding") == 1:
            found |= records_of(next(batches)[1], group)
    assert next(batches, None) is None
    return found


def columns_of(frame: ExplainedFrame) -> dict[str, list[int]]:
    """The columns as their spans say: what must come to the decoded records."""
    ((_, batch),) = frame.batches
    columns = {name: [0] * len(batch) for name in batch.dtype.names or ()}
    pieces: dict[str, dict[str, list[int]]] = {}
    for span in frame.spans:
        if "column " in span.group and span.name != "kind and width":
            own = pieces.setdefault(span.group.split("column ")[1], {})
            own[span.name] = [int(one) for one in span.value.split(", ")]
    for name, piece in pieces.items():
        match list(piece):
            case ["value"]:
                columns[name] = piece["value"] * len(batch)
            case ["values"]:
                columns[name] = piece["values"]
            case ["base", "offsets"]:
                columns[name] = [piece["base"][0] + one for one in piece["offsets"]]
            case ["dictionary size", "dictionary", "indices"]:
                columns[name] = [piece["dictionary"][one] for one in piece["indices"]]
    return columns


def records_of(items: Batch, group: str = "") -> dict[str, dict[str, Any]]:
    before = f"{group}, " if group else ""
    names = items.dtype.names or ()
    return {
        f"{before}record {place}": dict(zip(names, row, strict=True))
        for place, row in enumerate(items.tolist())
    }


def currencies_of(currencies: Any, amount: str, group: str = "") -> dict[str, dict[str, Any]]:
    before = f"{group}, " if group else ""
    return {
        f"{before}currency {place}": {"id": row[0], amount: row[1]}
        for place, row in enumerate(currencies.tolist())
    }


def decoded(frame: ExplainedFrame, data: bytes, layout: str) -> dict[str, dict[str, Any]]:
    """The same from the packet's decoder."""
    body = data[5:]
    packet = PACKETS[data[0], frame.sender or "world"]
    match packet.name:
        case "CommitInventory":
            return decoded_commit(body)
        case "CommitInventoryResult":
            number, status, pairs, message = codec.decode_commit_inventory_result(body)
            top = {"operation id": number, "status": status, "participants": len(pairs)}
            return {"": top | {"message": repr(message)}} | {
                f"participant {place}": {"character guid": guid, "version": version}
                for place, (guid, version) in enumerate(pairs)
            }
        case "SaveInventoryItems":
            guid, number, items = codec.decode_save_inventory_items(body, layout)
            names = [field.name for field in WIRE_LAYOUTS[layout].fields]
            top = {"character guid": guid, "operation id": number, "records": len(items)}
            return {"": top} | records_of(items[names])
        case "DeleteInventoryItems":
            guid, number, slots = codec.decode_delete_inventory_items(body)
            top = {"character guid": guid, "operation id": number, "slots": len(slots)}
            return {"": top | {f"slot {n}": slot for n, slot in enumerate(slots.tolist())}}
        case "InventoryOperationResult":
            names = ["character guid", "operation id", "type", "success"]
            values = codec.decode_inventory_operation_result(body)
            return {"": dict(zip(names, values, strict=True))}
        case "PlayerCharacterJoin":
            one = packets.PlayerCharacterJoin.decode(body)
            top = {"character guid": one.character_guid, "session epoch": one.session_epoch}
            top |= {"version": one.version, "records": len(one.items), "encoding": body[22]}
            top |= {"currencies": len(one.currencies), "game's own": one.opaque}
            balances = currencies_of(one.currencies, "balance")
            return {"": top} | records_of(one.items) | balances
        case "TradeOffer":
            offer = trades.TradeOffer.decode(body)
            names = [name.replace("_", " ") for name in offer._fields[:7]]
            top = dict(zip(names, offer[:7], strict=True))
            top |= {"records": len(offer.items), "encoding": body[37]}
            top |= {"currencies": len(offer.currencies)}
            amounts = currencies_of(offer.currencies, "amount")
            return {"": top} | records_of(offer.items) | amounts
        case "TradeConfirm":
            confirm = trades.TradeConfirm.decode(body)
            names = [name.replace("_", " ") for name in confirm._fields[:5]]
            found = decoded_commit(confirm.half)
            return found | {"": dict(zip(names, confirm[:5], strict=True)) | found[""]}
    control: Any = packet.decode(body)
    # SCRAM's messages are written with hyphens.
    names = [
        re.sub("(client|server) ", r"\1-", field.replace("_", " ")) for field in control._fields
    ]
    values = [repr(value) if isinstance(value, str) else value for value in control]
    return {"": dict(zip(names, values, strict=True))}


def decoded_commit(body: bytes) -> dict[str, dict[str, Any]]:
    commits = codec.decode_commit_inventory(body)
    (operation,) = commits.operations.tolist()
    count = len(commits.participants)
    top = {"operation id": operation[0], "reason": operation[4], "flags": operation[5]}
    found: dict[str, dict[str, Any]] = {"": top | {"participants": count}}
    for place, one in enumerate(commits.participants):
        items, deletes, currencies = (
            array[int(one[f"first_{name}"]) :][: int(one[f"{name}_count"])]
            for name, array in (
                ("item", commits.items),
                ("delete", commits.deletes),
                ("currency", commits.currencies),
            )
        )
        group = f"participant {place}"
        found[group] = {
            "character guid": int(one["character_guid"]),
            "session epoch": int(one["session_epoch"]),
            "expected version": int(one["expected_version"]),
            "deletes": len(deletes),
            "currencies": len(currencies),
            "records": len(items),
            "encoding": int(48 * len(items) > 1000),
        } | {f"deleted slot {n}": slot for n, slot in enumerate(deletes.tolist())}
        found |= records_of(items, group) | currencies_of(currencies, "change", group)
    return found
