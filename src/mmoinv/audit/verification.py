"""Whether a database adds up: rows, sessions, balances, and the ledger that led to them.

Changes nothing. Works on an open connection, as `SqlStore.read_only` gives it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select

from mmoinv.audit.chain import chain_of
from mmoinv.audit.desk import DESK
from mmoinv.audit.history import CHARACTER_COLUMNS, world_names
from mmoinv.errors import MmoinvError
from mmoinv.inventory.slots import EQUIPPED_BAGS, MAX_BAG_SLOTS, OWN_SLOTS
from mmoinv.records import U32_MAX, Batch
from mmoinv.stores.ledger import LedgerEntry, unpacked
from mmoinv.stores.stored_rows import inventory, row_text
from mmoinv.stores.tables import (
    CHARACTER_LEDGER,
    INVENTORY,
    LEDGER,
    SESSION,
    SET_ASIDE,
    WALLET,
    spans,
)

AT_ONCE = 200
"""Characters that are looked at together."""
SHOWN = 1000
"""Problems that are kept in words; all are counted."""
ASIDE_COLUMNS = [SET_ASIDE.c[name] for name in ("character_guid", "slot", "reason", "set_aside_at")]


class Problem(NamedTuple):
    """One thing that should not be: whose, of what kind, and in words."""

    character_guid: int
    kind: str
    text: str


class SetAside(NamedTuple):
    """A row that was moved out of the way, into the table set_aside_item."""

    character_guid: int
    slot: int
    reason: str
    set_aside_at: int


@dataclass
class Findings:
    """What `verify` has found. ``kinds`` counts the problems by kind; ``damaged`` are the
    characters that have any. ``unnamed`` counts items without a guid, as protocol 3 and imports
    leave them: they are no problem, nor is what was ``set_aside``."""

    characters: int = 0
    items: int = 0
    ledger_rows: int = 0
    unnamed: int = 0
    set_aside: list[SetAside] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    damaged: set[int] = field(default_factory=set)

    @property
    def passed(self) -> bool:
        """Whether everything adds up."""
        return not self.kinds

    def note(self, character_guid: int, kind: str, text: str) -> None:
        """Note a problem."""
        self.kinds[kind] += 1
        if kind != "guid twice":
            self.damaged.add(character_guid)
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(character_guid, kind, text))


def verify(
    connection: Connection, progress: Callable[[int, int], object] = lambda done, of: None
) -> Findings:
    """Look at every character. ``progress`` is called with how many are done, of how many."""
    findings = Findings()
    worlds = world_names(connection)
    guids: set[int] = set()
    for table in (SESSION, INVENTORY, WALLET, LEDGER, SET_ASIDE):
        guids.update(connection.execute(select(table.c.character_guid).distinct()).scalars())
    _check_guids(connection, findings)
    everyone = sorted(guids)
    for start in range(0, len(everyone), AT_ONCE):
        _check_characters(connection, everyone[start : start + AT_ONCE], worlds, findings)
        progress(min(start + AT_ONCE, len(everyone)), len(everyone))
    findings.characters = len(everyone)
    return findings


def _check_guids(connection: Connection, findings: Findings) -> None:
    """The index holds them unique; should it be broken, this tells."""
    number = INVENTORY.c.item_guid
    # Of the rows themselves, without the index.
    twice = connection.execute(
        select(number, func.count())
        .where(number.is_not(None))
        .group_by(number)
        .having(func.count() > 1)
    )
    for item_guid, count in twice:
        findings.note(0, "guid twice", f"item guid {item_guid} is stored {count} times")


def _by_character(
    connection: Connection, table: Table, columns: Sequence[Any], guids: Sequence[int]
) -> dict[int, list[tuple[Any, ...]]]:
    rows: dict[int, list[tuple[Any, ...]]] = {guid: [] for guid in guids}
    for row in connection.execute(select(*columns).where(table.c.character_guid.in_(list(guids)))):
        rows[row[0]].append(tuple(row))
    return rows


def _ledger_of(connection: Connection, guids: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    """The rows of characters that are neighbours: everyone's between the first and the last."""
    rows: dict[int, list[tuple[Any, ...]]] = {guid: [] for guid in guids}
    for span in spans(connection, CHARACTER_LEDGER, guids[0], guids[-1]):
        for row in connection.execute(select(*CHARACTER_COLUMNS).where(span)):
            if row[0] in rows:
                rows[row[0]].append(tuple(row))
    return rows


class _Seen(NamedTuple):
    """What else must be known of a character to judge its ledger."""

    version: int
    desk_id: int | None
    set_aside: Collection[int]


