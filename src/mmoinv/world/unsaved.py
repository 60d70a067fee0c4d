"""What is known of operations that nobody will answer any more.

Knows operations as they are pending; no link and no outbox.
"""

from typing import NamedTuple

from mmoinv.errors import OperationPendingError
from mmoinv.wire import PendingOperation
from mmoinv.world.frames import SentOperation


class UnsavedOperation(NamedTuple):
    """An operation that was taken and never answered. Unless it was ``sent``, it is not saved;
    else it may or may not be. If it is ``in_outbox``, the next process sends it, again or for
    the first time."""

    operation_id: int
    character_guids: tuple[int, ...]
    sent: bool
    in_outbox: bool = False

    def __str__(self) -> str:
        fate = "may or may not be saved" if self.sent else "not saved"
        if self.in_outbox:
            fate += " yet, and lies in the outbox"
        whom = ", ".join(map(str, self.character_guids))
        return f"{self.operation_id:#x} of character {whom}, {fate}"


def abandon(
    operation: PendingOperation[SentOperation], in_outbox: bool, reason: str
) -> UnsavedOperation:
    """End its handle, and say what is known."""
    handle = operation.token.handle
    sent = "was sent, but never answered: it may or may not be saved"
    if operation.attempts == 0:
        sent = "was never sent: it is not saved"
    if in_outbox:
        sent += ", and lies in the outbox for the next process to send"
    handle.fail(
        OperationPendingError(
            f"operation {handle.operation_id:#x} of character "
            f"{', '.join(map(str, handle.character_guids))} {sent} ({reason})",
            handle.operation_id,
            handle.character_guids,
        )
    )
    return UnsavedOperation(
        operation.operation_id, operation.character_guids, operation.attempts > 0, in_outbox
    )
