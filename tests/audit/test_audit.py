"""Histories, holdings of before, an item's life and the verification, on each database."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_shard import BAG, MIRA, ORIN, SWORD, play

from mmoinv.audit import entries_of, holdings_at, item_entries, verify
from mmoinv.audit.history import holdings, place_of
from mmoinv.audit.lines import reason_text
from mmoinv.cli import main
from mmoinv.conformance.operations import changes, commit, item, joined, run
from mmoinv.errors import StoreDataError
from mmoinv.stores import store_for
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sql_store import SqlStore


async def test_what_a_character_held_once(store: SqlStore) -> None:
    def question(connection: Any) -> list[Any]:
        return [
            holdings(connection, MIRA),
            *(holdings_at(connection, MIRA, version=version) for version in range(5)),
            holdings_at(connection, MIRA, at_s=int(time.time()) + 60),
            holdings_at(connection, MIRA, at_s=int(time.time()) - 600),
        ]

    now, *before, later, earlier = await store.read_only(question)
    assert [held.version for held in before] == [0, 1, 2, 3, 4]
    slots = [held.items["slot"].tolist() for held in before]
    assert slots == [
        [],
        [BAG | 23, BAG | 24],
        [BAG | 15, BAG | 24],
        [BAG | 24],
        [BAG | 24],
    ]
    assert [held.items["stack_count"].tolist() for held in before[3:]] == [[5], [4]]
    assert [held.balances.get(1, 0) for held in before] == [0, 0, 0, 100, 100]
    assert before[4].items.tobytes() == now.items.tobytes() == later.items.tobytes()
    assert len(earlier.items) == earlier.version == 0


async def test_a_history_and_an_items_life(store: SqlStore) -> None:
    def question(connection: Any) -> Any:
        return (
            [entry.version for entry in entries_of(connection, MIRA)],
            [entry.version for entry in entries_of(connection, MIRA, before_version=3)],
            list(entries_of(connection, 99)),
            item_entries(connection, SWORD),
            item_entries(connection, 2),
            item_entries(connection, 77),
            place_of(connection, SWORD),
            place_of(connection, 77),
        )

    newest, older, nobody, sword, potions, nothing, place, nowhere = await store.read_only(question)
    assert newest == [4, 3, 2, 1]
    assert older == [2, 1]
    assert nobody == nothing == []
    assert [(one.operation_id, one.character_guid) for one in sword] == [
        (1, MIRA),
        (3, MIRA),
        (4, MIRA),
        (4, ORIN),
    ]
    assert [one.operation_id for one in potions] == [1, 5]
    assert place == (ORIN, BAG | 30)
    assert nowhere is None


async def test_everything_adds_up(store: SqlStore) -> None:
    findings = await store.read_only(verify)
    assert findings.passed, findings.problems
    assert (findings.characters, findings.items, findings.ledger_rows) == (2, 2, 6)


async def test_long_histories_come_in_pages(tmp_path: Path) -> None:
    store = store_for(f"sqlite:///{tmp_path / 'realm.db'}")
    async with store:
        await joined(store, MIRA)
        await run(
            store,
            *(
                commit(n, changes(MIRA, item(BAG | 23, 1, stack=1 + n % 9), version=n - 1))
                for n in range(1, 1203)
            ),
        )
    versions = await store.read_only(  # type: ignore[attr-defined]
        lambda connection: [one.version for one in entries_of(connection, MIRA)]
    )
    assert versions == list(range(1202, 0, -1))


async def test_what_is_not_in_the_ledger_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with store_for(url, StoreSettings(keeps_ledger=False)) as store:
        await store.add_world("world-1", "verifier")
        await joined(store, MIRA)
        await run(store, commit(1, changes(MIRA, item(BAG | 23, 1))))
    async with store_for(url) as store:
        await run(store, commit(2, changes(MIRA, item(BAG | 24, 2), version=1)))
    tool = store_for(url)
    assert isinstance(tool, SqlStore)
    held = await tool.read_only(lambda connection: holdings_at(connection, MIRA, version=1))
    assert held.items["slot"].tolist() == [BAG | 23]
    with pytest.raises(StoreDataError, match="made version 1; it may be older"):
        await tool.read_only(lambda connection: holdings_at(connection, MIRA, version=0))
    assert (await tool.read_only(verify)).passed


DAMAGES = {
    "item": "UPDATE character_inventory SET stack_count = 3 WHERE item_guid = 2",
    "item gone": "DELETE FROM character_inventory WHERE item_guid = 2",
    "version": "UPDATE character_session SET version = 9 WHERE character_guid = 7",
    "gap": "DELETE FROM inventory_ledger WHERE character_guid = 7 AND version = 2",
    "fork": "INSERT INTO inventory_ledger SELECT 9999, character_guid, version, operation_id, "
    "committed_at, world_id, reason, changes, money, partners FROM inventory_ledger "
    "WHERE character_guid = 7 AND version = 2",
    "money": "UPDATE character_wallet SET balance = 99 WHERE character_guid = 7",
    "ledger": "UPDATE inventory_ledger SET changes = x'01' WHERE operation_id = 3",
    "ledger torn": "UPDATE inventory_ledger SET changes = x'0117' WHERE operation_id = 3",
    "unreadable row": "UPDATE character_inventory SET entry = -1 WHERE item_guid = 2",
    "slot": f"UPDATE character_inventory SET slot = {20 << 8 | 40} WHERE item_guid = 2",
    "bag": f"UPDATE character_inventory SET slot = {19 << 8 | 1} WHERE item_guid = 2",
    "no session": "DELETE FROM character_session WHERE character_guid = 7",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_every_damage_is_found_and_named(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "realm.db"
    store = store_for(f"sqlite:///{path}")
    assert isinstance(store, SqlStore)
    async with store:
        await play(store)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = on")
        assert connection.execute(DAMAGES[damage]).rowcount == 1
        connection.commit()
    findings = await store.read_only(verify)
    kind = damage.split()[0] if damage in ("item gone", "ledger torn") else damage
    assert kind in findings.kinds, findings.problems
    assert {problem.character_guid for problem in findings.problems} <= {MIRA}


# The commands


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (0, "0"),
        (251, "251"),
        (252, "252 (made up)"),
        (253, "253 (imported)"),
        (255, "255 (restored)"),
    ],
)
def test_our_own_reasons_are_named(reason: int, text: str) -> None:
    assert reason_text(reason) == text


@pytest.fixture
def asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command on a database after `play`: exit code and output."""
    import asyncio

    url = f"sqlite:///{tmp_path / 'realm.db'}"

    async def prepare() -> None:
        async with store_for(url) as store:
            assert isinstance(store, SqlStore)
            await play(store)

    asyncio.run(prepare())

    def ask(*words: str) -> tuple[int, str]:
        code = main([*words, "--database", url])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return ask


