"""A realm's settings: who goes before whom, what is refused and how, and that none is left out."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.cli import main
from mmoinv.config import SETTINGS, WANTED, RealmConfig, Setting, as_toml, load
from mmoinv.errors import ConfigurationError
from mmoinv.realm import RealmLimits, RealmServer
from mmoinv.stores import StoreSettings
from mmoinv.stores.addresses import shown_url

LIMIT_KEYS = [one.name for one in fields(RealmLimits)]
STORE_KEYS = [one.name for one in fields(StoreSettings)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "realm.toml"


def refused(file: Path, text: str, **environment: str) -> str:
    """What is said of such a file and environment."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(file, environment)
    return str(caught.value)


def test_without_anything_all_is_default():
    config = load(environment={})
    assert config == RealmConfig()
    assert config.limits == RealmLimits()
    assert config.store == StoreSettings()
    assert config.sources == {}


def test_there_is_a_key_for_every_field():
    assert list(SETTINGS) == [
        *("realm.host", "realm.port", "realm.tls_certificate", "realm.tls_key"),
        *("realm.tls_client_ca", "realm.allow_plaintext", "realm.log_level", "database.url"),
        *(f"database.{name}" for name in STORE_KEYS),
        *(f"limits.{name}" for name in LIMIT_KEYS),
    ]
    # A field of another type would need a way to be written.
    assert {setting.field.type for setting in SETTINGS.values()} <= set(WANTED)
    assert SETTINGS["database.lock_timeout_s"].variable == "MMOINV_DATABASE_LOCK_TIMEOUT_S"


