"""A repository in memory: for tests, tools and games that keep nothing.

Whoever is written against the interface runs on it: the same rules, versions and refusals as
a realm's. Knows no link and no database.
"""

import threading
from collections.abc import Sequence

from mmoinv.codec import apply_changes
from mmoinv.errors import DuplicateItemGuidError, OperationRefusedError
from mmoinv.records import Batch
from mmoinv.repository.changes import NO_ITEMS, NO_SLOTS, CharacterChanges, checked_guid
from mmoinv.repository.operation import OperationHandle, OperationOutcome
from mmoinv.repository.transactional import TransactionalRepository
from mmoinv.repository.verdicts import check_conserved, new_balances


class InMemoryInventoryRepository(TransactionalRepository):
    """Inventories in a dict. Each commit is done when it returns; threads may share it.

    Every character exists, with an empty inventory of version 0 until something is saved.
    Item guids are unique over all characters: a commit that would double one is refused with
    `DuplicateItemGuidError`. With ``names_items`` a guid of 0 is refused too, as a realm on
    protocol 4 does.
    """

    def __init__(self, *, names_items: bool = False) -> None:
        super().__init__()
        self._names_items = names_items
        self._lock = threading.RLock()
        self._items: dict[int, Batch] = {}
        self._versions: dict[int, int] = {}
        self._owners: dict[int, int] = {}
        self._balances: dict[int, dict[int, int]] = {}
        self._operations = 0

    @property
    def names_items(self) -> bool:
        return self._names_items

    @property
    def item_count(self) -> int:
        """The items of all characters."""
        with self._lock:
            return sum(map(len, self._items.values()))

    def version(self, character_guid: int) -> int:
        """How many operations have changed the character."""
        return self._versions.get(checked_guid(character_guid), 0)

    def load_items(self, character_guid: int) -> Batch:
        items = self._items.get(checked_guid(character_guid), NO_ITEMS)
        return apply_changes(items, NO_ITEMS, NO_SLOTS)

    def load_balances(self, character_guid: int) -> dict[int, int]:
        return dict(self._balances.get(checked_guid(character_guid), {}))

    def clear(self) -> None:
        """Forget all items, money and versions. Open transactions go on."""
        with self._lock:
            self._balances.clear()
            self._items.clear()
            self._versions.clear()
            self._owners.clear()

    def _submit(
        self, changes: Sequence[CharacterChanges], reason: int, conserve: bool
    ) -> OperationHandle:
        with self._lock:
            self._operations += 1
            handle = OperationHandle(
                self._operations, [change.character_guid for change in changes]
            )
            after = {
                change.character_guid: change.applied_to(
                    self._items.get(change.character_guid, NO_ITEMS)
                )
                for change in changes
            }
            try:
                if conserve:
                    before = [self._items.get(guid, NO_ITEMS) for guid in after]
                    check_conserved(changes, before, list(after.values()), handle)
                balances = {
                    change.character_guid: new_balances(
                        change, self._balances.get(change.character_guid, {}), handle
                    )
                    for change in changes
                    if change.money
                }
                owners = self._new_owners(after, handle)
            except OperationRefusedError as error:
                handle.fail(error)
                return handle
            self._balances.update(balances)
            for guid in after:
                for item_guid in self._items.get(guid, NO_ITEMS)["item_guid"].tolist():
                    self._owners.pop(item_guid, None)
            self._owners.update(owners)
            self._items.update(after)
            versions = {guid: self._versions.get(guid, 0) + 1 for guid in after}
            self._versions.update(versions)
        handle.succeed(OperationOutcome(handle.operation_id, 0, versions))
        return handle

    def _new_owners(self, after: dict[int, Batch], handle: OperationHandle) -> dict[int, int]:
        """Whose the named items are then; raises if one would be there twice."""
        owners: dict[int, int] = {}
        for guid, items in after.items():
            for item_guid in items["item_guid"].tolist():
                if not item_guid:
                    continue
                # An owner among the characters of this operation gives the item away in it.
                owner = self._owners.get(item_guid, guid)
                if item_guid in owners or owner not in after:
                    raise DuplicateItemGuidError(
                        f"item {item_guid:#x} of character {guid} exists already, at character "
                        f"{owners.get(item_guid, owner)}; nothing is saved. Give a new item a "
                        "guid of its own, and move an item in one commit over both characters.",
                        handle.operation_id,
                        handle.character_guids,
                    )
                owners[item_guid] = guid
        return owners
