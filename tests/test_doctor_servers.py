"""``mmoinv doctor`` on real database servers: what is wrong is found, and nothing is changed."""

import json
import os
from urllib.parse import urlsplit

import pytest
from doctor_output import remedy_of
from servers.fixtures import started
from servers.mariadb import MariadbServer
from servers.postgresql import PostgresqlServer

from mmoinv.cli import main
from mmoinv.doctor import servers
from mmoinv.doctor.check import Verdict


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
    assert "its schema is the right one (version 0005)" in said
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
    assert "is of version 0099, this mmoinv speaks 0005" in text
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
