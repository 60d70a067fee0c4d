"""Pages with plots, and the only package that imports plotly (the extra ``report``).

Knows neither load tests nor benchmarks: what is drawn, and what it means, is for its callers to
say.
"""

from mmoinv.plots.charts import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    VIOLET,
    Axis,
    Bars,
    Curve,
    Marks,
    Plot,
    bar_plot,
    curve_plot,
    mark_plot,
)
from mmoinv.plots.page import Badge, Cell, Page, require_plotly

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "VIOLET",
    "Axis",
    "Badge",
    "Bars",
    "Cell",
    "Curve",
    "Marks",
    "Page",
    "Plot",
    "bar_plot",
    "curve_plot",
    "mark_plot",
    "require_plotly",
]
