# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=False
# cython: freethreading_compatible=True
"""The compiled codec. What each function means is written in `mmoinv._codec_py`, its twin.

Arrays are taken by their data pointer once their dtype is known to be ours; bytes by a plain
buffer. Every length is checked before it is used: decoding first scans a packet whole, then
expands it, so nothing is allocated for a packet that is broken. All numbers are little
endian, and so must the machine be.

Free-threaded Python: nothing here is written to after the import, so calls on different
threads have nothing in common but what they were given. What is read twice, first to measure
and then to write, is read from a copy of our own where another thread could change it.
"""

import os
import sys

cimport cython
cimport numpy as cnp
from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memset

from mmoinv import _codec_errors as errors
from mmoinv import commits as _commits
from mmoinv import records as _records
from mmoinv.errors import FramingError, NarrowingError

if sys.byteorder != "little":
    raise ImportError("the compiled codec runs on little-endian machines; use MMOINV_CODEC=python")

cnp.import_array()

cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object, int*)

cdef extern from "numpy/arrayobject.h":
    object new_from_descr "PyArray_NewFromDescr"(
        PyTypeObject*, void*, int, cnp.npy_intp*, cnp.npy_intp*, void*, int, PyObject*
    )

cdef extern from "numpy/numpyconfig.h":
    const char* NPY_FEATURE_VERSION_STRING

OLDEST_NUMPY = NPY_FEATURE_VERSION_STRING.decode("ascii")
"""The oldest numpy that this build runs on."""

cdef extern from *:
    """
    /* Under a GIL nobody runs between two reads of a buffer. CFLAGS=-DMMOINV_COPY_SHARED=1
       builds the other branch on any Python, to be tested. */
    #ifndef MMOINV_COPY_SHARED
    #ifdef Py_GIL_DISABLED
    #define MMOINV_COPY_SHARED 1
    #else
    #define MMOINV_COPY_SHARED 0
    #endif
    #endif
    """
    bint COPY_SHARED "MMOINV_COPY_SHARED"

# The record table as C sees it. check_record_table() holds it against mmoinv.records.

cdef packed struct Item:
    uint32_t entry
    uint16_t slot
    uint16_t stack_count
    uint64_t creator
    uint64_t contained
    uint32_t durability
    uint32_t random_property_index
    uint32_t random_suffix_index
    uint32_t item_flags
    uint64_t item_guid

cdef packed struct Operation:
    uint64_t operation_id
    uint32_t first_participant
    uint32_t participant_count
    uint8_t kind
    uint8_t reason
    uint8_t flags
    uint8_t fault
    uint16_t fault_slot

cdef packed struct Participant:
    uint64_t character_guid
    uint64_t expected_version
    uint32_t session_epoch
    uint32_t operation
    uint32_t first_item
    uint32_t item_count
    uint32_t first_delete
    uint32_t delete_count
    uint32_t first_currency
    uint32_t currency_count

cdef packed struct ItemDifference:
    uint16_t slot
    uint8_t kind
    uint8_t field
    uint64_t expected
    uint64_t found

cdef packed struct Frame:
    uint8_t opcode
    uint32_t offset
    uint32_t length

# A wire layout: where each field of ItemData lies (flags: -1 where there are none).
cdef struct Layout:
    int size
    int creator
    int contained
    int durability
    int random_property_index
    int random_suffix_index
    int item_flags

cdef enum:
    ITEM_SIZE = 48
    PACKED_SIZE = 29
    HEADER_SIZE = 5
    SAVE = 0x0E
    DELETE = 0x0F
    RESULT = 0x0A
    RESULT_2026 = 0x0B
    COMMIT = 0x80
    KIND_COMMIT = 0
    KIND_SAVE = 1
    KIND_DELETE = 2
    FLAG_REPLACE = 1
    FLAG_BITS = 7
    COLUMNS = 10
    COLUMNS_FROM_BYTES = 1000
    SMALL = 256
    COMMIT_HEAD = 12
    PARTICIPANT_HEAD = 23
    CURRENCY_SIZE = 10

cdef enum DifferenceKind:
    MISSING = 1
    EXTRA = 2
    FIELD_DIFFERS = 3

cdef enum Fault:
    FAULT_NONE = 0
    STACK_COUNT_ZERO = 1
    ENTRY_ZERO = 2
    SLOT_TWICE = 3
    SAVED_AND_DELETED = 4
    BUYBACK_SLOT = 5
    NO_PARTICIPANT = 6
    PARTICIPANT_TWICE = 7
    REPLACE_WITH_DELETES = 8
    ITEM_GUID_ZERO = 9
    UNKNOWN_FLAGS = 10

cdef cnp.dtype INVENTORY_ITEM = _records.INVENTORY_ITEM
cdef cnp.dtype ITEM_DATA = _records.ITEM_DATA
cdef cnp.dtype SLOT = _records.SLOT
cdef cnp.dtype DIFFERENCE = _records.DIFFERENCE
cdef cnp.dtype OPERATION = _commits.OPERATION
cdef cnp.dtype PARTICIPANT = _commits.PARTICIPANT
cdef cnp.dtype CURRENCY = _commits.CURRENCY
cdef cnp.dtype FRAME = _commits.FRAME
cdef cnp.dtype STATUS = cnp.PyArray_DescrFromType(cnp.NPY_UINT8)
cdef cnp.dtype VERSION = cnp.PyArray_DescrFromType(cnp.NPY_UINT64)
cdef cnp.dtype INDEX = cnp.PyArray_DescrFromType(cnp.NPY_INT64)
cdef cnp.dtype NATIVE32 = _records.NATIVE32.dtype
cdef cnp.dtype NATIVE40 = _records.NATIVE40.dtype
cdef cnp.dtype BOOL = cnp.PyArray_DescrFromType(cnp.NPY_BOOL)
cdef object ZERO = 0  # a default argument is this very object
cdef object Commits = _commits.Commits
cdef object message_bytes = _commits.message_bytes

cdef Py_ssize_t MAX_BODY_SIZE = _records.MAX_BODY_SIZE
cdef Py_ssize_t MAX_BATCH_ITEMS = _records.MAX_BATCH_ITEMS
cdef Py_ssize_t MAX_PARTICIPANTS = _records.MAX_PARTICIPANTS
cdef Py_ssize_t MAX_PACKET_ITEMS = _records.MAX_PACKET_ITEMS
cdef Py_ssize_t MAX_CHUNK_ITEMS = _records.MAX_CHUNK_ITEMS

cdef str PACKED_NAME = "packed"
cdef Layout PACKED_LAYOUT = Layout(29, 7, 15, 23, 25, 27, -1)
cdef Layout NATIVE32_LAYOUT = Layout(32, 8, 16, 24, 26, 28, -1)
cdef Layout NATIVE40_LAYOUT = Layout(40, 8, 16, 24, 26, 28, 32)

cdef int* FIELD_OFFSETS = [0, 4, 6, 8, 16, 24, 28, 32, 36, 40]
cdef int* FIELD_SIZES = [4, 2, 2, 8, 8, 4, 4, 4, 4, 8]
cdef tuple FIELD_NAMES = tuple([field.name for field in _records.WIDE.fields])


cdef int check_record_table() except -1:
    """The offsets above must be those of the one record table."""
    cdef int i
    for i, field in enumerate(_records.WIDE.fields):
        if (field.offset, field.size) != (FIELD_OFFSETS[i], FIELD_SIZES[i]):
            raise ImportError(f"the compiled codec has another record table: {field}")
    for layout, size, offsets in (
        (_records.PACKED, PACKED_LAYOUT.size, (0, 4, 6, 7, 15, 23, 25, 27)),
        (_records.NATIVE32, NATIVE32_LAYOUT.size, (0, 4, 6, 8, 16, 24, 26, 28)),
        (_records.NATIVE40, NATIVE40_LAYOUT.size, (0, 4, 6, 8, 16, 24, 26, 28, 32)),
    ):
        if layout.itemsize != size or tuple(field.offset for field in layout.fields) != offsets:
            raise ImportError(f"the compiled codec has another layout {layout.name}")
    if (
        OPERATION.itemsize != sizeof(Operation)
        or PARTICIPANT.itemsize != sizeof(Participant)
        or FRAME.itemsize != sizeof(Frame)
        or CURRENCY.itemsize != CURRENCY_SIZE
        or INVENTORY_ITEM.itemsize != sizeof(Item)
        or DIFFERENCE.itemsize != sizeof(ItemDifference)
    ):
        raise ImportError("the compiled codec has other operation tables")
    return 0


check_record_table()


# Arguments


cdef inline bint is_array(object value, cnp.dtype dtype):
    """A one-dimensional contiguous array of the dtype; the pointer is compared first."""
    if not isinstance(value, cnp.ndarray):
        return False
    if (
        cnp.PyArray_NDIM(<cnp.ndarray>value) != 1
        or not cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>value)
    ):
        return False
    if <void*>cnp.PyArray_DESCR(<cnp.ndarray>value) == <void*>dtype:
        return True
    return (<cnp.ndarray>value).dtype == dtype


cdef inline const uint8_t* data_of(object array):
    return <const uint8_t*>cnp.PyArray_DATA(<cnp.ndarray>array)


cdef inline Py_ssize_t length_of(object array):
    return cnp.PyArray_DIM(<cnp.ndarray>array, 0)


cdef inline bint is_wide(object items) except -1:
    """Whether a batch is of INVENTORY_ITEM (else of ITEM_DATA); anything else raises."""
    # Both pointers first: comparing dtypes by their content costs microseconds.
    if (
        isinstance(items, cnp.ndarray)
        and cnp.PyArray_NDIM(<cnp.ndarray>items) == 1
        and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>items)
    ):
        if <void*>cnp.PyArray_DESCR(<cnp.ndarray>items) == <void*>ITEM_DATA:
            return False
        if <void*>cnp.PyArray_DESCR(<cnp.ndarray>items) == <void*>INVENTORY_ITEM:
            return True
    return is_wide_by_content(items)


cdef bint is_wide_by_content(object items) except -1:
    if is_array(items, INVENTORY_ITEM):
        return True
    if is_array(items, ITEM_DATA):
        return False
    raise errors.not_a_batch(items)


cdef inline int check_array(str name, object array, cnp.dtype dtype) except -1:
    if not is_array(array, dtype):
        raise errors.not_an_array(name, array, dtype)
    return 0


cdef inline uint64_t number(str name, object value, uint64_t limit) except? 0xDEAD:
    """An integer in 0..limit; the usual small int is read without a call."""
    cdef int overflow = 0
    cdef int64_t small
    if type(value) is int:
        small = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow == 0 and small >= 0 and <uint64_t>small <= limit:
            return <uint64_t>small
    return unusual_number(name, value, limit)


cdef uint64_t unusual_number(str name, object value, uint64_t limit) except? 0xDEAD:
    cdef uint64_t result
    try:
        result = PyNumber_Index(value)
    except (OverflowError, TypeError):
        raise errors.number_outside(name, value, limit) from None
    if result > limit:
        raise errors.number_outside(name, value, limit)
    return result


cdef inline const Layout* layout_of(object name) except NULL:
    if name is PACKED_NAME:  # the default argument is this very string
        return &PACKED_LAYOUT
    return other_layout(name)


cdef const Layout* other_layout(object name) except NULL:
    if isinstance(name, str):
        if name == "packed":
            return &PACKED_LAYOUT
        if name == "native32":
            return &NATIVE32_LAYOUT
        if name == "native40":
            return &NATIVE40_LAYOUT
    raise errors.unknown_layout(name)


cdef inline int at_most(str what, Py_ssize_t count, Py_ssize_t limit) except -1:
    if count > limit:
        raise errors.too_many(what, count, limit)
    return 0


cdef inline cnp.ndarray new_array(cnp.dtype dtype, Py_ssize_t size, Py_ssize_t count):
    """An array over bytes of its own: several times cheaper than numpy's own allocation.

    Nobody else ever sees the bytes object, so the array may be written to.
    """
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, size * count)
    cdef cnp.npy_intp dimension = count
    Py_INCREF(dtype)
    cdef cnp.ndarray array = new_from_descr(
        <PyTypeObject*>cnp.ndarray, <void*>dtype, 1, &dimension, NULL,
        PyBytes_AS_STRING(memory), cnp.NPY_ARRAY_CARRAY, NULL,
    )
    cnp.set_array_base(array, memory)
    return array


cdef inline cnp.ndarray copy_of(object array, cnp.dtype dtype, Py_ssize_t size, Py_ssize_t count):
    """The first ``count`` records of an array of the dtype, which nobody else can change."""
    cdef cnp.ndarray copy = new_array(dtype, size, count)
    memcpy(cnp.PyArray_DATA(copy), data_of(array), size * count)
    return copy


@cython.final
cdef class Bytes:
    """Holds a plain buffer while it is read.

    Without a GIL, anything but bytes is copied: a packet that another thread changes between
    its scan and its expansion would be expanded unchecked.
    """

    cdef Py_buffer view
    cdef uint8_t* copy
    cdef const uint8_t* data
    cdef Py_ssize_t size

    def __cinit__(self, object buffer):
        try:
            PyObject_GetBuffer(buffer, &self.view, PyBUF_SIMPLE)
        except (TypeError, ValueError, BufferError):
            raise errors.not_a_buffer(buffer) from None
        self.data = <const uint8_t*>self.view.buf
        self.size = self.view.len
        if COPY_SHARED and type(buffer) is not bytes:
            self.copy = <uint8_t*>PyMem_Malloc(self.size)
            if self.copy == NULL:
                raise MemoryError
            memcpy(self.copy, self.data, self.size)
            self.data = self.copy

    def __dealloc__(self):
        PyMem_Free(self.copy)
        PyBuffer_Release(&self.view)


