"""The types that users see: mypy checks the files in tests/typing, strictly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent / "typing").glob("*.py"))


@pytest.mark.timeout(600)
def test_the_public_types(tmp_path):
    pytest.importorskip("mypy", reason="mypy is missing: the types are NOT TESTED")
    finished = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, *FILES],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "MYPY_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
