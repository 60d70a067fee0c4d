"""Compares what is stored with what the worlds hold, record by record.

Pure: arrays in, findings out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mmoinv.records import INVENTORY_ITEM, Batch

SHOWN = 10
"""Findings that are kept in words."""


@dataclass
class Findings:
    """The outcome of a comparison.

    ``lost``: records that a world holds and that are not stored, or stored otherwise.
    ``doubled``: stored records that no world holds, and item guids that are stored twice.
    """

    characters: int = 0
    records: int = 0
    lost: int = 0
    doubled: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything is there exactly once."""
        return self.lost == self.doubled == 0

    def note(self, example: str) -> None:
        """Keep a finding in words, if there is room."""
        if len(self.examples) < SHOWN:
            self.examples.append(example)


def compare(held: Mapping[int, Batch], stored: Mapping[int, Batch]) -> Findings:
    """Compare by character guid. One that is missing in ``stored`` has nothing stored; one that
    is missing in ``held`` should have nothing stored."""
    findings = Findings()
    owners: dict[int, int] = {}
    for guid in stored.keys() - held.keys():
        findings.doubled += len(stored[guid])
        findings.note(f"character {guid:#x}: stored, but in no world")
    for guid, world_items in held.items():
        findings.characters += 1
        findings.records += len(world_items)
        in_world = {int(record["slot"]): record for record in world_items}
        rows = stored.get(guid, world_items[:0])
        in_rows = {int(record["slot"]): record for record in rows}
        for slot, record in in_world.items():
            row = in_rows.get(slot)
            if row is None:
                findings.lost += 1
                findings.note(f"character {guid:#x}, slot {slot}: not stored")
            elif row.tobytes() != record.tobytes():
                findings.lost += 1
                names = [name for name in row.dtype.names if row[name] != record[name]]
                findings.note(f"character {guid:#x}, slot {slot}: {', '.join(names)} differ")
        for slot in in_rows.keys() - in_world.keys():
            findings.doubled += 1
            findings.note(f"character {guid:#x}, slot {slot}: stored, but not in the world")
        for item_guid in rows["item_guid"][rows["item_guid"] != 0].tolist():
            if item_guid in owners:
                findings.doubled += 1
                findings.note(
                    f"item {item_guid:#x}: stored for characters {owners[item_guid]:#x} "
                    f"and {guid:#x}"
                )
            owners[item_guid] = guid
    return findings


def batch_from_bytes(data: bytes) -> Batch:
    """A batch that came through a pipe as its bytes."""
    return np.frombuffer(data, INVENTORY_ITEM).copy()
