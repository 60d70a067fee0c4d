"""Which mode a character is to be in: rules in order, in a small file that may change at any time.

::

    default = "legacy"

    [[rule]]                    # the first rule that a character is in counts
    mode = "primary"
    characters = [7, 8]

    [[rule]]
    mode = "shadow"
    share = 0.1                 # a tenth of all characters, always the same ones

    [[rule]]
    mode = "legacy"
    predicate = "in_a_raid"     # a function that the world registers under this name

Who is in at a share of 0.1 is in at 0.2 as well: the share goes by a fixed hash of the guid, which
is the same in every process and every version. Knows no repository; what a character is *really*
in is in the book.
"""

import logging
import os
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmoinv.errors import ConfigurationError
from mmoinv.migration.modes import MigrationMode
from mmoinv.records import U64_MAX

log = logging.getLogger("mmoinv.migration")

Predicate = Callable[[int], bool]
"""Whether the character of a guid is meant. Called in the game's thread: it must be quick."""

LOOK_EVERY_S = 1.0
"""How often it is looked whether the file has changed, at most."""


@dataclass(frozen=True)
class ModeRule:
    """One rule: exactly one of ``characters``, ``share`` (0..1) and ``predicate`` says for whom
    ``mode`` is. `ConfigurationError` if it is not exactly one, or out of its range."""

    mode: MigrationMode
    characters: frozenset[int] | None = None
    share: float | None = None
    predicate: str | None = None

    def __post_init__(self) -> None:
        given = [self.characters is not None, self.share is not None, self.predicate is not None]
        if sum(given) != 1:
            raise ConfigurationError(
                f"the rule for mode {self.mode.value!r} has {sum(given)} of characters, share and "
                "predicate: give exactly one"
            )
        if self.share is not None and not 0 <= self.share <= 1:
            raise ConfigurationError(
                f"the rule for mode {self.mode.value!r} has the share {self.share:g}: it is 0 to 1"
            )
        for guid in self.characters or ():
            if not 0 <= guid <= U64_MAX:
                raise ConfigurationError(
                    f"the rule for mode {self.mode.value!r} names character {guid}: a guid is "
                    "0..2**64-1"
                )


@dataclass(frozen=True)
class Rules:
    """What a file of rules says: the rules in order, and the mode of who is in none of them."""

    default: MigrationMode = MigrationMode.LEGACY
    rules: tuple[ModeRule, ...] = ()

    def with_rule(self, rule: ModeRule) -> "Rules":
        """The same with ``rule`` before all others; an older rule of the same kind for the same
        mode (share) or of the same name (predicate) is replaced, and characters that it names
        leave the older lists."""
        kept: list[ModeRule] = []
        for older in self.rules:
            if rule.characters is not None and older.characters is not None:
                rest = older.characters - rule.characters
                if rest:
                    kept.append(replace(older, characters=rest))
            elif not (
                (rule.share is not None and older.share is not None and rule.mode is older.mode)
                or (rule.predicate is not None and rule.predicate == older.predicate)
            ):
                kept.append(older)
        return replace(self, rules=(rule, *kept))


