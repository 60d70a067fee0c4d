"""The codec on many threads at once: nothing is shared, and nothing given is trusted twice.

Runs on every Python; what it can find on one with a GIL is less than on a free-threaded one.
"""

import contextlib
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from codec_cases import batch, changes, item, ordinary, plain, slots

from mmoinv.errors import BatchError, FramingError, ProtocolError

THREADS = 8
ROUNDS = 60


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def on_threads(*works: Callable[[], object]) -> list[object]:
    """What each returned; they begin together, and the first error of one is raised."""
    results: list[object] = [None] * len(works)
    errors: list[BaseException] = []
    begin = threading.Barrier(len(works))

    def run(place: int) -> None:
        try:
            begin.wait()
            results[place] = works[place]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def there_and_back(codec, character: int, count: int) -> object:
    """One character's way through the codec, in a form that compares."""
    items = ordinary(count)
    items["creator"] = character
    later = items.copy()
    later["stack_count"] += 1
    saves, deletes = codec.diff(items, later[: count // 2])
    commit = codec.encode_commit_inventory(
        character, [changes(character, saves, tuple(deletes.tolist()))]
    )
    save = codec.encode_save_inventory_items(character, 9, saves)
    commits, _ = codec.decode_commits(commit * 3)
    statuses = np.zeros(3, np.uint8)
    answers = codec.encode_commit_results(
        commits, statuses, np.arange(3, dtype=np.uint64), {1: f"to {character}"}
    )
    wrong = batch(item(3), item(3))
    with pytest.raises(BatchError) as caught:
        codec.validate_batch(wrong)
    return plain(
        (
            commits,
            answers,
            codec.decode_save_inventory_items(save[5:]),
            codec.decode_batch(codec.encode_batch(later, 1)),
            codec.apply_changes(items, saves, deletes),
            codec.compare_items(items, later),
            str(caught.value),
        )
    )


def test_threads_do_not_meet(codec):
    sizes = [2 + place * 7 for place in range(THREADS)]  # records, then columns
    expected = [there_and_back(codec, place, size) for place, size in enumerate(sizes)]

    def work(place: int) -> Callable[[], object]:
        def rounds() -> object:
            for _ in range(ROUNDS):
                assert there_and_back(codec, place, sizes[place]) == expected[place]
            return True

        return rounds

    assert all(on_threads(*(work(place) for place in range(THREADS))))


def test_threads_may_read_the_same(codec):
    items = ordinary(40)
    frame = codec.encode_commit_inventory(1, [changes(7, items)])
    batches = codec.encode_batch(items), codec.encode_batch(items, 0)
    expected = plain(codec.decode_commits(frame * 2))

    def work() -> object:
        for _ in range(ROUNDS):
            assert codec.encode_commit_inventory(1, [changes(7, items)]) == frame
            assert (codec.encode_batch(items), codec.encode_batch(items, 0)) == batches
            assert plain(codec.decode_commits(frame * 2)) == expected
        return True

    assert all(on_threads(*[work] * THREADS))


def scribbled(work: Callable[[], object], scribble: Callable[[], None]) -> None:
    """Run ``work`` again and again while two threads write to what it reads."""
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            scribble()

    def read() -> None:
        try:
            for _ in range(ROUNDS * 10):
                # What was read was wrong at that moment, and may be found so.
                with contextlib.suppress(ProtocolError, ValueError):
                    work()
        finally:
            is_over.set()

    on_threads(read, write, write)


def test_a_buffer_that_changes_while_it_is_decoded(codec):
    """Any outcome will do that is not a crash: garbage, or a framing error."""
    items = ordinary(30)
    buffer = bytearray(codec.encode_commit_inventory(1, [changes(7, items, (3, 4))]) * 3)
    counts = (15, 16, 5 + 12 + 20, 5 + 12 + 23, 5 + 12 + 24, 5 + 12 + 26, 60)
    kept = [buffer[at] for at in counts]

    def scribble() -> None:
        for at, value in zip(counts, kept, strict=True):
            buffer[at] = (value + 1) & 0xFF
            buffer[at] = 0xFF
            buffer[at] = value

    scribbled(lambda: codec.decode_commits(buffer), scribble)
    scribbled(lambda: codec.split_frames(buffer), scribble)
    scribbled(lambda: codec.decode_batch(buffer, 5 + 12 + 23), scribble)
    buffer.extend(b"it may be resized again")


def test_arrays_that_change_while_they_are_read(codec):
    items, gone = ordinary(200), slots(*range(512, 712))
    slot = items["slot"].copy()

    def scribble() -> None:
        items["slot"] = slot + 300
        items["slot"] = slot

    scribbled(lambda: codec.apply_changes(items, items[:0], gone), scribble)
    scribbled(lambda: codec.diff(items[:100], items), scribble)

    frame = codec.encode_commit_inventory(1, [changes(7), changes(8)])
    commits, _ = codec.decode_commits(frame * 10)
    counted = commits.operations["participant_count"]

    def recount() -> None:
        counted[:] = 0
        counted[:] = 2

    statuses, versions = np.zeros(10, np.uint8), np.zeros(20, np.uint64)
    scribbled(lambda: codec.encode_commit_results(commits, statuses, versions), recount)


def test_errors_are_still_errors_on_a_copy(codec):
    """Free-threaded builds decode a copy of whatever is not bytes; it must be the same bytes."""
    frame = codec.encode_commit_inventory(1, [changes(7, ordinary(5))])
    for form in (bytes, bytearray, memoryview):
        assert plain(codec.decode_commits(form(frame))) == plain(codec.decode_commits(frame))
        with pytest.raises(FramingError):
            codec.decode_commit_inventory(form(frame[5:-1]))
        with pytest.raises(FramingError):
            codec.decode_commit_inventory(form(b""))


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python is not free-threaded"
)
def test_the_codec_leaves_the_gil_off():
    """A module that does not declare itself would switch it back on, with a warning."""
    code = "import sys, mmoinv._codec; sys.exit(sys._is_gil_enabled())"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
