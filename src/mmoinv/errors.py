"""Every error that mmoinv raises on purpose, as one tree.

::

    MmoinvError
    +-- RecordError (ValueError)        a record or a batch is not what it must be
    |   +-- NarrowingError              a value does not fit the narrower layout
    |   +-- BatchError                  a batch breaks a rule: a slot twice, a stack of 0, ...
    +-- CodecUnavailableError (ImportError)   the codec that was asked for cannot be had
    +-- ProtocolError                   bytes from a peer are wrong
    |   +-- FramingError                broken framing: the link must be closed
    |   +-- ContentError                well-formed but invalid: it is answered, the link stays
    |   +-- LogonError                  the logon did not come to its end
    +-- TransactionError                begin, commit or rollback at the wrong moment
    +-- JoinError                       a character could not be joined
    +-- OperationError                  a commit did not (or not yet) succeed
    |   +-- OperationRefusedError       the realm refused it for good; nothing of it is saved
    |   |   +-- StaleSessionError, VersionConflictError, InvalidOperationError,
    |   |       NotConservedError, InsufficientFundsError, DuplicateItemGuidError,
    |   |       RealmInternalError, TradeCancelledError
    |   +-- OperationPendingError       not answered: it may or may not be saved
    |   +-- OutboxWriteError            the outbox could not be written: it was not sent
    |   +-- ItemLockedError             a commit touches what is in an open trade
    +-- TradeError                      a trade between worlds cannot go on
    +-- LinkError                       there is no link to the realm
    |   +-- LinkBusyError               the bound on pending work is reached; nothing was taken
    |   +-- TlsError                    the two ends do not come to speak TLS with each other
    +-- StoreError                      the database
    |   +-- StoreUnavailableError       for the moment: try the same again
    |   +-- StoreDataError              the data was refused: trying again cannot help
    |   +-- SchemaVersionError          the schema is of another version
    |   +-- BookError                   the book of a migration cannot be read or written
    +-- ConfigurationError (ValueError) a setting, an address or an argument
    |   +-- CatalogError                an item catalog cannot be read; names file and line
    +-- InventoryError (ValueError)     a slot, an amount or a template outside of its range

A message says what happened, to whom, whether it is saved, and what to do.
This file imports nothing.
"""

from collections.abc import Sequence
from typing import ClassVar


class MmoinvError(Exception):
    """The root: ``except MmoinvError`` catches everything that mmoinv raises on purpose."""


# Records


class RecordError(MmoinvError, ValueError):
    """An array or a value is not a record or batch as `mmoinv.records` defines it."""


class NarrowingError(RecordError):
    """A value does not fit the layout it is to be written in.

    ``slot`` names the item, ``field`` the column, ``value`` what stood there and ``limit``
    the largest value that the layout holds.
    """

    def __init__(self, slot: int, field: str, value: int, limit: int, layout: str) -> None:
        super().__init__(
            f"slot {slot}: {field} {value} does not fit the layout {layout!r}, "
            f"which holds at most {limit}; nothing was encoded"
        )
        self.slot = slot
        self.field = field
        self.value = value
        self.limit = limit
        self.layout = layout

    def __reduce__(self) -> tuple[type, tuple[int | str, ...]]:
        """So that it can be pickled and copied, which calls the class again."""
        return type(self), (self.slot, self.field, self.value, self.limit, self.layout)


class BatchError(RecordError):
    """A batch breaks a rule. ``fault`` is a `mmoinv.records.Fault`, ``slot`` the slot concerned."""

    def __init__(self, message: str, fault: int = 0, slot: int = 0) -> None:
        super().__init__(message)
        self.fault = fault
        self.slot = slot


class CodecUnavailableError(MmoinvError, ImportError):
    """The codec named by ``MMOINV_CODEC`` cannot be had; the message lists what was tried."""


# Protocol


class ProtocolError(MmoinvError):
    """Bytes from the other end are not what the protocol allows."""


class FramingError(ProtocolError):
    """Broken framing: the stream can no longer be trusted and the link must be closed.

    ``offset`` is the place in the buffer or body at hand, in bytes.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class ContentError(ProtocolError):
    """A well-formed packet with invalid content: to be answered, the link stays.

    Carries what the answer needs: ``operation_id`` and ``character_guids``; ``fault`` is a
    `mmoinv.records.Fault`, ``slot`` the slot concerned (0 where none is).
    """

    def __init__(
        self,
        message: str,
        operation_id: int = 0,
        character_guids: Sequence[int] = (),
        fault: int = 0,
        slot: int = 0,
    ) -> None:
        super().__init__(message)
        self.operation_id = operation_id
        self.character_guids = tuple(character_guids)
        self.fault = fault
        self.slot = slot


class LogonError(ProtocolError):
    """The logon failed. ``status`` is the realm's logon status, if it sent one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