@cython.final
cdef class Output:
    """Where frames go: a caller's buffer from an offset on, or bytes that grow."""

    cdef Py_buffer view
    cdef bint given, aside
    cdef uint8_t* data
    cdef uint8_t* spare
    cdef Py_ssize_t size, at

    def __cinit__(self, object out, object offset):
        self.spare = NULL
        self.data = NULL
        self.size = 0
        self.given = False
        self.aside = False
        if out is None:
            self.at = <Py_ssize_t>number("offset", offset, 0)
            return
        try:
            PyObject_GetBuffer(out, &self.view, PyBUF_WRITABLE)
        except (TypeError, ValueError, BufferError):
            raise errors.not_writable(out) from None
        self.given = True
        self.data = <uint8_t*>self.view.buf
        self.size = self.view.len
        self.at = <Py_ssize_t>number("offset", offset, self.size)

    def __dealloc__(self):
        PyMem_Free(self.spare)
        if self.given:
            PyBuffer_Release(&self.view)
        else:
            PyMem_Free(self.data)

    cdef inline uint8_t* room(self, Py_ssize_t most) except NULL:
        """Where at most so many bytes may be written; `written` says how many were."""
        self.aside = False
        if self.size - self.at >= most:
            return self.data + self.at
        return self.more_room(most)

    cdef uint8_t* more_room(self, Py_ssize_t most) except NULL:
        cdef Py_ssize_t size = most
        cdef uint8_t* memory
        if not self.given:
            size = max(2 * self.size, self.at + most, 4096)
        # What may not fit into a given buffer is written aside, and its size is seen then.
        memory = <uint8_t*>PyMem_Realloc(self.spare if self.given else self.data, size)
        if memory == NULL:
            raise MemoryError
        if self.given:
            self.aside = True
            self.spare = memory
            return memory
        self.data = memory
        self.size = size
        return memory + self.at

    cdef inline int written(self, Py_ssize_t count) except -1:
        if self.aside:
            if count > self.size - self.at:
                raise errors.no_room(self.size - self.at, count)
            memcpy(self.data + self.at, self.spare, count)
        self.at += count
        return 0

    cdef inline bint overlaps(self, const void* memory, Py_ssize_t size) noexcept nogil:
        return (
            self.given
            and <const uint8_t*>memory < self.data + self.size
            and self.data < <const uint8_t*>memory + size
        )

    cdef inline object result(self):
        """The offset behind the last frame, or the frames themselves."""
        if self.given:
            return self.at
        return PyBytes_FromStringAndSize(<char*>self.data, self.at)


# Little-endian numbers at any address


