"""Whole torture runs with real processes and sockets: they pass, and planted bugs are caught."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from servers.database_server import DatabaseServer

from mmoinv.errors import ConfigurationError
from mmoinv.torture.run import TortureSettings, run_torture
from mmoinv.torture.schedule import Fault, FaultKind, schedule_from_json, schedule_to_json

COMMAND = [sys.executable, "-m", "mmoinv", "torture"]
TIMEOUT_S = 240

pytestmark = pytest.mark.timeout(TIMEOUT_S + 30)


def torture(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=os.environ | environment,
    )


IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
FAULTS = 20 if IN_CI else 9
"""In CI each kind comes at least once, in three quarters of a minute; elsewhere it takes 20 s."""
SEED = 970
"""Kills of all there is come first."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_a_short_run_on_each_database(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind != "sqlite":
        server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
        if not server.started_here:
            kind = request.getfixturevalue(f"{kind}_url")
    result_path = tmp_path / "result.json"
    result = torture(
        *("--faults", str(FAULTS), "--seed", str(SEED), "--spacing", "0.4"),
        *("--json", str(result_path), "--database", "" if kind == "sqlite" else kind),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result_path.read_text())
    assert report["passed"]
    # Those without effect are made up for.
    assert report["faults"] == FAULTS == report["begun"] - report["without_effect"]
    assert sum(report["kinds"].values()) == FAULTS
    assert (report["lost"], report["doubled"], report["half_applied"]) == (0, 0, 0)
    assert report["operations"] >= report["acknowledged"] > 20
    kinds = min(FAULTS, len(FaultKind) - len(report["left_out"]))
    assert len(report["kinds"]) >= kinds - report["without_effect"]
    if "://" not in kind:
        killed = {"kill-realm", "kill-world", "full-disk"}
        killed |= set() if kind == "sqlite" else {"kill-database"}
        assert report["kinds"].keys() >= killed
    assert f"survived {report['faults']} faults" in result.stdout
    assert report["folder"] is None


# Each is put into the processes of realm and worlds as they start, from a folder on their path.
PLANTED = {
    "answered before the commit": """
        import asyncio
        import numpy as np
        from mmoinv.realm.group_commit import GroupCommit
        from mmoinv.stores import CommitEntry, CommitOutcome

        write = GroupCommit._write

        async def written(self):
            # Once nobody has committed for a while, or somebody joins.
            async with self.writing:
                kept, self.kept = self.kept, []
                if kept:
                    await write(self, kept)

        async def hasty(self, entries):
            if not hasattr(self, "kept"):
                self.kept, self.timer, self.writing = [], None, asyncio.Lock()
            if not all(isinstance(entry, CommitEntry) for entry in entries):
                await written(self)
                async with self.writing:
                    return await write(self, entries)
            self.kept += entries
            if self.timer is not None:
                self.timer.cancel()
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(0.5, lambda: loop.create_task(written(self)))
            return [
                CommitOutcome(
                    np.zeros(len(entry.commits.operations), np.uint8),
                    entry.commits.participants["expected_version"] + np.uint64(1),
                    {},
                )
                for entry in entries
            ]

        GroupCommit._write = hasty
    """,
    "no fencing": """
        import numpy as np
        from mmoinv.stores import part

        judge = part.Part.judge

        def blind(self, seen, mint_guids):
            sessions = seen.sessions
            participants = self.commits.participants.copy()
            row = np.searchsorted(sessions.character_guid, participants["character_guid"])
            if len(sessions.character_guid):
                participants["session_epoch"] = sessions.epoch[row]
                participants["expected_version"] = sessions.version[row]
                self.world_ids = sessions.world_id[row]
            self.commits = self.commits._replace(participants=participants)
            judge(self, seen, mint_guids)

        part.Part.judge = blind
    """,
    "money from nothing": """
        from mmoinv.stores import money

        write = money.Money.write

        def generous(self, characters, rows):
            balances = write(self, characters, rows)
            return balances._replace(balance=balances.balance + (balances.balance > 20))

        money.Money.write = generous
    """,
    "outbox cleared on send": """
        from mmoinv.world import outbox

        write = outbox.Outbox.write

        def forgetful(self, frames, written):
            def and_forget(error):
                written(error)
                for operation_id in frames:
                    self.answered(operation_id)

            write(self, frames, and_forget)

        outbox.Outbox.write = forgetful
        outbox.MARK_AFTER_S = 0.0
    """,
}


# What brings each to light. Each of these waits until there is something to do.
RESTART = Fault(FaultKind.RESTART_REALM_IN_GROUP, 1.0, 0.2, "realm", {"stopped_s": 0.1})
FIGHT = Fault(FaultKind.FIGHT, 1.0, 1.0, "world-1", {"rival": "world-2", "character": 0})
# What is sent meanwhile has no answer, when its world is killed.
HANG = Fault(FaultKind.HANG, 1.0, 4.0, "world-1")
KILL_WORLD = Fault(FaultKind.KILL_WORLD, 3.5, 0.5, "world-1")
EXPOSED_BY = {
    "answered before the commit": ([RESTART], "acknowledged, but lost"),
    "no fencing": ([FIGHT], "its versions fork"),
    "money from nothing": ([RESTART], "more than was created and not destroyed"),
    "outbox cleared on send": ([HANG, KILL_WORLD], "was ever answered for it"),
}


