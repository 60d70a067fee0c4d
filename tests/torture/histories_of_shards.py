"""Random histories of a small shard: what worlds write down and what a right database then holds.

Its database is two dicts. Also the ways in which such a database may be damaged.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mmoinv.records import INVENTORY_ITEM, InventoryItemData
from mmoinv.torture import Answer, Change, Sent, Stored
from mmoinv.torture.journal import Amount, Record

GOLD = 1
FATES = ("acknowledged", "already", "unanswered", "unanswered", "gone", "refused", "busy")
"""How an operation ends. "unanswered" is there all the same; "gone", "refused", "busy" are not."""


def record(entry: int, slot: int, count: int, guid: int, durability: int = 0) -> Record:
    return tuple(InventoryItemData(entry, slot, count, durability=durability, item_guid=guid))


class Shard:
    """Characters whose operations are written down and applied, or not."""

    def __init__(self, seed: int, characters: int = 4) -> None:
        self.random = random.Random(seed)
        self.entries: list[Sent | Answer] = []
        self.records: dict[int, dict[int, Record]] = {n: {} for n in range(1, characters + 1)}
        self.versions = dict.fromkeys(self.records, 0)
        self.wallets: dict[int, dict[int, int]] = {n: {GOLD: 0} for n in self.records}
        self.applied: list[int] = []
        self._guids = 1 << 40
        self._operations = 1 << 32

    def guid(self) -> int:
        self._guids += 1
        return self._guids

    def stored(self) -> Stored:
        return Stored(
            {
                each: np.array(sorted(items.values(), key=lambda it: it[1]), INVENTORY_ITEM)
                for each, items in self.records.items()
            },
            dict(self.versions),
            copy.deepcopy(self.wallets),
            np.array(self.applied, "u8"),
        )

    def commit(self, fate: str, *changes: Change, **amounts) -> int:
        """An operation; ``amounts`` are `Sent`'s created, destroyed and so on."""
        self._operations += 1
        operation = self._operations
        sent = Sent(operation, f"world-{self.random.randint(1, 2)}", changes, **amounts)
        self.entries.append(sent)
        there = fate in ("acknowledged", "already", "unanswered")
        if there:
            self.applied.append(operation)
            for change in changes:
                self._apply(change)
        status = {"acknowledged": 0, "already": 1, "refused": 3, "busy": 7}.get(fate)
        if status is not None:
            versions = {change.character: self.versions[change.character] for change in changes}
            self.entries.append(Answer(operation, status, versions))
        return operation

    def change(self, character: int, saves=(), deletes=(), money=None, whole=False) -> Change:
        return Change(
            character, self.versions[character], tuple(saves), tuple(deletes), whole, money or {}
        )

    def _apply(self, change: Change) -> None:
        items, wallet = self.records[change.character], self.wallets[change.character]
        if change.replace:
            items.clear()
        for slot in change.deletes:
            items.pop(slot, None)
        items.update({each[1]: each for each in change.saves})
        for currency, amount in change.money.items():
            wallet[currency] = wallet.get(currency, 0) + amount
        self.versions[change.character] += 1

    # What players do

    def free_slot(self, character: int) -> int:
        return next(slot for slot in range(23, 1000) if slot not in self.records[character])

    def loot(self, fate: str, character: int, count: int = 3) -> int:
        entry, guid = self.random.choice([2001, 2002, 10001]), self.guid()
        item = record(entry, self.free_slot(character), count, guid, 40)
        return self.commit(
            fate,
            self.change(character, [item], money={GOLD: 10}),
            created=(Amount(guid, entry, count),),
            money_created={GOLD: 10},
        )

    def sell(self, fate: str, character: int, slot: int) -> int:
        item = self.records[character][slot]
        return self.commit(
            fate,
            self.change(character, (), [slot], {GOLD: 2}),
            destroyed=(Amount(item[-1], item[0], item[2]),),
            money_created={GOLD: 2},
        )

    def use(self, fate: str, character: int, slot: int) -> int:
        item = list(self.records[character][slot])
        item[2] -= 1
        spent = (Amount(item[-1], item[0], 1),)
        return self.commit(fate, self.change(character, [tuple(item)]), destroyed=spent)

    def split(self, fate: str, character: int, slot: int) -> int:
        item = list(self.records[character][slot])
        item[2] -= 1
        new = record(item[0], self.free_slot(character), 1, self.guid(), item[5])
        return self.commit(fate, self.change(character, [tuple(item), new]))

    def sort(self, fate: str, character: int) -> int:
        items = sorted(self.records[character].values())
        moved = [(each[0], 23 + place, *each[2:]) for place, each in enumerate(items)]
        return self.commit(fate, self.change(character, moved, whole=True))

    def trade(self, fate: str, giver: int, slot: int, taker: int, price: int = 4) -> int:
        item = list(self.records[giver][slot])
        item[1] = self.free_slot(taker)
        return self.commit(
            fate,
            self.change(giver, (), [slot], {GOLD: price}),
            self.change(taker, [tuple(item)], (), {GOLD: -price}),
        )

    def live(self, operations: int) -> "Shard":
        for _ in range(operations):
            self._do(self.random.choice(FATES))
        return self

    def _do(self, fate: str) -> None:
        character, other = self.random.sample(sorted(self.records), 2)
        items = self.records[character]
        deed = self.random.choice(["loot", "loot", "sell", "use", "split", "sort", "trade"])
        slot = self.random.choice(sorted(items)) if items else 0
        if not items or deed == "loot":
            self.loot(fate, character, self.random.randint(1, 20))
        elif deed == "sort":
            self.sort(fate, character)
        elif deed == "trade":
            self.trade(fate, character, slot, other)
        elif deed == "sell" or items[slot][2] < 2:
            self.sell(fate, character, slot)
        else:
            {"use": self.use, "split": self.split}[deed](fate, character, slot)


