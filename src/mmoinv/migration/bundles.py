"""What waits to be written to a side that does not decide, and what is on its way there.

A *bundle* is what one write will carry: of each of its characters either what changed, added up, or
the whole inventory. Operations over several characters keep them in one bundle, so that an item
that changed hands is never at both or at neither. Knows no repository and no thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmoinv.errors import RecordError
from mmoinv.migration.character import Character
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.move import Held
from mmoinv.repository import CharacterChanges, OperationHandle

MAX_CHARACTERS = 64
MAX_RECORDS = 4096
"""More than that is not kept together, nor kept at all: each character is written whole."""

WHOLE = None
"""Of this character everything is written."""
Part = CharacterChanges | None


@dataclass(eq=False, slots=True)
class Bundle:
    """What waits. ``operation_id`` and ``reason`` are the newest operation's that is in it."""

    parts: dict[int, Part]
    operation_id: int | None = None
    reason: int = 0
    not_before_s: float = 0.0
    attempts: int = 0
    is_cleared_first: bool = False
    """The side has an item of it at another character: what it has not itself is left out once,
    so that the other one's can be put right."""
    is_later: bool = False
    is_queued: bool = False
    is_gone: bool = False
    records: int = 0

    def add(self, guid: int, part: Part) -> int:
        """Put a newer part over what is there; by how much its records became more."""
        before = self.records
        older = self.parts.get(guid, part)
        self.records -= _records(older) if guid in self.parts else 0
        if guid in self.parts:
            part = _merged(older, part)
        self.parts[guid] = part
        self.records += _records(part)
        return self.records - before

    def take(self, guid: int) -> None:
        """Leave a character out."""
        self.records -= _records(self.parts.pop(guid))

    @property
    def is_too_large(self) -> bool:
        """Whether it should rather fall apart."""
        return len(self.parts) > MAX_CHARACTERS or self.records > MAX_RECORDS


@dataclass(eq=False, slots=True)
class Job:
    """A bundle on its way. ``expected`` is what its characters must have afterwards, and the mode
    that they were in."""

    bundle: Bundle
    followed: list["Followed"]
    expected: Mapping[int, tuple[Held, MigrationMode]]
    started_s: float
    handle: OperationHandle | None = None
    is_missed: bool = False
    """It took too long. Nothing else is written of its characters until it ends all the same."""


@dataclass(eq=False, slots=True)
class Followed:
    """A character on a side that follows."""

    guid: int
    character: Character | None
    """None: it is followed no longer, but a write of it has not ended."""
    is_joined: bool
    is_behind: bool
    is_diverged: bool = False
    """A comparison found something else than was decided, and none found it level since."""
    is_unequal: bool = False
    """It was written whole, and still the side has something else."""
    bundle: Bundle | None = None
    job: Job | None = None
    is_asked_queued: bool = False
    asking: list[Callable[[str], None]] = field(default_factory=list)
    """Who wants to know whether it is level: called with "", or with what is in the way."""


def _merged(older: Part, newer: Part) -> Part:
    if older is WHOLE or newer is WHOLE:
        return WHOLE
    try:
        return older.then(newer)
    except RecordError:
        # Money beyond what a change can say.
        return WHOLE


def _records(part: Part) -> int:
    return 0 if part is WHOLE else 1 + len(part.saves) + len(part.deletes)
