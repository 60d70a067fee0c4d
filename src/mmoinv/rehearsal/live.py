"""What a rehearsal shows while it runs: a table of its steps, or a line a step.

Needs rich (the extra ``realm``). Knows results, and nothing of how a step is played.
"""

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmoinv.rehearsal.result import COUNTED, Rehearsed, StepResult


class Screen:
    """Is told how far it is, and shows it. Use as a context manager, so that a terminal is left as
    it was found."""

    def __init__(self, console: Console, is_plain: bool = False) -> None:
        self._console = console
        self._is_plain = is_plain or not console.is_terminal
        self._live: Live | None = None
        self._title = ""
        self._steps: list[StepResult] = []
        self._told = 0

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def begins(self, title: str, steps: list[StepResult]) -> None:
        """Another rehearsal begins."""
        self._title, self._steps, self._told = title, steps, 0
        if self._is_plain:
            self._console.print(f"\n{title}", markup=False)
            return
        self._live = Live(self._table(-1), console=self._console, refresh_per_second=8)
        self._live.start()

    def plays(self, place: int) -> None:
        """The step of that place is played."""
        if self._live is not None:
            self._live.update(self._table(place))
        elif place > self._told:
            self._tell(place)

    def ends(self, run: Rehearsed) -> None:
        """The rehearsal is over."""
        played = sum(step.is_played for step in run.steps)
        if self._live is not None:
            self._live.update(self._table(played))
        elif self._is_plain:
            self._tell(played)
        self._stop()

    def _tell(self, until: int) -> None:
        """A line for each step before that place."""
        for step in self._steps[self._told : until]:
            counts = ", ".join(
                f"{step.counts[name]:,} {name}" for name in COUNTED if step.counts[name]
            )
            state = "ok    " if step.passed else "FAILED"
            self._console.print(
                f"{state} {step.title}: {step.seconds:.1f} s{', ' if counts else ''}{counts}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        self._told = max(until, self._told)

    def _table(self, place: int) -> Table:
        table = Table(title=f"Rehearsal of a move on {self._title}")
        table.add_column("")
        table.add_column("step", min_width=28)
        for name in ("s", *COUNTED):
            table.add_column(name, justify="right")
        for number, step in enumerate(self._steps):
            is_now = number == place and step.passed
            cells = [f"{step.counts[name]:,}" if step.counts[name] else "" for name in COUNTED]
            if not step.is_played and not is_now:
                table.add_row("", step.title, "", *("" for _ in cells), style="dim")
                continue
            mark = Text("...", "yellow") if is_now else _mark(step)
            table.add_row(mark, step.title, f"{step.seconds:.1f}", *cells)
        return table

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def _mark(step: StepResult) -> Text:
    return Text("ok", "green") if step.passed else Text("FAILED", "bold red")