# What may go wrong with a database; each gives None where there is nothing to damage.

Damage = Callable[[random.Random, Stored], Stored | None]


def _some(chance: random.Random, stored: Stored) -> tuple[int, int] | None:
    """A character and the index of one of its records."""
    places = [(who, index) for who, batch in stored.records.items() for index in range(len(batch))]
    return chance.choice(places) if places else None


def _with_records(stored: Stored, character: int, batch: np.ndarray) -> Stored:
    return replace(stored, records={**stored.records, character: batch})


def lose_record(chance: random.Random, stored: Stored) -> Stored | None:
    if (place := _some(chance, stored)) is None:
        return None
    return _with_records(stored, place[0], np.delete(stored.records[place[0]], place[1]))


def change_field(chance: random.Random, stored: Stored) -> Stored | None:
    if (place := _some(chance, stored)) is None:
        return None
    batch = stored.records[place[0]].copy()
    name = chance.choice(INVENTORY_ITEM.names)
    batch[name][place[1]] += 1 if name != "slot" else 5000
    return _with_records(stored, place[0], batch)


def double_record(chance: random.Random, stored: Stored) -> Stored | None:
    if (place := _some(chance, stored)) is None:
        return None
    twin = stored.records[place[0]][place[1] : place[1] + 1].copy()
    twin["slot"] = 4000
    target = chance.choice(sorted(stored.records))
    return _with_records(stored, target, np.concatenate([stored.records[target], twin]))


def add_record(chance: random.Random, stored: Stored) -> Stored:
    target = chance.choice(sorted(stored.records))
    new = np.array([record(2001, 4000, 1, 77)], INVENTORY_ITEM)
    return _with_records(stored, target, np.concatenate([stored.records[target], new]))


def change_version(chance: random.Random, stored: Stored) -> Stored:
    who = chance.choice(sorted(stored.versions))
    version = stored.versions[who] + chance.choice([-1, 1, 7])
    return replace(stored, versions={**stored.versions, who: version})


def change_balance(chance: random.Random, stored: Stored) -> Stored:
    who = chance.choice(sorted(stored.wallets))
    wallet = {GOLD: stored.wallets[who][GOLD] + chance.choice([-3, 3])}
    return replace(stored, wallets={**stored.wallets, who: wallet})


def forget_operation(chance: random.Random, stored: Stored) -> Stored | None:
    applied = list(stored.applied)
    if not applied:
        return None
    applied.remove(chance.choice(applied))
    return replace(stored, applied=applied)


def invent_operation(chance: random.Random, stored: Stored) -> Stored:
    return replace(stored, applied=[*stored.applied, 99])


def swap_wallets(chance: random.Random, stored: Stored) -> Stored | None:
    """The balances of two characters change places."""
    one, other = chance.sample(sorted(stored.wallets), 2)
    if stored.wallets[one] == stored.wallets[other]:
        return None
    return replace(
        stored,
        wallets={**stored.wallets, one: stored.wallets[other], other: stored.wallets[one]},
    )


DAMAGES: tuple[Damage, ...] = (
    lose_record,
    change_field,
    double_record,
    add_record,
    change_version,
    change_balance,
    forget_operation,
    invent_operation,
    swap_wallets,
)