def share_of(character_guid: int) -> float:
    """Where a character lies between 0 and 1 (never 1): it is in every share above that.

    The mix of splitmix64, so that guids in a row fall evenly. It must never change.
    """
    mixed = (character_guid + 0x9E37_79B9_7F4A_7C15) & U64_MAX
    mixed = ((mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9) & U64_MAX
    mixed = ((mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB) & U64_MAX
    return float(((mixed ^ mixed >> 31) >> 11) / 2**53)


class ModeRules:
    """The rules in force. Any thread may ask.

    ``path`` is a file as above, which is looked at again once a second at most; without it the
    rules are those given, and change by `set`. A file that cannot be read, or names a predicate
    that is not in ``predicates``, changes nothing: the last good rules stay, and `trouble` says
    why. `ConfigurationError` if there are no good rules to begin with.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        path: str | Path | None = None,
        predicates: Mapping[str, Predicate] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if rules is not None and path is not None:
            raise ConfigurationError("mode rules come from a file or are given, not both")
        self.path = None if path is None else Path(path)
        self.predicates: dict[str, Predicate] = dict(predicates or {})
        self.generation = 0
        """Rises whenever the rules change."""
        self.trouble = ""
        """Why the file of this moment is not in force, "" if it is."""
        self._now = now
        self._lock = threading.Lock()
        self._look_at_s = 0.0
        self._stamp: tuple[int, int, int] | None = None
        self._failing: set[str] = set()
        if self.path is None:
            self._rules = self._checked(rules or Rules())
        else:
            self._stamp = _stamp(self.path)
            self._rules = self._checked(read_rules(self.path))
            self._look_at_s = now() + LOOK_EVERY_S

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        self.refresh()
        return self._rules

    def set(self, rules: Rules) -> None:
        """Other rules from now on. With a file, they are in force until it changes."""
        checked = self._checked(rules)
        with self._lock:
            self._rules = checked
            self.generation += 1

    def mode_of(self, character_guid: int) -> MigrationMode:
        """The mode that a character is to be in. Quick: no file is read but once a second."""
        self.refresh()
        rules = self._rules
        for rule in rules.rules:
            if rule.characters is not None:
                if character_guid in rule.characters:
                    return rule.mode
            elif rule.share is not None:
                if share_of(character_guid) < rule.share:
                    return rule.mode
            elif rule.predicate is not None and self._is_meant(rule.predicate, character_guid):
                return rule.mode
        return rules.default

    def refresh(self) -> int:
        """Look at the file if it is time to; the `generation` of the rules in force."""
        if self.path is not None and self._now() >= self._look_at_s:
            self._look()
        return self.generation

    def _look(self) -> None:
        assert self.path is not None
        if not self._lock.acquire(blocking=False):
            return  # Another thread is looking: the rules in force will do for this call.
        try:
            self._look_at_s = self._now() + LOOK_EVERY_S
            stamp = _stamp(self.path)
            if stamp == self._stamp and stamp is not None:
                return
            try:
                rules = self._checked(read_rules(self.path))
            except ConfigurationError as error:
                if str(error) != self.trouble:
                    log.error("the mode rules stay as they were: %s", error)
                self.trouble = str(error)
                self._stamp = stamp
                return
            self._stamp = stamp
            self.trouble = ""
            if rules != self._rules:
                self._rules = rules
                self.generation += 1
                log.info("new mode rules from %s", self.path)
        finally:
            self._lock.release()

    def _checked(self, rules: Rules) -> Rules:
        for rule in rules.rules:
            if rule.predicate is not None and rule.predicate not in self.predicates:
                known = ", ".join(sorted(self.predicates)) or "none"
                raise ConfigurationError(
                    f"mode rules: no predicate {rule.predicate!r} is registered here (there are: "
                    f"{known}). Register it in the world, or take the rule out."
                )
        return rules

    def _is_meant(self, name: str, character_guid: int) -> bool:
        try:
            return bool(self.predicates[name](character_guid))
        except Exception:
            if name not in self._failing:
                self._failing.add(name)
                log.exception("predicate %r failed for character %d", name, character_guid)
            return False


# The file


def read_rules(path: str | Path) -> Rules:
    """The rules of a file; `ConfigurationError` names the file and what is wrong in it."""
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no file of mode rules. `mmoinv migrate mode legacy` makes one."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: the mode rules cannot be read: {error}") from None
    try:
        return _rules_of(document)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def write_rules(path: str | Path, rules: Rules) -> None:
    """Write a file of rules so that whoever reads it sees the old one or the new one, whole."""
    target = Path(path)
    lines = [f'default = "{rules.default.value}"']
    for rule in rules.rules:
        lines += ["", "[[rule]]", f'mode = "{rule.mode.value}"']
        if rule.characters is not None:
            lines.append(f"characters = [{', '.join(map(str, sorted(rule.characters)))}]")
        elif rule.share is not None:
            lines.append(f"share = {float(rule.share)!r}")
        else:
            lines.append(f"predicate = {_toml_string(rule.predicate or '')}")
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
            os.chmod(name, mode)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the mode rules cannot be written: {error}; they are as they were"
        ) from None


def _rules_of(document: Mapping[str, Any]) -> Rules:
    _only(document, ("default", "rule"), "the file")
    listed = document.get("rule", [])
    if not isinstance(listed, list):
        raise ConfigurationError("rule is a list of tables: write [[rule]]")
    rules = []
    for number, table in enumerate(listed, 1):
        where = f"rule {number}"
        if not isinstance(table, dict):
            raise ConfigurationError(f"{where} is no table: write [[rule]]")
        _only(table, ("mode", "characters", "share", "predicate"), where)
        if "mode" not in table:
            raise ConfigurationError(f"{where} has no mode")
        try:
            rules.append(
                ModeRule(
                    mode_named(table["mode"]),
                    _characters(table.get("characters")),
                    _share(table.get("share")),
                    _name(table.get("predicate")),
                )
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
    return Rules(mode_named(document.get("default", MigrationMode.LEGACY.value)), tuple(rules))


def mode_named(name: object) -> MigrationMode:
    """The mode of that name; `ConfigurationError` if there is none."""
    try:
        return MigrationMode(str(name))
    except ValueError:
        known = ", ".join(mode.value for mode in MigrationMode)
        raise ConfigurationError(f"{name!r} is no mode; there are: {known}") from None


def _characters(value: object) -> frozenset[int] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or any(type(guid) is not int for guid in value):
        raise ConfigurationError("characters is a list of guids")
    return frozenset(value)


def _share(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"share is a number from 0 to 1, not {value!r}")
    return float(value)


def _name(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise ConfigurationError(f"predicate is a name, not {value!r}")
    return value


def _only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    if unknown := sorted(set(table) - set(known)):
        raise ConfigurationError(f"{where} has {unknown[0]!r}, which means nothing here")


def _toml_string(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(sign):04X}" if ord(sign) < 32 or sign in '"\\\x7f' else sign for sign in text
    )
    return f'"{escaped}"'


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
