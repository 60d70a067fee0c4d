"""The journal of a world process: what it sent and how it was answered, as JSON lines.

Append-only, one file a process, each line with the kernel before the world goes on: a world that
is killed loses no line, at most the end of its last one. Does not know what is true of it.
"""

import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from mmoinv.errors import ConfigurationError
from mmoinv.records import Batch, InventoryItemData

Record = tuple[int, ...]
"""The ten fields of an `INVENTORY_ITEM` record in its order, as ``batch.tolist()`` gives them."""
SLOT, STACK_COUNT, ITEM_GUID = (
    InventoryItemData._fields.index(name) for name in ("slot", "stack_count", "item_guid")
)
"""Where they are in a `Record`; the entry comes first."""


class Amount(NamedTuple):
    """``units`` of an entry, in the stack of item ``guid``, that came to be or were destroyed."""

    guid: int
    entry: int
    units: int


@dataclass(frozen=True)
class Change:
    """What an operation writes for one character.

    ``version``: the character's version before it. ``saves``: records (``batch.tolist()``).
    ``deletes``: slots. With ``replace`` the saves are the whole inventory. ``money``: what is
    added to a balance, by currency.
    """

    character: int
    version: int
    saves: Sequence[Record] = ()
    deletes: Sequence[int] = ()
    replace: bool = False
    money: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """An operation; to be written before it is on the wire.

    Its id is known once it was committed. A connector sends in the next turn of its event loop, so
    whoever writes this right after ``commit()``, in the loop's thread and without awaiting
    anything, is in time.

    ``created`` and ``destroyed`` say how many of an entry it makes and ends over all its
    characters: loot, what is sold or used up. What only moves, splits or merges is in neither.
    ``money_created`` and ``money_destroyed`` say the same by currency, both without sign.
    """

    operation: int
    world: str
    changes: Sequence[Change]
    created: Sequence[Amount] = ()
    destroyed: Sequence[Amount] = ()
    money_created: Mapping[int, int] = field(default_factory=dict)
    money_destroyed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """How an operation ended, to be written when it has: a status of the wire, and the new
    version of each character, if it was committed."""

    operation: int
    status: int
    versions: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """An operation that was on the wire, and so was in its world's outbox before: whatever
    happens to that process, it is answered, the next one at the latest."""

    operation: int


Entry = Sent | Answer | Kept
_NAMES = {Sent: "sent", Answer: "answer", Kept: "kept"}


@dataclass
class Stored:
    """What a database holds: at the end, or before the first operation.

    By character: ``records`` (`INVENTORY_ITEM` batches), ``versions`` and ``wallets`` (the balance
    of each currency); ``applied``: the ids of the operations that the database says it has. What
    is missing is empty or 0.
    """

    records: Mapping[int, Batch] = field(default_factory=dict)
    versions: Mapping[int, int] = field(default_factory=dict)
    wallets: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    applied: Iterable[int] = ()


class Journal:
    """A world's journal, open for writing. ``with`` it, or `close`. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        # Unbuffered: each line is one write.
        self._file = path.open("ab", buffering=0)

    def write(self, entry: Entry) -> None:
        """Append an entry; with the kernel on return, so that a kill -9 does not lose it."""
        # Numpy's integers are integers too.
        line = json.dumps({_NAMES[type(entry)]: asdict(entry)}, default=operator.index)
        self._file.write(line.encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_journals(paths: Iterable[Path]) -> list[Entry]:
    """All entries of several journals, file by file.

    The last line of a file may be incomplete, its process was killed: then nothing was sent and
    nothing answered by it, and it is left out. Any other line that cannot be read raises
    `ConfigurationError` with file and line.
    """
    entries: list[Entry] = []
    for path in paths:
        *lines, _incomplete = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                entries.append(_entry(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(
                    f"{path}, line {number}: no entry of a journal ({error!r}); nothing was "
                    "checked. Was something else written to it?"
                ) from error
    return entries


def _entry(document: Any) -> Entry:
    if not isinstance(document, dict) or len(document) != 1:
        raise ValueError("neither 'sent' nor 'answer'")
    ((name, fields),) = document.items()
    if name == "kept":
        return Kept(**fields)
    if name == "answer":
        return Answer(**{**fields, "versions": _by_number(fields["versions"])})
    if name != "sent":
        raise ValueError(f"{name!r} is neither 'sent' nor 'answer'")
    return Sent(
        **{
            **fields,
            "changes": tuple(_change(each) for each in fields["changes"]),
            "created": tuple(Amount(*each) for each in fields["created"]),
            "destroyed": tuple(Amount(*each) for each in fields["destroyed"]),
            "money_created": _by_number(fields["money_created"]),
            "money_destroyed": _by_number(fields["money_destroyed"]),
        }
    )


def _change(fields: dict[str, Any]) -> Change:
    return Change(
        **{
            **fields,
            "saves": tuple(tuple(each) for each in fields["saves"]),
            "deletes": tuple(fields["deletes"]),
            "money": _by_number(fields["money"]),
        }
    )


def _by_number(fields: dict[str, int]) -> dict[int, int]:
    """JSON's keys are text."""
    return {int(key): value for key, value in fields.items()}
