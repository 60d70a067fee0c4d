"""Importing starts nothing and needs little; modules stand alone; imports only go down."""

import os
import pkgutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mmoinv

ROOT = Path(__file__).parent.parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(mmoinv.__path__, "mmoinv."))

# Python reports each of these to an audit hook; none may happen while a module is imported.
ALONE = """
import sys, threading
name = sys.argv[1]
started = []
FORBIDDEN = (
    "_thread.start_new_thread", "os.fork", "os.exec", "os.mkdir", "os.remove", "os.system",
    "socket.__new__", "sqlite3.connect", "subprocess.Popen", "signal.pthread_kill",
)

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in FORBIDDEN or (writes and "__pycache__" not in str(arguments[0])):
        started.append((event, arguments))

sys.addaudithook(watch)
__import__(name)
assert not started, started
assert threading.active_count() == 1, threading.enumerate()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    finished = run("-c", f"import sys; {statement}; print('\\n'.join(sys.modules))")
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


def test_each_module_can_be_imported_alone_and_starts_nothing():
    def alone(name: str) -> tuple[str, str]:
        return name, run("-c", ALONE, name).stderr

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = {name: error for name, error in pool.map(alone, MODULES) if error}
    assert not failed, "\n".join(f"{name}: {error}" for name, error in failed.items())


def test_importing_mmoinv_loads_nothing_yet():
    loaded = loaded_by("import mmoinv")
    assert {name for name in loaded if name.startswith("mmoinv.")} == set()
    assert not loaded & {"asyncio", "logging", "numpy", "rich", "scramp", "socket", "sqlite3"}


@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("mmoinv.codec", {"asyncio", "socket", "sqlite3", "rich", "scramp"}),
        ("mmoinv.wire", {"sqlite3", "rich", "mmoinv.repository"}),
        ("mmoinv.repository", {"sqlite3", "rich", "scramp", "mmoinv.wire"}),
        ("mmoinv.world", {"sqlite3", "rich", "mmoinv.stores", "mmoinv.realm"}),
        ("mmoinv.migration.evidence", {"rich", "scramp", "plotly", "sqlalchemy", "mmoinv.wire"}),
        ("mmoinv.stores", {"rich", "mmoinv.wire", "mmoinv.world"}),
        ("mmoinv.realm", {"rich", "mmoinv.world", "mmoinv.loadtest"}),
    ],
)
def test_what_a_package_does_without(name, unwanted):
    if name not in MODULES:
        pytest.skip(f"{name} is not there yet")
    assert not loaded_by(f"import numpy, {name}") & unwanted - loaded_by("import numpy")


def test_every_public_name_is_there():
    names = [name for name in mmoinv.__all__ if name != "__version__"]
    code = f"import mmoinv; print([getattr(mmoinv, name).__class__ for name in {names}])"
    finished = run("-c", code)
    assert finished.returncode == 0, finished.stderr
    assert set(dir(mmoinv)) >= set(mmoinv.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mmoinv.nothing


def test_imports_only_go_down():
    pytest.importorskip("importlinter", reason="import-linter is missing: the floors NOT TESTED")
    code = "import importlinter.cli, sys; sys.exit(importlinter.cli.lint_imports(no_cache=True))"
    finished = run("-W", "ignore", "-c", code)
    assert finished.returncode == 0, finished.stdout + finished.stderr
