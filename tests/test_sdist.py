"""Whoever unpacks the sdist can run the tests: MANIFEST.in names all that they read."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "docs", "examples", "tests", "tools")
MADE = {".pyc", ".so", ".pyd"}
"""What interpreters and builds leave behind."""


def named(path: Path) -> bool:
    """Whether a line of MANIFEST.in takes a file along."""
    relative = path.relative_to(ROOT)
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        verb, first, *rest = line.split()
        is_beside = verb == "include" and path.parent == ROOT
        if is_beside and any(fnmatch(path.name, pattern) for pattern in (first, *rest)):
            return True
        is_inside = verb == "recursive-include" and relative.is_relative_to(first)
        if is_inside and any(fnmatch(path.name, pattern) for pattern in rest):
            return True
    return False


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_folders_are_in_the_sdist(folder: str):
    files = [
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix not in MADE
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    ]
    assert files
    assert [path for path in files if not named(path)] == []


def test_the_documents_and_the_makefile_are_in_the_sdist():
    assert [path for path in [*ROOT.glob("*.md"), ROOT / "Makefile"] if not named(path)] == []
