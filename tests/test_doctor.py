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
from urllib.parse import urlsplit

import pytest
from servers.fixtures import started
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer

from mmoinv import RealmServer, __version__
from mmoinv.cli import main
from mmoinv.doctor import installed, machine, reachable, report, servers
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


def remedy_of(output: str, mark: str, name: str) -> tuple[str, str]:
    """The text of the one line with this mark and name, and the line below it."""
    shown = output.splitlines()
    (at,) = (at for at, line in enumerate(shown) if line.startswith(f"{mark} {name} "))
    return shown[at], shown[at + 1].strip()


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
        assert found.figures["schema_version"] == "0002"
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


# Database servers


@pytest.fixture(params=["postgresql", "mariadb"])
def kind(request) -> str:
    return request.param


def doctor_on(url: str, capsys) -> tuple[int, str]:
    code = main(["doctor", "--database", url])
    return code, capsys.readouterr().out


def test_a_server(kind, request, capsys):
    url = request.getfixturevalue(f"{kind}_url")
    code, said = doctor_on(url, capsys)
    assert code == 0
    assert "it is empty; the realm will set it up" in said
    # Nothing was made by looking.
    assert main(["db", "status", "--database", url]) == 1
    assert main(["world", "add", "world-1", "--database", url]) == 0
    capsys.readouterr()
    code, said = doctor_on(url, capsys)
    assert code == 0
    assert "its schema is the right one (version 0002)" in said
    assert "outlives a power cut" in said
    server = request.getfixturevalue(f"{kind}_server")
    server.execute("UPDATE mmoinv_schema_version SET version_num = '0001'", url=url)
    code, said = doctor_on(url, capsys)
    assert code == 1
    assert remedy_of(said, "✗", "database")[1].startswith("mmoinv db upgrade")


