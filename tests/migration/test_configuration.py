"""The configuration of a move: its sample is the defaults; what is wrong is named by its key."""

import re
import tomllib
from dataclasses import fields

import pytest
import tours

from mmoinv.errors import ConfigurationError
from mmoinv.migration.comparison import CLASSES, OLD_LIMITS, DivergenceClass, KnownDifference
from mmoinv.migration.configuration import MigrationConfig, config_of, load_config, sample
from mmoinv.migration.modes import Side
from mmoinv.migration.thresholds import FinishThresholds, Thresholds


def read(text: str) -> MigrationConfig:
    return config_of(tomllib.loads(text))


def test_the_sample_says_what_holds_anyway():
    assert read(sample()) == MigrationConfig()
    for section, owner in (("to_primary", Thresholds), ("finish", FinishThresholds)):
        assert list(tomllib.loads(sample())[section]) == [one.name for one in fields(owner)]


def test_the_samples_known_difference_is_one():
    (lines,) = [part for part in sample().split("\n#\n") if "[[known]]\n# class" in part]
    example = "\n".join(line.removeprefix("# ") for line in lines.split("\n\n")[0].splitlines())
    (known,) = read(example).known
    assert known.character_guid == 0x10000002A
    assert known.kind is DivergenceClass.FIELD


def documented(heading: str) -> dict[str, str]:
    """The first two columns of a table of the document."""
    text = (tours.ROOT / "docs" / "migration-evidence.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {heading} \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", found[1], re.MULTILINE))


def test_the_document_has_every_threshold_and_class():
    default = Thresholds()
    assert {key: float(value) for key, value in documented("key").items()} == {
        one.name: getattr(default, one.name) for one in fields(Thresholds)
    }
    assert list(documented("class")) == list(CLASSES)


def test_without_a_file_the_defaults_hold():
    assert load_config() == MigrationConfig()
    assert load_config().limits[Side.LEGACY] == OLD_LIMITS


def test_a_file(tmp_path):
    file = tmp_path / "migration.toml"
    file.write_text(
        """
        [legacy]
        largest = { money = 4294967295, stack_count = "0xFF" }
        not_kept = ["item_guid", "money"]
        [[known]]
        class = "missing"
        character = "18446744073709551615"
        reason = " gone before "
        [[known]]
        field = "item_flags"
        reason = "run time bits"
        [to_new]
        max_field_share = 1
        over_last_h = 5
        min_hours = 2
        [finish]
        quiet_h = 0.5
        """
    )
    config = load_config(file)
    assert config.limits[Side.LEGACY].largest == {"money": 2**32 - 1, "stack_count": 255}
    assert config.limits[Side.LEGACY].not_kept == {"item_guid", "money"}
    assert config.known == [
        KnownDifference("gone before", DivergenceClass.MISSING, character_guid=2**64 - 1),
        KnownDifference("run time bits", field="item_flags"),
    ]
    assert config.to_new == Thresholds(max_field_share=1.0, over_last_h=5.0, min_hours=2)
    assert config.to_primary == Thresholds()
    assert config.finish.quiet_h == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[to_primry]", "[to_primry]: did you mean to_primary?"),
        ("[to_primary]\nmin_compard = 1", "'min_compard': did you mean min_compared?"),
        ("[to_primary]\nmin_compared = 1.5", "[to_primary] min_compared = 1.5: a whole number"),
        ("[to_primary]\nmin_compared = true", "min_compared = True: a whole number"),
        ("[to_new]\nmax_field_share = 2.0", "[to_new] max_field_share = 2.0: a share is 0 to 1"),
        ("[to_new]\nmax_behind = -1", "[to_new] max_behind = -1: 0 or more"),
        ("[to_new]\nover_last_h = nan", "[to_new] over_last_h = nan: 0 or more"),
        ("[to_new]\nover_last_h = 3", "[to_new] min_hours = 24: in over_last_h = 3 hours"),
        ("[finish]\nquiet_h = '1'", "[finish] quiet_h = '1': a number is wanted"),
        ("[finish]\nquiet_h = inf", "[finish] quiet_h = inf: 0 or more"),
        ("finish = 3", "finish = 3: it is a section"),
        ("[legacy]\nnot_kept = 'x'", "[legacy] not_kept = 'x': a list"),
        ("[legacy]\nnot_kept = ['entry']", "[legacy] not_kept: 'entry' is no field that can be"),
        ("[new]\nlargest = {stackcount = 1}", "'stackcount' is no field that can be left out or"),
        ("[new]\nlargest = {stack_count = -1}", "[new] largest stack_count = -1: a whole number"),
        ("[legacy]\nkept = []", "[legacy] has no key 'kept'"),
        ("known = 3", "known: each known difference stands under its own [[known]]"),
        ("[[known]]\nclass = 'field'", "[[known]] number 1: reason = "),
        ("[[known]]\nreason = 'x'", "[[known]] number 1 would hide every difference"),
        ("[[known]]\nreason = 'x'\nclass = 'mising'", "did you mean missing?"),
        ("[[known]]\nreason = 'x'\nfield = 'durabilty'", "did you mean durability?"),
        ("[[known]]\nreason = 'x'\nentry = 4294967296", "entry = 4294967296: a whole number in"),
        ("[[known]]\nreason = 'x'\ncharacter = 'x'", "[[known]] number 1 character = 'x'"),
        ("[[known]]\nreason = 'x'\nslot = 1", "[[known]] number 1 has no key 'slot'"),
    ],
)
def test_what_is_wrong_is_named(text, said):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [b"x = [", b"\xff\xfe", b"[a]\n[a]", b"x = " + b"[" * 2000])
def test_what_is_no_toml(tmp_path, content):
    file = tmp_path / "migration.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"migration.toml is not TOML"):
        load_config(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot be read from .*/none.toml: No such file"):
        load_config(tmp_path / "none.toml")


def test_the_file_is_named_with_what_is_wrong_in_it(tmp_path):
    file = tmp_path / "migration.toml"
    file.write_text("[finish]\nquiet = 3")
    with pytest.raises(ConfigurationError, match=r"migration.toml: \[finish\] has no key 'quiet'"):
        load_config(file)
