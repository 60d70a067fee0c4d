"""``mmoinv migrate import``, ``verify`` and ``export``: what they say, and their exit codes."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mmoinv.cli import main

OWN = 255 << 8


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the databases are, as arguments: old and ours. The folder is the working one."""
    monkeypatch.chdir(tmp_path)
    change(
        "CREATE TABLE character_items (owner INTEGER, slot INTEGER, entry INTEGER, "
        "creator INTEGER, count INTEGER, durability INTEGER)",
        f"INSERT INTO character_items VALUES (7, {OWN | 23}, 100, NULL, 5, 0)",
        f"INSERT INTO character_items VALUES (7, {OWN | 23}, 101, NULL, 5, 0)",
        f"INSERT INTO character_items VALUES (8, {19 << 8}, 100, NULL, 1, 0)",
        "INSERT INTO character_items VALUES (9, 70000, 100, NULL, 1, 0)",
    )
    return ["--from", "sqlite:///old.db", "--database", "sqlite:///realm.db"]


def change(*statements: str) -> None:
    with closing(sqlite3.connect("old.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_in_compared_and_out_again(urls: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["migrate", "import", *urls, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "2 would be written (2 items), 1 equal already, 0 left out" in said.out
    assert "a dry run: nothing was changed." in said.out
    assert "no index on owner" in said.err
    assert not Path("realm.db").exists()
    assert main(["migrate", "import", *urls]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kyoril, sqlite:///old.db: 3 characters with what they have",
        "2 written (2 items), 1 equal already, 0 left out",
        "1 items are in a bag that is not there, or in no known place",
        "not taken, set aside: 2 rows",
        f"  1  like character 7: slot {OWN | 23}: the slot occurs twice, and a later row is taken",
        "  1  like character 9: slot 70000 is outside 0..65535",
        "2 rows are new in the table import_set_aside",
    ]
    assert main(["migrate", "verify", *urls]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "old tables, sqlite:///old.db: 3 characters, 2 items",
        "here: 2 characters, 2 items",
        "2 rows of the old tables are no items that a record can hold",
        "nothing differs.",
    ]
    change("UPDATE character_items SET count = 4 WHERE entry = 101")
    assert main(["migrate", "verify", *urls]) == 1
    said = capsys.readouterr()
    assert "character 7, slot 255:23: stack_count 4 in the old tables, 5 here" in said.out
    assert "entry 101: 4 in the old tables, 5 here" in said.out
    assert "1 differences in 1 characters." in said.out
    back = ["migrate", "export", "--to", "sqlite:///old.db"]
    assert main([*back, "--dry-run"]) == 0
    assert "1 would be written (1 items), 1 equal already" in capsys.readouterr().out
    assert main(back) == 0
    assert main(["migrate", "verify", *urls, "--characters", "0-0x7"]) == 0


def test_as_json(urls: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["migrate", "import", *urls, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["written"], values["newly_kept"], values["passed"]) == (2, 2, True)
    assert main(["migrate", "verify", *urls, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == {"old": 2, "here": 2}
    assert main(["migrate", "export", "--to", "sqlite:///old.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"] == 2


def test_what_cannot_be_held_is_listed_and_stops_it(
    urls: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["migrate", "import", *urls]) == 0
    with closing(sqlite3.connect("realm.db")) as connection, connection:
        connection.execute("UPDATE character_inventory SET item_flags = 1")
    capsys.readouterr()
    back = ["migrate", "export", "--to", "sqlite:///old.db"]
    assert main(back) == 1
    said = capsys.readouterr().out
    assert "the old tables cannot hold 2 things:" in said
    assert "  character 7: slot 255:23: item_flags 1 is not kept" in said
    assert "nothing was written. --lossy" in said
    assert main([*back, "--lossy"]) == 0


def test_who_was_left_out_is_named(urls: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["migrate", "import", *urls]) == 0
    with closing(sqlite3.connect("realm.db")) as connection, connection:
        connection.execute("UPDATE character_session SET version = 9 WHERE character_guid = 7")
    change("DELETE FROM character_items WHERE owner = 7")
    change(f"INSERT INTO character_items VALUES (7, {OWN | 23}, 100, NULL, 5, 0)")
    capsys.readouterr()
    assert main(["migrate", "import", *urls]) == 1
    said = capsys.readouterr().out
    assert "1 left out" in said
    assert "  character 7: it has been played here" in said


def test_wrong_usage(urls: list[str], refusal):
    Path("empty.db").touch()
    assert "no old tables that are known are there" in refusal(
        ["migrate", "import", "--from", "sqlite:///empty.db"]
    )
    assert "format 'trinity' is not known. There is: kyoril, azerothcore" in refusal(
        ["migrate", "import", *urls, "--format", "trinity"]
    )
    assert "there is no table characters" in refusal(
        ["migrate", "import", *urls, "--dry-run", "--format", "azerothcore"]
    )
    change("CREATE INDEX items_of_owner ON character_items (owner)")
    assert "at_once = 0 characters" in refusal(["migrate", "import", *urls, "--at-once", "0"])


def test_a_class_of_ones_own(
    urls: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert main(["migrate", "verify", *urls, "--format", "no_such_game.tables:Tables"]) == 1
    assert "cannot be had: No module named 'no_such_game'" in capsys.readouterr().err
    monkeypatch.syspath_prepend(".")
    Path("my_game.py").write_text(
        "from mmoinv.legacy.kyoril import KyorilTables\n"
        "class Tables(KyorilTables):\n"
        "    format = 'my-game'\n"
    )
    assert main(["migrate", "import", *urls, "--format", "my_game:Tables"]) == 0
    assert capsys.readouterr().out.startswith("my-game, sqlite:///old.db: 3 characters")


@pytest.mark.parametrize("text", ["a", "7-3", "-1", "1-18446744073709551616"])
def test_what_is_no_range(urls: list[str], text: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as raised:
        main(["migrate", "import", *urls, f"--characters={text}"])
    assert raised.value.code == 2
    assert "range of guids" in capsys.readouterr().err
