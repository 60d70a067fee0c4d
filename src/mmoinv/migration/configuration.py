"""``migration.toml``: what each side can hold, what is known to differ, when it is safe to go on.

Without a file the defaults hold, which are those of the C++ line. What is wrong in it is said with
its key. Reads a file and knows nothing of what is done with it.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from mmoinv.errors import ConfigurationError
from mmoinv.migration.comparison import (
    CLASSES,
    FIELDS,
    MONEY,
    NO_LIMITS,
    OLD_LIMITS,
    Comparer,
    DivergenceClass,
    KnownDifference,
    SideLimits,
)
from mmoinv.migration.modes import Side
from mmoinv.migration.thresholds import FinishThresholds, Thresholds
from mmoinv.records import U32_MAX, U64_MAX

SAMPLE = "sample.toml"
COMPARED = (*(name for name in FIELDS if name not in ("entry", "slot")), MONEY)
"""The fields that a side may hold in part or not at all."""
WANTED = {int: "a whole number", float: "a number", str: "text"}
Kind = TypeVar("Kind", Thresholds, FinishThresholds)


@dataclass(frozen=True)
class MigrationConfig:
    """What `load_config` makes of a file."""

    limits: Mapping[Side, SideLimits] = field(
        default_factory=lambda: {Side.LEGACY: OLD_LIMITS, Side.NEW: NO_LIMITS}
    )
    known: Sequence[KnownDifference] = ()
    to_primary: Thresholds = field(default_factory=Thresholds)
    to_new: Thresholds = field(default_factory=Thresholds)
    finish: FinishThresholds = field(default_factory=FinishThresholds)

    @property
    def comparer(self) -> Comparer:
        """How the two sides are compared."""
        return Comparer(self.limits, self.known)


def sample() -> str:
    """A file that says what holds without one, each key with its meaning."""
    return resources.files("mmoinv.migration").joinpath(SAMPLE).read_text(encoding="utf-8")


def load_config(path: str | Path | None = None) -> MigrationConfig:
    """What a file says, the defaults without one; `ConfigurationError` says what is wrong."""
    if path is None:
        return MigrationConfig()
    try:
        return config_of(tomllib.loads(Path(path).read_bytes().decode()))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration of the move cannot be read from {path}: {error.strerror}"
        ) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    # tomllib raises more than its own error: for numbers, and for what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None


def config_of(sections: Mapping[str, Any]) -> MigrationConfig:
    """The same of what was read already."""
    found = MigrationConfig()
    limits = dict(found.limits)
    for name, keys in sections.items():
        match name:
            case "known":
                found = replace(found, known=_known(keys))
            case "legacy" | "new":
                limits[Side(name)] = _limits(name, _table(name, keys), limits[Side(name)])
            case "to_primary":
                found = replace(found, to_primary=_filled(name, keys, found.to_primary))
            case "to_new":
                found = replace(found, to_new=_filled(name, keys, found.to_new))
            case "finish":
                found = replace(found, finish=_filled(name, keys, found.finish))
            case _:
                homes = ["legacy", "new", "known", "to_primary", "to_new", "finish"]
                raise ConfigurationError(f"there is no section [{name}]: {_nearest(name, homes)}")
    return replace(found, limits=limits)


def _limits(section: str, keys: Mapping[str, Any], usual: SideLimits) -> SideLimits:
    for key, value in keys.items():
        where = f"[{section}] {key}"
        if key == "largest":
            largest = {}
            for name, limit in _table(where, value).items():
                _check_field(where, name)
                largest[name] = _number(f"{where} {name}", limit, U64_MAX)
            usual = usual._replace(largest=largest)
        elif key == "not_kept":
            if not isinstance(value, list):
                raise ConfigurationError(f"{where} = {value!r}: a list of fields is wanted")
            for name in value:
                _check_field(where, name)
            usual = usual._replace(not_kept=frozenset(value))
        else:
            near = _nearest(key, ["largest", "not_kept"])
            raise ConfigurationError(f"[{section}] has no key {key!r}: {near}")
    return usual


def _check_field(where: str, name: Any) -> None:
    if name not in COMPARED:
        raise ConfigurationError(
            f"{where}: {name!r} is no field that can be left out or cut: "
            f"{_nearest(str(name), COMPARED)}"
        )


def _known(listed: Any) -> list[KnownDifference]:
    if not isinstance(listed, list):
        raise ConfigurationError("known: each known difference stands under its own [[known]]")
    known = []
    for place, keys in enumerate(listed, 1):
        where = f"[[known]] number {place}"
        names = ["class", "field", "entry", "character", "reason"]
        if wrong := [key for key in _table(where, keys) if key not in names]:
            raise ConfigurationError(
                f"{where} has no key {wrong[0]!r}: {_nearest(wrong[0], names)}"
            )
        if not isinstance(keys.get("reason"), str) or not keys["reason"].strip():
            raise ConfigurationError(f"{where}: reason = a text that says why it is expected")
        if len(keys) == 1:
            raise ConfigurationError(
                f"{where} would hide every difference: say class, field, entry or character too"
            )
        kind, name = keys.get("class"), keys.get("field")
        if kind is not None and kind not in CLASSES:
            raise ConfigurationError(
                f"{where} class = {kind!r}: {_nearest(str(kind), list(CLASSES))}"
            )
        if name is not None and name not in (*FIELDS, MONEY):
            near = _nearest(str(name), (*FIELDS, MONEY))
            raise ConfigurationError(f"{where} field = {name!r}: {near}")
        known.append(
            KnownDifference(
                keys["reason"].strip(),
                None if kind is None else DivergenceClass(kind),
                name,
                *(
                    None if name not in keys else _number(f"{where} {name}", keys[name], limit)
                    for name, limit in (("entry", U32_MAX), ("character", U64_MAX))
                ),
            )
        )
    return known


def _filled(section: str, keys: Any, usual: Kind) -> Kind:
    """The thresholds with what the section says."""
    kinds: dict[str, Any] = {one.name: one.type for one in fields(usual)}
    changed: dict[str, Any] = {}
    for key, value in _table(section, keys).items():
        if key not in kinds:
            raise ConfigurationError(
                f"[{section}] has no key {key!r}: {_nearest(key, list(kinds))}"
            )
        kind = kinds[key]
        if kind is float and type(value) is int and abs(value) < 2**63:
            value = float(value)
        if type(value) is not kind:
            raise ConfigurationError(f"[{section}] {key} = {value!r}: {WANTED[kind]} is wanted")
        changed[key] = value
    filled = replace(usual, **changed)
    try:
        filled.check()
    except ConfigurationError as error:
        raise ConfigurationError(f"[{section}] {error}") from None
    return filled


def _number(where: str, value: Any, limit: int) -> int:
    """A whole number, also as a text: TOML's own end at 2^63, guids do not."""
    number = value
    if isinstance(value, str):
        try:
            number = int(value, 0)
        except ValueError:
            number = None
    if type(number) is not int or not 0 <= number <= limit:
        raise ConfigurationError(f"{where} = {value!r}: a whole number in 0..{limit} is wanted")
    return number


def _table(section: str, keys: Any) -> Mapping[str, Any]:
    if not isinstance(keys, dict):
        raise ConfigurationError(f"{section} = {keys!r}: it is a section, its keys stand below it")
    return keys


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
