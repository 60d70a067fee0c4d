"""What is told to whoever gathers the evidence of a move: a protocol, and one that forgets it all.

Every method returns at once, raises nothing and may be called from any thread. Knows neither how
anything is written nor what is made of it.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from mmoinv.codec import compare_items
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.records import Batch

At = Literal["commit", "join"]
"""When two sides were compared."""


class Witness(Protocol):
    """Told of everything that happens to a character while it moves over."""

    def committed(
        self, character_guid: int, mode: MigrationMode, decider: Side, operation_id: int
    ) -> None:
        """The deciding side has answered a commit: it is saved there. Once an operation and
        character, before what is compared or missed because of it."""

    def compared(
        self,
        character_guid: int,
        mode: MigrationMode,
        decider: Side,
        at: At,
        operation_id: int | None,
        expected: Batch,
        found: Batch,
        expected_money: Mapping[int, int],
        found_money: Mapping[int, int],
    ) -> bool:
        """Both sides at the same moment: ``expected`` is what the decider has, ``found`` what the
        follower has, `INVENTORY_ITEM` batches, and balances by currency. Whether they are equal,
        but for differences that are declared to be known. The batches are read at once and not
        kept."""

    def missed(
        self, character_guid: int, side: Side, reason: str, operation_id: int | None
    ) -> None:
        """The following ``side`` did not take a change: it is behind until it is `made_up`."""

    def made_up(self, character_guid: int, side: Side) -> None:
        """``side`` was given everything again, and was read and found equal: it is no longer
        behind, and nothing of the character differs any more."""

    def flipped(self, character_guid: int, before: MigrationMode, after: MigrationMode) -> None:
        """A character went from one mode to another."""

    def used(self, character_guid: int, side: Side) -> None:
        """``side`` was asked to read or write something of a character."""


class NoEvidence:
    """Compares and keeps nothing, for a repository without evidence."""

    def committed(
        self, character_guid: int, mode: MigrationMode, decider: Side, operation_id: int
    ) -> None:
        """Forgotten."""

    def compared(
        self,
        character_guid: int,
        mode: MigrationMode,
        decider: Side,
        at: At,
        operation_id: int | None,
        expected: Batch,
        found: Batch,
        expected_money: Mapping[int, int],
        found_money: Mapping[int, int],
    ) -> bool:
        """Whether they are equal to the last bit; nothing is known, nothing is kept."""
        is_same_money = all(
            expected_money.get(currency_id, 0) == found_money.get(currency_id, 0)
            for currency_id in {*expected_money, *found_money}
        )
        return is_same_money and not len(compare_items(expected, found))

    def missed(
        self, character_guid: int, side: Side, reason: str, operation_id: int | None
    ) -> None:
        """Forgotten."""

    def made_up(self, character_guid: int, side: Side) -> None:
        """Forgotten."""

    def flipped(self, character_guid: int, before: MigrationMode, after: MigrationMode) -> None:
        """Forgotten."""

    def used(self, character_guid: int, side: Side) -> None:
        """Forgotten."""
