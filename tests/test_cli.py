"""The command line: what it prints, what it refuses, its exit codes."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["realm", "--port", "x"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


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
        (["realm", "--host", "0.0.0.0", "--database", "sqlite:///x.db"], "TLS"),
        (["realm", "--port", "70000", "--database", "sqlite:///x.db"], "70000"),
        (["loadtest", "--realm", "nonsense", "--world", "w", "--secret", "s"], "HOST:PORT"),
        (["loadtest", "--realm", "127.0.0.1:1"], "--secret"),
        (["loadtest", "--world", "w"], "--realm"),
        (["loadtest", "--players", "1"], "2 players"),
        (["loadtest", "--worlds", "9", "--players", "2"], "world"),
        (["loadtest", "--worlds", "0"], "world"),
        (["loadtest", "--duration", "0"], "--duration"),
        (["loadtest", "--duration", "nan"], "--duration"),
        (["loadtest", "--saves-per-s", "inf"], "--saves-per-s"),
        (["loadtest", "--json", "no/such/folder/x.json"], "no/such/folder"),
        (["loadtest", "--json", "."], "folder"),
        (["loadtest", "--html", "no/such/folder/x.html"], "no/such/folder"),
        (["loadtest", "--html", "x", "--json", "./x"], "one file"),
        (["loadtest", "--compare", "no/such/file.json"], "no/such/file.json"),
        (["loadtest", "--database", "mysql://x"], "mysql"),
        (["loadtest", "--sender", "--saves", "3"], "--saves"),
        (["loadtest", "--sender", "--window", "0"], "window"),
        (["loadtest", "--sender", "--characters", "0"], "one character"),
        (["loadtest", "--sender", "--realm", "127.0.0.1:1"], "--realm"),
        (["loadtest", "--sender", "--html", "x.html"], "--html"),
        (["loadtest", "--sender", "--compare", "x.json"], "--compare"),
        (["loadtest", "--sender", "--database", "mysql://x"], "mysql"),
        (["loadtest", "--sender", "--json", "no/such/folder/x.json"], "no/such/folder"),
    ],
)
def test_a_wrong_argument_is_one_message_and_exit_code_2(
    arguments, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("mmoinv: ")
    assert said in output.err
    assert "Traceback" not in output.err


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


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        url = f"sqlite:///{tmp_path / 'realm.db'}"
        assert main(["realm", "--port", str(port), "--database", url]) == 1
    assert str(port) in capsys.readouterr().err


def test_without_the_extra_the_load_test_says_what_to_install():
    code = "import sys; from mmoinv.cli import main; sys.exit(main(['loadtest']))"
    result = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['rich'] = None\n" + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "pip install 'mmoinv[realm]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_plotly_a_report_fails_before_the_test_starts(tmp_path):
    arguments = ["loadtest", "--html", str(tmp_path / "report.html")]
    code = f"import sys; from mmoinv.cli import main; sys.exit(main({arguments}))"
    result = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['plotly'] = None\n" + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (message,) = result.stderr.splitlines()
    assert "pip install 'mmoinv[report]'" in message


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_realm_stops_cleanly(tmp_path: Path, number):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mmoinv", "realm", "--port", "0"),
            *("--database", f"sqlite:///{tmp_path / 'realm.db'}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert re.search(r"listens on 127\.0\.0\.1:\d+", process.stdout.readline())
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.endswith("Stopped.\n")
    assert "Traceback" not in errors


def test_every_command_has_help():
    for action in parser()._actions:
        if action.dest == "help":
            continue
        assert action.help or action.choices
