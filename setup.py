"""Builds the compiled codec. Everything else about the package is in pyproject.toml.

MMOINV_BUILD_CODEC=auto     build it, fall back to the Python twin with a warning (the default)
MMOINV_BUILD_CODEC=require  fail if it cannot be built (CI and wheels)
MMOINV_BUILD_CODEC=skip     do not try
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

CHOICES = ("auto", "require", "skip")
choice = os.environ.get("MMOINV_BUILD_CODEC", "auto")
if choice not in CHOICES:
    sys.exit(f"MMOINV_BUILD_CODEC={choice!r} is not one of {', '.join(CHOICES)}.")


def extensions() -> list[Extension]:
    if choice == "skip":
        return []
    import numpy
    from Cython.Build import cythonize

    # The macros stay here: a "distutils:" comment in the .pyx would silently replace them.
    codec = Extension(
        "mmoinv._codec",
        ["src/mmoinv/_codec.pyx"],
        include_dirs=[numpy.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_1_25_API_VERSION"),
        ],
        extra_compile_args=["/O2"] if sys.platform == "win32" else ["-O3", "-funroll-loops"],
    )
    modules = cythonize(
        [codec], build_dir="build/cython", compiler_directives={"language_level": "3"}
    )
    for module in modules:
        # Set here, because cythonize() forgets it.
        module.optional = choice == "auto"
    return modules


class BuildPy(build_py):
    """Keeps the sources of the compiled codec out of wheels."""

    def find_data_files(self, package, src_dir):
        files = super().find_data_files(package, src_dir)
        return [name for name in files if not name.endswith((".pyx", ".c"))]


setup(ext_modules=extensions(), cmdclass={"build_py": BuildPy})
