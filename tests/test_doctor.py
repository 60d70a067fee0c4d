"""``mmoinv doctor``: each thing that can be wrong is found, with its remedy on the next line."""

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from doctor_output import remedy_of

from mmoinv import RealmServer, __version__
from mmoinv.cli import main
from mmoinv.doctor import installed, machine, reachable, report
from mmoinv.doctor.check import Check, Verdict

NOBODY = 65534


@pytest.fixture
def file(tmp_path) -> Path:
    """A realm's database, closed."""
    path = tmp_path / "realm.db"
    assert main(["world", "add", "world-1", "--database", f"sqlite:///{path}"]) == 0
    return path


def run(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, after a line of Python."""
    code = f"import sys; {before}\nfrom mmoinv.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "doctor", *arguments],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write anything, so for a while the process is nobody."""
    if not hasattr(os, "geteuid"):
        pytest.skip("file rights are of another sort on Windows; NOT TESTED here")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# What is well


def test_an_installation_that_is_well(file, capsys):
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert main(["doctor", "--database", f"sqlite:///{file}"]) == 0
    output = capsys.readouterr().out
    for name in ("mmoinv", "codec", "numpy", "scramp", "SQLite", "event loop", "database", "disk"):
        assert any(line[2:].startswith(f"{name} ") for line in output.splitlines()), name
    assert f"{__version__}, " in output
    assert "its schema is the right one" in output
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_without_a_database_the_disk_is_that_of_the_working_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    assert f"in {tmp_path}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


async def test_a_realm_at_work(tmp_path):
    """Its log (WAL) lies beside the database, and is read too."""
    file = tmp_path / "realm.db"
    url = f"sqlite:///{file}"
    async with RealmServer(url, port=0) as realm:
        assert await asyncio.to_thread(Path(f"{file}-wal").exists)
        (found,) = await asyncio.to_thread(lambda: list(reachable.database(url)))
        assert found.verdict is Verdict.OK, found
        assert found.figures["schema_version"] == "0005"
        found = await asyncio.to_thread(reachable.realm, "127.0.0.1", realm.port)
        assert found.verdict is Verdict.OK, found
        await realm.add_world("still-at-work")


def test_a_database_that_is_still_to_be_made(tmp_path):
    file = tmp_path / "realm.db"
    (found,) = reachable.database(f"sqlite:///{file}")
    assert found.verdict is Verdict.OK
    assert not file.exists()
    file.touch()
    (found,) = reachable.database(f"sqlite:///{file}")
    assert (found.verdict, "is empty" in found.text) == (Verdict.OK, True)
    assert file.stat().st_size == 0


def test_json(file, capsys):
    assert main(["doctor", "--json", "--database", f"sqlite:///{file}"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    checks = {check["name"]: check for check in told["checks"]}
    assert checks["mmoinv"]["figures"]["version"] == __version__
    assert checks["disk"]["figures"]["sync_median_ms"] > 0
    assert {check["verdict"] for check in told["checks"]} <= {"ok", "warning"}


# What is wrong


def test_a_folder_that_does_not_exist(tmp_path, capsys):
    folder = tmp_path / "no" / "such"
    assert main(["doctor", "--database", f"sqlite:///{folder}/realm.db"]) == 1
    output = capsys.readouterr().out
    text, remedy = remedy_of(output, "✗", "database")
    assert f"{folder} does not exist" in text
    assert remedy == f"Create it: mkdir -p {folder}"
    assert "1 of " in output.splitlines()[-1]


def test_a_database_that_may_not_be_written(file, capsys):
    url = f"sqlite:///{file}"
    assert main(["doctor", "--database", url]) == 0  # Everything is imported now.
    for path in (file, *file.parents):
        if path.stat().st_mode & 0o777 == 0o700 and path != Path.home():
            path.chmod(0o755)
    file.chmod(0o444)
    capsys.readouterr()
    with without_rights():
        assert main(["doctor", "--database", url]) == 1
    text, remedy = remedy_of(capsys.readouterr().out, "✗", "database")
    assert "cannot be written: Permission denied" in text
    assert "right to write the file" in remedy


def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    with without_rights():
        found = machine.disk(tmp_path / "closed", is_needed=True)
        doubtful = machine.disk(tmp_path / "closed", is_needed=False)
    assert (found.verdict, doubtful.verdict) == (Verdict.FAILED, Verdict.WARNING)
    assert "Permission denied" in found.text


def test_a_newer_schema(file, capsys):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE mmoinv_schema_version SET version_num = '0099'")
    before = file.read_bytes()
    assert main(["doctor", "--database", f"sqlite:///{file}"]) == 1
    text, remedy = remedy_of(capsys.readouterr().out, "✗", "database")
    assert "version 0099" in text
    assert remedy.startswith("Use the newer mmoinv")
    assert file.read_bytes() == before


def test_someone_elses_tables(tmp_path):
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE character_inventory (a)")
    (found,) = reachable.database(f"sqlite:///{file}")
    assert found.verdict is Verdict.FAILED
    assert "a database of its own" in found.remedy


def test_a_file_that_is_no_database(tmp_path):
    file = tmp_path / "text.db"
    file.write_text("this is no database, it is a text that is long enough to look at " * 20)
    (found,) = reachable.database(f"sqlite:///{file}")
    assert found.verdict is Verdict.FAILED
    assert found.remedy


@pytest.mark.parametrize("url", ["realm.db", "nosuch://host/db", "sqlite:///:memory:"])
def test_a_wrong_url(url, capsys):
    assert main(["doctor", "--database", url]) == 1
    assert remedy_of(capsys.readouterr().out, "✗", "database")[1]


def test_a_closed_port(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert main(["doctor", "--realm", f"127.0.0.1:{port}"]) == 1
    text, remedy = remedy_of(capsys.readouterr().out, "✗", "realm")
    assert f"127.0.0.1:{port} cannot be reached" in text
    assert remedy.startswith(f"Start it there: mmoinv realm --port {port}")


def test_a_wrong_address_is_wrong_usage(capsys):
    assert main(["doctor", "--realm", "nonsense"]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


# The codec and the libraries


def test_the_python_codec_by_choice():
    result = run(MMOINV_CODEC="python")
    text, remedy = remedy_of(result.stdout, "!", "codec")
    assert "MMOINV_CODEC=python asks for it" in text
    assert remedy == "Unset MMOINV_CODEC."
    assert result.returncode == 0, result.stdout


def test_the_python_codec_for_want_of_the_compiled_one():
    result = run(before="sys.modules['mmoinv._codec'] = None", MMOINV_CODEC="")
    text, remedy = remedy_of(result.stdout, "!", "codec")
    assert "mmoinv._codec" in text
    assert remedy.startswith("Install a wheel")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("wanted", ["compiled", "nonsense"])
def test_a_forced_codec_that_cannot_be_had(wanted):
    result = run(before="sys.modules['mmoinv._codec'] = None", MMOINV_CODEC=wanted)
    text, remedy = remedy_of(result.stdout, "✗", "codec")
    assert "MMOINV_CODEC=" in text
    assert remedy
    assert result.returncode == 1


def test_numpy_that_cannot_be_imported_is_a_finding():
    result = run("--database", "sqlite:///x.db", before="sys.modules['numpy'] = None")
    assert remedy_of(result.stdout, "✗", "database")[0].startswith("✗ database    not looked at")
    assert result.returncode == 1
    assert result.stderr == ""


def test_libraries_that_are_not_installed():
    needed = installed.dependency("no-such-library", "")
    assert (needed.verdict, needed.remedy) == (Verdict.FAILED, "pip install no-such-library")
    extra = installed.dependency("no-such-library", "speed")
    assert extra.verdict is Verdict.WARNING
    assert "pip install 'mmoinv[speed]'" in extra.remedy


# What is measured


def test_what_sync_times_mean():
    def judged(*times_ms: float) -> Check:
        return machine.judge_disk(list(times_ms), Path("/there"))

    usual = judged(*[2.0] * 49, 10.0)
    assert (usual.verdict, usual.figures["sync_p99_ms"]) == (Verdict.OK, 10.0)
    assert (usual.figures["saves_per_s_alone"], usual.figures["saves_per_s_grouped"]) == (500, 5e4)
    slow = judged(*[2.0] * 49, 90.0)
    assert slow.verdict is Verdict.WARNING
    assert "SSD" in slow.remedy
    memory = judged(*[0.001] * 50)
    assert memory.verdict is Verdict.WARNING
    assert "power cut" in memory.remedy


def test_syncs_leave_nothing_behind(tmp_path):
    assert len(machine.sync_times_ms(tmp_path)) == machine.SYNCS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("soft", "hard", "verdict", "remedy"),
    [
        (None, None, Verdict.OK, ""),
        (4096, 4096, Verdict.OK, ""),
        (1024, 524288, Verdict.WARNING, "ulimit -n 4096 before it starts"),
        (1024, 1024, Verdict.WARNING, "its hard limit is 1,024"),
    ],
)
def test_open_files(soft, hard, verdict, remedy):
    found = machine.judge_open_files(soft, hard)
    assert found.verdict is verdict
    assert remedy in found.remedy


def test_the_event_loop_is_the_one_that_runs():
    found = installed.event_loop()
    assert found.text in ("asyncio", "uvloop")


# How it is shown


def test_a_terminal_without_ticks():
    result = run("--database", "nonsense", PYTHONIOENCODING="ascii", MMOINV_CODEC="python")
    assert result.stdout.isascii()
    assert {line[:2] for line in result.stdout.splitlines()[:-1]} == {"+ ", "! ", "x ", "  "}


def test_every_remedy_is_the_line_below():
    for verdict in Verdict:
        check = Check("codec", verdict, "text", "" if verdict is Verdict.OK else "remedy")
        shown = report.lines(check, report.MARKS)
        assert [line.strip() for line in shown[1:]] == ([check.remedy] if check.remedy else [])


def test_the_database_of_the_environment(file, capsys, monkeypatch):
    monkeypatch.setenv("MMOINV_DATABASE_URL", f"sqlite:///{file}")
    assert main(["doctor"]) == 0
    assert f"sqlite:///{file} opens" in capsys.readouterr().out


def test_a_world_server_needs_no_extra():
    """As `pip install mmoinv` leaves it: numpy and the logon's library."""
    names = ("sqlalchemy", "alembic", "asyncpg", "asyncmy", "rich", "plotly", "uvloop")
    result = run(before=f"sys.modules |= dict.fromkeys({names!r})")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "not looked at" not in result.stdout
