"""What came of a rehearsal, for people: on a terminal, and as a page that needs nothing else.

Both are made from the same plain values. Knows no database.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmoinv.migration.report import status_lines
from mmoinv.migration.report_page import draw_evidence
from mmoinv.plots import BLUE, GREEN, ORANGE, PINK, Axis, Badge, Bars, Page, bar_plot
from mmoinv.rehearsal.result import COUNTED, RehearsalReport

Values = Mapping[str, Any]
"""A report as JSON holds it."""

DRAWN = (("commits", BLUE), ("compared", GREEN), ("missed", ORANGE), ("diverged", PINK))
"""What a bar is drawn for, in each step."""


def report_lines(report: RehearsalReport) -> Iterator[str]:
    """The whole report, below what was shown while it ran."""
    values = report.as_json()
    for run in values["runs"]:
        yield ""
        yield f"What was seen on {run['database']}"
        for step in run["steps"]:
            yield from (f"  {step['title']}: {text}" for text in step["seen"])
        if run["planted_bug"]:
            yield ""
            yield "The planted bug, as the comparison names it"
            yield from (f"  {line}" for line in run["planted_bug"])
        if run["evidence"]:
            yield ""
            yield "The evidence of the move, without the planted bug"
            # By its end the judged modes are over: the verdicts stand in the steps.
            lines = status_lines({**run["evidence"], "verdicts": {}})
            yield from (f"  {line}".rstrip() for line in lines)
    yield ""
    yield from _verdict_lines(values)


def _verdict_lines(values: Values) -> Iterator[str]:
    for text in values["left_out"]:
        yield f"NOT REHEARSED: {text}"
    for run in values["runs"]:
        if run["passed"]:
            yield f"{run['database']}: passed, nothing lost, nothing doubled."
            continue
        yield f"{run['database']}: FAILED"
        for step in run["steps"]:
            yield from (f"  {step['title']}: {text}" for text in step["problems"])
        if run["folder"]:
            yield f"  what is needed to look into it is in {run['folder']}"


def report_page(report: RehearsalReport, command: str) -> str:
    """The same as a page; ``command`` is what someone typed."""
    values = report.as_json()
    badge = Badge("passed", "good") if values["passed"] else Badge("FAILED", "bad")
    page = Page("mmoinv: rehearsal of a move", badge)
    page.paragraph(
        "Simulated players went through all steps of a move on throw-away databases, while either "
        "side was made to fail. What each of them owns was held to both databases after every step."
    )
    page.command(command)
    for text in values["left_out"]:
        page.paragraph(f"Not rehearsed: {text}", is_loud=True)
    for run in values["runs"]:
        _draw_run(page, run)
    return page.html()


def _draw_run(page: Page, run: Values) -> None:
    page.heading(f"On {run['database']}: {'passed' if run['passed'] else 'FAILED'}")
    for step in run["steps"]:
        for text in step["problems"]:
            page.paragraph(f"{step['title']}: {text}", is_loud=True)
    if run["folder"]:
        page.paragraph(f"What is needed to look into it is in {run['folder']}.", is_loud=True)
    played = [step for step in run["steps"] if step["seconds"]]
    page.table(
        ("step", "", "seconds", *COUNTED),
        [
            (
                step["title"],
                Badge("ok", "good") if step["passed"] else Badge("FAILED", "bad"),
                f"{step['seconds']:.1f}",
                *(f"{step['counts'][name]:,}" for name in COUNTED),
            )
            for step in played
        ],
    )
    if played:
        page.plots(
            (
                "What happened in each step",
                "Commits of players, comparisons of both sides, what the side that follows missed "
                "while it was made to fail, and what differed.",
                bar_plot(
                    [step["title"] for step in played],
                    [
                        Bars(name, [step["counts"][name] or None for step in played], colour)
                        for name, colour in DRAWN
                    ],
                    Axis("how often"),
                ),
            )
        )
    page.heading(f"What was seen on {run['database']}")
    for step in played:
        for text in step["seen"]:
            page.paragraph(f"{step['title']}: {text}")
    if run["planted_bug"]:
        page.heading("The planted bug, as the comparison names it")
        page.command("\n".join(run["planted_bug"]))
    if run["evidence"]:
        page.heading(f"The evidence of the move on {run['database']}, without the planted bug")
        draw_evidence(page, run["evidence"])
