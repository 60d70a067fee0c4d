"""Which codec runs is chosen once, by name or by what is there, and never a silent accident."""

import os
import subprocess
import sys

import pytest

from mmoinv.codec import MODULES

PRINT_CHOICE = "from mmoinv import codec; print(codec.CODEC, codec.encode_batch.__module__)"
# A module that is None in sys.modules cannot be imported.
WITHOUT = "import sys; sys.modules[{!r}] = None; "
WITHOUT_COMPILED = WITHOUT.format(MODULES["compiled"])
WITHOUT_PYTHON = WITHOUT.format(MODULES["python"])


def run(code: str, choice: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MMOINV_CODEC"}
    if choice is not None:
        environment["MMOINV_CODEC"] = choice
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def chosen(code: str, choice: str | None) -> str:
    finished = run(code, choice)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def refused(code: str, choice: str | None) -> str:
    finished = run(code, choice)
    assert finished.returncode == 1, finished.stdout
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("mmoinv.errors.CodecUnavailableError: ")
    return last


def compiled_is_there() -> bool:
    return run(f"import {MODULES['compiled']}", None).returncode == 0


@pytest.fixture
def _compiled():
    if not compiled_is_there():
        pytest.skip("the compiled codec cannot be had: build it with MMOINV_BUILD_CODEC=require")


needs_compiled = pytest.mark.usefixtures("_compiled")


def test_python_by_name():
    assert chosen(PRINT_CHOICE, "python") == "python mmoinv._codec_py"


@needs_compiled
@pytest.mark.parametrize("choice", ["compiled", None, ""])
def test_compiled_by_name_or_because_it_is_there(choice):
    assert chosen(PRINT_CHOICE, choice) == "compiled mmoinv._codec"


@needs_compiled
def test_the_compiled_one_does_not_load_its_twin():
    code = f"import sys, mmoinv.codec; print({MODULES['python']!r} in sys.modules)"
    assert chosen(code, None) == "False"


@pytest.mark.parametrize("choice", [None, ""])
def test_python_where_the_compiled_one_is_missing(choice):
    assert chosen(WITHOUT_COMPILED + PRINT_CHOICE, choice) == "python mmoinv._codec_py"


def test_a_forced_choice_that_cannot_be_had_raises_and_says_what_was_tried():
    message = refused(WITHOUT_COMPILED + PRINT_CHOICE, "compiled")
    assert "MMOINV_CODEC=compiled: no codec can be had" in message
    assert "Tried compiled (mmoinv._codec): import of mmoinv._codec halted" in message
    assert "mmoinv._codec_py" not in message
    assert "MMOINV_BUILD_CODEC=require" in message


def test_no_codec_at_all_lists_both():
    message = refused(WITHOUT_COMPILED + WITHOUT_PYTHON + PRINT_CHOICE, None)
    assert "MMOINV_CODEC=unset" in message
    for name, module in MODULES.items():
        assert f"{name} ({module}): import of {module} halted" in message


@pytest.mark.parametrize("choice", ["Compiled", "cython", "1", "python "])
def test_a_name_that_is_none(choice):
    message = refused(PRINT_CHOICE, choice)
    assert f"MMOINV_CODEC={choice!r} is not one of compiled, python" in message


@needs_compiled
def test_a_machine_of_the_other_byte_order_takes_the_twin():
    code = "import numpy, sys; sys.byteorder = 'big'; " + PRINT_CHOICE
    assert "the compiled codec runs on little-endian machines" in refused(code, "compiled")
    assert chosen(code, None) == "python mmoinv._codec_py"


def test_both_have_every_public_function():
    code = (
        "from importlib import import_module; from mmoinv import codec;"
        "names = [name for name in codec.__all__ if name != 'CODEC'];"
        "twin = import_module(codec.MODULES['python']);"
        "print(len(names), all(getattr(twin, name).__doc__ for name in names))"
    )
    assert chosen(code, None) == "30 True"
