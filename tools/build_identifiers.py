"""Compares the wheels that cibuildwheel would build with those that are wanted.

Wanted is a wheel for each Python of the classifiers in pyproject.toml on each platform below;
a build too few, one too many or one of 32 bits is exit code 1. Builds nothing, asks no network.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = {
    "linux": (
        "manylinux_x86_64",
        "manylinux_aarch64",
        "musllinux_x86_64",
        "musllinux_aarch64",
    ),
    "macos": ("macosx_x86_64", "macosx_arm64"),
    "windows": ("win_amd64",),
}
CLASSIFIER = "Programming Language :: Python :: 3."


def main() -> int:
    """Run the command; returns the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = {identifier for platform in PLATFORMS for identifier in built(platform, ROOT)}
    complaint = compare(found, wanted(project))
    print(complaint or f"{len(found)} wheels would be built, as wanted")
    return 1 if complaint else 0


def wanted(project: dict[str, Any]) -> set[str]:
    """The identifiers that the classifiers of ``[project]`` ask for."""
    versions = [
        classifier.removeprefix(CLASSIFIER)
        for classifier in project["classifiers"]
        if classifier.startswith(CLASSIFIER)
    ]
    return {
        f"cp3{version}-{platform}"
        for version in versions
        for platforms in PLATFORMS.values()
        for platform in platforms
    }


def built(platform: str, root: Path) -> list[str]:
    """What cibuildwheel says it would build for a platform, of all its architectures."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "cibuildwheel", "--platform", platform),
            *("--archs", "all", "--print-build-identifiers", str(root)),
        ],
        cwd=root,
        # What CI sets for one job must not hide the others.
        env={name: value for name, value in os.environ.items() if not name.startswith("CIBW_")},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(
            f"cibuildwheel does not take [tool.cibuildwheel] of pyproject.toml:\n"
            f"{result.stderr.strip() or result.stdout.strip()}"
        )
    return result.stdout.split()


def compare(found: set[str], wanted: set[str]) -> str:
    """What differs and the remedy, in words; empty if nothing does."""
    lines = [f"{name} is wanted, but would not be built" for name in sorted(wanted - found)]
    lines += [f"{name} would be built, but is not wanted" for name in sorted(found - wanted)]
    if lines:
        lines.append(
            "Change 'build' in [tool.cibuildwheel], or the classifiers, of pyproject.toml, or "
            "PLATFORMS in tools/build_identifiers.py."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
