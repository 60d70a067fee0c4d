"""What is read from a benchmark run, and how it is judged."""

import json

import pytest
from documents import JOB, document, entry
from figures import Run, groups_of, judged, read_run, regressions, run_of, unit_of, unmeasured
from targets import ANY_GROUP, AT_LEAST, AT_MOST, RATIO, TARGETS, Target


def test_ways_are_nanoseconds_a_call_and_the_rest_are_figures():
    groups = run_of(document()).groups
    assert groups["encode 25 items"].ways == pytest.approx({"ours": 100.0, "msgspec": 1500.0})
    assert groups["encode 25 items"].ratios() == pytest.approx({"msgspec": 15.0})
    assert groups["encode 25 items"].figures == {}
    assert groups[JOB].figures == {"rtt_p99_ms": 12.0, "rtt_p50_ms": 3.0, "saves": 7}
    assert groups[JOB].ratios() == {}


def test_a_benchmark_without_a_group_has_its_name():
    assert list(groups_of([entry(None, "test_alone", 1.0, figure=2, text="x", flag=True)])) == [
        "test_alone"
    ]


def test_the_facts_of_a_run():
    run = run_of(document())
    assert (run.cpu, run.cores, run.python) == ("A CPU", 2, "CPython 3.11.7")
    assert run.ended == "2026-11-20 10:11:12"


@pytest.mark.parametrize(
    ("target", "value", "is_met"),
    [
        (Target("encode 25 items", "msgspec", RATIO, 15, "x"), 15.0, True),
        (Target("encode 25 items", "msgspec", RATIO, 15.1, "x"), 15.0, False),
        (Target(ANY_GROUP, "rtt_p99_ms", AT_MOST, 12, "ms"), 12.0, True),
        (Target(JOB, "rtt_p99_ms", AT_MOST, 11, "ms"), 12.0, False),
        (Target(JOB, "saves", AT_LEAST, 7, ""), 7, True),
        (Target(JOB, "saves", AT_LEAST, 8, ""), 7, False),
        (Target("encode an answer", "ours", AT_MOST, 49, "ns"), 50.0, False),
    ],
)
def test_each_kind_of_target_can_be_met_and_missed(target, value, is_met):
    (found,) = judged(run_of(document()), [target])
    assert found.value == pytest.approx(value)
    assert found.is_met is is_met
    assert unmeasured(run_of(document()), [target]) == []


def test_a_target_of_nothing_is_noticed():
    misspelt = Target("encode 25 item", "msgspec", RATIO, 15, "x")
    assert judged(run_of(document()), [misspelt]) == []
    assert unmeasured(run_of(document()), [misspelt]) == [misspelt]


def test_no_target_stands_there_twice():
    assert len({(one.group, one.figure) for one in TARGETS}) == len(TARGETS)


def test_a_ratio_that_fell_is_a_regression_whatever_the_machine_does():
    then, now = document(msgspec_ns=1500), document(msgspec_ns=1200)
    assert regressions(run_of(now), run_of(then)) == [
        "encode 25 items: ours/msgspec then 15.0x, now 12.0x"
    ]
    assert regressions(run_of(then), run_of(now)) == []
    # Everything twice as slow: the same ratios.
    for one in now["benchmarks"]:
        one["stats"]["min"] *= 2
    assert regressions(run_of(now), run_of(document(msgspec_ns=1200))) == []


def test_another_way_that_was_lucky_is_no_regression_of_ours():
    def run(*others_ns: float) -> Run:
        ways = [("ours", 100.0), *zip("abc", others_ns, strict=True)]
        return Run(
            groups_of(entry("group", "test", ns * 1e-6, way=way, calls=1000) for way, ns in ways)
        )

    assert regressions(run(1000, 1000, 500), run(1000, 1000, 1000)) == []
    assert len(regressions(run(1000, 500, 500), run(1000, 1000, 1000))) == 1


def test_a_run_from_a_file(tmp_path):
    path = tmp_path / "last.json"
    assert read_run(path) is None
    for cut_off in ("", "{", "[]", '{"benchmarks": [{}]}'):
        path.write_text(cut_off)
        assert read_run(path) is None
    path.write_text(json.dumps(document()))
    found = read_run(path)
    assert isinstance(found, Run)
    assert JOB in found.groups


def test_units():
    assert [unit_of(name) for name in ("rtt_p99_ms", "saves_per_s", "peak_mb", "saves")] == [
        "ms",
        "/s",
        "MB",
        "",
    ]
