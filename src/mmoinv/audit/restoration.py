"""Brings a character back to what it was right after an operation, as far as nothing is doubled.

What the ledger says was destroyed of the character's comes back, under its guid; what has moved on
to others, or was merged or split, is told and left alone. When in doubt it is left alone. `plan`
works on an open connection and changes nothing; `restore` does it, at the desk.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple

from sqlalchemy import Connection

from mmoinv.audit.chain import chain_of
from mmoinv.audit.desk import DESK, Change, Desk
from mmoinv.audit.history import (
    Holdings,
    entries_of,
    holder,
    holdings,
    holdings_at,
    place_of,
    world_names,
)
from mmoinv.audit.life import Life, lives, money_missing
from mmoinv.audit.room import Room, by_slot
from mmoinv.commits import OwnReason
from mmoinv.errors import JoinError, StoreDataError, StoreUnavailableError
from mmoinv.inventory.slots import bag_holding, is_inside_bag
from mmoinv.records import InventoryItemData, batch_of, slots_of
from mmoinv.stores.ledger import LedgerEntry
from mmoinv.stores.sql_store import SqlStore


class Kind(StrEnum):
    """What becomes of an item, or of money."""

    RETURNS = "returns"
    GROWS = "grows"
    MOVES = "moves"
    CHANGES = "changes"
    GOES = "goes"
    MONEY = "money"
    LEFT = "not restored"


class Step(NamedTuple):
    """One item or currency of a plan: ``item`` as it was then, or as it is now if it goes; None
    for money. ``text`` says the rest in words."""

    kind: Kind
    item: InventoryItemData | None
    text: str


@dataclass(frozen=True)
class Plan:
    """What a restoration would do. ``version`` is the one that it was made on, ``to_version`` the
    one that it leads back to; ``steps`` in the order of slots."""

    now: Holdings
    to_version: int
    steps: list[Step]
    change: Change
    world: str = ""
    """Who had the session last, and has it if the character is online."""

    @property
    def left(self) -> list[Step]:
        """What cannot be restored."""
        return [step for step in self.steps if step.kind is Kind.LEFT]


@dataclass(frozen=True)
class Wish:
    """What is to be restored: as of which operation, version or time (seconds since 1970), and
    of what. ``slots`` None: all. ``exact`` also takes away what came since, and moves what is
    elsewhere now; ``money`` also restores balances."""

    operation_id: int | None = None
    version: int | None = None
    at_s: int | None = None
    slots: Collection[int] | None = None
    exact: bool = False
    money: bool = False


def plan(connection: Connection, character_guid: int, wish: Wish) -> Plan:
    """What a restoration would do now. `StoreDataError` if the ledger does not go back so far, or
    does not lead to what is stored."""
    version = wish.version
    if wish.operation_id is not None:
        version = _version_of(connection, character_guid, wish.operation_id)
    now = holdings(connection, character_guid)
    then = holdings_at(connection, character_guid, wish.at_s, version)
    entries = list(entries_of(connection, character_guid))
    _require_in_step(connection, now, entries)
    later = list(takewhile(lambda one: one.version > then.version, entries))
    work = _Planning(connection, now, then, later, wish)
    work.items()
    if wish.money:
        work.balances()
    return Plan(now, then.version, work.steps, work.change(), holder(connection, character_guid))


async def restore(store: SqlStore, planned: Plan, *, takes_online: bool = False) -> int | None:
    """Do what was planned, through a session of the desk's own; the operation's id, None if
    there was nothing to do. ``store`` is not open.

    `JoinError` if the character is online, unless ``takes_online``: whoever has joined it is
    fenced out then. `StoreUnavailableError` if it was changed since the plan was made.
    """
    character_guid = planned.now.character_guid
    if planned.change.is_empty:
        return None
    if planned.now.online and not takes_online:
        raise JoinError(
            f"character {character_guid} is online in {planned.world}, which would lose it and "
            "what it has not saved yet. Nothing was changed. Let it log out first; --online takes "
            "it away all the same.",
            character_guid,
        )
    async with store:
        desk = await Desk.at(store)
        joined = await desk.join(character_guid)
        try:
            if joined.version != planned.now.version:
                raise StoreUnavailableError(
                    f"character {character_guid} was changed while it was to be restored: version "
                    f"{joined.version}, not {planned.now.version}. Nothing was restored; try again."
                )
            operation_id = await desk.commit(
                character_guid, joined.epoch, joined.version, planned.change, OwnReason.RESTORED
            )
        finally:
            await desk.leave(character_guid, joined.epoch)
    return operation_id


def _version_of(connection: Connection, character_guid: int, operation_id: int) -> int:
    for entry in entries_of(connection, character_guid):
        if entry.operation_id == operation_id:
            return entry.version
    raise StoreDataError(
        f"character {character_guid}: the ledger has no operation {operation_id:#x} of it; it may "
        f"be older than what is kept. `mmoinv history {character_guid}` lists those that there are."
    )


def _require_in_step(connection: Connection, now: Holdings, entries: list[LedgerEntry]) -> None:
    """The ledger must lead to what is stored, or nothing can be said of what was destroyed."""
    desk_id = next((n for n, name in world_names(connection).items() if name == DESK), None)
    for slot in chain_of(entries[::-1], desk_id).differing(now.items):
        raise StoreDataError(
            f"character {now.character_guid}: {_slot(slot)} does not hold what the ledger says it "
            "holds. Nothing was restored; `mmoinv verify --fix` mends it."
        )


@dataclass
class _Planning:
    """A plan in the making."""

    connection: Connection
    now: Holdings
    then: Holdings
    later: list[LedgerEntry]
    wish: Wish
    steps: list[Step] = field(default_factory=list)
    money: dict[int, int] = field(default_factory=dict)
    spare: Counter[int] = field(default_factory=Counter)
    """By entry: what this restoration itself takes away, and so may give."""

    def items(self) -> None:
        """What becomes of the items that there were then."""
        self.present = by_slot(self.now.items)
        past = by_slot(self.then.items)
        self.own = {item.item_guid: item for item in self.present.values() if item.item_guid}
        wanted = [item for item in past.values() if self._is_asked_for(item.slot)]
        # Bags before what is in them.
        wanted.sort(key=lambda item: (item.slot >> 8 != 255, item.slot))
        self.lives = lives(
            self.connection,
            self.now.character_guid,
            self.later,
            {item.item_guid: item.entry for item in wanted if self._is_short(item)},
        )
        staying = self._staying(wanted) if self.wish.exact else self.present
        self.room = Room(self.now.character_guid, staying, self.present, past)
        # Nobody is put into the slot of someone who comes after.
        homeless = []
        for item in wanted:
            if self.room.is_free(item.slot):
                self._handle(item)
            else:
                homeless.append(item)
        for item in homeless:
            self._handle(item)
        self._require_bags()
        self.steps.sort(key=lambda step: step.item.slot if step.item else 0)

    def _is_short(self, item: InventoryItemData) -> bool:
        held = self.own.get(item.item_guid)
        return bool(item.item_guid) and (held is None or held.stack_count < item.stack_count)

    def _handle(self, item: InventoryItemData) -> None:
        held = self.own.get(item.item_guid)
        if not item.item_guid:
            if self.present.get(item.slot) != item:
                self._leave(item, "it has no guid, and cannot be followed")
        elif held is None:
            self._bring_back(item)
        elif held.entry != item.entry:
            self._leave(item, f"it has become entry {held.entry}")
        elif self.wish.exact:
            self._set_back(item, held)
        elif held.stack_count < item.stack_count:
            self._grow(item, held)

    def _is_asked_for(self, slot: int) -> bool:
        return self.wish.slots is None or slot in self.wish.slots

    def _staying(self, wanted: list[InventoryItemData]) -> dict[int, InventoryItemData]:
        """What stays where it is, whatever is set back: all of the present but what goes and what
        is put anew. Counts what becomes spare."""
        known = {item.item_guid: item for item in wanted if item.item_guid}
        elsewhere = set(self.then.items["item_guid"].tolist()) - known.keys()
        staying = {}
        for slot, item in self.present.items():
            before = known.get(item.item_guid)
            if before is not None and before.entry == item.entry and item.item_guid:
                self.spare[item.entry] += max(0, item.stack_count - before.stack_count)
            elif (
                before is not None
                or not item.item_guid
                or item.item_guid in elsewhere
                or not self._is_asked_for(slot)
            ):
                staying[slot] = item
            else:
                self.spare[item.entry] += item.stack_count
                self.steps.append(Step(Kind.GOES, item, "it came since"))
        return staying

    def _missing(self, item: InventoryItemData, held: int) -> int:
        """How much of a stack may come back."""
        wanted = item.stack_count - held
        destroyed = min(wanted, self.lives.get(item.item_guid, Life()).missing)
        spare = min(wanted - destroyed, self.spare[item.entry])
        self.spare[item.entry] -= spare
        return destroyed + spare

    def _bring_back(self, item: InventoryItemData) -> None:
        place = place_of(self.connection, item.item_guid)
        if place is not None:
            self._leave(item, f"it is in {_slot(place[1])} of character {place[0]} now")
            return
        slot = item.slot if self.room.is_free(item.slot) else self.room.find()
        if slot is None:
            self._leave(item, "there is no free slot for it")
            return
        count = self._missing(item, 0)
        if count:
            text = "" if slot == item.slot else f"into {_slot(slot)}, its slot is taken or gone"
            self.room.put(item.counted(count), slot)
            self.steps.append(Step(Kind.RETURNS, item.counted(count), text))
        if count < item.stack_count:
            self._leave(item.counted(item.stack_count - count), self._fate(item))

    def _grow(self, item: InventoryItemData, held: InventoryItemData) -> None:
        count = self._missing(item, held.stack_count)
        if count:
            self.room.contents[held.slot] = held.counted(held.stack_count + count)
            text = f"from {held.stack_count} to {held.stack_count + count}, in {_slot(held.slot)}"
            self.steps.append(Step(Kind.GROWS, item.counted(count), text))
        rest = item.stack_count - held.stack_count - count
        if rest:
            self._leave(item.counted(rest), self._fate(item))

    def _set_back(self, item: InventoryItemData, held: InventoryItemData) -> None:
        """Of `Wish.exact`: slot, fields and count as they were."""
        count = item.stack_count
        if held.stack_count < count:
            count = held.stack_count + self._missing(item, held.stack_count)
            if count < item.stack_count:
                self._leave(item.counted(item.stack_count - count), self._fate(item))
        slot = item.slot if self.room.is_free(item.slot) else self.room.find()
        if slot is None:
            raise StoreDataError(
                f"character {self.now.character_guid}: item {item.item_guid} has no free slot if "
                "everything is to be exactly as it was. Nothing was restored; try it without "
                "--exact, or for some slots only."
            )
        self.room.put(item.counted(count), slot)
        if slot != held.slot:
            self.steps.append(Step(Kind.MOVES, item.counted(count), f"from {_slot(held.slot)}"))
        if count > held.stack_count:
            text = f"from {held.stack_count} to {count}"
            self.steps.append(Step(Kind.GROWS, item.counted(count - held.stack_count), text))
        elif self.room.contents[slot].placed(held.slot, held.contained) != held:
            self.steps.append(Step(Kind.CHANGES, item.counted(count), "as it was"))

    def _require_bags(self) -> None:
        """Nothing that stays may find its bag gone."""
        for slot, item in self.room.contents.items():
            if is_inside_bag(slot) and self.present.get(slot) == item:
                held, holds = (
                    slots.get(bag_holding(slot)) for slots in (self.present, self.room.contents)
                )
                if held is not None and (holds is None or holds.item_guid != held.item_guid):
                    raise StoreDataError(
                        f"character {self.now.character_guid}: the bag in "
                        f"{_slot(bag_holding(slot))} would go, and {_slot(slot)} in it not. "
                        "Nothing was restored; ask for the slots in it too."
                    )

    def _leave(self, item: InventoryItemData, text: str) -> None:
        self.steps.append(Step(Kind.LEFT, item, text))

    def _fate(self, item: InventoryItemData) -> str:
        """Why an item, or a part of it, may not come back."""
        last = self.lives.get(item.item_guid, Life()).last
        if last is None:
            return "the ledger does not say what became of it"
        if last.character_guid != self.now.character_guid:
            return (
                f"it went to character {last.character_guid}, whose operation "
                f"{last.operation_id:#x} was its last"
            )
        return (
            f"moved on or merged: operation {last.operation_id:#x} does not say that it was "
            "destroyed"
        )

    def balances(self) -> None:
        for currency in sorted(self.now.balances.keys() | self.then.balances.keys()):
            has, had = (held.balances.get(currency, 0) for held in (self.now, self.then))
            amount = had - has
            if amount > 0:
                amount = min(amount, money_missing(self.connection, self.later, currency))
                if amount < had - has:
                    text = f"currency {currency}: {had - has - amount} went to others"
                    self.steps.append(Step(Kind.LEFT, None, text))
            elif not self.wish.exact:
                amount = 0
            if amount:
                self.money[currency] = amount
                text = f"currency {currency}: {amount:+}, then {has + amount}"
                self.steps.append(Step(Kind.MONEY, None, text))

    def change(self) -> Change:
        target = self.room.contents
        saves = [item for slot, item in target.items() if self.present.get(slot) != item]
        return Change(
            batch_of(*saves), slots_of(*sorted(self.present.keys() - target.keys())), self.money
        )


def _slot(slot: int) -> str:
    return f"slot {slot >> 8}:{slot & 0xFF}"
