"""The error tree: the drawing in the module's docstring is the tree that is there."""

import inspect
import pickle
import re

import pytest

from mmoinv import errors
from mmoinv.errors import (
    BatchError,
    ContentError,
    FramingError,
    JoinError,
    LogonError,
    MmoinvError,
    NarrowingError,
    OperationRefusedError,
    StaleSessionError,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, BaseException)
}


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Each class of the drawing with its parent and, in brackets, its built-in base."""
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[tuple[int, str]] = []
    drawing = errors.__doc__.split("::", 1)[1].split("\n\n", 2)[1]
    names = r"[A-Z]\w+Error(?: \(\w+\))?(?:, [A-Z]\w+Error)*"
    parent = None
    continues = False
    for line in drawing.splitlines():
        match = re.match(rf"(?P<lead>[ |+-]*)(?P<names>{names})", line)
        assert match, line
        indent = len(match["lead"])
        if not continues:  # a line behind a comma has the parent of the line before
            while above and above[-1][0] >= indent:
                above.pop()
            parent = above[-1][1] if above else None
        continues = line.rstrip().endswith(",")
        for name, _, builtin in re.findall(r"(\w+)( \((\w+)\))?", match["names"]):
            found[name] = (parent, builtin or None)
        above.append((indent, name))
    return found


def test_the_drawing_is_the_tree():
    tree = {}
    for name, one in CLASSES.items():
        ours = [base.__name__ for base in one.__bases__ if base.__name__ in CLASSES]
        builtin = [base.__name__ for base in one.__bases__ if base.__name__ not in CLASSES]
        assert len(ours) <= 1
        tree[name] = (ours[0] if ours else None, builtin[0] if builtin and ours else None)
    assert drawn() == tree


def test_every_error_is_named_and_described():
    for name, one in CLASSES.items():
        assert name.endswith("Error")
        assert issubclass(one, MmoinvError)
        assert one.__doc__
        assert one.__module__ == "mmoinv.errors"


def test_each_refusal_has_a_status_of_its_own():
    refusals = OperationRefusedError.__subclasses__()
    assert sorted(one.status for one in refusals) == [2, 3, 4, 5, 8, 9, 10, 11]
    assert all(issubclass(one, OperationRefusedError) for one in refusals)
    assert StaleSessionError("gone", 5, [7, 8]).character_guids == (7, 8)


def test_errors_say_whom_they_concern():
    narrowing = NarrowingError(513, "stack_count", 256, 255, "packed")
    assert str(narrowing) == (
        "slot 513: stack_count 256 does not fit the layout 'packed', which holds at most 255; "
        "nothing was encoded"
    )
    assert isinstance(narrowing, ValueError)
    assert FramingError("broken", 5).offset == 5
    assert BatchError("bad", 3, 513).slot == 513
    assert ContentError("bad", 9, [7]).character_guids == (7,)
    assert LogonError("no", 2).status == 2
    assert JoinError("no", 7, 3).reason == 3


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_errors_can_be_pickled(name):
    one = CLASSES[name]
    made = one(513, "stack_count", 256, 255, "packed") if one is NarrowingError else one("text")
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is one
    assert str(copy) == str(made)
    assert vars(copy) == vars(made)
