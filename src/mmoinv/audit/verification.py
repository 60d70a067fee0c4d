"""Whether a database adds up: rows, sessions, balances, and the ledger that led to them.

Changes nothing. Works on an open connection, as `SqlStore.read_only` gives it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select

from mmoinv.errors import MmoinvError
from mmoinv.records import Batch
from mmoinv.stores.ledger import LedgerEntry, unpacked
from mmoinv.stores.stored_rows import inventory, row_text
from mmoinv.stores.tables import (
    INVENTORY,
    LEDGER,
    LEDGER_COLUMNS,
    SESSION,
    SET_ASIDE,
    WALLET,
)

AT_ONCE = 200
"""Characters that are looked at together."""
SHOWN = 1000
"""Problems that are kept in words; all are counted."""
INSIDE = 36
"""Slots of a bag at most."""


class Problem(NamedTuple):
    """One thing that should not be: whose, of what kind, and in words."""

    character_guid: int
    kind: str
    text: str


@dataclass
class Findings:
    """What `verify` has found. ``kinds`` counts the problems by kind."""

    characters: int = 0
    items: int = 0
    ledger_rows: int = 0
    set_aside: int = 0
    problems: list[Problem] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def passed(self) -> bool:
        """Whether everything adds up."""
        return not self.kinds

    def note(self, character_guid: int, kind: str, text: str) -> None:
        """Note a problem."""
        self.kinds[kind] += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(character_guid, kind, text))


def verify(
    connection: Connection, progress: Callable[[int, int], object] = lambda done, of: None
) -> Findings:
    """Look at every character. ``progress`` is called with how many are done, of how many."""
    findings = Findings()
    findings.set_aside = connection.execute(
        select(func.count()).select_from(SET_ASIDE)
    ).scalar_one()
    guids: set[int] = set()
    for table in (SESSION, INVENTORY, WALLET, LEDGER):
        guids.update(connection.execute(select(table.c.character_guid).distinct()).scalars())
    _check_guids(connection, findings)
    everyone = sorted(guids)
    for start in range(0, len(everyone), AT_ONCE):
        _check_characters(connection, everyone[start : start + AT_ONCE], findings)
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


def _check_characters(connection: Connection, guids: Sequence[int], findings: Findings) -> None:
    items = _by_character(connection, INVENTORY, list(INVENTORY.c), guids)
    sessions = _by_character(
        connection,
        SESSION,
        [SESSION.c.character_guid, SESSION.c.version, SESSION.c.epoch, SESSION.c.online],
        guids,
    )
    money = _by_character(connection, WALLET, list(WALLET.c), guids)
    ledger = _by_character(connection, LEDGER, [LEDGER.c[name] for name in LEDGER_COLUMNS], guids)
    for guid in guids:
        stored, bad = inventory(items[guid])
        for row in bad:
            findings.note(guid, "unreadable row", f"{row.reason}: {row_text(row.values)}")
        findings.items += len(stored)
        _check_slots(guid, stored, findings)
        balances = {currency: balance for _, currency, balance in money[guid]}
        for currency, balance in balances.items():
            if balance < 0:
                findings.note(guid, "balance", f"{balance} of currency {currency}")
        if not sessions[guid]:
            findings.note(guid, "no session", "it has rows, and has never joined")
            version = 0
        else:
            version = sessions[guid][0][1]
        findings.ledger_rows += len(ledger[guid])
        _check_ledger(guid, ledger[guid], version, stored, balances, findings)


def _check_slots(guid: int, stored: Batch, findings: Findings) -> None:
    slots = set(stored["slot"].tolist())
    for slot in sorted(slots):
        bag, inside = slot >> 8, slot & 0xFF
        if bag not in (0, 255) and inside >= INSIDE:
            findings.note(guid, "slot", f"slot {slot} is place {inside} of a bag, which has none")
        elif 19 <= bag <= 22 and (255 << 8 | bag) not in slots:
            findings.note(guid, "bag", f"slot {slot} is in bag {bag}, and no bag is there")


def _check_ledger(
    guid: int,
    rows: Sequence[tuple[Any, ...]],
    version: int,
    stored: Batch,
    balances: dict[int, int],
    findings: Findings,
) -> None:
    """The versions are a chain, each change begins with what the one before has left, and the
    last ones are what is stored. What is older than the ledger is taken as it is found."""
    entries: list[LedgerEntry] = []
    for row in sorted(rows, key=lambda one: int(one[1])):
        try:
            entries.append(unpacked(*row))
        except (MmoinvError, ValueError) as error:
            findings.note(guid, "ledger", f"the row of version {row[1]} cannot be read: {error}")
            return
    if not entries:
        return
    if entries[-1].version != version:
        findings.note(
            guid,
            "version",
            f"the session has version {version}, the ledger ends with {entries[-1].version}",
        )
        return
    is_whole = entries[0].version == 1
    held: dict[int, bytes] = {}
    known: set[int] = set()
    money: dict[int, int] = {}
    for before, entry in zip([None, *entries], entries, strict=False):
        if before is not None and entry.version != before.version + 1:
            findings.note(
                guid, "gap", f"between version {before.version} and {entry.version} is a gap"
            )
            # From here on anew: what was changed meanwhile is not known.
            is_whole, held, known, money = False, {}, set(), {}
        for old, new in zip(entry.before, entry.after, strict=True):
            slot = int((new if new["entry"] else old)["slot"])
            was = held.get(slot, b"") if slot in known or is_whole else _bytes(old)
            if was != _bytes(old):
                findings.note(
                    guid,
                    "ledger",
                    f"version {entry.version} begins with another record in slot {slot} than the "
                    "one before it has left",
                )
            known.add(slot)
            held[slot] = _bytes(new)
        for currency, amount, balance in entry.money.tolist():
            if (currency in money or is_whole) and money.get(currency, 0) + amount != balance:
                findings.note(
                    guid, "money", f"version {entry.version}: currency {currency} does not add up"
                )
            money[currency] = balance
    for currency, balance in money.items():
        if balances.get(currency, 0) != balance:
            findings.note(
                guid,
                "money",
                f"{balances.get(currency, 0)} of currency {currency}, the ledger says {balance}",
            )
    there = {int(record["slot"]): record.tobytes() for record in stored}
    slots = (known | there.keys()) if is_whole else known
    for slot in sorted(slots):
        if there.get(slot, b"") != held.get(slot, b""):
            findings.note(guid, "item", f"slot {slot} does not hold what the ledger says it holds")


def _bytes(record: Any) -> bytes:
    return record.tobytes() if record["entry"] else b""
