"""Operations as a world sends them: change sets to frames, answers to outcomes.

One shape for protocol 4 (one packet, one answer) and protocol 3 (up to two of each). Knows the
packets of item changes; no socket, no queue.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mmoinv import codec
from mmoinv.commits import UNKNOWN_OPERATION, CommitFlags, ParticipantChanges
from mmoinv.errors import (
    InvalidOperationError,
    OperationRefusedError,
    RealmInternalError,
)
from mmoinv.records import FRAME_HEADER_SIZE, SLOT, Batch
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.wire import CommitStatus, Dialect, TradeConfirm
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.outbox_format import as_repeated

Characters = Mapping[int, JoinedCharacter]

TYPE_SAVE, TYPE_DELETE = 0, 1

_ERRORS: dict[int, type[OperationRefusedError]] = {
    kind.status: kind for kind in OperationRefusedError.__subclasses__()
}


class TradeTerms(NamedTuple):
    """What a half of a trade refers to. ``half_id`` is the half's own operation id: under it the
    realm makes sure, if it must, that the half is never applied any more."""

    trade_id: int
    half_id: int
    to_guid: int
    to_epoch: int
    revision: int
    to_revision: int

    def confirm(self, half: bytes) -> TradeConfirm:
        """The packet around a half, which is a CommitInventory frame."""
        return TradeConfirm(
            self.trade_id,
            self.to_guid,
            self.to_epoch,
            self.revision,
            self.to_revision,
            half[FRAME_HEADER_SIZE:],
        )


@dataclass(eq=False, slots=True)
class SentOperation:
    """One operation with its handle; ``unanswered`` are the packet types of protocol 3 whose
    results have not come yet."""

    handle: OperationHandle
    changes: Sequence[CharacterChanges]
    reason: int
    conserve: bool = False
    terms: TradeTerms | None = None
    """Of a half of a trade with another world; it is pending under the trade's id."""
    unanswered: set[int] = field(default_factory=set)
    failed: bool = False
    saved_part: str = ""
    """Of protocol 3's two packets the one that is saved, though the other was refused."""
    taken_s: float = field(default_factory=time.monotonic)
    frame: bytes = b""
    """As it lies in the outbox, if there is one: what is sent is the same."""


def check_for_dialect(
    dialect: Dialect, changes: Sequence[CharacterChanges], conserve: bool
) -> None:
    """Raise before anything is taken, if a dialect of protocol 3 cannot carry the operation."""
    if dialect.layout is None:
        return
    if conserve or any(change.money for change in changes):
        raise InvalidOperationError(
            f"dialect {dialect.number} (protocol 3) carries neither money nor the wish that "
            "nothing comes into being; nothing was taken. Log on with dialect 0.",
            0,
            [change.character_guid for change in changes],
        )
    if len(changes) > 1:
        raise InvalidOperationError(
            f"dialect {dialect.number} (protocol 3) carries one character in an operation, not "
            f"{len(changes)}; nothing was taken. Log on with dialect 0, or commit one by one "
            "where it need not be atomic.",
            0,
            [change.character_guid for change in changes],
        )
    for change in changes:
        codec.narrow(change.saves, dialect.layout)


def encode_commit(
    operation_id: int, operation: SentOperation, characters: Characters, repeated: bool
) -> bytes:
    """The CommitInventory frame, or a half's TradeConfirm, with the epochs and versions of this
    moment."""
    if operation.frame:
        return as_repeated(operation.frame) if repeated else operation.frame
    replace = all(change.replace for change in operation.changes)
    participants = []
    for change in operation.changes:
        character = characters[change.character_guid]
        deletes = change.deletes
        if change.replace and not replace:
            # REPLACE is the operation's: beside an update it is spelled out.
            deletes = _others(character, change)
        participants.append(
            ParticipantChanges(
                change.character_guid,
                character.epoch,
                character.version,
                change.saves,
                deletes,
                change.money,
            )
        )
    flags = (
        CommitFlags.REPLACE * replace
        | CommitFlags.REPEATED * repeated
        | CommitFlags.CONSERVE * operation.conserve
    )
    terms = operation.terms
    if terms is None:
        return codec.encode_commit_inventory(operation_id, participants, operation.reason, flags)
    half = codec.encode_commit_inventory(terms.half_id, participants, operation.reason, flags)
    return terms.confirm(half).encode()


def as_it_will_be(
    character: JoinedCharacter, ahead: Iterable[SentOperation], needs_items: bool
) -> JoinedCharacter:
    """The character once the operations ahead of another one are committed. Should one of them
    be refused, those behind it are refused with it."""
    version, items = character.version, character.items
    for operation in ahead:
        version += 1
        for change in operation.changes:
            if needs_items and change.character_guid == character.guid:
                items = change.applied_to(items)
    return JoinedCharacter(character.guid, character.epoch, version, items)


def encode_for_protocol_3(
    operation_id: int, operation: SentOperation, characters: Characters, dialect: Dialect
) -> bytes:
    """The Save and Delete frames of an operation; notes in it what is to be answered."""
    (change,) = operation.changes
    character = characters[change.character_guid]
    assert dialect.layout is not None
    operation.unanswered.clear()
    operation.failed = False
    operation.saved_part = ""
    if dialect.replace:
        operation.unanswered.add(TYPE_SAVE)
        items = change.applied_to(character.items)
        return codec.encode_save_inventory_items(
            change.character_guid, operation_id, items, dialect.layout
        )
    frames = b""
    deletes = _others(character, change) if change.replace else change.deletes
    if len(change.saves):
        operation.unanswered.add(TYPE_SAVE)
        frames += codec.encode_save_inventory_items(
            change.character_guid, operation_id, change.saves, dialect.layout
        )
    if len(deletes) or not frames:
        operation.unanswered.add(TYPE_DELETE)
        frames += codec.encode_delete_inventory_items(change.character_guid, operation_id, deletes)
    return frames


def saved_by_packet(
    packet_type: int, operation: SentOperation, character: JoinedCharacter, dialect: Dialect
) -> Batch:
    """The inventory once one packet of protocol 3 is saved, whatever becomes of the other."""
    (change,) = operation.changes
    if dialect.replace:
        return change.applied_to(character.items)
    if packet_type == TYPE_SAVE:
        return codec.apply_changes(character.items, change.saves, change.deletes[:0])
    deletes = _others(character, change) if change.replace else change.deletes
    return codec.apply_changes(character.items, change.saves[:0], deletes)


def _others(
    character: JoinedCharacter, change: CharacterChanges
) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """The committed slots that a replacement leaves empty."""
    slots = np.setdiff1d(character.items["slot"], change.saves["slot"])
    return slots.astype(SLOT)


def refusal(
    status: int,
    message: str,
    operation_id: int,
    character_guids: Sequence[int],
    saved_part: str = "",
) -> OperationRefusedError:
    """The error of a refused operation, by its status; ``saved_part`` is saved all the same."""
    kind = _ERRORS.get(status, RealmInternalError)
    known = status in CommitStatus.__members__.values()
    reason = message or (CommitStatus(status).sentence if known else f"status {status}")
    whom = ", ".join(map(str, character_guids))
    fate = "Nothing of it is saved; its changes are still unsaved."
    if message.startswith(UNKNOWN_OPERATION):
        fate = "Join the character anew to see; its changes count as unsaved here."
    if saved_part:
        fate = (
            f"Its {saved_part} are saved, the rest is not: protocol 3 is not atomic. Committing "
            "it again does no harm."
        )
    return kind(
        f"operation {operation_id:#x} of character {whom} was refused: {reason}. {fate}",
        operation_id,
        character_guids,
    )
