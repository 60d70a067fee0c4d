"""A page needs nothing from elsewhere, escapes what it shows, and draws what it is given."""

import json
import re
from html.parser import HTMLParser

import pytest

from mmoinv.plots import Axis, Badge, Curve, Page, curve_plot

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


def page() -> Page:
    result = Page("A title", Badge("passed", "good"))
    result.heading("heading")
    result.paragraph("quiet")
    result.paragraph("loud", is_loud=True)
    result.command("mmoinv")
    result.facts(("group", {"key": 1}))
    result.table(("a", "b"), [("x", Badge("y", "bad"))])
    curve = Curve("curve", [1, 2], [3, 4])
    result.plots(("first", "text", curve_plot([curve], Axis("x"), Axis("y"))))
    result.plots(("second", "text", curve_plot([curve], Axis("x"), Axis("y"))))
    return result


class References(HTMLParser):
    """Everything by which a browser would fetch something, and every open element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                self.found.append(f"{tag} {name}={value}")
            if name == "style" and "url(" in (value or ""):
                self.found.append(f"{tag} {value}")


def without_library(html: str) -> str:
    from plotly.offline import get_plotlyjs

    assert html.count(get_plotlyjs()) == 1
    return html.replace(get_plotlyjs(), "")


def test_nothing_comes_from_elsewhere():
    html = page().html()
    assert References(html).found == []
    ours = without_library(html)
    assert not re.findall(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|import\(", ours)
    # And if the library tried, the browser would refuse.
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', ours)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "http" not in policy[1]


def test_a_page_for_phones_in_light_and_dark():
    html = page().html()
    assert 'name="viewport" content="width=device-width' in html
    assert "prefers-color-scheme: dark" in html


def test_the_parts_are_in_order():
    html = without_library(page().html())
    parts = ["A title", "passed", "heading", "quiet", "loud", "mmoinv", "key", ">x<", "first"]
    places = [html.index(part, html.index("<main>")) for part in parts]
    assert places == sorted(places)


def test_texts_are_escaped():
    result = Page(HOSTILE, Badge(HOSTILE, HOSTILE))
    result.heading(HOSTILE)
    result.paragraph(HOSTILE)
    result.command(HOSTILE)
    result.facts((HOSTILE, {HOSTILE: HOSTILE}))
    result.table((HOSTILE,), [(HOSTILE,), (Badge(HOSTILE),)])
    curve = Curve(HOSTILE, [1, 2], [3, 4])
    result.plots((HOSTILE, HOSTILE, curve_plot([curve], Axis(HOSTILE), Axis("y"))))
    found = References(result.html())
    assert "img" not in found.tags
    assert found.tags.count("script") == 2


def test_a_page_without_plots_needs_no_library():
    assert "<script" not in Page("plain").html()


def test_plots_have_their_places():
    html = without_library(page().html())
    assert re.findall(r"id=(plot-\d+)", html) == ["plot-0", "plot-1"]
    (data,) = re.findall(r"^\[(\{.*\})\]\.forEach", html, re.M | re.S)
    first, second = json.loads(f"[{data}]")
    assert first["data"][0]["y"] == second["data"][0]["y"] == [3, 4]


def test_writing(tmp_path):
    page().write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page().html()
    with pytest.raises(OSError, match="no"):
        page().write(tmp_path / "no" / "page.html")
