"""Histograms, percentile curves and figures by the second lose nothing and mix nothing up."""

import numpy as np
import pytest

from mmoinv.loadtest.measures import Measures, Samples
from mmoinv.loadtest.series import (
    BYTE_EDGES,
    COUNT_EDGES,
    MS_EDGES,
    by_second,
    distributions,
    histogram,
    percentile_curve,
)


def samples(*figures: float) -> Samples:
    result = Samples()
    result.extend(figures)
    return result


def test_every_figure_has_its_moment():
    mixed = Samples()
    mixed.extend([1.0, 2.0], 5.0)
    mixed.extend([3.0, 4.0], [6.0, 7.0])
    assert mixed.moments_s().tolist() == [5.0, 5.0, 6.0, 7.0]
    with pytest.raises(ValueError, match="broadcast"):
        mixed.extend([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize("edges", [MS_EDGES, BYTE_EDGES, COUNT_EDGES])
def test_bins_rise(edges):
    assert (np.diff(edges) > 0).all()


def test_a_histogram_counts_every_figure_in_its_bin():
    found = histogram(samples(1.0, 1.0, 5.0, 1e9, 0.0), MS_EDGES)
    assert sum(found["counts"]) == 5
    assert len(found["edges"]) == len(found["counts"]) + 1
    # What is out of range is in the outermost bins.
    assert (found["counts"][0], found["counts"][-1]) == (1, 1)
    place = next(i for i, count in enumerate(found["counts"]) if count == 2)
    assert found["edges"][place] <= 1.0 < found["edges"][place + 1]


def test_a_histogram_is_cut_to_what_is_in_use():
    assert histogram(samples(3.0), COUNT_EDGES) == {"edges": [3.0, 4.0], "counts": [1]}
    assert histogram(samples(), COUNT_EDGES) == {"edges": [], "counts": []}


def test_percentiles_end_where_one_figure_would_decide():
    found = percentile_curve(samples(*range(1, 1001)))
    assert max(found["percent"]) == 99.9
    assert found["value"] == sorted(found["value"])
    assert percentile_curve(samples(7.0)) == {"percent": [0.0], "value": [7.0]}
    assert percentile_curve(samples()) == {"percent": [], "value": []}


def test_figures_by_the_second():
    play = Measures()
    # Out of order, as worlds report them; one before the start, one after the end.
    play.rtt_ms.extend([30.0, 10.0, 20.0, 5.0, 50.0], [102.5, 100.2, 100.9, 99.0, 103.4])
    play.group_size.extend([4.0, 2.0], 101.5)
    found = by_second(play, 100.0, 3.0)
    assert found["interval_s"] == 1.0
    assert found["saves_per_s"]["mean"] == [3.0, 0.0, 2.0]
    assert found["rtt_ms"]["max"] == [20.0, None, 50.0]
    assert found["rtt_ms"]["p50"] == [10.0, None, 40.0]
    assert found["group_size"] == {"mean": [None, 3.0, None], "max": [None, 4.0, None]}
    assert found["database_ms"]["p99"] == [None, None, None]


@pytest.mark.parametrize(("played_s", "intervals"), [(0.2, 1), (1.4, 1), (1.6, 2), (20.3, 20)])
def test_intervals_are_equally_long(played_s, intervals):
    play = Measures()
    play.rtt_ms.extend([1.0, 1.0], [0.0, played_s])
    found = by_second(play, 0.0, played_s)
    assert len(found["saves_per_s"]["mean"]) == intervals
    assert found["interval_s"] * intervals == pytest.approx(played_s, rel=1e-4)
    assert sum(found["saves_per_s"]["mean"]) * found["interval_s"] == pytest.approx(2, rel=1e-3)


def test_a_phase_without_figures():
    assert set(distributions(Measures())) == {
        "rtt_ms",
        "database_ms",
        "packet_bytes",
        "group_size",
    }
