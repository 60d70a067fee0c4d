"""A benchmark run as one HTML page with plots, beside the run before if there is one.

Knows figures and targets; how a page and a plot look is `mmoinv.plots`'s.
"""

from figures import OURS, Group, Run, judged, regressions, unit_of
from targets import RATIO

from mmoinv.plots import (
    BLUE,
    COLOURS,
    GREEN,
    Axis,
    Badge,
    Bars,
    Marks,
    Page,
    Plot,
    bar_plot,
    require_plotly,
)

NS = Axis("ns a call", is_log=True)
TIMES = Axis("times as long as ours", is_log=True)


def benchmark_page(run: Run, before: Run | None = None) -> Page:
    """The page; `ConfigurationError` without plotly."""
    require_plotly()
    verdicts = judged(run)
    met = sum(one.is_met for one in verdicts)
    mood = "good" if met == len(verdicts) else "bad"
    page = Page("mmoinv benchmarks", Badge(f"{met} of {len(verdicts)} targets met", mood))
    page.paragraph(
        "One call, the quickest round: the noise only ever adds. Ours is compared with other ways "
        "of the same run, so what the machine was doing cancels out."
    )
    if before is not None:
        page.paragraph(f"The run of {before.ended} is drawn pale.")
        for sentence in regressions(run, before):
            page.paragraph(f"Worse than then: {sentence}", is_loud=True)
    page.facts(
        (
            "This run",
            {
                "ended": run.ended,
                "cpu": run.cpu,
                "cores": run.cores,
                "python": run.python,
                "platform": run.platform,
                "commit": run.commit[:12],
            },
        )
    )
    page.command("make bench")
    _targets(page, run, before)
    families: dict[str, list[Group]] = {}
    for group in run.groups.values():
        # "encode 25 items" and "encode 100 answers" are of one family, and so is "main job: ...".
        start, colon, _ = group.name.partition(":")
        families.setdefault(start if colon else start.split()[0], []).append(group)
    for family, groups in families.items():
        compared = [group for group in groups if group.ratios()]
        alone = [group for group in groups if group.ways and not group.ratios()]
        plots = [
            *_times("Time", compared, before),
            *_ratios(compared, before),
            *_times("Time, with nothing beside it", alone, before),
            *_figures(groups, before),
        ]
        if plots:
            page.heading(family.capitalize())
            page.plots(*plots)
    _everything(page, run, before)
    return page


def _targets(page: Page, run: Run, before: Run | None) -> None:
    rows = []
    for one in judged(run):
        then = before.groups.get(one.group) if before is not None else None
        was = then.value(one.target) if then is not None else None
        rows.append(
            (
                f"{one.group}: {one.target.figure}",
                _with_unit(one.value, one.target.unit),
                str(one.target),
                "n/a" if was is None else _with_unit(was, one.target.unit),
                Badge("passed", "good") if one.is_met else Badge("FAILED", "bad"),
            )
        )
    page.table(("figure", "now", "target", "then", ""), rows)


def _everything(page: Page, run: Run, before: Run | None) -> None:
    page.heading("All figures")
    rows = []
    for group in run.groups.values():
        then = _then(before, group)
        was = (then.ways | then.figures) if then is not None else {}
        for name, value in (group.ways | group.figures).items():
            unit = "ns" if name in group.ways else unit_of(name)
            ratio = group.ratios().get(name)
            rows.append(
                (
                    f"{group.name}: {name}",
                    _with_unit(value, unit),
                    _with_unit(was[name], unit) if name in was else "n/a",
                    "" if ratio is None else f"{ratio:.1f}x",
                )
            )
    page.table(("figure", "now", "then", "times as long as ours"), rows)


def _with_unit(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.1f}x"
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.4g} {unit}"


def _times(title: str, timed: list[Group], before: Run | None) -> list[tuple[str, str, Plot]]:
    """Ours and the others. A target of a ratio is drawn where ours would just meet it."""
    if not timed:
        return []
    ways = list(dict.fromkeys(way for group in timed for way in group.ways))
    ways.sort(key=lambda way: way != OURS)
    bars = []
    for place, way in enumerate(ways):
        colour = COLOURS[place % len(COLOURS)]
        bars.append(Bars(way, [group.ways.get(way) for group in timed], colour))
        if way == OURS:
            then = [_then(before, group) for group in timed]
            values = [one.ways.get(OURS) if one else None for one in then]
            if any(values):
                bars.append(Bars("ours, then", values, colour, is_earlier=True))
    limits = [
        min(
            (
                one.ways[found.target.figure] / found.target.target
                for found in judged(Run({one.name: one}))
                if found.target.kind == RATIO
            ),
            default=None,
        )
        for one in timed
    ]
    marks = Marks("ours must be below", limits)
    text = "One call of each way. Shorter is better."
    return [(title, text, bar_plot([group.name for group in timed], bars, NS, marks))]


def _ratios(groups: list[Group], before: Run | None) -> list[tuple[str, str, Plot]]:
    """Now and then: the comparison that does not depend on the machine's mood."""
    names, now, then, limits = [], [], [], []
    for group in groups:
        was = _then(before, group)
        targets = {
            one.target.figure: one.target.target
            for one in judged(Run({group.name: group}))
            if one.target.kind == RATIO
        }
        for way, ratio in group.ratios().items():
            names.append(f"{group.name}: {way}")
            now.append(ratio)
            then.append(was.ratios().get(way) if was else None)
            limits.append(targets.get(way))
    if not names:
        return []
    bars = [Bars("now", now, BLUE)]
    if any(then):
        bars.append(Bars("then", then, BLUE, is_earlier=True))
    text = "How many times as long as ours another way takes. Longer is better for us."
    return [("Ratio", text, bar_plot(names, bars, TIMES, Marks("target, at least", limits)))]


def _figures(groups: list[Group], before: Run | None) -> list[tuple[str, str, Plot]]:
    """Other figures, one plot for each group and unit."""
    plots = []
    for group in groups:
        was = _then(before, group)
        found = judged(Run({group.name: group}))
        targets = {one.target.figure: one.target for one in found if one.target.kind != RATIO}
        # Counts are in the table; beside nothing of their kind a bar says nothing.
        units = [unit_of(name) or ("" if name in targets else None) for name in group.figures]
        for unit in dict.fromkeys(unit for unit in units if unit is not None):
            names = [name for name in group.figures if unit_of(name) == unit]
            bars = [Bars("now", [group.figures[name] for name in names], GREEN)]
            if was is not None:
                then = [was.figures.get(name) for name in names]
                bars.append(Bars("then", then, GREEN, is_earlier=True))
            limits = [targets[name].target if name in targets else None for name in names]
            plots.append(
                (
                    group.name,
                    "These depend on the machine and on what else it was doing.",
                    bar_plot(names, bars, Axis(unit, is_log=True), Marks("target", limits)),
                )
            )
    return plots


def _then(before: Run | None, group: Group) -> Group | None:
    return before.groups.get(group.name) if before is not None else None