def planted(bug: str, folder: Path) -> dict[str, str]:
    """The environment of processes that have the bug; failures are kept in the folder."""
    (folder / "sitecustomize.py").write_text(textwrap.dedent(bug))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "TMPDIR": str(folder)}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str, tmp_path: Path) -> None:
    faults, seen_by = EXPOSED_BY[bug]
    (tmp_path / "faults.json").write_text(schedule_to_json(faults))
    environment = planted(PLANTED[bug], tmp_path)
    result = torture("--replay", str(tmp_path / "faults.json"), **environment)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "FAILED" in result.stdout
    (folder,) = tmp_path.glob("mmoinv-torture-*")
    report = json.loads((folder / "report.json").read_text())
    assert any(seen_by in problem for problem in report["problems"]), result.stderr
    assert {path.name for path in folder.iterdir()} >= {
        "schedule.json",
        "report.json",
        "realm.log",
        "world-1-1.jsonl",
        "world-2-1.jsonl",
    }
    assert not report["passed"]


def test_a_failure_is_replayed_by_the_command_that_it_names(tmp_path: Path) -> None:
    environment = planted(PLANTED["money from nothing"], tmp_path)
    first = torture("--faults", "2", "--seed", "5", "--worlds", "3", **environment)
    assert first.returncode == 1, first.stdout + first.stderr
    (folder,) = tmp_path.glob("mmoinv-torture-*")
    program, command, *arguments = shlex.split(first.stdout.partition("again: ")[2])
    assert (program, command) == ("mmoinv", "torture")
    assert arguments[:2] == ["--replay", str(folder / "schedule.json")]
    faults = schedule_from_json((folder / "schedule.json").read_text())
    second = torture(*arguments, **environment)
    assert second.returncode == 1, second.stdout + second.stderr
    (other,) = set(tmp_path.glob("mmoinv-torture-*")) - {folder}
    assert schedule_from_json((other / "schedule.json").read_text()) == faults
    assert len(list(other.glob("world-*-1.jsonl"))) == 3


DIES = """
    import os, sys, threading

    if "mmoinv.torture.{}_process" in sys.orig_argv:
        threading.Timer(4, os._exit, [7]).start()
"""


@pytest.mark.parametrize(
    ("process", "said"),
    [("world", "world-1's process 1 ended by itself with 7"), ("realm", "the realm's process 1")],
)
def test_who_dies_by_himself_fails_the_run(process: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(schedule_to_json([HANG, HANG, HANG]))
    environment = planted(DIES.format(process), tmp_path)
    result = torture("--replay", str(tmp_path / "faults.json"), **environment)
    assert result.returncode == 1, result.stdout + result.stderr
    assert said in result.stderr
    (folder,) = tmp_path.glob("mmoinv-torture-*")
    report = json.loads((folder / "report.json").read_text())
    assert (report["lost"], report["doubled"], report["half_applied"]) == (0, 0, 0)
    assert report["begun"] < 3  # There is nothing more to be learnt.


def test_what_a_killed_world_had_sent_is_sent_again(tmp_path: Path) -> None:
    """The faults that expose a cleared outbox, without it."""
    (tmp_path / "faults.json").write_text(schedule_to_json([HANG, KILL_WORLD]))
    result = torture("--replay", str(tmp_path / "faults.json"), TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "survived 2 faults" in result.stdout


def test_faults_wait_for_a_shard_at_work_and_count_only_with_effect(tmp_path: Path) -> None:
    faults = [
        Fault(FaultKind.KILL_REALM, 1.0, 1.5, "realm"),
        # Without waiting there were no link to be cut, and nobody to write to the disk.
        Fault(FaultKind.CUT, 1.1, 0.0, "world-1"),
        Fault(FaultKind.FULL_DISK, 1.2, 0.5, "sqlite"),
        # SQLite knows none.
        Fault(FaultKind.DEADLOCK, 1.3, 0.0, "sqlite", {"character": 0}),
    ]
    (tmp_path / "faults.json").write_text(schedule_to_json(faults))
    result = torture(
        *("--replay", str(tmp_path / "faults.json"), "--json", str(tmp_path / "result.json"))
    )
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "result.json").read_text())
    assert report["kinds"] == {"kill-realm": 1, "cut": 1, "full-disk": 1}
    assert (report["faults"], report["begun"], report["without_effect"]) == (3, 4, 1)
    assert report["at_standstill"] == 0
    assert "1 of 4 faults had no effect" in result.stdout


@pytest.mark.parametrize(
    "settings",
    [
        TortureSettings(faults=-1),
        TortureSettings(worlds=1),
        TortureSettings(characters=1),
        TortureSettings(spacing_s=0),
        TortureSettings(database="oracle://host/x"),
    ],
)
def test_a_run_that_cannot_be(settings: TortureSettings) -> None:
    with pytest.raises(ConfigurationError):
        asyncio.run(run_torture(settings))
