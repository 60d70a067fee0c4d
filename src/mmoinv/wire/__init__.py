"""The protocol, sans-IO: bytes in, events out; bytes out.

Knows no socket, clock, event loop or thread. `WorldLink` and `RealmLink` are the two ends of a
link, `PendingOperations` keeps what is on its way.
"""

from mmoinv.wire.dialects import DIALECTS, Dialect, dialect_by_number
from mmoinv.wire.events import (
    CharacterJoined,
    CharacterJoinFailed,
    CharacterLeft,
    CommitsReceived,
    JoinRequested,
    LeaveRequested,
    LinkBroken,
    LogonAccepted,
    LogonFailed,
    LogonProved,
    LogonRefused,
    LogonRequested,
    OperationAnswered,
    OperationResultReceived,
    RealmEvent,
    TradeCancelled,
    TradeConfirmed,
    TradeOffered,
    WorldEvent,
)
from mmoinv.wire.link import LinkState
from mmoinv.wire.logon import check_world_name, make_verifier
from mmoinv.wire.opcodes import (
    CommitStatus,
    JoinFailure,
    LeaveReason,
    LogonStatus,
    Opcode,
    TradeEnd,
)
from mmoinv.wire.packets import PlayerCharacterJoin
from mmoinv.wire.pending import (
    OperationState,
    PendingOperation,
    PendingOperations,
    ShortOperationIds,
)
from mmoinv.wire.realm_link import RealmLink
from mmoinv.wire.retry_hint import retry_hint_s, with_retry_hint
from mmoinv.wire.trades import TradeCancel, TradeConfirm, TradeOffer
from mmoinv.wire.world_link import WorldLink

__all__ = [
    "DIALECTS",
    "CharacterJoinFailed",
    "CharacterJoined",
    "CharacterLeft",
    "CommitStatus",
    "CommitsReceived",
    "Dialect",
    "JoinFailure",
    "JoinRequested",
    "LeaveReason",
    "LeaveRequested",
    "LinkBroken",
    "LinkState",
    "LogonAccepted",
    "LogonFailed",
    "LogonProved",
    "LogonRefused",
    "LogonRequested",
    "LogonStatus",
    "Opcode",
    "OperationAnswered",
    "OperationResultReceived",
    "OperationState",
    "PendingOperation",
    "PendingOperations",
    "PlayerCharacterJoin",
    "RealmEvent",
    "RealmLink",
    "ShortOperationIds",
    "TradeCancel",
    "TradeCancelled",
    "TradeConfirm",
    "TradeConfirmed",
    "TradeEnd",
    "TradeOffer",
    "TradeOffered",
    "WorldEvent",
    "WorldLink",
    "check_world_name",
    "dialect_by_number",
    "make_verifier",
    "retry_hint_s",
    "with_retry_hint",
]
