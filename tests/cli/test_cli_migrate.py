"""``mmoinv migrate`` as it is typed: status, report, mode, config and finish."""

import json
import sys
import time
from pathlib import Path

import pytest

from mmoinv.cli import main
from mmoinv.migration.book import BookEntry, FileBook
from mmoinv.migration.evidence import Evidence
from mmoinv.migration.modes import MigrationMode, Side
from mmoinv.migration.rules import ModeRule, Rules, read_rules
from mmoinv.records import InventoryItemData, batch_of

SHADOW = MigrationMode.SHADOW
SWORD = InventoryItemData(25, 0xFF0F, durability=40)
LOOSE = """
[to_primary]
min_compared = 1
min_hours = 1
[to_new]
over_last_h = 1
min_compared = 1
min_hours = 1
[finish]
quiet_h = 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def world(name: str, is_equal: bool = True, hours_ago: float = 0.0, uses=()) -> None:
    """The evidence of a world."""
    with Evidence(name, now_s=lambda: time.time() - hours_ago * 3600) as evidence:
        found = batch_of(SWORD if is_equal else SWORD._replace(durability=39))
        evidence.committed(7, SHADOW, Side.LEGACY, 1)
        evidence.compared(7, SHADOW, Side.LEGACY, "commit", 1, batch_of(SWORD), found, {}, {})
        for side in uses:
            evidence.used(7, side)


def migrate(*arguments: str) -> int:
    return main(["migrate", *arguments])


@pytest.mark.parametrize("action", [[], ["status"], ["report"], ["mode"], ["config"], ["finish"]])
def test_help_teaches(action, capsys):
    with pytest.raises(SystemExit) as caught:
        migrate(*action, "--help")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "example" in said
    assert "mmoinv migrate" in said


def test_status(capsys):
    world("a")
    world("b", is_equal=False)
    assert migrate("status", "a", "b") == 0
    said = capsys.readouterr().out
    assert said.startswith("2 files of evidence, ")
    assert "shadow -> primary: NOT YET" in said
    assert said.endswith("known differences: the defaults, there is no migration.toml here\n")
    assert migrate("status", "a", "b", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["modes"]["shadow"]["compared"] == 2
    assert "examples" not in values


def test_the_exit_code_says_whether_it_is_safe(folder, capsys):
    world("a")
    assert migrate("status", "a", "--check", "primary") == 1
    (folder / "migration.toml").write_text(LOOSE)
    assert migrate("status", "a", "--check", "primary") == 0
    assert "known differences: migration.toml\n" in capsys.readouterr().out
    assert migrate("report", "a", "--check", "new") == 1
    world("b", is_equal=False)
    assert migrate("report", "a", "b", "--check", "primary", "--json") == 1


def test_report_with_a_page(folder, capsys):
    world("a", is_equal=False)
    assert migrate("report", "a", "--html", "page.html") == 0
    output = capsys.readouterr()
    assert "new has     durability 39" in output.out
    assert "the page is in page.html" in output.err
    assert "<td>field durability</td>" in (folder / "page.html").read_text()
    assert migrate("report", "a", "--html", "no/folder/page.html") == 1
    assert "the page cannot be written to no/folder/page.html" in capsys.readouterr().err


def test_a_page_needs_plotly(capsys, monkeypatch):
    world("a")
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert migrate("report", "a", "--html", "page.html") == 2
    assert "pip install 'mmoinv[report]'" in capsys.readouterr().err
    assert migrate("report", "a") == 0


def test_since(capsys):
    world("a", is_equal=False, hours_ago=5)
    since = str(int(time.time()) - 3600)
    assert migrate("report", "a", "--since", since, "--json") == 0
    assert json.loads(capsys.readouterr().out)["examples"] == []
    assert migrate("report", "a", "--since", "2020-01-01", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["examples"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "nothing"], "there is no evidence at nothing"),
        (["status", "."], "there is no evidence at ."),
        (["report", "e", "--since", "soon"], "--since 'soon' is no time"),
        (["status", "e", "--config", "wrong.toml"], "wrong.toml: there is no section [nothing]"),
        (["config", "wrong.toml"], "wrong.toml: there is no section [nothing]"),
        (["mode"], "there is no file of mode rules"),
        (["mode", "--share", "0.5"], "say which mode"),
        (["mode", "shadow", "--share", "2"], "share"),
        (["mode", "shadow", "--book", "nothing"], "there is no book at nothing"),
        (["finish", "e", "--book", "nothing"], "there is no book at nothing"),
    ],
)
def test_what_is_refused(folder, refusal, arguments, said):
    world("e")
    (folder / "wrong.toml").write_text("[nothing]\n")
    assert said in refusal(["migrate", *arguments])


def test_a_config_that_cannot_be_read_is_exit_code_1(capsys):
    assert migrate("config", "nothing.toml") == 1
    assert "cannot be read from nothing.toml" in capsys.readouterr().err


def test_config(folder, capsys):
    assert migrate("config") == 0
    (folder / "mine.toml").write_text(capsys.readouterr().out)
    assert migrate("config", "mine.toml") == 0
    assert "nothing is wrong, 0 known differences" in capsys.readouterr().out


def test_modes(folder, capsys):
    rules = folder / "modes.toml"
    assert migrate("mode", "shadow", "--share", "0.25") == 0
    assert migrate("mode", "primary", "--characters", "7", "0x10") == 0
    assert migrate("mode", "new", "--predicate", "is_a_tester") == 0
    assert "register the predicate 'is_a_tester'" in capsys.readouterr().out
    assert read_rules(rules) == Rules(
        rules=(
            ModeRule(MigrationMode.NEW, predicate="is_a_tester"),
            ModeRule(MigrationMode.PRIMARY, frozenset([7, 16])),
            ModeRule(SHADOW, share=0.25),
        )
    )
    assert migrate("mode") == 0
    assert capsys.readouterr().out.splitlines() == [
        "modes.toml: the first rule that a character is in counts",
        "  1. new      whom the predicate 'is_a_tester' says",
        "  2. primary  characters 7, 16",
        "  3. shadow   a share of 0.25",
        "     legacy   everybody else",
    ]
    assert migrate("mode", "legacy") == 0
    assert read_rules(rules) == Rules()


def test_modes_of_another_file_and_the_book(folder, capsys):
    book = FileBook(folder / "book")
    book.put({7: BookEntry(MigrationMode.PRIMARY, False)})
    book.close()
    assert migrate("mode", "shadow", "--rules", "mine.toml", "--book", "book") == 0
    assert read_rules(folder / "mine.toml") == Rules(default=SHADOW)
    said = capsys.readouterr().out
    assert (
        "in book: 0 legacy, 0 shadow, 1 primary, 0 new; whoever is not in it is in legacy" in said
    )


def test_finish(folder, capsys):
    (folder / "migration.toml").write_text(LOOSE)
    world("a", hours_ago=50, uses=[Side.LEGACY])
    book = FileBook(folder / "book")
    book.put({7: BookEntry(SHADOW, False)})
    book.close()
    migrate("mode", "shadow")
    before = (folder / "modes.toml").read_text()
    assert migrate("finish", "a", "--book", "book") == 1
    said = capsys.readouterr().out
    assert "The old path cannot be cleared away yet:" in said
    assert "the old side still decides for 1 character: 7" in said
    assert said.endswith("Nothing was changed.\n")
    world("b", uses=[Side.NEW])
    assert migrate("finish", "a", "b", "--book", "book", "--imported", "--dry-run") == 0
    assert "A dry run: nothing was changed." in capsys.readouterr().out
    assert (folder / "modes.toml").read_text() == before
    assert migrate("finish", "a", "b", "--book", "book", "--imported") == 0
    said = capsys.readouterr().out
    assert said.startswith("modes.toml says 'new' for everybody now.\n")
    assert "  5. the files of the move: a, b, modes.toml, book\n" in said
    assert read_rules(folder / "modes.toml") == Rules(default=MigrationMode.NEW)
    book = FileBook(folder / "book")
    assert book.read(7).mode is MigrationMode.NEW
    book.close()
