"""A run beside an earlier one: regressions are found, other tests are not judged, other files
refused."""

import copy
import io
import json

import pytest
from rich.console import Console
from runs import measures, run

from mmoinv.errors import ConfigurationError
from mmoinv.loadtest.comparison import FIGURES, Comparison, read_report, show_comparison
from mmoinv.loadtest.report import FORMAT, as_json, write_json
from mmoinv.loadtest.settings import LoadTestSettings
from mmoinv.loadtest.verification import Findings


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {row.figure.path: row.verdict for row in comparison.rows}


def printed(comparison: Comparison) -> str:
    output = io.StringIO()
    show_comparison(Console(file=output, width=80), comparison)
    return output.getvalue()


def old(report: dict) -> dict:
    """As a version wrote it that knew no format."""
    later = {"format", "ended", "command", "settings", "machine", "series", "distributions"}
    return {key: value for key, value in report.items() if key not in later}


def test_every_figure_is_in_the_json():
    report = as_json(run())
    assert [figure.path for figure in FIGURES if figure.of(report) is None] == []


def test_nothing_changed():
    report = as_json(run())
    comparison = Comparison(copy.deepcopy(report), report)
    assert comparison.is_same_test
    assert comparison.notes == []
    assert set(verdicts(comparison).values()) == {"about the same", ""}
    assert "0 of" in comparison.summary()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"play": measures(rtt_ms=(2.0, 4.0))}, "rtt_ms.p99"),
        ({"all_at_once": measures(database_ms=(2.0,))}, "all_at_once.database_ms.p99"),
        ({"play": measures(size=120.0)}, "packet_bytes.max"),
        ({"findings": Findings(2, 50, lost=1)}, "lost"),
        ({"played_s": 2.05, "play": measures(rtt_ms=(1.0,))}, "saves_per_s"),
    ],
)
def test_a_regression_is_found_and_its_opposite_is_better(changes, path):
    good, bad = as_json(run()), as_json(run(**changes))
    assert verdicts(Comparison(good, bad))[path] == "worse"
    assert verdicts(Comparison(bad, good))[path] == "better"
    assert "worse" in printed(Comparison(good, bad))


def test_the_ratio_is_now_over_then():
    then, now = as_json(run()), as_json(run(play=measures(rtt_ms=(4.0, 8.0))))
    (row,) = [row for row in Comparison(then, now).rows if row.figure.path == "rtt_ms.max"]
    assert (row.then, row.now, row.ratio) == (2.0, 8.0, 4.0)
    assert "4.00" in printed(Comparison(then, now))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"players": 3}, "players 3 then, 2 now"),
        ({"duration_s": 60.0}, "duration_s 60.0 then, 30.0 now"),
        ({"saves_per_s": 5.0}, "saves_per_s_of_each 5.0 then, 0.5 now"),
    ],
)
def test_another_test_is_noted_and_not_judged(settings, said):
    values = {"players": 2, "worlds": 1} | settings
    then = as_json(run(settings=LoadTestSettings(**values), play=measures(rtt_ms=(1e-3,))))
    comparison = Comparison(then, as_json(run()))
    assert not comparison.is_same_test
    assert said in comparison.notes[0]
    assert set(verdicts(comparison).values()) == {""}
    assert said in " ".join(printed(comparison).split())


def test_another_version_and_machine_are_noted_and_judged():
    then, now = as_json(run()), as_json(run())
    then["machine"] |= {"cpu": "a 6502", "mmoinv": "0.0.1"}
    comparison = Comparison(then, now)
    assert comparison.is_same_test
    (note,) = comparison.notes
    assert "cpu a 6502 then" in note
    assert "mmoinv 0.0.1 then" in note


def test_another_database_is_noted():
    then, now = as_json(run(database="SQLite 3.40.1")), as_json(run(database="PostgreSQL 16.4"))
    (note,) = Comparison(then, now).notes
    assert "database SQLite 3.40.1 then, PostgreSQL 16.4 now" in note


def test_a_file_of_format_1_was_of_sqlite():
    now = as_json(run(database="SQLite 3.40.1"))
    then = copy.deepcopy(now) | {"format": 1}
    del then["machine"]["database"]
    assert Comparison(then | {"machine": then["machine"] | {"sqlite": "3.40.1"}}, now).notes == []
    (note,) = Comparison(then | {"machine": then["machine"] | {"sqlite": "3.39.0"}}, now).notes
    assert "database SQLite 3.39.0 then, SQLite 3.40.1 now" in note


def test_a_file_from_before_there_was_a_format():
    now = as_json(run(settings=LoadTestSettings(players=2, worlds=1, duration_s=2.0)))
    comparison = Comparison(old(now), now)
    assert comparison.is_same_test
    assert any("neither settings nor series" in note for note in comparison.notes)
    assert "rtt" not in printed(comparison)
    then = old(now) | {"players": 100}
    assert "players 100 then, 2 now" in Comparison(then, now).notes[0]


def test_what_was_not_measured_is_not_judged():
    then, now = as_json(run()), as_json(run())
    then["rtt_ms"]["p99"] = None
    now["database_ms"] = None
    found = verdicts(Comparison(then, now))
    assert (found["rtt_ms.p99"], found["database_ms.p99"]) == ("", "")
    assert "n/a" in printed(Comparison(then, now))


def test_a_written_report_is_read(tmp_path):
    path = tmp_path / "figures.json"
    report = as_json(run())
    write_json(str(path), report)
    assert read_report(str(path)) == report


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not the report of a load test"),
        (b"\xff\xfe", "not the report of a load test"),
        (b"[]", "not the report of a load test"),
        (b'{"benchmarks": []}', "not the report of a load test"),
        (
            json.dumps(
                {"format": FORMAT + 1, "players": 1, "rtt_ms": 0, "all_at_once": 0}
            ).encode(),
            "knows formats up to",
        ),
    ],
)
def test_another_file_is_refused(content, said, tmp_path):
    path = tmp_path / "figures.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_report(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigurationError, match="no/such/file"):
        read_report("no/such/file")