def test_history(asked: Callable[..., tuple[int, str]]) -> None:
    code, text = asked("history", "7", "--limit", "2")
    assert code == 0
    lines = text.splitlines()
    assert "character 7  version 4  world-1  operation 0x5  reason 0" in lines[0]
    assert lines[1].strip() == "255:24  entry 100 (item 2): stack_count 5 -> 4"
    assert lines[3].strip() == f"255:15  - entry 19 x1 (item {SWORD})"
    assert lines[4].strip() == "currency 1: +100, then 100"
    assert lines[5].strip() == f"together with character {ORIN} (version 2)"
    assert len(lines) == 6
    assert asked("history", "99") == (0, "character 99: the ledger has nothing of it.\n")
    entries = json.loads(asked("history", hex(ORIN), "--json")[1])
    assert [entry["version"] for entry in entries] == [2, 1]
    assert entries[0]["changes"][0]["after"]["item_guid"] == SWORD
    assert entries[0]["changes"][0]["before"] is None


def test_show(asked: Callable[..., tuple[int, str]]) -> None:
    code, text = asked("show", "7")
    assert code == 0
    assert "character 7: version 4, session epoch 1 (online now), 1 items" in text
    assert "255:24  entry 100 x4 (item 2)" in text
    assert "currency 1: 100" in text
    assert "entry 19 x1" in asked("show", "7", "--version", "2")[1]
    assert "0 items" in asked("show", "7", "--at", "2020-01-01 00:00:00")[1]
    assert json.loads(asked("show", "7", "--json")[1])["balances"] == {"1": 100}
    code, text = asked("show", "7", "--at", "yesterday")
    assert code == 2
    assert "is no time" in text


