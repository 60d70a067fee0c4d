"""What a benchmark run prints at its end, and what of it is kept for the next one.

Knows nothing of pytest: a run, the run before, and a folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark_page import benchmark_page
from figures import OURS, Group, Judged, Run, judged, regressions, unmeasured

from mmoinv.errors import MmoinvError


@dataclass(frozen=True)
class Line:
    """One line; ``is_good`` is None where there is nothing to judge."""

    text: str
    is_good: bool | None = None


def summary(run: Run, before: Run | None, is_whole: bool) -> list[Line]:
    """Every group beside the others of it, its targets and the run before; then what is wrong."""
    lines = []
    if before is not None:
        lines.append(Line(f"'then' is the run of {before.ended}"))
    verdicts = judged(run)
    for group in run.groups.values():
        own = [one for one in verdicts if one.group == group.name]
        then = before.groups.get(group.name) if before is not None else None
        is_good = all(one.is_met for one in own) if own else None
        lines.append(Line(_group_line(group, then, own), is_good))
    met = sum(one.is_met for one in verdicts)
    lines.append(Line(f"{met} of {len(verdicts)} targets met"))
    if is_whole:
        lines += [
            Line(
                f"NOT MEASURED: {target.group}, {target.figure} (target {target}): "
                "no benchmark has it",
                False,
            )
            for target in unmeasured(run)
        ]
    if before is not None:
        lines += [Line(f"WORSE THAN THEN: {text}", False) for text in regressions(run, before)]
    return lines


def _group_line(group: Group, then: Group | None, verdicts: list[Judged]) -> str:
    targets = {
        one.target.figure: f" (target {one.target}: {'pass' if one.is_met else 'FAIL'})"
        for one in verdicts
    }
    parts = []
    if OURS in group.ways:
        was = f", then {then.ways[OURS]:,.0f}" if then and OURS in then.ways else ""
        parts.append(f"ours {group.ways[OURS]:>9,.0f} ns{was}{targets.get(OURS, '')}")
    ratios_then = then.ratios() if then else {}
    for way, ratio in group.ratios().items():
        was = f", then {ratios_then[way]:.1f}x" if way in ratios_then else ""
        took = group.ways[way]
        parts.append(f"{way} {took:,.0f} ns = {ratio:.1f}x{was}{targets.get(way, '')}")
    for name, value in group.figures.items():
        was = f", then {then.figures[name]:,.10g}" if then and name in then.figures else ""
        parts.append(f"{name} {value:,.10g}{was}{targets.get(name, '')}")
    return f"{group.name:<34} " + "   ".join(parts)


def keep(folder: Path, written: Path, run: Run, before: Run | None, is_whole: bool) -> list[Line]:
    """Draw the run; if it is whole, its JSON (``written``) becomes ``last.json``, which the next
    run is compared with, and the earlier one ``previous.json``."""
    lines = []
    page, last = folder / "report.html", folder / "last.json"
    try:
        benchmark_page(run, before).write(page)
        lines.append(Line(f"Drawn in {os.path.relpath(page)}"))
    except MmoinvError as error:
        lines.append(Line(f"Not drawn: {error}", False))
    if not is_whole:
        lines.append(Line(f"Not everything ran and passed: last.json stays, this is in {written}"))
        return lines
    if last.exists():
        last.replace(folder / "previous.json")
    written.replace(last)
    return lines
