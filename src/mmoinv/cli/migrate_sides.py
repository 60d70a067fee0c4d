"""``mmoinv migrate status``, ``report``, ``mode``, ``config`` and ``finish``."""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmoinv.cli.arguments import Commands, Formatter, add_verbose
from mmoinv.cli.audit import guid, print_lines, seconds
from mmoinv.errors import ConfigurationError

if TYPE_CHECKING:
    from mmoinv.migration.configuration import MigrationConfig
    from mmoinv.migration.findings import Findings
    from mmoinv.migration.rules import Rules

RULES_FILE = "modes.toml"
CONFIG_FILE = "migration.toml"
MODES = ("legacy", "shadow", "primary", "new")
STEPS = ("primary", "new")


def add_side_commands(actions: Commands) -> None:
    """The arguments of the five."""
    _add_status(actions)
    _add_report(actions)
    _add_mode(actions)
    _add_config(actions)
    _add_finish(actions)


def _add_status(actions: Commands) -> None:
    status = actions.add_parser(
        "status",
        help="what was compared, what differed, and whether it is safe to go on",
        description="A short table of the evidence that the worlds wrote, of all their files "
        "together, and\nwhat stands against the next step. Changes nothing; the worlds may run.",
        epilog=(
            "exit code: 0; with --check 1 if it is not safe to go on\n\n"
            "examples:\n"
            "  mmoinv migrate status world-1.evidence world-2.evidence\n"
            "  mmoinv migrate status *.evidence --check primary && mmoinv migrate mode primary\n"
            "      go on only if every threshold of [to_primary] is met\n"
        ),
        formatter_class=Formatter,
    )
    _add_evidence(status)
    status.set_defaults(run=_run_status)


def _add_report(actions: Commands) -> None:
    report = actions.add_parser(
        "report",
        help="rates, classes, worst characters, examples with both values, the verdict",
        description="Everything that the evidence of the worlds says: what differs, of whom, "
        "since when, after\nwhich operations, and every threshold with the figure it has.\n"
        "Changes nothing; the worlds may run.",
        epilog=(
            "exit code: 0; with --check 1 if it is not safe to go on\n\n"
            "examples:\n"
            "  mmoinv migrate report *.evidence --html report.html\n"
            "      also as one page with plots, which needs nothing else\n"
            "  mmoinv migrate report *.evidence --since '2026-11-20 18:30:00' --json\n"
        ),
        formatter_class=Formatter,
    )
    _add_evidence(report)
    report.add_argument(
        "--html", metavar="FILE", type=Path, help="write a page with plots (extra 'report')"
    )
    report.set_defaults(run=_run_report)


def _add_evidence(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="the evidence of a world; all of them"
    )
    _add_config_file(command)
    command.add_argument(
        "--since", metavar="TIME", help="leave out what was before, UTC (verdicts: over_last_h)"
    )
    command.add_argument(
        "--check", choices=STEPS, help="exit code 1 unless it is safe to go on to that mode"
    )
    command.add_argument("--json", action="store_true", help="as JSON, on standard output")
    add_verbose(command)


def _add_config_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="known differences and thresholds (default: migration.toml if it is here; without "
        "one, what 'mmoinv migrate config' prints)",
    )


def _add_rules_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--rules",
        metavar="FILE",
        type=Path,
        default=Path(RULES_FILE),
        help="the rules that the worlds read (default: %(default)s)",
    )


