"""What happened since the evidence was last written: counted, merged and bounded.

A value that grows under somebody else's lock. Knows no file, no thread and no clock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mmoinv.migration.comparison import Divergence
from mmoinv.migration.modes import Side

MAX_CHARACTERS = 100_000
MAX_DIVERGENCES = 10_000
MAX_REASONS = 200
"""Of each so many between two writes; what is beyond is counted as unrecorded."""

COUNTS = ("commits", "compared", "diverged", "known", "missed")
"""What is counted of a character."""
MOMENTS = (
    "seen_us",
    "equal_us",
    "missed_legacy_us",
    "missed_new_us",
    "made_up_legacy_us",
    "made_up_new_us",
)
"""When something last happened to a character: microseconds since 1970, 0 for never."""


class DivergenceKey(NamedTuple):
    """What makes two divergences the same one."""

    character_guid: int
    slot: int
    fields: tuple[str, ...]
    kind: str


@dataclass(slots=True)
class SeenDivergence:
    """One divergence and how it was seen; the values are those of the last time."""

    divergence: Divergence
    mode: str
    decider: str
    at: str
    first_us: int
    last_us: int
    first_operations: Sequence[int]
    """The last operations of the character, up to the one after which it was first seen."""
    last_operations: Sequence[int]
    times: int = 1

    def then(self, later: "SeenDivergence") -> None:
        """It was seen again."""
        self.divergence = later.divergence
        self.mode, self.decider, self.at = later.mode, later.decider, later.at
        self.last_us, self.last_operations = later.last_us, later.last_operations
        self.times += later.times


@dataclass(slots=True)
class Reason:
    """Why changes were missed, one kind of it."""

    example: str
    character_guid: int
    first_us: int
    last_us: int
    times: int = 1


@dataclass(slots=True)
class Use:
    """That a side was used."""

    character_guid: int
    last_us: int
    times: int = 1


@dataclass(slots=True)
class CharacterFigures:
    """What happened to one character: `COUNTS` and `MOMENTS`, and the mode it was last in."""

    counts: Counter[str] = field(default_factory=Counter)
    moments: dict[str, int] = field(default_factory=dict)
    mode: str = ""


class Gathered:
    """Everything between two writes."""

    def __init__(self) -> None:
        self.hours: Counter[tuple[int, str, str]] = Counter()
        """By hour since 1970, mode and figure."""
        self.characters: dict[int, CharacterFigures] = {}
        self.divergences: dict[DivergenceKey, SeenDivergence] = {}
        self.reasons: dict[tuple[str, str], Reason] = {}
        """By mode and kind of reason."""
        self.uses: dict[Side, Use] = {}

    def __bool__(self) -> bool:
        return bool(self.hours or self.characters or self.uses)

    def character(self, character_guid: int) -> CharacterFigures | None:
        """Its figures; None if there is no room for one more."""
        found = self.characters.get(character_guid)
        if found is None and len(self.characters) < MAX_CHARACTERS:
            found = self.characters[character_guid] = CharacterFigures()
        return found

    def add_divergence(self, key: DivergenceKey, seen: SeenDivergence) -> bool:
        """False if there is no room for it."""
        before = self.divergences.get(key)
        # What is harmless must not take the room of what is not.
        room = MAX_DIVERGENCES // (2 if seen.divergence.is_harmless else 1)
        if before is not None:
            before.then(seen)
        elif len(self.divergences) < room:
            self.divergences[key] = seen
        else:
            return False
        return True

    def add_reason(self, mode: str, kind: str, reason: Reason) -> None:
        """One more of a kind; beyond the bound they are all the same."""
        if (mode, kind) not in self.reasons and len(self.reasons) >= MAX_REASONS:
            kind = "other"
        before = self.reasons.setdefault((mode, kind), reason)
        if before is not reason:
            before.example, before.character_guid = reason.example, reason.character_guid
            before.last_us = reason.last_us
            before.times += reason.times

    def add_use(self, side: Side, use: Use) -> None:
        """One more use of a side."""
        before = self.uses.setdefault(side, use)
        if before is not use:
            before.character_guid, before.last_us = use.character_guid, use.last_us
            before.times += use.times

    def then(self, later: "Gathered") -> int:
        """What came later on top of this, which could not be written; how much found no room."""
        lost = 0
        self.hours.update(later.hours)
        for guid, figures in later.characters.items():
            mine = self.character(guid)
            if mine is None:
                lost += 1
                continue
            mine.counts.update(figures.counts)
            mine.moments.update(figures.moments)
            mine.mode = figures.mode or mine.mode
        for key, seen in later.divergences.items():
            lost += not (self.add_divergence(key, seen) or seen.divergence.is_harmless)
        for (mode, kind), reason in later.reasons.items():
            self.add_reason(mode, kind, reason)
        for side, use in later.uses.items():
            self.add_use(side, use)
        return lost
