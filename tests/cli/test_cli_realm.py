"""``mmoinv realm``: starts, stops, and what it refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmoinv.cli import main
from mmoinv.config import load
from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.stores import StoreSettings
from mmoinv.stores.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["realm", "--host", "0.0.0.0", "--database", "sqlite:///x.db"], "TLS"),
        (["realm", "--port", "70000", "--database", "sqlite:///x.db"], "70000"),
    ],
)
def test_a_wrong_argument_is_one_message_and_exit_code_2(arguments, said, refusal):
    assert said in refusal(arguments)


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        url = f"sqlite:///{tmp_path / 'realm.db'}"
        assert main(["realm", "--port", str(port), "--database", url]) == 1
    assert str(port) in capsys.readouterr().err


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


def test_settings_from_everywhere_are_those_that_the_realm_runs_with(tmp_path: Path):
    file = tmp_path / "realm.toml"
    file.write_text(
        "[realm]\nhost = 'localhost'\nport = 1\nlog_level = 'warning'\n"
        f"[database]\nurl = 'sqlite:///{tmp_path / 'realm.db'}'\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mmoinv", "realm", "--config", str(file), "--port", "0"],
        env={**os.environ, "MMOINV_REALM_HOST": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert re.search(r"listens on 127\.0\.0\.1:\d{2,}, its database is .*realm\.db", said), errors
    assert (tmp_path / "realm.db").exists()
    # What is logged at the start is information.
    assert errors == ""


def test_limits_and_store_settings_reach_the_realm(tmp_path: Path, monkeypatch):
    made: list[RealmServer] = []

    class Remembered(RealmServer):
        async def start(self) -> None:
            made.append(self)
            raise KeyboardInterrupt

    monkeypatch.setattr("mmoinv.realm.RealmServer", Remembered)
    monkeypatch.setenv("MMOINV_LIMITS_RETRY_S", "3")
    monkeypatch.setenv("MMOINV_DATABASE_LOCK_TIMEOUT_S", "0.5")
    monkeypatch.setenv("MMOINV_DATABASE_URL", f"sqlite:///{tmp_path / 'realm.db'}")
    assert main(["realm", "--port", "0"]) == 130
    assert made[0]._limits == RealmLimits(retry_s=3.0)
    assert isinstance(made[0].store, SqliteStore)
    assert made[0].store.settings == StoreSettings(lock_timeout_s=0.5)


def test_what_is_shown_is_what_is_in_force(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("MMOINV_LIMITS_GATHER_S", "0.25")
    assert main(["realm", "--show-config", "--port", "6281"]) == 0
    shown = capsys.readouterr().out
    file = tmp_path / "realm.toml"
    file.write_text(shown)
    config = load(file, {})
    assert (config.port, config.limits.gather_s) == (6281, 0.25)
    assert "MMOINV_LIMITS_GATHER_S" in shown
    assert list(tmp_path.iterdir()) == [file]


def test_a_wrong_file_is_refused(refusal, tmp_path: Path):
    (tmp_path / "realm.toml").write_text("[realm]\nprot = 1\n")
    assert "did you mean port?" in refusal(["realm", "--config", "realm.toml"])
    assert "no.toml" in refusal(["realm", "--config", "no.toml"])
