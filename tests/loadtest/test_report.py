"""Figures, targets and the JSON of a run."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from runs import measures, run

from mmoinv.errors import ConfigurationError
from mmoinv.loadtest.crash import CrashFigures
from mmoinv.loadtest.live import LiveTable, number, sparkline
from mmoinv.loadtest.measures import Measures, Samples
from mmoinv.loadtest.report import as_json, show, show_next_steps, targets, write_json
from mmoinv.loadtest.settings import LoadTestSettings, shown_command
from mmoinv.loadtest.verification import Findings

DOCUMENT = Path(__file__).parents[2] / "docs" / "loadtest.md"

KEYS = {
    "players": None,
    "worlds": None,
    "duration_s": None,
    "saves": None,
    "saves_per_s": None,
    "rtt_ms": {"p50", "p95", "p99", "max"},
    "database_ms": {"p50", "p99", "max"},
    "packet_bytes": {"mean", "max"},
    "packet_us": {"p50", "p99"},
    "bytes_per_s": None,
    "group_size": {"mean", "max"},
    "all_at_once": {
        "rtt_ms",
        "database_ms",
        "packet_bytes_40_items",
        "packet_bytes_119_items",
    },
    "lost": None,
    "doubled": None,
    "targets": None,
    "passed": None,
    "format": None,
    "ended": None,
    "command": None,
    "settings": {
        "players",
        "worlds",
        "duration_s",
        "saves_per_s_of_each",
        "seed",
        "has_own_realm",
    },
    "machine": None,
    "series": {
        "interval_s",
        "saves_per_s",
        "rtt_ms",
        "database_ms",
        "packet_bytes",
        "packet_us",
        "group_size",
        "queue_depth",
        "unanswered",
    },
    "distributions": {"playing", "all_at_once"},
    "crash": None,
    "characters_verified": None,
    "records_verified": None,
    "deeds": None,
    "commands": None,
    "command_us": {"p50", "p99"},
    "seed": None,
    "codec": None,
    "version": None,
    "python": None,
    "platform": None,
}


def test_the_keys_of_the_json():
    report = as_json(run())
    assert set(report) == set(KEYS)
    for name, inner in KEYS.items():
        if inner:
            assert set(report[name]) == inner, name
    assert set(report["all_at_once"]["rtt_ms"]) == {"p50", "p95", "p99", "max"}
    assert set(report["all_at_once"]["database_ms"]) == {"p50", "p99", "max"}
    assert report["saves_per_s"] == 1.0
    assert report["bytes_per_s"] == 100.0
    assert report["passed"] is True
    json.dumps(report)


def test_a_crash_is_judged_by_what_was_acknowledged():
    crash = CrashFigures(killed_s=10.0, ready_s=10.5)
    crash.take([9.0, 10.4, 10.7, 10.6])
    crash.acknowledged = crash.found = 40
    report = as_json(run(crash=crash))
    assert report["crash"]["first_answer_s"] == 0.6
    assert report["targets"]["rtt_p99_ms"]["passed"] is None
    assert report["passed"] is True
    crash.found = 39
    report = as_json(run(crash=crash))
    assert report["targets"]["acknowledged_and_missing"]["value"] == 1
    assert report["passed"] is report["crash"]["passed"] is False


def test_what_the_players_did():
    report = as_json(run())
    assert report["deeds"] == {"loot": 1234, "trade": 2}
    assert report["commands"]["loot"] == {"done": 1234, "refused": 1, "p50_us": 20, "p99_us": 29.8}
    assert report["command_us"]["p50"] == 30
    output = io.StringIO()
    show(Console(file=output, width=80), run(), report)
    assert re.search(r"^ *loot +1,234 +1 +20.0 +29.8 *$", output.getvalue(), re.M)
    assert re.search(r"^ *all +1,236 +1 +30.0 +", output.getvalue(), re.M)
    idle = run(deeds={})
    assert as_json(idle)["command_us"] == {"p50": None, "p99": None}
    output = io.StringIO()
    show(Console(file=output, width=80), idle, as_json(idle))
    assert "What the players did" not in output.getvalue()


@pytest.mark.parametrize(
    ("missed", "changes"),
    [
        ("rtt_p99_ms", {"play": measures(rtt_ms=(100.0,))}),
        ("all_at_once_rtt_p99_ms", {"all_at_once": measures(rtt_ms=(101.0,))}),
        ("database_p99_ms", {"play": measures(database_ms=(50.0,))}),
        ("all_at_once_database_p99_ms", {"all_at_once": measures(database_ms=(51.0,))}),
        ("largest_save_bytes", {"play": measures(size=1024.0)}),
        ("save_of_40_items_bytes", {"packet_bytes_of": {"packet_bytes_40_items": 1024}}),
        ("lost", {"findings": Findings(2, 50, lost=1)}),
        ("doubled", {"findings": Findings(2, 50, doubled=1)}),
    ],
)
def test_each_target_can_be_missed(missed, changes):
    judged = targets(run(**changes))
    assert [name for name, target in judged.items() if target["passed"] is False] == [missed]
    report = as_json(run(**changes))
    assert report["passed"] is False
    output = io.StringIO()
    show(Console(file=output, width=120), run(**changes), report)
    assert "FAILED" in output.getvalue()


def test_refused_saves_miss_a_target():
    play = measures()
    play.refused = 1
    assert targets(run(play=play))["refused"]["passed"] is False


def test_what_was_not_measured_is_not_judged():
    settings = LoadTestSettings(players=2, worlds=1, realm_host="127.0.0.1")
    silent = measures(database_ms=())
    remote = run(settings=settings, play=silent, all_at_once=silent)
    report = as_json(remote)
    assert report["database_ms"] == {"p50": None, "p99": None, "max": None}
    assert report["targets"]["database_p99_ms"]["passed"] is None
    assert report["passed"] is True
    output = io.StringIO()
    show(Console(file=output, width=120), remote, report)
    assert "n/a" in output.getvalue()


@pytest.mark.parametrize("realm_host", ["", "127.0.0.1"])
def test_a_run_that_measured_nothing_does_not_pass(realm_host):
    settings = LoadTestSettings(players=2, worlds=1, realm_host=realm_host)
    empty = run(settings=settings, play=Measures(), all_at_once=Measures(), packet_bytes_of={})
    judged = targets(empty)
    for name in ("rtt_p99_ms", "all_at_once_rtt_p99_ms", "save_of_40_items_bytes"):
        assert judged[name]["passed"] is False
    assert judged["database_p99_ms"]["passed"] is (None if realm_host else False)
    assert as_json(empty)["passed"] is False


def test_the_targets_fit_a_small_terminal():
    output = io.StringIO()
    slow = measures(rtt_ms=(12_345.6,))
    show(Console(file=output, width=80), run(play=slow), as_json(run(play=slow)))
    assert "transaction p99, all at once" in output.getvalue()
    assert "saves refused or not taken" in output.getvalue()


def test_the_last_screen_says_what_was_shown():
    output = io.StringIO()
    console = Console(file=output, width=120)
    settings = LoadTestSettings(json_path="figures.json")
    show(console, run(), as_json(run()))
    show_next_steps(console, settings)
    text = output.getvalue()
    assert "50 records" in text
    assert "none lost, none doubled" in text
    assert "figures.json" in text


def test_the_keys_are_documented():
    text = DOCUMENT.read_text()
    for name, inner in KEYS.items():
        assert f"`{name}`" in text
        for key in inner or ():
            assert f"`{key}`" in text, key


def test_the_json_is_read_back_as_it_was(tmp_path):
    report = as_json(run())
    path = tmp_path / "figures.json"
    write_json(str(path), report)
    assert json.loads(path.read_text()) == report
    # Lists of numbers are one line each.
    assert len(path.read_text().splitlines()) < 250


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["loadtest", "--players", "9"], "mmoinv loadtest --players 9"),
        (["loadtest", "--secret", "hunter2"], "mmoinv loadtest --secret '***'"),
        (["loadtest", "--secret=hunter2"], "mmoinv loadtest '--secret=***'"),
        (["--database", "x://me:hunter2@host/db"], "mmoinv --database 'x://me:***@host/db'"),
        (["--database", "x://me:a/b@c@host/db"], "mmoinv --database 'x://me:***@host/db'"),
        (["--database=x://h/db?password=hunter2"], "mmoinv '--database=x://h/db?password=***'"),
        (["--database", "sqlite:////a/b.db"], "mmoinv --database sqlite:////a/b.db"),
    ],
)
def test_the_command_is_shown_without_secrets(typed, shown):
    assert shown_command(typed) == shown


def test_a_report_that_cannot_be_written(tmp_path):
    with pytest.raises(ConfigurationError, match="the run itself is done"):
        write_json(str(tmp_path / "no" / "file.json"), {})


def test_samples():
    samples = Samples()
    assert samples.summary(50) == {"p50": None, "max": None}
    assert samples.mean() is None
    samples.extend([1, 2])
    samples.extend([])
    samples.extend([3])
    assert samples.values().tolist() == [1, 2, 3]
    assert (samples.percentile(50), samples.mean(), samples.max()) == (2, 2, 3)


def test_numbers_and_bars():
    assert number(None) == "n/a"
    assert number(1234.56) == "1,234.6"
    assert sparkline([0, 1, 8]) == " ▁█"
    assert sparkline([]) == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_the_live_table(terminal):
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=terminal)
    with LiveTable(console, "playing", 2.0, plain=False) as table:
        table.show(Measures())
        now = measures()
        now.commands, now.commands_refused = 1_234, 77
        table.show(now, last=True)
    text = output.getvalue()
    assert "round trip" in text
    if terminal:
        assert "1,234" in text
        assert "refused by the rules 77" in text
