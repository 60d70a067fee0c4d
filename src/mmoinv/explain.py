"""`mmoinv explain`: reads hex or a file, prints its frames. What they mean is in wire/explain."""

import argparse
import io
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from mmoinv.errors import ConfigurationError
from mmoinv.records import Batch
from mmoinv.wire.explain import ExplainedFrame, Span, explain

WIDTH = 100
SHOWN_PLACES = 8
"""Records, slots, participants that are shown without ``--all``."""
SHOWN_LINES = 4
"""Lines of one field without ``--all``."""
BYTES_A_LINE = 8
FIELD_WIDTH, TYPE_WIDTH = 21, 5
OTHER_END = {"world": "realm", "realm": "world"}


def run(options: argparse.Namespace) -> int:
    """Print; 0 if every frame is whole and valid, 1 if not."""
    data = read(options.what)
    frames = explain(data, options.dialect, options.sender)
    if options.json:
        print(json.dumps([_as_json(frame) for frame in frames], indent=2))
    else:
        # An old console lacks characters that a message may have.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        page = _Page(len(str(len(data))), options.all)
        for number, frame in enumerate(frames, 1):
            print("\n".join(page.frame(number, frame)), end="\n\n")
        print(_summary(len(data), frames))
    return 1 if any(frame.fault or frame.invalid for frame in frames) else 0


def _summary(size: int, frames: list[ExplainedFrame]) -> str:
    parts = [f"{size} byte{'s' * (size != 1)}", f"{len(frames)} frame{'s' * (len(frames) != 1)}"]
    for what in ("broken", "invalid"):
        attribute = "fault" if what == "broken" else what
        if count := sum(bool(getattr(frame, attribute)) for frame in frames):
            parts.append(f"{count} {what}")
    return ", ".join(parts)


def read(what: list[str]) -> bytes:
    """The bytes that the arguments name; `ConfigurationError` if they name none."""
    raw = b""
    if what == ["-"]:
        raw = sys.stdin.buffer.read()
    elif len(what) == 1 and _is_file(what[0]):
        try:
            raw = Path(what[0]).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{what[0]} cannot be read: {error.strerror}") from error
    else:
        data = _from_hex(" ".join(what))
        if data is None:
            raise ConfigurationError(
                f"{' '.join(what)[:40]!r} is neither hex nor a file. Hex has two digits a byte; "
                f"see: mmoinv explain --help"
            )
        return _some(data)
    try:
        data = _from_hex(raw.decode("ascii"))
    except UnicodeDecodeError:
        data = None
    return _some(raw if data is None else data)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # longer than a name may be
        return False


def _some(data: bytes) -> bytes:
    if not data:
        raise ConfigurationError("there are no bytes to explain")
    return data


def _from_hex(text: str) -> bytes | None:
    """Hex, also as xxd and hexdump -C write it; None if it is none."""
    lines = []
    for line in text.splitlines():
        # An offset in front and the characters behind.
        line = re.sub(r"^[0-9a-fA-F]{8}: (.*?)(  .*)?$", r"\1", line)
        line = re.sub(r"^[0-9a-fA-F]{8}  (.*?)\s*(\|.*\|)?$", r"\1", line)
        lines.append(line)
    digits = re.sub(r"0[xX]|\\x|[\s:,|-]", "", " ".join(lines))
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