def _check_characters(
    connection: Connection, guids: Sequence[int], worlds: Mapping[int, str], findings: Findings
) -> None:
    items = _by_character(connection, INVENTORY, list(INVENTORY.c), guids)
    sessions = _by_character(
        connection,
        SESSION,
        [
            SESSION.c.character_guid,
            SESSION.c.version,
            SESSION.c.epoch,
            SESSION.c.online,
            SESSION.c.world_id,
        ],
        guids,
    )
    money = _by_character(connection, WALLET, list(WALLET.c), guids)
    ledger = _ledger_of(connection, guids)
    aside = _by_character(connection, SET_ASIDE, ASIDE_COLUMNS, guids)
    desk_id = next((number for number, name in worlds.items() if name == DESK), None)
    for guid in guids:
        stored, bad = inventory(items[guid])
        for fault in bad:
            findings.note(guid, "unreadable row", f"{fault.reason}: {row_text(fault.values)}")
        findings.items += len(stored)
        findings.unnamed += int((stored["item_guid"] == 0).sum())
        _check_slots(guid, stored, findings)
        balances = {currency: balance for _, currency, balance in money[guid]}
        for currency, balance in balances.items():
            if balance < 0:
                findings.note(guid, "balance", f"{balance} of currency {currency}")
        version = _check_session(guid, sessions[guid], worlds, findings)
        findings.ledger_rows += len(ledger[guid])
        findings.set_aside += [SetAside(*row) for row in aside[guid]]
        entries = []
        try:
            for row in sorted(ledger[guid], key=lambda row: int(row[1])):
                entries.append(unpacked(*row))
        except (MmoinvError, ValueError) as error:
            text = f"the row of version {row[1]} cannot be read: {error}"
            findings.note(guid, "ledger", text)
            continue
        seen = _Seen(version, desk_id, {row[1] for row in aside[guid]})
        _check_ledger(guid, entries, seen, stored, balances, findings)


def _check_session(
    guid: int, rows: Sequence[tuple[Any, ...]], worlds: Mapping[int, str], findings: Findings
) -> int:
    """Whether its session can be; the version."""
    if not rows:
        findings.note(guid, "no session", "it has rows, and has never joined")
        return 0
    _, version, epoch, online, world_id = rows[0]
    if online not in (0, 1) or not 1 <= epoch <= U32_MAX:
        findings.note(guid, "session", f"epoch {epoch} and online {online} cannot be")
    elif online and world_id not in worlds:
        findings.note(guid, "session", f"it is online in world {world_id}, and there is none")
    return int(version)


def _check_slots(guid: int, stored: Batch, findings: Findings) -> None:
    slots = set(stored["slot"].tolist())
    for slot in sorted(slots):
        fault = slot_fault(slot, slots)
        if fault:
            findings.note(guid, *fault)


def slot_fault(slot: int, slots: Collection[int]) -> tuple[str, str] | None:
    """What is wrong with an item's slot, beside the others that are taken: the kind, and words."""
    bag, inside = slot >> 8, slot & 0xFF
    if bag in (0, 255):
        if inside >= OWN_SLOTS.stop & 0xFF:
            return "slot", f"slot {slot} is place {inside} of bag {bag}, which there is not"
    elif inside >= MAX_BAG_SLOTS:
        return "slot", f"slot {slot} is place {inside} of a bag, which has none"
    elif bag in EQUIPPED_BAGS and (255 << 8 | bag) not in slots:
        return "bag", f"slot {slot} is in bag {bag}, and no bag is there"
    return None


def _check_ledger(
    guid: int,
    entries: Sequence[LedgerEntry],
    seen: "_Seen",
    stored: Batch,
    balances: dict[int, int],
    findings: Findings,
) -> None:
    """The versions are a chain, each change begins with what the one before has left, and the
    last ones are what is stored. What is older than the ledger is taken as it is found."""
    if not entries:
        return
    if entries[-1].version != seen.version:
        findings.note(
            guid,
            "version",
            f"the session has version {seen.version}, the ledger ends with {entries[-1].version}",
        )
        return
    chain = chain_of(entries, seen.desk_id, seen.set_aside)
    for kind, text in chain.breaks:
        findings.note(guid, kind, text)
    for currency, told in chain.money_differing(balances).items():
        findings.note(
            guid,
            "money",
            f"{balances.get(currency, 0)} of currency {currency}, the ledger says {told}",
        )
    for slot in chain.differing(stored):
        aside = " (a row of it was set aside)" if slot in seen.set_aside else ""
        findings.note(
            guid, "item", f"slot {slot} does not hold what the ledger says it holds{aside}"
        )