def test_every_key_fills_its_field(file: Path):
    """Each with a value of its own, in the file, and so in the field of that name."""
    values: dict[str, Any] = {}
    for number, setting in enumerate(SETTINGS.values(), 61):
        kind: Any = setting.field.type
        values[setting.name] = "debug" if kind is str else kind(number)
    values["limits.gather_s"] = 0.5
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    file.write_text("\n".join(lines))
    config = load(file, {})
    assert (config.host, config.port, config.log_level) == ("debug", 62, "debug")
    assert config.database == "debug"
    for name in LIMIT_KEYS:
        assert getattr(config.limits, name) == values[f"limits.{name}"]
    for name in STORE_KEYS:
        assert getattr(config.store, name) == values[f"database.{name}"]
    assert set(config.sources.values()) == {str(file)}
    assert load(file, {}, {"realm.port": None}) == config


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Values that the setting may have."""
    if setting.name == "realm.log_level":
        return st.sampled_from(["debug", "info", "warning", "error"])
    kind: Any = setting.field.type
    if kind is str:
        # Neither a NUL nor nothing can be in a variable; a lone surrogate is no text.
        text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
        return text.filter(lambda one: one and shown_url(one) == one)
    if kind is int:
        return st.integers(1, 1000)
    if setting.key in ("keep_operations_s", "keep_ledger_s"):
        return st.floats(60, 1e9)
    if setting.field.type is bool:
        return st.booleans()
    return st.floats(0.001, 10)


@st.composite
def layers(draw: st.DrawFn) -> dict[str, list[Any]]:
    """What file, environment and command line say of some settings; None: nothing."""
    names = draw(st.lists(st.sampled_from(list(SETTINGS)), unique=True))
    three = {name: [st.none() | values_of(SETTINGS[name])] * 3 for name in names}
    return {name: [draw(one) for one in some] for name, some in three.items()}


@given(layers())
def test_the_command_line_goes_before_the_environment_before_the_file(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, list[Any]]
):
    file = tmp_path_factory.mktemp("layers") / "realm.toml"
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, (value, _, _) in said.items()
        if value is not None
    ]
    file.write_bytes("".join(lines).replace("\x7f", "\\u007f").encode())
    config = load(
        file,
        {
            SETTINGS[name].variable: str(environment)
            for name, (_, environment, _) in said.items()
            if environment is not None
        },
        {name: argument for name, (_, _, argument) in said.items()},
    )
    for name, setting in SETTINGS.items():
        where = [str(file), setting.variable, "command line"]
        candidates = zip(said.get(name, []), where, strict=False)
        stated = [(value, source) for value, source in candidates if value is not None]
        default = setting.of(RealmConfig()), "default"
        assert (setting.of(config), config.sources.get(name, "default")) == (
            stated[-1] if stated else default
        )
    again = file.with_name("again.toml")
    again.write_bytes(as_toml(config).encode())
    assert load(again, {}) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nmax_group_operation = 1", ["[limits]", "mean max_group_operations?"]),
        ("[limits]\nport = 1", ["[limits]", "'port'", *LIMIT_KEYS]),
        ("[database]\nlock_timeout = 1", ["[database]", "mean lock_timeout_s?"]),
        ("[limit]\ngather_s = 1", ["[limit]", "mean limits?"]),
        ("[web]\nport = 1", ["[web]", "realm, database, limits"]),
        ("port = 1", ["'port' stands in no section", "[realm]"]),
        ("realm = 1", ["'realm' stands in no section"]),
        ("[[realm]]\nport = 1", ["'realm' stands in no section"]),
        ("[realm]\nport = '1'", ["[realm] port = '1'", "whole number"]),
        ("[realm]\nport = 1.0", ["[realm] port = 1.0", "whole number"]),
        ("[realm]\nport = true", ["[realm] port = True", "whole number"]),
        ("[realm]\nport = 65536", ["[realm] port = 65536", "0 to 65535"]),
        ("[realm]\nhost = 127", ["[realm] host = 127", "text"]),
        ("[realm]\nlog_level = 'loud'", ["[realm] log_level = 'loud'", "debug, info"]),
        ("[limits]\ngather_s = 'x'", ["[limits] gather_s = 'x'", "a number"]),
        ("[limits]\ngather_s = nan", ["[limits] gather_s = nan", "0.0 to 10.0"]),
        ("[limits]\nretry_s = inf", ["[limits] retry_s = inf", "to 86,400"]),
        ("[limits]\nretry_s = -1", ["[limits] retry_s = -1.0", "to 86,400"]),
        pytest.param("limits.retry_s = 1" + "0" * 400, ["more than 64", "a number"], id="huge"),
        pytest.param("realm.port = 0x" + "f" * 9000, ["more than 64", "whole"], id="hex"),
        ("[limits]\nmax_group_items = 0", ["[limits] max_group_items = 0", "1 to"]),
        ("[database]\ncached_characters = -1", ["[database] cached_characters = -1", "0 to"]),
        ("[database]\nurl = ['postgresql://u:secret@h']", ["[database] url", "text"]),
        ("[database]\nurl = 'postgresql://u:***@h/x'", ["[database] url", "password"]),
        ("[realm]\nport = \nhost = 1", ["is not TOML", "line 2"]),
        ("[realm]\nport = 1\nport = 2", ["is not TOML"]),
        pytest.param("[realm]\nport = " + "[" * 50_000, ["is not TOML"], id="deep"),
        pytest.param("[realm]\nport = " + "9" * 5000, ["is not TOML"], id="long"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(file: Path, text: str, said: list[str]):
    message = refused(file, text)
    assert str(file) in message
    for part in said:
        assert part in message
    assert "secret" not in message
    assert len(message) < 600


def test_a_file_that_cannot_be_read(file: Path, tmp_path: Path):
    for path in (file, tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            load(path, {})
        assert str(path) in str(caught.value)
    file.write_bytes(b"[realm]\nhost = '\xff'")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(file, {})


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("MMOINV_REALM_PORT", "many", "[realm] port = 'many': a whole number"),
        ("MMOINV_REALM_PORT", "-1", "[realm] port = -1: 0 to 65535"),
        ("MMOINV_REALM_HOST", "\udcff", "[realm] host = '\\udcff': text"),
        ("MMOINV_LIMITS_RETRY_S", "nan", "[limits] retry_s = nan"),
        ("MMOINV_LIMITS_RETRY", "1", "mean MMOINV_LIMITS_RETRY_S?"),
        ("MMOINV_DATABASE_URI", "x", "mean MMOINV_DATABASE_URL?"),
        ("MMOINV_DATABASE_PASSWORD", "secret", "MMOINV_DATABASE_URL"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(variable: str, text: str, said: str):
    with pytest.raises(ConfigurationError) as caught:
        load(environment={variable: text})
    assert variable in str(caught.value)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_wrong_on_the_command_line_is_named():
    with pytest.raises(ConfigurationError, match=r"^command line: \[realm\] port = 70000"):
        load(environment={}, arguments={"realm.port": 70000})


def test_variables_of_others_and_empty_ones_do_no_harm():
    environment = {"MMOINV_CODEC": "python", "REALM_PORT": "x", "MMOINV_REALM_PORT": ""}
    assert load(environment=environment) == RealmConfig()


def test_what_is_wrong_in_the_file_stays_wrong_if_the_environment_goes_before_it(file: Path):
    assert str(file) in refused(file, "[realm]\nport = -1", MMOINV_REALM_PORT="1")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///realm.db", "sqlite:///realm.db"),
        ("sqlite:////var/a:b@c.db", "sqlite:////var/a:b@c.db"),
        ("postgresql://realm@host:5432/db", "postgresql://realm@host:5432/db"),
        ("postgresql://realm:secret@host:5432/db", "postgresql://realm:***@host:5432/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://realm:sec/r@e?t@host/db", "postgresql://realm:***@host/db"),
        ("mysql://host/db?user=u&password=secret&x=1", "mysql://host/db?user=u&password=***&x=1"),
    ],
)
def test_passwords_are_not_shown(file: Path, url: str, shown: str):
    assert shown_url(url) == shown
    config = load(environment={"MMOINV_DATABASE_URL": url})
    assert config.database == url
    assert "secret" not in repr(config)
    text = as_toml(config)
    assert f'url = "{shown}"' in text
    assert ("The password is not shown" in text) == (url != shown)


def test_a_file_with_a_hidden_password_wants_it_from_elsewhere(file: Path):
    url = "postgresql://realm:secret@host/db"
    file.write_text(as_toml(load(environment={"MMOINV_DATABASE_URL": url})))
    assert load(file, {"MMOINV_DATABASE_URL": url}).database == url
    with pytest.raises(ConfigurationError, match="hidden"):
        load(file, {})


def test_every_key_is_shown_with_its_meaning():
    lines = as_toml(RealmConfig()).splitlines()
    for setting in SETTINGS.values():
        at = next(n for n, line in enumerate(lines) if line.startswith(f"{setting.key} = "))
        # A field without a docstring has nothing but its own name to say.
        assert lines[at - 1].startswith("# ")
        assert f"# {setting.key} (" not in lines[at - 1]
        assert lines[at - 1].endswith("(default)")
    assert max(map(len, lines)) <= 100


def test_limits_are_checked_where_they_are_used(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    with pytest.raises(ConfigurationError, match="max_group_items = 0"):
        RealmServer(url, port=0, limits=RealmLimits(max_group_items=0))
    with pytest.raises(ConfigurationError, match="lock_timeout_s = 0"):
        RealmServer(url, port=0, store_settings=StoreSettings(lock_timeout_s=0.0))


def test_the_help_has_the_defaults(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["realm", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    default = RealmConfig()
    for value in (default.host, default.port, default.log_level):
        assert f"default: {value}" in said
    assert f"else {default.database})" in said


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch):
    for name in os.environ:
        if name.startswith(("MMOINV_REALM_", "MMOINV_DATABASE_", "MMOINV_LIMITS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MMOINV_LIMITS_MAX_GROUP_OPERATIONS", "32_0")
    config = load()
    assert config.limits.max_group_operations == 320
    assert config.sources == {"limits.max_group_operations": "MMOINV_LIMITS_MAX_GROUP_OPERATIONS"}
