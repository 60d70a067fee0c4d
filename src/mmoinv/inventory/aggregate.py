"""The inventory of one character: what a gameplay programmer holds in hands.

It keeps the game's rules, tells what happened, and saves itself. It knows no link, no database
and no clock; one thread at a time may use it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mmoinv.codec import diff
from mmoinv.errors import InventoryError
from mmoinv.inventory import loading, saving, storing
from mmoinv.inventory.actions import InventoryActions
from mmoinv.inventory.catalog import ItemCatalog
from mmoinv.inventory.command_log import CommandLog, CommandRecord
from mmoinv.inventory.commands import Changes, InventoryCommands
from mmoinv.inventory.contents import Contents
from mmoinv.inventory.draft import Buyback, Draft, Setting, SlotChange, packed_records
from mmoinv.inventory.equipment import tell_effects
from mmoinv.inventory.events import ItemEvent, events_of
from mmoinv.inventory.exchange import exchange
from mmoinv.inventory.loading import Finding, Loaded, Oddity
from mmoinv.inventory.owner import EquipmentEffects, InventoryOwner
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.result import InventoryResult
from mmoinv.inventory.slot_search import count_free_slots, find_first_empty_slot
from mmoinv.inventory.slots import EQUIPMENT, InventorySlot
from mmoinv.inventory.storing import StoreOutlook
from mmoinv.inventory.templates import BOUND, DISABLED
from mmoinv.inventory.validation import unusable_equipment
from mmoinv.records import INVENTORY_ITEM, Batch, InventoryItemData, empty_batch
from mmoinv.repository import InventoryRepository, OperationHandle
from mmoinv.repository.changes import Slots, checked_guid

logger = logging.getLogger(__name__)

LOGGED_FINDINGS = 5
"""Strange records that one login writes to the log at most."""
NewItemGuids = Callable[[int], Sequence[int] | npt.NDArray[Any]]
"""Gives so many guids that were never used, as `RealmConnector.new_item_guids` does."""
Listener = Callable[["Inventory", tuple[ItemEvent, ...]], object]


class Inventory(InventoryActions):
    """The items of one character.

    What the rules refuse gives an `InventoryResult` that failed, and nothing was changed. An amount
    or a creator out of range raises `InventoryError`; no slot does, there is just nothing in it.
    ``owner`` is asked at each command. ``effects`` is told what is worn and what is not; a new
    inventory tells it nothing, see `tell_worn`.
    """

    def __init__(
        self,
        character_guid: int,
        catalog: ItemCatalog,
        owner: InventoryOwner,
        new_item_guids: NewItemGuids,
        *,
        effects: EquipmentEffects | None = None,
        command_log: CommandLog | None = None,
    ) -> None:
        self.character_guid = checked_guid(character_guid)
        self.log = command_log or CommandLog()
        self.commands = InventoryCommands(self)
        self.findings: tuple[Finding, ...] = ()
        """What was strange about the records that it was loaded from."""
        self.set_aside: Batch = empty_batch()
        """Loaded records that could not be put anywhere: see `findings`. Never saved."""
        self.saved = saving.SavedState(empty_batch())
        self.saved.committed.flags.writeable = False
        self.held: frozenset[int] = frozenset()
        """Slots that a trade with another world holds: nothing changes them until it ends."""
        self.rollbacks = 0
        """How often it went back: commands from before a rollback cannot be undone."""
        self._effects = effects
        self._listeners: list[Listener] = []
        self._contents = Contents()
        self._buyback: Buyback = ()
        self._setting = Setting(
            self.character_guid, owner, catalog, lambda: int(new_item_guids(1)[0])
        )

    @classmethod
    def from_items(
        cls,
        character_guid: int,
        items: Batch,
        catalog: ItemCatalog,
        owner: InventoryOwner,
        new_item_guids: NewItemGuids,
        *,
        effects: EquipmentEffects | None = None,
        command_log: CommandLog | None = None,
    ) -> Self:
        """From what the realm sends at join: a batch of either dtype, in any order.

        Never raises for what the records are: all are kept, the strange ones are in `findings`,
        those that cannot be anywhere in `set_aside`.
        """
        inventory = cls(
            character_guid,
            catalog,
            owner,
            new_item_guids,
            effects=effects,
            command_log=command_log,
        )
        inventory._load(items)
        return inventory

    def _load(self, items: Batch) -> None:
        loaded = loading.load(items, self._setting.catalog)
        loaded.stored.flags.writeable = False
        self.saved = saving.SavedState(loaded.stored)
        self._contents = self._put_right(loaded)
        self.findings = tuple(loaded.findings)
        if self.findings:
            logger.warning(
                "character %d: its stored records are strange in %d ways, all are kept: %s%s",
                self.character_guid,
                len(self.findings),
                "; ".join(map(str, self.findings[:LOGGED_FINDINGS])),
                "; ..." if len(self.findings) > LOGGED_FINDINGS else "",
            )
        self.set_aside = np.array(loaded.aside, INVENTORY_ITEM)

    def _put_right(self, loaded: Loaded) -> Contents:
        """The contents with a place and a name for every item that can have them."""
        draft = Draft(loaded.contents, self._setting)
        for item in loaded.homeless:
            slot = find_first_empty_slot(draft, draft.template(item.entry))
            if slot is None:
                loaded.findings.append(Finding(Oddity.NO_ROOM, item))
                loaded.aside.append(item)
            else:
                draft.place(item if item.item_guid else self._named(item), slot)
        for finding in loaded.findings:
            if finding.oddity is Oddity.UNNAMED:
                draft.change(self._named(finding.item))
        for change in draft.changes():
            if change.after is not None:
                loaded.contents.put(change.after)
        return loaded.contents

    def _named(self, item: InventoryItemData) -> InventoryItemData:
        return item._replace(item_guid=self._setting.new_guid())

    # What there is

    @property
    def items(self) -> Batch:
        """All items as a read-only `INVENTORY_ITEM` batch in slot order, without what was sold.

        It stays as it is when the inventory changes.
        """
        return self._contents.batch()

    def get(self, slot: int) -> InventoryItemData | None:
        """What is in an absolute slot."""
        return self._contents.items.get(slot)

    def __len__(self) -> int:
        return len(self._contents)

    def __iter__(self) -> Iterator[InventoryItemData]:
        return iter(self._contents)

    def __contains__(self, slot: int) -> bool:
        return slot in self._contents.items

    @property
    def buyback(self) -> Buyback:
        """What was sold and can be bought back, oldest first; at most 12, never saved."""
        return self._buyback

    @property
    def catalog(self) -> ItemCatalog:
        """The templates that it goes by."""
        return self._setting.catalog

    @property
    def owner(self) -> InventoryOwner:
        """The player."""
        return self._setting.owner

    def count(self, entry: int) -> int:
        """Items of an entry, wherever they are, stacks counted in full."""
        return self._contents.count_of(entry)

    @property
    def free_slots(self) -> int:
        """Empty slots of the backpack and of the equipped bags; quivers do not count."""
        return count_free_slots(self.draft())

    def can_store(self, items: Iterable[tuple[int, int]] | Batch) -> StoreOutlook:
        """Whether new items, (entry, amount) each or a batch of records, would all fit together.

        True if they would; `StoreOutlook.not_stored` says what would not. Nothing is changed.
        """
        wanted: Iterable[tuple[int, int]]
        if isinstance(items, np.ndarray):
            wanted = zip(items["entry"].tolist(), items["stack_count"].tolist(), strict=True)
        else:
            wanted = items
        return storing.outlook(self.draft(is_dry=True), wanted)

    def unusable_equipment(self) -> list[tuple[InventoryItemData, Failure]]:
        """What is worn and may not be any more, each with why: after a change of the player."""
        return list(unusable_equipment(self.draft(is_dry=True)))

    # Between two inventories

    def transfer(self, slots: Iterable[int], receiver: "Inventory") -> InventoryResult[Changes]:
        """Give what is in some carried slots to another inventory: all of it or nothing.

        The changes are those of this inventory. The two are saved together then: see `exchange`.
        """
        return self.exchange(slots, receiver, ())

    def exchange(
        self, gives: Iterable[int], other: "Inventory", takes: Iterable[int]
    ) -> InventoryResult[Changes]:
        """Give what is in ``gives`` for what the other has in ``takes``: everything or nothing.

        Guid, creator, durability, binding and properties stay. If anything changed, the two are
        saved together from then on, until one commit has carried both. CANT_DO_RIGHT_NOW if too
        many inventories have exchanged items without a save (`saving.MAX_TIED`).
        """
        if other is self or other.character_guid == self.character_guid:
            raise InventoryError(
                f"character {self.character_guid} cannot exchange items with itself"
            )
        began_s = perf_counter()
        mine, theirs = self.draft(), other.draft()
        failure = Failure.OKAY if saving.may_tie(self, other) else Failure.CANT_DO_RIGHT_NOW
        failure = failure or exchange(mine, gives, theirs, takes)
        if not failure and (mine.touches_held or theirs.touches_held):
            failure = Failure.ITEM_LOCKED
        changes, their_changes = mine.changes(), theirs.changes()
        if failure:
            changes = their_changes = ()
        else:
            packed, their_packed = packed_records(changes), packed_records(their_changes)
            if changes or their_changes:
                saving.tie(self, other)
            # Whoever is told may save: not before both are as they will be.
            self._write(changes, packed, self._buyback)
            other._write(their_changes, their_packed, other._buyback)
            self._tell(changes)
            other._tell(their_changes)
        duration_us = (perf_counter() - began_s) * 1e6
        for log, made in {other.log: their_changes, self.log: changes}.items():
            if log.is_on:
                log.add(CommandRecord("exchange", failure, made, duration_us))
        return InventoryResult(None if failure else changes, failure)

    # Listeners

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(inventory, events)`` after each change; gives what ends that.

        An exception of a listener is logged: the change has happened.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell_worn(self) -> None:
        """Tell ``effects`` all that is worn, as if it were put on now: after a login."""
        if self._effects is not None:
            bare = Draft(Contents(), self._setting)
            worn = [item for item in self if item.slot in EQUIPMENT]
            changes = tuple(SlotChange(item.slot, None, item) for item in worn)
            tell_effects(self._effects, bare, self.draft(), changes)

    # What commands use

    def draft(self, *, is_dry: bool = False) -> Draft:
        """A draft of the present state; a dry one is only asked, never applied."""
        return Draft(self._contents, self._setting, self._buyback, is_dry, self.held)

    def apply(self, changes: Changes, buyback: Buyback) -> None:
        """Make the changes of a draft of the present state, and tell of them.

        `InventoryError` if a record has a field out of its range; nothing is changed then.
        """
        self._write(changes, packed_records(changes), buyback)
        self._tell(changes)

    def _write(self, changes: Changes, packed: list[bytes | None], buyback: Buyback) -> None:
        contents = self._contents
        for (slot, _, after), record in zip(changes, packed, strict=True):
            if after is None:
                contents.take(slot)
            else:
                contents.put(after, record)
        self._buyback = buyback

    def _tell(self, changes: Changes) -> None:
        if self._effects is not None and any(change.slot in EQUIPMENT for change in changes):
            after = self.draft()
            before = self.draft()
            before.take_back(changes)
            try:
                tell_effects(self._effects, before, after, changes)
            except Exception:
                logger.exception("effects of character %d failed", self.character_guid)
        if changes and self._listeners:
            events = events_of(changes)
            for listener in tuple(self._listeners):
                try:
                    listener(self, events)
                except Exception:
                    logger.exception("a listener of character %d failed", self.character_guid)

    # Saving

    def changes(self) -> tuple[Batch, Slots]:
        """What differs from what was last committed: records to save, slots to delete."""
        return diff(self.saved.committed, self._contents.batch())

    @property
    def committed(self) -> Batch:
        """What is known to be committed, as a read-only slot-sorted batch."""
        return self.saved.committed

    @property
    def is_dirty(self) -> bool:
        """Whether it differs from what is known to be committed: until the answer to its save,
        and after a refusal."""
        return not self._contents.is_equal(self.saved.committed)

    @property
    def is_saving(self) -> bool:
        """Whether a save is on its way."""
        return bool(self.saved.underway)

    @property
    def is_submitted(self) -> bool:
        """Whether all there is, is committed or on its way."""
        return self._contents.is_equal(saving.submitted(self))

    def save(self, repository: InventoryRepository, reason: int = 0) -> OperationHandle:
        """Commit what has changed, in one operation, with whomever it exchanged items with.

        Never waits; the handle does. It is dirty until the realm has answered, and still dirty if
        it refused: the next save carries it again. See `saving.save_together`.
        """
        return saving.save_together([self], repository, reason)

    def rollback(self) -> list["Inventory"]:
        """Forget what no save carries: go back to what is committed, or will be once the saves
        on their way are answered. Gives the inventories that went back.

        With it go all that it exchanged items with since: half an exchange is a dupe. What was
        sold is forgotten. A save that is refused later is dirty again.
        """
        group = [one for one in saving.tied_to([self]) if isinstance(one, Inventory)]
        saving.untie(group)
        changes = [one._go_back() for one in group]
        for one, changed in zip(group, changes, strict=True):
            one._tell(changed)
        return group

    def _go_back(self) -> Changes:
        before = self._put_right(loading.load(saving.submitted(self), self._setting.catalog))
        slots = sorted({*self._contents.items, *before.items})
        changes = tuple(
            SlotChange(slot, self._contents.get(slot), before.get(slot))
            for slot in slots
            if self._contents.get(slot) != before.get(slot)
        )
        self._write(changes, packed_records(changes), ())
        self.rollbacks += 1
        return changes

    def __str__(self) -> str:
        """For people: a line for each item."""
        lines = [f"character {self.character_guid}:{'' if len(self) else ' nothing'}"]
        for item in self:
            template = self.catalog.get(item.entry)
            name = template.name if template is not None else f"entry {item.entry}"
            bound = ", bound" if item.item_flags & BOUND else ""
            locked = ", locked" if item.item_flags & DISABLED else ""
            lines.append(f"  {InventorySlot(item.slot)}: {item.stack_count} {name}{bound}{locked}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        state = "dirty" if self.is_dirty else "committed"
        return f"<Inventory of character {self.character_guid}: {len(self)} items, {state}>"
