"""The modes of moving over, and the two sides. Knows no repository and no rules."""

from enum import StrEnum


class Side(StrEnum):
    """One of the two ways of keeping inventories."""

    LEGACY = "legacy"
    NEW = "new"

    @property
    def other(self) -> "Side":
        """The side that this one is not."""
        return Side.NEW if self is Side.LEGACY else Side.LEGACY


class MigrationMode(StrEnum):
    """Which side decides for a character, and whether the other one follows.

    A character goes from mode to mode in this order, one after the other, and back the same way.
    Only the step between `SHADOW` and `PRIMARY` changes who decides.
    """

    LEGACY = "legacy"
    """The old way alone. Nothing of the new one is needed."""
    SHADOW = "shadow"
    """The old way decides; the new one is written too, and compared."""
    PRIMARY = "primary"
    """The new way decides; the old one is written too, and compared."""
    NEW = "new"
    """The new way alone. The old one is not touched."""

    @property
    def decider(self) -> Side:
        """The side whose answer counts, and whose inventory a player gets at the next login."""
        return Side.LEGACY if self in (MigrationMode.LEGACY, MigrationMode.SHADOW) else Side.NEW

    @property
    def is_followed(self) -> bool:
        """Whether the other side is written too."""
        return self in (MigrationMode.SHADOW, MigrationMode.PRIMARY)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that are used, the decider first."""
        return (self.decider, self.decider.other) if self.is_followed else (self.decider,)

    def step_towards(self, wanted: "MigrationMode") -> "MigrationMode":
        """The next mode on the way to ``wanted``; itself if it is that."""
        place, goal = ORDER.index(self), ORDER.index(wanted)
        return ORDER[place + (goal > place) - (goal < place)]


ORDER = tuple(MigrationMode)


def followed_mode(decider: Side) -> MigrationMode:
    """The mode in which that side decides and the other one is written too."""
    return MigrationMode.SHADOW if decider is Side.LEGACY else MigrationMode.PRIMARY
