"""The report of a load test as one HTML page with plots, beside an earlier run if there is one.

Made from the JSON's values alone, so that whatever is shown can also be read from a file. Knows
nothing of how a run is made, nor of how a page looks; the plots over it are in `report_plots`.
"""

from collections.abc import Sequence

from mmoinv.loadtest.comparison import FIGURES, Comparison, Report, Row, shown_time
from mmoinv.loadtest.live import number
from mmoinv.loadtest.report import TARGET_NAMES
from mmoinv.loadtest.report_plots import RunPlots, at
from mmoinv.plots import BLUE, Axis, Badge, Bars, Cell, Page, Plot, bar_plot


def report_page(report: Report, comparison: Comparison | None = None) -> str:
    """The page. ``report`` is `as_json`'s."""
    verdict = Badge("passed", "good") if report["passed"] else Badge("FAILED", "bad")
    page = Page(f"mmoinv load test, {report['players']} players", verdict)
    page.paragraph(_summary(report))
    earlier = comparison.earlier if comparison else None
    if comparison is not None:
        then = shown_time(comparison.earlier)
        page.paragraph(f"Beside the run of {then}, drawn pale. {comparison.summary()}")
        for note in comparison.notes:
            page.paragraph(note, is_loud=True)
    _targets(page, report, earlier)
    _ground(page, report)
    _deeds(page, report)
    plots = RunPlots(report, earlier)
    page.heading("Round trip: from the intended moment of a save to its answer")
    page.plots(*plots.of_round_trips())
    if of_the_realm := plots.of_the_realm():
        page.heading("The realm and its database")
        page.plots(*of_the_realm)
    page.heading("On the wire")
    page.plots(*plots.of_the_wire())
    if comparison is not None:
        _then_and_now(page, comparison)
    else:
        page.heading("All figures")
        page.table(
            ("figure", "measured"),
            [
                (figure.label, _with_unit(figure.of(report), figure.unit))
                for figure in FIGURES
                if figure.of(report) is not None
            ],
        )
    return page.html()


# What stands on top


def _summary(report: Report) -> str:
    kept = (
        "none lost, none doubled"
        if not report["lost"] and not report["doubled"]
        else f"{report['lost']:,} LOST, {report['doubled']:,} DOUBLED"
    )
    return (
        f"{report['saves']:,} saves in {number(report['duration_s'], 0)} s; then everyone saved "
        f"everything at the same instant. Each save was answered after the database had it on "
        f"disk. All {report['records_verified']:,} records of {report['characters_verified']:,} "
        f"characters were read back and compared: {kept}."
    )


def _targets(page: Page, report: Report, earlier: Report | None) -> None:
    words = {True: Badge("passed", "good"), False: Badge("FAILED", "bad"), None: Badge("n/a")}
    rows: list[list[Cell]] = []
    for name, target in report["targets"].items():
        label, unit = TARGET_NAMES[name]
        limit = f"< {number(target['limit'], 0)} {unit}" if target["limit"] else "0"
        row: list[Cell] = [label, _with_unit(target["value"], unit), limit.strip()]
        if earlier is not None:
            row.append(_with_unit(at(earlier, "targets", name, "value"), unit))
        rows.append([*row, words[target["passed"]]])
    headings = ["target", "measured", "limit", *(["then"] if earlier is not None else []), ""]
    page.table(headings, rows)


def _ground(page: Page, report: Report) -> None:
    settings = report["settings"]
    page.facts(
        (
            "The test",
            {
                "players": f"{settings['players']:,}",
                "world servers": settings["worlds"],
                "duration": f"{settings['duration_s']:g} s",
                "saves of one player": f"{settings['saves_per_s_of_each']:g} /s",
                "realm": "started by the test" if settings["has_own_realm"] else "ran already",
                "seed": settings["seed"],
                "ended": shown_time(report),
            },
        ),
        ("The machine", report["machine"]),
    )
    if report["command"]:
        page.command(report["command"])


def _deeds(page: Page, report: Report) -> None:
    page.heading("What the players did")
    page.table(
        ("deed", "done", "refused by the rules", "us, p50", "us, p99"),
        [
            (
                name,
                f"{count['done']:,}",
                f"{count['refused']:,}",
                number(count["p50_us"]),
                number(count["p99_us"]),
            )
            for name, count in report["commands"].items()
        ],
    )


# Then and now


def _then_and_now(page: Page, comparison: Comparison) -> None:
    page.heading("Then and now")
    page.plots(
        *(
            (
                title,
                "Each figure of both runs, on a logarithmic scale.",
                _pairs(
                    [
                        row
                        for row in comparison.rows
                        if row.figure.unit == unit and row.then and row.now
                    ],
                    unit,
                ),
            )
            for title, unit in (("Times", "ms"), ("Sizes", "bytes"))
        )
    )
    moods = {"better": "good", "worse": "bad"}
    page.table(
        ("figure", "then", "now", "now / then", ""),
        [
            (
                row.figure.label,
                _with_unit(row.then, row.figure.unit),
                _with_unit(row.now, row.figure.unit),
                "" if row.ratio is None else f"{row.ratio:.2f}",
                Badge(row.verdict, moods.get(row.verdict, "neutral")) if row.verdict else "",
            )
            for row in comparison.rows
            if row.then is not None or row.now is not None
        ],
    )


def _pairs(rows: Sequence[Row], unit: str) -> Plot:
    return bar_plot(
        [row.figure.label for row in rows],
        [
            Bars("now", [row.now for row in rows], BLUE),
            Bars("then", [row.then for row in rows], BLUE, is_earlier=True),
        ],
        Axis(unit, is_log=True),
    )


# Values


def _with_unit(value: float | None, unit: str) -> str:
    whole = value is not None and float(value).is_integer()
    return f"{number(value, 0 if whole else 1)} {unit}".strip() if value is not None else "n/a"
