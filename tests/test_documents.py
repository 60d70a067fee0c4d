"""The documents agree with each other and with the code: links, settings, their defaults."""

import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tours

from mmoinv.config import SETTINGS, RealmConfig, load
from mmoinv.loadtest import report, throughput
from mmoinv.migration import MigrationSettings
from mmoinv.realm import RealmLimits
from mmoinv.stores import StoreSettings
from mmoinv.stores.urls import STORES
from mmoinv.world import AutosaveSettings, RealmConnector

DOCUMENTS = sorted([*tours.ROOT.glob("*.md"), *(tours.ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"MMOINV_[A-Z_]+")


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```[ \t]*$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """What can stand behind # in a link to the document, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path):
    for link in LINK.findall(prose(document)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_document_is_linked_from_the_readme():
    linked = set(LINK.findall(prose(tours.ROOT / "README.md")))
    assert {f"docs/{path.name}" for path in (tours.ROOT / "docs").glob("*.md")} <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_is_there_is_not_said_to_be_missing(document: Path):
    _, _, missing = prose(document).lower().partition("\n## not there yet\n")
    there = [*STORES, "own rules for inventories", "older schema"]
    assert [name for name in there if name in missing] == []


def test_the_architecture_names_every_subcommand():
    files = {path.stem for path in (tours.ROOT / "src" / "mmoinv" / "cli").glob("[a-z]*.py")}
    rows = re.findall(
        r"^\| `cli/` \|.*\n(?:\| \|.*\n)*", prose(tours.ROOT / "ARCHITECTURE.md"), re.MULTILINE
    )
    assert files == set(re.findall(r"`(\w+)`", "".join(rows)))


def tuning_table(heading: str) -> dict[str, Any]:
    """The settings of all tables under that heading, with their defaults."""
    text = prose(tours.ROOT / "docs" / "tuning.md")
    found: dict[str, Any] = {}
    for table in re.findall(rf"^\| `{heading}` \|.*\n((?:\|.*\n)+)", text, re.MULTILINE):
        for name, default in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE):
            assert name not in found, name
            found[name] = eval(default, {})
    return found


def defaults(function: Any) -> dict[str, Any]:
    """The arguments of a function that have a default."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def test_tuning_has_every_key_of_a_realms_file():
    default = RealmConfig()
    for owner in (RealmConfig, StoreSettings, RealmLimits):
        assert tuning_table(owner.__name__) == {
            setting.key: setting.of(default)
            for setting in SETTINGS.values()
            if setting.owner is owner
        }


def test_tunings_example_of_a_file_is_one(tmp_path: Path):
    text = (tours.ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    found = re.search(r"^cat > realm.toml <<'EOF'\n(.*?)^EOF$", text, re.MULTILINE | re.DOTALL)
    assert found
    file = tmp_path / "realm.toml"
    file.write_text(found[1], encoding="utf-8")
    config = load(file, {})
    assert len(config.sources) == found[1].count(" = ") > 2
    # An example that says only what holds anyway shows nothing.
    assert config != RealmConfig()


def test_tuning_has_every_setting_of_the_connector():
    autosave = AutosaveSettings()
    assert tuning_table("AutosaveSettings") == {
        field.name: getattr(autosave, field.name) for field in fields(AutosaveSettings)
    }
    assert tuning_table("RealmConnector") == defaults(RealmConnector)
    assert tuning_table("MigrationSettings") == {
        field.name: field.default for field in fields(MigrationSettings)
    }


def test_tuning_has_every_variable():
    sources = [
        tours.ROOT / "setup.py",
        *tours.ROOT.glob("src/mmoinv/**/*.py"),
        *tours.ROOT.glob("benchmarks/*.py"),
    ]
    used = {name for path in sources for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    # A macro of the C compiler, for tests of free-threaded builds; CONTRIBUTING.md has it.
    used -= {"MMOINV_COPY_SHARED"}
    documented = set(VARIABLE.findall(prose(tours.ROOT / "docs" / "tuning.md")))
    # Those of single settings follow from a rule that is documented.
    settings = {setting.variable for setting in SETTINGS.values()}
    assert used <= documented <= used | settings


@pytest.mark.parametrize(
    "limit",
    [
        f"{report.RTT_LIMIT_MS:.0f} ms",
        f"{report.DATABASE_LIMIT_MS:.0f} ms",
        f"{report.SAVE_LIMIT_BYTES:,} bytes",
        f"{throughput.SAVES_PER_S_TARGETS['sqlite']:,}; "
        f"{throughput.RATIO_TARGETS['sqlite']:g} times",
        f"{throughput.SERVER_SAVES_PER_S_TARGET:,}; {throughput.SERVER_RATIO_TARGET:g} times",
        f"{throughput.WHOLE_SAVES_PER_S_TARGET:,}",
    ],
)
def test_figures_has_the_targets(limit: str):
    assert f"| {limit} |" in prose(tours.ROOT / "docs" / "figures.md")


def test_the_readmes_tour_prints_what_it_says(tmp_path: Path):
    text = (tours.ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## A tour.*?```python\n(.*?)```\s*```text\n(.*?)```", text, re.DOTALL)
    assert found
    done = subprocess.run(
        [sys.executable, "-c", found[1]],
        cwd=tmp_path,
        env={**os.environ, **tours.python_path()},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stdout, done.stderr) == (found[2], "")
