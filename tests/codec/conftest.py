"""Every test that takes the fixture ``codec`` runs on both twins."""

import os
from importlib import import_module
from types import ModuleType

import pytest

from mmoinv.codec import MODULES


def twin(name: str) -> ModuleType:
    """The compiled codec or its Python twin, by its name in ``MMOINV_CODEC``."""
    try:
        return import_module(MODULES[name])
    except ImportError as error:
        sentence = f"the {name} codec cannot be had ({error}); NOT TESTED on it"
        if os.environ.get("MMOINV_CODEC") == name:
            pytest.fail(f"MMOINV_CODEC={name}, but {sentence}")
        pytest.skip(f"{sentence}: build it with MMOINV_BUILD_CODEC=require")


@pytest.fixture(scope="session", params=list(MODULES))
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """One of the twins."""
    return twin(request.param)


@pytest.fixture(scope="session")
def twins() -> list[ModuleType]:
    """Both of them, to be held equal."""
    return [twin(name) for name in MODULES]
