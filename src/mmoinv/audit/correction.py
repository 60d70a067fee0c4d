"""Mends what `verify` finds, where that can be done safely: `mmoinv verify --fix`.

The ledger wins. A row that it does not know is set aside (table set_aside_item), not thrown away;
what it says is there and is missing is written again, unless the item is stored elsewhere. Each
character is mended through a session of the desk's own, in one operation of the ledger's with the
reason "corrected", which keeps what was found. Everything else is left and told.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, select

from mmoinv.audit.chain import Chain, chain_of
from mmoinv.audit.desk import Change, Desk
from mmoinv.audit.history import CHARACTER_COLUMNS, holder, place_of
from mmoinv.audit.room import Room, by_slot
from mmoinv.audit.verification import slot_fault
from mmoinv.commits import OwnReason
from mmoinv.errors import MmoinvError
from mmoinv.records import INVENTORY_ITEM, InventoryItemData, batch_of, slots_of
from mmoinv.stores.entries import JoinOutcome
from mmoinv.stores.ledger import unpacked
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.store import Session
from mmoinv.stores.tables import CHARACTER_LEDGER, SET_ASIDE

ROUNDS = 2
"""An item that stands in a row which is set aside in the first is free in the second."""
UNKNOWN = "the ledger does not know it"

Say = Callable[[str], object]


@dataclass
class Mending:
    """What is to be done for one character, and what cannot be."""

    change: Change
    set_aside: list[InventoryItemData] = field(default_factory=list)
    version: int = 0
    """Of the ledger's last row; the session's is raised to it."""
    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    waits: bool = False
    """An item of its is with another, whose row may be set aside yet."""


async def fix(
    store: SqlStore, character_guids: Collection[int], say: Say, *, takes_online: bool = False
) -> int:
    """Mend these characters; how many were. ``store`` is not open. ``say`` is told what will be
    done, what was, and what is left. Characters that are online are left, unless
    ``takes_online``: their worlds lose them then."""
    mended: set[int] = set()
    async with store:
        desk = await Desk.at(store)
        waiting = sorted(character_guids)
        for _ in range(ROUNDS):
            again = []
            for guid in waiting:
                done, waits = await _fix_one(desk, store, guid, say, takes_online)
                if done:
                    mended.add(guid)
                if waits:
                    again.append(guid)
            if not mended:
                break
            waiting = again
    return len(mended)


async def _fix_one(
    desk: Desk, store: SqlStore, guid: int, say: Say, takes_online: bool
) -> tuple[bool, bool]:
    """Whether anything was done, and whether something may be free later."""
    session = await store.read_session(guid)
    if session is not None and session.online and not takes_online:
        world = await store.ask(lambda connection: holder(connection, guid))
        say(f"character {guid}: left, it is online in {world}: let it log out, or --online.")
        return False, False
    try:
        joined = await desk.join(guid)
        try:
            return await _mend(desk, store, guid, session, joined, say)
        finally:
            await desk.leave(guid, joined.epoch)
    except (MmoinvError, ValueError) as error:
        say(f"character {guid}: left, {error}")
        return False, False


async def _mend(
    desk: Desk,
    store: SqlStore,
    guid: int,
    session: Session | None,
    joined: JoinOutcome,
    say: Say,
) -> tuple[bool, bool]:
    mending = await store.ask(
        lambda connection: mending_of(connection, guid, joined, desk.world_id)
    )
    if session is None:
        mending.done.append("it gets a session")
    elif not mending.done and session.online:
        mending.done.append("its session is given back")
    if joined.set_aside:
        mending.done.append(f"{joined.set_aside} rows that cannot be read are set aside")
    for text in mending.done:
        say(f"character {guid}: {text}")
    for text in mending.left:
        say(f"character {guid}: left, {text}")
    version = max(joined.version, mending.version)
    if version > joined.version:
        await store.raise_version(guid, joined.epoch, version)
    if mending.set_aside:
        await store.set_aside(guid, mending.set_aside, UNKNOWN)
    if not mending.change.is_empty:
        operation_id = await desk.commit(
            guid, joined.epoch, version, mending.change, OwnReason.CORRECTED
        )
        say(f"character {guid}: done in operation {operation_id:#x}: version {version + 1}.")
    elif mending.done:
        say(f"character {guid}: done.")
    return bool(mending.done), mending.waits


def mending_of(connection: Connection, guid: int, joined: JoinOutcome, desk_id: int) -> Mending:
    """What is to be done for a character that the desk has joined."""
    rows = connection.execute(
        select(*CHARACTER_COLUMNS).where(CHARACTER_LEDGER.c.character_guid == guid)
    )
    entries = [unpacked(*row) for row in sorted(rows, key=lambda row: int(row.version))]
    aside = connection.execute(
        select(SET_ASIDE.c.slot).where(SET_ASIDE.c.character_guid == guid)
    ).scalars()
    chain = chain_of(entries, desk_id, set(aside))
    present = by_slot(joined.items)
    target = dict(present)
    mending = Mending(Change(batch_of(), slots_of(), {}), version=chain.version)
    money: dict[int, int] = {}
    if chain.version > joined.version:
        mending.done.append(f"version {joined.version} becomes {chain.version}, the ledger's last")
    if chain.version >= joined.version:
        _follow_ledger(connection, chain, joined, target, mending)
        for currency, told in chain.money_differing(joined.balances).items():
            money[currency] = told - joined.balances.get(currency, 0)
            mending.done.append(
                f"currency {currency}: {money[currency]:+}, then {told}, as of the ledger"
            )
    elif entries:
        mending.left.append(
            f"its version is {joined.version}, and the ledger ends with {chain.version}: what was "
            "done since is not known"
        )
    for currency, balance in joined.balances.items():
        if balance < 0 and currency not in money:
            money[currency] = -balance
            mending.done.append(f"currency {currency}: {-balance:+}, then 0")
    target = _with_sane_slots(guid, target, present, mending)
    saves = [item for slot, item in target.items() if present.get(slot) != item]
    deletes = slots_of(*sorted(present.keys() - target.keys()))
    mending.change = Change(batch_of(*saves), deletes, money)
    return mending


def _follow_ledger(
    connection: Connection,
    chain: Chain,
    joined: JoinOutcome,
    target: dict[int, InventoryItemData],
    mending: Mending,
) -> None:
    """Put into ``target`` what the ledger says, as far as it is free."""
    differing = chain.differing(joined.items)
    removed = {}
    for slot in differing:
        if slot in target:
            removed[slot] = target.pop(slot)
            mending.set_aside.append(removed[slot])
            mending.done.append(f"{_text(removed[slot])} is set aside: {UNKNOWN}")
    own = {item.item_guid for item in target.values()}
    free = {item.item_guid for item in removed.values()}
    for item in _told(chain, differing):
        place = place_of(connection, item.item_guid) if item.item_guid else None
        if item.item_guid in own or (place is not None and item.item_guid not in free):
            where = "elsewhere" if place is None else f"in slot {place[1]} of character {place[0]}"
            mending.left.append(f"{_text(item)} is missing, and the item is {where}")
            mending.waits = True
        else:
            target[item.slot] = item
            own.add(item.item_guid or -1)
            mending.done.append(f"{_text(item)} is written, as of the ledger")


def _told(chain: Chain, slots: Collection[int]) -> Iterator[InventoryItemData]:
    for slot in slots:
        if chain.held.get(slot):
            (record,) = np.frombuffer(chain.held[slot], INVENTORY_ITEM)
            yield InventoryItemData.from_record(record)


def _with_sane_slots(
    guid: int,
    target: dict[int, InventoryItemData],
    present: dict[int, InventoryItemData],
    mending: Mending,
) -> dict[int, InventoryItemData]:
    """What lies where nothing can lie goes into free slots."""
    bad = {slot: fault for slot in target if (fault := slot_fault(slot, target))}
    room = Room(guid, {slot: item for slot, item in target.items() if slot not in bad}, present)
    for slot, (_, text) in sorted(bad.items()):
        free = room.find()
        if free is None:
            # Where it was.
            room.contents[slot] = target[slot]
            mending.left.append(f"{text}; no slot is free for it")
        else:
            room.put(target[slot], free)
            mending.done.append(f"{text}; it goes to slot {free}")
    return room.contents


def _text(item: InventoryItemData) -> str:
    return f"slot {item.slot}: entry {item.entry} x{item.stack_count} (item {item.item_guid})"
