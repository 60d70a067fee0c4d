"""Plots: curves over an axis, distributions, lying bars, each with its targets drawn in.

Colours of texts and grids are the page's. Knows nothing of pages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# All can be told apart on white and on black, and by most of those who see colours differently.
BLUE, ORANGE, GREEN, VIOLET, PINK, GREY = COLOURS = (
    "#3b82f6",
    "#e08a00",
    "#10a37f",
    "#8b5cf6",
    "#db4b8a",
    "#8793a5",
)
TARGET_COLOUR = "#e5484d"
EARLIER_OPACITY = 0.45
NUMBER = ",.4~r"
"""How plotly writes a figure: four digits, no exponent."""

Plot = Any
"""A plotly figure; plotly has no types."""


@dataclass(frozen=True)
class Curve:
    """One line of a plot. ``is_earlier`` is drawn pale and dashed: the run before. With
    ``has_steps`` each y holds from its x to the next one."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str = BLUE
    is_earlier: bool = False
    is_filled: bool = False
    has_steps: bool = False


@dataclass(frozen=True)
class Bars:
    """One bar for each category of a plot, None for no bar. ``is_earlier`` is drawn pale."""

    name: str
    values: Sequence[float | None]
    colour: str = BLUE
    is_earlier: bool = False


@dataclass(frozen=True)
class Axis:
    """``ticks`` replaces the numbers by texts."""

    title: str
    is_log: bool = False
    ticks: Mapping[float, str] | None = None


@dataclass(frozen=True)
class Marks:
    """Targets of a bar plot: one value for each category, None where there is none."""

    name: str
    values: Sequence[float | None]


def curve_plot(
    curves: Sequence[Curve], x: Axis, y: Axis, target: tuple[str, float] | None = None
) -> Plot:
    """Lines over a common axis; ``target`` is a name and the y that it lies at."""
    from plotly import graph_objects as go

    figure = _figure(x, y, height=320)
    for curve in curves:
        figure.add_trace(
            go.Scatter(
                name=curve.name,
                x=list(curve.x),
                y=list(curve.y),
                mode="lines" if len(curve.x) > 1 else "markers",
                fill="tozeroy" if curve.is_filled else None,
                line={
                    "color": _pale(curve.colour) if curve.is_earlier else curve.colour,
                    "width": 2,
                    "dash": "dash" if curve.is_earlier else "solid",
                    "shape": "hv" if curve.has_steps else "linear",
                },
                hovertemplate=f"%{{y:{NUMBER}}}",
            )
        )
    if target is not None:
        name, value = target
        reach = [place for curve in curves for place in curve.x]
        if reach:
            figure.add_trace(_target(name, [min(reach), max(reach)], [value, value]))
    figure.update_layout(hovermode="x unified")
    if x.is_log:
        figure.update_xaxes(_log_ticks([place for curve in curves for place in curve.x]))
    if y.is_log:
        figure.update_yaxes(_log_ticks([place for trace in figure.data for place in trace.y]))
    return figure


def mark_plot(
    curves: Sequence[Curve], x: Axis, y: Axis, target: tuple[str, float] | None = None
) -> Plot:
    """The same, with the target at an x: for distributions."""
    figure = curve_plot(curves, x, y)
    heights = [value for curve in curves for value in curve.y if value is not None]
    if target is not None and heights:
        name, value = target
        figure.add_trace(_target(name, [value, value], [0, max(heights)]))
    return figure


def bar_plot(
    categories: Sequence[str], bars: Sequence[Bars], value: Axis, marks: Marks | None = None
) -> Plot:
    """Lying bars, the first category on top, each set of `Bars` beside the other."""
    from plotly import graph_objects as go

    # Long names would leave a phone no room for the bars.
    categories = [category.replace(": ", ":<br>") for category in categories]
    rows = sum(any(one is not None for one in bar.values) for bar in bars)
    figure = _figure(value, Axis(""), height=100 + len(categories) * (14 + 18 * max(1, rows)))
    for bar in bars:
        figure.add_trace(
            go.Bar(
                name=bar.name,
                y=list(categories),
                x=list(bar.values),
                orientation="h",
                marker={"color": _pale(bar.colour) if bar.is_earlier else bar.colour},
                texttemplate=f"%{{x:{NUMBER}}}",
                textposition="outside",
                textfont={"size": 11},
                cliponaxis=False,
                hovertemplate=f"%{{y}}, %{{fullData.name}}: %{{x:{NUMBER}}}<extra></extra>",
            )
        )
    if marks is not None and any(one is not None for one in marks.values):
        figure.add_trace(
            go.Scatter(
                name=marks.name,
                y=list(categories),
                x=list(marks.values),
                mode="markers",
                marker={
                    "symbol": "line-ns",
                    "size": 18,
                    "line": {"color": TARGET_COLOUR, "width": 3},
                },
                hovertemplate=f"%{{y}}, target: %{{x:{NUMBER}}}<extra></extra>",
            )
        )
    shown = [one for trace in figure.data for one in trace.x if one]
    if shown and value.is_log:
        # Room for the texts behind the bars, and a bar for the smallest.
        low, high = math.log10(min(shown)) - 0.3, math.log10(max(shown)) + 0.5
        figure.update_xaxes(range=[low, high], **_log_ticks(shown))
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _figure(x: Axis, y: Axis, height: int) -> Plot:
    from plotly import graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 12, "b": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
    )
    for update, axis in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        update(
            title={"text": axis.title, "standoff": 8},
            type="log" if axis.is_log else "linear",
            automargin=True,
            zeroline=False,
            rangemode="normal" if axis.is_log else "tozero",
        )
        if axis.ticks is not None:
            update(tickvals=list(axis.ticks), ticktext=list(axis.ticks.values()))
    # The categories of bars have a type of their own.
    if not y.title:
        figure.update_yaxes(type="category")
    return figure


def _log_ticks(values: Sequence[float | None]) -> dict[str, Any]:
    """Whole numbers at 1, 2 and 5, over more than two decades at 1."""
    shown = [value for value in values if value]
    if not shown:
        return {}
    low, high = math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown)))
    steps = (1, 2, 5) if math.log10(max(shown) / min(shown)) <= 2 else (1,)
    ticks = [step * 10.0**decade for decade in range(low, high + 1) for step in steps]
    return {"tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{EARLIER_OPACITY})"


def _target(name: str, x: list[float], y: list[float]) -> Any:
    from plotly import graph_objects as go

    return go.Scatter(
        name=name,
        x=x,
        y=y,
        mode="lines",
        line={"color": TARGET_COLOUR, "width": 2, "dash": "dot"},
        hoverinfo="skip",
    )
