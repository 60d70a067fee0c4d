"""``mmoinv world``: worlds are let in, secrets are not shown twice."""

import pytest

from mmoinv.cli import main


def test_worlds(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    assert main(["world", "list", "--database", url]) == 0
    assert "No world" in capsys.readouterr().out
    secrets = set()
    for is_again in (False, True):
        assert main(["world", "add", "world-1", "--database", url]) == 0
        said = capsys.readouterr().out
        assert ("its earlier secret is void" in said) == is_again
        secrets.add(said.splitlines()[-1])
    assert len(secrets) == 2
    assert main(["world", "list", "--database", url]) == 0
    assert capsys.readouterr().out.splitlines() == ["world-1"]


def test_a_secret_from_a_file(tmp_path, capsys):
    url, file = f"sqlite:///{tmp_path / 'realm.db'}", tmp_path / "secret"
    file.write_text("hunter2-hunter2\n")
    assert main(["world", "add", "w", "--database", url, "--secret-file", str(file)]) == 0
    assert "hunter2" not in capsys.readouterr().out
    assert b"hunter2" not in (tmp_path / "realm.db").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["world", "add", "", "--database", "sqlite:///x.db"], "1 to 64"),
        (["world", "add", "w", "--database", "mysql://x"], "mysql"),
        (["world", "add", "w", "--database", "x.db"], "sqlite:///"),
        (["world", "add", "w", "--secret-file", "/no/such/file"], "/no/such/file"),
    ],
)
def test_a_wrong_argument_is_one_message_and_exit_code_2(arguments, said, refusal):
    assert said in refusal(arguments)


def test_the_database_of_the_environment(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMOINV_DATABASE_URL", "sqlite:///here.db")
    assert main(["world", "add", "w"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["here.db"]
    assert main(["world", "list", "--database", "sqlite:///there.db"]) == 0
    assert "No world" in capsys.readouterr().out
    monkeypatch.delenv("MMOINV_DATABASE_URL")
    assert main(["world", "list"]) == 0
    assert "No world" in capsys.readouterr().out
    assert (tmp_path / "realm.db").exists()
