"""The report of a move as one HTML page with plots that needs nothing else.

Made from the JSON's values alone. Knows nothing of how evidence is kept, nor of how a page looks.
"""

from collections import defaultdict
from collections.abc import Sequence

from mmoinv.migration.comparison import CLASSES, DivergenceClass
from mmoinv.migration.findings import HOUR_S, US
from mmoinv.migration.report import (
    FOLLOWED,
    Table,
    Values,
    example_lines,
    moment,
    pattern_table,
    reason_table,
    shown_figures,
    worst_table,
)
from mmoinv.plots import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    VIOLET,
    Axis,
    Badge,
    Bars,
    Curve,
    Page,
    Plot,
    bar_plot,
    curve_plot,
)

HOURS = Axis("hours, the last one is 0")
DAYS = Axis("days, the last one is 0")
COLOUR_OF = dict(zip(CLASSES, COLOURS, strict=True))
LONG_H = 96
"""Beyond so many hours the axis counts in days."""


def report_page(values: Values) -> str:
    """The page. ``values`` are `report_values`'."""
    steps = [verdict for verdict in values["verdicts"].values() if verdict["is_safe"]]
    badge = (
        Badge(f"safe: {', '.join(one['way'] for one in steps)}", "good")
        if steps
        else Badge("not yet", "bad")
    )
    page = Page("mmoinv: moving over", badge)
    draw_evidence(page, values)
    return page.html()


def draw_evidence(page: Page, values: Values) -> None:
    """What the evidence says, below what the page has already."""
    page.paragraph(_summary(values))
    if values["unrecorded"]:
        page.paragraph(
            f"{values['unrecorded']:,} comparisons or divergences could not be kept as evidence.",
            is_loud=True,
        )
    _modes(page, values)
    for verdict in values["verdicts"].values():
        _verdict(page, verdict)
    plots = [
        plot
        for mode in FOLLOWED
        for plot in (
            *_shares(values, str(mode)),
            *_classes(values, str(mode)),
            *_work(values, str(mode)),
        )
    ]
    plots += _uses(values)
    if plots:
        page.heading("Hour by hour")
        page.plots(*plots)
    _tables(page, values)


# What stands on top


def _summary(values: Values) -> str:
    first, last = values["first_hour_s"], values["last_hour_s"]
    if first is None:
        return "Nothing is in the evidence yet."
    return (
        f"Evidence of {len(values['evidence'])} file(s), from {moment(first)} to "
        f"{moment(last + HOUR_S - 1)} UTC, read at {moment(values['read_at_s'])}. "
        f"Divergences: {values['divergences']['open']:,} open, "
        f"{values['divergences']['gone']:,} gone, {values['divergences']['known']:,} known, "
        f"{values['divergences']['never_kept']:,} in fields that one side never kept."
    )


def _modes(page: Page, values: Values) -> None:
    uses = {
        f"the {side} side": f"{moment(use['last_us'] // US)}, {use['times']:,} times in all"
        for side, use in values["uses"].items()
    }
    page.facts(
        (
            "Characters by the mode they were last in",
            {mode: f"{count:,}" for mode, count in values["characters"].items()},
        ),
        ("Last used", uses or {"no side": "yet"}),
        ("Behind", {"characters": f"{values['behind']['count']:,}"}),
    )
    page.table(
        (
            *("mode", "commits", "compared", "equal", "known differences", "never kept"),
            *("diverged", "missed", "made up"),
        ),
        [(mode, *shown_figures(figures)) for mode, figures in values["modes"].items()],
    )


def _verdict(page: Page, verdict: Values) -> None:
    page.heading(f"From {verdict['way'].replace('->', 'to')}")
    page.paragraph(
        ("It is safe to go on" if verdict["is_safe"] else "It is not safe to go on yet")
        + f", judged by the last {verdict['over_last_h']:g} hours."
    )
    page.table(
        ("threshold", "has", "wants", "missing", ""),
        [
            (
                one["title"],
                one["has"],
                one["wants"],
                one["missing"],
                Badge("met", "good") if one["is_met"] else Badge("not met", "bad"),
            )
            for one in verdict["requirements"]
        ],
    )


# Plots


Drawn = tuple[str, str, Plot]


