"""AzerothCore's tables written again, for the way back: only what is otherwise than it was.

Existing rows of item_instance keep what our record has no room for. Works on an open connection,
inside a transaction of whoever calls.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from mmoinv.errors import StoreDataError
from mmoinv.inventory.slots import bag_holding, is_inside_bag
from mmoinv.legacy.interface import OldChange
from mmoinv.legacy.sql_tables import FoundTable, empty_values, in_chunks
from mmoinv.records import U32_MAX, Batch

Placed = tuple[int, int]
"""bag, and slot in it, as character_inventory says it."""
Instance = dict[str, int]
"""The columns of item_instance that we have anything of."""


class _Tables(Protocol):
    """The three, as the database has them."""

    @property
    def characters(self) -> FoundTable: ...
    @property
    def places(self) -> FoundTable: ...
    @property
    def items(self) -> FoundTable: ...


@dataclass
class _Plan:
    """What is to be done with the rows of the two tables of items."""

    instances: dict[int, Instance] = field(default_factory=dict)
    """By item guid: what is otherwise, or new."""
    places: dict[int, tuple[int, Placed]] = field(default_factory=dict)
    """By item guid: the character, and where; what is elsewhere, or new."""
    gone: dict[int, int] = field(default_factory=dict)
    """By item guid: the character that had it."""
    in_the_way: list[tuple[int, Placed]] = field(default_factory=list)


def put(
    connection: Connection,
    tables: _Tables,
    changes: Sequence[OldChange],
    moved_guids: Collection[int],
    highest_guid: int,
) -> None:
    """Write changes; see `mmoinv.legacy.OldTables.write`."""
    plan = _plan(changes, _Numbers(connection, tables.items, highest_guid))
    _write_places(connection, tables.places, plan)
    gone = [guid for guid in plan.gone if guid not in moved_guids and guid not in plan.instances]
    guid = tables.items.column("guid")
    for some in in_chunks([number for number in gone if number not in plan.places]):
        connection.execute(delete(tables.items.table).where(guid.in_(some)))
    _write_instances(connection, tables.items, plan)
    purse, money = (tables.characters.column(name) for name in ("guid", "money"))
    for change in changes:
        had = change.before.balances if change.before else {}
        for amount in change.balances.values():
            if list(had.values()) != [amount]:
                connection.execute(
                    update(tables.characters.table)
                    .where(purse == change.character_guid)
                    .values({money.name: amount})
                )


class _Numbers:
    """Gives guids to items that have none which fits."""

    def __init__(self, connection: Connection, items: FoundTable, highest: int) -> None:
        self._connection, self._items = connection, items
        self._last = highest
        self._looked = False

    def next(self) -> int:
        """One that no item has."""
        if not self._looked:
            highest = select(func.max(self._items.column("guid")))
            self._last = max(self._last, self._connection.execute(highest).scalar() or 0)
            self._looked = True
        self._last += 1
        if self._last > U32_MAX:
            raise StoreDataError(
                f"item_instance has items up to guid {self._last - 1}: there is no number of 32 "
                "bits left for a new one. Nothing of this page was written."
            )
        return self._last


def _plan(changes: Sequence[OldChange], numbers: _Numbers) -> _Plan:
    plan = _Plan()
    for change in changes:
        guid = change.character_guid
        before = _items(guid, change.before.items) if change.before else {}
        items = change.items
        if (items["item_guid"] == 0).any():
            items = items.copy()
            for index in (items["item_guid"] == 0).nonzero()[0].tolist():
                items["item_guid"][index] = numbers.next()
        after = _items(guid, items)
        has_faults = change.before is not None and len(change.before.faults) > 0
        for number, (placed, instance) in after.items():
            old = before.get(number)
            if old is None or old[1] != instance:
                plan.instances[number] = instance
            if old is None or old[0] != placed:
                plan.places[number] = guid, placed
                if has_faults:
                    plan.in_the_way.append((guid, placed))
        plan.gone.update(dict.fromkeys(before.keys() - after.keys(), guid))
    return plan


def _items(character_guid: int, batch: Batch) -> dict[int, tuple[Placed, Instance]]:
    """By item guid."""
    guids = dict(zip(batch["slot"].tolist(), batch["item_guid"].tolist(), strict=True))
    found = {}
    for record in batch.tolist():
        entry, slot, count, creator, _, durability, prop, suffix, flags, number = record
        bag = guids[bag_holding(slot)] if is_inside_bag(slot) else 0
        found[number] = (
            (bag, slot & 0xFF),
            {
                "itemEntry": entry,
                "owner_guid": character_guid,
                "creatorGuid": creator,
                "count": count,
                "flags": flags,
                "randomPropertyId": prop or -suffix,
                "durability": durability,
            },
        )
    return found


def _write_places(connection: Connection, places: FoundTable, plan: _Plan) -> None:
    guid, bag, slot, item = (places.column(name) for name in ("guid", "bag", "slot", "item"))
    for some in in_chunks([*plan.gone.keys() - plan.places.keys()]):
        held = [plan.gone[number] for number in some]
        # Whoever else is said to have it keeps it.
        connection.execute(delete(places.table).where(and_(item.in_(some), guid.in_(held))))
    for some in in_chunks(list(plan.places)):
        connection.execute(delete(places.table).where(item.in_(some)))
    if plan.in_the_way:
        is_there = and_(
            guid == bindparam("whose"), bag == bindparam("bag_is"), slot == bindparam("slot_is")
        )
        connection.execute(
            delete(places.table).where(is_there),
            [
                {"whose": whose, "bag_is": placed[0], "slot_is": placed[1]}
                for whose, placed in plan.in_the_way
            ],
        )
    if plan.places:
        empty = empty_values(places.details, {one.name for one in (guid, bag, slot, item)})
        connection.execute(
            insert(places.table),
            [
                {guid.name: whose, bag.name: placed[0], slot.name: placed[1], item.name: number}
                | empty
                for number, (whose, placed) in plan.places.items()
            ],
        )


def _write_instances(connection: Connection, items: FoundTable, plan: _Plan) -> None:
    guid = items.column("guid")
    there: set[int] = set()
    for some in in_chunks(list(plan.instances)):
        there.update(connection.execute(select(guid).where(guid.in_(some))).scalars())
    if there:
        names = {name: items.column(name).name for name in next(iter(plan.instances.values()))}
        connection.execute(
            update(items.table)
            .where(guid == bindparam("number"))
            .values({column: bindparam(f"new_{name}") for name, column in names.items()}),
            [
                {f"new_{name}": value for name, value in plan.instances[number].items()}
                | {"number": number}
                for number in sorted(there)
            ],
        )
    new = [number for number in plan.instances if number not in there]
    if new:
        given = {guid.name, *(items.column(name).name for name in plan.instances[new[0]])}
        empty = empty_values(items.details, given)
        connection.execute(
            insert(items.table),
            [
                {guid.name: number}
                | {items.column(name).name: value for name, value in plan.instances[number].items()}
                | empty
                for number in new
            ],
        )
