"""The settings of a realm: from a TOML file, the environment and the command line.

The command line goes before the environment, that before the file, that before the defaults.
Which settings there are, their types, defaults, bounds and meanings are those of the dataclasses
that hold them. Knows no argparse, and starts nothing.
"""

import ast
import difflib
import inspect
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mmoinv.errors import ConfigurationError
from mmoinv.realm import DEFAULT_PORT, RealmLimits
from mmoinv.stores.addresses import HIDDEN, shown_url
from mmoinv.stores.settings import StoreSettings

LOG_LEVELS = ("debug", "info", "warning", "error")
DEFAULT = "default"
WANTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
SWITCHES = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
"""How a switch may stand in the environment."""
WIDTH = 98


@dataclass(frozen=True, slots=True)
class RealmConfig:
    """Everything that ``mmoinv realm`` can be told; `load` makes one."""

    host: str = "127.0.0.1"
    """The address to listen on; one that is not loopback wants TLS, or allow_plaintext."""
    port: int = DEFAULT_PORT
    """The port to listen on; 0: any free one."""
    tls_certificate: str = ""
    """The file of the realm's certificate, in PEM; with it, the realm speaks TLS 1.3."""
    tls_key: str = ""
    """The file of its private key."""
    tls_client_ca: str = ""
    """The file of the authorities that sign worlds' certificates; with it, worlds must show one."""
    allow_plaintext: bool = False
    """Whether to listen off loopback without TLS, where nobody is in between."""
    log_level: str = "info"
    """What is logged: debug, info, warning or error, and what is worse."""
    database: str = field(default="sqlite:///realm.db", repr=False)
    """Where the database is: sqlite:///realm.db is beside the working folder,
    sqlite:////var/lib/realm.db one from the root."""
    store: StoreSettings = field(default_factory=StoreSettings)
    limits: RealmLimits = field(default_factory=RealmLimits)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each value comes from, by its name as in ``limits.retry_s``: the file, the variable,
    ``command line``; what is not in it is the default."""

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be."""
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"port = {self.port}: 0 to 65535 is wanted")
        if self.log_level not in LOG_LEVELS:
            raise ConfigurationError(
                f"log_level = {self.log_level!r}: one of {', '.join(LOG_LEVELS)} is wanted"
            )
        self.store.check()
        self.limits.check()


