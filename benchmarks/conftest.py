"""A benchmark run's end: ours beside the others, each figure beside its target and the last run.

``make bench`` keeps the figures in ``.benchmarks/last.json`` (those of the run before in
``previous.json``) and draws ``.benchmarks/report.html``. Every ratio comes from one and the same
run. Targets (targets.py) are printed as passed or failed; ``--require-targets`` (or
``MMOINV_REQUIRE_TARGETS=1``) makes a failed one fail the run.
"""

import os
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figures import Run, groups_of, judged, read_run, run_of, unmeasured
from servers.fixtures import (  # noqa: F401 (pytest finds them here)
    mariadb_server,
    mariadb_url,
    postgresql_server,
    postgresql_url,
)
from summary import keep, summary

CALLS = 1000
"""Calls in one round of a micro benchmark: pytest-benchmark's own call costs tens of ns."""

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".benchmarks"
KEPT = pytest.StashKey[dict[str, Any]]()


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


@pytest.fixture
def each(benchmark: Any) -> Callable[..., None]:
    """``each(group, way, count, statement, **names)`` is `compare` for a statement that does
    ``count`` of them in one call: the time is that of one."""

    def measured(group: str, way: str, count: int, statement: str, **names: Any) -> None:
        calls = max(1, CALLS // count)
        benchmark.group = group
        benchmark.extra_info.update(way=way, calls=calls * count)
        timer = timeit.Timer(statement, globals=names)
        benchmark(timer.timeit, calls)

    return measured


@pytest.hookimpl
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Every single round would make some megabytes of it."""
    for entry in output_json["benchmarks"]:
        entry["stats"].pop("data", None)
    config.stash[KEPT] = output_json


def measured_run(config: pytest.Config) -> Run:
    """What was measured, also if no JSON was asked for."""
    if KEPT in config.stash:
        return run_of(config.stash[KEPT])
    session = getattr(config, "_benchmarksession", None)
    marks = [mark for mark in getattr(session, "benchmarks", []) if mark.stats.data]
    return Run(groups_of(mark.as_dict(include_data=False) for mark in marks))


def is_whole(config: pytest.Config) -> bool:
    """Whether everything ran and nothing failed: only then it is worth comparing with."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    run = {Path(report.fspath).name for report in reporter.stats.get("passed", [])}
    left_out = any(reporter.stats.get(kind) for kind in ("failed", "error", "deselected"))
    return (
        not left_out
        and not any("::" in argument for argument in config.args)
        and run >= {path.name for path in HERE.glob("test_*.py")}
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--require-targets"):
        return
    run = measured_run(session.config)
    missed = [one for one in judged(run) if not one.is_met]
    absent = unmeasured(run) if is_whole(session.config) else []
    if session.exitstatus == 0 and (missed or absent):
        session.exitstatus = 1


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    run = measured_run(config)
    if not run.groups:
        return
    before = read_run(FOLDER / "last.json")
    lines = summary(run, before, is_whole(config))
    if KEPT in config.stash:
        written = Path(config.getoption("benchmark_json"))
        FOLDER.mkdir(exist_ok=True)
        lines += keep(FOLDER, written, run, before, is_whole(config))
    terminalreporter.section("ours beside the others, one call each")
    for line in lines:
        colours = {} if line.is_good is None else {"green": line.is_good, "red": not line.is_good}
        terminalreporter.write_line(line.text, **colours)
