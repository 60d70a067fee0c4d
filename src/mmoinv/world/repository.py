"""The repository of a world server: what is committed of its characters, and commits to the realm.

Knows the connector as something that takes operations; no socket, no packet.
"""

from collections.abc import Sequence
from typing import Protocol

from mmoinv.codec import sort_by_slot
from mmoinv.errors import JoinError
from mmoinv.records import Batch
from mmoinv.repository import CharacterChanges, OperationHandle, TransactionalRepository
from mmoinv.world.characters import JoinedCharacter


class TakesOperations(Protocol):
    """What the repository needs of a connector."""

    @property
    def names_items(self) -> bool:
        """Whether every item must have a guid."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether what can wait had better wait."""
        ...

    def character(self, character_guid: int) -> JoinedCharacter | None:
        """The joined character of that guid."""
        ...

    def submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool = False
    ) -> OperationHandle:
        """Take one operation; if it raises, nothing was taken."""
        ...


class WorldServerInventoryRepository(TransactionalRepository):
    """An `InventoryRepository` over all characters that are joined through one connector.

    `load_items` serves what came at join plus what was committed since. A commit is one
    operation to the realm; a rollback before it sends nothing. Usable from any thread.
    """

    def __init__(self, connector: TakesOperations) -> None:
        super().__init__()
        self._connector = connector

    @property
    def names_items(self) -> bool:
        return self._connector.names_items

    @property
    def is_busy(self) -> bool:
        return self._connector.is_busy

    def load_items(self, character_guid: int) -> Batch:
        return sort_by_slot(self._joined(character_guid).items)

    def load_balances(self, character_guid: int) -> dict[int, int]:
        return dict(self._joined(character_guid).balances)

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        for change in changes:
            self._joined(change.character_guid)
        return self._connector.submit(changes, reason, conserve)

    def _joined(self, character_guid: int) -> JoinedCharacter:
        character = self._connector.character(character_guid)
        if character is None:
            raise JoinError(
                f"character {character_guid} is not joined here; nothing was taken. "
                "Await connector.join(guid) first.",
                character_guid,
            )
        return character
