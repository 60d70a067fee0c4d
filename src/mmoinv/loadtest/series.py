"""What plots need of a run's samples, small enough for a JSON file: figures by the second,
histograms on fixed bins, and percentile curves.

The bins are the same in every run, so two runs can be laid over one another. Knows samples, and
nothing of plots.
"""

from typing import Any

import numpy as np

from mmoinv.loadtest.measures import Figures, Measures, Samples, rounded

BINS_PER_DECADE = 20
MS_EDGES = np.round(10.0 ** (np.arange(-2 * BINS_PER_DECADE, 5 * BINS_PER_DECADE + 1) / 20), 5)
"""0.01 ms to 100 s, each bin 12 % wider than the one before."""
BYTE_EDGES = np.arange(0.0, 4097.0, 16.0)
COUNT_EDGES = np.unique(np.round(10.0 ** (np.arange(5 * BINS_PER_DECADE + 1) / 20)))
"""1, 2, 3, ... 10, 11, 13, 14 ... 100,000."""

CURVE_PERCENTS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99)


def histogram(samples: Samples, edges: Figures) -> dict[str, list[float]]:
    """``{"edges": [n + 1], "counts": [n]}``, cut to the bins in use; both empty without figures.

    Bin i holds ``edges[i] <= figure < edges[i + 1]``. What is below the first bin or above the
    last is counted there.
    """
    if not samples.count:
        return {"edges": [], "counts": []}
    values = np.clip(samples.values(), edges[0], edges[-1])
    counts, _ = np.histogram(values, edges)
    used = np.flatnonzero(counts)
    first, last = used[0], used[-1] + 1
    return {"edges": edges[first : last + 1].tolist(), "counts": counts[first:last].tolist()}


def percentile_curve(samples: Samples) -> dict[str, list[float]]:
    """``{"percent": [...], "value": [...]}``; ends where the largest figure alone would decide."""
    percents = [
        percent for percent in CURVE_PERCENTS if samples.count * round(100 - percent, 3) >= 100
    ] or [50] * bool(samples.count)
    values = np.percentile(samples.values(), percents) if percents else np.empty(0)
    return {
        "percent": [float(percent) for percent in percents],
        "value": [round(float(value), 3) for value in values],
    }


def by_second(measures: Measures, start_s: float, played_s: float) -> dict[str, Any]:
    """Figures over time: each list has one entry an interval of ``interval_s`` (about a second;
    all are equally long), None where nothing was measured.

    ``start_s`` is the monotonic moment at which the play began. A round trip belongs to the
    moment of its answer, all else to the report of the process that measured it, which is sent
    every quarter of a second.
    """
    intervals = max(1, round(played_s))
    interval_s = max(played_s, 1e-9) / intervals
    ends_s = interval_s * np.arange(1, intervals)

    def summed_up(samples: Samples, *figures: str) -> dict[str, list[float | None]]:
        index = np.searchsorted(ends_s, samples.moments_s() - start_s, side="right")
        order = np.argsort(index, kind="stable")
        cuts = np.searchsorted(index[order], np.arange(1, intervals))
        parts = np.split(samples.values()[order], cuts)
        return {figure: [_summary(part, figure) for part in parts] for figure in figures}

    saves = [count or 0 for count in summed_up(measures.rtt_ms, "count")["count"]]
    return {
        "interval_s": rounded(interval_s, 6),
        "saves_per_s": {"mean": [rounded(count / interval_s) for count in saves]},
        "rtt_ms": summed_up(measures.rtt_ms, "p50", "p99", "max"),
        "database_ms": summed_up(measures.database_ms, "p50", "p99", "max"),
        "packet_bytes": summed_up(measures.packet_bytes, "mean", "max"),
        "packet_us": summed_up(measures.packet_us, "p50", "p99"),
        "group_size": summed_up(measures.group_size, "mean", "max"),
        "queue_depth": summed_up(measures.queue_depth, "mean", "max"),
        "unanswered": summed_up(measures.unanswered, "mean", "max"),
    }


def _summary(part: Figures, figure: str) -> float | None:
    if not len(part):
        return None
    if figure == "count":
        return len(part)
    if figure.startswith("p"):
        return rounded(float(np.percentile(part, float(figure[1:]))))
    return rounded(float(part.mean() if figure == "mean" else part.max()))


def distributions(measures: Measures) -> dict[str, Any]:
    """The histograms of one phase, and the percentile curves of its times."""
    return {
        "rtt_ms": histogram(measures.rtt_ms, MS_EDGES) | percentile_curve(measures.rtt_ms),
        "database_ms": histogram(measures.database_ms, MS_EDGES)
        | percentile_curve(measures.database_ms),
        "packet_bytes": histogram(measures.packet_bytes, BYTE_EDGES),
        "group_size": histogram(measures.group_size, COUNT_EDGES),
    }