class _Hours:
    """The hours of a mode without gaps, and the axis that they lie on."""

    def __init__(self, values: Values, mode: str) -> None:
        self._figures: dict[int, dict[str, int]] = defaultdict(dict)
        for one in values["by_hour"]:
            if one["mode"] == mode:
                self._figures[one["hour_s"] // HOUR_S] = one["figures"]
        first, last = values["first_hour_s"] or 0, values["last_hour_s"] or 0
        self._last = last // HOUR_S
        self._all = range(first // HOUR_S, self._last + 1)
        self.is_long = len(self._all) > LONG_H
        self.axis = DAYS if self.is_long else HOURS

    def __bool__(self) -> bool:
        return any(self._figures.values())

    @property
    def x(self) -> list[float]:
        """Hours or days back from the last one."""
        return [(hour - self._last) / (24 if self.is_long else 1) for hour in self._all]

    def counts(self, *names: str) -> list[int]:
        """How often these things happened, together, hour by hour."""
        return [
            sum(self._figures.get(hour, {}).get(name, 0) for name in names) for hour in self._all
        ]

    def shares(self, names: Sequence[str], of: Sequence[str]) -> list[float | None]:
        """The same in % of others; None where there were none of these."""
        return [
            100 * part / whole if whole else None
            for part, whole in zip(self.counts(*names), self.counts(*of), strict=True)
        ]


DIVERGED = [str(kind) for kind in CLASSES if kind is not DivergenceClass.NOT_KEPT]
COMPARED = ("compared:commit", "compared:join")


def _shares(values: Values, mode: str) -> list[Drawn]:
    hours = _Hours(values, mode)
    if not hours:
        return []
    curves = [
        Curve("diverged", hours.x, hours.shares(DIVERGED, COMPARED), ORANGE, has_steps=True),
        Curve("known", hours.x, hours.shares(["known"], COMPARED), GREY, has_steps=True),
        Curve("missed", hours.x, hours.shares(["missed"], ["commits"]), PINK, has_steps=True),
    ]
    return [
        (
            f"{mode.capitalize()}: shares",
            "Of the comparisons those that diverged or showed known differences; of the commits "
            "those that the following side missed.",
            curve_plot(curves, hours.axis, Axis("%")),
        )
    ]


def _classes(values: Values, mode: str) -> list[Drawn]:
    figures = values["modes"][mode]
    if not any(figures["by_class"].values()):
        return []
    kinds = [kind for kind in CLASSES if figures["by_class"][kind]]
    hours = _Hours(values, mode)
    return [
        (
            f"{mode.capitalize()}: by class",
            "Comparisons that were not equal, by the worst difference in them.",
            bar_plot(
                [str(kind) for kind in kinds],
                [Bars("comparisons", [figures["by_class"][kind] for kind in kinds], ORANGE)],
                Axis("comparisons", is_log=True),
            ),
        ),
        (
            f"{mode.capitalize()}: by class, over time",
            "When each class was seen: what was mended ends, what was broken begins.",
            curve_plot(
                [
                    Curve(
                        str(kind),
                        hours.x,
                        hours.counts(kind),
                        COLOUR_OF[kind],
                        has_steps=True,
                    )
                    for kind in kinds
                ],
                hours.axis,
                Axis("comparisons in an hour"),
            ),
        ),
    ]


def _work(values: Values, mode: str) -> list[Drawn]:
    hours = _Hours(values, mode)
    if not hours:
        return []
    curves = [
        Curve("commits", hours.x, hours.counts("commits"), BLUE, has_steps=True),
        Curve("compared", hours.x, hours.counts(*COMPARED), GREEN, has_steps=True),
        Curve("made up", hours.x, hours.counts("made_up"), VIOLET, has_steps=True),
    ]
    return [
        (
            f"{mode.capitalize()}: what was done",
            "Commits that the deciding side took, comparisons, and whole inventories that were "
            "written again to make up for something.",
            curve_plot(curves, hours.axis, Axis("in an hour")),
        )
    ]


def _uses(values: Values) -> list[Drawn]:
    hours = _Hours(values, "")
    if not hours:
        return []
    curves = [
        Curve(f"{side} side", hours.x, hours.counts(f"used:{side}"), colour, has_steps=True)
        for side, colour in (("legacy", ORANGE), ("new", BLUE))
    ]
    return [
        (
            "Uses of the two sides",
            "Reads and writes. The old one must have ended before it is cleared away.",
            curve_plot(curves, hours.axis, Axis("in an hour")),
        )
    ]


# Tables


def _tables(page: Page, values: Values) -> None:
    for title, table in (
        ("What differs", pattern_table(values)),
        ("Worst characters", worst_table(values)),
        ("Why changes were missed", reason_table(values)),
    ):
        _table(page, title, table)
    if values["examples"]:
        page.heading("Examples")
        page.paragraph("The last one of each kind, with what both sides have.")
        for one in values["examples"]:
            page.command("\n".join(example_lines(one)))


def _table(page: Page, title: str, table: Table) -> None:
    headings, rows = table
    if rows:
        page.heading(title)
        page.table(headings, rows)