def _add_mode(actions: Commands) -> None:
    mode = actions.add_parser(
        "mode",
        help="which characters are in which mode; worlds follow within a second",
        description="Show or change the rules that say which mode a character is to be in:\n"
        "  legacy   the old way alone\n"
        "  shadow   the old way decides, the new one is written and compared\n"
        "  primary  the new way decides, the old one is written and compared\n"
        "  new      the new way alone\n"
        "Without --characters, --share or --predicate the mode is for everybody, and there are\n"
        "no other rules any more. A rule that is added goes before those that are there. Worlds\n"
        "look at the file once a second; a character changes its mode between two operations.",
        epilog=(
            "examples:\n"
            "  mmoinv migrate mode\n"
            "      the rules as they are\n"
            "  mmoinv migrate mode shadow --share 0.1\n"
            "      a tenth of all, always the same; 0.2 later adds another tenth\n"
            "  mmoinv migrate mode primary --characters 7 8 0x10000002a\n"
            "  mmoinv migrate mode legacy\n"
            "      everybody back to the old way\n"
        ),
        formatter_class=Formatter,
    )
    mode.add_argument("mode", nargs="?", choices=("show", *MODES), default="show")
    whom = mode.add_mutually_exclusive_group()
    whom.add_argument("--characters", nargs="+", type=guid, metavar="GUID", help="these only")
    whom.add_argument("--share", type=float, metavar="X", help="of all characters, 0 to 1")
    whom.add_argument("--predicate", metavar="NAME", help="a function that the worlds register")
    _add_rules_file(mode)
    mode.add_argument(
        "--book", metavar="FILE", type=Path, help="show too how many characters really are where"
    )
    add_verbose(mode)
    mode.set_defaults(run=_run_mode)


def _add_config(actions: Commands) -> None:
    config = actions.add_parser(
        "config",
        help="print a configuration with every key explained, or check one",
        description="Without a file: print one that says what holds anyway, each key with its "
        "meaning.\nWith a file: say what is wrong with it, or that nothing is.",
        epilog=(
            "examples:\n"
            "  mmoinv migrate config > migration.toml\n"
            "  mmoinv migrate config migration.toml\n"
        ),
        formatter_class=Formatter,
    )
    config.add_argument("file", metavar="FILE", nargs="?", type=Path, help="to be checked")
    add_verbose(config)
    config.set_defaults(run=_run_config)


def _add_finish(actions: Commands) -> None:
    finish = actions.add_parser(
        "finish",
        help="check that nothing needs the old path any more, and say what may be deleted",
        description="Check that nothing has used the old path for a time (quiet_h in [finish]), "
        "that no\ncharacter is behind, that no divergence is open, and that the new side decides "
        "for\neverybody. Then the rules become 'new' for all, and it is said what may be deleted, "
        "by\nyour own hand. Deletes nothing.",
        epilog=(
            "exit code: 0 it may be cleared away; 1 something stands against it\n\n"
            "example:\n"
            "  mmoinv migrate finish *.evidence --book moving.book --dry-run\n"
        ),
        formatter_class=Formatter,
    )
    finish.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="the evidence of a world; all of them"
    )
    _add_config_file(finish)
    _add_rules_file(finish)
    finish.add_argument("--book", metavar="FILE", type=Path, help="the book that the worlds share")
    finish.add_argument(
        "--imported",
        action="store_true",
        help="whoever the old side still decides was imported and verified: the new side decides "
        "for them from now on",
    )
    finish.add_argument("--dry-run", action="store_true", help="only say what would be done")
    add_verbose(finish)
    finish.set_defaults(run=_run_finish)


# What they do


def _config(options: argparse.Namespace) -> "tuple[MigrationConfig, str]":
    """The configuration, and where it is from."""
    from mmoinv.migration.configuration import load_config

    path = options.config
    if path is None and Path(CONFIG_FILE).is_file():
        path = Path(CONFIG_FILE)
    return load_config(path), str(path or "the defaults, there is no migration.toml here")


def _findings(options: argparse.Namespace, config: "MigrationConfig") -> "Findings":
    from mmoinv.migration.findings import read_findings

    return read_findings(options.files, config.known)