class Setting(NamedTuple):
    """One key of the file: where it stands, what it may be, which field of what it fills."""

    section: str
    key: str
    field: "Field[Any]"
    owner: type

    @property
    def name(self) -> str:
        """As in ``limits.retry_s``."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """Its environment variable, as ``limits.retry_s`` has MMOINV_ + LIMITS_RETRY_S."""
        return f"MMOINV_{self.section}_{self.key}".upper()

    def of(self, config: RealmConfig) -> Any:
        """Its value."""
        holders = {StoreSettings: config.store, RealmLimits: config.limits}
        return getattr(holders.get(self.owner, config), self.field.name)


def _settings() -> Iterator[Setting]:
    own = {one.name: one for one in fields(RealmConfig) if one.type in WANTED}
    url = own.pop("database")
    for one in own.values():
        yield Setting("realm", one.name, one, RealmConfig)
    yield Setting("database", "url", url, RealmConfig)
    for section, owner in (("database", StoreSettings), ("limits", RealmLimits)):
        for one in fields(owner):
            yield Setting(section, one.name, one, owner)


SETTINGS = {setting.name: setting for setting in _settings()}
SECTIONS = list(dict.fromkeys(setting.section for setting in SETTINGS.values()))


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> RealmConfig:
    """The settings in force; `ConfigurationError` says what is wrong, and where it stands.

    ``environment``: that of the process if there is none. ``arguments``: what the command line
    says, by name (``realm.port``); None is not said.
    """
    found = _in_file(file) if file else {}
    found |= _in_environment(os.environ if environment is None else environment)
    for name, value in (arguments or {}).items():
        if value is not None:
            setting = SETTINGS[name]
            found[name] = _checked(setting, value, "command line"), "command line"
    config = _config(
        {name: value for name, (value, _) in found.items()},
        {name: source for name, (_, source) in found.items()},
    )
    config.check()
    # Not wrong where it stands, as long as something goes before it.
    if f":{HIDDEN}@" in config.database:
        raise ConfigurationError(
            f"{config.sources['database.url']}: [database] url = {shown_url(config.database)!r}: "
            f"{HIDDEN} is wanted as the password that it is; it was hidden when this was written"
        )
    return config


Found = dict[str, tuple[Any, str]]
"""Values with their sources, by name."""


def _in_file(file: Path) -> Found:
    try:
        text = file.read_bytes().decode()
        sections = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"the settings cannot be read from {file}: {error.strerror}"
        ) from None
    # tomllib raises more than its own error: for numbers, and for what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from None
    found: Found = {}
    for section, keys in sections.items():
        if not isinstance(keys, dict):
            homes = [one.section for one in SETTINGS.values() if one.key == section]
            hint = f"it belongs under [{homes[0]}]" if homes else _nearest(section, SECTIONS)
            raise ConfigurationError(f"{file}: {section!r} stands in no section: {hint}")
        if section not in SECTIONS:
            raise ConfigurationError(
                f"{file}: there is no section [{section}]: {_nearest(section, SECTIONS)}"
            )
        for key, raw in keys.items():
            setting = SETTINGS.get(f"{section}.{key}")
            if setting is None:
                known = [one.key for one in SETTINGS.values() if one.section == section]
                raise ConfigurationError(
                    f"{file}: [{section}] has no key {key!r}: {_nearest(key, known)}"
                )
            found[setting.name] = _checked(setting, raw, str(file)), str(file)
    return found


def _in_environment(environment: Mapping[str, str]) -> Found:
    variables = {setting.variable: setting for setting in SETTINGS.values()}
    prefixes = tuple(f"MMOINV_{section}_".upper() for section in SECTIONS)
    found: Found = {}
    for variable, text in environment.items():
        setting = variables.get(variable)
        if setting is None:
            if variable.startswith(prefixes):
                known = [one for one in variables if one.split("_")[1] == variable.split("_")[1]]
                raise ConfigurationError(
                    f"the environment variable {variable} is not known: {_nearest(variable, known)}"
                )
        # `NAME= command` is how a shell takes a variable back.
        elif text:
            found[setting.name] = _checked(setting, _number(setting, text), variable), variable
    return found


def _number(setting: Setting, text: str) -> Any:
    """A text of the environment as what the setting is; the text itself where it is not that."""
    kind: Any = setting.field.type
    if kind is bool:
        return SWITCHES.get(text.strip().lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _checked(setting: Setting, value: Any, source: str) -> Any:
    """The value, if the setting may have it."""
    where = f"{source}: [{setting.section}]"
    kind: Any = setting.field.type
    wanted, shown = WANTED[kind], ""
    if type(value) is int and not -(2**63) <= value < 2**63:
        # It need not be convertible to a float, nor to decimal digits.
        kind, shown = None, "a number of more than 64 bits"
    elif kind is float and type(value) is int:
        value = float(value)
    elif type(value) is str and re.search(r"[\ud800-\udfff]", value):
        # Bytes of the environment that are no text.
        kind = None
    if type(value) is not kind:
        shown = shown or shown_url(repr(value))
        shown = shown if len(shown) <= 60 else shown[:60] + "..."
        raise ConfigurationError(f"{where} {setting.key} = {shown}: {wanted} is wanted")
    try:
        # The others are the defaults, so it is this one that is wrong.
        _config({setting.name: value}, {}).check()
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} {error}") from None
    return value


def _config(values: Mapping[str, Any], sources: Mapping[str, str]) -> RealmConfig:
    filled: dict[type, dict[str, Any]] = {RealmConfig: {}, StoreSettings: {}, RealmLimits: {}}
    for name, value in values.items():
        setting = SETTINGS[name]
        filled[setting.owner][setting.field.name] = value
    return RealmConfig(
        **filled[RealmConfig],
        store=StoreSettings(**filled[StoreSettings]),
        limits=RealmLimits(**filled[RealmLimits]),
        sources=sources,
    )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def as_toml(config: RealmConfig) -> str:
    """A file that says the same, each key with its meaning and where its value comes from."""
    lines = [
        "# The settings of a realm. Saved as a file: mmoinv realm --config FILE",
        "# The command line goes before the environment, that before this file.",
    ]
    owners: tuple[type, ...] = (RealmConfig, StoreSettings, RealmLimits)
    meanings = {owner: _meanings(owner) for owner in owners}
    for section, settings in groupby(SETTINGS.values(), lambda setting: setting.section):
        lines += ["", f"[{section}]"]
        for setting in settings:
            source = config.sources.get(setting.name, DEFAULT)
            meaning = meanings[setting.owner].get(setting.field.name, setting.key)
            value = setting.of(config)
            note = f"{meaning} ({source})"
            if setting.name == "database.url" and shown_url(value) != value:
                value = shown_url(value)
                note += f" The password is not shown: write it in, or set {setting.variable}."
            lines += textwrap.wrap(
                note, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
            )
            lines.append(f"{setting.key} = {_as_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _as_toml_value(value: str | float) -> str:
    if isinstance(value, str):
        # A string of JSON is one of TOML, but for one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _meanings(owner: type) -> dict[str, str]:
    """The first sentence that stands below each field of a dataclass."""
    try:
        (declared,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except OSError:  # installed without sources
        return {}
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for one, behind in zip(declared.body, declared.body[1:], strict=False):
        match one, behind:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = re.split(r"(?<=\.)\s", " ".join(text.split()))[0]
    return found
