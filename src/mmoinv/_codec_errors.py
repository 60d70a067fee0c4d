"""What both codecs say when something is wrong, so that they say the same.

Each function makes an exception, the caller raises it. Nothing here is on the hot path.
"""

from collections.abc import Sequence

from mmoinv.errors import BatchError, ContentError, FramingError, RecordError
from mmoinv.records import WIRE_LAYOUTS, Fault, fault_sentence


def number_outside(name: str, value: object, limit: int) -> RecordError:
    """An argument that is no integer of its range."""
    return RecordError(f"{name} {value!r} is not an integer in 0..{limit}; nothing was done")


def signed_outside(name: str, value: object, limit: int) -> RecordError:
    """An argument that is no integer of its range, which has as many negative numbers."""
    return RecordError(
        f"{name} {value!r} is not an integer in {-limit - 1}..{limit}; nothing was done"
    )


def not_a_buffer(value: object) -> RecordError:
    """An argument that is to be read as bytes and cannot be."""
    return RecordError(
        f"bytes or another C-contiguous buffer is wanted, not {type(value).__name__}"
    )


def not_writable(value: object) -> RecordError:
    """An argument that is to be written to and cannot be."""
    return RecordError(
        "a writable C-contiguous buffer, such as a bytearray, is wanted to write frames into, "
        f"not {type(value).__name__}"
    )


def no_room(left: int, needed: int) -> RecordError:
    """A frame that does not fit into the caller's buffer."""
    return RecordError(
        f"the buffer has {left} bytes left, the next frame needs {needed}; that frame was not "
        "written. Give a larger buffer, or send what is in this one first"
    )


def overlapping() -> RecordError:
    """A buffer to write into that lies over what is read."""
    return RecordError(
        "the buffer to write into shares its memory with the operations; nothing was encoded"
    )


def ranges_apart() -> RecordError:
    """`Commits` whose columns do not fit together."""
    return RecordError(
        "the ranges of the operations and participants do not follow one another up to the ends "
        "of their arrays (see mmoinv.commits.Commits); nothing was encoded"
    )


def not_a_commit(operation_id: int, kind: int) -> RecordError:
    """An operation that CommitInventory does not carry."""
    return RecordError(
        f"operation {operation_id} is of kind {kind}; only kind 0, COMMIT, is encoded here"
    )


def not_a_batch(value: object) -> RecordError:
    """An argument that is no batch."""
    dtype = getattr(value, "dtype", None)
    given = type(value).__name__ if dtype is None else "an array of shape "
    if dtype is not None:
        given += f"{getattr(value, 'shape', '?')} and dtype {dtype}"
    return RecordError(
        "a batch is a one-dimensional C-contiguous array of INVENTORY_ITEM or ITEM_DATA "
        f"(mmoinv.records), not {given}; numpy.ascontiguousarray repairs a strided one"
    )


def not_an_array(name: str, value: object, dtype: object) -> RecordError:
    """An argument that is not the one-dimensional contiguous array that is wanted."""
    return RecordError(
        f"{name} must be a one-dimensional C-contiguous array of dtype {dtype}, not "
        f"{getattr(value, 'dtype', type(value).__name__)} of shape {getattr(value, 'shape', '?')}"
    )


def wrong_length(name: str, found: int, wanted: int) -> RecordError:
    """Parallel arrays of different lengths."""
    return RecordError(f"{name} has {found} elements where {wanted} are wanted")


def unknown_layout(layout: object) -> RecordError:
    """A layout name that protocol 3 does not have."""
    return RecordError(f"layout {layout!r} is not one of {', '.join(WIRE_LAYOUTS)}")


def unknown_encoding(encoding: object) -> RecordError:
    """An encoding that a batch does not have."""
    return RecordError(f"encoding {encoding!r} is not one of 0 (records), 1 (columns)")


def unknown_opcode(opcode: object) -> RecordError:
    """A result opcode of no dialect."""
    return RecordError(f"opcode {opcode!r} is not one of 0x0A, 0x0B")