def _values(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mmoinv.migration.report import report_values

    since_s = seconds(options.since, "--since") if options.since else 0
    config, source = _config(options)
    return report_values(_findings(options, config), config, time.time(), since_s), source


def _code(options: argparse.Namespace, values: dict[str, Any]) -> int:
    if options.check is None:
        return 0
    return 0 if values["verdicts"][options.check]["is_safe"] else 1


def _run_status(options: argparse.Namespace) -> int:
    from mmoinv.migration.report import status_lines

    values, source = _values(options)
    if options.json:
        shown = ("examples", "patterns", "by_hour")
        print(json.dumps({key: values[key] for key in values if key not in shown}, indent=1))
    else:
        print_lines(status_lines(values))
        print(f"\nthresholds and known differences: {source}")
    return _code(options, values)


def _run_report(options: argparse.Namespace) -> int:
    from mmoinv.migration.report import report_lines

    if options.html is not None:
        from mmoinv.plots import require_plotly

        require_plotly()
    values, source = _values(options)
    if options.json:
        print(json.dumps(values, indent=1))
    else:
        print_lines(report_lines(values))
        print(f"\nthresholds and known differences: {source}")
    if options.html is not None:
        from mmoinv.migration.report_page import report_page

        try:
            options.html.write_text(report_page(values), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"the page cannot be written to {options.html}: {error.strerror}"
            ) from error
        print(f"the page is in {options.html}", file=sys.stderr)
    return _code(options, values)


def _run_mode(options: argparse.Namespace) -> int:
    from mmoinv.migration.modes import MigrationMode
    from mmoinv.migration.rules import ModeRule, Rules, read_rules, write_rules

    path: Path = options.rules
    has_choice = (options.characters, options.share, options.predicate) != (None, None, None)
    if options.mode == "show":
        if has_choice:
            raise ConfigurationError("say which mode these characters are to be in")
        print_lines(_rule_lines(read_rules(path), path))
    else:
        mode = MigrationMode(options.mode)
        rules = Rules(default=mode)
        if has_choice:
            characters = options.characters and frozenset(options.characters)
            rule = ModeRule(mode, characters, options.share, options.predicate)
            rules = (read_rules(path) if path.exists() else Rules()).with_rule(rule)
        write_rules(path, rules)
        print_lines(_rule_lines(rules, path))
        if options.predicate:
            print(f"every world must register the predicate {options.predicate!r}")
    if options.book is not None:
        with ExitStack() as stack:
            counts = _book(options.book, stack).counts()
        print(
            f"in {options.book}: "
            + ", ".join(f"{count:,} {mode}" for mode, count in counts.items())
            + "; whoever is not in it is in legacy"
        )
    return 0


def _rule_lines(rules: "Rules", path: Path) -> list[str]:
    lines = [f"{path}: the first rule that a character is in counts"]
    for number, rule in enumerate(rules.rules, 1):
        if rule.characters is not None:
            named = sorted(rule.characters)
            more = f" and {len(named) - 8:,} more" if len(named) > 8 else ""
            whom = f"characters {', '.join(map(str, named[:8]))}{more}"
        elif rule.share is not None:
            whom = f"a share of {rule.share:g}"
        else:
            whom = f"whom the predicate {rule.predicate!r} says"
        lines.append(f"  {number}. {rule.mode:<8} {whom}")
    lines.append(f"     {rules.default:<8} everybody{' else' if rules.rules else ''}")
    return lines


def _book(path: Path, stack: ExitStack) -> Any:
    """The book, which must be there: opening one makes it."""
    from mmoinv.migration.book import FileBook

    if not path.is_file():
        raise ConfigurationError(
            f"there is no book at {path}: it is the file that the worlds share"
        )
    book = FileBook(path)
    stack.callback(book.close)
    return book


def _run_config(options: argparse.Namespace) -> int:
    from mmoinv.migration.configuration import load_config, sample

    if options.file is None:
        print(sample(), end="")
        return 0
    config = load_config(options.file)
    known = len(config.known)
    print(f"{options.file}: nothing is wrong, {known} known difference{'s' if known != 1 else ''}.")
    return 0


def _run_finish(options: argparse.Namespace) -> int:
    from mmoinv.migration.finish import deletable_lines, finish, look

    config, _ = _config(options)
    findings = _findings(options, config)
    with ExitStack() as stack:
        book = None if options.book is None else _book(options.book, stack)
        found = look(findings, config.finish, time.time(), book, options.imported)
        if found.obstacles:
            print("The old path cannot be cleared away yet:")
            print_lines(f"  - {one}." for one in found.obstacles)
            print("Nothing was changed.")
            return 1
        if options.dry_run:
            print(
                f"Nothing stands against it. {options.rules} would say 'new' for everybody"
                + (f", the book for {len(found.not_moved):,} more" if found.not_moved else "")
                + ". A dry run: nothing was changed."
            )
            return 0
        finish(options.rules, book, found.not_moved)
    print(f"{options.rules} says 'new' for everybody now.")
    print_lines(deletable_lines(findings, options.rules, options.book))
    return 0
