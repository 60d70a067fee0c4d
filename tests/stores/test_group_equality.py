"""A group has the outcome of its operations run one at a time, and of a model in plain Python."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.commits import CommitFlags, Commits, CurrencyDelta, OperationKind
from mmoinv.conformance.operations import (
    OTHER_WORLD,
    WORLD,
    changes,
    commit,
    entry,
    item,
    joined,
    old_delete,
    old_save,
)
from mmoinv.records import Fault
from mmoinv.stores import CommitEntry, CommitOutcome, Store, part, store_for
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.sqlite import SqliteStore

CHARACTERS = [1, 2**63 - 1, 2**63, 2**64 - 2]
STARTING = {guid: {23: 10 * n + 1, 24: 10 * n + 2} for n, guid in enumerate(CHARACTERS, 1)}
MINTED_FROM = 99 << 32


Participant = tuple[int, int, int, dict[int, int], list[int], dict[int, int]]
STARTING_MONEY = {1: 3, 2: 2**63 - 3}


class Change(NamedTuple):
    """One operation as drawn: participants are (character, epoch, slip, slot to guid, deletes,
    currency to amount)."""

    number: int
    world: int
    replace: bool
    conserve: bool
    repeated: bool
    fault: Fault
    old: str
    participants: list[Participant]


slots = st.integers(23, 26)
guids = st.sampled_from([11, 12, 21, 22, 31, 41, 42, 50, 51])
mostly = lambda usual, *others: st.sampled_from([usual] * 9 + list(others))  # noqa: E731


@st.composite
def participants(draw: st.DrawFn) -> Participant:
    saves = draw(st.dictionaries(slots, guids, max_size=3))
    deletes = draw(st.lists(slots.filter(lambda slot: slot not in saves), unique=True, max_size=2))
    return (
        draw(st.sampled_from(CHARACTERS)),
        draw(mostly(1, 2)),
        draw(mostly(0, 1)),
        saves,
        deletes,
        draw(
            st.dictionaries(
                st.integers(1, 3), st.one_of(st.integers(-4, 4), st.just(-(2**63))), max_size=2
            )
        ),
    )


@st.composite
def drawn_changes(draw: st.DrawFn) -> Change:
    old = draw(mostly("", "save", "replace", "delete"))
    return Change(
        draw(st.integers(1, 40)),
        draw(mostly(WORLD, OTHER_WORLD)),
        draw(mostly(False, True)),
        draw(mostly(False, False, False, True)),
        draw(st.booleans()),
        draw(mostly(Fault.NONE, Fault.NONE, Fault.ENTRY_ZERO)),
        old,
        draw(
            st.lists(
                participants(),
                min_size=1,
                max_size=1 if old else 2,
                unique_by=lambda participant: participant[0],
            )
        ),
    )


def operations(drawn: list[Change], base: int) -> list[CommitEntry]:
    """As entries; each expects the version that it would find if all before it were committed."""
    versions = dict.fromkeys(CHARACTERS, 1)
    entries = []
    for index, change in enumerate(drawn):
        parts = []
        for guid, epoch, slip, saves, deletes, money in change.participants:
            parts.append(
                changes(
                    guid,
                    *(item(slot, number, entry=100 + number % 3) for slot, number in saves.items()),
                    deletes=() if change.replace else deletes,
                    epoch=epoch,
                    version=versions[guid] + slip,
                    currencies=tuple(CurrencyDelta(*one) for one in money.items()),
                )
            )
            versions[guid] += 1
        guid, epoch, _, saves, deletes, _ = change.participants[0]
        # A link of protocol 3 gives each packet an id of its own.
        own = base + 100 + index
        commits: Commits
        if change.old == "delete":
            commits = old_delete(own, guid, *deletes, epoch=epoch)
        elif change.old:
            records = [item(slot, 0, entry=100 + number % 3) for slot, number in saves.items()]
            commits = old_save(own, guid, *records, replace=change.old == "replace", epoch=epoch)
        else:
            commits = commit(
                base + change.number,
                *parts,
                replace=change.replace,
                conserve=change.conserve,
                repeated=change.repeated,
                fault=change.fault,
            )
        entries.append(entry(commits, world=change.world)._replace(carries_flags=False))
    return entries


async def prepare(store: Store, base: int) -> None:
    await store.clear_characters(0, 2**64 - 1)
    await joined(store, *CHARACTERS)
    (outcome,) = await store.write_group(
        [
            entry(
                *(
                    commit(
                        base + 900 + n,
                        changes(
                            guid,
                            *(item(s, g, entry=100 + g % 3) for s, g in slots.items()),
                            currencies=tuple(CurrencyDelta(*m) for m in STARTING_MONEY.items()),
                        ),
                    )
                    for n, (guid, slots) in enumerate(STARTING.items())
                )
            )
        ]
    )
    assert outcome.statuses.tolist() == [0] * len(CHARACTERS)


def mint() -> Any:
    numbers = count(MINTED_FROM)
    return lambda n: np.array([next(numbers) for _ in range(n)], np.uint64)


def plain(outcomes: list[Any]) -> list[tuple[list[int], list[int]]]:
    assert all(isinstance(outcome, CommitOutcome) for outcome in outcomes)
    return [(o.statuses.tolist(), o.versions.tolist()) for o in outcomes]


async def state(store: Store) -> list[Any]:
    """All rows; a guid that the realm minted is only known to be one."""
    owners, items = await store.read_inventories(0, 2**64 - 1)
    items["item_guid"][items["item_guid"] >= MINTED_FROM] = MINTED_FROM
    sessions = [await store.read_session(guid) for guid in CHARACTERS]
    money = [await store.read_wallet(guid) for guid in CHARACTERS]
    return [owners.tolist(), items.tolist(), sessions, money]


async def history(store: Store) -> list[Any]:
    """The ledger without its times; every row follows from the one before, and the last ones are
    what is stored."""
    rows: list[Any] = []
    for guid in CHARACTERS:
        held: dict[int, Any] = {}
        money: dict[int, int] = {}
        entries = await store.read_ledger(guid)
        assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
        for one in entries:
            for before, after in zip(one.before.tolist(), one.after.tolist(), strict=True):
                slot = (after if after[0] else before)[1]
                assert held.pop(slot, (0,) * 10) == before
                if after[0]:
                    held[slot] = after
            for currency, amount, balance in one.money.tolist():
                assert money.get(currency, 0) + amount == balance
                money[currency] = balance
            arrays = (one.before, one.after, one.money, one.partners)
            rows.append([*one[:3], *one[4:6], *(array.tolist() for array in arrays)])
        session = await store.read_session(guid)
        assert session is not None
        assert session.version == len(entries)
        stored = (await store.read_items(guid)).tolist()
        assert [held[slot] for slot in sorted(held)] == stored
        assert money == await store.read_wallet(guid)
    return rows


@pytest.fixture(
    scope="module",
    params=[
        ("sqlite", 2, 8192),
        ("sqlite", 2, 2),
        ("sqlite", 12, 8192),
        ("sqlite", 12, 0),
        ("postgresql", 2, 8192),
        ("postgresql", 12, 0),
        ("mariadb", 2, 8192),
        ("mariadb", 12, 0),
    ],
    ids=lambda param: "{} whole from {} items {} characters cached".format(*param),
)
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, SqlStore, SqlStore]]:
    """Two databases; what is stored of a character is read first from so many items on."""
    folder: Path = tmp_path_factory.mktemp("equality")
    patch = pytest.MonkeyPatch()
    kind, whole_from, cached = request.param
    patch.setattr(part, "WHOLE_FROM_ITEMS", whole_from)
    url = f"sqlite:///{folder / 'group.db'}"
    if kind != "sqlite":
        url = request.getfixturevalue(f"{kind}_server").new_database()
    with asyncio.Runner() as runner:
        stores = [
            store_for(url, StoreSettings(cached_characters=cached)),
            SqliteStore(folder / "single.db", StoreSettings(cached_characters=0)),
        ]
        for store in stores:
            runner.run(store.open())
        yield runner, *stores
        for store in stores:
            runner.run(store.close())
    patch.undo()


bases = count(1 << 20, 1 << 12)


async def check_committed(store: SqlStore) -> None:
    """What the store remembers as current is what is stored."""
    committed = store._committed
    for guid, row in zip(committed._held.tolist(), committed._row.tolist(), strict=True):
        session = await store.read_session(guid)
        assert session is not None
        one = np.array([row])
        if committed.is_current(one, np.uint32(session.epoch), np.uint64(session.version)).all():
            remembered = committed.items_of(one).items
            stored = await store.read_items(guid)
            assert np.sort(remembered, order="slot").tolist() == stored.tolist()


@given(drawn=st.lists(drawn_changes(), min_size=1, max_size=12), data=st.data())
def test_a_group_equals_one_at_a_time(
    databases: tuple[Any, SqlStore, SqlStore], drawn: list[Change], data: st.DataObject
) -> None:
    runner, group, single = databases
    middle = data.draw(st.integers(0, len(drawn)))
    base = next(bases)
    entries = operations(drawn, base)

    async def compare() -> None:
        await prepare(group, base)
        await prepare(single, base)
        minter = mint()
        grouped = plain(await group.write_group(entries[:middle], minter))
        await check_committed(group)
        grouped += plain(await group.write_group(entries[middle:], minter))
        await check_committed(group)
        minter = mint()
        alone = [plain(await single.write_group([one], minter))[0] for one in entries]
        assert grouped == alone
        assert await state(group) == await state(single)
        # Reading every row back costs more than all of the rest.
        if base // (1 << 12) % 8 == 0:
            histories = [await history(store) for store in (group, single)]
            if not any(change.old for change in drawn):
                assert histories[0] == histories[1]
        if not any(change.old for change in drawn):
            assert grouped == model(entries)

    runner.run(compare())


def model(entries: list[CommitEntry]) -> list[tuple[list[int], list[int]]]:
    """The rules of protocol 4, for one operation at a time, with dictionaries."""
    versions = dict.fromkeys(CHARACTERS, 1)
    items = {(guid, slot): g for guid, slots in STARTING.items() for slot, g in slots.items()}
    money = {guid: dict(STARTING_MONEY) for guid in CHARACTERS}
    applied = set()
    answers = []
    for one in entries:
        (operation,) = one.commits.operations
        assert operation["kind"] == OperationKind.COMMIT
        participants = one.commits.participants
        owners = participants["character_guid"].tolist()
        touched, saved = set(), {}
        deltas = {}
        for participant in participants:
            guid = int(participant["character_guid"])
            start = int(participant["first_item"])
            for record in one.commits.items[start : start + int(participant["item_count"])]:
                saved[guid, int(record["slot"])] = int(record["item_guid"])
            start = int(participant["first_currency"])
            for currency, amount in one.commits.currencies[
                start : start + int(participant["currency_count"])
            ].tolist():
                deltas[guid, currency] = amount
            start = int(participant["first_delete"])
            touched |= {
                (guid, slot)
                for slot in one.commits.deletes[
                    start : start + int(participant["delete_count"])
                ].tolist()
            }
        touched |= saved.keys()
        if operation["flags"] & CommitFlags.REPLACE:
            touched |= {key for key in items if key[0] in owners}
        rest = {guid for key, guid in items.items() if key not in touched}
        after = {key: money[key[0]].get(key[1], 0) + delta for key, delta in deltas.items()}
        sums = Counter(100 + guid % 3 for guid in saved.values())
        sums.subtract(100 + guid % 3 for key, guid in items.items() if key in touched)
        for (_, currency), delta in deltas.items():
            sums[currency] += delta
        if int(operation["operation_id"]) in applied:
            status = 1
        elif operation["fault"]:
            status = 4
        elif one.world_id != WORLD or (participants["session_epoch"] != 1).any():
            status = 2
        elif [versions[guid] for guid in owners] != participants["expected_version"].tolist():
            status = 3
        elif operation["flags"] & CommitFlags.CONSERVE and any(sums.values()):
            status = 5
        elif min(after.values(), default=0) < 0:
            status = 9
        elif max(after.values(), default=0) > 2**63 - 1:
            status = 4
        elif len(set(saved.values())) < len(saved) or rest & set(saved.values()):
            status = 10
        else:
            status = 0
            applied.add(int(operation["operation_id"]))
            items = {key: guid for key, guid in items.items() if key not in touched} | saved
            for guid in owners:
                versions[guid] += 1
            for (guid, currency), balance in after.items():
                money[guid][currency] = balance
        answers.append(([status], [versions[guid] for guid in owners]))
    return answers
