"""`mmoinv explain` as it is typed: hex of every sort, files, what it prints, its exit code."""

import io
import json
import sys
from pathlib import Path

import pytest

from mmoinv import codec
from mmoinv.cli import EXAMPLE_HEX as EXAMPLE
from mmoinv.cli import main
from mmoinv.records import InventoryItemData, batch_of

FRAME = bytes.fromhex(EXAMPLE)
DIGITS = FRAME.hex()


def test_the_example_of_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    assert EXAMPLE in capsys.readouterr().out
    assert main(["explain", *EXAMPLE.split()]) == 0
    said = capsys.readouterr().out
    assert "RequestCharacterJoin, world to realm" in said
    assert "character guid" in said
    assert "42" in said
    assert max(map(len, said.splitlines())) <= 120


@pytest.mark.parametrize(
    "typed",
    [
        DIGITS,
        DIGITS.upper(),
        ":".join(DIGITS[i : i + 2] for i in range(0, len(DIGITS), 2)),
        "0x" + DIGITS,
        " ".join("0x" + DIGITS[i : i + 2] for i in range(0, len(DIGITS), 2)),
        f"00000000: {FRAME.hex(' ', 2)}  .....*..........",
        f"00000000  {FRAME.hex(' ')}  |.....*..........|",
    ],
)
def test_hex_as_it_stands_in_logs_and_dumps(typed, tmp_path: Path, capsys):
    dump = tmp_path / "dump.txt"
    dump.write_text(typed + "\n")
    for arguments in ([typed], [str(dump)]):
        assert main(["explain", *arguments, "--json"]) == 0
        (frame,) = json.loads(capsys.readouterr().out)
        assert "".join(span["data"] for span in frame["spans"]) == DIGITS


def test_a_file_of_bytes_and_standard_input(tmp_path: Path, capsys, monkeypatch):
    capture = tmp_path / "capture.bin"
    capture.write_bytes(FRAME * 3)
    assert main(["explain", str(capture)]) == 0
    assert "51 bytes, 3 frames" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FRAME)))
    assert main(["explain", "-"]) == 0
    assert "17 bytes, 1 frames" in capsys.readouterr().out


def test_broken_frames_end_with_1(capsys):
    assert main(["explain", DIGITS + DIGITS[:-2]]) == 1
    said = capsys.readouterr().out
    assert "BROKEN: " in said
    assert "1 broken" in said


def test_many_records_are_cut_short(capsys):
    items = batch_of(*(InventoryItemData(25, 512 + n) for n in range(12)))
    typed = codec.encode_save_inventory_items(7, 9, items).hex()
    assert main(["explain", typed]) == 0
    said = capsys.readouterr().out
    assert "record 7: entry" in said
    assert "record 8: entry" not in said
    assert f"{4 * 29} bytes of further records" in said
    assert main(["explain", typed, "--all"]) == 0
    assert "record 11: entry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zz"], "neither hex nor a file"),
        (["123"], "neither hex nor a file"),
        ([""], "no bytes"),
        (["x" * 5000], "neither hex nor a file"),
    ],
)
def test_what_is_no_bytes(arguments, said, capsys):
    assert main(["explain", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_empty_file(tmp_path: Path, capsys):
    (tmp_path / "empty").touch()
    assert main(["explain", str(tmp_path / "empty")]) == 2
    assert "no bytes" in capsys.readouterr().err
