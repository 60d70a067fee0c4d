"""Golden bytes of every packet that carries items, in every layout and encoding."""

from collections import Counter

import by_hand
import golden_cases
import pytest
from golden_cases import CASES

named = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


@named
def test_the_golden_bytes_are_what_the_protocol_says(case):
    assert case.get("frame"), (
        f"no golden bytes for {case['name']!r}; by hand they are {by_hand.build(case).hex()}"
    )
    assert by_hand.build(case).hex() == case["frame"]


@named
def test_encode(codec, case):
    assert golden_cases.encode(codec, case).hex() == case["frame"]


@named
def test_decode(codec, case):
    assert golden_cases.decode(codec, case).items() <= case.items()


@named
def test_padding_is_ignored_when_read(codec, case):
    padding = {"native32": (7, 30, 31), "native40": (7, 30, 31, 36, 37, 38, 39)}
    if case.get("layout") not in padding:
        return
    data = bytearray.fromhex(case["frame"])
    size = int(case["layout"][-2:])
    for record in range(19, len(data), size):
        for place in padding[case["layout"]]:
            assert data[record + place] == 0
            data[record + place] = 0xCC
    decoded = golden_cases.decode(codec, {**case, "frame": data.hex()})
    assert decoded.items() <= case.items()


def test_every_packet_and_variant_has_golden_bytes():
    assert len({case["name"] for case in CASES}) == len(CASES)
    found = Counter(
        (case["packet"], case.get("layout") or case.get("opcode") or case.get("encoding"))
        for case in CASES
    )
    for wanted in (
        *(("SaveInventoryItems", layout) for layout in ("packed", "native32", "native40")),
        ("DeleteInventoryItems", None),
        *(("InventoryOperationResult", opcode) for opcode in (0x0A, 0x0B)),
        *(("batch", encoding) for encoding in (0, 1)),
        ("CommitInventory", None),
        ("CommitInventoryResult", None),
    ):
        assert found[wanted], wanted


# Bytes written down one by one, so that not even a shared reading of the rules hides a mistake.


def hand_written(text: str) -> str:
    """The hexadecimal digits before the "#" of each line."""
    return "".join("".join(line.split("#")[0].split()) for line in text.splitlines())


def golden(name: str):
    return next(case for case in CASES if case["name"] == name)


def test_columns_of_every_kind_written_by_hand(codec):
    columns = golden_cases.encode(codec, golden("batch of four as columns, kinds 0 to 4"))
    assert columns.hex() == hand_written(
        """
        0400 01                             # four records, columns
        11 64                               # entry: kind 1, 100 for all
        21 17 18 19 1a                      # slot: kind 2, 23 to 26
        22 0100 2c01 0100 0100              # stack_count: 9 bytes, a dictionary would be 10
        48 02 0807060504030201 1817161514131211 00 00 01 00     # creator: kind 4, two values
        00                                  # contained: kind 0
        21 00 05 00 00                      # durability: kind 2
        43 02 000001 000002 00 00 01 00     # random_property_index: 12 bytes, plain would be 13
        24 ffffffff 00000000 01000000 00000000  # random_suffix_index: 17, a dictionary 18
        44 02 00000000 ffffffff 00 01 00 00     # item_flags: a dictionary, 14 bytes
        32 0100000009000000 0000 0100 0200 2b01 # item_guid: kind 3, 9 << 32 and 1, 2, 3, 300
        """
    )


def test_a_commit_written_by_hand(codec):
    commit = golden_cases.encode(codec, golden("Commit of one record, as records"))
    assert commit.hex() == hand_written(
        """
        80 56000000                 # CommitInventory, a body of 12 + 23 + 3 + 48 bytes
        0100000009000000            # operation id: node epoch 9, counter 1
        00 00 0100                  # reason, flags, participants
        0700000000000000            # character guid
        03000000 0b00000000000000   # session epoch, expected version
        0000 00                     # deletes, currencies
        0100 00                     # one record, as a record
        1d0a0000 17ff 1400          # entry 2589, bag 255 slot 23, 20 of it
        3412000005000000            # creator
        0000000000000000            # contained
        00000000 00000000 00000000  # durability, random property, random suffix
        01000000                    # item_flags
        4d00000009000000            # item_guid
        """
    )


def test_a_refusal_written_by_hand(codec):
    case = golden("Result: stale, two characters, with a message")
    text = "character 7: die Sitzung ist \u00fcberholt \u2694"
    assert (
        golden_cases.encode(codec, case).hex()
        == hand_written(
            """
        80 57000000                         # CommitInventoryResult, 11 + 2 * 16 + 2 + 42 bytes
        0400000009000000 02 0200            # operation id, status 2, two participants
        0700000000000000 0b00000000000000   # character 7 is at version 11
        ffffffffffffffff ffffffffffffffff
        2a00                                # a message of 42 bytes
        """
        )
        + text.encode().hex()
    )
