"""Tours, guides and the page on tuning do what they say: every block prints what is shown."""

import os
import sys
from pathlib import Path

import pytest
import tours

TOURS = sorted((tours.ROOT / "docs").glob("tour-*.md"))
GUIDES = sorted((tours.ROOT / "docs").glob("guide-*.md"))
PAGES = [
    tours.ROOT / "docs" / name
    for name in ("tuning.md", "security.md", "migration.md", "migration-tables.md")
]
PLAYED = [*TOURS, *GUIDES, *PAGES]
missing = tours.missing_programs()
runnable = pytest.mark.skipif(
    sys.platform == "win32" or bool(missing),
    reason=f"the tours are written for a Unix shell; missing: {', '.join(missing) or 'that'}",
)


def test_there_is_a_tour_for_everyone():
    assert [document.stem for document in TOURS] == [
        "tour-game-master",
        "tour-gameplay-programmer",
        "tour-migration-engineer",
        "tour-realm-operator",
    ]


def test_there_is_a_guide_to_each():
    assert [document.stem for document in GUIDES] == [
        "guide-inventory-rules",
        "guide-repository",
        "guide-transactions",
    ]


@runnable
@pytest.mark.parametrize("document", PLAYED, ids=lambda document: document.stem)
def test_document(document: Path, tmp_path: Path):
    for block, printed in tours.played(document, tmp_path):
        assert tours.matches(block.shown, printed), (
            f"{document.name}, the {block.language} block at line {block.line}, shows\n"
            f"{block.shown}\nand printed\n{printed}"
        )


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("", "", True),
        ("", "x\n", False),
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a ... c\n", "a b b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\nc\n", "a\nc\n", True),
        ("a\n...\n", "b\n", False),
        ("(1.5)\n", "(1x5)\n", False),
    ],
)
def test_what_a_wildcard_stands_for(shown, printed, expected):
    assert tours.matches(shown, printed) is expected


@pytest.mark.parametrize(
    "text",
    [
        "```\nnameless\n```\n",
        "```text\nnobody's output\n```\n",
        "```sh\ntrue\n```\n\nProse.\n\n```text\nnot right behind\n```\n",
        "```cpp\nint x;\n```\n",
    ],
)
def test_every_block_is_run_or_compared(tmp_path: Path, text: str):
    document = tmp_path / "tour.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="neither"):
        tours.blocks(document)


@runnable
def test_a_relative_python_path_leads_where_it_leads_here(tmp_path: Path, monkeypatch):
    document, folder, modules = (tmp_path / name for name in ("tour.md", "folder", "modules"))
    folder.mkdir()
    modules.mkdir()
    (modules / "only_here.py").write_text("print('found')\n")
    document.write_text(
        "```sh\npython -c 'import only_here'\n```\n```python\nimport only_here\n```\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "modules", prepend=os.pathsep)
    assert [said for _, said in tours.played(document, folder)] == ["found\n", "found\n"]


UNEVEN_CLOCK = """
import itertools, time
calls = itertools.count()
time.perf_counter = lambda: 2.0 ** next(calls)
"""
"""Each time that it measures is four times the one before: a machine that gets busier."""


@runnable
def test_a_measurement_in_a_document_may_be_made_on_a_busy_machine(tmp_path: Path, monkeypatch):
    folder, modules = tmp_path / "folder", tmp_path / "modules"
    folder.mkdir()
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(UNEVEN_CLOCK)
    monkeypatch.setenv("PYTHONPATH", str(modules), prepend=os.pathsep)
    measurements = [
        block for document in PLAYED for block in tours.blocks(document) if "timeit" in block.text
    ]
    assert measurements
    with tours.Tour(folder) as tour:
        for block in measurements:
            printed = tour.run(block)
            assert tours.matches(block.shown, printed), printed


@runnable
def test_a_document_that_lies_is_found_out(tmp_path: Path):
    document, folder = tmp_path / "tour.md", tmp_path / "folder"
    folder.mkdir()
    document.write_text(
        "```sh\necho 1; nonsense 2>/dev/null\n```\n\n```text\n2\n```\n"
        "```python\nfor n in range(2):\n    n\n\n1 / 0\n```\n"
    )
    (shell, said), (python, raised) = tours.played(document, folder)
    assert (shell.shown, said) == ("2\n", "1\n")
    assert raised.startswith("0\n1\nTraceback")
    assert raised.endswith("ZeroDivisionError: division by zero\n")
    assert not tours.matches(python.shown, raised)
