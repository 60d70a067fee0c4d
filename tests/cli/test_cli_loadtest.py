"""``mmoinv loadtest``: what it refuses before it starts. That it runs: tests/loadtest."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
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
def test_a_wrong_argument_is_one_message_and_exit_code_2(arguments, said, refusal):
    assert said in refusal(arguments)


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
