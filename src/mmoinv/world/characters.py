"""The characters that a world has joined: their sessions and what is committed of them.

Knows the realm's answers, not how they travel.
"""

from dataclasses import dataclass, field

from mmoinv.records import Batch


@dataclass(eq=False, slots=True)
class JoinedCharacter:
    """A character whose session this world holds.

    ``items`` is what is committed, a slot-sorted `INVENTORY_ITEM` batch: at first what came
    with the join. It and ``version`` follow each committed operation; the batch is replaced,
    never changed in place.
    """

    guid: int
    epoch: int
    version: int
    items: Batch
    balances: dict[int, int] = field(default_factory=dict)
    """What is committed of each currency; follows as ``items`` does."""


def read_only(items: Batch) -> Batch:
    """The same batch, not to be written to: what is diffed against must not change under the
    game's hands unnoticed."""
    items.setflags(write=False)
    return items
