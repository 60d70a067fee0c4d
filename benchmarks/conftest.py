"""The summary at a benchmark run's end: ours beside the others, and each figure beside its target.

Every ratio comes from one and the same run. Targets are printed as passed or failed;
``--require-targets`` (or ``MMOINV_REQUIRE_TARGETS=1``) makes a failed one fail the run.
"""

import os
import timeit
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

CALLS = 1000
"""Calls in one round of a micro benchmark: pytest-benchmark's own call costs tens of ns."""

RATIO_TARGETS = {
    ("encode 25 items", "msgspec"): 15.0,
    ("encode 25 items", "struct"): 40.0,
    ("diff 25 items, 3 changes", "numpy"): 20.0,
}
"""How many times faster than another way ours must be."""

LIMIT_TARGETS = {"rtt_p99_ms": 100.0}
"""Figures of the main job's benchmarks, and what they must stay below."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-targets",
        action="store_true",
        default=os.environ.get("MMOINV_REQUIRE_TARGETS") == "1",
        help="fail the run if a target is missed",
    )


def pytest_report_header(config: pytest.Config) -> str:
    from mmoinv.codec import CODEC

    return f"codec: {CODEC}" + ("" if CODEC == "compiled" else " - THE FIGURES ARE THE TWIN'S")


@pytest.fixture
def compare(benchmark: Any) -> Callable[..., None]:
    """``compare(group, way, statement, **names)`` times a statement as one way of a group."""

    def measured(group: str, way: str, statement: str, **names: Any) -> None:
        benchmark.group = group
        benchmark.extra_info.update(way=way, calls=CALLS)
        timer = timeit.Timer(statement, globals=names)
        benchmark(timer.timeit, CALLS)

    return measured


def nanoseconds(mark: Any) -> float:
    """One call of a micro benchmark, from the quickest round: the noise only ever adds."""
    return float(mark.stats.min) * 1e9 / mark.extra_info["calls"]


Line = tuple[str, list[bool]]
"""What is shown, and of each target in it whether it is met."""


def ratio_lines(marks: list[Any]) -> list[Line]:
    """One line a group."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for mark in marks:
        if "way" in mark.extra_info:
            groups[mark.group][mark.extra_info["way"]] = nanoseconds(mark)
    lines: list[Line] = []
    for group, ways in groups.items():
        if "ours" not in ways:
            continue
        text = f"{group:<34} ours {ways['ours']:>9,.0f} ns"
        met = []
        for way, took in ways.items():
            if way == "ours":
                continue
            ratio = took / ways["ours"]
            text += f"   {way} {took:,.0f} ns = {ratio:.1f}x"
            target = RATIO_TARGETS.get((group, way))
            if target is not None:
                text += f" (target {target:.0f}x: {'pass' if ratio >= target else 'FAIL'})"
                met.append(ratio >= target)
        lines.append((text, met))
    return lines


def limit_lines(marks: list[Any]) -> list[Line]:
    """One line a figure of the main job."""
    lines: list[Line] = []
    for mark in marks:
        for name, limit in LIMIT_TARGETS.items():
            if name in mark.extra_info:
                figure = mark.extra_info[name]
                verdict = "pass" if figure < limit else "FAIL"
                others = ", ".join(
                    f"{key} {value}" for key, value in mark.extra_info.items() if key != name
                )
                lines.append(
                    (
                        f"{mark.name}: {name} {figure} (target < {limit:.0f}: {verdict}); {others}",
                        [figure < limit],
                    )
                )
    return lines


def verdicts(config: pytest.Config) -> list[Line]:
    """Everything that was measured, line by line."""
    session = getattr(config, "_benchmarksession", None)
    marks = [mark for mark in getattr(session, "benchmarks", []) if mark.stats.data]
    return ratio_lines(marks) + limit_lines(marks)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--require-targets"):
        return
    met = [one for _, targets in verdicts(session.config) for one in targets]
    if session.exitstatus == 0 and not all(met):
        session.exitstatus = 1


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = verdicts(config)
    if not lines:
        return
    terminalreporter.section("ours beside the others, one call each")
    for text, targets in lines:
        colours = {"green": all(targets), "red": not all(targets)} if targets else {}
        terminalreporter.write_line(text, **colours)
    met = [one for _, targets in lines for one in targets]
    terminalreporter.write_line(f"{sum(met)} of {len(met)} targets met")
