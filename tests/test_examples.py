"""Every example runs, and prints what its docstring says."""

import ast
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tours

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def test_there_are_as_many_as_the_table_lists():
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\S+)\]\(\1\)", table, re.M) == [path.name for path in SCRIPTS]
    assert len(SCRIPTS) == 18


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_prints_what_it_says(path, tmp_path):
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said is not None
    _, _, block = said.partition("Output:\n\n")
    expected = "".join(f"{line[4:]}\n" for line in block.splitlines())
    assert expected
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=tmp_path,
        env={**os.environ, **tours.python_path(), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    if not doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS):
        assert done.stdout == expected
