"""Whole runs of the load test: latency under many players, saves a second through the realm.

Each is `mmoinv loadtest` in processes of its own, once; its JSON is where the figures are from.
"""

import json
import subprocess
import sys

import pytest
from targets import sender_group, whole_group


def load_test(tmp_path, *arguments):
    """The report of one run; what is lost is a failure, a missed target is for targets.py."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "mmoinv", "loadtest", "--json", str(report), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    figures = json.loads(report.read_text())
    assert (figures["lost"], figures["doubled"]) == (0, 0), done.stdout
    return figures


@pytest.mark.parametrize("players", [100, 1000, 2000])
def test_latency(benchmark, tmp_path, players):
    benchmark.group = f"{players:,} players, a save a second each"
    arguments = ("--plain", "--players", str(players), "--saves-per-s", "1", "--duration", "8")
    figures = benchmark.pedantic(load_test, (tmp_path, *arguments), rounds=1)
    at_once = figures["all_at_once"]
    benchmark.extra_info.update(
        rtt_p99_ms=figures["rtt_ms"]["p99"],
        rtt_p50_ms=figures["rtt_ms"]["p50"],
        database_p99_ms=figures["database_ms"]["p99"],
        saves_per_s=figures["saves_per_s"],
        mean_group=figures["group_size"]["mean"],
        all_at_once_rtt_ms=at_once["rtt_ms"]["p99"],
        lost=figures["lost"] + figures["doubled"],
    )


@pytest.fixture(params=["SQLite", "PostgreSQL", "MariaDB"])
def database(request, tmp_path):
    """Name and URL of a new database of each kind; servers are started for it."""
    if request.param == "SQLite":
        return request.param, f"sqlite:///{tmp_path / 'realm.db'}"
    return request.param, request.getfixturevalue(f"{request.param.lower()}_url")


def test_saves_per_s(benchmark, tmp_path, database):
    name, url = database
    benchmark.group = sender_group(name)
    arguments = ("--sender", "--saves", "150000", "--database", url)
    figures = benchmark.pedantic(load_test, (tmp_path, *arguments), rounds=1)
    benchmark.extra_info.update(
        saves_per_s=figures["saves_per_s"],
        times_one_transaction_a_save=figures["targets"]["times_one_transaction_a_save"]["value"],
        one_transaction_a_save_per_s=figures["one_transaction_a_save_per_s"],
        database_p99_ms=figures["database_ms"]["p99"],
        window_rtt_p99_ms=figures["rtt_ms"]["p99"],
        mean_group=figures["group_size"]["mean"],
        lost=figures["lost"] + figures["doubled"],
    )


def test_whole_saves_per_s(benchmark, tmp_path, database):
    name, url = database
    benchmark.group = whole_group(name)
    arguments = ("--sender", "--whole", "--saves", "80000", "--database", url)
    figures = benchmark.pedantic(load_test, (tmp_path, *arguments), rounds=1)
    benchmark.extra_info.update(
        saves_per_s=figures["saves_per_s"],
        database_p99_ms=figures["database_ms"]["p99"],
        mean_group=figures["group_size"]["mean"],
        lost=figures["lost"] + figures["doubled"],
    )
