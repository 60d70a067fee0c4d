"""Commands: each validates first, then changes the inventory, or changes nothing.

A command is made by `InventoryCommands`, executed once, and can be undone for as long as nobody
has touched the slots that it wrote.
"""

from collections.abc import Callable
from functools import partial
from operator import index
from time import perf_counter
from typing import Protocol

from mmoinv.errors import InventoryError
from mmoinv.inventory import moves, storing
from mmoinv.inventory.catalog import ItemCatalog
from mmoinv.inventory.command_log import CommandLog, CommandRecord
from mmoinv.inventory.draft import Buyback, Draft, SlotChange
from mmoinv.inventory.result import InventoryChangeFailure as Failure
from mmoinv.inventory.result import InventoryResult
from mmoinv.inventory.templates import ItemTemplate
from mmoinv.records import InventoryItemData

Changes = tuple[SlotChange, ...]
Plan = Callable[[Draft], Failure]


class Changeable(Protocol):
    """What a command needs of an inventory."""

    log: CommandLog
    rollbacks: int

    @property
    def buyback(self) -> Buyback: ...

    @property
    def catalog(self) -> ItemCatalog: ...

    def draft(self, *, is_dry: bool = False) -> Draft:
        """A draft of the present state."""
        ...

    def get(self, slot: int) -> InventoryItemData | None:
        """What is in a slot."""
        ...

    def apply(self, changes: Changes, buyback: Buyback) -> None:
        """Make the changes of a draft."""
        ...


class InventoryCommand:
    """One change to an inventory: what is planned, whether it was done, and the way back."""

    __slots__ = ("_after", "_before", "_changes", "_inventory", "_plan", "_rollbacks", "name")

    def __init__(self, name: str, inventory: Changeable, plan: Plan) -> None:
        self.name = name
        self._inventory = inventory
        self._plan = plan
        self._changes: Changes | None = None
        self._rollbacks = 0
        self._before: Buyback = ()
        self._after: Buyback = ()

    @property
    def is_executed(self) -> bool:
        """Whether it was done, and not undone since."""
        return self._changes is not None

    def validate(self) -> Failure:
        """Why it would be refused now; OKAY, which is false, if it would not."""
        return _planned(self._plan, self._inventory.draft(is_dry=True))

    def execute(self) -> InventoryResult[Changes]:
        """Do it: the changes, slot by slot, or why it was refused.

        `InventoryError` if it was executed already, or an amount or a creator is out of its
        range.
        """
        if self._changes is not None:
            raise InventoryError(f"the command {self.name} was executed already; make a new one")
        inventory = self._inventory
        log = inventory.log
        began_s = perf_counter() if log.is_on else 0.0
        draft = inventory.draft()
        failure = _planned(self._plan, draft)
        changes: Changes = ()
        if not failure:
            changes = draft.changes()
            self._before, self._after = inventory.buyback, draft.buyback
            self._rollbacks = inventory.rollbacks
            self._changes = changes
            try:
                inventory.apply(changes, draft.buyback)
            except InventoryError:
                self._changes = None
                raise
        if log.is_on:
            log.add(CommandRecord(self.name, failure, changes, (perf_counter() - began_s) * 1e6))
        return InventoryResult(None if failure else changes, failure)

    def undo(self) -> InventoryResult[Changes]:
        """Take it back: everything is as it was before, guids included.

        Refused with CANT_DO_RIGHT_NOW if a slot that it wrote, or what was sold, has changed
        since, or the inventory was rolled back; and with what is wrong if it does not go together
        any more with what else there is. `InventoryError` if it was not executed.
        """
        if self._changes is None:
            raise InventoryError(f"the command {self.name} was not executed: nothing to undo")
        inventory = self._inventory
        log = inventory.log
        began_s = perf_counter() if log.is_on else 0.0
        draft = inventory.draft()
        failure = Failure.CANT_DO_RIGHT_NOW
        if (
            inventory.rollbacks == self._rollbacks
            and inventory.buyback == self._after
            and all(inventory.get(change.slot) == change.after for change in self._changes)
        ):
            failure = _planned(partial(moves.take_back, changes=self._changes), draft)
        changes: Changes = ()
        if not failure:
            changes = draft.changes()
            self._changes = None
            inventory.apply(changes, self._before)
        if log.is_on:
            duration_us = (perf_counter() - began_s) * 1e6
            log.add(CommandRecord(self.name, failure, changes, duration_us, is_undo=True))
        return InventoryResult(None if failure else changes, failure)

    def __repr__(self) -> str:
        state = "executed" if self.is_executed else "not executed"
        return f"<InventoryCommand {self.name}, {state}>"