cdef inline uint16_t read16(const uint8_t* at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return value


cdef inline uint32_t read32(const uint8_t* at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return value


cdef inline uint64_t read64(const uint8_t* at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef inline uint64_t read_width(const uint8_t* at, int width) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    if width == 1:
        return at[0]
    if width == 2:
        return read16(at)
    if width == 4:
        return read32(at)
    if width == 8:
        return read64(at)
    for i in range(width):
        value |= <uint64_t>at[i] << (8 * i)
    return value


cdef inline void write16(uint8_t* at, uint16_t value) noexcept nogil:
    memcpy(at, &value, 2)


cdef inline void write32(uint8_t* at, uint32_t value) noexcept nogil:
    memcpy(at, &value, 4)


cdef inline void write64(uint8_t* at, uint64_t value) noexcept nogil:
    memcpy(at, &value, 8)


cdef inline void write_width(uint8_t* at, uint64_t value, int width) noexcept nogil:
    cdef int i
    for i in range(width):
        at[i] = <uint8_t>(value >> (8 * i))


cdef inline int width_of(uint64_t value) noexcept nogil:
    cdef int width = 1
    while width < 8 and value >> (8 * width):
        width += 1
    return width


cdef inline uint8_t* write_header(uint8_t* at, uint8_t opcode, Py_ssize_t body) noexcept nogil:
    at[0] = opcode
    write32(at + 1, <uint32_t>body)
    return at + HEADER_SIZE


# The rules of a batch


cdef inline bint is_buyback(uint16_t slot) noexcept nogil:
    return <uint8_t>(<uint8_t>slot - 74) <= 11 and <uint8_t>((slot >> 8) + 1) <= 1


cdef int repeated_slot(
    const uint8_t* slots, Py_ssize_t stride, Py_ssize_t count, uint16_t* slot
) noexcept nogil:
    """SLOT_TWICE with the first slot that occurred before, in the given order."""
    cdef uint64_t[1024] seen
    cdef uint16_t one
    cdef Py_ssize_t i
    memset(seen, 0, sizeof(seen))
    for i in range(count):
        one = read16(slots + i * stride)
        if seen[one >> 6] >> (one & 63) & 1:
            slot[0] = one
            return SLOT_TWICE
        seen[one >> 6] |= <uint64_t>1 << (one & 63)
    return FAULT_NONE


cdef int first_record_fault(
    const uint8_t* data, Py_ssize_t stride, Py_ssize_t count, bint wide, bint named,
    uint16_t* slot,
) noexcept nogil:
    cdef const uint8_t* at
    cdef Py_ssize_t i
    for i in range(count):
        at = data + i * stride
        slot[0] = read16(at + 4)
        if read32(at) == 0:
            return ENTRY_ZERO
        if at[6] == 0 and (not wide or at[7] == 0):
            return STACK_COUNT_ZERO
        if named and read64(at + 40) == 0:
            return ITEM_GUID_ZERO
        if is_buyback(slot[0]):
            return BUYBACK_SLOT
    return FAULT_NONE


cdef inline int records_fault(
    const uint8_t* data, Py_ssize_t stride, Py_ssize_t count, bint wide, bint named,
    uint16_t* slot,
) noexcept nogil:
    """entry, slot and stack_count lie at 0, 4 and 6 in every layout, item_guid at 40.

    One pass without branches over the usual case, valid and in slot order. One is taken from
    entry and stack_count where they lie: if either is 0, it borrows from the bit set above
    it. Only if something is amiss, the place is sought. Buyback slots are sought only in a
    batch whose first and last slot lie around them.
    """
    cdef const uint8_t* at = data
    cdef int64_t next_slot = 0
    cdef int64_t unordered = 0
    cdef int64_t one, first
    # Of a record's first eight bytes: entry and an 8-bit stack_count, the bits that they
    # borrow from, and one of each.
    cdef uint64_t both = 0x00FF0000FFFFFFFF
    cdef uint64_t lent = 0x0100000100000000
    cdef uint64_t ones = 0x0001000000000001
    cdef uint64_t kept = lent
    cdef bint unnamed = False
    cdef Py_ssize_t _
    cdef int fault
    if count == 0:
        return FAULT_NONE
    first = read16(data + 4)
    for _ in range(count):
        if wide:
            # A 16-bit stack_count has no bit above it there.
            kept &= (read32(at) | lent) - 1
            kept &= (read16(at + 6) | lent) - 1
        else:
            kept &= (read64(at) & both | lent) - ones
        if named:
            unnamed |= read64(at + 40) == 0
        one = read16(at + 4)
        unordered |= one - next_slot
        next_slot = one + 1
        at += stride
    if (
        unordered < 0
        or unnamed
        or kept & lent != lent
        or (first <= 85 and next_slot > 74)
        or (first <= 0xFF55 and next_slot > 0xFF4A)
    ):
        fault = first_record_fault(data, stride, count, wide, named, slot)
        if fault:
            return fault
        if unordered < 0:
            return repeated_slot(data + 4, stride, count, slot)
    return FAULT_NONE


cdef int deletes_fault(
    const uint8_t* deletes, Py_ssize_t count, const uint8_t* items, Py_ssize_t item_count,
    uint16_t* slot,
) noexcept nogil:
    """``items`` are wide records, already found valid.

    The usual few in order need no set of slots, which costs 8 KiB to clear.
    """
    cdef uint64_t[1024] seen
    cdef uint16_t one
    cdef int last = -1
    cdef bint ascending = True
    cdef Py_ssize_t i, k
    cdef int fault
    for i in range(count):
        one = read16(deletes + 2 * i)
        if is_buyback(one):
            slot[0] = one
            return BUYBACK_SLOT
        ascending &= one > last
        last = one
    if not ascending:
        fault = repeated_slot(deletes, 2, count, slot)
        if fault:
            return fault
    if count * item_count <= SMALL:
        for i in range(count):
            one = read16(deletes + 2 * i)
            for k in range(item_count):
                if read16(items + k * ITEM_SIZE + 4) == one:
                    slot[0] = one
                    return SAVED_AND_DELETED
        return FAULT_NONE
    memset(seen, 0, sizeof(seen))
    for i in range(item_count):
        one = read16(items + i * ITEM_SIZE + 4)
        seen[one >> 6] |= <uint64_t>1 << (one & 63)
    for i in range(count):
        one = read16(deletes + 2 * i)
        if seen[one >> 6] >> (one & 63) & 1:
            slot[0] = one
            return SAVED_AND_DELETED
    return FAULT_NONE


def validate_batch(object items, bint named=False):
    """Raise `BatchError` unless the batch is valid.

    Checked record by record: entry >= 1, stack_count >= 1, with ``named`` item_guid >= 1, no
    buyback slot; then that no slot occurs twice.
    """
    cdef bint wide = is_wide(items)
    cdef uint16_t slot = 0
    cdef int fault
    if not wide and named:
        items = widen(items)
        wide = True
    fault = records_fault(
        data_of(items), ITEM_SIZE if wide else PACKED_SIZE, length_of(items), wide, named, &slot
    )
    if fault:
        raise errors.bad_batch(fault, slot)


# Widening and narrowing


cdef inline void widen_record(
    uint8_t* target, const uint8_t* source, const Layout* layout
) noexcept nogil:
    cdef Item* item = <Item*>target
    item.entry = read32(source)
    item.slot = read16(source + 4)
    item.stack_count = source[6]
    item.creator = read64(source + layout.creator)
    item.contained = read64(source + layout.contained)
    item.durability = read16(source + layout.durability)
    item.random_property_index = read16(source + layout.random_property_index)
    item.random_suffix_index = read16(source + layout.random_suffix_index)
    item.item_flags = read32(source + layout.item_flags) if layout.item_flags >= 0 else 0
    item.item_guid = 0


cdef inline bint narrow_record(
    uint8_t* target, const uint8_t* source, const Layout* layout
) noexcept nogil:
    """False if a value does not fit."""
    cdef const Item* item = <const Item*>source
    if layout.size != PACKED_SIZE:
        memset(target, 0, layout.size)
    write32(target, item.entry)
    write16(target + 4, item.slot)
    target[6] = <uint8_t>item.stack_count
    write64(target + layout.creator, item.creator)
    write64(target + layout.contained, item.contained)
    write16(target + layout.durability, <uint16_t>item.durability)
    write16(target + layout.random_property_index, <uint16_t>item.random_property_index)
    write16(target + layout.random_suffix_index, <uint16_t>item.random_suffix_index)
    if layout.item_flags >= 0:
        write32(target + layout.item_flags, item.item_flags)
    return (
        (item.stack_count >> 8)
        | (item.durability >> 16)
        | (item.random_property_index >> 16)
        | (item.random_suffix_index >> 16)
    ) == 0


cdef int raise_narrowing(const uint8_t* source, object layout) except -1:
    cdef const Item* item = <const Item*>source
    for name, value, limit in (
        ("stack_count", item.stack_count, 0xFF),
        ("durability", item.durability, 0xFFFF),
        ("random_property_index", item.random_property_index, 0xFFFF),
        ("random_suffix_index", item.random_suffix_index, 0xFFFF),
    ):
        if value > limit:
            raise NarrowingError(item.slot, name, value, limit, str(layout))
    return 0


cdef inline void widen_records(
    uint8_t* target, const uint8_t* source, Py_ssize_t count, const Layout* layout
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        widen_record(target + i * ITEM_SIZE, source + i * layout.size, layout)


cdef inline bint widen_packed(
    uint8_t* target, const uint8_t* source, Py_ssize_t count
) noexcept nogil:
    """widen_records of the packed layout; False if records_fault may find something.

    In one pass, since both read the same eight bytes of each record: see records_fault. Those
    bytes without the last are the target's first word, too.
    """
    cdef uint64_t* word = <uint64_t*>target
    cdef uint64_t seven = 0x00FFFFFFFFFFFFFF
    cdef uint64_t both = 0x00FF0000FFFFFFFF
    cdef uint64_t lent = 0x0100000100000000
    cdef uint64_t ones = 0x0001000000000001
    cdef uint64_t kept = lent
    cdef uint64_t head
    cdef uint32_t tail
    cdef int64_t next_slot = 0
    cdef int64_t unordered = 0
    cdef int64_t one = 0
    cdef int64_t first = read16(source + 4) if count else 0
    cdef Py_ssize_t _
    for _ in range(count):
        head = read64(source) & seven
        kept &= (head & both | lent) - ones
        one = <int64_t>(head >> 32 & 0xFFFF)
        unordered |= one - next_slot
        next_slot = one + 1
        tail = read32(source + 23)
        word[0] = head
        memcpy(word + 1, source + 7, 16)
        word[3] = tail & 0xFFFF | <uint64_t>(tail >> 16) << 32
        word[4] = read16(source + 27)
        word[5] = 0
        word += 6
        source += PACKED_SIZE
    return not (
        unordered < 0
        or kept & lent != lent
        or (first <= 85 and next_slot > 74)
        or (first <= 0xFF55 and next_slot > 0xFF4A)
    )


cdef int narrow_into(
    uint8_t* target, object items, bint wide, const Layout* layout, object name
) except -1:
    """Every record of a batch in a wire layout, checked."""
    cdef const uint8_t* source = data_of(items)
    cdef Py_ssize_t count = length_of(items)
    cdef Py_ssize_t i
    cdef Item item
    if not wide and layout.size == PACKED_SIZE:
        memcpy(target, source, count * PACKED_SIZE)
    elif wide:
        for i in range(count):
            if not narrow_record(target + i * layout.size, source + i * ITEM_SIZE, layout):
                raise_narrowing(source + i * ITEM_SIZE, name)
    else:
        for i in range(count):
            widen_record(<uint8_t*>&item, source + i * PACKED_SIZE, &PACKED_LAYOUT)
            narrow_record(target + i * layout.size, <const uint8_t*>&item, layout)
    return 0


def widen(object items):
    """Any batch as a new `INVENTORY_ITEM` batch; item_flags and item_guid become 0."""
    cdef bint wide = is_wide(items)
    cdef Py_ssize_t count = length_of(items)
    cdef cnp.ndarray result = new_array(INVENTORY_ITEM, ITEM_SIZE, count)
    cdef uint8_t* target = <uint8_t*>cnp.PyArray_DATA(result)
    if wide:
        memcpy(target, data_of(items), count * ITEM_SIZE)
    else:
        widen_records(target, data_of(items), count, &PACKED_LAYOUT)
    return result


def narrow(object items, object layout="packed"):
    """A batch in the given wire layout (``"packed"`` gives `ITEM_DATA`), every value checked.

    Padding is zero. Fields that the layout does not have are left out. `NarrowingError`
    names the first record, and in it the first field, that does not fit.
    """
    cdef const Layout* target = layout_of(layout)
    cdef bint wide = is_wide(items)
    cdef cnp.dtype dtype = ITEM_DATA
    if target.size != PACKED_SIZE:
        dtype = NATIVE32 if target.size == 32 else NATIVE40
    cdef cnp.ndarray result = new_array(dtype, target.size, length_of(items))
    narrow_into(<uint8_t*>cnp.PyArray_DATA(result), items, wide, target, layout)
    return result


# Order and difference


cdef int compare_keys(const void* left, const void* right) noexcept nogil:
    cdef uint64_t a = (<const uint64_t*>left)[0]
    cdef uint64_t b = (<const uint64_t*>right)[0]
    return (a > b) - (a < b)


cdef bint ascends(const uint8_t* items, Py_ssize_t count) noexcept nogil:
    cdef int last = -1
    cdef int one
    cdef Py_ssize_t i
    for i in range(count):
        one = read16(items + i * ITEM_SIZE + 4)
        if one <= last:
            return False
        last = one
    return True


cdef object ordered(object items, bint copy):
    """The batch as wide records in slot order; the array itself if it is that already."""
    cdef bint wide = is_wide(items)
    cdef object source = items if wide else widen(items)
    cdef const uint8_t* data = data_of(source)
    cdef Py_ssize_t count = length_of(source)
    if ascends(data, count):
        return widen(source) if copy and wide else source
    cdef uint64_t* keys = <uint64_t*>PyMem_Malloc(count * sizeof(uint64_t))
    if keys == NULL:
        raise MemoryError
    cdef Py_ssize_t i
    cdef cnp.ndarray result
    cdef uint8_t* target
    try:
        for i in range(count):
            keys[i] = <uint64_t>read16(data + i * ITEM_SIZE + 4) << 48 | <uint64_t>i
        qsort(keys, count, sizeof(uint64_t), compare_keys)
        for i in range(1, count):
            if keys[i] >> 48 == keys[i - 1] >> 48:
                raise errors.bad_batch(SLOT_TWICE, keys[i] >> 48)
        result = new_array(INVENTORY_ITEM, ITEM_SIZE, count)
        target = <uint8_t*>cnp.PyArray_DATA(result)
        for i in range(count):
            memcpy(
                target + i * ITEM_SIZE,
                data + <Py_ssize_t>(keys[i] & 0xFFFFFFFF) * ITEM_SIZE,
                ITEM_SIZE,
            )
    finally:
        PyMem_Free(keys)
    return result


def sort_by_slot(object items):
    """A new `INVENTORY_ITEM` batch in ascending slot order; a slot twice raises `BatchError`."""
    return ordered(items, True)


cdef inline bint same_record(const uint8_t* a, const uint8_t* b) noexcept nogil:
    return (
        (read64(a) ^ read64(b))
        | (read64(a + 8) ^ read64(b + 8))
        | (read64(a + 16) ^ read64(b + 16))
        | (read64(a + 24) ^ read64(b + 24))
        | (read64(a + 32) ^ read64(b + 32))
        | (read64(a + 40) ^ read64(b + 40))
    ) == 0


cdef inline bint find_difference(
    const uint8_t* old, Py_ssize_t old_count, const uint8_t* new, Py_ssize_t new_count,
    uint32_t* changed, uint16_t* gone, Py_ssize_t* saved_count, Py_ssize_t* deleted_count,
) noexcept nogil:
    """Of two slot-sorted batches: indices into the new one, and the slots that are gone.

    ``changed`` has room for ``new_count``, ``gone`` for ``old_count``. False if one of the
    batches is not in slot order: then what was found means nothing.
    """
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t j = 0
    cdef Py_ssize_t saved = 0
    cdef Py_ssize_t deleted = 0
    cdef int64_t old_slot, new_slot
    cdef int64_t next_old = 0
    cdef int64_t next_new = 0
    cdef int64_t unordered = 0
    while i < old_count and j < new_count:
        new_slot = read16(new + j * ITEM_SIZE + 4)
        unordered |= new_slot - next_new
        # Few records change, and one comparison tells that slot and all the rest is the same.
        if same_record(old + i * ITEM_SIZE, new + j * ITEM_SIZE):
            unordered |= new_slot - next_old
            next_old = next_new = new_slot + 1
            i += 1
            j += 1
            continue
        old_slot = read16(old + i * ITEM_SIZE + 4)
        unordered |= old_slot - next_old
        if old_slot <= new_slot:
            next_old = old_slot + 1
            i += 1
        if old_slot < new_slot:
            gone[deleted] = <uint16_t>old_slot
            deleted += 1
        else:
            next_new = new_slot + 1
            changed[saved] = <uint32_t>j
            saved += 1
            j += 1
    while i < old_count:
        old_slot = read16(old + i * ITEM_SIZE + 4)
        unordered |= old_slot - next_old
        next_old = old_slot + 1
        gone[deleted] = <uint16_t>old_slot
        deleted += 1
        i += 1
    while j < new_count:
        new_slot = read16(new + j * ITEM_SIZE + 4)
        unordered |= new_slot - next_new
        next_new = new_slot + 1
        changed[saved] = <uint32_t>j
        saved += 1
        j += 1
    saved_count[0] = saved
    deleted_count[0] = deleted
    return unordered >= 0


cdef struct Difference:
    # What turned one batch into another, found but not yet copied; `memory` is to be freed.
    uint32_t[SMALL] small_changed
    uint16_t[SMALL] small_gone
    uint32_t* changed
    uint16_t* gone
    void* memory
    Py_ssize_t room
    Py_ssize_t saved
    Py_ssize_t deleted
    const uint8_t* records


cdef inline void no_difference(Difference* difference) noexcept nogil:
    difference.changed = difference.small_changed
    difference.gone = difference.small_gone
    difference.memory = NULL
    difference.room = SMALL


cdef inline object set_difference(Difference* difference, object before, object after):
    """Finds it; returns the batch that its records are of, which must outlive it."""
    cdef object old = before if is_wide(before) else widen(before)
    cdef object new = after if is_wide(after) else widen(after)
    if not difference_between(difference, old, new):
        old = ordered(old, False)
        new = ordered(new, False)
        difference_between(difference, old, new)
    return new


cdef inline int difference_between(Difference* difference, object old, object new) except -1:
    """Whether both are in slot order; else nothing of it holds."""
    cdef Py_ssize_t old_count = length_of(old)
    cdef Py_ssize_t new_count = length_of(new)
    if old_count > difference.room or new_count > difference.room:
        widen_difference(difference, max(old_count, new_count))
    difference.records = data_of(new)
    return find_difference(
        data_of(old), old_count, difference.records, new_count, difference.changed,
        difference.gone, &difference.saved, &difference.deleted,
    )


cdef int widen_difference(Difference* difference, Py_ssize_t room) except -1:
    PyMem_Free(difference.memory)
    difference.room = 0
    difference.memory = PyMem_Malloc(room * (sizeof(uint32_t) + sizeof(uint16_t)))
    if difference.memory == NULL:
        raise MemoryError
    difference.room = room
    difference.changed = <uint32_t*>difference.memory
    difference.gone = <uint16_t*>(difference.changed + room)
    return 0


cdef inline void copy_changed(uint8_t* target, const Difference* difference) noexcept nogil:
    """The records that are new or changed, one after the other."""
    cdef Py_ssize_t i
    for i in range(difference.saved):
        memcpy(
            target + i * ITEM_SIZE, difference.records + difference.changed[i] * ITEM_SIZE,
            ITEM_SIZE,
        )


def diff(object before, object after):
    """What turns ``before`` into ``after``: (records new or changed, slots that are gone).

    Both in slot order, whatever the order of the input; a slot twice raises `BatchError`.
    """
    cdef Difference difference
    cdef cnp.ndarray saves, deletes
    no_difference(&difference)
    try:
        _kept = set_difference(&difference, before, after)
        saves = new_array(INVENTORY_ITEM, ITEM_SIZE, difference.saved)
        copy_changed(<uint8_t*>cnp.PyArray_DATA(saves), &difference)
        deletes = new_array(SLOT, 2, difference.deleted)
        memcpy(cnp.PyArray_DATA(deletes), difference.gone, 2 * difference.deleted)
    finally:
        PyMem_Free(difference.memory)
    return saves, deletes


def apply_changes(object before, object saves, object deletes):
    """The inverse of `diff`: ``before`` without ``deletes`` and with ``saves``, in slot order.

    A slot twice in ``before`` or in ``saves`` raises `BatchError`; a delete of an empty slot
    does nothing; a slot both deleted and saved is saved.
    """
    cdef uint64_t[1024] gone
    # Counted first, then written: what is counted must not change.
    cdef object old_batch = ordered(before, COPY_SHARED)
    check_array("deletes", deletes, SLOT)
    cdef object new_batch = ordered(saves, False)
    cdef const uint8_t* old = data_of(old_batch)
    cdef const uint8_t* new = data_of(new_batch)
    cdef const uint8_t* slots = data_of(deletes)
    cdef Py_ssize_t old_count = length_of(old_batch)
    cdef Py_ssize_t new_count = length_of(new_batch)
    cdef Py_ssize_t i, count
    cdef Py_ssize_t j = 0
    cdef uint16_t slot
    cdef cnp.ndarray result
    cdef uint8_t* target
    memset(gone, 0, sizeof(gone))
    for i in range(length_of(deletes)):
        slot = read16(slots + 2 * i)
        gone[slot >> 6] |= <uint64_t>1 << (slot & 63)
    for i in range(new_count):
        slot = read16(new + i * ITEM_SIZE + 4)
        gone[slot >> 6] |= <uint64_t>1 << (slot & 63)
    count = new_count
    for i in range(old_count):
        slot = read16(old + i * ITEM_SIZE + 4)
        count += not (gone[slot >> 6] >> (slot & 63) & 1)
    result = new_array(INVENTORY_ITEM, ITEM_SIZE, count)
    target = <uint8_t*>cnp.PyArray_DATA(result)
    for i in range(old_count):
        slot = read16(old + i * ITEM_SIZE + 4)
        if gone[slot >> 6] >> (slot & 63) & 1:
            continue
        while j < new_count and read16(new + j * ITEM_SIZE + 4) < slot:
            memcpy(target, new + j * ITEM_SIZE, ITEM_SIZE)
            target += ITEM_SIZE
            j += 1
        memcpy(target, old + i * ITEM_SIZE, ITEM_SIZE)
        target += ITEM_SIZE
    memcpy(target, new + j * ITEM_SIZE, (new_count - j) * ITEM_SIZE)
    return result


cdef struct Differences:
    # Rows as they are found; `memory` is to be freed.
    ItemDifference* rows
    void* memory
    Py_ssize_t count
    Py_ssize_t room


cdef inline int add_difference(
    Differences* to, int64_t slot, int kind, int field, uint64_t expected, uint64_t found
) except -1:
    cdef ItemDifference* row
    if to.count == to.room:
        more_differences(to)
    row = to.rows + to.count
    row.slot = <uint16_t>slot
    row.kind = <uint8_t>kind
    row.field = <uint8_t>field
    row.expected = expected
    row.found = found
    to.count += 1
    return 0


cdef int more_differences(Differences* to) except -1:
    cdef Py_ssize_t room = max(2 * to.room, SMALL)
    cdef void* memory = PyMem_Realloc(to.memory, room * sizeof(ItemDifference))
    if memory == NULL:
        raise MemoryError
    to.memory = memory
    to.rows = <ItemDifference*>memory
    to.room = room
    return 0


cdef int add_fields(
    Differences* to, int64_t slot, const uint8_t* expected, const uint8_t* found
) except -1:
    """A row for each field in which two records of a slot differ."""
    cdef uint64_t wanted, there
    cdef int field
    for field in range(10):
        wanted = read_width(expected + FIELD_OFFSETS[field], FIELD_SIZES[field])
        there = read_width(found + FIELD_OFFSETS[field], FIELD_SIZES[field])
        if wanted != there:
            add_difference(to, slot, FIELD_DIFFERS, field, wanted, there)
    return 0


cdef bint find_differences(Differences* to, object expected, object found) except -1:
    """Of two wide batches; False if one of them is not in slot order: then it means nothing."""
    cdef const uint8_t* old = data_of(expected)
    cdef const uint8_t* new = data_of(found)
    cdef const uint8_t* old_end = old + length_of(expected) * ITEM_SIZE
    cdef const uint8_t* new_end = new + length_of(found) * ITEM_SIZE
    cdef int64_t old_slot, new_slot
    cdef int64_t next_old = 0
    cdef int64_t next_new = 0
    cdef int64_t unordered = 0
    to.count = 0
    while old < old_end or new < new_end:
        # Behind the end lies a slot that none is above.
        old_slot = read16(old + 4) if old < old_end else 1 << 16
        new_slot = read16(new + 4) if new < new_end else 1 << 16
        if old_slot == new_slot:
            if not same_record(old, new):
                add_fields(to, old_slot, old, new)
        elif old_slot < new_slot:
            add_difference(to, old_slot, MISSING, 0, read32(old), 0)
        else:
            add_difference(to, new_slot, EXTRA, 0, 0, read32(new))
        if old_slot <= new_slot:
            unordered |= old_slot - next_old
            next_old = old_slot + 1
            old += ITEM_SIZE
        if new_slot <= old_slot:
            unordered |= new_slot - next_new
            next_new = new_slot + 1
            new += ITEM_SIZE
        if unordered < 0:
            return False
    return True


def compare_items(object expected, object found):
    """In what two inventories differ: a `DIFFERENCE` array, in the order of slots and fields.

    One row for an item that is missing or extra, one for each field that differs where both have
    something in a slot. Batches in any order; a slot twice raises `BatchError`.
    """
    cdef object wanted = expected if is_wide(expected) else widen(expected)
    cdef object there = found if is_wide(found) else widen(found)
    cdef Differences differences
    cdef cnp.ndarray rows
    memset(&differences, 0, sizeof(differences))
    try:
        if not find_differences(&differences, wanted, there):
            wanted = ordered(wanted, COPY_SHARED)
            there = ordered(there, COPY_SHARED)
            find_differences(&differences, wanted, there)
        rows = new_array(DIFFERENCE, sizeof(ItemDifference), differences.count)
        if differences.count:
            memcpy(
                cnp.PyArray_DATA(rows), differences.rows,
                differences.count * sizeof(ItemDifference),
            )
    finally:
        PyMem_Free(differences.memory)
    return rows


# Looking up


# Of this process: who sends keys can't know which of them would meet in one place.
cdef uint64_t HASH_SECRET = int.from_bytes(os.urandom(8), "little")


cdef inline bint is_column(object value):
    """A one-dimensional array of u64 or i64 in memory's order of bytes, contiguous or not."""
    return (
        isinstance(value, cnp.ndarray)
        and cnp.PyArray_NDIM(<cnp.ndarray>value) == 1
        and (
            cnp.PyArray_TYPE(<cnp.ndarray>value) in (cnp.NPY_UINT64, cnp.NPY_INT64)
            or (<cnp.ndarray>value).dtype in (VERSION, INDEX)
        )
        and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>value)
    )


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define mmoinv_prefetch(address) __builtin_prefetch(address)
    #else
    #define mmoinv_prefetch(address) ((void)(address))
    #endif
    """
    void prefetch "mmoinv_prefetch"(const void*) noexcept nogil

cdef enum:
    PREFETCHED = 24


cdef inline bint is_table(object value, int kind, int dimensions):
    return (
        isinstance(value, cnp.ndarray)
        and cnp.PyArray_NDIM(<cnp.ndarray>value) == dimensions
        and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>value)
        and cnp.PyArray_TYPE(<cnp.ndarray>value) == kind
        and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>value)
    )


cdef inline uint64_t hashed(uint64_t key) noexcept nogil:
    key ^= HASH_SECRET
    key = (key ^ (key >> 32)) * 0xD6E8FEB86659FD93ULL
    key = (key ^ (key >> 32)) * 0xD6E8FEB86659FD93ULL
    return key ^ (key >> 32)


def find_keys(object keys, object wanted):
    """For each wanted key its index among ``keys``, the first one if it is there more than once;
    -1 where it is not there. An i64 array of the length of ``wanted``.

    Both are one-dimensional arrays of u64 or i64, which are the same 64 bits here; they need be
    neither in order nor contiguous.
    """
    cdef cnp.ndarray found
    cdef const uint8_t* data
    cdef Py_ssize_t step, count, row
    cdef int64_t* result
    cdef uint64_t* table_keys = NULL
    cdef int64_t* table = NULL
    cdef uint64_t key, place, mask = 1
    if not is_column(keys):
        raise errors.unfit_array("keys", errors.COLUMN, keys)
    if not is_column(wanted):
        raise errors.unfit_array("wanted", errors.COLUMN, wanted)
    found = new_array(INDEX, 8, length_of(wanted))
    result = <int64_t*>cnp.PyArray_DATA(found)
    count = length_of(keys)
    if count == 0:
        memset(result, 0xFF, 8 * length_of(wanted))
        return found
    while mask < 2 * <uint64_t>count:
        mask *= 2
    table = <int64_t*>PyMem_Malloc(2 * mask * 8)
    if table == NULL:
        raise MemoryError
    table_keys = <uint64_t*>(table + mask)
    memset(table, 0xFF, mask * 8)
    mask -= 1
    data, step = data_of(keys), cnp.PyArray_STRIDE(<cnp.ndarray>keys, 0)
    for row in range(count):
        key = read64(data + row * step)
        place = hashed(key) & mask
        while table[place] >= 0 and table_keys[place] != key:
            place = (place + 1) & mask
        if table[place] < 0:
            table[place] = row
            table_keys[place] = key
    data, step = data_of(wanted), cnp.PyArray_STRIDE(<cnp.ndarray>wanted, 0)
    for row in range(length_of(wanted)):
        key = read64(data + row * step)
        place = hashed(key) & mask
        while table[place] >= 0 and table_keys[place] != key:
            place = (place + 1) & mask
        result[row] = table[place]
    PyMem_Free(table)
    return found


def find_records(object slots, object words, object rows, object wanted, object width):
    """For each pair of ``rows`` and ``wanted`` slots the first column of that row of ``slots`` in
    which the slot stands, -1 where it is in none of the first ``width``: an i64 array. And an
    `INVENTORY_ITEM` batch of what is in ``words`` at those places, where there is one.

    ``slots`` is a C-contiguous array of i32, shape (rows, columns), ``words`` of u64, shape (rows,
    columns, 6): a record each. ``rows`` i64, each one of the table's (`RecordError` if not);
    ``wanted`` u16, contiguous or not, as many as ``rows``.
    """
    cdef cnp.ndarray places, records
    cdef const uint8_t* row_at
    cdef const uint8_t* slot_at
    cdef const int32_t* first
    cdef const int32_t* line
    cdef const uint8_t* memory
    cdef uint8_t* record
    cdef int64_t* result
    cdef int64_t row
    cdef int32_t slot
    cdef Py_ssize_t columns, height, wide, count, index, ahead, place, step, found = 0
    if not is_table(slots, cnp.NPY_INT32, 2):
        raise errors.unfit_array("slots", errors.SLOT_TABLE, slots)
    height, columns = length_of(slots), cnp.PyArray_DIM(<cnp.ndarray>slots, 1)
    if (
        not is_table(words, cnp.NPY_UINT64, 3)
        or length_of(words) != height
        or cnp.PyArray_DIM(<cnp.ndarray>words, 1) != columns
        or cnp.PyArray_DIM(<cnp.ndarray>words, 2) * 8 != ITEM_SIZE
    ):
        raise errors.unfit_array("words", errors.RECORD_TABLE, words)
    check_array("rows", rows, INDEX)
    if not (
        isinstance(wanted, cnp.ndarray)
        and cnp.PyArray_NDIM(<cnp.ndarray>wanted) == 1
        and cnp.PyArray_TYPE(<cnp.ndarray>wanted) == cnp.NPY_UINT16
        and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>wanted)
    ):
        raise errors.unfit_array("wanted", errors.SLOT_COLUMN, wanted)
    count = length_of(rows)
    if length_of(wanted) != count:
        raise errors.wrong_length("wanted", length_of(wanted), count)
    wide = <Py_ssize_t>number("width", width, columns)
    if COPY_SHARED:
        rows = copy_of(rows, INDEX, 8, count)
    row_at = data_of(rows)
    for index in range(count):
        row = <int64_t>read64(row_at + 8 * index)
        if row < 0 or row >= height:
            raise errors.no_such_row(row, height)
    places = new_array(INDEX, 8, count)
    result = <int64_t*>cnp.PyArray_DATA(places)
    first, memory = <const int32_t*>data_of(slots), data_of(words)
    slot_at, step = data_of(wanted), cnp.PyArray_STRIDE(<cnp.ndarray>wanted, 0)
    # The rows of a group lie all over the table: each is fetched before it is its turn.
    for index in range(count):
        ahead = index + PREFETCHED if index + PREFETCHED < count else count - 1
        line = first + <int64_t>read64(row_at + 8 * ahead) * columns
        prefetch(line)
        prefetch(line + 16)
        row = <int64_t>read64(row_at + 8 * index)
        slot = read16(slot_at + index * step)
        line = first + row * columns
        place = 0
        while place < wide and line[place] != slot:
            place += 1
        if place < wide:
            result[index] = place
            found += 1
            prefetch(memory + (row * columns + place) * ITEM_SIZE)
        else:
            result[index] = -1
    records = new_array(INVENTORY_ITEM, ITEM_SIZE, found)
    record = <uint8_t*>cnp.PyArray_DATA(records)
    for index in range(count):
        if result[index] >= 0:
            row = <int64_t>read64(row_at + 8 * index)
            memcpy(record, memory + (row * columns + result[index]) * ITEM_SIZE, ITEM_SIZE)
            record += ITEM_SIZE
    return places, records


# The ledger


cdef enum:
    CHANGES_FORMAT = 1
    BEFORE = 1
    AFTER = 2
    # Slot, what, and twice a mask with every field.
    CHANGE_BYTES = 2 + 1 + 2 * (2 + 46)
    VALUE_MASKS = 1 << 9


cdef inline uint8_t* pack_values(
    uint8_t* at, const uint8_t* record, const uint8_t* known
) noexcept nogil:
    """A mask of the fields that differ from ``known``, and their values."""
    cdef uint8_t* mask_at = at
    cdef uint16_t mask = 0
    cdef int field, bit = 0
    at += 2
    for field in range(10):
        if field == 1:
            continue
        if memcmp(record + FIELD_OFFSETS[field], known + FIELD_OFFSETS[field],
                  FIELD_SIZES[field]):
            mask |= <uint16_t>(1 << bit)
            memcpy(at, record + FIELD_OFFSETS[field], FIELD_SIZES[field])
            at += FIELD_SIZES[field]
        bit += 1
    write16(mask_at, mask)
    return at


def pack_changes(object before, object after, object counts):
    """Changes of slots as the ledger keeps them: one bytes object for each of ``counts`` (u64),
    which packs so many of the pairs ``before[i]``, ``after[i]``.

    Both are `INVENTORY_ITEM`; where nothing was, or is, the record has entry 0. A pair is of one
    slot. Format: u8 1; then for each pair u16 slot, u8 what there is (1 before, 2 after), and for
    either of these a u16 mask of fields and their values, in the order of the record without the
    slot: of before those that are not 0, of after those that differ from before.
    """
    cdef uint8_t[48] nothing
    cdef const uint8_t* old
    cdef const uint8_t* new
    cdef const uint8_t* sizes
    cdef uint8_t* memory = NULL
    cdef uint8_t* at
    cdef Py_ssize_t room = 0, pairs, row, _i
    cdef uint64_t count, left
    cdef int what
    cdef list rows = []
    check_array("before", before, INVENTORY_ITEM)
    check_array("after", after, INVENTORY_ITEM)
    check_array("counts", counts, VERSION)
    if COPY_SHARED:
        before = copy_of(before, INVENTORY_ITEM, ITEM_SIZE, length_of(before))
        after = copy_of(after, INVENTORY_ITEM, ITEM_SIZE, length_of(after))
        counts = copy_of(counts, VERSION, 8, length_of(counts))
    memset(nothing, 0, sizeof(nothing))
    old, new, sizes = data_of(before), data_of(after), data_of(counts)
    pairs = length_of(before)
    left = pairs
    for row in range(length_of(counts)):
        count = read64(sizes + 8 * row)
        if count > left:
            raise errors.changes_apart()
        left -= count
        room = max(room, <Py_ssize_t>count)
    if left or length_of(after) != pairs:
        raise errors.changes_apart()
    memory = <uint8_t*>PyMem_Malloc(1 + room * CHANGE_BYTES)
    if memory == NULL:
        raise MemoryError
    try:
        for row in range(length_of(counts)):
            at = memory
            at[0] = CHANGES_FORMAT
            at += 1
            for _i in range(<Py_ssize_t>read64(sizes + 8 * row)):
                what = BEFORE * (read32(old) != 0) | AFTER * (read32(new) != 0)
                if what == 0 or (what == 3 and read16(old + 4) != read16(new + 4)):
                    raise errors.no_change()
                memcpy(at, (new if what & AFTER else old) + 4, 2)
                at[2] = <uint8_t>what
                at += 3
                if what & BEFORE:
                    at = pack_values(at, old, nothing)
                if what & AFTER:
                    at = pack_values(at, new, old if what & BEFORE else nothing)
                old += ITEM_SIZE
                new += ITEM_SIZE
            rows.append(PyBytes_FromStringAndSize(<char*>memory, at - memory))
    finally:
        PyMem_Free(memory)
    return rows


cdef Py_ssize_t scan_changes(const uint8_t* data, Py_ssize_t size) except -1:
    """How many changes there are; every byte is accounted for."""
    cdef Py_ssize_t at = 1, pairs = 0
    cdef int what, part, field, bit
    cdef uint16_t mask
    cdef bint has_entry
    need("format of the changes", 0, 1, size)
    if data[0] != CHANGES_FORMAT:
        raise errors.changes_format(data[0])
    while at < size:
        need("slot of a change", at, 3, size)
        what = data[at + 2]
        if what < 1 or what > 3:
            raise errors.changes_what(what)
        at += 3
        has_entry = False
        for part in (BEFORE, AFTER):
            if not what & part:
                continue
            need("mask of a change", at, 2, size)
            mask = read16(data + at)
            if mask >= VALUE_MASKS:
                raise errors.changes_mask(mask)
            at += 2
            bit = 0
            for field in range(10):
                if field == 1:
                    continue
                if mask >> bit & 1:
                    need("value of a change", at, FIELD_SIZES[field], size)
                    if field == 0:
                        has_entry = read32(data + at) != 0
                    at += FIELD_SIZES[field]
                bit += 1
            if not has_entry:
                raise errors.changes_mask(mask)
        pairs += 1
    return pairs


cdef inline Py_ssize_t unpack_values(
    uint8_t* record, const uint8_t* data, Py_ssize_t at
) noexcept nogil:
    cdef uint16_t mask = read16(data + at)
    cdef int field, bit = 0
    at += 2
    for field in range(10):
        if field == 1:
            continue
        if mask >> bit & 1:
            memcpy(record + FIELD_OFFSETS[field], data + at, FIELD_SIZES[field])
            at += FIELD_SIZES[field]
        bit += 1
    return at


def unpack_changes(object packed):
    """The inverse of `pack_changes` for one row: (before, after). `FramingError`
    if it is none."""
    cdef Bytes held = Bytes(packed)
    cdef const uint8_t* data = held.data
    cdef Py_ssize_t pairs = scan_changes(data, held.size)
    cdef Py_ssize_t at = 1, _pair
    cdef cnp.ndarray before = new_array(INVENTORY_ITEM, ITEM_SIZE, pairs)
    cdef cnp.ndarray after = new_array(INVENTORY_ITEM, ITEM_SIZE, pairs)
    cdef uint8_t* old = <uint8_t*>cnp.PyArray_DATA(before)
    cdef uint8_t* new = <uint8_t*>cnp.PyArray_DATA(after)
    cdef int what
    memset(old, 0, pairs * ITEM_SIZE)
    memset(new, 0, pairs * ITEM_SIZE)
    for _pair in range(pairs):
        what = data[at + 2]
        if what & BEFORE:
            memcpy(old + 4, data + at, 2)
        if what & AFTER:
            memcpy(new + 4, data + at, 2)
        at += 3
        if what & BEFORE:
            at = unpack_values(old, data, at)
        if what & AFTER:
            if what & BEFORE:
                memcpy(new, old, ITEM_SIZE)
            at = unpack_values(new, data, at)
        old += ITEM_SIZE
        new += ITEM_SIZE
    return before, after


# Frames


def split_frames(object buffer, Py_ssize_t max_body_size=MAX_BODY_SIZE):
    """The complete frames of a buffer: (`FRAME` array, bytes consumed).

    Ends before the first incomplete frame, and before one whose body is larger than
    ``max_body_size`` bytes; if that one is the first, it raises `FramingError`.
    """
    cdef Bytes source = Bytes(buffer)
    cdef const uint8_t* data = source.data
    cdef Py_ssize_t offset = 0
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t i, length
    cdef cnp.ndarray frames
    cdef Frame* frame
    # Offsets are u32: what lies beyond is left for the next call.
    cdef Py_ssize_t size = min(source.size, <Py_ssize_t>0xFFFFFFFF)
    while size - offset >= HEADER_SIZE:
        length = read32(data + offset + 1)
        if length > max_body_size:
            if count == 0:
                raise errors.over_limit("body length", offset + 1, length, max_body_size)
            break
        if length > size - offset - HEADER_SIZE:
            break
        offset += HEADER_SIZE + length
        count += 1
    frames = new_array(FRAME, sizeof(Frame), count)
    frame = <Frame*>cnp.PyArray_DATA(frames)
    offset = 0
    for i in range(count):
        length = read32(data + offset + 1)
        frame[i].opcode = data[offset]
        frame[i].offset = <uint32_t>(offset + HEADER_SIZE)
        frame[i].length = <uint32_t>length
        offset += HEADER_SIZE + length
    return frames, offset


# Batches of protocol 4


cdef inline uint8_t result_opcode(object opcode) except? 0:
    if opcode not in (RESULT, RESULT_2026):
        raise errors.unknown_opcode(opcode)
    return int(opcode)


cdef Py_ssize_t encode_column(
    uint8_t* target, const uint64_t* values, Py_ssize_t count
) noexcept nogil:
    """One column in its shortest form, the lowest kind on a tie; returns its bytes.

    ``target`` has room for kind 2 at the width of the largest value, which bounds them all.
    """
    cdef uint64_t low = 0xFFFFFFFFFFFFFFFF
    cdef uint64_t high = 0
    cdef uint64_t[256] distinct
    cdef Py_ssize_t i, k, best, room
    cdef Py_ssize_t found = 0
    cdef int width, spread
    cdef int kind = 2
    for i in range(count):
        low = values[i] if values[i] < low else low
        high = values[i] if values[i] > high else high
    if high == 0:
        target[0] = 0
        return 1
    width = width_of(high)
    if low == high:
        target[0] = <uint8_t>(1 << 4 | width)
        write_width(target + 1, low, width)
        return 1 + width
    best = 1 + count * width
    spread = width_of(high - low)
    if 1 + 8 + count * spread < best:
        kind = 3
        best = 1 + 8 + count * spread
    # As many different values as a dictionary may have and still be the shortest.
    room = (best - 3 - count) // width if best > 3 + count else 0
    if room > 255:
        room = 255
    if room > 0:
        for i in range(count):
            k = 0
            while k < found and distinct[k] != values[i]:
                k += 1
            if k == found:
                if found == room:
                    found = 0
                    break
                distinct[found] = values[i]
                found += 1
    if found:
        target[0] = <uint8_t>(4 << 4 | width)
        target[1] = <uint8_t>found
        target += 2
        for k in range(found):
            write_width(target, distinct[k], width)
            target += width
        for i in range(count):
            k = 0
            while distinct[k] != values[i]:
                k += 1
            target[i] = <uint8_t>k
        return 2 + found * width + count
    if kind == 3:
        target[0] = <uint8_t>(3 << 4 | spread)
        write64(target + 1, low)
        for i in range(count):
            write_width(target + 9 + i * spread, values[i] - low, spread)
    else:
        target[0] = <uint8_t>(2 << 4 | width)
        for i in range(count):
            write_width(target + 1 + i * width, values[i], width)
    return best


cdef inline Py_ssize_t batch_bound(Py_ssize_t count) noexcept nogil:
    return 3 + COLUMNS + count * ITEM_SIZE


cdef Py_ssize_t encode_batch_into(
    uint8_t* target, const uint8_t* items, Py_ssize_t count, int encoding
) except -1:
    """Writes at most batch_bound(count) bytes; returns how many."""
    cdef uint8_t* at = target + 3
    cdef uint64_t[SMALL] small
    cdef uint64_t* values = small
    cdef Py_ssize_t i
    cdef int column
    write16(target, <uint16_t>count)
    target[2] = <uint8_t>encoding
    if encoding == 0:
        memcpy(at, items, count * ITEM_SIZE)
        return 3 + count * ITEM_SIZE
    if count > SMALL:
        values = <uint64_t*>PyMem_Malloc(count * sizeof(uint64_t))
        if values == NULL:
            raise MemoryError
    for column in range(COLUMNS):
        for i in range(count):
            values[i] = read_width(
                items + i * ITEM_SIZE + FIELD_OFFSETS[column], FIELD_SIZES[column]
            )
        at += encode_column(at, values, count)
    if values != small:
        PyMem_Free(values)
    return at - target


cdef inline int default_encoding(Py_ssize_t count) noexcept nogil:
    return 1 if count * ITEM_SIZE > COLUMNS_FROM_BYTES else 0


def encode_batch(object items, object encoding=None):
    """A batch as protocol 4 writes it: u16 count, u8 encoding, records (0) or columns (1).

    Without ``encoding`` the sender's rule decides: columns when the records would take more
    than 1,000 bytes. The content is not judged.
    """
    cdef object wide = items if is_wide(items) else widen(items)
    cdef Py_ssize_t count = length_of(wide)
    cdef int chosen = default_encoding(count)
    at_most("records", count, MAX_BATCH_ITEMS)
    if encoding is not None:
        if encoding not in (0, 1):
            raise errors.unknown_encoding(encoding)
        chosen = int(encoding)
    cdef bytes memory = PyBytes_FromStringAndSize(NULL, batch_bound(count))
    cdef Py_ssize_t size = encode_batch_into(
        <uint8_t*>PyBytes_AS_STRING(memory), data_of(wide), count, chosen
    )
    return memory[:size]


cdef inline int need(str what, Py_ssize_t at, Py_ssize_t size, Py_ssize_t end) except -1:
    if size > end - at:
        raise errors.truncated(what, at, size, end - at)
    return 0


cdef Py_ssize_t scan_column(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t count, int column
) except -1:
    """Checks one column whole; returns the offset behind it."""
    cdef Py_ssize_t start = at
    cdef Py_ssize_t i, size
    cdef int kind, width
    cdef uint64_t base, value
    cdef uint64_t limit = 0xFFFFFFFFFFFFFFFF
    cdef int highest = 0
    if FIELD_SIZES[column] < 8:
        limit = (<uint64_t>1 << (8 * FIELD_SIZES[column])) - 1
    if at >= end:
        need("column " + FIELD_NAMES[column], at, 1, end)
    kind = data[at] >> 4
    width = data[at] & 15
    at += 1
    if kind > 4:
        raise errors.bad_column(FIELD_NAMES[column], start, f"kind {kind} is not defined")
    if kind == 0:
        if width != 0:
            raise errors.bad_column(
                FIELD_NAMES[column], start, f"width {width} where kind 0 has 0"
            )
        return at
    if count == 0:
        raise errors.bad_column(
            FIELD_NAMES[column], start, f"kind {kind} in a batch of no records"
        )
    if not 1 <= width <= 8:
        raise errors.bad_column(FIELD_NAMES[column], start, f"width {width} is outside 1..8")
    if kind == 4:
        if at >= end:
            need("column " + FIELD_NAMES[column], at, 1, end)
        size = data[at]
        at += 1
        if size == 0:
            raise errors.bad_column(FIELD_NAMES[column], start, "the dictionary is empty")
        if size * width > end - at:
            need("column " + FIELD_NAMES[column], at, size * width, end)
        if count > end - at - size * width:
            need("column " + FIELD_NAMES[column], at + size * width, count, end)
        for i in range(count):
            highest = max(highest, <int>data[at + size * width + i])
        if highest >= size:
            raise errors.bad_column(
                FIELD_NAMES[column], start, f"an index is outside 0..{size - 1}"
            )
        for i in range(size):
            if read_width(data + at + i * width, width) > limit:
                raise errors.bad_column(FIELD_NAMES[column], start, f"a value is over {limit}")
        return at + size * width + count
    base = 0
    if kind == 3:
        if 8 > end - at:
            need("column " + FIELD_NAMES[column], at, 8, end)
        base = read64(data + at)
        at += 8
    size = width if kind == 1 else count * width
    if size > end - at:
        need("column " + FIELD_NAMES[column], at, size, end)
    if kind == 3 or width > FIELD_SIZES[column]:
        for i in range(1 if kind == 1 else count):
            value = read_width(data + at + i * width, width)
            if value > limit or base > limit - value:
                raise errors.bad_column(FIELD_NAMES[column], start, f"a value is over {limit}")
    return at + size


cdef Py_ssize_t scan_batch(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t* count
) except -1:
    """Checks one batch whole; sets its record count, returns the offset behind it."""
    cdef int column
    need("record count", at, 2, end)
    count[0] = read16(data + at)
    if count[0] > MAX_BATCH_ITEMS:
        raise errors.over_limit("record count", at, count[0], MAX_BATCH_ITEMS)
    need("batch encoding", at + 2, 1, end)
    at += 3
    if data[at - 1] == 0:
        need("records", at, count[0] * ITEM_SIZE, end)
        return at + count[0] * ITEM_SIZE
    if data[at - 1] != 1:
        raise errors.bad_encoding(at - 1, data[at - 1])
    for column in range(COLUMNS):
        at = scan_column(data, at, end, count[0], column)
    return at


cdef Py_ssize_t expand_column(
    uint8_t* items, const uint8_t* data, Py_ssize_t at, Py_ssize_t count, int column
) noexcept nogil:
    """A column that scan_column has passed, into records that are zero so far."""
    cdef int kind = data[at] >> 4
    cdef int width = data[at] & 15
    cdef int size = FIELD_SIZES[column]
    cdef uint8_t* target = items + FIELD_OFFSETS[column]
    cdef uint64_t base = 0
    cdef const uint8_t* values
    cdef Py_ssize_t i, found
    at += 1
    if kind == 0:
        return at
    if kind == 1:
        base = read_width(data + at, width)
        for i in range(count):
            memcpy(target + i * ITEM_SIZE, &base, size)
        return at + width
    if kind == 4:
        found = data[at]
        values = data + at + 1
        at += 1 + found * width
        for i in range(count):
            base = read_width(values + data[at + i] * width, width)
            memcpy(target + i * ITEM_SIZE, &base, size)
        return at + count
    cdef uint64_t value
    if kind == 3:
        base = read64(data + at)
        at += 8
    for i in range(count):
        value = base + read_width(data + at + i * width, width)
        memcpy(target + i * ITEM_SIZE, &value, size)
    return at + count * width


cdef Py_ssize_t expand_batch(
    uint8_t* items, const uint8_t* data, Py_ssize_t at
) noexcept nogil:
    """A batch that scan_batch has passed; returns the offset behind it."""
    cdef Py_ssize_t count = read16(data + at)
    cdef int column
    at += 3
    if data[at - 1] == 0:
        memcpy(items, data + at, count * ITEM_SIZE)
        return at + count * ITEM_SIZE
    memset(items, 0, count * ITEM_SIZE)
    for column in range(COLUMNS):
        at = expand_column(items, data, at, count, column)
    return at


def decode_batch(object buffer, object offset=0):
    """The batch that begins at ``offset``: (`INVENTORY_ITEM` batch, offset behind it).

    Every width, index and value is checked before anything is expanded; `FramingError` says
    what is wrong and where. The content is not judged.
    """
    cdef Bytes source = Bytes(buffer)
    cdef Py_ssize_t start = number("offset", offset, source.size)
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t end = scan_batch(source.data, start, source.size, &count)
    cdef cnp.ndarray items = new_array(INVENTORY_ITEM, ITEM_SIZE, count)
    expand_batch(<uint8_t*>cnp.PyArray_DATA(items), source.data, start)
    return items, end


# Protocol 3


def encode_save_inventory_items(
    object character_guid, object operation_id, object items, object layout="packed"
):
    """SaveInventoryItems 0x0E as a whole frame; guid u64, operation id u32, a valid batch."""
    cdef uint64_t guid = number("character_guid", character_guid, 0xFFFFFFFFFFFFFFFF)
    cdef uint32_t operation = number("operation_id", operation_id, 0xFFFFFFFF)
    cdef const Layout* target = layout_of(layout)
    cdef bint wide = is_wide(items)
    cdef Py_ssize_t count = length_of(items)
    cdef uint16_t slot = 0
    cdef int fault
    if wide:
        fault = records_fault(data_of(items), ITEM_SIZE, count, True, False, &slot)
    else:
        fault = records_fault(data_of(items), PACKED_SIZE, count, False, False, &slot)
    if fault:
        raise errors.bad_batch(fault, slot)
    at_most("records", count, MAX_BATCH_ITEMS)
    cdef Py_ssize_t size = 14 + count * target.size
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + size)
    cdef uint8_t* at = write_header(<uint8_t*>PyBytes_AS_STRING(frame), SAVE, size)
    write64(at, guid)
    write32(at + 8, operation)
    write16(at + 12, <uint16_t>count)
    if not wide and target.size == PACKED_SIZE:
        memcpy(at + 14, data_of(items), count * PACKED_SIZE)
    else:
        narrow_into(at + 14, items, wide, target, layout)
    return frame


cdef Py_ssize_t scan_protocol_3(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, str packet, str counted, str content,
    Py_ssize_t size,
) except -1:
    """Checks the length of a Save or Delete body; returns its count."""
    cdef Py_ssize_t count
    need(packet, at, 12, end)
    need(counted, at + 12, 2, end)
    count = read16(data + at + 12)
    if count > MAX_BATCH_ITEMS:
        raise errors.over_limit(counted, at + 12, count, MAX_BATCH_ITEMS)
    need(content, at + 14, count * size, end)
    if at + 14 + count * size != end:
        raise errors.trailing(packet, at + 14 + count * size, end - at - 14 - count * size)
    return count


cdef inline Py_ssize_t scan_save(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, const Layout* layout
) except -1:
    return scan_protocol_3(
        data, at, end, "SaveInventoryItems", "record count", "records", layout.size
    )


cdef inline Py_ssize_t scan_delete(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end
) except -1:
    return scan_protocol_3(data, at, end, "DeleteInventoryItems", "slot count", "slots", 2)


def decode_save_inventory_items(object body, object layout="packed"):
    """The body of SaveInventoryItems: (character guid, operation id, `INVENTORY_ITEM` batch)."""
    cdef const Layout* wire = layout_of(layout)
    cdef Bytes source = Bytes(body)
    cdef Py_ssize_t count = scan_save(source.data, 0, source.size, wire)
    cdef cnp.ndarray items = new_array(INVENTORY_ITEM, ITEM_SIZE, count)
    cdef uint8_t* target = <uint8_t*>cnp.PyArray_DATA(items)
    cdef uint16_t slot = 0
    cdef int fault = FAULT_NONE
    cdef bint plain = False
    if wire.size == PACKED_SIZE:
        plain = widen_packed(target, source.data + 14, count)
    else:
        widen_records(target, source.data + 14, count, wire)
    if not plain:
        fault = records_fault(target, ITEM_SIZE, count, True, False, &slot)
    if fault:
        raise errors.bad_content(
            "SaveInventoryItems", read32(source.data + 8), [read64(source.data)], fault, slot
        )
    return read64(source.data), read32(source.data + 8), items


def encode_delete_inventory_items(object character_guid, object operation_id, object slots):
    """DeleteInventoryItems 0x0F as a whole frame; ``slots`` is a uint16 array, no slot twice."""
    cdef uint64_t guid = number("character_guid", character_guid, 0xFFFFFFFFFFFFFFFF)
    cdef uint32_t operation = number("operation_id", operation_id, 0xFFFFFFFF)
    check_array("slots", slots, SLOT)
    cdef Py_ssize_t count = length_of(slots)
    cdef uint16_t slot = 0
    at_most("slots", count, MAX_BATCH_ITEMS)
    cdef int fault = deletes_fault(data_of(slots), count, NULL, 0, &slot)
    if fault:
        raise errors.bad_batch(fault, slot)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + 14 + 2 * count)
    cdef uint8_t* at = write_header(<uint8_t*>PyBytes_AS_STRING(frame), DELETE, 14 + 2 * count)
    write64(at, guid)
    write32(at + 8, operation)
    write16(at + 12, <uint16_t>count)
    memcpy(at + 14, data_of(slots), 2 * count)
    return frame


def decode_delete_inventory_items(object body):
    """The body of DeleteInventoryItems: (character guid, operation id, uint16 slots)."""
    cdef Bytes source = Bytes(body)
    cdef Py_ssize_t count = scan_delete(source.data, 0, source.size)
    cdef cnp.ndarray slots = new_array(SLOT, 2, count)
    cdef uint16_t slot = 0
    memcpy(cnp.PyArray_DATA(slots), source.data + 14, 2 * count)
    cdef int fault = deletes_fault(data_of(slots), count, NULL, 0, &slot)
    if fault:
        raise errors.bad_content(
            "DeleteInventoryItems", read32(source.data + 8), [read64(source.data)], fault, slot
        )
    return read64(source.data), read32(source.data + 8), slots


cdef inline uint8_t* write_result(
    uint8_t* at, uint8_t opcode, uint64_t guid, uint32_t operation, uint8_t kind, uint8_t success
) noexcept nogil:
    at = write_header(at, opcode, 14)
    write64(at, guid)
    write32(at + 8, operation)
    at[12] = kind
    at[13] = success
    return at + 14


def encode_inventory_operation_result(
    object character_guid, object operation_id, object operation_type, object success,
    object opcode=RESULT,
):
    """InventoryOperationResult as a whole frame; type 0 save, 1 delete; opcode 0x0A or 0x0B."""
    cdef uint64_t guid = number("character_guid", character_guid, 0xFFFFFFFFFFFFFFFF)
    cdef uint32_t operation = number("operation_id", operation_id, 0xFFFFFFFF)
    cdef uint8_t kind = number("operation_type", operation_type, 1)
    cdef uint8_t succeeded = number("success", success, 1)
    cdef uint8_t code = result_opcode(opcode)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + 14)
    write_result(
        <uint8_t*>PyBytes_AS_STRING(frame), code, guid, operation, kind, succeeded
    )
    return frame


def decode_inventory_operation_result(object body):
    """The body of InventoryOperationResult: (character guid, operation id, type, success)."""
    cdef Bytes source = Bytes(body)
    cdef const uint8_t* data = source.data
    need("InventoryOperationResult", 0, 14, source.size)
    if source.size > 14:
        raise errors.trailing("InventoryOperationResult", 14, source.size - 14)
    if data[12] > 1:
        raise errors.bad_value("operation type", 12, data[12])
    if data[13] > 1:
        raise errors.bad_value("success", 13, data[13])
    return read64(data), read32(data + 8), data[12], data[13]


# Protocol 4


cdef struct Counts:
    # What a run of operations holds; each scan adds to it.
    Py_ssize_t operations
    Py_ssize_t participants
    Py_ssize_t items
    Py_ssize_t deletes
    Py_ssize_t currencies


def encode_commit_inventory(
    object operation_id, object participants, object reason=0, object flags=0
):
    """CommitInventory 0x80 as a whole frame.

    ``operation_id`` u64, ``reason`` u8, ``flags`` `CommitFlags` bits; batches valid and with
    every item named. A rule that the realm would refuse raises `BatchError` here.
    """
    cdef uint64_t operation = number("operation_id", operation_id, 0xFFFFFFFFFFFFFFFF)
    cdef uint8_t why = number("reason", reason, 0xFF)
    cdef uint8_t bits = number("flags", flags, 0xFF)
    # Copies, and numbers converted once: what is counted here must be what is written below.
    cdef list given = list(participants)
    cdef Py_ssize_t count = len(given)
    at_most("characters", count, MAX_PARTICIPANTS)
    cdef list parts = []
    cdef list changes
    cdef uint64_t guid, version
    cdef uint32_t epoch
    cdef Py_ssize_t total = 0
    cdef Py_ssize_t bound = HEADER_SIZE + COMMIT_HEAD
    cdef Py_ssize_t deleted = 0
    for character_guid, session_epoch, expected_version, batch, deletes, currencies in given:
        guid = number("character_guid", character_guid, 0xFFFFFFFFFFFFFFFF)
        epoch = number("session_epoch", session_epoch, 0xFFFFFFFF)
        version = number("expected_version", expected_version, 0xFFFFFFFFFFFFFFFF)
        items = batch if is_wide(batch) else widen(batch)
        check_array("deletes", deletes, SLOT)
        at_most("records", length_of(items), MAX_BATCH_ITEMS)
        at_most("slots", length_of(deletes), MAX_BATCH_ITEMS)
        changes = list(currencies)
        at_most("currencies", len(changes), 0xFF)
        if changes:
            changes = [
                (number("currency_id", currency_id, 0xFFFF), signed_amount(amount))
                for currency_id, amount in changes
            ]
        total += length_of(items)
        deleted += length_of(deletes)
        bound += (
            PARTICIPANT_HEAD
            + batch_bound(length_of(items))
            + 2 * length_of(deletes)
            + CURRENCY_SIZE * len(changes)
        )
        parts.append((guid, epoch, version, items, deletes, changes))
    at_most("records", total, MAX_PACKET_ITEMS)
    check_operation(bits, parts, deleted)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, bound)
    cdef uint8_t* start = <uint8_t*>PyBytes_AS_STRING(frame)
    cdef uint8_t* at = start + HEADER_SIZE
    cdef Py_ssize_t length
    at = write_commit_head(at, operation, why, bits, count)
    for guid, epoch, version, items, deletes, changes in parts:
        length = length_of(deletes)
        at = write_participant(at, guid, epoch, version, length, len(changes))
        at += encode_batch_into(
            at, data_of(items), length_of(items), default_encoding(length_of(items))
        )
        memcpy(at, data_of(deletes), 2 * length)
        at += 2 * length
        for currency_id, amount in changes:
            write16(at, currency_id)
            write64(at + 2, <uint64_t><int64_t>amount)
            at += CURRENCY_SIZE
    length = at - start
    at_most("bytes", length - HEADER_SIZE, MAX_BODY_SIZE)
    write_header(start, COMMIT, length - HEADER_SIZE)
    return frame if length == bound else frame[:length]


cdef int64_t signed_amount(object amount) except? -1:
    cdef int64_t value
    try:
        value = PyNumber_Index(amount)
    except (OverflowError, TypeError):
        raise errors.signed_outside("amount", amount, 0x7FFFFFFFFFFFFFFF) from None
    return value


cdef int check_operation(uint8_t flags, list parts, Py_ssize_t deleted) except -1:
    """Raises BatchError for what the realm would refuse, in the order of the twin."""
    cdef uint16_t slot = 0
    cdef int fault = FAULT_NONE
    if flags & ~FLAG_BITS:
        fault = UNKNOWN_FLAGS
    elif not parts:
        fault = NO_PARTICIPANT
    elif flags & FLAG_REPLACE and deleted:
        fault = REPLACE_WITH_DELETES
    elif len(parts) > 1 and len({part[0] for part in parts}) != len(parts):
        fault = PARTICIPANT_TWICE
    if fault:
        raise errors.bad_batch(fault, 0)
    for part in parts:
        items = part[3]
        fault = records_fault(data_of(items), ITEM_SIZE, length_of(items), True, True, &slot)
        if not fault:
            fault = deletes_fault(
                data_of(part[4]), length_of(part[4]), data_of(items), length_of(items), &slot
            )
        if fault:
            raise errors.bad_batch(fault, slot)
    return 0


cdef int scan_commit(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t end, Counts* counts
) except -1:
    """Checks one CommitInventory body whole, then adds to the counts."""
    cdef Py_ssize_t participants, start, count, delete_count, currency_count, _
    cdef Py_ssize_t items = 0
    cdef Py_ssize_t deletes = 0
    cdef Py_ssize_t currencies = 0
    need("CommitInventory", at, 10, end)
    need("participant count", at + 10, 2, end)
    participants = read16(data + at + 10)
    if participants > MAX_PARTICIPANTS:
        raise errors.over_limit("participant count", at + 10, participants, MAX_PARTICIPANTS)
    at += COMMIT_HEAD
    for _ in range(participants):
        need("participant", at, 20, end)
        need("slot count", at + 20, 2, end)
        delete_count = read16(data + at + 20)
        if delete_count > MAX_BATCH_ITEMS:
            raise errors.over_limit("slot count", at + 20, delete_count, MAX_BATCH_ITEMS)
        need("currency count", at + 22, 1, end)
        currency_count = data[at + 22]
        start = at + PARTICIPANT_HEAD
        at = scan_batch(data, start, end, &count)
        items += count
        if items > MAX_PACKET_ITEMS:
            raise errors.over_limit("records of the packet", start, items, MAX_PACKET_ITEMS)
        need("slots", at, 2 * delete_count, end)
        at += 2 * delete_count
        need("currencies", at, CURRENCY_SIZE * currency_count, end)
        at += CURRENCY_SIZE * currency_count
        deletes += delete_count
        currencies += currency_count
    if at != end:
        raise errors.trailing("CommitInventory", at, end - at)
    counts.operations += 1
    counts.participants += participants
    counts.items += items
    counts.deletes += deletes
    counts.currencies += currencies
    return 0


cdef class Filling:
    """The arrays of Commits while they are filled, from counts that a scan has made."""

    cdef cnp.ndarray operations, participants, items, deletes, currencies
    cdef Operation* operation
    cdef Participant* participant
    cdef uint8_t* item
    cdef uint8_t* delete
    cdef uint8_t* currency
    cdef Counts filled

    def __cinit__(self):
        memset(&self.filled, 0, sizeof(Counts))

    cdef int allocate(self, const Counts* counts) except -1:
        self.operations = new_array(OPERATION, sizeof(Operation), counts.operations)
        self.participants = new_array(PARTICIPANT, sizeof(Participant), counts.participants)
        self.items = new_array(INVENTORY_ITEM, ITEM_SIZE, counts.items)
        self.deletes = new_array(SLOT, 2, counts.deletes)
        self.currencies = new_array(CURRENCY, CURRENCY_SIZE, counts.currencies)
        self.operation = <Operation*>cnp.PyArray_DATA(self.operations)
        self.participant = <Participant*>cnp.PyArray_DATA(self.participants)
        self.item = <uint8_t*>cnp.PyArray_DATA(self.items)
        self.delete = <uint8_t*>cnp.PyArray_DATA(self.deletes)
        self.currency = <uint8_t*>cnp.PyArray_DATA(self.currencies)
        return 0

    cdef Participant* add(
        self, uint64_t guid, uint32_t epoch, uint64_t version, Py_ssize_t items,
        Py_ssize_t deletes, Py_ssize_t currencies,
    ) noexcept nogil:
        """The next participant, of the operation at hand; its ranges follow the last one's."""
        cdef Participant* participant = self.participant + self.filled.participants
        participant.character_guid = guid
        participant.expected_version = version
        participant.session_epoch = epoch
        participant.operation = <uint32_t>self.filled.operations
        participant.first_item = <uint32_t>self.filled.items
        participant.item_count = <uint32_t>items
        participant.first_delete = <uint32_t>self.filled.deletes
        participant.delete_count = <uint32_t>deletes
        participant.first_currency = <uint32_t>self.filled.currencies
        participant.currency_count = <uint32_t>currencies
        self.filled.participants += 1
        self.filled.items += items
        self.filled.deletes += deletes
        self.filled.currencies += currencies
        return participant

    cdef object commits(self):
        return Commits(
            self.operations, self.participants, self.items, self.deletes, self.currencies
        )


cdef inline int commit_fault(
    uint8_t flags, const Participant* first, Py_ssize_t count, Py_ssize_t deleted,
    const uint8_t* items, const uint8_t* deletes, uint16_t* slot,
) noexcept nogil:
    """What the realm would refuse in one operation of ``count`` participants."""
    cdef const Participant* one
    cdef Py_ssize_t i, k
    cdef int fault = FAULT_NONE
    if flags & ~FLAG_BITS:
        return UNKNOWN_FLAGS
    if count == 0:
        return NO_PARTICIPANT
    if flags & FLAG_REPLACE and deleted:
        return REPLACE_WITH_DELETES
    for i in range(1, count):
        for k in range(i):
            if first[i].character_guid == first[k].character_guid:
                return PARTICIPANT_TWICE
    for i in range(count):
        one = first + i
        fault = records_fault(
            items + one.first_item * ITEM_SIZE, ITEM_SIZE, one.item_count, True, True, slot
        )
        if not fault and one.delete_count:
            fault = deletes_fault(
                deletes + 2 * one.first_delete, one.delete_count,
                items + one.first_item * ITEM_SIZE, one.item_count, slot,
            )
        if fault:
            break
    return fault


cdef int fill_commit(Filling filling, const uint8_t* data, Py_ssize_t at) noexcept nogil:
    """One CommitInventory body that scan_commit has passed; judges its content."""
    cdef Operation* operation = filling.operation + filling.filled.operations
    cdef Py_ssize_t count = read16(data + at + 10)
    cdef Participant* first = filling.participant + filling.filled.participants
    cdef Participant* one
    cdef Py_ssize_t items, deletes, currencies, _
    cdef Py_ssize_t deleted = 0
    cdef int fault
    cdef uint16_t slot = 0
    operation.operation_id = read64(data + at)
    operation.first_participant = <uint32_t>filling.filled.participants
    operation.participant_count = <uint32_t>count
    operation.kind = KIND_COMMIT
    operation.reason = data[at + 8]
    operation.flags = data[at + 9]
    at += COMMIT_HEAD
    for _ in range(count):
        deletes = read16(data + at + 20)
        currencies = data[at + 22]
        items = read16(data + at + PARTICIPANT_HEAD)
        one = filling.add(
            read64(data + at), read32(data + at + 8), read64(data + at + 12),
            items, deletes, currencies,
        )
        at = expand_batch(
            filling.item + one.first_item * ITEM_SIZE, data, at + PARTICIPANT_HEAD
        )
        memcpy(filling.delete + 2 * one.first_delete, data + at, 2 * deletes)
        at += 2 * deletes
        memcpy(
            filling.currency + CURRENCY_SIZE * one.first_currency, data + at,
            CURRENCY_SIZE * currencies,
        )
        at += CURRENCY_SIZE * currencies
        deleted += deletes
    fault = commit_fault(
        operation.flags, first, count, deleted, filling.item, filling.delete, &slot
    )
    operation.fault = <uint8_t>fault
    operation.fault_slot = slot if fault else 0
    filling.filled.operations += 1
    return 0


cdef int fill_protocol_3(
    Filling filling, const uint8_t* data, Py_ssize_t at, bint save, const Layout* layout,
    bint replace,
) noexcept nogil:
    """One Save or Delete body that its scan has passed; judges its content."""
    cdef Operation* operation = filling.operation + filling.filled.operations
    cdef Py_ssize_t count = read16(data + at + 12)
    cdef Participant* one
    cdef uint8_t* items
    cdef bint plain = False
    cdef uint16_t slot = 0
    cdef int fault = FAULT_NONE
    operation.operation_id = read32(data + at + 8)
    operation.first_participant = <uint32_t>filling.filled.participants
    operation.participant_count = 1
    operation.kind = KIND_SAVE if save else KIND_DELETE
    operation.reason = 0
    operation.flags = FLAG_REPLACE if save and replace else 0
    one = filling.add(
        read64(data + at), 0, 0, count if save else 0, 0 if save else count, 0
    )
    if save:
        items = filling.item + one.first_item * ITEM_SIZE
        if layout.size == PACKED_SIZE:
            plain = widen_packed(items, data + at + 14, count)
        else:
            widen_records(items, data + at + 14, count, layout)
        if not plain:
            fault = records_fault(items, ITEM_SIZE, count, True, False, &slot)
    else:
        memcpy(filling.delete + 2 * one.first_delete, data + at + 14, 2 * count)
        fault = deletes_fault(filling.delete + 2 * one.first_delete, count, NULL, 0, &slot)
    operation.fault = <uint8_t>fault
    operation.fault_slot = slot if fault else 0
    filling.filled.operations += 1
    return 0


def decode_commit_inventory(object body):
    """The body of one CommitInventory as `Commits` of one operation."""
    cdef Bytes source = Bytes(body)
    cdef Counts counts
    cdef Filling filling = Filling()
    memset(&counts, 0, sizeof(Counts))
    scan_commit(source.data, 0, source.size, &counts)
    filling.allocate(&counts)
    fill_commit(filling, source.data, 0)
    commits = filling.commits()
    if filling.operation.fault:
        raise errors.bad_content(
            "CommitInventory",
            filling.operation.operation_id,
            commits.participants["character_guid"].tolist(),
            filling.operation.fault,
            filling.operation.fault_slot,
        )
    return commits


def decode_commits(
    object buffer, object offset=0, object layout=None, bint replace=False,
    Py_ssize_t max_body_size=MAX_BODY_SIZE, Py_ssize_t max_items=MAX_CHUNK_ITEMS,
):
    """The run of complete frames at ``offset`` that carry operations: (commits, offset behind).

    Without ``layout`` these are protocol 4's CommitInventory, with one protocol 3's
    SaveInventoryItems (``replace`` sets REPLACE on them) and DeleteInventoryItems, with epoch
    and version 0. The run ends before a frame that is incomplete, of another opcode or
    broken, and once ``max_items`` records are reached; if the first frame is broken,
    `FramingError` is raised. Bad content is flagged in ``operations["fault"]``.
    """
    cdef const Layout* wire = NULL
    if layout is not None:
        wire = layout_of(layout)
    cdef Bytes source = Bytes(buffer)
    cdef const uint8_t* data = source.data
    cdef Counts counts
    cdef Filling filling = Filling()
    cdef Py_ssize_t start = number("offset", offset, source.size)
    cdef Py_ssize_t at = start
    cdef Py_ssize_t end, length
    cdef uint8_t opcode
    memset(&counts, 0, sizeof(Counts))
    try:
        while source.size - at >= HEADER_SIZE and counts.items < max_items:
            opcode = data[at]
            if wire == NULL:
                if opcode != COMMIT:
                    break
            elif opcode != SAVE and opcode != DELETE:
                break
            length = read32(data + at + 1)
            if length > max_body_size:
                raise errors.over_limit("body length", at + 1, length, max_body_size)
            end = at + HEADER_SIZE + length
            if end > source.size:
                break
            # Each scan either raises or passes the whole packet: only then it counts.
            if wire == NULL:
                scan_commit(data, at + HEADER_SIZE, end, &counts)
            elif opcode == SAVE:
                counts.items += scan_save(data, at + HEADER_SIZE, end, wire)
                counts.operations += 1
                counts.participants += 1
            else:
                counts.deletes += scan_delete(data, at + HEADER_SIZE, end)
                counts.operations += 1
                counts.participants += 1
            at = end
    except FramingError:
        if counts.operations == 0:
            raise
    filling.allocate(&counts)
    while filling.filled.operations < counts.operations:
        length = read32(data + start + 1)
        if wire == NULL:
            fill_commit(filling, data, start + HEADER_SIZE)
        else:
            fill_protocol_3(
                filling, data, start + HEADER_SIZE, data[start] == SAVE, wire, replace
            )
        start += HEADER_SIZE + length
    return filling.commits(), start


# Commits by the tick


cdef inline int at_most_changes(const Difference* difference) except -1:
    if difference.saved > MAX_BATCH_ITEMS:
        at_most("records", difference.saved, MAX_BATCH_ITEMS)
    if difference.deleted > MAX_BATCH_ITEMS:
        at_most("slots", difference.deleted, MAX_BATCH_ITEMS)
    return 0


cdef inline Py_ssize_t difference_bound(const Difference* difference) noexcept nogil:
    """The size of the frame, exact unless its batch goes as columns."""
    cdef Py_ssize_t batch = 3 + difference.saved * ITEM_SIZE
    if default_encoding(difference.saved):
        batch = batch_bound(difference.saved)
    return HEADER_SIZE + COMMIT_HEAD + PARTICIPANT_HEAD + batch + 2 * difference.deleted


cdef inline int gather(
    uint8_t* target, const Difference* difference, uint16_t* slot
) noexcept nogil:
    """The records that changed, one after the other, and what the realm would refuse."""
    cdef Py_ssize_t i
    cdef int fault
    copy_changed(target, difference)
    fault = records_fault(target, ITEM_SIZE, difference.saved, True, True, slot)
    for i in range(difference.deleted):
        if not fault and is_buyback(difference.gone[i]):
            fault = BUYBACK_SLOT
            slot[0] = difference.gone[i]
    return fault


cdef Py_ssize_t write_difference(
    uint8_t* target, const Difference* difference, uint64_t operation, uint8_t reason,
    uint64_t guid, uint32_t epoch, uint64_t version,
) except -1:
    """The CommitInventory frame; returns its size."""
    cdef uint8_t* at = write_commit_head(target + HEADER_SIZE, operation, reason, 0, 1)
    cdef uint8_t* aside
    cdef uint16_t slot = 0
    cdef int fault
    at = write_participant(at, guid, epoch, version, difference.deleted, 0)
    if default_encoding(difference.saved):
        aside = <uint8_t*>PyMem_Malloc(difference.saved * ITEM_SIZE)
        if aside == NULL:
            raise MemoryError
        try:
            fault = gather(aside, difference, &slot)
            if not fault:
                at += encode_batch_into(at, aside, difference.saved, 1)
        finally:
            PyMem_Free(aside)
    else:
        write16(at, <uint16_t>difference.saved)
        at[2] = 0
        fault = gather(at + 3, difference, &slot)
        at += 3 + difference.saved * ITEM_SIZE
    if fault:
        raise errors.bad_commit(operation, fault, slot)
    memcpy(at, difference.gone, 2 * difference.deleted)
    at += 2 * difference.deleted
    write_header(target, COMMIT, at - target - HEADER_SIZE)
    return at - target


cdef inline uint8_t* write_commit_head(
    uint8_t* at, uint64_t operation, uint8_t reason, uint8_t flags, Py_ssize_t participants
) noexcept nogil:
    write64(at, operation)
    at[8] = reason
    at[9] = flags
    write16(at + 10, <uint16_t>participants)
    return at + COMMIT_HEAD


cdef inline uint8_t* write_participant(
    uint8_t* at, uint64_t guid, uint32_t epoch, uint64_t version, Py_ssize_t deletes,
    Py_ssize_t currencies,
) noexcept nogil:
    write64(at, guid)
    write32(at + 8, epoch)
    write64(at + 12, version)
    write16(at + 20, <uint16_t>deletes)
    at[22] = <uint8_t>currencies
    return at + PARTICIPANT_HEAD


def encode_difference(
    object operation_id, object character_guid, object session_epoch, object expected_version,
    object before, object after, object reason=0, object out=None, object offset=0,
):
    """Diff and encode in one: the CommitInventory frame that turns ``before`` into ``after``.

    Two batches of one character; empty bytes if they are equal. Only what differs is judged: a
    rule that the realm would refuse raises `BatchError`. With ``out``, a writable buffer of
    bytes, the frame is written there from ``offset`` on, and the offset behind it is returned;
    if it does not fit, `RecordError` is raised.
    """
    cdef uint64_t operation = number("operation_id", operation_id, 0xFFFFFFFFFFFFFFFF)
    cdef uint64_t guid = number("character_guid", character_guid, 0xFFFFFFFFFFFFFFFF)
    cdef uint32_t epoch = number("session_epoch", session_epoch, 0xFFFFFFFF)
    cdef uint64_t version = number("expected_version", expected_version, 0xFFFFFFFFFFFFFFFF)
    cdef uint8_t why = number("reason", reason, 0xFF)
    cdef Output output = None if out is None and offset is ZERO else Output(out, offset)
    cdef Difference difference
    cdef Py_ssize_t bound, size
    cdef bytes frame
    no_difference(&difference)
    try:
        _kept = set_difference(&difference, before, after)
        at_most_changes(&difference)
        if difference.saved + difference.deleted == 0:
            return b"" if output is None else output.result()
        bound = difference_bound(&difference)
        if output is None:
            frame = PyBytes_FromStringAndSize(NULL, bound)
            size = write_difference(
                <uint8_t*>PyBytes_AS_STRING(frame), &difference, operation, why, guid, epoch,
                version,
            )
            return frame if size == bound else frame[:size]
        size = write_difference(
            output.room(bound), &difference, operation, why, guid, epoch, version
        )
        output.written(size)
        return output.result()
    finally:
        PyMem_Free(difference.memory)


def encode_differences(
    object first_operation_id, object participants, object before, object after, object reason=0,
    object out=None, object offset=0,
):
    """`encode_difference` for many characters in one call: (frames, which of them changed).

    ``participants`` is a `PARTICIPANT` array of which character_guid, session_epoch and
    expected_version are read; ``before`` and ``after`` are sequences of as many batches. The
    character at index i gets the operation id ``first_operation_id`` + i; one that has not
    changed gets no frame. ``out`` and ``offset`` as there: then the first of the two is the
    offset behind the last frame. The second is a bool array.
    """
    cdef uint64_t first = number("first_operation_id", first_operation_id, 0xFFFFFFFFFFFFFFFF)
    cdef uint8_t why = number("reason", reason, 0xFF)
    check_array("participants", participants, PARTICIPANT)
    cdef Py_ssize_t count = length_of(participants)
    cdef list olds = list(before)
    cdef list news = list(after)
    if PyList_GET_SIZE(olds) != count:
        raise errors.wrong_length("before", PyList_GET_SIZE(olds), count)
    if PyList_GET_SIZE(news) != count:
        raise errors.wrong_length("after", PyList_GET_SIZE(news), count)
    if count and first > <uint64_t>0xFFFFFFFFFFFFFFFF - <uint64_t>(count - 1):
        raise errors.number_outside("first_operation_id", first_operation_id, 2**64 - count)
    cdef const Participant* one = <const Participant*>data_of(participants)
    cdef Output output = Output(out, offset)
    cdef cnp.ndarray changed = new_array(BOOL, 1, count)
    cdef uint8_t* flag = <uint8_t*>cnp.PyArray_DATA(changed)
    cdef Difference difference
    cdef object _kept
    cdef Py_ssize_t i, size
    no_difference(&difference)
    try:
        for i in range(count):
            _kept = set_difference(
                &difference, <object>PyList_GET_ITEM(olds, i), <object>PyList_GET_ITEM(news, i)
            )
            at_most_changes(&difference)
            flag[i] = difference.saved + difference.deleted != 0
            if flag[i]:
                size = write_difference(
                    output.room(difference_bound(&difference)), &difference,
                    first + <uint64_t>i, why, one[i].character_guid, one[i].session_epoch,
                    one[i].expected_version,
                )
                output.written(size)
    finally:
        PyMem_Free(difference.memory)
    return output.result(), changed


def encode_commits(object commits, object out=None, object offset=0):
    """Operations in one call, the inverse of `decode_commits`: their CommitInventory frames.

    ``commits`` is a `Commits` of which every operation is of kind COMMIT and each range
    directly follows the one before it; else `RecordError`. Its fault columns are not read: a
    rule that the realm would refuse raises `BatchError`. With ``out``, a writable buffer of
    bytes, the frames are written there from ``offset`` on, and the offset behind the last one
    is returned; what does not fit raises `RecordError`.
    """
    operations, participants, items, deletes, currencies = commits
    check_array("operations", operations, OPERATION)
    check_array("participants", participants, PARTICIPANT)
    check_array("items", items, INVENTORY_ITEM)
    check_array("deletes", deletes, SLOT)
    check_array("currencies", currencies, CURRENCY)
    cdef Output output = Output(out, offset)
    cdef Py_ssize_t count = length_of(operations)
    cdef Py_ssize_t i, size
    # Counts that change while they are used would lead out of the arrays.
    if output.overlaps(data_of(operations), count * sizeof(Operation)) or output.overlaps(
        data_of(participants), length_of(participants) * sizeof(Participant)
    ):
        raise errors.overlapping()
    if COPY_SHARED:
        operations = copy_of(operations, OPERATION, sizeof(Operation), count)
        participants = copy_of(
            participants, PARTICIPANT, sizeof(Participant), length_of(participants)
        )
    cdef const Operation* operation = <const Operation*>data_of(operations)
    cdef const Participant* participant = <const Participant*>data_of(participants)
    cdef const uint8_t* item = data_of(items)
    cdef const uint8_t* slots = data_of(deletes)
    cdef const uint8_t* currency = data_of(currencies)
    check_ranges(
        operation, count, participant, length_of(participants), length_of(items),
        length_of(deletes), length_of(currencies),
    )
    for i in range(count):
        size = commit_bound(operation + i, participant + operation[i].first_participant)
        size = write_commit(
            output.room(size), operation + i, participant + operation[i].first_participant, item,
            slots, currency,
        )
        output.written(size)
    return output.result()


cdef int check_ranges(
    const Operation* operation, Py_ssize_t operations, const Participant* participant,
    Py_ssize_t participants, Py_ssize_t items, Py_ssize_t deletes, Py_ssize_t currencies,
) except -1:
    """Every range follows the one before it, and the last ones end with their arrays."""
    cdef Py_ssize_t i
    cdef Py_ssize_t next_participant = 0
    cdef Py_ssize_t next_item = 0
    cdef Py_ssize_t next_delete = 0
    cdef Py_ssize_t next_currency = 0
    cdef bint follow = True
    for i in range(operations):
        follow &= operation[i].first_participant == next_participant
        next_participant += operation[i].participant_count
    for i in range(participants):
        follow &= participant[i].first_item == next_item
        follow &= participant[i].first_delete == next_delete
        follow &= participant[i].first_currency == next_currency
        next_item += participant[i].item_count
        next_delete += participant[i].delete_count
        next_currency += participant[i].currency_count
    if (
        not follow
        or next_participant != participants
        or next_item != items
        or next_delete != deletes
        or next_currency != currencies
    ):
        raise errors.ranges_apart()
    return 0


cdef Py_ssize_t commit_bound(const Operation* operation, const Participant* first) except -1:
    """The size of an operation's frame, exact unless a batch goes as columns."""
    cdef const Participant* one
    cdef Py_ssize_t i
    cdef Py_ssize_t items = 0
    cdef Py_ssize_t bound = HEADER_SIZE + COMMIT_HEAD
    if operation.kind != KIND_COMMIT:
        raise errors.not_a_commit(operation.operation_id, operation.kind)
    at_most("characters", operation.participant_count, MAX_PARTICIPANTS)
    for i in range(operation.participant_count):
        one = first + i
        at_most("records", one.item_count, MAX_BATCH_ITEMS)
        at_most("slots", one.delete_count, MAX_BATCH_ITEMS)
        at_most("currencies", one.currency_count, 0xFF)
        items += one.item_count
        bound += PARTICIPANT_HEAD + 2 * one.delete_count + CURRENCY_SIZE * one.currency_count
        if default_encoding(one.item_count):
            bound += batch_bound(one.item_count)
        else:
            bound += 3 + ITEM_SIZE * one.item_count
    at_most("records", items, MAX_PACKET_ITEMS)
    return bound


cdef Py_ssize_t write_commit(
    uint8_t* target, const Operation* operation, const Participant* first, const uint8_t* items,
    const uint8_t* deletes, const uint8_t* currencies,
) except -1:
    """One frame, once its content is judged; returns its size."""
    cdef Py_ssize_t count = operation.participant_count
    cdef Py_ssize_t deleted = 0
    cdef Py_ssize_t i
    cdef const Participant* one
    cdef uint8_t* at
    cdef uint16_t slot = 0
    cdef int fault
    for i in range(count):
        deleted += first[i].delete_count
    fault = commit_fault(operation.flags, first, count, deleted, items, deletes, &slot)
    if fault:
        raise errors.bad_commit(operation.operation_id, fault, slot)
    at = write_commit_head(
        target + HEADER_SIZE, operation.operation_id, operation.reason, operation.flags, count
    )
    for i in range(count):
        one = first + i
        at = write_participant(
            at, one.character_guid, one.session_epoch, one.expected_version, one.delete_count,
            one.currency_count,
        )
        at += encode_batch_into(
            at, items + one.first_item * ITEM_SIZE, one.item_count,
            default_encoding(one.item_count),
        )
        memcpy(at, deletes + 2 * one.first_delete, 2 * one.delete_count)
        at += 2 * one.delete_count
        memcpy(
            at, currencies + CURRENCY_SIZE * one.first_currency,
            CURRENCY_SIZE * one.currency_count,
        )
        at += CURRENCY_SIZE * one.currency_count
    at_most("bytes", at - target - HEADER_SIZE, MAX_BODY_SIZE)
    write_header(target, COMMIT, at - target - HEADER_SIZE)
    return at - target


# Answers


cdef inline uint8_t* write_commit_result(
    uint8_t* at, uint64_t operation_id, uint8_t status, Py_ssize_t participants, Py_ssize_t text
) noexcept nogil:
    """Frame header and head of a CommitInventoryResult; the participants come next."""
    at = write_header(at, COMMIT, 13 + 16 * participants + text)
    write64(at, operation_id)
    at[8] = status
    write16(at + 9, <uint16_t>participants)
    return at + 11


def encode_commit_inventory_result(
    object operation_id, object status, object participants, object message=""
):
    """CommitInventoryResult 0x80 as a whole frame; participants are (guid, version) pairs.

    A message of more than 65,535 bytes in UTF-8 is cut at a character's border.
    """
    cdef uint64_t operation = number("operation_id", operation_id, 0xFFFFFFFFFFFFFFFF)
    cdef uint8_t answer = number("status", status, 0xFF)
    cdef list pairs = list(participants)
    cdef Py_ssize_t count = len(pairs)
    at_most("characters", count, MAX_PARTICIPANTS)
    cdef bytes text = message_bytes(message)
    cdef Py_ssize_t size = len(text)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + 13 + 16 * count + size)
    cdef uint8_t* at = write_commit_result(
        <uint8_t*>PyBytes_AS_STRING(frame), operation, answer, count, size
    )
    for guid, version in pairs:
        write64(at, number("character_guid", guid, 0xFFFFFFFFFFFFFFFF))
        write64(at + 8, number("version", version, 0xFFFFFFFFFFFFFFFF))
        at += 16
    write16(at, <uint16_t>size)
    memcpy(at + 2, <const char*>text, size)
    return frame


def decode_commit_inventory_result(object body):
    """The body of CommitInventoryResult: (operation id, status, [(guid, version)], message)."""
    cdef Bytes source = Bytes(body)
    cdef const uint8_t* data = source.data
    cdef Py_ssize_t count, at, size, i
    need("CommitInventoryResult", 0, 9, source.size)
    need("participant count", 9, 2, source.size)
    count = read16(data + 9)
    if count > MAX_PARTICIPANTS:
        raise errors.over_limit("participant count", 9, count, MAX_PARTICIPANTS)
    need("participants", 11, 16 * count, source.size)
    at = 11 + 16 * count
    need("message length", at, 2, source.size)
    size = read16(data + at)
    at += 2
    need("message", at, size, source.size)
    if at + size != source.size:
        raise errors.trailing("CommitInventoryResult", at + size, source.size - at - size)
    try:
        message = (<const char*>data)[at:at + size].decode("utf-8")
    except UnicodeDecodeError:
        raise errors.not_utf8("message", at) from None
    pairs = [
        (read64(data + 11 + 16 * i), read64(data + 19 + 16 * i)) for i in range(count)
    ]
    return read64(data), data[8], pairs, message


cdef int check_answered(object operations, object participants, object statuses) except -1:
    check_array("operations", operations, OPERATION)
    check_array("participants", participants, PARTICIPANT)
    check_array("statuses", statuses, STATUS)
    if length_of(statuses) != length_of(operations):
        raise errors.wrong_length("statuses", length_of(statuses), length_of(operations))
    return 0


def encode_commit_results(
    object commits, object statuses, object versions, object messages=None
):
    """The CommitInventoryResult frames of all operations, in order, as one bytes object.

    ``statuses`` uint8, one an operation; ``versions`` uint64, one a participant; ``messages``
    by the operation's index.
    """
    cdef object operations = commits.operations
    cdef object participants = commits.participants
    check_answered(operations, participants, statuses)
    check_array("versions", versions, VERSION)
    if COPY_SHARED:
        operations = copy_of(operations, OPERATION, sizeof(Operation), length_of(statuses))
    cdef const Operation* operation = <const Operation*>data_of(operations)
    cdef const Participant* participant = <const Participant*>data_of(participants)
    cdef const uint8_t* version = data_of(versions)
    cdef const uint8_t* status = data_of(statuses)
    cdef Py_ssize_t count = length_of(statuses)
    cdef uint64_t available = length_of(participants)
    cdef Py_ssize_t i, k, first, text_size
    cdef Py_ssize_t size = 0
    cdef list texts = None
    cdef bytes text = b""
    if <uint64_t>length_of(versions) != available:
        raise errors.wrong_length("versions", length_of(versions), available)
    if messages:
        texts = [message_bytes(messages.get(i, "")) for i in range(count)]
    for i in range(count):
        if <uint64_t>operation[i].first_participant + operation[i].participant_count > available:
            raise errors.wrong_length(
                "participants", available,
                <uint64_t>operation[i].first_participant + operation[i].participant_count,
            )
        at_most("characters", operation[i].participant_count, MAX_PARTICIPANTS)
        size += HEADER_SIZE + 13 + 16 * <Py_ssize_t>operation[i].participant_count
        if texts is not None:
            size += len(<bytes>texts[i])
    cdef bytes frames = PyBytes_FromStringAndSize(NULL, size)
    cdef uint8_t* at = <uint8_t*>PyBytes_AS_STRING(frames)
    for i in range(count):
        text_size = 0
        if texts is not None:
            text = texts[i]
            text_size = len(text)
        at = write_commit_result(
            at, operation[i].operation_id, status[i], operation[i].participant_count, text_size
        )
        first = operation[i].first_participant
        for k in range(first, first + <Py_ssize_t>operation[i].participant_count):
            write64(at, participant[k].character_guid)
            memcpy(at + 8, version + 8 * k, 8)
            at += 16
        write16(at, <uint16_t>text_size)
        memcpy(at + 2, <const char*>text, text_size)
        at += 2 + text_size
    return frames


def encode_operation_results(object commits, object statuses, object opcode=RESULT):
    """The InventoryOperationResult frames of protocol 3's operations, as one bytes object.

    Status 0 and 1 are a success, every other one is not.
    """
    # Each taken once: the arrays that are checked must be those that are read.
    cdef object operations = commits.operations
    cdef object participants = commits.participants
    check_answered(operations, participants, statuses)
    cdef uint8_t code = result_opcode(opcode)
    if COPY_SHARED:
        operations = copy_of(operations, OPERATION, sizeof(Operation), length_of(statuses))
    cdef const Operation* operation = <const Operation*>data_of(operations)
    cdef const Participant* participant = <const Participant*>data_of(participants)
    cdef const uint8_t* status = data_of(statuses)
    cdef Py_ssize_t count = length_of(statuses)
    cdef Py_ssize_t available = length_of(participants)
    cdef bytes frames = PyBytes_FromStringAndSize(NULL, count * (HEADER_SIZE + 14))
    cdef uint8_t* at = <uint8_t*>PyBytes_AS_STRING(frames)
    cdef Py_ssize_t i
    for i in range(count):
        if operation[i].first_participant >= available:
            raise errors.wrong_length(
                "participants", available, <Py_ssize_t>operation[i].first_participant + 1
            )
        at = write_result(
            at, code, participant[operation[i].first_participant].character_guid,
            <uint32_t>operation[i].operation_id, operation[i].kind == KIND_DELETE, status[i] <= 1,
        )
    return frames
