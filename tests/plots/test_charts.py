"""Plots hold what they were given: values, targets, the run before."""

import pytest

from mmoinv.plots import Axis, Bars, Curve, Marks, bar_plot, curve_plot, mark_plot

LOG, LINEAR = Axis("ms", is_log=True), Axis("s")


def traces(plot) -> dict[str, dict]:
    return {trace["name"]: trace for trace in plot.to_dict()["data"]}


def test_curves_and_their_target():
    plot = curve_plot(
        [Curve("now", [0, 9], [1, None]), Curve("then", [0, 12], [2, 3], is_earlier=True)],
        LINEAR,
        LOG,
        ("target", 100.0),
    )
    found = traces(plot)
    assert found["now"]["y"] == [1, None]
    assert found["then"]["line"]["dash"] == "dash"
    assert (found["target"]["x"], found["target"]["y"]) == ([0, 12], [100.0, 100.0])
    assert plot.layout.yaxis.type == "log"
    assert plot.layout.xaxis.type == "linear"
    assert plot.layout.yaxis.title.text == "ms"


def test_a_single_point_is_seen():
    assert traces(curve_plot([Curve("now", [1], [1])], LINEAR, LOG))["now"]["mode"] == "markers"


def test_a_distribution_has_its_target_upright():
    plot = mark_plot([Curve("now", [1, 2], [30, 0], has_steps=True)], LOG, LINEAR, ("target", 5.0))
    found = traces(plot)
    assert (found["target"]["x"], found["target"]["y"]) == ([5.0, 5.0], [0, 30])
    assert found["now"]["line"]["shape"] == "hv"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([3, 40], ["2", "5", "10", "20"]), ([0.2, 0.6], ["0.2", "0.5"]), ([10, 1e5], ["10", "1,000"])],
)
def test_ticks_of_a_logarithmic_axis(values, ticks):
    axis = curve_plot([Curve("now", [1, 2], values)], LINEAR, LOG).layout.yaxis
    assert set(ticks) <= set(axis.ticktext)
    assert ("20,000" in axis.ticktext) is False
    assert len(axis.tickvals) == len(axis.ticktext)


def test_bars_with_marks():
    plot = bar_plot(
        ["a", "b"],
        [Bars("ours", [1.0, None]), Bars("before", [2.0, 3.0], is_earlier=True)],
        LOG,
        Marks("targets", [4.0, None]),
    )
    found = traces(plot)
    assert found["ours"]["x"] == [1.0, None]
    assert found["ours"]["y"] == ["a", "b"]
    assert found["targets"]["x"] == [4.0, None]
    assert found["ours"]["marker"]["color"] != found["before"]["marker"]["color"]
    low, high = plot.layout.xaxis.range
    assert low < 0 < 0.7 < high
    assert plot.layout.yaxis.autorange == "reversed"


@pytest.mark.parametrize("bars", [[], [Bars("ours", [])], [Bars("ours", [None])]])
def test_nothing_to_draw(bars):
    assert bar_plot(["a"][: len(bars)], bars, LOG, Marks("targets", [])).to_json()
    assert curve_plot([], LOG, LOG, ("target", 1.0)).to_json()
    assert mark_plot([], LOG, LOG, ("target", 1.0)).to_json()
