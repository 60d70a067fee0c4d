"""The HTML report holds every figure, of both runs, and whatever was measured is drawn."""

import copy
import json
import re

from runs import measures, run
from test_comparison import old

from mmoinv.loadtest.comparison import FIGURES, Comparison
from mmoinv.loadtest.measures import Measures
from mmoinv.loadtest.report import TARGET_NAMES, as_json
from mmoinv.loadtest.report_page import report_page
from mmoinv.loadtest.settings import LoadTestSettings

PLOTS = (
    "Over time",
    "Percentiles",
    "Distribution",
    "Saves answered",
    "Group size over time",
    "Queue at the realm",
    "Bytes of a save over time",
)


def without_library(page: str) -> str:
    from plotly.offline import get_plotlyjs

    assert page.count(get_plotlyjs()) == 1
    return page.replace(get_plotlyjs(), "")


def drawn(page: str) -> list[dict]:
    """The plots of a page, as plotly is given them."""
    (found,) = re.findall(r"^\[(\{.*\})\]\.forEach", without_library(page), re.M | re.S)
    return json.loads(f"[{found}]")


def test_what_stands_on_top():
    settings = LoadTestSettings(players=2, worlds=1, command="mmoinv loadtest --seed '<7>'")
    report = as_json(run(settings=settings))
    page = report_page(report)
    for text in (*(TARGET_NAMES[name][0] for name in report["targets"]), "passed", "none lost"):
        assert text in page
    assert "mmoinv loadtest --seed &#x27;&lt;7&gt;&#x27;" in page
    for fact in ("cpu", "cores", "python", "codec", "seed", "world servers"):
        assert f"<dt>{fact}</dt>" in page


def test_every_figure_is_there():
    page = without_library(report_page(as_json(run())))
    for figure in FIGURES:
        assert f"<td>{figure.label}</td>" in page
    for title in PLOTS:
        assert f"<h3>{title}</h3>" in page


def test_what_the_players_did():
    page = without_library(report_page(as_json(run())))
    assert "What the players did" in page
    assert "<td>loot</td><td>1,234</td><td>1</td><td>20.0</td><td>29.8</td>" in page


def test_targets_are_drawn():
    targets = [
        trace["y"]
        for plot in drawn(report_page(as_json(run())))
        for trace in plot["data"]
        if trace["name"] == "target 100 ms"
    ]
    assert [100.0, 100.0] in targets
    assert len(targets) == 3


def test_a_missed_target_is_seen():
    page = report_page(as_json(run(play=measures(rtt_ms=(101.0,)))))
    assert "<span class='badge bad'>FAILED</span>" in page


def test_both_runs_are_drawn():
    then, now = as_json(run(play=measures(rtt_ms=(123.0,)))), as_json(run())
    page = report_page(now, Comparison(then, now))
    names = [trace["name"] for plot in drawn(page) for trace in plot["data"]]
    for name in ("p99, then", "playing, then", "saves/s, then", "mean, then", "then", "now"):
        assert name in names
    assert "123 ms" in page
    assert "<span class='badge good'>better</span>" in page
    alone = [trace["name"] for plot in drawn(report_page(now)) for trace in plot["data"]]
    assert not [name for name in alone if "then" in name]


def test_an_earlier_run_of_another_format_or_test():
    now = as_json(run())
    page = report_page(now, Comparison(old(now) | {"players": 9}, now))
    assert "players 9 then, 2 now" in page
    assert not [trace for plot in drawn(page) for trace in plot["data"] if "p99, then" in trace]
    broken = copy.deepcopy(now) | {"targets": 7, "series": [], "distributions": None}
    assert report_page(now, Comparison(broken, now))


def test_nothing_is_drawn_of_what_was_not_measured():
    settings = LoadTestSettings(players=2, worlds=1, realm_host="127.0.0.1")
    empty = run(settings=settings, play=Measures(), all_at_once=Measures(), packet_bytes_of={})
    page = report_page(as_json(empty))
    assert "<h3>" in page
    assert "Queue at the realm" not in page
    assert "n/a" in page
