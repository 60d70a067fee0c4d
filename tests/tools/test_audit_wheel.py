"""The audit of what is published: that it refuses what must not be, and says the remedy."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from tools_of_ours import audit_wheel

RIGHT = "mmoinv-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
IN_SDIST = (
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "docs/a-tour.md",
    "examples/01_an_example.py",
    "pyproject.toml",
    "src/mmoinv/__init__.py",
    "src/mmoinv/_codec.pyi",
    "src/mmoinv/_codec.pyx",
    "src/mmoinv/inventory/sample_catalog.csv",
    "src/mmoinv/py.typed",
    "src/mmoinv/stores/schema.sql",
    "tests/codec/test_it.py",
)
IN_WHEEL = (
    "mmoinv/__init__.py",
    "mmoinv/_codec.cpython-311-x86_64-linux-gnu.so",
    "mmoinv/_codec.pyi",
    "mmoinv/inventory/sample_catalog.csv",
    "mmoinv/py.typed",
    "mmoinv/stores/schema.sql",
    "mmoinv-1.0.dist-info/METADATA",
)


def sdist(folder: Path, names: tuple[str, ...] = IN_SDIST) -> Path:
    path = folder / "mmoinv-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"mmoinv-1.0/{name}"), io.BytesIO())
    return path


def wheel(folder: Path, names: tuple[str, ...] = IN_WHEEL, name: str = RIGHT) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for entry in names:
            archive.writestr(entry, "")
    return path


def test_what_is_right_passes(tmp_path, capsys):
    sdist(tmp_path)
    wheel(tmp_path)
    assert audit_wheel.main([str(tmp_path), "--no-trial"]) == 0
    said = capsys.readouterr().out
    assert "manylinux_2_17_x86_64" in said
    assert "all is well" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ((*IN_WHEEL, "mmoinv/_codec.c"), "mmoinv/_codec.c"),
        ((*IN_WHEEL, "mmoinv/_codec.pyx"), "BuildPy in setup.py"),
        ((*IN_WHEEL, "tests/test_it.py"), "installs more than mmoinv: tests/test_it.py"),
        (tuple(name for name in IN_WHEEL if not name.endswith(".so")), "no compiled codec"),
        (tuple(name for name in IN_WHEEL if not name.endswith(".pyi")), "lacks mmoinv/_codec.pyi"),
        (tuple(name for name in IN_WHEEL if not name.endswith("typed")), "lacks mmoinv/py.typed"),
        (tuple(name for name in IN_WHEEL if not name.endswith(".sql")), "schema.sql"),
        (tuple(name for name in IN_WHEEL if not name.endswith(".csv")), "sample_catalog.csv"),
    ],
)
def test_wrong_contents_are_refused(changed, said, tmp_path, capsys):
    sdist(tmp_path)
    wheel(tmp_path, changed)
    assert audit_wheel.main([str(tmp_path), "--no-trial"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("audit: FAILED: mmoinv-1.0")
    assert said in error


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mmoinv-1.0-cp311-cp311-linux_x86_64.whl", "PyPI refuses"),
        ("mmoinv-1.0-cp311-cp311-manylinux_2_34_x86_64.whl", "needs manylinux_2_34"),
        ("mmoinv-1.0-py3-none-any.whl", "MMOINV_BUILD_CODEC=require"),
        ("mmoinv.whl", "no name of a wheel"),
    ],
)
def test_a_wrong_tag_is_refused(name, said):
    with pytest.raises(audit_wheel.AuditError, match=said):
        audit_wheel.check_tag(name)


@pytest.mark.parametrize(
    "platform",
    [
        "manylinux_2_28_aarch64",
        "manylinux1_x86_64.manylinux_2_5_x86_64",
        "musllinux_1_2_x86_64",
        "macosx_11_0_arm64",
        "win_amd64",
    ],
)
def test_a_right_tag_is_told(platform):
    name = f"mmoinv-1.0-cp314-cp314-{platform}.whl"
    assert platform.split(".")[0] in audit_wheel.check_tag(name)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ((*IN_SDIST, "src/mmoinv/_codec.c"), "holds what a build makes"),
        (tuple(name for name in IN_SDIST if not name.endswith(".pyx")), "lacks src/mmoinv/_codec"),
        (tuple(name for name in IN_SDIST if not name.startswith("tests")), "lacks tests/codec"),
        (tuple(name for name in IN_SDIST if not name.startswith("docs")), "lacks docs"),
        (tuple(name for name in IN_SDIST if not name.startswith("examples")), "lacks examples"),
        (tuple(name for name in IN_SDIST if name != "CONTRIBUTING.md"), "lacks CONTRIBUTING.md"),
    ],
)
def test_a_wrong_sdist_is_refused(changed, said, tmp_path):
    with pytest.raises(audit_wheel.AuditError, match=said):
        audit_wheel.check_sdist(sdist(tmp_path, changed))


def test_an_old_wheel_beside_the_new_sdist_is_no_sdist(tmp_path):
    wheel(tmp_path)
    with pytest.raises(audit_wheel.AuditError, match="0 sdists and 1 wheels"):
        audit_wheel.find(tmp_path)


def test_the_trial_takes_along_what_conftest_imports():
    tests = Path(__file__).parents[1]
    imported = {
        line.split()[1].partition(".")[0]
        for line in (tests / "conftest.py").read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    ours = {path.name for path in tests.iterdir() if path.name.partition(".")[0] in imported}
    assert {f"tests/{name}" for name in ours} <= set(audit_wheel.TESTS)