# Repository and operations


class TransactionError(MmoinvError):
    """A transaction was begun, committed or rolled back at the wrong moment. Nothing was sent."""


class JoinError(MmoinvError):
    """A character could not be joined. ``reason`` is the realm's number; ``retry_in_s`` is above 0
    if it has said when to try again, in seconds."""

    def __init__(
        self, message: str, character_guid: int = 0, reason: int = 0, retry_in_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.character_guid = character_guid
        self.reason = reason
        self.retry_in_s = retry_in_s


class OperationError(MmoinvError):
    """An operation did not succeed, or has not yet.

    ``operation_id`` names it and ``character_guids`` the characters it was to change.
    """

    def __init__(
        self, message: str, operation_id: int = 0, character_guids: Sequence[int] = ()
    ) -> None:
        super().__init__(message)
        self.operation_id = operation_id
        self.character_guids = tuple(character_guids)


class OperationRefusedError(OperationError):
    """The realm refused the operation for good: nothing of it is saved, the changes stay dirty."""

    status: ClassVar[int] = -1


class StaleSessionError(OperationRefusedError):
    """This world no longer holds the session of a character (status 2)."""

    status = 2


class VersionConflictError(OperationRefusedError):
    """The stored inventory is not of the version that the change was made on (status 3)."""

    status = 3


class InvalidOperationError(OperationRefusedError):
    """The content of the operation is invalid (status 4)."""

    status = 4


class NotConservedError(OperationRefusedError):
    """Items or money would have come into being or vanished (status 5)."""

    status = 5


class RealmInternalError(OperationRefusedError):
    """The realm could not process the operation; its log says why (status 8)."""

    status = 8


class InsufficientFundsError(OperationRefusedError):
    """A balance would have left its range (status 9)."""

    status = 9


class DuplicateItemGuidError(OperationRefusedError):
    """An item of the operation exists already somewhere else (status 10)."""

    status = 10


class TradeCancelledError(OperationRefusedError):
    """The trade did not come about (status 11); everybody has what they had."""

    status = 11


class ItemLockedError(OperationError):
    """A commit touches a slot that an open trade with another world holds. Nothing was taken."""


class OperationPendingError(OperationError):
    """The link went away before the answer: the operation may or may not be saved."""


class OutboxWriteError(OperationError):
    """The outbox on the disk could not be written, so the operation was not sent: nothing of it is
    saved, the changes stay dirty."""


class TradeError(MmoinvError):
    """A trade with a character of another world is over, or cannot be as asked: nothing changed.

    ``reason`` is the number why it is over (`mmoinv.wire.TradeEnd`), None if it is not.
    """

    def __init__(self, message: str, trade_id: int = 0, reason: int | None = None) -> None:
        super().__init__(message)
        self.trade_id = trade_id
        self.reason = reason


# Links, stores, settings


class LinkError(MmoinvError):
    """There is no link to the realm, or it went away."""


class LinkBusyError(LinkError):
    """The bound on pending work is reached. Nothing of this commit was taken; it stays dirty."""


class TlsError(LinkError):
    """The two ends do not come to speak TLS with each other: a certificate, a name, a version."""


class StoreError(MmoinvError):
    """The database could not do what was asked; the transaction was rolled back."""


class StoreUnavailableError(StoreError):
    """The database cannot do it at the moment (busy, full, away): trying again may help."""


class StoreDataError(StoreError):
    """The database refused the data (a constraint): trying the same again cannot help."""


class SchemaVersionError(StoreError):
    """The schema in the database is of a version that this mmoinv does not speak."""


class BookError(StoreError):
    """The book of a migration cannot be read or written, or another world holds the character: who
    decides stays as it was."""


class ConfigurationError(MmoinvError, ValueError):
    """A setting, address or argument cannot be used; the message says which and why."""


class CatalogError(ConfigurationError):
    """An item catalog cannot be read. The message names the file, the line and what is wrong."""


# The game's rules


class InventoryError(MmoinvError, ValueError):
    """A slot, an amount or a template is outside of its range: nothing was changed.

    What the rules refuse is no error: it is an `mmoinv.inventory.InventoryResult` that failed.
    """
