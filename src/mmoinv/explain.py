"""`mmoinv explain`: reads hex or a file, prints its frames. What they mean is in wire/explain."""

import argparse
import json
import re
import sys
from pathlib import Path

from mmoinv.errors import ConfigurationError
from mmoinv.wire.explain import SHOWN_RECORDS, ExplainedFrame, Span, explain

SHOWN_BYTES = 8
MAX_VALUE = 44
RECORD = re.compile(r"record (\d+): ")


def run(options: argparse.Namespace) -> int:
    """Print; 0 if every frame is whole and valid, 1 if not."""
    data = read(options.what)
    frames = explain(data, options.dialect, options.sender)
    if options.json:
        print(json.dumps([_as_json(frame) for frame in frames], indent=2))
    else:
        for number, frame in enumerate(frames, 1):
            print("\n".join(_lines(number, frame, options.all)), end="\n\n")
        broken = sum(bool(frame.fault) for frame in frames)
        print(f"{len(data)} bytes, {len(frames)} frames" + (f", {broken} broken" * bool(broken)))
    return 1 if any(frame.fault for frame in frames) else 0


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


def _lines(number: int, frame: ExplainedFrame, everything: bool) -> list[str]:
    other = {"world": "realm", "realm": "world"}
    way = f", {frame.sender} to {other[frame.sender]}" if frame.sender else ""
    guess = " (by what fits)" if frame.guessed and frame.sender else ""
    lines = [f"frame {number}, byte {frame.offset}: {frame.name}{way}{guess}, {frame.size} bytes"]
    left_out = 0
    for span in frame.spans:
        record = RECORD.match(span.name)
        if record and int(record[1]) >= SHOWN_RECORDS and not everything:
            left_out += len(span.data)
            continue
        if left_out:
            lines.append(f"  {'':>6}  ... {left_out} bytes of further records (--all shows them)")
            left_out = 0
        if span.data or span.value:
            lines.append(_line(span))
    if left_out:
        lines.append(f"  {'':>6}  ... {left_out} bytes of further records (--all shows them)")
    if frame.fault:
        lines.append(f"  BROKEN: {frame.fault}")
    return lines


def _line(span: Span) -> str:
    shown = span.data[:SHOWN_BYTES].hex(" ") + (" .." if len(span.data) > SHOWN_BYTES else "")
    value = span.value if len(span.value) <= MAX_VALUE else span.value[: MAX_VALUE - 2] + ".."
    text = f"  {span.offset:>6}  {shown:<27} {span.name:<36} {span.kind:<9} {value}"
    return (text + (f"  ({span.meaning})" if span.meaning else "")).rstrip()


def _as_json(frame: ExplainedFrame) -> dict[str, object]:
    return {
        "offset": frame.offset,
        "packet": frame.name,
        "from": frame.sender or None,
        "guessed": frame.guessed,
        "broken": frame.fault or None,
        "spans": [{**span._asdict(), "data": span.data.hex()} for span in frame.spans if span.data],
    }
