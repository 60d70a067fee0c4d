"""Importing starts nothing and needs little; modules stand alone; imports only go down."""

import compileall
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmoinv

ROOT = Path(__file__).parent.parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(mmoinv.__path__, "mmoinv."))

# Python reports each of these to an audit hook; none may happen while a module is imported. Each is
# imported in a fork of a process that has loaded the libraries, but nothing of mmoinv.
ALONE = """
import os, sys, threading
import asyncio, logging, sqlite3, ssl
for library in ("numpy", "sqlalchemy", "alembic.command", "rich.live", "scramp", "plotly"):
    try:
        __import__(library)
    except ImportError:
        pass
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        break
    if os.waitpid(child, 0)[1]:
        print("it was", name, file=sys.stderr)
else:
    sys.exit()
assert not any(module.startswith("mmoinv") for module in sys.modules)
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
os._exit(0)  # Tidying up takes longer than all this.
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_each_module_can_be_imported_alone_and_starts_nothing():
    # Else what is not compiled yet would be, again for each module.
    compileall.compile_dir(Path(mmoinv.__file__).parent, quiet=1)
    finished = run("-c", ALONE, *MODULES)
    assert finished.returncode == 0, finished.stderr
    assert not finished.stderr


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
        (
            "mmoinv.migration",
            {"rich", "scramp", "plotly", "sqlalchemy", "mmoinv.wire", "mmoinv.stores"},
        ),
        ("mmoinv.migration.evidence", {"rich", "scramp", "plotly", "sqlalchemy", "mmoinv.wire"}),
        ("mmoinv.stores", {"rich", "mmoinv.wire", "mmoinv.world"}),
        ("mmoinv.realm", {"rich", "mmoinv.world", "mmoinv.loadtest"}),
        ("mmoinv.legacy", {"rich", "alembic", "mmoinv.world", "mmoinv.realm"}),
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