class _Page:
    """How frames are set: columns, and what is left out."""

    def __init__(self, offset_width: int, everything: bool) -> None:
        self.offset_width = max(4, offset_width)
        self.everything = everything
        self.indent = " " * (2 + self.offset_width + 2)
        columns = (3 * BYTES_A_LINE - 1) + 2 + FIELD_WIDTH + 1 + TYPE_WIDTH + 1
        self.value_width = WIDTH - len(self.indent) - columns

    def frame(self, number: int, frame: ExplainedFrame) -> Iterator[str]:
        """A frame's lines."""
        way = f", {frame.sender} to {OTHER_END[frame.sender]}" if frame.sender else ""
        fits = "a guess: --from decides" if frame.fault else "by what fits"
        guess = f" ({fits})" if frame.guessed else ""
        size = f"{frame.size} byte{'s' * (frame.size != 1)}"
        yield f"frame {number}, byte {frame.offset}: {frame.name}{way}{guess}, {size}"
        group, left_out, batches = "", [], list(frame.batches)
        for span in frame.spans:
            if batches and span.offset >= batches[0][0]:
                yield from self.records(batches.pop(0)[1])
            if span.place >= SHOWN_PLACES and not self.everything:
                left_out.append(span)
                continue
            yield from self.left_out(left_out)
            left_out = []
            if span.group != group and span.group:
                yield f"{self.indent}{span.group}"
            group = span.group
            yield from self.span(span)
        yield from self.left_out(left_out)
        for _, batch in batches:
            yield from self.records(batch)
        for what, text in (
            ("BROKEN", frame.fault),
            ("INVALID", frame.invalid),
            ("NOTE", frame.note),
        ):
            if text:
                yield from textwrap.wrap(f"  {what}: {text}", WIDTH, subsequent_indent="  ")

    def left_out(self, spans: list[Span]) -> Iterator[str]:
        """One line for what is not shown."""
        if spans:
            size = sum(len(span.data) for span in spans)
            yield f"{self.indent}... {len(spans)} more fields, {size} bytes (--all shows them)"

    def span(self, span: Span) -> Iterator[str]:
        """A field: bytes on the left, what they mean on the right, in as many lines as it takes."""
        if not span.data and not span.value:
            return
        most = len(span.data) + 1 if self.everything else SHOWN_LINES
        rows = [
            span.data[at : at + BYTES_A_LINE].hex(" ")
            for at in range(0, len(span.data), BYTES_A_LINE)
        ]
        said = list(self.words(span.value, span.meaning))
        lines = max(len(rows), len(said))
        for place, (row, words) in enumerate(zip_longest(rows, said, fillvalue="")):
            if place == most - 1 and lines > most:
                yield f"{self.indent}{'..':<23}  {'':{FIELD_WIDTH}} {'':{TYPE_WIDTH}} ..".rstrip()
                return
            head = f"  {span.offset:>{self.offset_width}}  " if place == 0 else self.indent
            name, type = (span.name, span.type) if place == 0 else ("", "")
            line = f"{head}{row:<23}  {name:<{FIELD_WIDTH}} {type:<{TYPE_WIDTH}} {words}"
            yield line.rstrip()

    def words(self, value: str, meaning: str) -> Iterator[str]:
        """A value and its meaning, side by side if they fit."""
        text, indent = value, 0
        is_short = len(value) <= self.value_width // 4
        if meaning and (is_short or len(value) + 2 + len(meaning) <= self.value_width):
            # What does not fit goes on beneath the meaning's beginning.
            text, indent, meaning = f"{value}  {meaning}", len(value) + 2, ""
            if len(text) <= self.value_width:
                yield text
                return
        for one in (text, meaning):
            yield from textwrap.wrap(
                one, self.value_width, subsequent_indent=" " * indent, break_on_hyphens=False
            )

    def records(self, batch: Batch) -> Iterator[str]:
        """What columns come to: a record a line, without the fields that are 0 in all of them."""
        shown = batch if self.everything else batch[:SHOWN_PLACES]
        names = [name for name in batch.dtype.names or () if name == "slot" or batch[name].any()]
        cells = {name: [name, *map(str, shown[name].tolist())] for name in names}
        cells["record"] = ["record", *map(str, range(len(shown)))]
        columns = {name: max(map(len, column)) for name, column in cells.items()}
        table, room = ["record"], WIDTH
        tables = []
        for name in names if len(shown) else ():
            room = WIDTH - len(self.indent) - sum(columns[one] + 2 for one in table)
            if columns[name] > room:
                tables.append(table)
                table = ["record"]
            table.append(name)
        tables.append(table)
        for one in tables if len(shown) else ():
            for row in range(len(shown) + 1):
                yield self.indent + "  ".join(
                    f"{cells[name][row]:>{columns[name]}}" for name in one
                )
        if len(shown) < len(batch):
            yield f"{self.indent}... {len(batch) - len(shown)} more records (--all shows them)"


def _as_json(frame: ExplainedFrame) -> dict[str, object]:
    names = ("data", "place")
    return {
        "offset": frame.offset,
        "packet": frame.name,
        "from": frame.sender or None,
        "guessed": frame.guessed,
        "broken": frame.fault or None,
        "invalid": frame.invalid or None,
        "note": frame.note or None,
        "spans": [
            {"data": span.data.hex()}
            | {name: one for name, one in span._asdict().items() if name not in names}
            for span in frame.spans
            if span.data
        ],
        "batches": [
            [dict(zip(batch.dtype.names or (), row, strict=True)) for row in batch.tolist()]
            for _, batch in frame.batches
        ],
    }
