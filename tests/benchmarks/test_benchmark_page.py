"""The page of a benchmark run holds every figure, target and the run before."""

import re

import pytest
from benchmark_page import benchmark_page
from documents import JOB, document
from figures import run_of


def page(now: dict, then: dict | None = None) -> str:
    from plotly.offline import get_plotlyjs

    html = benchmark_page(run_of(now), run_of(then) if then else None).html()
    return html.replace(get_plotlyjs(), "")


def test_every_figure_and_target_is_there():
    html = page(document(rtt_p99_ms=123.0))
    for text in ("encode 25 items: msgspec", f"{JOB}: rtt_p99_ms", "15.0x", "123 ms", "A CPU"):
        assert text in html
    assert "1 of 2 targets met" in html
    assert "<span class='badge bad'>FAILED</span>" in html
    assert "a-name-nobody-needs" not in html
    for title in ("Encode", "Main job", "Time", "Ratio", "All figures"):
        assert f">{title}</h" in html
    assert '"name":"ours must be below"' in html


def test_the_run_before_is_beside_it():
    html = page(document(msgspec_ns=1000), document(msgspec_ns=2000))
    assert '"name":"then"' in html
    assert '"name":"ours, then"' in html
    assert "ours/msgspec then 20.0x, now 10.0x" in html
    assert '"name":"then"' not in page(document())


def test_a_run_before_with_other_groups():
    then = document()
    then["benchmarks"] = then["benchmarks"][2:3]
    assert "n/a" in page(document(), then)


@pytest.mark.parametrize("left", [0, 1])
def test_little_was_measured(left):
    now = document()
    now["benchmarks"] = now["benchmarks"][:left]
    assert re.search(r"\d of \d targets met", page(now))
