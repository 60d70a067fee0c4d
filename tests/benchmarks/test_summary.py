"""What a benchmark run says and keeps."""

import json

from documents import JOB, document
from figures import read_run, run_of
from summary import keep, summary


def texts(now: dict, then: dict | None = None, is_whole: bool = False) -> str:
    lines = summary(run_of(now), run_of(then) if then else None, is_whole)
    return "\n".join(line.text for line in lines)


def test_each_figure_with_its_ratio_and_target():
    text = texts(document(msgspec_ns=1610, rtt_p99_ms=101.0))
    assert "ours       100 ns   msgspec 1,610 ns = 16.1x (target 15x: pass)" in text
    assert "rtt_p99_ms 101 (target <= 100 ms: FAIL)   rtt_p50_ms 3" in text
    assert "1 of 2 targets met" in text
    assert "then" not in text


def test_what_is_judged_has_a_colour():
    lines = summary(run_of(document(rtt_p99_ms=101.0)), None, False)
    good = {line.text.split("  ")[0]: line.is_good for line in lines}
    assert good["encode 25 items"] is True
    assert good["encode an answer"] is None
    assert good[next(name for name in good if name.startswith(JOB))] is False


def test_beside_the_run_before():
    text = texts(document(msgspec_ns=1610), document(msgspec_ns=1540))
    assert "16.1x, then 15.4x" in text
    assert "2026-11-20" in text
    assert "WORSE" not in text
    worse = texts(document(msgspec_ns=1200), document(msgspec_ns=1540))
    assert "WORSE THAN THEN: encode 25 items: ours/msgspec then 15.4x, now 12.0x" in worse


def test_a_target_without_a_benchmark_is_said_of_a_whole_run_only():
    assert "NOT MEASURED: diff 25 items, 3 changes, numpy" in texts(document(), is_whole=True)
    assert "NOT MEASURED" not in texts(document())


def test_whole_runs_are_kept_and_the_one_before_too(tmp_path):
    last, previous = tmp_path / "last.json", tmp_path / "previous.json"
    for number, msgspec_ns in enumerate((1100, 1200, 1300)):
        written = tmp_path / "run.json"
        written.write_text(json.dumps(document(msgspec_ns=msgspec_ns)))
        run, before = read_run(written), read_run(last)
        assert run is not None
        assert (before is not None) == (number > 0)
        lines = keep(tmp_path, written, run, before, is_whole=True)
        assert "report.html" in lines[0].text
        assert not written.exists()
    for path, ratio in ((last, 13.0), (previous, 12.0)):
        kept = read_run(path)
        assert kept is not None
        assert round(kept.groups["encode 25 items"].ratios()["msgspec"], 6) == ratio
    assert '"name":"then"' in (tmp_path / "report.html").read_text()


def test_a_part_of_a_run_is_drawn_and_not_kept(tmp_path):
    written = tmp_path / "run.json"
    written.write_text(json.dumps(document()))
    lines = keep(tmp_path, written, run_of(document()), None, is_whole=False)
    assert "last.json stays" in lines[-1].text
    assert written.exists()
    assert not (tmp_path / "last.json").exists()
    assert (tmp_path / "report.html").exists()
