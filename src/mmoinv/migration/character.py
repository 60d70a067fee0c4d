"""A character that is joined: its mode, what is committed of it, what of it is on its way.

Knows no repository. All of it is guarded by the one lock of its `Move`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.records import Batch
from mmoinv.repository import CharacterChanges, OperationHandle


class MovingCharacter(NamedTuple):
    """What a join gives: the mode, and what the side that decides has. ``items`` is read-only,
    slot-sorted `INVENTORY_ITEM`."""

    guid: int
    mode: MigrationMode
    items: Batch
    balances: Mapping[int, int]


@dataclass(eq=False, slots=True)
class Waiting:
    """An operation that is held until one side can decide for all its characters."""

    handle: OperationHandle
    characters: Sequence["Character"]
    changes: Sequence[CharacterChanges]
    reason: int
    conserve: bool
    is_uniting: bool = False
    """Its characters are being brought to one side."""
    is_over: bool = False
    """It was sent or refused."""


@dataclass(eq=False, slots=True)
class Character:
    """One joined character.

    ``items`` and ``balances`` are what the side that decides has answered, in order; the batch is
    read-only and replaced, never changed in place.
    """

    guid: int
    mode: MigrationMode
    wanted: MigrationMode
    items: Batch
    balances: dict[int, int]
    in_flight: int = 0
    """Operations that the deciding side has not answered."""
    queue: deque[Waiting] = field(default_factory=deque)
    is_held: bool = False
    """Who decides is being changed: what is committed meanwhile waits in ``queue``."""
    pinned: int = 0
    """Operations with others' characters for which the new side must decide."""
    is_moving: bool = False
    """A task takes it from mode to mode."""
    is_doubtful: bool = False
    """The deciding side left it open whether it took something: who decides must not change."""
    is_leaving: bool = False
    is_lost: bool = False
    """Another world has it."""
    is_behind: bool = True
    """As the book has it."""
    retry_at_s: float = 0.0
    retry_s: float = 0.0
    step: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever takes it from one mode to the next."""
    idle: list[asyncio.Future[None]] = field(default_factory=list)
    """Wait until nothing is in flight."""

    @property
    def decider(self) -> Side:
        """Whose answer counts."""
        return self.mode.decider

    @property
    def follower(self) -> Side:
        """The other one."""
        return self.mode.decider.other
