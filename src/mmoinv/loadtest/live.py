"""What a run shows while it runs: a live table on a terminal, a line a second elsewhere.

Needs rich (the extra ``realm``). Knows measures, not processes.
"""

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mmoinv.loadtest.measures import Measures, Samples

BARS = " ▁▂▃▄▅▆▇█"
SPARKS = 60
REFRESH_EVERY_S = 0.25
TARGET_MS = 100.0


def number(value: float | None, places: int = 1) -> str:
    """For people: ``1,234.5``, or ``n/a``."""
    return "n/a" if value is None else f"{value:,.{places}f}"


def sparkline(values: list[float], limit: float = 0.0) -> str:
    """A line of bars, scaled to the largest value, or to ``limit`` if that is larger."""
    top = max([limit, *values, 1e-9])
    return "".join(BARS[min(8, int(8 * value / top + 0.999))] for value in values)


class LiveTable:
    """Use as a context manager around one phase; call `show` as often as wanted."""

    def __init__(self, console: Console, title: str, duration_s: float, plain: bool) -> None:
        self._console = console
        self._title = title
        self._duration_s = duration_s
        self._plain = plain or not console.is_terminal
        self._live = None if self._plain else Live(console=console, refresh_per_second=8)
        self._started_s = time.monotonic()
        self._shown_s = 0.0
        self._history: deque[float] = deque(maxlen=SPARKS)
        self._counted = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, measures: Measures, last: bool = False) -> None:
        """Show the figures as they stand; does nothing if that was done a moment ago."""
        now_s = time.monotonic()
        every_s = 1.0 if self._plain else REFRESH_EVERY_S
        if now_s - self._shown_s < every_s and not last:
            return
        self._shown_s = now_s
        elapsed_s = max(1e-9, now_s - self._started_s)
        fresh = measures.rtt_ms.values()[self._counted :]
        self._counted = measures.rtt_ms.count
        if len(fresh):
            self._history.append(float(fresh.max()))
        if self._live is not None:
            self._live.update(self._table(measures, elapsed_s))
        elif not last:
            self._console.print(
                f"{elapsed_s:5.1f} s  {number(measures.rtt_ms.count / elapsed_s, 0)} saves/s  "
                f"round trip p50 {number(measures.rtt_ms.percentile(50))} "
                f"p95 {number(measures.rtt_ms.percentile(95))} "
                f"p99 {number(measures.rtt_ms.percentile(99))} "
                f"max {number(measures.rtt_ms.max())} ms  "
                f"database p50 {number(measures.database_ms.percentile(50))} "
                f"p99 {number(measures.database_ms.percentile(99))} ms  "
                f"group {number(measures.group_size.mean())}  "
                f"packet {number(measures.packet_us.percentile(50), 0)} us  "
                f"{number(measures.packet_bytes.mean(), 0)} bytes/save  "
                f"pending {measures.pending}  queue {measures.queue}  "
                f"refused {measures.refused}  "
                f"commands {measures.commands}  against the rules {measures.commands_refused}",
                highlight=False,
                soft_wrap=True,
            )

    def _table(self, measures: Measures, elapsed_s: float) -> RenderableType:
        table = Table(title=f"{self._title}, {elapsed_s:.0f} of {self._duration_s:.0f} s")
        for name in ("", "p50", "p95", "p99", "max"):
            table.add_column(name, justify="right" if name else "left", min_width=9)
        for label, samples in (
            ("round trip, ms", measures.rtt_ms),
            ("database transaction, ms", measures.database_ms),
            ("operations in a group", measures.group_size),
            ("bytes of a save", measures.packet_bytes),
            ("packet processing, us", measures.packet_us),
        ):
            table.add_row(label, *_cells(samples))
        return Group(
            table,
            Text.assemble(
                ("  saves ", "dim"),
                (f"{measures.rtt_ms.count:,}", "bold"),
                (
                    f"  ({measures.rtt_ms.count / elapsed_s:,.0f}/s)   pending {measures.pending}"
                    f"   queue {measures.queue}   refused {measures.refused}",
                    "dim",
                ),
            ),
            Text.assemble(
                ("  commands of players ", "dim"),
                (f"{measures.commands:,}", "bold"),
                (
                    f"  ({measures.commands / elapsed_s:,.0f}/s)   refused by the rules "
                    f"{measures.commands_refused:,}",
                    "dim",
                ),
            ),
            Text.assemble(
                ("  slowest round trip  ", "dim"),
                (sparkline(list(self._history)), "green"),
                (f"  {self._history[-1]:.1f} ms" if self._history else "", "dim"),
            ),
        )


def _cells(samples: Samples) -> list[str]:
    return [number(samples.percentile(percent)) for percent in (50, 95, 99)] + [
        number(samples.max())
    ]


def progress(console: Console) -> Progress:
    """A bar for the set-up."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        disable=not console.is_terminal,
    )