class InventoryCommands:
    """Makes the commands of one inventory. Slots are absolute, amounts 1 or more."""

    # index(): the rules want plain ints. Python searches a range for others step by step.

    __slots__ = ("_inventory",)

    def __init__(self, inventory: Changeable) -> None:
        self._inventory = inventory

    def add(self, item: ItemTemplate | int, amount: int = 1, creator: int = 0) -> InventoryCommand:
        """New items of a template, or of an entry of the catalog: onto stacks that are not full,
        then into empty slots; all or none. `InventoryError` if the catalog has no such entry."""
        template = item if isinstance(item, ItemTemplate) else self._template(item)
        return self._of("add", lambda draft: storing.add(draft, template, amount, creator))

    def remove(self, slot: int, amount: int | None = None) -> InventoryCommand:
        """``amount`` of what is in a slot, None for all of it."""
        return self._of("remove", lambda draft: storing.remove(draft, index(slot), amount))

    def remove_entry(self, entry: int, amount: int = 1) -> InventoryCommand:
        """So many carried items of an entry, the smallest stacks first."""
        return self._of("remove", lambda draft: storing.remove_entry(draft, entry, amount))

    def move(self, source: int, target: int, amount: int | None = None) -> InventoryCommand:
        """What drag and drop means: split (with an amount), merge, or swap."""
        return self._of(
            "move", lambda draft: moves.move(draft, index(source), index(target), amount)
        )

    def swap(self, source: int, target: int) -> InventoryCommand:
        """What two slots hold changes places; the target may be empty."""
        return self._of("swap", lambda draft: moves.swap(draft, index(source), index(target)))

    def split(self, source: int, target: int, amount: int) -> InventoryCommand:
        """``amount`` of a stack into another slot."""
        return self._of(
            "split", lambda draft: moves.split(draft, index(source), index(target), amount)
        )

    def merge(self, source: int, target: int) -> InventoryCommand:
        """As many as fit from one stack onto the other."""
        return self._of("merge", lambda draft: moves.merge(draft, index(source), index(target)))

    def equip(self, source: int, target: int | None = None) -> InventoryCommand:
        """Wear an item, or a bag; in ``target``, or where it goes."""
        return self._of("equip", lambda draft: moves.equip(draft, index(source), _place(target)))

    def unequip(self, source: int, target: int | None = None) -> InventoryCommand:
        """Take off what is worn; into ``target``, or the first empty slot."""
        return self._of(
            "unequip", lambda draft: moves.unequip(draft, index(source), _place(target))
        )

    def use(self, slot: int) -> InventoryCommand:
        """Use an item: it may become bound, and is used up if it is a consumable."""
        return self._of("use", lambda draft: moves.use(draft, index(slot)))

    def sell(self, slot: int, amount: int | None = None) -> InventoryCommand:
        """Carried items to the buyback slots; the oldest of 12 falls out."""
        return self._of("sell", lambda draft: storing.sell(draft, index(slot), amount))

    def buy_back(self, slot: int) -> InventoryCommand:
        """What was sold, by its buyback slot."""
        return self._of("buy back", lambda draft: storing.buy_back(draft, index(slot)))

    def sort(self) -> InventoryCommand:
        """Merge stacks and put what is carried in order."""
        return self._of("sort", storing.sort)

    def lock(self, slot: int, *, is_locked: bool = True) -> InventoryCommand:
        """Lock what is in a slot, or unlock it."""
        return self._of(
            "lock" if is_locked else "unlock",
            lambda draft: moves.lock(draft, index(slot), is_locked),
        )

    def change_item(self, slot: int, **fields: int) -> InventoryCommand:
        """Set fields that no rule is about: `moves.FREE_FIELDS`."""
        return self._of("change", lambda draft: moves.change_item(draft, index(slot), fields))

    def _template(self, entry: int) -> ItemTemplate:
        template = self._inventory.catalog.get(entry)
        if template is None:
            raise InventoryError(f"no template has the entry {entry}; nothing was changed")
        return template

    def _of(self, name: str, plan: Plan) -> InventoryCommand:
        return InventoryCommand(name, self._inventory, plan)


def _place(slot: int | None) -> int | None:
    return None if slot is None else index(slot)


def _planned(plan: Plan, draft: Draft) -> Failure:
    """What comes of a plan; it may not touch what a trade holds."""
    failure = plan(draft)
    if not failure and draft.touches_held:
        return Failure.ITEM_LOCKED
    return failure
