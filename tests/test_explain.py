"""`mmoinv explain` as it is typed: hex of every sort, files, what it prints, its exit code."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmoinv import codec
from mmoinv.cli import main
from mmoinv.cli.explain import EXAMPLE_HEX as EXAMPLE
from mmoinv.commits import CurrencyDelta, ParticipantChanges
from mmoinv.records import WIDE, InventoryItemData, batch_of, slots_of
from mmoinv.wire.packets import LogonChallengeAnswer

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
    assert max(map(len, said.splitlines())) <= 100


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
    assert "17 bytes, 1 frame\n" in capsys.readouterr().out


def test_broken_frames_end_with_1(capsys):
    assert main(["explain", DIGITS + DIGITS[:-2]]) == 1
    said = capsys.readouterr().out
    assert "BROKEN: " in said
    assert "1 broken" in said
    for option, guess in (([], " (a guess: --from decides)"), (["--from", "world"], "")):
        assert main(["explain", "80ff", *option]) == 1
        assert f"CommitInventory, world to realm{guess}, 2 bytes" in capsys.readouterr().out


def test_many_records_are_cut_short(capsys):
    items = batch_of(*(InventoryItemData(25, 512 + n) for n in range(12)))
    typed = codec.encode_save_inventory_items(7, 9, items).hex()
    assert main(["explain", typed]) == 0
    said = capsys.readouterr().out
    assert "record 7\n" in said
    assert "record 8\n" not in said
    assert f"... 32 more fields, {4 * 29} bytes (--all shows them)" in said
    assert main(["explain", typed, "--all"]) == 0
    assert "record 11\n" in capsys.readouterr().out


def test_columns_are_also_shown_as_records(capsys):
    items = batch_of(*(InventoryItemData(25, 512 + n, item_guid=700 + n) for n in range(30)))
    commit = codec.encode_commit_inventory(
        1, [ParticipantChanges(7, 1, 0, items, slots_of(1, 2))]
    ).hex()
    assert main(["explain", commit]) == 0
    said = capsys.readouterr().out
    assert "record  entry  slot  stack_count  item_guid\n" in said
    assert "     7     25   519            1        707\n" in said
    assert "creator" not in said.partition("record  entry")[2]
    assert "... 22 more records (--all shows them)" in said
    # The table stands between the batch and what follows it.
    assert said.index("more records") < said.index("deleted slot 0")
    assert main(["explain", commit, "--all"]) == 0
    assert "    29     25   541            1        729\n" in capsys.readouterr().out
    assert main(["explain", commit, "--json"]) == 0
    (frame,) = json.loads(capsys.readouterr().out)
    (records,) = frame["batches"]
    assert [record["item_guid"] for record in records] == items["item_guid"].tolist()


@pytest.mark.parametrize("option", [[], ["--all"]])
def test_no_line_is_over_100_columns(option, capsys):
    highest = {field.name: field.limit for field in WIDE.fields}
    items = np.concatenate(
        [batch_of(InventoryItemData(**{**highest, "slot": n})) for n in range(30)]
    )
    money = (CurrencyDelta(65535, -(2**63)),)
    changes = ParticipantChanges(2**64 - 1, 2**32 - 1, 2**64 - 1, items, slots_of(0xFFFF), money)
    frames = [
        codec.encode_commit_inventory(2**64 - 1, [changes], 255, 6),
        codec.encode_commit_inventory_result(2**64 - 1, 10, [(7, 8)], "⚔ words " * 90 + "x" * 300),
        LogonChallengeAnswer(2, "s" * 500).encode(),
        b"\x0e\x10\x00\x00\x00" + bytes(12) + b"\x09\x00\x00\x00",
    ]
    assert main(["explain", b"".join(frames).hex(), *option]) == 1
    said = capsys.readouterr().out
    assert "no layout" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 100
    if option:
        every = re.findall(r"(?m)^[ \d]{6,9}((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", said)
        assert bytes.fromhex(" ".join(every)) == b"".join(frames)


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


def test_a_console_without_the_characters_of_a_message():
    data = codec.encode_commit_inventory_result(1, 4, [], "zu spät ⚔")
    done = subprocess.run(
        [sys.executable, "-m", "mmoinv", "explain", data.hex()],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert rb"'zu sp\xe4t \u2694'" in done.stdout
