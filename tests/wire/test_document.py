"""The examples of docs/protocol.md are what the code writes, byte by byte."""

import re
from pathlib import Path

from test_golden_logon import transcript

from mmoinv import codec
from mmoinv.commits import ParticipantChanges
from mmoinv.records import InventoryItemData, batch_of, slots_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
HEX = re.compile(r"((?:[0-9a-f]{2} ?)+)(?:  |$)")


def examples() -> list[bytes]:
    """The bytes of every block of the page that begins with hexadecimal digits."""
    blocks = re.findall(r"```\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found = []
    for block in blocks:
        # What follows two spaces is commentary.
        rows = [HEX.match(line.strip()) for line in block.splitlines() if line.strip()]
        if rows[0] is not None:
            assert all(rows), block
            found.append(bytes.fromhex("".join(row[1] for row in rows if row)))
    return found


def test_the_examples_of_the_document():
    potions = batch_of(
        *(
            InventoryItemData(
                2589, 0xFF17 + index, count, contained=7, item_guid=(1 << 32 | 1) + index
            )
            for index, count in enumerate((5, 20, 2))
        )
    )
    item = batch_of(InventoryItemData(2589, 0xFF17, 5, item_guid=41 << 32 | 1))
    operation_id, short_id, slots = 41 << 32 | 2, 1 << 16 | 5, slots_of(0xFF18)
    changes = ParticipantChanges(7, 3, 17, item, slots)
    assert examples() == [
        codec.encode_batch(potions, 1),
        b"".join(transcript(0)),
        codec.encode_commit_inventory(operation_id, [changes], reason=9),
        codec.encode_commit_inventory_result(operation_id, 0, [(7, 18)]),
        codec.encode_save_inventory_items(7, short_id, item, "packed")
        + codec.encode_delete_inventory_items(7, short_id, slots)
        + codec.encode_inventory_operation_result(7, short_id, 0, 1, 0x0A),
    ]
