"""Spoils packets and gives them to every decoder and both links, for a while.

Deterministic but for how far it comes: the same seed spoils the same way. What is found is
written to the folder .fuzz, made as small as it goes, and the exit code is 1.
"""

import argparse
import mmap
import time
import traceback
import tracemalloc
from pathlib import Path
from random import Random

from fuzz_mutation import mutated
from fuzz_targets import Target, targets

FOLDER = Path(".fuzz")
KEPT = 400
"""Inputs of a target that are spoiled further."""
MAX_CPU_S = 2.0
"""For an input of 64 KiB; a logon may cost a second by design."""
MAX_MEMORY = 64 << 20
"""Bytes that one input may cost at its peak."""


class FindingError(Exception):
    """An input that does what it must not."""


class Fuzzed:
    """One target with what it was fed so far."""

    def __init__(self, target: Target, seed: int, crash: mmap.mmap | None = None) -> None:
        self.target = target
        self.random = Random(f"{seed} {target.name}")
        self.inputs = list(target.seeds)
        self.known: set[str] = set()
        self.count = 0
        self._crash = crash

    def once(self) -> None:
        """One more input; `FindingError` with the input."""
        if self.count < len(self.target.seeds):
            data = self.target.seeds[self.count]
        else:
            parent = self.random.choice(self.inputs)
            data = mutated(self.random, parent, self.inputs, self.target.framed)
        self.count += 1
        if self._crash is not None:
            # If the process dies, this is what it died of.
            self._crash[: 4 + len(data)] = len(data).to_bytes(4, "little") + data
        told = self.attempt(data, self.count % 64 == 0)
        if told not in self.known:
            self.known.add(told)
            if len(self.inputs) >= KEPT:
                self.inputs.pop(self.random.randrange(len(self.inputs)))
            self.inputs.append(data)

    def attempt(self, data: bytes, weigh: bool = False) -> str:
        """What comes of an input; `FindingError` if something does that must not."""
        began = time.process_time()
        if weigh:
            tracemalloc.start()
        try:
            told = self.target.run(data, Random(len(data)))
            peak = tracemalloc.get_traced_memory()[1] if weigh else 0
        except Exception as error:
            raise FindingError(f"{type(error).__name__}: {error}", data) from error
        finally:
            tracemalloc.stop()
        if peak > MAX_MEMORY:
            raise FindingError(f"it took {peak} bytes of memory", data)
        if not weigh and time.process_time() - began > MAX_CPU_S:
            raise FindingError("it took too long", data)
        return told


def smallest(fuzzed: Fuzzed, data: bytes) -> bytes:
    """The input with everything taken out that is not needed to fail."""

    def fails(candidate: bytes) -> bool:
        try:
            fuzzed.attempt(candidate)
        except FindingError:
            return True
        return False

    span = len(data) // 2
    until = time.monotonic() + 10
    while span:
        at = 0
        while at < len(data) and time.monotonic() < until:
            candidate = data[:at] + data[at + span :]
            if fails(candidate):
                data = candidate
            else:
                at += span
        span //= 2
    return data


def main() -> int:
    """The command; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="targets whose name has this in it")
    options = parser.parse_args()
    chosen = [one for one in targets() if options.only in one.name]
    if not chosen:
        parser.error(f"no target has {options.only!r} in its name")
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "last-input").open("wb+") as file:
        file.truncate(1 << 17)
        crash = mmap.mmap(file.fileno(), 0)
        return fuzz([Fuzzed(one, options.seed, crash) for one in chosen], options.seconds)


def fuzz(alive: list[Fuzzed], seconds: float) -> int:
    """Each target in turn, in rounds of a minute, until the time is over."""
    everything, findings = list(alive), 0
    began = time.monotonic()
    rounds = max(1, round(seconds / 60))
    for number in range(1, rounds + 1):
        turns = tuple(alive)
        for place, fuzzed in enumerate(turns):
            now_s = time.monotonic()
            left_s = seconds * number / rounds - (now_s - began)
            until = now_s + left_s / (len(turns) - place)
            try:
                while time.monotonic() < until:
                    fuzzed.once()
            except FindingError as finding:
                findings += 1
                alive.remove(fuzzed)
                _write(fuzzed, findings, finding)
            print(
                f"{number}/{rounds}  {fuzzed.target.name:42} {fuzzed.count:>10,} inputs, "
                f"{len(fuzzed.known):>5} outcomes",
                flush=True,
            )
    inputs = sum(one.count for one in everything)
    print(
        f"\n{inputs:,} inputs to {len(everything)} targets in {time.monotonic() - began:.0f} s, "
        f"{sum(len(one.known) for one in everything):,} outcomes, {findings} findings"
    )
    return 1 if findings else 0


def _write(fuzzed: Fuzzed, number: int, finding: FindingError) -> None:
    message, data = finding.args
    data = smallest(fuzzed, data)
    where = FOLDER / f"finding-{number}.txt"
    trace = "".join(traceback.format_exception(finding))
    where.write_text(f"{fuzzed.target.name}\n{data.hex()}\n{trace}")
    print(f"FOUND in {fuzzed.target.name}: {message:.300}\n  {data.hex():.400}\n  see {where}")
