"""The command as a whole: help, version, what it refuses, its exit codes."""

import subprocess
import sys

import pytest

from mmoinv import __version__
from mmoinv.cli import main, parser
from mmoinv.errors import StoreError


def run(*arguments: str, **settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mmoinv", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **settings,
    )


def test_version():
    result = run("--version")
    assert result.stdout.startswith(f"mmoinv {__version__} (")
    assert "codec" in result.stdout


@pytest.mark.parametrize(
    "command",
    [[], ["realm"], ["world"], ["world", "add"], ["world", "list"], ["loadtest"], ["doctor"]],
)
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: mmoinv" in capsys.readouterr().out


def test_every_command_has_help():
    for action in parser()._actions:
        if action.dest == "help":
            continue
        assert action.help or action.choices


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["realm", "--port", "x"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_what_the_machine_refuses_is_exit_code_1(capsys):
    url = "sqlite:////no/such/folder/x.db"
    assert main(["world", "add", "w", "--database", url]) == 1
    output = capsys.readouterr()
    assert "/no/such/folder" in output.err
    assert "Traceback" not in output.err


def test_a_codec_that_cannot_be_had(monkeypatch):
    monkeypatch.setenv("MMOINV_CODEC", "nonsense")
    result = run("--version")
    assert result.returncode == 1
    assert "MMOINV_CODEC='nonsense'" in result.stderr
    assert "Traceback" not in result.stderr
    assert run("--help").returncode == 0


def test_verbose_shows_where_an_error_comes_from(tmp_path):
    file = tmp_path / "no.db"
    file.write_text("this is no database, it is a text that is long enough to look at " * 20)
    assert main(["world", "list", "--database", f"sqlite:///{file}"]) == 1
    with pytest.raises(StoreError):
        main(["--verbose", "world", "list", "--database", f"sqlite:///{file}"])
    with pytest.raises(StoreError):
        main(["world", "list", "--verbose", "--database", f"sqlite:///{file}"])
