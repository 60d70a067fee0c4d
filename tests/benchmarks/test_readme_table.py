"""The README's tables are rewritten from a run, and only they."""

import json
from pathlib import Path

import pytest
import readme_table
from documents import JOB, document
from figures import run_of
from readme_table import BEGIN, END, TableError, calls_table, figures_table, rewritten

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _rows(monkeypatch):
    monkeypatch.setattr(readme_table, "README_CALLS", {"encode 25 items": "encode a save"})
    rows = {(JOB, "rtt_p99_ms"): "round trip", (JOB, "saves"): "saves"}
    monkeypatch.setattr(readme_table, "README_FIGURES", rows)


def between(name: str, text: str) -> str:
    return f"{BEGIN.format(name)}\n{text}\n{END}"


def test_a_table_of_calls():
    table = calls_table(run_of(document(msgspec_ns=1610)))
    assert "| encode a save | 100 ns | msgspec 16.1 times as long | msgspec 15 |" in table
    assert table.endswith("`make bench` on 2026-11-20: 2 cores of A CPU, CPython 3.11.7.")


def test_a_table_of_figures():
    table = figures_table(run_of(document(rtt_p99_ms=12.34)))
    assert "| round trip | 12.34 ms | at most 100 ms |" in table
    assert "| saves | 7 |  |" in table


def test_what_was_not_measured_is_no_row(monkeypatch):
    monkeypatch.setattr(readme_table, "README_CALLS", {"nothing": "x"})
    with pytest.raises(TableError, match="make bench"):
        calls_table(run_of(document()))
    monkeypatch.setattr(readme_table, "README_FIGURES", {(JOB, "nothing"): "x"})
    with pytest.raises(TableError, match=r"targets\.py"):
        figures_table(run_of(document()))


def test_only_what_is_between_the_markers_is_rewritten():
    text = f"before\n{between('one', 'old 1')}\n\\1 between\n{between('two', 'old 2')}\nafter\n"
    new = rewritten(text, {"one": "new \\1 | 1", "two": "new 2"})
    assert new == text.replace("old 1", "new \\1 | 1").replace("old 2", "new 2")
    assert rewritten(new, {"one": "new \\1 | 1", "two": "new 2"}) == new


@pytest.mark.parametrize(
    "text",
    [
        "",
        BEGIN.format("one"),
        f"{between('one', 'x')}\n{between('one', 'x')}",
        f"{BEGIN.format('one')}\nno end\n{between('two', 'x')}",
    ],
)
def test_markers_that_are_not_a_pair(text):
    with pytest.raises(TableError, match="marker"):
        rewritten(text, {"one": "new"})


def test_the_readme_has_the_markers():
    text = README.read_text(encoding="utf-8")
    new = rewritten(text, {"end to end": "A", "one call": "B"})
    assert between("end to end", "A") in new
    assert between("one call", "B") in new


def test_from_the_file_to_the_readme(tmp_path, monkeypatch, capsys):
    readme, last = tmp_path / "README.md", tmp_path / "last.json"
    monkeypatch.setattr(readme_table, "README", readme)
    monkeypatch.setattr(readme_table, "LAST", last)
    old = f"{between('end to end', 'old')}\n{between('one call', 'old')}\n"
    readme.write_text(old)
    assert readme_table.main() == 1
    assert "make bench" in capsys.readouterr().out
    last.write_text(json.dumps(document()))
    assert readme_table.main() == 0
    assert "encode a save" in readme.read_text()
    readme.write_text("no markers")
    assert readme_table.main() == 1
    assert "stays as it is" in capsys.readouterr().out
    assert readme.read_text() == "no markers"
