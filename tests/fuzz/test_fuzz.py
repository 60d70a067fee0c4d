"""The targets of `make fuzz` still work: a few inputs each, always the same ones."""

from random import Random

import pytest
from fuzz_run import FindingError, Fuzzed, smallest
from fuzz_targets import Target, targets

ALL = targets()


@pytest.mark.parametrize("target", ALL, ids=[one.name for one in ALL])
def test_a_little_fuzzing_finds_nothing(target):
    fuzzed = Fuzzed(target, seed=1)
    for _ in range(min(len(target.seeds), 20) + 40):
        fuzzed.once()


def test_what_is_wrong_is_found_and_made_small():
    def run(data: bytes, random: Random) -> str:
        assert b"\xff\xff" not in data
        return str(len(data))

    fuzzed = Fuzzed(Target("planted", [bytes(50)], run), seed=1)
    with pytest.raises(FindingError) as found:
        for _ in range(5000):
            fuzzed.once()
    assert smallest(fuzzed, found.value.args[1]) == b"\xff\xff"


def test_memory_out_of_proportion_is_found():
    fuzzed = Fuzzed(Target("planted", [b"x"], lambda data, _: str(len(bytes(100 << 20)))), seed=1)
    with pytest.raises(FindingError, match="bytes of memory"):
        for _ in range(64):
            fuzzed.once()
