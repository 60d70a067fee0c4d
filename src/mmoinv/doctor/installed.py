"""What is installed: mmoinv, Python, the codec, the libraries, SQLite, the event loop."""

import asyncio
import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib import import_module, metadata

from mmoinv import __version__, loops
from mmoinv.doctor.check import Check, failed, passed, refused, warned
from mmoinv.errors import CodecUnavailableError, ConfigurationError

REINSTALL = "Install a wheel, or build with a C compiler: MMOINV_BUILD_CODEC=require pip install ."


def package() -> Check:
    """mmoinv itself, and what it runs on."""
    python, machine = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return passed(
        "mmoinv",
        f"{__version__}, {platform.python_implementation()} {python}, {machine}",
        version=__version__,
        python=python,
        platform=platform.platform(),
    )


def codec() -> Check:
    """Which codec runs, and if it is the Python twin, why."""
    wanted = os.environ.get("MMOINV_CODEC", "")
    try:
        from mmoinv.codec import CODEC, MODULES
    except CodecUnavailableError as error:
        return refused("codec", error, f"Unset MMOINV_CODEC. {REINSTALL}")
    if CODEC == "compiled":
        from mmoinv._codec import OLDEST_NUMPY

        text = f"compiled, for numpy {OLDEST_NUMPY} and newer"
        return passed("codec", text, codec=CODEC, oldest_numpy=OLDEST_NUMPY)
    text = "the Python twin, many times slower than the compiled one: "
    if wanted == CODEC:
        remedy = "Unset MMOINV_CODEC."
        return warned("codec", f"{text}MMOINV_CODEC={wanted} asks for it", remedy, codec=CODEC)
    try:
        import_module(MODULES["compiled"])
    except ImportError as error:
        return warned("codec", f"{text}{error}", REINSTALL, codec=CODEC)
    return warned("codec", f"{text}it could not be loaded at first", REINSTALL, codec=CODEC)


def dependencies() -> Iterator[Check]:
    """Each library that mmoinv names as a dependency: needed ones, then those of its extras."""
    try:
        requirements = metadata.requires("mmoinv") or []
    except metadata.PackageNotFoundError:
        yield warned(
            "libraries",
            "mmoinv runs from a folder and is not installed: what it needs is not known",
            "pip install mmoinv",
        )
        return
    for requirement in requirements:
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra == ['\"]([^'\"]+)", requirement)
        if not found or found[0] == "mmoinv":
            continue  # An extra made of others.
        if re.search(r"sys_platform != ['\"]win32", requirement) and sys.platform == "win32":
            continue
        yield dependency(found[0], extra[1] if extra else "")


def dependency(name: str, extra: str) -> Check:
    """One library; ``extra`` is the one that brings it, empty if mmoinv needs it."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if not extra:
            return failed(name, "not installed, and mmoinv needs it", f"pip install {name}")
        remedy = f"If you want it: pip install 'mmoinv[{extra}]'"
        return warned(name, f"not installed; it belongs to the extra {extra!r}", remedy)
    return passed(name, f"{version}, of the extra {extra!r}" if extra else version, version=version)


def sqlite() -> Check:
    """The SQLite that Python was built with."""
    try:
        from mmoinv.stores.sqlite.schema import check_sqlite_version
    except ImportError:
        # A world server without the extra 'realm', of which a line above speaks.
        return passed("SQLite", sqlite3.sqlite_version, version=sqlite3.sqlite_version)
    try:
        check_sqlite_version()
    except ConfigurationError as error:
        return refused("SQLite", error, "Use a newer Python.")
    return passed("SQLite", sqlite3.sqlite_version, version=sqlite3.sqlite_version)


def event_loop() -> Check:
    """The event loop that a process of mmoinv's own runs on."""
    name = loops.run(_running()).partition(".")[0]
    return passed("event loop", name, event_loop=name)


async def _running() -> str:
    return type(asyncio.get_running_loop()).__module__
