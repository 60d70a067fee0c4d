"""Rewrites the README's tables of benchmarks from the last whole run: ``make figures``.

Each table stands between two markers. Which rows there are is said in targets.py; no figure is
ever typed by hand.
"""

import re
import sys
from pathlib import Path

from figures import OURS, Group, Run, judged, read_run, unit_of
from targets import RATIO, README_CALLS, README_FIGURES

ROOT = Path(__file__).parent.parent
LAST = ROOT / ".benchmarks" / "last.json"
README = ROOT / "README.md"
BEGIN = "<!-- benchmarks: {} -->"
END = "<!-- end of benchmarks -->"


class TableError(Exception):
    """The README cannot be rewritten; the message says what to do."""


def calls_table(run: Run) -> str:
    """Ours beside other ways of the same run."""
    lines = [
        "| `make bench`: one call | mmoinv | beside it, in the same run | target |",
        "| --- | --- | --- | --- |",
    ]
    for name, label in README_CALLS.items():
        group = _group(run, name)
        if OURS not in group.ways:
            raise TableError(f"{name!r} has no way of ours: run 'make bench' again")
        beside = ", ".join(
            f"{way} {_ratio(ratio)}{' times as long' if place == 0 else ''}"
            for place, (way, ratio) in enumerate(group.ratios().items())
        )
        targets = ", ".join(
            f"{one.target.figure} {one.target.target:g}"
            for one in judged(Run({name: group}))
            if one.target.kind == RATIO
        )
        lines.append(f"| {label} | {_time(group.ways[OURS])} | {beside} | {targets} |")
    return "\n".join([*lines, "", _provenance(run)])


def figures_table(run: Run) -> str:
    """Figures that the benchmarks measured themselves."""
    lines = ["| `make bench`: end to end | measured | target |", "| --- | --- | --- |"]
    for (name, figure), label in README_FIGURES.items():
        group = _group(run, name)
        if figure not in group.figures:
            raise TableError(f"{name!r} has no figure {figure!r}: correct benchmarks/targets.py")
        value = f"{group.figures[figure]:,.10g} {unit_of(figure)}".strip()
        target = ", ".join(
            f"{one.target.kind} {one.target.target:,.10g} {one.target.unit}"
            for one in judged(Run({name: group}))
            if one.target.figure == figure
        )
        lines.append(f"| {label} | {value} | {target} |")
    return "\n".join([*lines, "", _provenance(run)])


def _group(run: Run, name: str) -> Group:
    if name not in run.groups:
        raise TableError(
            f"the last run has no group {name!r}: run 'make bench' whole, or correct "
            "benchmarks/targets.py"
        )
    return run.groups[name]


def _ratio(ratio: float) -> str:
    if ratio < 0.1:
        return f"{ratio:.2g}"
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}"


def _time(ns: float) -> str:
    return f"{ns:,.0f} ns" if ns < 10_000 else f"{ns / 1000:,.1f} us"


def _provenance(run: Run) -> str:
    return f"`make bench` on {run.ended[:10]}: {run.cores} cores of {run.cpu}, {run.python}."


def rewritten(text: str, tables: dict[str, str]) -> str:
    """The text with each table between its markers; `TableError` where they are not a pair."""
    for name, table in tables.items():
        begin = BEGIN.format(name)
        between = re.compile(
            f"{re.escape(begin)}\n(?:(?!{re.escape(BEGIN[:15])}).)*?{re.escape(END)}", re.DOTALL
        )
        if text.count(begin) != 1 or len(between.findall(text)) != 1:
            raise TableError(
                f"README.md needs the marker '{begin}' once, and '{END}' on a line behind it"
            )
        text = between.sub(lambda _, table=table, begin=begin: f"{begin}\n{table}\n{END}", text)
    return text


def main() -> int:
    """Rewrite the README; 0 if that worked."""
    run = read_run(LAST)
    if run is None:
        print("There are no figures in .benchmarks/last.json yet: run 'make bench' first.")
        return 1
    try:
        tables = {"end to end": figures_table(run), "one call": calls_table(run)}
        README.write_text(rewritten(README.read_text(encoding="utf-8"), tables), encoding="utf-8")
    except TableError as error:
        print(f"README.md stays as it is: {error}.")
        return 1
    print(f"README.md has the figures of {run.ended}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