def too_many(what: str, count: int, limit: int) -> RecordError:
    """More than one packet may carry."""
    return RecordError(
        f"{count} {what} are more than the {limit} that one packet may carry; nothing was "
        "encoded, divide the work into several commits"
    )


def bad_batch(fault: int, slot: int) -> BatchError:
    """A batch that breaks a rule, before it is encoded or stored."""
    return BatchError(f"{fault_sentence(fault, slot)}; nothing was encoded", Fault(fault), slot)


def bad_commit(operation_id: int, fault: int, slot: int) -> BatchError:
    """One operation of several that breaks a rule, before it is encoded."""
    return BatchError(
        f"operation {operation_id}: {fault_sentence(fault, slot)}; it was not encoded",
        Fault(fault),
        slot,
    )


def bad_content(
    packet: str, operation_id: int, character_guids: Sequence[int], fault: int, slot: int
) -> ContentError:
    """A well-formed packet whose content is invalid."""
    return ContentError(
        f"{packet}, operation {operation_id}: {fault_sentence(fault, slot)}; nothing was applied",
        operation_id,
        character_guids,
        Fault(fault),
        slot,
    )


def truncated(what: str, offset: int, wanted: int, left: int) -> FramingError:
    """Fewer bytes than the fields say."""
    return FramingError(
        f"{what} at byte {offset} needs {wanted} bytes, only {left} are left", offset
    )


def trailing(packet: str, offset: int, count: int) -> FramingError:
    """More bytes than the fields say."""
    return FramingError(f"{packet} ends at byte {offset}, but {count} more bytes follow", offset)


def over_limit(what: str, offset: int, count: int, limit: int) -> FramingError:
    """A count or length that a peer may not send."""
    return FramingError(f"{what} {count} at byte {offset} is over the limit of {limit}", offset)


def bad_encoding(offset: int, encoding: int) -> FramingError:
    """A batch encoding that protocol 4 does not have."""
    return FramingError(f"batch encoding {encoding} at byte {offset} is not defined", offset)


def bad_column(column: str, offset: int, reason: str) -> FramingError:
    """A column of a batch in encoding 1 that is out of its bounds."""
    return FramingError(f"column {column} at byte {offset}: {reason}", offset)


def bad_value(what: str, offset: int, value: int) -> FramingError:
    """A byte that has none of its defined values."""
    return FramingError(f"{what} at byte {offset} is {value}, which is not defined", offset)


def not_utf8(what: str, offset: int) -> FramingError:
    """Text that is not UTF-8."""
    return FramingError(f"{what} at byte {offset} is not UTF-8", offset)


def changes_apart() -> RecordError:
    """Columns of changes that do not fit together."""
    return RecordError(
        "before and after must have the same length, and counts must add up to it; nothing was "
        "packed"
    )


def no_change() -> RecordError:
    """A pair of records that is no change of a slot."""
    return RecordError(
        "a change has a record before or after, and both in the same slot; nothing was packed"
    )


def changes_format(form: int) -> FramingError:
    """Packed changes of another format."""
    return FramingError(f"packed changes of format {form} are not known")


def changes_what(what: int) -> FramingError:
    """A change that neither adds, changes nor removes."""
    return FramingError(f"a packed change says {what} where 1 to 3 is possible")


def changes_mask(mask: int) -> FramingError:
    """A mask with bits that no field has, or a record without an entry."""
    return FramingError(f"a packed change has the mask {mask:#x}, which no record can have")


COLUMN = "a one-dimensional array of uint64 or int64"
SLOT_COLUMN = "a one-dimensional array of uint16"
SLOT_TABLE = "a C-contiguous two-dimensional array of int32"
RECORD_TABLE = "a C-contiguous array of uint64, six of them for each of the slots"


def unfit_array(name: str, wanted: str, value: object) -> RecordError:
    """An argument that is not the array that is wanted, where more than one kind would do."""
    return RecordError(
        f"{name} must be {wanted}, not {getattr(value, 'dtype', type(value).__name__)} of shape "
        f"{getattr(value, 'shape', '?')}"
    )


def no_such_row(row: int, height: int) -> RecordError:
    """A row that a table does not have."""
    return RecordError(f"row {row} is none of the table's {height}")
