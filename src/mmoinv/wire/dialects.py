"""What differs between the peers that a realm may speak with, chosen once in the logon."""

from typing import NamedTuple

from mmoinv.errors import ConfigurationError
from mmoinv.wire.opcodes import Opcode


class Dialect(NamedTuple):
    """How a link carries item changes.

    ``layout`` names the record layout of protocol 3 (None: protocol 4's commits);
    ``result_opcode`` is the opcode of the answer; with ``replace`` a save is the whole
    inventory, without it an update by slot.
    """

    number: int
    protocol: int
    layout: str | None
    result_opcode: int
    replace: bool

    @property
    def carries_flags(self) -> bool:
        """Whether the record on the wire has item_flags."""
        return self.layout in (None, "native40")


DIALECTS = (
    Dialect(0, 4, None, Opcode.COMMIT_INVENTORY, False),
    Dialect(1, 3, "packed", Opcode.INVENTORY_OPERATION_RESULT, False),
    Dialect(2, 3, "native32", Opcode.INVENTORY_OPERATION_RESULT_2026, True),
    Dialect(3, 3, "native40", Opcode.INVENTORY_OPERATION_RESULT_2026, True),
)
"""The dialects by their number."""


def dialect_by_number(number: int) -> Dialect:
    """The dialect of that number, or `ConfigurationError`."""
    if not 0 <= number < len(DIALECTS):
        raise ConfigurationError(
            f"dialect {number} is not one of 0 (protocol 4), 1 (packed), 2 (native32), 3 (native40)"
        )
    return DIALECTS[number]
