"""What is drawn of a run, from its JSON: over time and as distributions, beside an earlier run.

Of a run that has no such figures (an older file, a realm that ran already) nothing is drawn.
Knows nothing of how a plot looks.
"""

import math
from collections.abc import Sequence
from typing import Any

from mmoinv.loadtest.comparison import Report
from mmoinv.loadtest.report import TARGET_NAMES
from mmoinv.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    VIOLET,
    Axis,
    Curve,
    Plot,
    curve_plot,
    mark_plot,
)

Drawn = tuple[str, str, Plot]
"""Title, what one sees, plot."""

Lines = Sequence[tuple[str, str, str]]
"""Key, name, colour."""

SECONDS = Axis("seconds of play")
PERCENT_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99)
MS = Axis("ms", is_log=True)
PHASES = (("playing", "playing", BLUE), ("all_at_once", "all at once", ORANGE))
TIMES = (("p99", "p99", ORANGE), ("p50", "p50", BLUE), ("max", "slowest", GREY))
SIZES = (("mean", "mean", BLUE), ("max", "largest", GREY))


def at(report: Report, *keys: str) -> Any:
    """The value at these keys, None where an older or other file has none."""
    value: Any = report
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class RunPlots:
    """The plots of a run and, where it has the same, of an earlier one."""

    def __init__(self, report: Report, earlier: Report | None = None) -> None:
        self._report = report
        self._runs = [(report, False), *([(earlier, True)] if earlier is not None else [])]

    def of_round_trips(self) -> list[Drawn]:
        """Time from a save to its answer."""
        target = self._target("rtt_p99_ms")
        nines = Axis(
            "so many of the saves were quicker",
            ticks={_nines(tick): f"{tick:g} %" for tick in PERCENT_TICKS},
        )
        return [
            *_over(
                "Over time",
                "Each point sums up the saves answered in about a second.",
                self._by_second("rtt_ms", TIMES),
                SECONDS,
                MS,
                target,
            ),
            *_over(
                "Percentiles",
                "How long all but the slowest took; the target is for 99 %.",
                self._percentiles("rtt_ms"),
                nines,
                MS,
                target,
            ),
            *_spread(
                "Distribution",
                "Bins on a logarithmic scale, each 12 % wide.",
                self._histograms("rtt_ms"),
                MS,
                "% of the saves",
                target,
            ),
            *_over(
                "Saves answered",
                "A dip is a stall somewhere: the schedule does not wait for answers.",
                self._by_second("saves_per_s", (("mean", "saves/s", GREEN),)),
                SECONDS,
                Axis("saves/s"),
            ),
        ]

    def of_the_realm(self) -> list[Drawn]:
        """Transactions, groups and queues."""
        target = self._target("database_p99_ms")
        return [
            *_over(
                "Database transaction over time",
                "One transaction saves a whole group of operations.",
                self._by_second("database_ms", TIMES),
                SECONDS,
                MS,
                target,
            ),
            *_spread(
                "Database transaction, distribution",
                "Of both phases.",
                self._histograms("database_ms"),
                MS,
                "% of the transactions",
                target,
            ),
            *_over(
                "Group size over time",
                "Operations that one transaction saved: it grows with the load.",
                self._by_second("group_size", SIZES),
                SECONDS,
                Axis("operations"),
            ),
            *_spread(
                "Group size, distribution",
                "Everyone at once makes large groups, play makes small ones.",
                self._histograms("group_size"),
                Axis("operations in a group", is_log=True),
                "% of the groups",
            ),
            *_over(
                "Queue at the realm",
                "Operations that waited as a transaction began.",
                self._by_second(
                    "queue_depth", (("max", "deepest", VIOLET), ("mean", "mean", BLUE))
                ),
                SECONDS,
                Axis("operations"),
            ),
            *_over(
                "Saves without an answer yet",
                "At the world servers, wherever they are on their way.",
                self._by_second("unanswered", (("max", "most", PINK), ("mean", "mean", BLUE))),
                SECONDS,
                Axis("operations"),
            ),
        ]

    def of_the_wire(self) -> list[Drawn]:
        """Bytes of a save."""
        target = self._target("largest_save_bytes")
        return [
            *_over(
                "Bytes of a save over time",
                "Frame header included.",
                self._by_second("packet_bytes", SIZES),
                SECONDS,
                Axis("bytes"),
                target,
            ),
            *_spread(
                "Bytes of a save, distribution",
                "The target is for a save while playing, and for a whole inventory of 40 items.",
                self._histograms("packet_bytes"),
                Axis("bytes"),
                "% of the saves",
                target,
            ),
        ]

    # Curves

    def _target(self, name: str) -> tuple[str, float]:
        limit = float(self._report["targets"][name]["limit"])
        return f"target {limit:,.0f} {TARGET_NAMES[name][1]}", limit

    def _by_second(self, key: str, lines: Lines) -> list[Curve]:
        """The earlier run has its first line only, or the plot would be a tangle."""
        curves = []
        for report, is_earlier in self._runs:
            interval_s = at(report, "series", "interval_s")
            for figure, name, colour in lines[:1] if is_earlier else lines:
                values = at(report, "series", key, figure)
                if values and any(value is not None for value in values):
                    middle_s = [
                        round(interval_s * (place + 0.5), 3) for place in range(len(values))
                    ]
                    curves.append(_curve(name, middle_s, values, colour, is_earlier))
        return curves

    def _histograms(self, key: str) -> list[Curve]:
        """The share of each bin in %, as steps."""
        curves = []
        for report, is_earlier, phase, name, colour in self._phases():
            found = at(report, "distributions", phase, key)
            if found and (total := sum(found["counts"])):
                shares = [round(100 * count / total, 3) for count in found["counts"]]
                curves.append(
                    _curve(name, found["edges"], [*shares, 0.0], colour, is_earlier, is_steps=True)
                )
        return curves

    def _percentiles(self, key: str) -> list[Curve]:
        """Over the nines: 90 %, 99 % and 99.9 % are equally far apart."""
        curves = []
        for report, is_earlier, phase, name, colour in self._phases():
            found = at(report, "distributions", phase, key)
            if found and found["percent"]:
                places = [_nines(percent) for percent in found["percent"]]
                curves.append(_curve(name, places, found["value"], colour, is_earlier))
        return curves

    def _phases(self) -> list[tuple[Report, bool, str, str, str]]:
        return [(*run, *phase) for run in self._runs for phase in PHASES]


def _curve(
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    colour: str,
    is_earlier: bool,
    is_steps: bool = False,
) -> Curve:
    return Curve(
        f"{name}, then" if is_earlier else name,
        x,
        y,
        colour,
        is_earlier,
        is_filled=is_steps and not is_earlier,
        has_steps=is_steps,
    )


def _over(
    title: str,
    text: str,
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    target: tuple[str, float] | None = None,
) -> list[Drawn]:
    return [(title, text, curve_plot(curves, x, y, target))] if curves else []


def _spread(
    title: str,
    text: str,
    curves: Sequence[Curve],
    x: Axis,
    share: str,
    target: tuple[str, float] | None = None,
) -> list[Drawn]:
    return [(title, text, mark_plot(curves, x, Axis(share), target))] if curves else []


def _nines(percent: float) -> float:
    """0 for 0 %, 1 for 90 %, 2 for 99 %."""
    return round(-math.log10(1 - percent / 100), 4)
