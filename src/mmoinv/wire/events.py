"""What a link makes of received bytes. Plain values; nothing here does anything."""

from typing import NamedTuple

from mmoinv.commits import Commits
from mmoinv.wire.packets import PlayerCharacterJoin
from mmoinv.wire.trades import TradeCancel, TradeConfirm, TradeOffer


class LinkBroken(NamedTuple):
    """The link must be closed: broken framing, silence, or a packet out of place."""

    reason: str


# At the realm


class LogonRequested(NamedTuple):
    """A world wants in: answer with `RealmLink.offer_challenge` or `RealmLink.refuse_logon`."""

    world_name: str
    process_nonce: int
    protocol: int
    dialect: int


class LogonProved(NamedTuple):
    """The world has proved itself: answer with `RealmLink.accept_logon` or `refuse_logon`."""

    world_name: str


class LogonFailed(NamedTuple):
    """The logon was refused; once the answer is sent the link is to be closed."""

    world_name: str
    reason: str


class JoinRequested(NamedTuple):
    """A world wants the session of a character; ``session_epoch`` 0: anew, else a re-claim."""

    character_guid: int
    session_epoch: int


class CharacterLeft(NamedTuple):
    """A world gives the session of a character back, for a `LeaveReason`."""

    character_guid: int
    session_epoch: int
    reason: int


class CommitsReceived(NamedTuple):
    """Operations as arrays, in the order in which they came."""

    commits: Commits


class TradeConfirmed(NamedTuple):
    """A world sends its half of a trade."""

    confirm: TradeConfirm


# At both ends


class TradeOffered(NamedTuple):
    """What one side of a trade gives."""

    offer: TradeOffer


class TradeCancelled(NamedTuple):
    """A trade is over."""

    cancel: TradeCancel


# At the world


class LogonAccepted(NamedTuple):
    """The realm has let this world in and proved itself. ``node_epoch`` is u32, never twice."""

    node_epoch: int
    protocol: int
    dialect: int


class LogonRefused(NamedTuple):
    """The realm has not let this world in, or could not prove itself (status None)."""

    status: int | None
    reason: str


class CharacterJoined(NamedTuple):
    """The session of a character is granted, with everything that is stored of it."""

    character: PlayerCharacterJoin


class CharacterJoinFailed(NamedTuple):
    """A join was refused for a `JoinFailure` number."""

    character_guid: int
    reason: int
    message: str


class LeaveRequested(NamedTuple):
    """Another world wants the character: save what is open, then leave."""

    character_guid: int
    session_epoch: int


class OperationAnswered(NamedTuple):
    """The answer to an operation of protocol 4; ``versions`` are (guid, version) pairs."""

    operation_id: int
    status: int
    versions: list[tuple[int, int]]
    message: str


class OperationResultReceived(NamedTuple):
    """The answer to one packet of protocol 3; ``operation_type`` 0 save, 1 delete."""

    character_guid: int
    operation_id: int
    operation_type: int
    success: bool


RealmEvent = (
    LogonRequested
    | LogonProved
    | LogonFailed
    | JoinRequested
    | CharacterLeft
    | CommitsReceived
    | TradeOffered
    | TradeConfirmed
    | TradeCancelled
    | LinkBroken
)
WorldEvent = (
    LogonAccepted
    | LogonRefused
    | CharacterJoined
    | CharacterJoinFailed
    | LeaveRequested
    | OperationAnswered
    | OperationResultReceived
    | TradeOffered
    | TradeCancelled
    | LinkBroken
)
