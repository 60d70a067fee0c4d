"""Pages with plots: one HTML file that needs nothing else, in light and dark, on any screen.

Knows how to place and draw a plot, and nothing of what is in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from mmoinv.errors import ConfigurationError
from mmoinv.plots.charts import Plot


def require_plotly() -> None:
    """`ConfigurationError` with the remedy if plotly is not installed."""
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "an HTML report needs the extra 'report', which is not installed: "
            "pip install 'mmoinv[report]'"
        ) from None


@dataclass(frozen=True)
class Badge:
    """A word with a colour: ``mood`` is good, bad or neutral."""

    text: str
    mood: str = "neutral"


Cell = str | Badge


class Page:
    """Put together from top to bottom, then written. Every text is escaped."""

    def __init__(self, title: str, badge: Badge | None = None) -> None:
        self._title = title
        self._parts = [f"<h1>{escape(title)} {_cell(badge) if badge else ''}</h1>"]
        self._plots: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str, is_loud: bool = False) -> None:
        """A paragraph; a loud one is a warning."""
        self._parts.append(f"<p{' class=loud' if is_loud else ''}>{escape(text)}</p>")

    def command(self, text: str) -> None:
        """What someone typed."""
        self._parts.append(f"<pre>{escape(text)}</pre>")

    def facts(self, *groups: tuple[str, Mapping[str, Any]]) -> None:
        """Named values, each group in a box of its own."""
        boxes = []
        for name, values in groups:
            rows = "".join(
                f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>"
                for key, value in values.items()
            )
            boxes.append(f"<section><h3>{escape(name)}</h3><dl>{rows}</dl></section>")
        self._parts.append(f"<div class=grid>{''.join(boxes)}</div>")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """The first column is text, the others are aligned to the right."""
        head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
        body = "".join(
            f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        self._parts.append(
            f"<div class=wide><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )

    def plots(self, *plots: tuple[str, str, Plot]) -> None:
        """Plots beside each other where there is room: title, what one sees, plot."""
        boxes = []
        for title, text, plot in plots:
            boxes.append(
                f"<section><h3>{escape(title)}</h3><p>{escape(text)}</p>"
                f"<noscript>The plot needs JavaScript.</noscript>"
                f"<div id=plot-{len(self._plots)} style='height:{plot.layout.height}px'></div>"
                "</section>"
            )
            # No text in it can end the script that it is part of.
            self._plots.append(plot.to_json().replace("<", "\\u003c"))
        self._parts.append(f"<div class='grid plots'>{''.join(boxes)}</div>")

    def html(self) -> str:
        """The whole page."""
        parts = list(self._parts)
        if self._plots:
            parts.append(f"<script>{_plotly_js()}</script>")
            parts.append(_DRAW.format(plots=",\n".join(self._plots)))
        return _PAGE.format(title=escape(self._title), css=_CSS, body="\n".join(parts))

    def write(self, path: str | Path) -> None:
        """Write the page; OSError if that cannot be."""
        Path(path).write_text(self.html(), encoding="utf-8")


def _cell(cell: Cell) -> str:
    if isinstance(cell, Badge):
        return f"<span class='badge {escape(cell.mood)}'>{escape(cell.text)}</span>"
    return escape(cell)


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


# The policy makes the browser itself refuse whatever would be fetched from elsewhere.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

# All at the end, when every box has its width. A mouse zooms by dragging and a double click ends
# that; a finger that drags scrolls the page.
_DRAW = """<script>
const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
[{plots}].forEach(({{data, layout}}, place) => Plotly.newPlot(
  "plot-" + place, data, {{...layout, dragmode}}, {{displayModeBar: false, responsive: true}}));
</script>"""

# Plotly writes its colours into the elements, so the page's own need !important.
_CSS = """
:root { --ink: #1c2430; --faint: #5b6675; --line: #dde3ea; --page: #f5f7fa; --card: #fff;
  --good: #0b7a5a; --good-back: #d9f3ea; --bad: #b3261e; --bad-back: #fbe1df; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --faint: #9aa6b6; --line: #2d3643;
  --page: #0f141b; --card: #18202a; --good: #4cd3a5; --good-back: #0f3a2d; --bad: #ff8d85;
  --bad-back: #4a1b18; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 1240px; margin: 0 auto; padding: 20px 16px 60px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 8px 0; }
h2 { font-size: 1.2rem; margin: 36px 0 8px; }
h3 { font-size: 1rem; margin: 0 0 2px; }
p { margin: 4px 0 10px; color: var(--faint); }
p.loud { color: var(--bad); background: var(--bad-back); border-radius: 8px; padding: 8px 12px; }
section, .wide, pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px; }
pre { overflow-x: auto; margin: 10px 0; overflow-wrap: normal; }
.grid { display: grid; gap: 14px; margin: 12px 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }
section { min-width: 0; }
section p { font-size: .87rem; }
.wide { overflow-x: auto; padding: 4px 14px; margin: 12px 0; overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px 6px 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; font-size: .87rem; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9.5em; }
tbody tr:last-child td { border-bottom: 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 14px; margin: 8px 0 0; }
dt { color: var(--faint); }
dd { margin: 0; text-align: right; }
.badge { border-radius: 99px; padding: 2px 10px; font-size: .85rem; font-weight: 600;
  white-space: nowrap; background: var(--line); }
h1 .badge { vertical-align: middle; }
.badge.good { color: var(--good); background: var(--good-back); }
.badge.bad { color: var(--bad); background: var(--bad-back); }
.js-plotly-plot text { fill: var(--ink) !important; }
.js-plotly-plot .gridlayer path { stroke: var(--line) !important; }
.js-plotly-plot .hoverlayer .legend .bg, .js-plotly-plot .hovertext path,
.js-plotly-plot .axistext path { fill: var(--card) !important; stroke: var(--faint) !important; }
"""
