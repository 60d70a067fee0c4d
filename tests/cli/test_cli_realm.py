"""``mmoinv realm``: starts, stops, and what it refuses."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmoinv.cli import main


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
