"""Which wheels are built: the comparison can fail, in both directions."""

import tomllib

import pytest
from tools_of_ours import TOOLS, build_identifiers

PROJECT = tomllib.loads((TOOLS.parent / "pyproject.toml").read_text("utf-8"))["project"]


def test_every_python_of_the_classifiers_is_wanted_and_no_32_bit():
    wanted = build_identifiers.wanted(PROJECT)
    assert {name.partition("-")[0] for name in wanted} == {"cp311", "cp312", "cp313", "cp314"}
    assert not any(name.endswith(("i686", "win32", "armv7l")) for name in wanted)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"cp311-win_amd64"}, ""),
        (set(), "cp311-win_amd64 is wanted, but would not be built"),
        ({"cp311-win_amd64", "cp311-win32"}, "cp311-win32 would be built, but is not wanted"),
    ],
)
def test_what_differs_is_said(found, said):
    complaint = build_identifiers.compare(found, {"cp311-win_amd64"})
    assert said in complaint
    assert bool(complaint) == bool(said)


def test_what_cibuildwheel_says(tmp_path):
    pytest.importorskip("cibuildwheel", reason="make lint installs it")
    (tmp_path / "pyproject.toml").write_text('[tool.cibuildwheel]\nbuild = "cp313-win*"\n')
    assert build_identifiers.built("windows", tmp_path) == [
        "cp313-win32",
        "cp313-win_amd64",
        "cp313-win_arm64",
    ]
