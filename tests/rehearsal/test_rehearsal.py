"""Whole rehearsals as a user starts them: they pass on every kind of old tables, say what they saw,
and fail where anything is lost, doubled or not found.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from servers.database_server import DatabaseServer
from sqlalchemy import Connection

from mmoinv.errors import ConfigurationError
from mmoinv.records import Batch
from mmoinv.rehearsal import RehearsalSettings, run_rehearsal
from mmoinv.rehearsal.old_tables import KyorilItems
from mmoinv.rehearsal.steps import STEPS

COMMAND = [sys.executable, "-m", "mmoinv", "migrate", "rehearse", "--plain"]
SHORT = ("--players", "12", "--seconds", "0.2")
TIMEOUT_S = 150

pytestmark = pytest.mark.timeout(TIMEOUT_S + 30)


def rehearse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize(
    ("kind", "old_format"), [("sqlite", "kyoril"), ("sqlite", "azerothcore"), ("mariadb", "kyoril")]
)
def test_a_short_rehearsal(
    kind: str, old_format: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database = kind
    if kind == "mariadb":
        server: DatabaseServer = request.getfixturevalue("mariadb_server")
        database = server.tcp_url
        before = server.execute("SHOW DATABASES")
    result_path, page_path = tmp_path / "result.json", tmp_path / "page.html"
    result = rehearse(
        *(*SHORT, "--database", database, "--format", old_format),
        *("--json", str(result_path), "--html", str(page_path)),
    )
    told = result.stdout + result.stderr
    assert result.returncode == 0, told
    values = json.loads(result_path.read_text())
    (run,) = values["runs"]
    assert values["passed"]
    assert run["passed"]
    assert len(run["steps"]) == len(STEPS)
    assert sum(step["counts"]["commits"] for step in run["steps"]) > 100
    steps = {step["title"]: step for step in run["steps"]}
    assert steps["shadow, the new side fails"]["counts"]["missed"] > 0
    assert steps["primary, the old side fails"]["counts"]["missed"] > 0
    assert steps["a bug in the old writer"]["counts"]["diverged"] > 0
    assert any("stack_count" in line for line in run["planted_bug"])
    assert run["evidence"]["divergences"]["open"] == 0
    assert "passed, nothing lost, nothing doubled" in told
    assert "The planted bug, as the comparison names it" in told
    page = page_path.read_text()
    assert "The planted bug" in page
    assert "src=" not in page.split("<script>", 1)[0]
    if kind == "mariadb":
        assert server.execute("SHOW DATABASES") == before


@pytest.fixture
def kept_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of rehearsals that failed stay, as long as the test lasts."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("kept_folders")
async def test_an_old_path_that_loses_an_item_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as it is planted, but at a place that nobody knows of."""
    saves = 0
    real = KyorilItems.save

    def save(self: KyorilItems, connection: Connection, character_guid: int, items: Batch) -> None:
        nonlocal saves
        saves += 1
        real(self, connection, character_guid, items[:-1] if saves == 20 else items)

    monkeypatch.setattr(KyorilItems, "save", save)
    report = await run_rehearsal(RehearsalSettings(("sqlite",), players=12, part_s=0.5))
    assert not report.passed
    (run,) = report.runs
    assert [step.title for step in run.steps if not step.passed] == ["the old way"]
    assert not run.steps[1].is_played
    folder = run.folder
    assert folder is not None
    names = {path.name for path in folder.iterdir()}
    assert {"report.json", "players.jsonl", "old.jsonl", "realm.jsonl", "world.log"} <= names
    owned = [json.loads(line) for line in (folder / "players.jsonl").read_text().splitlines()]
    assert len(owned) == 12


@pytest.mark.usefixtures("kept_folders")
async def test_a_comparison_that_sees_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmoinv.migration.comparison.Comparer.compare", lambda *_: [])
    report = await run_rehearsal(RehearsalSettings(("sqlite",), players=12, part_s=0.2))
    (run,) = report.runs
    (failed,) = [step for step in run.steps if not step.passed]
    assert failed.title == "a bug in the old writer"
    assert any("the comparison found: nothing" in text for text in failed.problems)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--players", "1"), "4 to 2,000 players"),
        (("--seconds", "0"), "--seconds is 0.2 to 3600"),
        (("--database", "postgresql://me:hush@db/x"), "on 'postgresql' cannot be had"),
        (("--json", "/nowhere/result.json"), "its folder is not there"),
    ],
)
def test_what_cannot_be_rehearsed(arguments: tuple[str, ...], told: str) -> None:
    result = rehearse(*arguments)
    assert result.returncode == 2
    assert told in result.stderr
    assert "hush" not in result.stderr


def test_a_server_that_is_not_there() -> None:
    result = rehearse("--database", "mariadb://me:hush@127.0.0.1:1/x")
    assert result.returncode == 1
    assert "no databases can be made on the server of mariadb://me:***@127" in result.stderr
    assert "hush" not in result.stderr


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="format 'other'"):
        RehearsalSettings(format="other").check()


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [*COMMAND, "--database", "sqlite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "import and verify" in line:
            break
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Stopped." in told
    assert list(tmp_path.iterdir()) == []
