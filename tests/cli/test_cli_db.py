"""``mmoinv db``: what it says, its exit codes, and that it may be run twice."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mmoinv.cli import main


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'realm.db'}"


def db(action: str, url: str, *more: str) -> int:
    return main(["db", action, "--database", url, *more])


def test_from_nothing_down_and_up(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert db("upgrade", url) == 0
    assert "version none became 0005" in capsys.readouterr().out
    assert db("status", url) == 0
    assert "schema version 0005, the one" in capsys.readouterr().out
    assert db("downgrade", url, "--to", "0001") == 0
    assert "version 0005 became 0001" in capsys.readouterr().out
    assert db("status", url) == 1
    assert "Run 'mmoinv db upgrade'" in capsys.readouterr().out
    for said in ("0001 became 0005", "0005 already, nothing was changed"):
        assert db("upgrade", url) == 0
        assert said in capsys.readouterr().out


def test_what_is_refused_says_what_to_do(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert db("status", url) == 1
    assert "Check that the folder exists" in capsys.readouterr().err
    assert not (tmp_path / "realm.db").exists()
    assert db("upgrade", url) == 0
    with closing(sqlite3.connect(tmp_path / "realm.db")) as connection, connection:
        connection.execute("UPDATE mmoinv_schema_version SET version_num = '0099'")
    capsys.readouterr()
    assert db("status", url) == 1
    assert "A newer mmoinv wrote it" in capsys.readouterr().out
    for action in (("upgrade",), ("downgrade", "--to", "0001")):
        assert db(action[0], url, *action[1:]) == 1
        assert "Use the newer mmoinv that wrote it" in capsys.readouterr().err


def test_a_file_of_the_first_realms_is_taken_over(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = Path(__file__).parent.parent / "stores" / "first_schema.sql"
    with closing(sqlite3.connect(tmp_path / "realm.db")) as connection, connection:
        connection.executescript(script.read_text())
        connection.execute("INSERT INTO world (name, verifier) VALUES ('world-1', 'v')")
    capsys.readouterr()
    assert db("status", url) == 1
    assert "schema version 0001" in capsys.readouterr().out
    assert main(["world", "list", "--database", url]) == 1
    assert "mmoinv db upgrade" in capsys.readouterr().err
    assert db("upgrade", url) == 0
    assert main(["world", "list", "--database", url]) == 0
    assert "world-1" in capsys.readouterr().out