def test_trace(asked: Callable[..., tuple[int, str]]) -> None:
    code, text = asked("trace", str(SWORD))
    assert code == 0
    assert text.count("operation 0x4") == 2
    assert text.splitlines()[-1] == f"item {SWORD} is in slot 255:30 of character {ORIN} now."
    assert asked("trace", "77")[1] == "item 77 is stored nowhere now.\n"
    now = json.loads(asked("trace", str(SWORD), "--json")[1])["now"]
    assert now == {"character_guid": ORIN, "slot": BAG | 30}


def test_verify(asked: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    expected = "2 characters, 2 items, 6 rows of the ledger, 0 set aside: everything adds up.\n"
    assert asked("verify") == (0, expected)
    with closing(sqlite3.connect(tmp_path / "realm.db")) as connection:
        connection.execute(DAMAGES["money"])
        connection.commit()
    code, text = asked("verify")
    assert code == 1
    assert "money: character 7: 99 of currency 1, the ledger says 100" in text
    assert text.endswith("1 problems.\n")
    assert json.loads(asked("verify", "--json")[1])["kinds"] == {"money": 1}


def test_a_database_that_no_realm_has_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "empty.db"
    sqlite3.connect(path).close()
    assert main(["verify", "--database", f"sqlite:///{path}"]) == 1
    assert "no realm has used it yet" in capsys.readouterr().err


@pytest.mark.parametrize("guid", ["-1", "x", str(2**64)])
def test_a_guid_that_is_none(guid: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["history", "--limit=1", "--", guid])
    assert "invalid guid value" in capsys.readouterr().err


def test_restore(asked: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, text = asked("restore", "7", "--to", "3", "--dry-run")
    assert code == 1
    assert text.splitlines() == [
        "character 7, from version 4 back to 2:",
        f"  not restored   255:15  entry 19 x1 (item {SWORD}): it is in slot 255:30 of character "
        f"{ORIN} now",
        "         grows   255:24  entry 100 x1 (item 2): from 4 to 5, in slot 255:24",
        "a dry run: nothing was changed.",
    ]
    code, text = asked("restore", "7", "--version", "3")
    assert code == 1
    assert "character 7 is online in world-1, which would lose it" in text
    assert "--online" in text
    code, text = asked("restore", "7", "--version", "3", "--slots", "255:24", "--online")
    assert code == 0
    assert "done in operation 0x100000001: version 5." in text
    assert "reason 255 (restored)" in asked("history", "7", "--limit", "1")[1]
    code, text = asked("restore", "7", "--version", "3", "--json")
    assert (code, json.loads(text)["operation_id"]) == (0, None)
    assert asked("verify")[0] == 0
    with pytest.raises(SystemExit) as wrong:
        asked("restore", "7", "--version", "3", "--slots", "255:x")
    assert wrong.value.code == 2


def test_verify_fix(asked: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "realm.db")) as connection:
        connection.execute(DAMAGES["item"])
        connection.commit()
    assert asked("verify")[0] == 1
    code, text = asked("verify", "--fix", "--online")
    assert code == 0
    assert "item 2) is set aside: the ledger does not know it" in text
    assert "1 set aside: everything adds up." in text
    assert json.loads(asked("verify", "--fix", "--json")[1])["fixes"] == []


def test_what_is_older_than_the_ledger_is_said(
    asked: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "realm.db")) as connection:
        connection.execute("DELETE FROM inventory_ledger WHERE version <= 2")
        connection.commit()
    older = "what is older is not in the ledger: it was forgotten by age, or the ledger was off."
    assert older in asked("history", "7")[1]
    assert older in asked("trace", "2")[1]
    for command in (("show",), ("restore", "--dry-run")):
        code, text = asked(command[0], "7", "--version", "1", *command[1:])
        assert code == 1
        assert "it may be older than what is kept" in text
    assert older not in asked("history", "7", "--limit", "1")[1]