def test_what_a_server_says_of_itself(kind, request, capsys):
    url = request.getfixturevalue(f"{kind}_url")
    server = request.getfixturevalue(f"{kind}_server")
    assert main(["doctor", "--json", "--database", url]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert server.version in checks["database"]["figures"]["server"]
    assert checks["server"]["figures"]["max_connections"] >= 3
    assert ("max_allowed_packet" in checks["server"]["figures"]) == (kind == "mariadb")
    assert checks["commit"]["figures"]["round_trip_median_ms"] > 0
    assert ("commit_median_ms" in checks["commit"]["figures"]) == (kind == "postgresql")
    assert ("not measured" in checks["commit"]["text"]) == (kind == "mariadb")


def test_measured_commits_are_in_the_log_and_in_no_table(postgresql_url, postgresql_server, capsys):
    """A commit that wrote nothing would not wait for the disk, and its time would be a lie."""

    def transaction_and_position() -> tuple[int, int]:
        ((number, position),) = postgresql_server.execute(
            "SELECT pg_current_xact_id()::text::bigint, pg_current_wal_flush_lsn() - '0/0'",
            url=postgresql_url,
        )
        return int(number), int(position)

    number, position = transaction_and_position()
    assert main(["doctor", "--database", postgresql_url]) == 0
    later_number, later_position = transaction_and_position()
    assert later_number - number > servers.TIMES
    # Each message is some 60 bytes, each commit as much.
    assert later_position - position > servers.TIMES * 80
    assert postgresql_server.execute(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        url=postgresql_url,
    ) == [(0,)]


def test_someone_elses_tables_on_a_server(kind, request, capsys):
    url = request.getfixturevalue(f"{kind}_url")
    server = request.getfixturevalue(f"{kind}_server")
    server.execute("CREATE TABLE character_inventory (a INT)", url=url)
    code, said = doctor_on(url, capsys)
    assert code == 1
    assert "database of its own" in remedy_of(said, "✗", "database")[1]


def test_a_newer_schema_on_a_server(kind, request, capsys):
    url = request.getfixturevalue(f"{kind}_url")
    server = request.getfixturevalue(f"{kind}_server")
    assert main(["world", "add", "world-1", "--database", url]) == 0
    server.execute("UPDATE mmoinv_schema_version SET version_num = '0099'", url=url)
    capsys.readouterr()
    code, said = doctor_on(url, capsys)
    assert code == 1
    text, remedy = remedy_of(said, "✗", "database")
    assert "is of version 0099, this mmoinv speaks 0002" in text
    assert remedy.startswith("Use the newer mmoinv")
    query = "SELECT version_num FROM mmoinv_schema_version"
    assert server.execute(query, url=url) == [("0099",)]


def test_a_wrong_password(mariadb_server, mariadb_url, capsys):
    """PostgreSQL's servers of the tests trust everyone whom they know: see the next one."""
    name = f"doctor_{os.getpid()}"
    mariadb_server.execute(f"CREATE USER {name} IDENTIFIED BY 'right'")
    try:
        url = with_user(mariadb_server.tcp_url, f"{name}:hush")
        code, said = doctor_on(url, capsys)
    finally:
        mariadb_server.execute(f"DROP USER {name}")
    assert code == 1
    assert "hush" not in said
    text, remedy = remedy_of(said, "✗", "database")
    assert "Access denied" in text
    assert remedy == "Check user and password in the URL."


def test_a_user_who_is_not_there(postgresql_server, capsys):
    code, said = doctor_on(with_user(postgresql_server.tcp_url, "nobody_here:hush"), capsys)
    assert code == 1
    assert "hush" not in said
    text, remedy = remedy_of(said, "✗", "database")
    assert "nobody_here" in text
    assert remedy.startswith("Check user and password in the URL")


def with_user(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{credentials}@{place}{parts.path}"


def test_a_database_that_is_not_there(kind, request, capsys):
    url = request.getfixturevalue(f"{kind}_url")
    name = urlsplit(url).path.removeprefix("/")
    code, said = doctor_on(url.replace(name, "no_such"), capsys)
    assert code == 1
    assert remedy_of(said, "✗", "database")[1].startswith("Create the database first")


def test_a_postgresql_server_that_forgets(capsys):
    settings = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    with started(lambda: PostgresqlServer(**settings)) as server:
        code, said = doctor_on(server.new_database(), capsys)
    assert code == 0
    shown = said.splitlines()
    for name in settings:
        (at,) = (at for at, line in enumerate(shown) if line.startswith(f"! durable     {name} ="))
        assert shown[at + 1].strip().startswith(f"ALTER SYSTEM SET {name} = on;")


def test_a_mariadb_server_that_forgets(capsys):
    settings = {
        "innodb-flush-log-at-trx-commit": "2",
        "innodb-doublewrite": "OFF",
        "log-bin": "bin",
        "server-id": "1",
        "max-allowed-packet": "1M",
        "max-connections": "10",
    }
    with started(lambda: MariadbServer(**settings)) as server:
        code, said = doctor_on(server.new_database(), capsys)
    assert code == 0
    for text in (
        "innodb_flush_log_at_trx_commit = 2",
        "innodb_doublewrite = OFF",
        "sync_binlog = 0",
    ):
        assert f"! durable     {text}: " in said
    assert "max_allowed_packet" in remedy_of(said, "!", "server")[1]


@pytest.mark.parametrize(
    ("settings", "is_safe"),
    [
        ({"synchronous_commit": "local", "synchronous_standby_names": ""}, True),
        ({"synchronous_commit": "local", "synchronous_standby_names": "ANY 1 (db2)"}, False),
        ({"synchronous_commit": "remote_write", "synchronous_standby_names": "db2"}, True),
        ({"sync_binlog": "0", "log_bin": "OFF"}, True),
        ({"sync_binlog": "0", "log_bin": "ON"}, False),
    ],
)
def test_settings_that_depend_on_others(settings, is_safe):
    (found,) = servers.dangers(settings)
    assert (found.verdict is Verdict.OK) == is_safe


@pytest.mark.parametrize(("used", "verdict"), [(4, Verdict.OK), (5, Verdict.WARNING)])
def test_a_server_that_has_no_connection_left_for_a_realm(used, verdict):
    settings = {"max_connections": "10", "superuser_reserved_connections": "3"}
    found = servers.judge_limits(settings, used)
    assert found.verdict is verdict
    assert found.figures["connections"] == used


def test_what_commit_times_mean():
    usual = servers.judge_commits([2.0] * 25, [0.5] * 25)
    assert (usual.verdict, usual.figures["saves_per_s_alone"]) == (Verdict.OK, 500)
    slow = servers.judge_commits([2.0] * 24 + [90.0], [0.5] * 25)
    assert (slow.verdict, slow.figures["commit_p99_ms"]) == (Verdict.WARNING, 90.0)
    assert "SSD" in slow.remedy


def test_no_server(kind, capsys):
    code, said = doctor_on(f"{kind}://mmoinv:hush@127.0.0.1:1/realm", capsys)
    assert code == 1
    assert "hush" not in said
    assert "reachable" in remedy_of(said, "✗", "database")[1]
