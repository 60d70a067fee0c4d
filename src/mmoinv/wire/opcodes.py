"""The numbers of the protocol: packets, statuses and reasons, each with a sentence for people.

Numbers only: how a packet is laid out is in `mmoinv.wire.packets` and `mmoinv.codec`.
"""

from enum import IntEnum


class Opcode(IntEnum):
    """The first byte of a frame. Some mean another packet in each direction."""

    LOGON_CHALLENGE = 0x00
    LOGON_PROOF = 0x01
    PLAYER_CHARACTER_JOIN = 0x02
    PLAYER_CHARACTER_LEAVE = 0x03
    PLAYER_CHARACTER_LEFT = 0x07
    INVENTORY_OPERATION_RESULT = 0x0A
    INVENTORY_OPERATION_RESULT_2026 = 0x0B
    SAVE_INVENTORY_ITEMS = 0x0E
    DELETE_INVENTORY_ITEMS = 0x0F
    COMMIT_INVENTORY = 0x80
    REQUEST_CHARACTER_JOIN = 0x81
    PING = 0x82
    PLAYER_CHARACTER_JOIN_FAILED = 0x84
    TRADE_OFFER = 0x85
    TRADE_CONFIRM = 0x86
    TRADE_CANCEL = 0x87


class CommitStatus(IntEnum):
    """How the realm answers an operation."""

    COMMITTED = 0
    ALREADY_COMMITTED = 1
    STALE_SESSION = 2
    VERSION_CONFLICT = 3
    INVALID = 4
    NOT_CONSERVED = 5
    OVERLOADED = 6
    DATABASE_UNAVAILABLE = 7
    INTERNAL = 8
    INSUFFICIENT_FUNDS = 9
    DUPLICATE_ITEM_GUID = 10
    CANCELLED = 11

    @property
    def is_success(self) -> bool:
        """Whether the operation is saved."""
        return self <= CommitStatus.ALREADY_COMMITTED

    @property
    def is_retryable(self) -> bool:
        """Whether the same operation may be sent again."""
        return self in (CommitStatus.OVERLOADED, CommitStatus.DATABASE_UNAVAILABLE)

    @property
    def sentence(self) -> str:
        """The status in words."""
        return _COMMIT_SENTENCES[self]


_COMMIT_SENTENCES = {
    CommitStatus.COMMITTED: "it is saved",
    CommitStatus.ALREADY_COMMITTED: "it was saved before",
    CommitStatus.STALE_SESSION: "this world no longer holds the session of a character",
    CommitStatus.VERSION_CONFLICT: "the stored inventory has changed since it was read",
    CommitStatus.INVALID: "its content is invalid",
    CommitStatus.NOT_CONSERVED: "items or money would have come into being or vanished",
    CommitStatus.OVERLOADED: "the realm is overloaded",
    CommitStatus.DATABASE_UNAVAILABLE: "the database is not available",
    CommitStatus.INTERNAL: "the realm could not process it, its log says why",
    CommitStatus.INSUFFICIENT_FUNDS: "a balance would have left its range",
    CommitStatus.DUPLICATE_ITEM_GUID: "an item of it exists already elsewhere",
    CommitStatus.CANCELLED: "the trade did not come about",
}


class LogonStatus(IntEnum):
    """How the realm answers a logon."""

    ACCEPTED = 0
    WRONG_CREDENTIALS = 2
    DATABASE_BUSY = 5
    VERSION_REFUSED = 6
    INTERNAL = 14
    TOO_MANY_FAILED = 15

    @property
    def sentence(self) -> str:
        """The status in words, with what to do."""
        return _LOGON_SENTENCES[self]


_LOGON_SENTENCES = {
    LogonStatus.ACCEPTED: "accepted",
    LogonStatus.WRONG_CREDENTIALS: (
        "the realm does not know this world or its secret is another one; "
        "add it with 'mmoinv world add NAME --database URL'"
    ),
    LogonStatus.DATABASE_BUSY: "the realm's database is busy; try again",
    LogonStatus.VERSION_REFUSED: "the realm does not speak this protocol version or dialect",
    LogonStatus.INTERNAL: "the realm failed, its log says why",
    LogonStatus.TOO_MANY_FAILED: (
        "too many logons from this address have failed; check name and secret, and wait a minute"
    ),
}


class JoinFailure(IntEnum):
    """Why a character could not be joined."""

    UNKNOWN = 0
    DATABASE_UNAVAILABLE = 1
    SESSION_TAKEN = 2
    OVERLOADED = 3
    REALM_STOPPING = 4

    @property
    def sentence(self) -> str:
        """The reason in words, with what to do."""
        return _JOIN_SENTENCES[self]


_JOIN_SENTENCES = {
    JoinFailure.UNKNOWN: "the realm could not join the character, its log says why",
    JoinFailure.DATABASE_UNAVAILABLE: "the database is not available; try again",
    JoinFailure.SESSION_TAKEN: "another world has joined the character since; join it anew",
    JoinFailure.OVERLOADED: "the realm is overloaded; try again",
    JoinFailure.REALM_STOPPING: "the realm is stopping",
}


class LeaveReason(IntEnum):
    """Why a character left a world."""

    LOGOUT = 0
    TELEPORT = 1
    DISCONNECT = 2
    UNKNOWN = 3


class TradeEnd(IntEnum):
    """Why a trade is over without having come about."""

    CANCELLED = 0
    REFUSED = 1
    NOT_FOUND = 2
    BUSY = 3
    LEFT = 4
    LINK_LOST = 5
    TIMED_OUT = 6
    INVALID = 7
    OVERLOADED = 8
    REALM_STOPPING = 9
    NO_ROOM = 10
    SAME_WORLD = 11

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return _TRADE_SENTENCES[self]


_TRADE_SENTENCES = {
    TradeEnd.CANCELLED: "one side has cancelled it",
    TradeEnd.REFUSED: "the other one does not trade",
    TradeEnd.NOT_FOUND: "the other character is not joined at this realm",
    TradeEnd.BUSY: "one of them is trading already",
    TradeEnd.LEFT: "one of them has left its world",
    TradeEnd.LINK_LOST: "the link of one of the worlds was lost",
    TradeEnd.TIMED_OUT: "it took too long",
    TradeEnd.INVALID: "one side did not keep to the rules of a trade",
    TradeEnd.OVERLOADED: "there are too many open trades; try again",
    TradeEnd.REALM_STOPPING: "the realm is stopping",
    TradeEnd.NO_ROOM: "there is no room for what one of them would get",
    TradeEnd.SAME_WORLD: (
        "both characters are in one world: commit their changes together, in one operation"
    ),
}
